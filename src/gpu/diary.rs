//! What happened on a device, and on those that took its place: troubles that runs got over, and what the user should know.
//! In: notes. Out: sentences.
use std::sync::{Arc, Mutex};

/// Notes of all runs on a device; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Diary {
    warnings: Arc<Mutex<Vec<String>>>,
    troubles: Arc<Mutex<Vec<Trouble>>>,
}

impl Diary {
    /// Notes what the user should know, once.
    pub fn warn(&self, text: Option<String>) {
        if let (Some(text), Ok(mut warnings)) = (text, self.warnings.lock())
            && !warnings.contains(&text)
        {
            warnings.push(text);
        }
    }

    /// Notes what a run got over.
    pub fn trouble(&self, trouble: Trouble) {
        if let Ok(mut troubles) = self.troubles.lock() {
            troubles.push(trouble);
        }
    }

    /// So far.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().map(|t| t.clone()).unwrap_or_default()
    }

    /// Warnings and troubles in words.
    pub fn told(&self) -> Vec<String> {
        let mut all = self.warnings.lock().map(|w| w.clone()).unwrap_or_default();
        all.extend(told(&self.troubles()));
        all
    }
}

/// What a run on a device got over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// True if the device was lost and opened again, false if it was out of memory.
    pub lost: bool,
    /// What the device said, and where.
    pub message: String,
    /// Lanes that there is room for since.
    pub lanes: usize,
}

/// Troubles in words, one line of each kind.
fn told(all: &[Trouble]) -> Vec<String> {
    let of = |lost: bool| {
        let mut of = all.iter().filter(move |t| t.lost == lost);
        let first = of.next()?;
        Some((1 + of.count(), first))
    };
    let lanes = all.iter().rev().find(|t| !t.lost).map_or(0, |t| t.lanes);
    let memory = of(false).map(|(n, first)| {
        format!(
            "out of memory {n} times, first: {}; tiles have {lanes} lanes since, with the same results",
            first.message
        )
    });
    let lost = of(true).map(|(n, first)| {
        format!("device lost and opened again {n} times, first: {}; its tiles were run again", first.message)
    });
    memory.into_iter().chain(lost).collect()
}
