//! What is settled before anything is measured (process, schedule, prediction, label, data range), and what settled it: a file
//! and its keys, an option, or nobody, which makes it a default. Verbs print it, manifests record it.
use super::process::Process;
use serde_json::{Map, Value};

/// One thing that is settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What it is, in one or two words.
    pub what: &'static str,
    /// What it is settled to, in words.
    pub value: String,
    /// What settled it, without the folders where that lies.
    pub source: String,
}

impl Fact {
    /// A fact.
    pub fn new(what: &'static str, value: impl Into<String>, source: impl Into<String>) -> Self {
        Self { what, value: value.into(), source: source.into() }
    }
}

/// What a process settles: itself, its schedule and what networks are told.
pub fn of_process(process: &Process) -> Vec<Fact> {
    let (config, last) = (&process.config, process.timesteps() - 1);
    // The keys are those of the schedule.
    let who = process.source.split(": ").next().unwrap_or_default();
    vec![
        Fact::new("process", format!("{}, T = {}", config.kind(), last + 1), who),
        Fact::new("schedule", config.schedule(), &process.source),
        Fact::new("label", process.label_words(), "what networks of this process are told"),
    ]
}

/// The range of the data.
pub fn of_range([low, high]: [f64; 2], source: impl Into<String>) -> Fact {
    Fact::new("data range", format!("[{low}, {high}]"), source)
}

/// What settles the facts of a network.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Which file the weights are, and which others they are not.
    pub weights: String,
    /// Of the process and its schedule.
    pub process: String,
    /// Of the prediction.
    pub prediction: String,
    /// Of the data range.
    pub data_range: String,
}

/// What settled what, for manifests.
pub fn sources(facts: &[Fact]) -> Value {
    facts.iter().map(|f| (f.what.to_string(), f.source.clone().into())).collect::<Map<_, _>>().into()
}
