//! Closed paths as arguments: a list of `NAME?key=value&..`. Options that once were a path's own say what to write instead.
use crate::error::Result;
use crate::measures::circulation::chosen;
use crate::paths::{ClosedPath, HELP, Space};
use crate::spec::Spec;
use std::sync::Arc;

/// Which closed paths.
#[derive(clap::Args)]
pub struct PathArgs {
    /// Each as `paths::open` takes it.
    #[arg(long, default_value = "brownian,rotation,projection", help = HELP, long_help = HELP)]
    paths: Vec<Spec>,
    #[arg(long, hide = true)]
    arcs: Option<Spec>,
    #[arg(long, hide = true)]
    polyline: Option<Spec>,
}

impl PathArgs {
    /// The paths, for fields of this shape and data range.
    pub fn open(&self, space: Space) -> Result<Vec<Arc<dyn ClosedPath>>> {
        let paths: Vec<Spec> = self.paths.iter().flat_map(Spec::list).collect();
        chosen(&paths, [self.arcs.as_ref(), self.polyline.as_ref()], space)
    }
}
