//! `vorticity likelihood`: bits per dimension by the probability-flow ODE, into a run directory.
use super::common::{Opened, Subject, Work, parse_timesteps};
use super::stein::divergence;
use crate::data::{Images, Levels};
use crate::diagnostics::{self, LikelihoodOptions, Progress};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::measures::Likelihood;
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
    /// What the data are: 8-bit or 16-bit levels (dequantised; bits are counted per level), or continuous, real numbers
    /// (no dequantisation, no bits for their scaling) [default: what the file holds; floating-point data are 8-bit levels
    /// if every value is one, else continuous]
    #[arg(long, value_parser = ["8-bit", "16-bit", "continuous"])]
    levels: Option<String>,
    /// The same as --levels continuous
    #[arg(long, conflicts_with = "levels")]
    continuous: bool,
    /// Tangents, spread over the run, to compute again in f64 for the arithmetic error; with 0 the verdict is "not checked"
    #[arg(long, value_name = "N", default_value_t = 4)]
    verify: usize,
}

/// What the data are, and how that is known.
fn levels(args: &Args, field: &dyn Field, images: &Images) -> Result<(Levels, &'static str)> {
    let (eight, range) = (Levels::bits(8), field.data_range());
    let asked = match args.levels.as_deref() {
        _ if args.continuous => Levels::Real,
        Some("8-bit") => eight,
        Some("16-bit") => Levels::bits(16),
        Some(_) => Levels::Real,
        None => {
            return match images.levels {
                Levels::Real if eight.hold(&images.values, range) => Ok((eight, "every value is one")),
                Levels::Mixed => {
                    let found =
                        "are pictures of several depths, expected one: sort them apart, or say --levels continuous";
                    Err(Error::invalid("--data", found))
                }
                levels => Ok((levels, "what the data hold")),
            };
        }
    };
    // Data of fewer bits are levels of more, if not evenly spread: black and white is 8-bit data too.
    if asked != Levels::Real && !asked.hold(&images.values, range) {
        let found = format!("the data are {}, some between the levels of {range:?}", images.levels);
        return Err(Error::invalid("--levels", format!("{found}, expected {asked}")));
    }
    Ok((asked, "--levels"))
}

/// Measures, writes the run directory, prints the result; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let timesteps = parse_timesteps(&args.timesteps)?;
    if timesteps.len() < 3 {
        return Err(Error::invalid("--timesteps", format!("{}, expected at least 3 of them", args.timesteps)));
    }
    let opened = args.subject.open()?;
    let dim = opened.field.shape().len();
    let (levels, why) = levels(args, opened.field.as_ref(), &opened.images)?;
    let options = LikelihoodOptions {
        timesteps,
        samples: args.subject.samples,
        seed: args.subject.seed,
        divergence: divergence(args.probes.as_deref(), dim)?,
        levels: levels.most(),
        verified: args.verify,
    };
    args.subject.output.say(&format!("levels       the data are {levels} ({why})\n"))?;
    let work = Work {
        measure: &Likelihood,
        timesteps: &options.timesteps,
        lanes: diagnostics::likelihood_lanes(&options, dim),
        checks: args.verify,
        options: json!({
            "divergence": options.divergence.name(), "dequantised": options.levels.is_some(),
            "levels": options.levels.map(|most| u64::from(most) + 1), "verified_tangents": args.verify,
        }),
    };
    let measure =
        |o: &Opened, progress: Progress| diagnostics::likelihood_part(&o.gpu, &o.field, &o.images, &options, progress);
    opened.publish(work, measure)
}
