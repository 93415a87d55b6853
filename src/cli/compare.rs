//! `vorticity compare`: how far two runs of one measure are apart.
use super::output::Output;
use crate::error::Result;
use crate::report::compare::{self, CompareOptions, LEVEL};
use crate::report::{spaces, stored};
use crate::run::{check_file, write_file};
use serde_json::json;
use std::path::PathBuf;

/// Compare two finished runs of the same measure: differences B - A with bootstrap confidence intervals.
///
/// The samples are resampled: together where both runs used the same data, seed and samples, else each on its own.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Run directory A
    pub a: PathBuf,
    /// Run directory B
    pub b: PathBuf,
    /// Columns to compare, comma-separated, as in the run's CSV [default: those of the run's own table]
    #[arg(long, value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Resamples of the bootstrap
    #[arg(long, default_value_t = 2000)]
    pub resamples: usize,
    /// Seed of the resamples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// CSV file to write, one row per difference
    #[arg(long, value_name = "CSV")]
    pub csv: Option<PathBuf>,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Reads both runs, prints the differences; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    args.csv.as_deref().map_or(Ok(()), check_file)?;
    let (a, b) = (stored::read(&args.a)?, stored::read(&args.b)?);
    let options = CompareOptions { resamples: args.resamples, seed: args.seed, columns: args.columns.clone() };
    let comparison = compare::compare([&a, &b], &options)?;
    if let Some(path) = &args.csv {
        let bytes = compare::csv(&comparison)?;
        write_file(path, &bytes)?;
    }
    args.output.say(&compare::text(&comparison, [&a.name, &b.name]))?;
    args.output.document("compare", || {
        let facts = comparison.facts.iter().map(|(key, a, b)| json!({ "key": key, "a": a, "b": b }));
        json!({
            "measure": comparison.measure.name(), "a": args.a.display().to_string(), "b": args.b.display().to_string(),
            "paired": comparison.paired, "because": comparison.because, "resamples": comparison.resamples,
            "seed": args.seed, "level": LEVEL, "left_out": comparison.left_out,
            "facts": facts.collect::<Vec<_>>(), "differences": compare::rows(&comparison),
            "spaces": spaces::rows(&comparison.spaces),
        })
    })?;
    Ok(0)
}
