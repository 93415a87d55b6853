//! `vorticity curl`: sub-Jacobians of a model or a closed-form field and their asymmetry, into a run directory.
use super::common::{Opened, Subject, Work};
use crate::diagnostics::{self, CurlOptions, Method, Progress, STEP};
use crate::error::Result;
use crate::measures::Curl;
use serde_json::json;

/// Measure the asymmetry of the score's Jacobian at random components (the paper's eq. 5).
///
/// Writes OUT/curl.csv, curl.npz (with every sub-Jacobian), manifest.json, run_log.json and plots/*.svg (docs/FORMATS.md),
/// and prints a table. The defaults are the paper's protocol: 100 timesteps, 256 samples, 64 components.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "1..1000:10")]
    timesteps: String,
    /// Components K per sample, chosen at random, the same for rows and columns: a K x K sub-Jacobian
    #[arg(long, default_value_t = 64)]
    components: usize,
    /// jvp: exact tangents; fd: central differences, forward passes only; both: the results of jvp, and how far fd is off
    #[arg(long, value_parser = ["jvp", "fd", "both"], default_value = "jvp")]
    method: String,
    /// Step h of the differences in units of sigma; the default balances truncation against f32 rounding
    #[arg(long, default_value_t = STEP)]
    step: f64,
    /// Eliminate the differences' h^2 error with a second step 2h, for twice the evaluations
    #[arg(long)]
    richardson: bool,
    /// Columns of the Jacobian, spread over the run, to repeat in f64 on the host, for the arithmetic error
    #[arg(long, default_value_t = 4)]
    verify: usize,
}

/// Measures, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let options = CurlOptions {
        selection: args.subject.selection(&args.timesteps)?,
        components: args.components,
        method: match args.method.as_str() {
            "fd" => Method::Differences,
            "both" => Method::Both,
            _ => Method::Tangents,
        },
        step: args.step,
        richardson: args.richardson,
        verified: args.verify,
    };
    let differences = options.method != Method::Tangents;
    let facts = json!({
        "components": args.components, "method": args.method, "verified_columns": args.verify,
        "step_over_sigma": differences.then_some(args.step), "richardson": differences.then_some(args.richardson),
    });
    let opened = args.subject.open()?;
    if differences {
        let order = if args.richardson { "h^4, with 2h (Richardson)" } else { "h^2" };
        args.subject.output.say(&format!("differences  central, h = {} sigma, error of order {order}\n", args.step))?;
    }
    let work = Work {
        measure: &Curl,
        timesteps: &options.selection.timesteps,
        lanes: diagnostics::curl_lanes(&options),
        checks: args.verify,
        options: facts,
    };
    let measure =
        |o: &Opened, progress: Progress| diagnostics::curl_part(&o.gpu, &o.field, &o.images, &options, progress);
    opened.publish(work, measure)
}
