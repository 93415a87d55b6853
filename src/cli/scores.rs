//! `vorticity circulation --scores`: integrates scores that another program evaluated at exported midpoints.
use super::circulation::publish;
use super::common::file_name;
use super::output::Output;
use super::text::command_line;
use crate::data::{Array, sha256_file, sha256_spec};
use crate::diagnostics::integrate;
use crate::error::{Error, Result};
use crate::run::{ExportedFile, RunDir};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Options of a circulation whose scores come from elsewhere.
#[derive(clap::Args)]
pub struct ScoreArgs {
    /// Integrate these scores instead of a MODEL: NPY, FILE.npz#array or FILE.safetensors#tensor, evaluated at the
    /// midpoints of --exported and of the same shape
    #[arg(long, requires_all = ["exported", "out"], conflicts_with_all = [
        "model", "data", "paths", "timesteps", "samples", "points", "arcs", "quadrature", "tol", "polyline", "quadrature_check",
        "verify_fraction",
        "seed", "adapter", "memory", "binding", "tile", "shape", "score_scale", "process", "alphas", "sigmas", "dry_run", "yes", "shard", "weights",
    ])]
    pub scores: Option<String>,
    /// The loops of --scores: a file of `vorticity paths export`
    #[arg(long, value_name = "NPZ", requires = "scores")]
    pub exported: Option<PathBuf>,
}

/// Reads both files and writes the run directory `out`.
pub fn run(scores: &str, exported: &Path, out: &Path, output: Output) -> Result<i32> {
    let dir = RunDir::fresh(out)?;
    let (loops, values) = (ExportedFile::open(exported)?, Array::open(scores)?);
    let (start, started) = (Instant::now(), SystemTime::now());
    let (samples, points) = (loops.axes.samples, loops.axes.segments);
    let total = loops.axes.dims()[..4].iter().product::<usize>() as u64;
    let bar = output.progress(total);
    let result = integrate(loops, values, &mut |done| {
        bar.set_position(done);
        bar.set_message(format!("{done} segments"));
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    let named = |place: &Path| file_name(&place.to_string_lossy());
    let manifest = json!({
        "program": format!("vorticity {}", env!("CARGO_PKG_VERSION")),
        "measure": "circulation",
        "field": {
            "kind": "scores",
            "evaluated": "elsewhere: nothing is known here of how these scores were computed",
            "file": file_name(scores),
            "sha256": sha256_spec(scores)?,
        },
        "exported": { "file": named(exported), "sha256": sha256_file(exported)? },
        "quadrature_checked_samples": 0,
        "verified_points": 0,
    });
    let log = json!({
        "command": command_line(),
        "started_unix": started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        "seconds": start.elapsed().as_secs_f64(),
    });
    let title = format!("scores of {}, {samples} samples, N = {points}", file_name(scores));
    let table = publish(dir, &result, None, manifest, log, &title)?;
    let path = out.display().to_string();
    output.say(&format!(
        "{}\n{total} segments integrated; errors of quadrature and arithmetic were not checked\nwritten to {path}\n",
        table.text
    ))?;
    output.document("circulation", || json!({ "segments": total, "out": path, "table": table.rows }))?;
    Ok(0)
}

/// Both files, or neither.
pub fn files(args: &ScoreArgs) -> Result<Option<(&str, &Path)>> {
    match (&args.scores, &args.exported) {
        (Some(scores), Some(exported)) => Ok(Some((scores, exported))),
        (None, None) => Ok(None),
        _ => Err(Error::invalid("--scores", "needs --exported FILE.npz, and the other way round")),
    }
}
