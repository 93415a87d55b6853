//! What a gradient does not have, in percent and with errors, as the verdict of a check and the page's table say it. In: a run's results. Out: a
//! finding for every path, for the Jacobian or for the fastest plane. Whether a number stands clear of its errors is decided by
//! `run::verdict`, as everywhere.
use crate::error::Result;
use crate::run::Verdict;
use crate::summary::results::Statistic;
use crate::summary::{Cell, Results, number};
use serde_json::{Value, json};

/// One thing that a gradient does not have, at every noise level.
pub struct Finding {
    /// For programs.
    what: String,
    /// By noise level.
    places: Vec<Place>,
    /// What is said, as the end of a sentence that may begin with the answer.
    pub words: String,
    /// The same for a cell of a table.
    pub short: String,
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

    /// Whether this may be said at some level.
    pub fn has(&self, verdict: Verdict) -> bool {
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

    /// Says it.
    fn said(mut self, said: &Words) -> Self {
        let (mut parts, mut short) = (vec![], vec![]);
        if self.has(Verdict::Resolved) {
            let (low, high) = ends(self.with(Verdict::Resolved), |p| p.value);
            let error = within(ends(self.with(Verdict::Resolved), said.error).1);
            let (range, at) = (range(low, high), self.at(Verdict::Resolved));
            parts.push(format!("{}; the numerical error is {error}, {}", (said.resolved)(&range, &at), self.moves()));
            short.push(format!("{range} {}, error {error}", said.unit));
        } else if self.has(Verdict::NotResolved) {
            let most = two(ends(self.with(Verdict::NotResolved), |p| p.value + p.error).1);
            parts.push(format!("{} {}", (said.zero)(&most), self.at(Verdict::NotResolved)));
            short.push(format!("none within the errors, to {most} {}", said.unit));
        }
        if self.has(Verdict::NotChecked) {
            let mut names: Vec<&str> = self.with(Verdict::NotChecked).flat_map(|p| p.unknown.iter().copied()).collect();
            names.sort_unstable();
            names.dedup();
            let why = match names.is_empty() {
                true => "no sample is finite".into(),
                false => format!("not measured: {}", names.join(", ")),
            };
            let at = self.at(Verdict::NotChecked);
            parts.push(format!("{} nothing is established {at} ({why})", said.open));
            short.push(format!("nothing established {at}"));
        }
        (self.words, self.short) = (parts.join("; "), short.join("; "));
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

    /// For programs.
    pub fn row(&self) -> Value {
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

/// How a finding is said.
struct Words<'a> {
    /// The clause, from the range of the values and where they are.
    resolved: &'a dyn Fn(&str, &str) -> String,
    /// The clause of what is zero within the errors, from the most that it may be.
    zero: &'a dyn Fn(&str) -> String,
    /// How the clause of what is not checked begins.
    open: &'a str,
    /// Behind a value in a table.
    unit: &'a str,
    /// That of a place, in percent.
    error: fn(&Place) -> f64,
}

fn finding(what: String, places: Vec<Place>, said: &Words) -> Finding {
    Finding { what, places, words: String::new(), short: String::new() }.said(said)
}

/// Loops of a path: the share of the work that does not cancel, in percent.
fn loops(results: &Results, path: usize) -> Result<Finding> {
    let (name, places) = (&results.paths[path], places(results, "integral_over_abs", path, percent)?);
    Ok(finding(
        format!("{name} loops"),
        places,
        &Words {
            resolved: &|range, at| format!("on {name} loops {range} % of the work does not cancel, {at}"),
            zero: &|most| format!("on {name} loops the work cancels within the errors, to {most} % of it,"),
            open: &format!("on {name} loops"),
            unit: "% of the work",
            error: |p| p.error,
        },
    ))
}

/// The Jacobian: the size of its antisymmetric half, in percent of its own.
fn jacobian(results: &Results) -> Result<Finding> {
    let places = places(results, "nasym", 0, root)?;
    Ok(finding(
        "antisymmetric half of the Jacobian".into(),
        places,
        &Words {
            resolved: &|range, at| format!("the antisymmetric half of the Jacobian is {range} % of its norm, {at}"),
            zero: &|most| format!("the Jacobian is symmetric within the errors, to {most} % of its norm,"),
            open: "of the Jacobian's symmetry",
            unit: "% of the Jacobian's norm",
            error: |p| p.error,
        },
    ))
}

/// Planes: how fast the fastest turns beside pure noise, and the share of all turning that those found have.
fn planes(results: &Results) -> Result<Finding> {
    let places = places(results, "turn", 0, same)?;
    let share = results.statistic("share")?;
    let shares = (0..results.paths.len()).filter_map(|p| Some(results.cell(share, p, 0).stats?.median));
    let (count, whole) = (results.paths.len(), two(percent(shares.sum())));
    Ok(finding(
        "fastest plane".into(),
        places,
        &Words {
            resolved: &|range, at| {
                let all = match count {
                    1 => format!("which is {whole} % of all turning"),
                    _ => format!("and the {count} fastest have {whole} % of all turning"),
                };
                format!("{at} the fastest plane turns at sigma^2 omega = {range} (pure noise has 1), {all}")
            },
            zero: &|most| format!("no plane turns beyond the errors, to sigma^2 omega = {most},"),
            open: "of planes",
            unit: "of pure noise's turning",
            error: |p| percent(p.error / p.value),
        },
    ))
}

/// What is said of a run: of every path, of the Jacobian or of the fastest plane; nothing of other measures.
///
/// # Errors
/// Results without the columns that are read.
pub fn findings(results: &Results) -> Result<Vec<Finding>> {
    match results.measure.name() {
        "circulation" => (0..results.paths.len()).map(|path| loops(results, path)).collect(),
        "asymmetry" => Ok(vec![jacobian(results)?]),
        "planes" => Ok(vec![planes(results)?]),
        _ => Ok(vec![]),
    }
}
