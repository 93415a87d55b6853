//! How far two runs of one measure are apart: differences of their statistics with bootstrap intervals.
//! In: `Results` of both, whether their samples are the same. Out: differences; text, JSON rows, CSV. Percentile bootstrap
//! over the samples (Efron and Tibshirani, 1993, chapter 13), resamples from Philox: equal runs give equal intervals.
use super::spaces::{self, Space};
use super::stored::Stored;
use crate::error::{Error, Result};
use crate::paths::philox::{Purpose, Stream};
use crate::run::{Measure, Taken, Verdict};
use crate::summary::results::{Results, Statistic};
use crate::summary::stats::{number, quantile};
use serde_json::{Value, json};
use std::fmt::Write;

/// Share of the resampled differences that an interval holds.
pub const LEVEL: f64 = 0.95;

/// Most resamples.
const MOST: usize = 100_000;

/// How to compare.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// Its seed.
    pub seed: u64,
    /// Columns to compare; empty for those that the measure's own table shows.
    pub columns: Vec<String>,
}

/// One statistic at one path and timestep.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Name of the path; empty where the measure has none.
    pub path: String,
    /// k; none where the measure has none.
    pub timestep: Option<usize>,
    /// Column.
    pub column: &'static str,
    /// `median`, `mean` or `pooled`.
    pub statistic: &'static str,
    /// Unit of the column.
    pub unit: &'static str,
    /// Of the first run and of the second, NaN if no sample is finite.
    pub values: [f64; 2],
    /// Second minus first, and the interval's ends; NaN if unknown.
    pub difference: [f64; 3],
    /// Sum of both runs' largest errors; none if no errors apply to the column, NaN if one that does was not measured.
    pub error: Option<f64>,
}

impl Difference {
    /// Whether the interval leaves out zero.
    pub fn excludes_zero(&self) -> bool {
        self.difference[1] > 0.0 || self.difference[2] < 0.0
    }

    /// Of the difference as of any statistic, its error the sum of both; none if no errors apply.
    pub fn verdict(&self) -> Option<Verdict> {
        self.error.map(|error| Verdict::of(self.difference[0], [error]))
    }
}

/// What two runs have in common, and how they differ there.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Of both runs.
    pub measure: &'static dyn Measure,
    /// Whether sample i of one run is sample i of the other.
    pub paired: bool,
    /// Why not, or what makes them so.
    pub because: String,
    /// Paths and timesteps that only one run has, in words; empty if there are none.
    pub left_out: Vec<String>,
    /// Facts of the manifests that differ: key, first, second.
    pub facts: Vec<(String, String, String)>,
    /// In the order of path, column, timestep.
    pub differences: Vec<Difference>,
    /// Of measures with planes, where the samples are the same: how far apart the spaces are that they span.
    pub spaces: Vec<Space>,
    /// Resamples of every interval.
    pub resamples: usize,
}

/// What the way of taking samples together is called.
fn name(taken: Taken) -> &'static str {
    match taken {
        Taken::Median => "median",
        Taken::Mean => "mean",
        Taken::Pooled { .. } => "pooled",
    }
}

