//! What a run found, and how sure that is, in two sentences: of the whole run, or of one path, plane or end of it. In: a run's
//! results; what its measure says of its headline. Out: sentences, and the same for programs. Text, JSON, the page's table at
//! a glance and Python all say it from here.
use super::results::Results;
use super::stats::{evenly, number};
use crate::error::Result;
use crate::run::{CLEAR, SEVERAL, Table, Verdict};
use serde_json::{Value, json};

/// Most timesteps that a sentence names.
const NAMED: usize = 6;

/// The headline of a run at every place: its median over the samples, or its mean where the measure is about that.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    results: &'a Results,
    /// What stands for it in a sentence.
    pub label: &'static str,
    /// Its unit, as files have it.
    pub unit: &'static str,
    /// In C order over paths and timesteps.
    pub points: Vec<Point>,
    /// Results that are not finite, of how many, in the order of the points; they are left out of statistics.
    left_out: Vec<(usize, usize)>,
}

/// One place.
#[derive(Clone, Debug)]
pub struct Point {
    /// Number of the path, or of what else is measured several times.
    pub path: usize,
    /// Number of the timestep; 0 where the measure has none.
    pub place: usize,
    /// NaN if no sample has a finite value.
    pub value: f64,
    /// The largest error that was measured; NaN if none was.
    pub error: f64,
    /// Its name.
    pub largest: &'static str,
    /// Names of errors that apply and were not measured.
    pub unknown: Vec<&'static str>,
    /// What may be said of it.
    pub verdict: Verdict,
}

impl Point {
    fn of(path: usize, place: usize, value: f64, errors: Vec<(&'static str, f64)>) -> Self {
        let error = errors.iter().map(|e| e.1).fold(f64::NAN, f64::max);
        Point {
            path,
            place,
            value,
            error,
            largest: errors.iter().find(|e| e.1 == error).map_or("", |e| e.0),
            // Of samples without a finite value nothing is measured, and nothing is missing.
            unknown: errors.iter().filter(|e| e.1.is_nan() && !value.is_nan()).map(|e| e.0).collect(),
            verdict: match value.is_nan() {
                true => Verdict::NotChecked,
                false => Verdict::of(value, errors.iter().map(|e| e.1)),
            },
        }
    }

    /// The largest error in units of the value.
    fn share(&self) -> f64 {
        if self.error.is_nan() { f64::NEG_INFINITY } else { self.error / self.value.abs() }
    }

    /// The value with its largest error.
    pub fn text(&self) -> String {
        let error = if self.error.is_nan() { String::new() } else { format!(" ± {}", number(self.error)) };
        number(self.value) + &error
    }
}

impl<'a> Told<'a> {
    /// Of a run's results.
    ///
    /// # Errors
    /// Results without the measure's headline.
    pub fn of(results: &'a Results) -> Result<Self> {
        let info = results.measure.info();
        if let Some(mean) = results.means.first().filter(|_| info.claim.of_mean) {
            let point = |(place, &(value, error)): (usize, &(f64, f64))| {
                let besides = mean.errors.iter().map(|(name, sizes)| (*name, sizes[place]));
                Point::of(
                    0,
                    place,
                    value,
                    [("standard error over the samples", error)].into_iter().chain(besides).collect(),
                )
            };
            let points: Vec<Point> = mean.points.iter().enumerate().map(point).collect();
            let left_out = left_out(results, info.mean.map_or(info.headline, |m| m.column), points.len());
            return Ok(Told { results, label: mean.name, unit: mean.unit, points, left_out });
        }
        let statistic = results.statistic(info.headline)?;
        let point = |i: usize| {
            let (path, place) = (i / results.places(), i % results.places());
            let cell = results.cell(statistic, path, place);
            let named = statistic.errors.iter().map(|e| e.0).zip(cell.errors.iter().copied());
            Point::of(path, place, cell.stats.as_ref().map_or(f64::NAN, |s| s.median), named.collect())
        };
        let points: Vec<Point> = (0..statistic.values.len() / results.samples.max(1)).map(point).collect();
        let label = info.shown.iter().find(|s| s.0 == info.headline).map_or(info.headline, |s| s.1);
        let left_out = left_out(results, info.headline, points.len());
        Ok(Told { results, label, unit: statistic.about.unit, points, left_out })
    }

