//! What a circulation found, in plain words: a sentence per path, true to the verdicts on the medians of |Γ|. In: the run's
//! results. Out: sentences, and the same for programs.
use super::columns::ERRORS;
use crate::error::Result;
use crate::run::{CLEAR, Table, Verdict};
use crate::summary::{Results, evenly, number};
use serde_json::{Value, json};

/// Most timesteps that a sentence names.
const NAMED: usize = 6;

/// What is known of one path.
pub struct Found<'a> {
    path: &'a str,
    /// Segments of a loop.
    points: u64,
    /// Timesteps and medians of |Γ|.
    at: Vec<At>,
}

struct At {
    k: usize,
    /// NaN if no sample has a finite value.
    median: f64,
    error: f64,
    /// The name of the largest error.
    largest: &'static str,
    /// Of errors that were not measured.
    unknown: Vec<&'static str>,
    verdict: Verdict,
}

impl<'a> Found<'a> {
    /// Of the path of that number; `points` are the segments of a loop.
    pub fn of(results: &'a Results, points: u64, path: usize) -> Result<Self> {
        let statistic = results.statistic("abs_integral")?;
        let at = |(t, &(k, _)): (usize, &(usize, f64))| {
            let cell = results.cell(statistic, path, t);
            let named = || ERRORS.iter().copied().zip(cell.errors.iter().copied());
            let median = cell.stats.as_ref().map_or(f64::NAN, |s| s.median);
            At {
                k,
                median,
                error: cell.error(),
                largest: named().find(|e| e.1 == cell.error()).map_or("", |e| e.0),
                // Of samples without a finite value nothing is measured, and nothing is missing.
                unknown: named().filter(|e| e.1.is_nan() && !median.is_nan()).map(|e| e.0).collect(),
                verdict: cell.of_median().unwrap_or(Verdict::NotResolved),
            }
        };
        let at = results.timesteps.iter().enumerate().map(at).collect();
        Ok(Found { path: &results.paths[path], points, at })
    }

    fn with(&self, verdict: Verdict) -> Vec<&At> {
        self.at.iter().filter(|a| a.verdict == verdict).collect()
    }

    /// Errors that were not measured at one of these places, each once.
    fn unknown(at: &[&At]) -> String {
        let names: Vec<&str> = ERRORS.into_iter().filter(|e| at.iter().any(|a| a.unknown.contains(e))).collect();
        names.join(" and ")
    }

    /// The sentence.
    pub fn sentence(&self) -> String {
        let [resolved, not, open] = Verdict::ALL.map(|v| self.with(v));
        let (n, path, points) = (self.at.len(), self.path, self.points);
        if n == 0 {
            return format!("On {path} loops nothing was measured.");
        }
        if resolved.is_empty() {
            let mut text = format!("On {path} loops of {points} points nothing is established:");
            if !not.is_empty() {
                text += &format!(" |Γ| is under {CLEAR} times its error {}{};", everywhere(&not, n), worst(&not));
            }
            if !open.is_empty() {
                text += &format!(" {} was not checked {};", Self::unknown(&open), everywhere(&open, n));
            }
            return text.trim_end_matches(';').to_string() + ".";
        }
        let mut text = match &resolved[..] {
            [one] => format!("On {path} loops the field circulates: |Γ| = {} at k = {}", number(one.median), one.k),
            _ => {
                let by = |a: &&&At, b: &&&At| a.median.total_cmp(&b.median);
                let ends = (resolved.iter().min_by(by), resolved.iter().max_by(by));
                let (Some(low), Some(high)) = ends else { return String::new() };
                format!(
                    "On {path} loops the field circulates: |Γ| from {} at k = {} to {} at k = {}",
                    number(low.median),
                    low.k,
                    number(high.median),
                    high.k
                )
            }
        };
        text += &match resolved.len() {
            r if r == n => format!(
                ", resolved at {}.",
                if n == 1 { "the one timestep".into() } else { format!("all {n} timesteps") }
            ),
            r => format!(", resolved at {r} of {n} timesteps."),
        };
        if !not.is_empty() {
            text += &format!(" It is zero within the error at k = {}{}.", named(&not), worst(&not));
        }
        if !open.is_empty() {
            text +=
                &format!(" Nothing is established at k = {}: {} was not checked.", named(&open), Self::unknown(&open));
        }
        text
    }
}

/// At which of n timesteps.
fn everywhere(at: &[&At], n: usize) -> String {
    match at.len() {
        all if all == n && n == 1 => format!("at k = {}", at[0].k),
        all if all == n => format!("at all {n} timesteps"),
        _ => format!("at k = {}", named(at)),
    }
}

fn named(at: &[&At]) -> String {
    let shown: Vec<String> = evenly(at.len(), NAMED).into_iter().map(|i| at[i].k.to_string()).collect();
    let more = if at.len() > shown.len() { format!(" .. ({} in all)", at.len()) } else { String::new() };
    shown.join(", ") + &more
}

/// The place of these where the error is largest beside the value, with both.
fn worst(at: &[&At]) -> String {
    let ratio = |a: &&&At| if a.error.is_nan() { f64::NEG_INFINITY } else { a.error / a.median.abs() };
    match at.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b))) {
        Some(a) if a.median.is_nan() => format!(" (no sample is finite at k = {})", a.k),
        Some(a) if !a.largest.is_empty() => {
            let place = if at.len() > 1 { format!("at k = {} ", a.k) } else { String::new() };
            format!(" ({place}|Γ| = {}, error of {} {})", number(a.median), a.largest, number(a.error))
        }
        _ => String::new(),
    }
}

/// Segments of a run's loops.
pub fn points(table: &Table) -> u64 {
    table.facts["points"].as_u64().unwrap_or(0)
}

/// A sentence per path, as a run ends.
pub fn found(results: &Results, points: u64) -> Result<String> {
    (0..results.paths.len()).map(|p| Ok(Found::of(results, points, p)?.sentence() + "\n")).collect()
}

/// The verdicts of a path at its timesteps, counted, in a line below its table.
pub fn verdicts(found: &Found) -> String {
    let count = |v: Verdict| (found.with(v).len(), v.word());
    let counts = Verdict::ALL.map(count).into_iter().filter(|c| c.0 > 0);
    let counts: Vec<String> = counts.map(|(n, word)| format!("{word} at {n}")).collect();
    match counts.is_empty() {
        true => "  No timesteps.\n".into(),
        false => format!("  Of {} timesteps: {}.\n", found.at.len(), counts.join(", ")),
    }
}

/// The same for programs, a row per path: its timesteps by verdict, and the sentence.
pub fn rows(table: &Table) -> Result<Vec<Value>> {
    let (results, points) = (Results::even_empty(table)?, points(table));
    let row = |p: usize| {
        let found = Found::of(&results, points, p)?;
        let [resolved, not, open] = Verdict::ALL.map(|v| found.with(v).iter().map(|a| a.k).collect::<Vec<_>>());
        Ok(json!({
            "path": found.path, "resolved": resolved, "not_resolved": not, "not_checked": open,
            "words": found.sentence(),
        }))
    };
    (0..results.paths.len()).map(row).collect()
}
