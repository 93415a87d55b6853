//! `vorticity merge`: the shards of a run, put together to the run directory that one process would have written.
use super::marked::Marked;
use super::output::Output;
use super::text::command_line;
use super::{asymmetry, circulation, curl, jacobian, likelihood, stein};
use crate::diagnostics;
use crate::error::{Error, Result};
use crate::run::{self, RunDir, write_table};
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

/// Checks the shards, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let out = RunDir::fresh(&args.out)?;
    let measures: Vec<&'static str> =
        ["circulation"].into_iter().chain(diagnostics::measures().iter().map(|m| m.0)).collect();
    let run::Merged { part, facts, title, logs } = run::merge(&args.shards, &measures)?;
    let mut log = json!({ "command": command_line(), "shards": logs });
    let (measure, path) = (part.measure, args.out.display().to_string());
    let mut found = vec![];
    let (text, rows, marked) = if measure == "circulation" {
        let table = circulation::publish(out, &diagnostics::circulation(part)?, None, facts, log, &title)?;
        found = table.found;
        (table.text, table.rows, table.marked)
    } else {
        let report = match measure {
            "curl" => curl::report,
            "asymmetry" => asymmetry::report,
            "stein" => stein::report,
            "jacobian" => jacobian::report,
            "likelihood" => likelihood::report,
            other => return Err(Error::invalid("merge", format!("no report for '{other}'"))),
        };
        let table = diagnostics::finish(part)?;
        let marked = Marked::of(&table, None);
        log["not_finite"] = marked.json();
        write_table(&out, &table, facts, log)?;
        let report = report(&table, &title)?;
        for (name, svg) in &report.plots {
            out.write(name, svg.as_bytes())?;
        }
        out.finish()?;
        (report.text, report.rows, marked)
    };
    args.output.say(&format!("{text}\n{} shards merged, written to {path}\n", args.shards.len()))?;
    args.output
        .document("merge", || json!({ "measure": measure, "shards": args.shards.len(), "out": path, "table": rows, "found": found, "not_finite": marked.json() }))?;
    Ok(marked.exit())
}
