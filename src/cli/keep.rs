//! What the verbs that write run directories share: shards, journals and going on. In: a run directory, the facts of its
//! manifest and what else its numbers depend on. Out: its journal, and a word on where an interrupted run is kept.
use super::output::Output;
use crate::error::Result;
use crate::run::{Journal, RunDir, Shard};
use serde_json::Value;

/// Which samples a process measures.
#[derive(clap::Args, Clone, Debug)]
pub struct ShardArgs {
    /// Measure shard I of N, counted from 1: every Nth sample, from the Ith. OUT is then for `vorticity merge`, which joins
    /// all N to the run that one process would have written
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
}

impl ShardArgs {
    /// The shard, all samples if none is given.
    pub(super) fn parse(&self) -> Result<Shard> {
        self.shard.as_deref().map_or(Ok(Shard::WHOLE), Shard::parse)
    }
}

/// The journal of the run with these facts; `own` are the others that decide on its numbers, a JSON object. Says how much
/// is there already.
pub(super) fn journal(
    out: &mut RunDir,
    facts: &Value,
    own: &Value,
    shard: Shard,
    evaluations: u64,
    output: Output,
) -> Result<Journal> {
    let mut configuration = facts.clone();
    if let (Value::Object(all), Value::Object(own)) = (&mut configuration, own) {
        all.extend(own.clone());
        all.insert("shard".into(), shard.to_string().into());
    }
    let journal = out.journal(&configuration)?;
    if let Some(place) = out.kept().filter(|_| journal.has_records()) {
        let (recorded, place) = (journal.recorded(), place.display());
        output.say(&format!("goes on      {recorded} of {evaluations} evaluations are in {place}\n"))?;
        if journal.dropped() > 0 {
            output.say(&format!(
                "             {} bytes of it were torn or damaged and are made again\n",
                journal.dropped()
            ))?;
        }
    }
    Ok(journal)
}

/// What came of measuring; after an error, a word on what is kept.
pub(super) fn or_say_kept<T>(result: Result<T>, out: Option<&RunDir>) -> Result<T> {
    if let (Err(_), Some(place)) = (&result, out.and_then(RunDir::kept)) {
        eprintln!("what was measured is kept in {}: the same command goes on from there", place.display());
    }
    result
}