/// Compares two runs, first and second.
///
/// # Errors
/// Different measures, nothing in common, an unknown column, no or too many resamples.
pub fn compare(runs: [&Stored; 2], options: &CompareOptions) -> Result<Comparison> {
    let [a, b] = runs;
    if a.table.measure != b.table.measure {
        let said = format!("{} is a run of {}, {} one of {}", a.name, a.table.measure, b.name, b.table.measure);
        return Err(Error::invalid("compare", format!("{said}; expected two runs of the same measure")));
    }
    if !(2..=MOST).contains(&options.resamples) {
        return Err(Error::invalid("resamples", format!("{}, expected 2 to {MOST}", options.resamples)));
    }
    let results = [Results::of(&a.table)?, Results::of(&b.table)?];
    let [one, two] = &results;
    let (paired, because) = paired(runs, [one.samples, two.samples]);
    let weights = |run: u32, n: usize| -> Vec<Vec<u32>> {
        let stream = |draw| Stream { seed: options.seed, purpose: Purpose::Bootstrap, draw, sample: run, k: 0 };
        (0..options.resamples as u32).map(|draw| stream(draw).counts(n)).collect()
    };
    let first = weights(0, one.samples);
    let second = if paired { None } else { Some(weights(1, two.samples)) };
    let weights = [&first, second.as_ref().unwrap_or(&first)];
    let mut differences = vec![];
    for (p, path) in one.paths.iter().enumerate() {
        let Some(q) = two.paths.iter().position(|other| other == path) else { continue };
        for (column, kind) in chosen(&options.columns, one)? {
            let statistics = [one.statistic(&column)?, two.statistic(&column)?];
            for t in 0..one.places() {
                let timestep = one.timesteps.get(t).map(|own| own.0);
                let Some(u) = timestep.map_or(Some(0), |k| two.timesteps.iter().position(|o| o.0 == k)) else {
                    continue;
                };
                let places = [p * one.places() + t, q * two.places() + u];
                let samples = [0, 1].map(|i| Samples::of(&results[i], statistics[i], kind, places[i]));
                let samples = [samples[0].as_ref(), samples[1].as_ref()];
                differences.push(Difference {
                    path: path.clone(),
                    timestep,
                    column: statistics[0].about.name,
                    statistic: name(kind),
                    unit: statistics[0].about.unit,
                    values: [0, 1].map(|i| samples[i].map_or(f64::NAN, |s| s.estimate(None))),
                    difference: interval(samples, weights),
                    error: error(statistics, places, kind),
                });
            }
        }
    }
    if differences.is_empty() {
        let said = format!("{} and {} have no path and timestep in common", a.name, b.name);
        return Err(Error::invalid("compare", said));
    }
    let mut facts = vec![];
    differing("", &a.manifest, &b.manifest, one.measure.name(), &mut facts);
    Ok(Comparison {
        measure: one.measure,
        paired,
        because,
        left_out: left_out([one, two], runs),
        facts,
        differences,
        spaces: if paired { spaces::spaces(runs.map(|run| &run.table))? } else { vec![] },
        resamples: options.resamples,
    })
}

/// Columns and how they are taken together: medians, but for those that the measure says otherwise of.
fn chosen(columns: &[String], results: &Results) -> Result<Vec<(String, Taken)>> {
    let usual = results.measure.info().compared;
    let kind = |name: &str| usual.iter().find(|c| c.0 == name).map_or(Taken::Median, |c| c.1);
    match columns {
        [] => Ok(usual.iter().map(|(name, kind)| (name.to_string(), *kind)).collect()),
        named => named.iter().map(|n| results.statistic(n).map(|_| (n.clone(), kind(n)))).collect(),
    }
}

/// Paired if both runs are of the same samples of the same data with the same seed: points are made from these alone.
fn paired(runs: [&Stored; 2], samples: [usize; 2]) -> (bool, String) {
    let fact = |run: &Stored, path: &str| run.manifest.pointer(path).filter(|v| !v.is_null()).cloned();
    let same = |path: &str| {
        let [a, b] = runs.map(|run| fact(run, path));
        a.is_some() && a == b
    };
    let because = if samples[0] != samples[1] {
        format!("{} and {} samples", samples[0], samples[1])
    } else if same("/exported/sha256") || same("/exported/run") {
        return (true, "scores at the same exported loops".into());
    } else if !same("/data/sha256") {
        "data that are not the same, or not known to be".into()
    } else if !same("/seed") {
        "seeds that are not the same, or not known to be".into()
    } else {
        return (true, "same data, seed and samples".into());
    };
    (false, because)
}

/// The finite samples of a statistic at one place, by the number of the sample.
struct Samples {
    kind: Taken,
    /// (sample, value), ascending by value.
    values: Vec<(usize, f64)>,
    /// (sample, |J|^2, tr J^2), for pooled values.
    sums: Vec<(usize, f64, f64)>,
}

impl Samples {
    /// None if no sample is finite.
    fn of(results: &Results, statistic: &Statistic, kind: Taken, place: usize) -> Option<Self> {
        let finite = |values: &[f64]| -> Vec<(usize, f64)> {
            values.iter().copied().enumerate().filter(|v| v.1.is_finite()).collect()
        };
        let mut values = finite(statistic.at(place));
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut sums = vec![];
        if let Taken::Pooled { size, square } = kind {
            let [size, square] = [size, square].map(|name| results.statistic(name).ok().map(|s| s.at(place)));
            let both = size?.iter().zip(square?).enumerate();
            sums = both.filter(|(_, (f, t))| f.is_finite() && t.is_finite()).map(|(i, (f, t))| (i, *f, *t)).collect();
        }
        let empty = if let Taken::Pooled { .. } = kind { sums.is_empty() } else { values.is_empty() };
        (!empty).then_some(Samples { kind, values, sums })
    }

