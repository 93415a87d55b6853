//! The end of everything that measures: what a part came to, as a table, and as a directory. In: a part of all samples, or of
//! a shard; the facts of its manifest, its log. Out: the run directory with its plots, or the shard's.
use super::clock::Prediction;
use super::marked::Marked;
use crate::error::Result;
use crate::measures::MEASURES;
use crate::run::{self, Measure, Merged, Part, RunDir, Shard, Table, write_table};
use crate::summary::verdict;
use crate::sweep::Failure;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// Of all samples.
    Table(Table),
    /// Of a shard: the results are those of all shards merged.
    Shard(Part),
}

impl Found {
    /// Of which measure.
    pub fn measure(&self) -> &'static dyn Measure {
        match self {
            Found::Table(table) => table.measure,
            Found::Shard(part) => part.measure,
        }
    }

    /// Of which samples.
    pub fn shard(&self) -> Shard {
        match self {
            Found::Table(_) => Shard::WHOLE,
            Found::Shard(part) => part.shard,
        }
    }

    /// For people.
    pub fn text(&self) -> Result<String> {
        match self {
            Found::Table(table) => table.measure.text(table),
            Found::Shard(part) => {
                Ok(format!("shard {}: the results are those of all {} merged\n", part.shard, part.shard.of()))
            }
        }
    }

    /// The table for programs; nothing of a shard.
    pub fn rows(&self) -> Result<Vec<Value>> {
        match self {
            Found::Table(table) => table.measure.rows(table),
            Found::Shard(_) => Ok(vec![]),
        }
    }

    /// The verdict, in two sentences.
    pub fn summary(&self) -> Result<String> {
        match self {
            Found::Table(table) => verdict::summary(table),
            Found::Shard(_) => self.text().map(|text| text.trim_end().to_string()),
        }
    }

    /// What was found, in words, for programs; nothing of a shard.
    pub fn words(&self) -> Result<Vec<Value>> {
        match self {
            Found::Table(table) => verdict::rows(table),
            Found::Shard(_) => Ok(vec![]),
        }
    }
}

/// A run that came to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was found.
    pub found: Found,
    /// Results that are not finite.
    pub marked: Marked,
    /// Evaluations that it took, recorded ones among them.
    pub evaluations: u64,
    /// Those that earlier processes had recorded.
    pub recorded: u64,
    /// Of this process.
    pub seconds: f64,
    /// None of a run too short to be predicted.
    pub prediction: Option<Prediction>,
    /// Devices that failed while others went on.
    pub failures: Vec<Failure>,
}

/// Makes the table of a part that has all samples, and writes the directory whole, if there is one; `title` is the line on
/// model and samples in plots.
pub(super) fn finish(
    out: Option<RunDir>,
    part: Part,
    facts: Value,
    mut log: Value,
    title: &str,
) -> Result<(Found, Marked)> {
    let origin = part.origin.clone();
    if !part.shard.is_whole() {
        let marked = Marked::of_shard(origin);
        log["not_finite"] = marked.json();
        if let Some(out) = out {
            part.write(&out, &facts, title, &log)?;
            out.finish()?;
        }
        return Ok((Found::Shard(part), marked));
    }
    let table = part.finish()?;
    let marked = Marked::of(&table, origin);
    log["not_finite"] = marked.json();
    if let Some(out) = out {
        write_table(&out, &table, facts, log)?;
        #[cfg(feature = "cli")]
        for (name, svg) in table.measure.plots(&table, title)? {
            out.write(name, svg.as_bytes())?;
        }
        out.finish()?;
    }
    Ok((Found::Table(table), marked))
}

/// Joins the directories of all shards of a run to the one that one process would have written. `command` is for the log.
///
/// # Errors
/// Shards that are missing, given twice, or of different runs; files that are not what their manifests say.
pub fn merge(shards: &[PathBuf], out: RunDir, command: Vec<String>) -> Result<(Found, Marked)> {
    let Merged { part, facts, title, logs } = run::merge(shards, MEASURES)?;
    let log = json!({ "command": command, "shards": logs });
    finish(Some(out), part, facts, log, &title)
}
