//! The end of everything that measures: what a part came to, as a table, and as a directory. In: a part of all samples, or of
//! a shard; the facts of its manifest, its log. Out: the run directory with its plots, or the shard's.
use super::clock::Prediction;
use super::marked::Marked;
use crate::error::Result;
use crate::measures::MEASURES;
use crate::run::{self, Measure, Merged, Part, RunDir, Shard, Table, table_manifest, write_table};
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

/// What a run's directory says besides its numbers.
#[derive(Clone, Debug)]
pub struct Record {
    /// Of the manifest, a JSON object.
    pub facts: Value,
    /// Of the log.
    pub log: Value,
    /// The line on model and samples in plots.
    pub title: String,
}

/// A run that came to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was found.
    pub found: Found,
    /// What a directory of it says, or would say.
    pub record: Record,
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

impl Finished {
    /// Writes the run directory, byte for byte as the run itself would have written it.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(&self, out: RunDir) -> Result<()> {
        write(out, &self.found, &self.record)
    }

    /// The bytes of its `manifest.json`.
    ///
    /// # Errors
    /// Facts with keys that are the directory's own.
    pub fn manifest(&self) -> Result<Vec<u8>> {
        match &self.found {
            Found::Table(table) => table_manifest(table, &self.record.facts),
            Found::Shard(part) => part.manifest(&self.record.facts, &self.record.title),
        }
    }
}

/// Makes the table of a part that has all samples, and writes the directory whole, if there is one.
pub(super) fn finish(out: Option<RunDir>, part: Part, record: &mut Record) -> Result<(Found, Marked)> {
    let origin = part.origin.clone();
    let (found, marked) = if part.shard.is_whole() {
        let table = part.finish()?;
        let marked = Marked::of(&table, origin);
        (Found::Table(table), marked)
    } else {
        (Found::Shard(part), Marked::of_shard(origin))
    };
    record.log["not_finite"] = marked.json();
    if let Some(out) = out {
        write(out, &found, record)?;
    }
    Ok((found, marked))
}

/// The directory with its plots, or the shard's.
fn write(out: RunDir, found: &Found, record: &Record) -> Result<()> {
    let Record { facts, log, title } = record;
    match found {
        Found::Shard(part) => part.write(&out, facts, title, log)?,
        Found::Table(table) => {
            write_table(&out, table, facts.clone(), log.clone())?;
            #[cfg(feature = "cli")]
            for (name, svg) in crate::figures::plots::all(table, title)? {
                out.write(&name, svg.as_bytes())?;
            }
        }
    }
    out.finish()
}

/// Joins the directories of all shards of a run to the one that one process would have written. `command` is for the log.
///
/// # Errors
/// Shards that are missing, given twice, or of different runs; files that are not what their manifests say.
pub fn merge(shards: &[PathBuf], out: RunDir, command: Vec<String>) -> Result<(Found, Marked)> {
    let Merged { part, facts, title, logs } = run::merge(shards, MEASURES)?;
    let log = json!({ "command": command, "shards": logs });
    finish(Some(out), part, &mut Record { facts, log, title })
}
