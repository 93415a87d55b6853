//! `vorticity likelihood`: bits per dimension by the probability-flow ODE, into a run directory.
use super::common::{Opened, Report, Subject, Work, parse_timesteps};
use super::stein::divergence;
use crate::diagnostics::{self, LikelihoodOptions, Progress};
use crate::error::{Error, Result};
use crate::report::likelihood;
use crate::run::Table;
use serde_json::json;

/// Measure the likelihood of data under the model's probability-flow ODE, in bits per dimension.
///
/// Heun's rule over the given timesteps, twice: on all of them, and on every second one for the error. Writes
/// OUT/likelihood.csv, likelihood.npz, manifest.json and run_log.json (docs/FORMATS.md).
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// The grid, an odd number of timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "0..991:15")]
    timesteps: String,
    /// Random tangents for the divergence (Hutchinson), or `all` for the exact trace [default: all up to 256 dimensions,
    /// else 16]
    #[arg(long)]
    probes: Option<String>,
    /// Data are real numbers, not 8-bit levels: no dequantisation, no bits for their scaling
    #[arg(long)]
    continuous: bool,
    /// Tangents, spread over the run, to compute again in f64 for the arithmetic error; with 0 the verdict is "not checked"
    #[arg(long, value_name = "N", default_value_t = 4)]
    verify: usize,
}

/// Measures, writes the run directory, prints the result; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let timesteps = parse_timesteps(&args.timesteps)?;
    if timesteps.len() < 3 {
        return Err(Error::invalid("--timesteps", format!("{}, expected at least 3 of them", args.timesteps)));
    }
    let opened = args.subject.open()?;
    let dim = opened.field.shape().len();
    let options = LikelihoodOptions {
        timesteps,
        samples: args.subject.samples,
        seed: args.subject.seed,
        divergence: divergence(args.probes.as_deref(), dim)?,
        dequantise: !args.continuous,
        verified: args.verify,
    };
    let work = Work {
        measure: "likelihood",
        timesteps: &options.timesteps,
        lanes: diagnostics::likelihood_lanes(&options, dim),
        checks: args.verify,
        options: json!({ "divergence": options.divergence.name(), "dequantised": options.dequantise, "verified_tangents": args.verify }),
    };
    let measure = |o: &Opened, progress: Progress| {
        diagnostics::likelihood_part(&o.gpu, o.field.as_ref(), &o.images, &options, progress)
    };
    opened.publish(work, measure, report)
}

/// What is shown of the results.
pub(super) fn report(table: &Table, _: &str) -> Result<Report> {
    Ok(Report { text: likelihood::text(table)?, rows: likelihood::rows(table), plots: vec![] })
}
