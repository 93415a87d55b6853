//! `vorticity merge`: the shards of a run, put together to the run directory that one process would have written.
use super::common::exit;
use super::output::Output;
use crate::error::Result;
use crate::run::RunDir;
use crate::session;
use serde_json::json;
use std::path::PathBuf;

/// Join the shards of a run (--shard) to the run that one process would have written, byte for byte.
///
/// The shards may come in any order. They must be of one configuration, all there, none twice, and their data as their
/// manifests say. Needs no GPU, no model and no data.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Directories that --shard wrote
    #[arg(required = true, value_name = "SHARD")]
    pub shards: Vec<PathBuf>,
    /// Run directory to create; must not exist, or be empty
    #[arg(long)]
    pub out: PathBuf,
    /// Text, JSON or nothing.
    #[command(flatten)]
    pub output: Output,
}

/// Checks the shards, writes the run directory, prints the table; the exit code. `command` is for the log.
pub fn run(args: &Args, command: Vec<String>) -> Result<i32> {
    let out = RunDir::fresh(&args.out)?;
    let (found, marked) = session::merge(&args.shards, out, command)?;
    let (measure, path) = (found.measure().name(), args.out.display().to_string());
    args.output.say(&format!("{}\n{} shards merged, written to {path}\n", found.text()?, args.shards.len()))?;
    let (rows, words) = (found.rows()?, found.words()?);
    args.output.document("merge", || {
        json!({
            "measure": measure, "shards": args.shards.len(), "out": path, "table": rows, "found": words,
            "not_finite": marked.json(),
        })
    })?;
    Ok(exit(&marked))
}