    /// The statistic with each sample counted so many times, once if nothing is said; NaN if none is left.
    fn estimate(&self, counts: Option<&[u32]>) -> f64 {
        let count = |sample: usize| counts.map_or(1, |c| c[sample]);
        match self.kind {
            Taken::Median => {
                let n: u32 = self.values.iter().map(|v| count(v.0)).sum();
                // The value with that many before it.
                let nth = |rank: u32| {
                    let mut before = 0;
                    self.values.iter().find(|v| {
                        before += count(v.0);
                        before > rank
                    })
                };
                match (nth(n.saturating_sub(1) / 2), nth(n / 2)) {
                    (Some(low), Some(high)) => 0.5 * low.1 + 0.5 * high.1,
                    _ => f64::NAN,
                }
            }
            Taken::Mean => {
                let n: u32 = self.values.iter().map(|v| count(v.0)).sum();
                self.values.iter().map(|v| v.1 * f64::from(count(v.0))).sum::<f64>() / f64::from(n)
            }
            Taken::Pooled { .. } => {
                let weighed = |pick: fn(&(usize, f64, f64)) -> f64| -> f64 {
                    self.sums.iter().map(|s| pick(s) * f64::from(count(s.0))).sum()
                };
                let (size, square) = (weighed(|s| s.1), weighed(|s| s.2));
                (size - square) / (2.0 * size)
            }
        }
    }
}

/// Second minus first and the ends of its interval; NaN where a run has no finite sample.
fn interval([a, b]: [Option<&Samples>; 2], [first, second]: [&Vec<Vec<u32>>; 2]) -> [f64; 3] {
    let (Some(a), Some(b)) = (a, b) else { return [f64::NAN; 3] };
    let drawn = first.iter().zip(second).map(|(one, two)| b.estimate(Some(two)) - a.estimate(Some(one)));
    let mut drawn: Vec<f64> = drawn.filter(|d| d.is_finite()).collect();
    drawn.sort_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    [b.estimate(None) - a.estimate(None), quantile(&drawn, tail), quantile(&drawn, 1.0 - tail)]
}

/// The largest error of each run, added; of means without standard errors over probes, which scatter from sample to sample
/// and so are in the interval. None if there is no error.
fn error(statistics: [&Statistic; 2], places: [usize; 2], kind: Taken) -> Option<f64> {
    let counts = |name: &str| kind == Taken::Median || !name.ends_with("_se");
    let of = |i: usize| {
        let errors = statistics[i].errors.iter().zip(statistics[i].cell(places[i]).errors);
        let sizes: Vec<f64> = errors.filter(|(e, _)| counts(e.0)).map(|e| e.1).collect();
        // One that was not measured makes the sum unknown.
        if sizes.iter().any(|e| e.is_nan()) { f64::NAN } else { sizes.into_iter().fold(0.0, f64::max) }
    };
    statistics.iter().any(|s| s.errors.iter().any(|e| counts(e.0))).then(|| of(0) + of(1))
}

fn left_out(results: [&Results; 2], runs: [&Stored; 2]) -> Vec<String> {
    let (mut said, names) = (vec![], runs.map(|run| &run.name));
    for (run, marked) in runs.iter().map(|run| (run, run.table.marked().len())).filter(|(_, marked)| *marked > 0) {
        said.push(format!("{marked} results of {} that are not finite", run.name));
    }
    for (own, other, name) in [(results[0], results[1], names[0]), (results[1], results[0], names[1])] {
        let paths: Vec<&str> = own.paths.iter().filter(|p| !other.paths.contains(p)).map(String::as_str).collect();
        let missing = |k: &usize| !other.timesteps.iter().any(|o| o.0 == *k);
        let ks = own.timesteps.iter().map(|t| t.0).filter(missing).count();
        if !paths.is_empty() {
            said.push(format!("only {name} has the paths {}", paths.join(", ")));
        }
        if ks > 0 {
            said.push(format!("only {name} has {ks} of its {} timesteps", own.timesteps.len()));
        }
    }
    said
}

/// Leaves of two manifests that differ, by their path; files and the table itself are not facts about the run.
fn differing(at: &str, a: &Value, b: &Value, measure: &str, found: &mut Vec<(String, String, String)>) {
    match (a, b) {
        (Value::Object(one), Value::Object(two)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for key in keys.into_iter().filter(|k| !(at.is_empty() && (*k == "files" || *k == measure))) {
                let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                differing(
                    &place,
                    one.get(key).unwrap_or(&Value::Null),
                    two.get(key).unwrap_or(&Value::Null),
                    measure,
                    found,
                );
            }
        }
        _ if a == b => {}
        _ => {
            let short = |v: &Value| {
                let text = v.as_str().map_or_else(|| v.to_string(), str::to_string);
                if text.chars().count() > 24 { text.chars().take(22).collect::<String>() + ".." } else { text }
            };
            found.push((at.to_string(), short(a), short(b)));
        }
    }
}

