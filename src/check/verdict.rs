//! What a check found, in sentences with numbers and errors. In: the tables of its stages, what was left out. Out: one of three
//! answers, and a sentence for every path, for the Jacobian and for its planes. Whether a number stands clear of its errors is decided
//! by `run::verdict`, as everywhere.
use super::stages::LeftOut;
use crate::error::Result;
use crate::run::{Table, Verdict};
use crate::summary::results::Statistic;
use crate::summary::{Cell, Results, number};
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

/// One thing that a gradient does not have, at every noise level.
struct Finding {
    /// For programs.
    what: String,
    /// By noise level.
    places: Vec<Place>,
    /// What is said, as the end of a sentence that may begin with the answer.
    words: String,
}

/// Samples whose quartiles say something, at least.
const FEW: usize = 4;

struct Place {
    k: usize,
    /// In the unit that is said.
    value: f64,
    error: f64,
    /// Samples of the median, and by how much of itself others would move it: the standard error of a median, 1.25 standard deviations
    /// over the root of their number, these told by the quartiles (1.35 of them apart).
    samples: usize,
    moves: f64,
    verdict: Verdict,
    /// Errors that apply and were not measured.
    unknown: Vec<&'static str>,
}

impl Place {
    /// Of a median: `said` turns the statistic into the number that is said.
    fn of(k: usize, statistic: &Statistic, cell: &Cell, said: fn(f64) -> f64) -> Self {
        let Some(stats) = &cell.stats else {
            let (value, error, moves) = (f64::NAN, f64::NAN, f64::NAN);
            return Place { k, value, error, samples: 0, moves, verdict: Verdict::NotChecked, unknown: vec![] };
        };
        let (median, error) = (stats.median, cell.error());
        let deviation = (said(stats.q3) - said(stats.q1)) / 1.35;
        Place {
            k,
            value: said(median),
            error: said(median + error) - said(median),
            samples: stats.count,
            moves: 1.25 * deviation / (stats.count as f64).sqrt() / said(median),
            verdict: Verdict::of(median, cell.errors.iter().copied()),
            unknown: statistic.errors.iter().zip(&cell.errors).filter(|(_, e)| e.is_nan()).map(|(e, _)| e.0).collect(),
        }
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// Of |A|^2 / |J|^2: |A| / |J|.
fn root(share: f64) -> f64 {
    100.0 * share.max(0.0).sqrt()
}

fn same(value: f64) -> f64 {
    value
}

/// An error in percent, as far as anybody wants to know.
fn within(percent: f64) -> String {
    if percent < 0.01 { "under 0.01 %".into() } else { format!("at most {} %", two(percent)) }
}

/// Two significant digits are what a sentence wants.
fn two(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    let text = number(rounded);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

fn range(low: f64, high: f64) -> String {
    let (low, high) = (two(low), two(high));
    if low == high { low } else { format!("{low} to {high}") }
}

/// Smallest and largest of what has a size.
fn ends<'a>(places: impl Iterator<Item = &'a Place>, of: fn(&Place) -> f64) -> (f64, f64) {
    places.map(of).fold((f64::NAN, f64::NAN), |(low, high), v| (low.min(v), high.max(v)))
}

impl Finding {
    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(move |p| p.verdict == verdict)
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.with(verdict).next().is_some()
    }

    /// `at 9 of 10 noise levels`, or the one that there is.
    fn at(&self, verdict: Verdict) -> String {
        match (&self.places[..], self.with(verdict).count()) {
            ([only], _) => format!("at k = {}", only.k),
            (all, n) if n == all.len() => format!("at all {n} noise levels"),
            (all, n) => format!("at {n} of {} noise levels", all.len()),
        }
    }

    /// Says it: `resolved` and `zero` make the clause from the range of the values and where they are; `error` is that of a place, in
    /// percent.
    fn said(
        mut self,
        resolved: impl Fn(&str, &str) -> String,
        zero: impl Fn(&str) -> String,
        error: fn(&Place) -> f64,
        open: &str,
    ) -> Self {
        let mut parts = vec![];
        if self.has(Verdict::Resolved) {
            let (low, high) = ends(self.with(Verdict::Resolved), |p| p.value);
            let error = within(ends(self.with(Verdict::Resolved), error).1);
            let said = resolved(&range(low, high), &self.at(Verdict::Resolved));
            parts.push(format!("{said}; the numerical error is {error}, {}", self.moves()));
        } else if self.has(Verdict::NotResolved) {
            let most = ends(self.with(Verdict::NotResolved), |p| p.value + p.error).1;
            parts.push(format!("{} {}", zero(&two(most)), self.at(Verdict::NotResolved)));
        }
        if self.has(Verdict::NotChecked) {
            let mut names: Vec<&str> = self.with(Verdict::NotChecked).flat_map(|p| p.unknown.iter().copied()).collect();
            names.sort_unstable();
            names.dedup();
            let why = match names.is_empty() {
                true => "no sample is finite".into(),
                false => format!("not measured: {}", names.join(", ")),
            };
            let open = format!("{open} nothing is established {} ({why})", self.at(Verdict::NotChecked));
            parts.push(open);
        }
        self.words = parts.join("; ");
        self
    }

    /// How much the medians depend on the samples.
    fn moves(&self) -> String {
        let resolved = || self.with(Verdict::Resolved);
        let (least, most) = resolved().fold((usize::MAX, 0), |(l, m), p| (l.min(p.samples), m.max(p.samples)));
        let count = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let mut moves: Vec<f64> = resolved().map(|p| p.moves).collect();
        moves.sort_unstable_by(f64::total_cmp);
        match (most, moves.get(moves.len() / 2)) {
            (1, _) => "of 1 sample".into(),
            (FEW.., Some(&by)) if by.is_finite() => {
                format!("and other samples would move these medians of {count} by about {} %", two(percent(by)))
            }
            _ => format!("of medians of {count} samples"),
        }
    }

    fn row(&self) -> Value {
        let ks = |verdict| self.with(verdict).map(|p| p.k).collect::<Vec<_>>();
        let [resolved, not, open] = Verdict::ALL.map(ks);
        json!({
            "what": self.what, "resolved": resolved, "not_resolved": not, "not_checked": open, "words": self.words,
            "timesteps": self.places.iter().map(|p| p.k).collect::<Vec<_>>(),
            "values": self.places.iter().map(|p| p.value).collect::<Vec<_>>(),
            "errors": self.places.iter().map(|p| p.error).collect::<Vec<_>>(),
            "samples": self.places.iter().map(|p| p.samples).collect::<Vec<_>>(),
            "moves": self.places.iter().map(|p| 100.0 * p.moves).collect::<Vec<_>>(),
        })
    }
}

/// A statistic at every noise level of a path.
fn places(results: &Results, column: &str, path: usize, said: fn(f64) -> f64) -> Result<Vec<Place>> {
    let statistic = results.statistic(column)?;
    let place = |(t, (k, _)): (usize, &(usize, f64))| Place::of(*k, statistic, &results.cell(statistic, path, t), said);
    Ok(results.timesteps.iter().enumerate().map(place).collect())
}

fn finding(what: String, places: Vec<Place>) -> Finding {
    Finding { what, places, words: String::new() }
}

/// Loops: the share of the work that does not cancel, in percent.
fn loops(results: &Results) -> Result<Vec<Finding>> {
    let of = |(path, name): (usize, &String)| {
        let places = places(results, "integral_over_abs", path, percent)?;
        Ok(finding(format!("{name} loops"), places).said(
            |range, at| format!("on {name} loops {range} % of the work does not cancel, {at}"),
            |most| format!("on {name} loops the work cancels within the errors, to {most} % of it,"),
            |p| p.error,
            &format!("on {name} loops"),
        ))
    };
    results.paths.iter().enumerate().map(of).collect()
}

/// The Jacobian: the size of its antisymmetric half, in percent of its own.
fn jacobian(results: &Results) -> Result<Vec<Finding>> {
    let places = places(results, "nasym", 0, root)?;
    Ok(vec![finding("antisymmetric half of the Jacobian".into(), places).said(
        |range, at| format!("the antisymmetric half of the Jacobian is {range} % of its norm, {at}"),
        |most| format!("the Jacobian is symmetric within the errors, to {most} % of its norm,"),
        |p| p.error,
        "of the Jacobian's symmetry",
    )])
}

/// Planes: how fast the fastest turns beside pure noise, and the share of all turning that those found have.
fn planes(results: &Results) -> Result<Vec<Finding>> {
    let places = places(results, "turn", 0, same)?;
    let share = results.statistic("share")?;
    let shares = (0..results.paths.len()).filter_map(|p| Some(results.cell(share, p, 0).stats?.median));
    let (count, whole) = (results.paths.len(), two(percent(shares.sum())));
    Ok(vec![finding("fastest plane".into(), places).said(
        |range, at| {
            let all = match count {
                1 => format!("which is {whole} % of all turning"),
                _ => format!("and the {count} fastest have {whole} % of all turning"),
            };
            format!("{at} the fastest plane turns at sigma^2 omega = {range} (pure noise has 1), {all}")
        },
        |most| format!("no plane turns beyond the errors, to sigma^2 omega = {most},"),
        |p| percent(p.error / p.value),
        "of planes",
    )])
}

/// The answer, from the tables of all stages; what is doubted stands behind it.
///
/// # Errors
/// A table without the columns that are read.
pub fn verdict(tables: &[Table], left_out: &[LeftOut], doubts: &[String]) -> Result<Found> {
    let mut findings = vec![];
    for table in tables {
        let results = Results::of(table)?;
        findings.extend(match table.measure.name() {
            "circulation" => loops(&results)?,
            "asymmetry" => jacobian(&results)?,
            "planes" => planes(&results)?,
            _ => vec![],
        });
    }
    let any = |verdict| findings.iter().any(|f: &Finding| f.has(verdict));
    let (answer, settles) = match (any(Verdict::Resolved), any(Verdict::NotChecked) || findings.is_empty()) {
        (true, _) => (Answer::NotAGradient, Verdict::Resolved),
        (false, true) => (Answer::NotDecided, Verdict::NotChecked),
        (false, false) => (Answer::Indistinguishable, Verdict::NotResolved),
    };
    let first = findings.iter().position(|f| f.has(settles));
    let mut sentences = vec![match first {
        Some(i) => format!("{}: {}.", answer.lead(), findings[i].words),
        None => format!("{}.", answer.lead()),
    }];
    sentences.extend(doubts.iter().map(|doubt| format!("But {doubt}.")));
    let others = findings.iter().enumerate().filter(|(i, _)| Some(*i) != first);
    sentences.extend(others.map(|(_, f)| capital(&f.words) + "."));
    sentences.extend(left_out.iter().map(|l| format!("Not measured: {} ({}).", l.what, l.why)));
    Ok(Found { answer, sentences, rows: findings.iter().map(Finding::row).collect() })
}

fn capital(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map_or(String::new(), |c| c.to_uppercase().chain(rest).collect())
}