    /// The two sentences on the whole run.
    pub fn sentences(&self) -> [String; 2] {
        let one = self.results.paths.len() == 1;
        self.about(&self.points.iter().collect::<Vec<_>>(), one.then_some(0))
    }

    /// The two sentences on one path, plane or end.
    pub fn sentences_of(&self, path: usize) -> [String; 2] {
        self.about(&self.points.iter().filter(|p| p.path == path).collect::<Vec<_>>(), Some(path))
    }

    fn about(&self, points: &[&Point], path: Option<usize>) -> [String; 2] {
        let here = path.map_or(String::new(), |path| self.on(path));
        let sentence = |said: String| {
            // A symbol keeps its letter's case, which means something.
            let here = if here.is_empty() && said.starts_with(self.label) { "in this run" } else { &here };
            let said = format!("{here}{}{said}.", if here.is_empty() { "" } else { " " });
            said.chars().next().map_or(String::new(), |c| c.to_uppercase().to_string())
                + &said.chars().skip(1).collect::<String>()
        };
        if points.is_empty() {
            return [sentence("nothing was measured".into()), "There are no timesteps or no samples.".into()];
        }
        let said = Said { told: self, all: points, one: path.is_some() };
        [sentence(said.found()), format!("{}{}.", said.sure(), said.left_out())]
    }

    /// Where a path's loops are, in words; nothing where the measure has one thing at each place.
    fn on(&self, path: usize) -> String {
        let axis = SEVERAL.iter().find(|own| self.results.measure.info().axes.iter().any(|a| a.name == own.name));
        axis.map_or(String::new(), |axis| axis.place.replace("{}", &self.results.paths[path]))
    }
}

/// Some places of a run, to be spoken of.
struct Said<'a> {
    told: &'a Told<'a>,
    all: &'a [&'a Point],
    /// They are all of one path, which need not be named.
    one: bool,
}

