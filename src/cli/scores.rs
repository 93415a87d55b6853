//! `vorticity circulation --scores`: integrates scores that another program evaluated at exported points. In: the loops, the
//! scores there and, for the errors to be known, at Gauss points and in float64. Out: a run directory, or a shard's.
use super::finished::publish;
use super::output::Output;
use super::text::command_line;
use super::watch::stop_flag;
use crate::data::{Array, npz, sha256_file, sha256_spec};
use crate::diagnostics::{Integrated, Scores, integrate};
use crate::error::{Error, Result};
use crate::run::{ExportedFile, LoopLayout, RunDir};
use crate::spec::Spec;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Options of a circulation whose scores come from elsewhere.
#[derive(clap::Args)]
pub struct ScoreArgs {
    /// Integrate these scores instead of a MODEL: NPY, FILE.npz#array or FILE.safetensors#tensor, evaluated at the
    /// midpoints of --exported and of the same shape. Or FILE.npz with the arrays `scores` and, if they are there,
    /// `gauss_scores` and `float64_scores`
    #[arg(long, requires_all = ["exported", "out"], conflicts_with_all = [
        "model", "data", "paths", "timesteps", "samples", "points", "arcs", "quadrature", "tol", "polyline", "quadrature_check",
        "verify_fraction",
        "seed", "adapter", "memory", "binding", "tile", "shape", "score_scale", "process", "alphas", "sigmas", "dry_run", "yes", "shard", "weights",
    ])]
    pub scores: Option<Spec>,
    /// The loops of --scores: a file of `vorticity paths export`; of a shard of it the results are a shard too
    #[arg(long, value_name = "NPZ", requires = "scores")]
    pub exported: Option<PathBuf>,
    /// Scores at the array `gauss` of --exported: the quadrature error. Without them the verdict is "not checked"
    #[arg(long, value_name = "SCORES", requires = "scores")]
    pub gauss_scores: Option<Spec>,
    /// Scores at the array `repeat_points` of --exported, computed again in float64: the arithmetic error. Without them the
    /// verdict is "not checked"
    #[arg(long, value_name = "SCORES", requires = "scores")]
    pub float64_scores: Option<Spec>,
}

/// What was given.
pub struct Files<'a> {
    scores: Spec,
    gauss: Option<Spec>,
    float64: Option<Spec>,
    exported: &'a Path,
}

impl Files<'_> {
    /// Everything but the loops, by its key in the manifest.
    fn specs(&self) -> impl Iterator<Item = (&'static str, &Spec)> {
        let besides = [("gauss_scores", &self.gauss), ("float64_scores", &self.float64)];
        [("field", &self.scores)].into_iter().chain(besides.into_iter().filter_map(|(key, s)| Some((key, s.as_ref()?))))
    }

    /// Name and checksum of each file.
    fn sources(&self) -> Result<Value> {
        let mut sources =
            json!({ "exported": { "file": named(self.exported), "sha256": sha256_file(self.exported)? } });
        for (key, spec) in self.specs() {
            sources[key] = json!({ "file": spec.file_name(), "sha256": sha256_spec(spec)? });
        }
        Ok(sources)
    }
}

/// Reads the files and writes the run directory `out`.
pub fn run(files: &Files, out: &Path, output: Output) -> Result<i32> {
    let dir = RunDir::fresh(out)?;
    let loops = ExportedFile::open(files.exported)?;
    let open = |spec: &Option<Spec>| spec.as_ref().map(Array::open).transpose();
    let scores =
        Scores { midpoints: Array::open(&files.scores)?, gauss: open(&files.gauss)?, repeated: open(&files.float64)? };
    let (start, started, layout) = (Instant::now(), SystemTime::now(), loops.layout.clone());
    let (shard, axes) = (layout.shard, &layout.axes);
    let total = axes.dims()[..4].iter().product::<usize>() as u64;
    let (bar, stop) = (output.progress(total), stop_flag()?);
    let Integrated { part, cast } = integrate(loops, scores, &mut |done| {
        bar.set_position(done);
        bar.set_message(format!("{done} segments"));
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    if cast {
        eprintln!(
            "warning: every float64 score is a float32 number: if they were only cast, and not computed in float64, the \
             arithmetic error says nothing"
        );
    }
    let manifest = manifest(files, &layout, cast)?;
    let log = json!({
        "command": command_line(),
        "started_unix": started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        "seconds": start.elapsed().as_secs_f64(),
    });
    let title = format!("scores from elsewhere, {} samples, N = {}", layout.run.samples, axes.segments);
    let told = publish(dir, part, manifest, log, &title)?;
    let path = out.display().to_string();
    output.say(&format!(
        "{}\n{total} segments integrated\n{}written to {path}\n",
        told.text,
        wanting(files, &layout)
    ))?;
    output.document("circulation", || {
        json!({
            "segments": total, "shard": shard.to_string(), "out": path, "table": told.rows, "found": told.found,
        })
    })?;
    Ok(0)
}

/// What was integrated. What differs from shard to shard is under `sources`, in a list that `merge` makes longer; of a whole
/// run it is where the kind of field is named.
fn manifest(files: &Files, layout: &LoopLayout, cast: bool) -> Result<Value> {
    let mut manifest = json!({
        "program": format!("vorticity {}", env!("CARGO_PKG_VERSION")),
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

/// Which errors are not known, and how they would be.
fn wanting(files: &Files, layout: &LoopLayout) -> String {
    let mut text = String::new();
    if files.gauss.is_none() && layout.checked() > 0 {
        text += "quadrature was not checked: --gauss-scores hands back scores at the array `gauss`\n";
    }
    if files.float64.is_none() && !layout.repeat.is_empty() {
        text += "arithmetic was not checked: --float64-scores hands back float64 scores at the array `repeat_points`\n";
    }
    if layout.run.checked == 0 || layout.run.repeated == 0 {
        text += "these loops have no points for a check of quadrature, or of arithmetic: export them with both\n";
    }
    text
}

fn named(place: &Path) -> String {
    Spec::from(place).file_name()
}

/// Scores and loops, or neither.
pub fn files(args: &ScoreArgs) -> Result<Option<Files<'_>>> {
    let (scores, exported) = match (&args.scores, &args.exported) {
        (Some(scores), Some(exported)) => (scores, exported),
        (None, None) => return Ok(None),
        _ => return Err(Error::invalid("--scores", "needs --exported FILE.npz, and the other way round")),
    };
    // A file with all of them, by name.
    let file = scores.path();
    let named = file.is_file() && npz::holds(file, "scores")?;
    let beside = |own: &Option<Spec>, name: &str| -> Result<Option<Spec>> {
        match own {
            None if named && npz::holds(file, name)? => Ok(Some(scores.with_tensor(name))),
            own => Ok(own.clone()),
        }
    };
    Ok(Some(Files {
        gauss: beside(&args.gauss_scores, "gauss_scores")?,
        float64: beside(&args.float64_scores, "float64_scores")?,
        scores: if named { scores.with_tensor("scores") } else { scores.clone() },
        exported,
    }))
}