/// For a terminal: a table per path and column, and what the marks mean.
pub fn text(comparison: &Comparison, names: [&str; 2]) -> String {
    let mut text = String::new();
    let kind = if comparison.paired { "paired" } else { "unpaired" };
    let _ = writeln!(text, "{}: A = {}, B = {}", comparison.measure, names[0], names[1]);
    let _ = writeln!(
        text,
        "{kind} ({}), {} resamples, {:.0} % intervals",
        comparison.because,
        comparison.resamples,
        LEVEL * 100.0
    );
    for (key, a, b) in &comparison.facts {
        let _ = writeln!(text, "  {key}: {a} | {b}");
    }
    let mut last = None;
    for d in &comparison.differences {
        let head = (&d.path, d.column, d.statistic);
        if last != Some(head) {
            let path = if d.path.is_empty() { String::new() } else { format!("{}: ", d.path) };
            let _ = writeln!(text, "\n{path}{} of {} ({})", d.statistic, d.column, d.unit);
            let _ = writeln!(
                text,
                "{:>6} {:>10} {:>10} {:>11} {:>11} {:>11} {:>10}",
                "k", "A", "B", "B - A", "from", "to", "errors"
            );
            last = Some(head);
        }
        let k = d.timestep.map_or("-".into(), |k| k.to_string());
        let [a, b] = d.values.map(number);
        let [size, low, high] = d.difference.map(number);
        let error = d.error.map_or("-".into(), number);
        let marks = format!("{}{}", if d.excludes_zero() { "*" } else { "" }, d.verdict().map_or("", Verdict::mark));
        let line = format!("{k:>6} {a:>10} {b:>10} {size:>11} {low:>11} {high:>11} {error:>10} {marks}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text += &spaces::text(&comparison.spaces);
    let (n, far) = (comparison.differences.len(), comparison.differences.iter().filter(|d| d.excludes_zero()).count());
    let count = |v: Verdict| (comparison.differences.iter().filter(|d| d.verdict() == Some(v)).count(), v.word());
    let counts = Verdict::ALL.map(count).into_iter().filter(|c| c.0 > 0).map(|(n, word)| format!("{n} {word}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "\n* {far} of {n} intervals leave out zero.");
    let counts = if counts.is_empty() { "no errors apply to them".into() } else { counts };
    let _ = writeln!(text, "Differences against the errors of A and B together: {counts}.");
    text += &Verdict::legend(&comparison.differences.iter().filter_map(Difference::verdict).collect::<Vec<_>>());
    text +=
        "Intervals are of the choice of samples, each on its own: of many, one in twenty leaves out zero by chance.\n";
    for said in &comparison.left_out {
        let _ = writeln!(text, "Left out: {said}.");
    }
    text
}

/// JSON, one object per difference; what is unknown is null.
pub fn rows(comparison: &Comparison) -> Vec<Value> {
    let row = |d: &Difference| {
        let [difference, low, high] = d.difference;
        json!({
            "path": (!d.path.is_empty()).then_some(&d.path), "timestep": d.timestep, "column": d.column,
            "statistic": d.statistic, "unit": d.unit, "a": d.values[0], "b": d.values[1],
            "difference": difference, "low": low, "high": high, "errors": d.error,
            "excludes_zero": d.excludes_zero(), "verdict": d.verdict().map(Verdict::word),
        })
    };
    comparison.differences.iter().map(row).collect()
}

/// The bytes of a CSV, one row per difference, numbers in their shortest exact form.
pub fn csv(comparison: &Comparison) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::invalid("comparison as CSV", e);
    let mut out = csv::Writer::from_writer(Vec::new());
    let heads = [
        "path",
        "timestep",
        "column",
        "statistic",
        "unit",
        "a",
        "b",
        "difference",
        "low",
        "high",
        "errors",
        "excludes_zero",
        "verdict",
    ];
    out.write_record(heads).map_err(|e| failed(&e))?;
    for d in &comparison.differences {
        let number = |v: f64| format!("{v:?}");
        let numbers = d.values.into_iter().chain(d.difference).chain([d.error.unwrap_or(f64::NAN)]).map(number);
        let place = [d.path.clone(), d.timestep.map_or(String::new(), |k| k.to_string())];
        let what = [d.column, d.statistic, d.unit].map(str::to_string);
        let marks = [u8::from(d.excludes_zero()).to_string(), d.verdict().map_or("", Verdict::word).to_string()];
        let record = place.into_iter().chain(what).chain(numbers).chain(marks);
        out.write_record(record).map_err(|e| failed(&e))?;
    }
    out.into_inner().map_err(|e| failed(e.error()))
}