impl Said<'_> {
    fn with(&self, verdict: Verdict) -> Vec<&Point> {
        self.all.iter().copied().filter(|p| p.verdict == verdict).collect()
    }

    /// A value with its error and its unit.
    fn value(&self, point: &Point) -> String {
        let unit = self.told.unit.replace("^2", "²").replace("^4", "⁴");
        if unit == "1" { point.text() } else { format!("{} {unit}", point.text()) }
    }

    /// ` at k = 5 on rotation loops`, as far as there is something to tell apart.
    fn at(&self, point: &Point) -> String {
        let k = self.told.results.timesteps.get(point.place).map_or(String::new(), |(k, _)| format!(" at k = {k}"));
        if self.one { k } else { format!("{k} {}", self.told.on(point.path)) }
    }

    /// ` at k = 1, 5`, ` at all 12 timesteps` or ` at 3 of 24 places`.
    fn places(&self, points: &[&Point]) -> String {
        let (n, all) = (points.len(), self.all.len());
        match n {
            _ if self.told.results.timesteps.is_empty() && self.one => String::new(),
            _ if n == all && n > 1 => format!(" at all {n} {}", self.noun()),
            1 => self.at(points[0]),
            _ if !self.one => format!(" at {n} of {all} places"),
            _ => {
                let ks = &self.told.results.timesteps;
                let named = evenly(n, NAMED).into_iter().filter_map(|i| ks.get(points[i].place));
                let named: Vec<String> = named.map(|(k, _)| k.to_string()).collect();
                let more = if n > named.len() { format!(" .. ({n} in all)") } else { String::new() };
                format!(" at k = {}{more}", named.join(", "))
            }
        }
    }

    fn noun(&self) -> &'static str {
        if self.one { "timesteps" } else { "places" }
    }

    /// `; 3 of 6 results are not finite and left out`, if some are.
    fn left_out(&self) -> String {
        let of = |p: &&&Point| self.told.left_out.get(p.path * self.told.results.places() + p.place).copied();
        let add = |sum: (usize, usize), next: (usize, usize)| (sum.0 + next.0, sum.1 + next.1);
        match self.all.iter().filter_map(|p| of(&p)).fold((0, 0), add) {
            (0, _) => String::new(),
            (1, all) => format!("; 1 of {all} results is not finite and left out"),
            (some, all) => format!("; {some} of {all} results are not finite and left out"),
        }
    }

    /// What was found, without its first letter's case and its full stop.
    fn found(&self) -> String {
        let [resolved, not, open] = Verdict::ALL.map(|v| self.with(v));
        let (label, claim) = (self.told.label, &self.told.results.measure.info().claim);
        let by = |a: &&&Point, b: &&&Point| a.value.abs().total_cmp(&b.value.abs());
        let (Some(low), Some(high)) = (resolved.iter().min_by(by), resolved.iter().max_by(by)) else {
            let zero = format!("{label} is indistinguishable from zero at this precision{}", self.places(&not));
            let unknown = format!("{label} was not checked{}", self.places(&open));
            return match (not.is_empty(), open.is_empty()) {
                (false, true) => zero,
                (true, _) => format!("nothing is established: {unknown}"),
                (false, false) => format!("nothing is established: {zero}, and {unknown}"),
            };
        };
        let size = match resolved.len() {
            1 => format!("{label} is {}{}", self.value(low), self.at(low)),
            _ => {
                format!("{label} is from {}{} to {}{}", self.value(low), self.at(low), self.value(high), self.at(high))
            }
        };
        let share = match (resolved.len(), self.all.len()) {
            (1, 1) => ", resolved".into(),
            (r, n) if r == n => format!(", resolved at all {n} {}", self.noun()),
            (r, n) => format!(", resolved at {r} of {n} {}", self.noun()),
        };
        format!("{}: {size}{share}", claim.holds)
    }

    /// How sure it is, without its full stop.
    fn sure(&self) -> String {
        let [resolved, not, open] = Verdict::ALL.map(|v| self.with(v));
        let label = self.told.label;
        let mut parts = vec![];
        if !open.is_empty() {
            let names = self.errors(|name| open.iter().any(|p| p.unknown.contains(&name)));
            let (was, whole) = (if names.len() > 1 { "were" } else { "was" }, open.len() == self.all.len());
            let place = if whole { "It".into() } else { format!("What is{}", self.places(&open)) };
            let nowhere: Vec<&Point> = open.iter().copied().filter(|p| p.value.is_nan()).collect();
            let unknown = format!("{} {was} not measured", listed(&names));
            let why = match (nowhere.is_empty(), nowhere.len() == open.len()) {
                (true, _) => unknown,
                (_, true) => "no sample is finite there".into(),
                _ => format!("{unknown}, and no sample is finite{}", self.places(&nowhere)),
            };
            parts.push(format!("{place} is not checked, because {why}"));
        }
        if open.len() < self.all.len() {
            let names = self.errors(|_| true);
            let every = match open.is_empty() {
                true => format!("Every error that applies was measured ({})", listed(&names)),
                false => "elsewhere every error was".into(),
            };
            let largest = resolved.iter().max_by(|a, b| a.share().total_cmp(&b.share()));
            parts.push(match largest {
                Some(p) if p.error > 0.0 => {
                    let (percent, at) = (number(100.0 * p.share()), self.at(p));
                    format!("{every}, and where {label} is resolved the largest is {}, {percent} % of it{at}", of(p))
                }
                Some(_) => format!("{every}, and where {label} is resolved they are zero"),
                None => format!("{every}, and {label} is under {CLEAR} times the largest"),
            });
        }
        if let Some(worst) = not.iter().max_by(|a, b| a.share().total_cmp(&b.share())) {
            let at = self.at(worst);
            let known =
                format!("{} = {}{at}, where {} is {}", label, number(worst.value), of(worst), number(worst.error));
            parts.push(match resolved.is_empty() {
                true => format!("at worst {known}"),
                false => format!("it is indistinguishable from zero at this precision{} ({known})", self.places(&not)),
            });
        }
        parts.join("; ")
    }

    /// Names of the errors that apply to the headline and that are asked for.
    fn errors(&self, which: impl Fn(&'static str) -> bool) -> Vec<&'static str> {
        let results = self.told.results;
        let mean = results.means.first().filter(|_| results.measure.info().claim.of_mean);
        let headline = results.statistic(results.measure.info().headline);
        let names: Vec<&'static str> = match (mean, headline) {
            (Some(mean), _) => {
                ["standard error over the samples"].into_iter().chain(mean.errors.iter().map(|e| e.0)).collect()
            }
            (None, Ok(statistic)) => statistic.errors.iter().map(|e| e.0).collect(),
            (None, Err(_)) => vec![],
        };
        names.into_iter().filter(|name| which(name)).collect()
    }
}

