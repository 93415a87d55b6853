//! Results that are not finite. In: which they are and where that began, in words. Out: the words, and the same for documents
//! and logs.
use crate::run::Table;
use serde_json::{Value, json};

/// Results that are not finite.
#[derive(Clone, Debug, Default)]
pub struct Marked {
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

    /// What there is to say of them, line by line; nothing if every result is finite as far as is known.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let origin = self.origin.iter().filter(|_| self.told.is_some());
        self.told.iter().chain(origin).map(String::as_str)
    }
}
