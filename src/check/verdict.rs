//! What a check found, in sentences with numbers and errors. In: the tables of its stages, what was left out. Out: one of three
//! answers, and a sentence for every path, for the Jacobian and for its planes (`report::findings`).
use super::stages::LeftOut;
use crate::error::Result;
use crate::report::findings::{Finding, findings};
use crate::run::{Table, Verdict};
use crate::summary::Results;
use serde_json::{Value, json};

/// Whether the field is a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Something was resolved that a gradient does not have.
    NotAGradient,
    /// Everything that was measured is zero within errors that were all measured.
    Indistinguishable,
    /// Nothing was resolved, and an error that applies was not measured.
    NotDecided,
}

impl Answer {
    /// For programs.
    pub const fn word(self) -> &'static str {
        match self {
            Answer::NotAGradient => "not a gradient",
            Answer::Indistinguishable => "indistinguishable from a gradient",
            Answer::NotDecided => "not decided",
        }
    }

    /// How its sentence begins.
    const fn lead(self) -> &'static str {
        match self {
            Answer::NotAGradient => "Not a gradient",
            Answer::Indistinguishable => "Indistinguishable from a gradient at this precision",
            Answer::NotDecided => "Not decided",
        }
    }
}

/// The end of a check.
#[derive(Clone, Debug)]
pub struct Found {
    /// In one of three words.
    pub answer: Answer,
    /// The answer with what settles it, then everything else that was found; whole sentences.
    pub sentences: Vec<String>,
    /// For programs, an object for every thing that was measured.
    pub rows: Vec<Value>,
}

impl Found {
    /// All of it as one paragraph.
    pub fn text(&self) -> String {
        self.sentences.join(" ")
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "answer": self.answer.word(), "words": self.text(), "found": self.rows })
    }
}

/// The answer, from the tables of all stages; what is doubted stands behind it.
///
/// # Errors
/// A table without the columns that are read.
pub fn verdict(tables: &[Table], left_out: &[LeftOut], doubts: &[String]) -> Result<Found> {
    let mut all = vec![];
    for table in tables {
        all.extend(findings(&Results::of(table)?)?);
    }
    let any = |verdict| all.iter().any(|f: &Finding| f.has(verdict));
    let (answer, settles) = match (any(Verdict::Resolved), any(Verdict::NotChecked) || all.is_empty()) {
        (true, _) => (Answer::NotAGradient, Verdict::Resolved),
        (false, true) => (Answer::NotDecided, Verdict::NotChecked),
        (false, false) => (Answer::Indistinguishable, Verdict::NotResolved),
    };
    let first = all.iter().position(|f| f.has(settles));
    let mut sentences = vec![match first {
        Some(i) => format!("{}: {}.", answer.lead(), all[i].words),
        None => format!("{}.", answer.lead()),
    }];
    sentences.extend(doubts.iter().map(|doubt| format!("But {doubt}.")));
    let others = all.iter().enumerate().filter(|(i, _)| Some(*i) != first);
    sentences.extend(others.map(|(_, f)| capital(&f.words) + "."));
    sentences.extend(left_out.iter().map(|l| format!("Not measured: {} ({}).", l.what, l.why)));
    Ok(Found { answer, sentences, rows: all.iter().map(Finding::row).collect() })
}

fn capital(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map_or(String::new(), |c| c.to_uppercase().chain(rest).collect())
}
