//! Closed paths as arguments: a list of `NAME?key=value&..`. Options that once were a path's own say what to write instead.
use crate::error::{Error, Result};
use crate::paths::{self, ClosedPath, Space};
use crate::spec::Spec;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// Which closed paths.
#[derive(clap::Args)]
pub struct PathArgs {
    /// Closed paths, comma-separated: brownian, rotation, projection?arcs=10 (noisings in the ring; must divide the points),
    /// polyline?file=F (nodes in the space of the noisy data: floating-point NPY, NPZ or safetensors of N = --points
    /// nodes [N, C, H, W], or of one loop per sample, one after the other)
    #[arg(long, default_value = "brownian,rotation,projection")]
    paths: Vec<Spec>,
    #[arg(long, hide = true)]
    arcs: Option<OsString>,
    #[arg(long, hide = true)]
    polyline: Option<OsString>,
}

impl PathArgs {
    /// The paths, for fields of this shape and data range.
    pub fn open(&self, space: Space) -> Result<Vec<Arc<dyn ClosedPath>>> {
        let paths: Vec<Spec> = self.paths.iter().flat_map(Spec::list).collect();
        moved("--arcs", "projection", "arcs", self.arcs.as_deref(), &paths)?;
        moved("--polyline", "polyline", "file", self.polyline.as_deref(), &paths)?;
        paths.into_iter().map(|path| paths::open(path, space)).collect()
    }
}

/// Refuses an option that is now `key` of a path, with the paths as they are written now.
fn moved(option: &str, path: &str, key: &str, value: Option<&OsStr>, paths: &[Spec]) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let own = format!("{path}?{key}={}", value.display());
    let mut list: Vec<String> =
        paths.iter().map(|p| if p.path() == path { own.clone() } else { p.to_string() }).collect();
    if !list.contains(&own) {
        list.push(own);
    }
    Err(Error::invalid(option, format!("belongs to its path now: --paths '{}'", list.join(","))))
}