/// How many results of a column are not finite, of how many, at each of so many places; nothing of a column that is not there.
fn left_out(results: &Results, column: &str, places: usize) -> Vec<(usize, usize)> {
    let Ok(statistic) = results.statistic(column) else { return vec![] };
    let count = |place: usize| {
        let own = statistic.values.chunks_exact(results.samples.max(1)).nth(place).unwrap_or_default();
        (own.iter().filter(|v| !v.is_finite()).count(), own.len())
    };
    (0..places).map(count).collect()
}

/// The largest error of a point by its name.
fn of(point: &Point) -> String {
    match point.largest.split_once(' ') {
        Some(_) => format!("the {}", point.largest),
        None => format!("that of {}", point.largest),
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// The two sentences on a run.
///
/// # Errors
/// A table without the columns that its headline and its errors are made of.
pub fn summary(table: &Table) -> Result<String> {
    Ok(Told::of(&Results::even_empty(table)?)?.sentences().join(" "))
}

/// Two sentences per path, plane or end, a line each, as a run's text ends on a terminal.
///
/// # Errors
/// As `summary`.
pub fn text(table: &Table) -> Result<String> {
    let results = Results::even_empty(table)?;
    let told = Told::of(&results)?;
    Ok((0..results.paths.len()).map(|path| told.sentences_of(path).join(" ") + "\n").collect())
}

/// The same for programs, a row per path, plane or end: its timesteps by verdict, and the sentences.
///
/// # Errors
/// As `summary`.
pub fn rows(table: &Table) -> Result<Vec<Value>> {
    let results = Results::even_empty(table)?;
    let told = Told::of(&results)?;
    let axis = SEVERAL.iter().find(|own| table.axes.iter().any(|a| a.name == own.name));
    let row = |path: usize| {
        let at = |verdict: Verdict| -> Vec<usize> {
            let own = told.points.iter().filter(|p| p.path == path && p.verdict == verdict);
            own.filter_map(|p| results.timesteps.get(p.place)).map(|(k, _)| *k).collect()
        };
        let [resolved, not, open] = Verdict::ALL.map(at);
        let mut row = json!({
            "resolved": resolved, "not_resolved": not, "not_checked": open, "words": told.sentences_of(path).join(" "),
        });
        if let Some(axis) = axis {
            let label = table.axes.iter().find(|a| a.name == axis.name).map(|a| a.labels.text(path));
            row[axis.name] = label.into();
        }
        row
    };
    Ok((0..results.paths.len()).map(row).collect())
}
