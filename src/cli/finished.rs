//! The end of every verb that measures: what a part came to, as a directory. In: a part of all samples, or of a shard; the
//! facts of its manifest, its log. Out: the run directory with its plots, or the shard's; text, and the same for programs.
use super::marked::Marked;
use crate::error::Result;
use crate::run::{Part, RunDir, write_table};
use serde_json::Value;

/// What a verb says of it.
pub(super) struct Told {
    pub text: String,
    /// The table for programs; none of a shard.
    pub rows: Vec<Value>,
    /// What was found, in words.
    pub found: Vec<Value>,
    /// Results that are not finite.
    pub marked: Marked,
}

/// Writes the directory whole; `title` is the line on model and samples in plots.
pub(super) fn publish(out: RunDir, part: Part, facts: Value, mut log: Value, title: &str) -> Result<Told> {
    let (shard, measure, origin) = (part.shard, part.measure, part.origin.clone());
    if !shard.is_whole() {
        let marked = Marked::of_shard(origin);
        log["not_finite"] = marked.json();
        part.write(&out, &facts, title, &log)?;
        out.finish()?;
        let text = format!("shard {shard}: the results are those of all {} merged\n", shard.of());
        return Ok(Told { text, rows: vec![], found: vec![], marked });
    }
    let table = part.finish()?;
    let marked = Marked::of(&table, origin);
    log["not_finite"] = marked.json();
    write_table(&out, &table, facts, log)?;
    for (name, svg) in measure.plots(&table, title)? {
        out.write(name, svg.as_bytes())?;
    }
    out.finish()?;
    Ok(Told { text: measure.text(&table)?, rows: measure.rows(&table)?, found: measure.found(&table)?, marked })
}
