//! `vorticity integrate`: circulation of scores that another program evaluated at exported points. In: the loops of `vorticity
//! paths export`, scores there. Out: a run directory; text or a document.
use super::common::exit;
use super::output::Output;
use super::watch::stop_flag;
use crate::error::{Error, Result};
use crate::run::{LoopLayout, RunDir};
use crate::session::{Elsewhere, Integration, integrate};
use crate::spec::Spec;
use serde_json::json;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Integrate scores that another program evaluated at the points of `vorticity paths export`.
///
/// Writes OUT/circulation.csv, circulation.npz, manifest.json, run_log.json and plots/*.svg (docs/FORMATS.md), as `vorticity
/// circulation` does, and prints a table. Needs no GPU and no model.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Scores at the midpoints of --exported, of the same shape: NPY, FILE.npz#array or FILE.safetensors#tensor. Or FILE.npz
    /// with the arrays `scores` and, if they are there, `gauss_scores` and `float64_scores`
    pub scores: Spec,
    /// The loops: a file of `vorticity paths export`; of a shard of it the results are a shard too
    #[arg(long, value_name = "NPZ")]
    pub exported: PathBuf,
    /// Scores at the array `gauss` of --exported: the quadrature error. Without them the verdict is "not checked"
    #[arg(long, value_name = "SCORES")]
    pub gauss_scores: Option<Spec>,
    /// Scores at the array `repeat_points` of --exported, computed again in float64: the arithmetic error. Without them the
    /// verdict is "not checked"
    #[arg(long, value_name = "SCORES")]
    pub float64_scores: Option<Spec>,
    /// Run directory to create; must not exist, or be empty
    #[arg(long)]
    pub out: PathBuf,
    /// Text, JSON or nothing.
    #[command(flatten)]
    pub output: Output,
}

/// Integrates, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args, command: Vec<String>) -> Result<i32> {
    let out = RunDir::fresh(&args.out)?;
    let files = Elsewhere::new(&args.scores, &args.exported, args.gauss_scores.clone(), args.float64_scores.clone())?;
    let (bar, stop) = (args.output.progress(0), stop_flag()?);
    let done = integrate(&files, out, command, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(format!("{done} segments"));
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    let Integration { found, marked, layout, cast } = done?;
    if cast {
        eprintln!(
            "warning: every float64 score is a float32 number: if they were only cast, and not computed in float64, the \
             arithmetic error says nothing"
        );
    }
    let (path, segments) = (args.out.display().to_string(), layout.segments());
    args.output.say(&format!(
        "{}\n{segments} segments integrated\n{}written to {path}\n",
        found.text()?,
        wanting(&files, &layout)
    ))?;
    let (rows, words) = (found.rows()?, found.words()?);
    args.output.document("integrate", || {
        json!({
            "segments": segments, "shard": layout.shard.to_string(), "out": path, "table": rows, "found": words,
        })
    })?;
    Ok(exit(&marked))
}

/// Which errors are not known, and how they would be.
fn wanting(files: &Elsewhere, layout: &LoopLayout) -> String {
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

/// `circulation --scores SCORES ..` was the name of this verb: an error that spells the command as it is now.
pub fn renamed(arguments: &[OsString]) -> Option<Error> {
    let words: Vec<String> = arguments.iter().map(|a| a.display().to_string()).collect();
    let at = words.iter().position(|word| word == "--scores" || word.starts_with("--scores="))?;
    if words.first().is_none_or(|verb| verb != "circulation") {
        return None;
    }
    let mut others = words[1..].to_vec();
    let option = others.remove(at - 1);
    let scores = match option.split_once('=') {
        Some((_, scores)) => scores.to_string(),
        None if at - 1 < others.len() => others.remove(at - 1),
        None => "SCORES".into(),
    };
    let now =
        ["vorticity".to_string(), "integrate".into(), scores].into_iter().chain(others).collect::<Vec<_>>().join(" ");
    Some(Error::invalid("circulation --scores", format!("is a verb of its own now: {now}")))
}
