//! What a verb says of results that are not finite. In: which they are and where that began, in words. Out: standard error, the
//! exit code, and the same for `--json` and the log.
use crate::error::NOT_FINITE;
use crate::run::Table;
use serde_json::{Value, json};

/// Results that are not finite.
#[derive(Clone, Debug, Default)]
pub(super) struct Marked {
    /// How many; of a shard unknown.
    count: Option<usize>,
    /// Which they are; none: every result is finite as far as is known.
    told: Option<String>,
    /// Where that began, if this process saw it.
    origin: Option<String>,
}

impl Marked {
    /// `count` results, which `told` describes.
    pub fn new(count: usize, told: &str, origin: Option<String>) -> Self {
        Self { count: Some(count), told: (count > 0).then(|| told.into()), origin }
    }

    /// Of a run that has all samples.
    pub fn of(table: &Table, origin: Option<String>) -> Self {
        Self { count: Some(table.marked().len()), told: table.told(), origin }
    }

    /// Of a shard, which knows only what its process saw.
    pub fn of_shard(origin: Option<String>) -> Self {
        let told = origin.is_some().then(|| "results are not finite: merged they will be marked NaN".to_string());
        Self { count: None, told, origin }
    }

    /// How many and where that began; null if there are none.
    pub fn json(&self) -> Value {
        match &self.told {
            Some(_) => json!({ "results": self.count, "first": self.origin }),
            None => Value::Null,
        }
    }

    /// Says it, whatever else is to be said; the verb's exit code.
    pub fn exit(&self) -> i32 {
        let Some(told) = &self.told else { return 0 };
        eprintln!("warning: {told}");
        if let Some(origin) = &self.origin {
            eprintln!("warning: {origin}");
        }
        NOT_FINITE
    }
}
