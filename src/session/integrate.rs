//! Integrates scores that another program evaluated at exported points. In: the loops, the scores there and, for the errors
//! to be known, at Gauss points and in float64. Out: a run directory, or a shard's.
use super::finished::{Found, Record, finish};
use super::marked::Marked;
use super::program;
use crate::data::{Array, npz, sha256_file, sha256_spec};
use crate::error::Result;
use crate::measures::circulation::{Integrated, Scores, integrate as sums};
use crate::run::{ExportedFile, LoopLayout, RunDir};
use crate::spec::Spec;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Scores from elsewhere, by name.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// At the midpoints.
    pub scores: Spec,
    /// At the Gauss points: the error of the quadrature.
    pub gauss: Option<Spec>,
    /// In float64 at the points to be repeated: the error of the arithmetic.
    pub float64: Option<Spec>,
    /// The loops.
    pub exported: PathBuf,
}

/// What came of integrating them.
#[derive(Debug)]
pub struct Integration {
    /// The table, or a shard's part.
    pub found: Found,
    /// Results that are not finite.
    pub marked: Marked,
    /// What the loops are.
    pub layout: LoopLayout,
    /// True if every float64 score is a float32 number: perhaps it was only cast.
    pub cast: bool,
}

impl Elsewhere {
    /// Scores at the midpoints of `exported`; where `scores` is a file with the array `scores`, its arrays `gauss_scores` and
    /// `float64_scores` stand for those that are not given.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn new(scores: &Spec, exported: &Path, gauss: Option<Spec>, float64: Option<Spec>) -> Result<Self> {
        let file = scores.path();
        let named = file.is_file() && npz::holds(file, "scores")?;
        let beside = |own: Option<Spec>, name: &str| -> Result<Option<Spec>> {
            match own {
                None if named && npz::holds(file, name)? => Ok(Some(scores.with_tensor(name))),
                own => Ok(own),
            }
        };
        Ok(Elsewhere {
            gauss: beside(gauss, "gauss_scores")?,
            float64: beside(float64, "float64_scores")?,
            scores: if named { scores.with_tensor("scores") } else { scores.clone() },
            exported: exported.into(),
        })
    }

    /// Name and checksum of each file, by its key in the manifest.
    fn sources(&self) -> Result<Value> {
        let name = Spec::from(&self.exported).file_name();
        let mut sources = json!({ "exported": { "file": name, "sha256": sha256_file(&self.exported)? } });
        let besides = [("gauss_scores", &self.gauss), ("float64_scores", &self.float64)];
        let besides = besides.into_iter().filter_map(|(key, spec)| Some((key, spec.as_ref()?)));
        for (key, spec) in [("field", &self.scores)].into_iter().chain(besides) {
            sources[key] = json!({ "file": spec.file_name(), "sha256": sha256_spec(spec)? });
        }
        Ok(sources)
    }
}

/// Reads the files and writes the run directory. `observe` is told how many segments are done, of how many, and may stop it;
/// `command` is for the log.
///
/// # Errors
/// Files that are missing, of other shapes than the points', not finite; `Error::Interrupted`.
pub fn integrate(
    files: &Elsewhere,
    out: RunDir,
    command: Vec<String>,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Integration> {
    let loops = ExportedFile::open(&files.exported)?;
    let open = |spec: &Option<Spec>| spec.as_ref().map(Array::open).transpose();
    let scores =
        Scores { midpoints: Array::open(&files.scores)?, gauss: open(&files.gauss)?, repeated: open(&files.float64)? };
    let (start, started, layout) = (Instant::now(), SystemTime::now(), loops.layout.clone());
    let total = layout.segments();
    let Integrated { part, cast } = sums(loops, scores, &mut |done| observe(done, total))?;
    let manifest = manifest(files, &layout, cast)?;
    let log = json!({
        "command": command,
        "started_unix": started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        "seconds": start.elapsed().as_secs_f64(),
    });
    let title = format!("scores from elsewhere, {} samples, N = {}", layout.run.samples, layout.axes.segments);
    let (found, marked) = finish(Some(out), part, &mut Record { facts: manifest, log, title })?;
    Ok(Integration { found, marked, layout, cast })
}

/// What was integrated. What differs from shard to shard is under `sources`, in a list that `merge` makes longer; of a whole
/// run it is where the kind of field is named.
fn manifest(files: &Elsewhere, layout: &LoopLayout, cast: bool) -> Result<Value> {
    let mut manifest = json!({
        "program": program(),
        "measure": "circulation",
        "field": { "kind": "scores", "evaluated": "elsewhere: nothing is known here of how these scores were computed" },
        "exported": { "run": layout.run.facts },
    });
    let mut sources = files.sources()?;
    sources["float64_scores_are_float32"] = files.float64.as_ref().map_or(Value::Null, |_| cast.into());
    if layout.shard.is_whole() {
        manifest["quadrature_checked_samples"] = files.gauss.as_ref().map_or(0, |_| layout.run.checked).into();
        manifest["verified_points"] = files.float64.as_ref().map_or(0, |_| layout.run.repeated).into();
        for (key, source) in sources.as_object_mut().into_iter().flatten() {
            match (&mut manifest[key], source) {
                (Value::Object(own), Value::Object(source)) => own.append(source),
                (own, source) => *own = source.take(),
            }
        }
    } else {
        sources["shard"] = layout.shard.to_string().into();
        sources["quadrature_checked_samples"] = files.gauss.as_ref().map_or(0, |_| layout.checked()).into();
        sources["verified_points"] = files.float64.as_ref().map_or(0, |_| layout.repeat.len()).into();
        manifest["sources"] = json!([sources]);
    }
    Ok(manifest)
}
