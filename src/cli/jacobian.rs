//! `vorticity jacobian`: full Jacobians of a field in few dimensions, into a run directory.
use super::common::{Opened, Subject, Work};
use crate::diagnostics::{self, Progress};
use crate::error::Result;
use crate::measures::Jacobian;
use serde_json::json;

/// Write the score's full Jacobian, D x D, at noisy samples: for few dimensions.
///
/// Writes OUT/jacobian.npz with the array jacobian [timestep, sample, D, D], jacobian.csv, manifest.json and run_log.json
/// (docs/FORMATS.md), and prints a table.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "1..1000:100")]
    timesteps: String,
    /// Columns, spread over the run, to repeat in f64 on the host, for the arithmetic error
    #[arg(long, default_value_t = 4)]
    verify: usize,
}

/// Measures, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let selection = args.subject.selection(&args.timesteps)?;
    let opened = args.subject.open()?;
    let work = Work {
        measure: &Jacobian,
        timesteps: &selection.timesteps,
        lanes: diagnostics::jacobian_lanes(&selection, opened.field.shape().len()),
        checks: args.verify,
        options: json!({ "verified_columns": args.verify }),
    };
    let measure = |o: &Opened, progress: Progress| {
        diagnostics::jacobian_part(&o.gpu, &o.field, &o.images, &selection, args.verify, progress)
    };
    opened.publish(work, measure)
}
