//! `vorticity asymmetry`: nasym of whole Jacobians by random tangents, into a run directory.
use super::common::{Opened, Subject, Work};
use crate::diagnostics::{self, AsymmetryOptions, Progress};
use crate::error::{Error, Result};
use crate::measures::Asymmetry;
use serde_json::json;

/// Measure how asymmetric the score's whole Jacobian is, by random tangents (nasym, |J|, tr J, tr J^2).
///
/// Two chained tangents per probe, never a whole Jacobian, so any size will do. Writes OUT/asymmetry.csv, asymmetry.npz,
/// manifest.json, run_log.json and plots/nasym.svg (docs/FORMATS.md), and prints a table.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "1..1000:10")]
    timesteps: String,
    /// Random tangents per sample and timestep, or `all`: every unit vector, which is exact and takes D of them
    #[arg(long, default_value = "16")]
    probes: String,
    /// Probes, spread over the run, to repeat in f64 on the host, for the arithmetic error
    #[arg(long, default_value_t = 4)]
    verify: usize,
}

/// `all` as nothing, else a number.
pub(super) fn parse_probes(text: &str) -> Result<Option<usize>> {
    match text {
        "all" => Ok(None),
        _ => {
            let wrong = |_| Error::invalid("--probes", format!("'{text}' is neither a number nor all"));
            text.parse().map(Some).map_err(wrong)
        }
    }
}

/// Measures, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let options = AsymmetryOptions {
        selection: args.subject.selection(&args.timesteps)?,
        probes: parse_probes(&args.probes)?,
        verified: args.verify,
    };
    let opened = args.subject.open()?;
    let work = Work {
        measure: &Asymmetry,
        timesteps: &options.selection.timesteps,
        lanes: diagnostics::asymmetry_lanes(&options, opened.field.shape().len()),
        checks: 2 * args.verify,
        options: json!({ "probes": args.probes, "verified_probes": args.verify }),
    };
    let measure =
        |o: &Opened, progress: Progress| diagnostics::asymmetry_part(&o.gpu, &o.field, &o.images, &options, progress);
    opened.publish(work, measure)
}
