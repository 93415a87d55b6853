//! The text that a circulation run ends with on a terminal: per path, one line per timestep.
//! In: the run's table. Out: text under 100 columns wide, or the same numbers as JSON.
use super::columns::ERRORS;
use crate::error::Result;
use crate::run::{Table, Verdict};
use crate::summary::{BoxStats, Cell, Results, evenly, number, verdict};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Most timesteps shown per path.
const ROWS: usize = 12;

/// Columns that are shown.
const SHOWN: [&str; 3] = ["abs_integral", "integral_over_norm_sum", "integral_over_abs"];

/// Median circulation with its quartiles, two normalised medians, and the errors, per path and timestep; then in words
/// what was found on each path.
pub fn text(table: &Table) -> Result<String> {
    let results = Results::even_empty(table)?;
    let (samples, points) = (results.samples, points(table));
    let mut text = String::new();
    let mut marked = vec![];
    for (p, path) in results.paths.iter().enumerate() {
        let spent = spent(&results, points, p)?;
        let _ = writeln!(text, "{path}: {samples} samples, N = {points}{spent}");
        let _ = writeln!(
            text,
            "{:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "k", "sigma", "|Γ|", "q1", "q3", "|Γ|/M", "|Γ|/S", "rounding", "quadrat.", "arithm."
        );
        let chosen = evenly(results.timesteps.len(), ROWS);
        for &t in &chosen {
            let cell = |name: &str| Ok(results.cell(results.statistic(name)?, p, t));
            let [own, over_m, over_s] = SHOWN.map(cell);
            let (own, over_m, over_s) = (own?, over_m?, over_s?);
            let mut shown = |cell: &Cell, pick: fn(&BoxStats) -> f64| statistic(cell, pick, &mut marked);
            let [size, q1, q3] = [shown(&own, |s| s.median), shown(&own, |s| s.q1), shown(&own, |s| s.q3)];
            let [over_m, over_s] = [shown(&over_m, |s| s.median), shown(&over_s, |s| s.median)];
            let errors: String = own.errors.into_iter().map(|e| format!(" {:>9}", number(e))).collect();
            let (k, sigma) = results.timesteps[t];
            let sigma = number(sigma);
            let _ = writeln!(text, "{k:>6} {sigma:>9} {size:>9} {q1:>9} {q3:>9} {over_m:>9} {over_s:>9}{errors}");
        }
        if chosen.len() < results.timesteps.len() {
            let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), results.timesteps.len());
        }
        text.push('\n');
    }
    text += "Medians over samples. Γ: circulation in nats; M = Σ|m||d|, S = Σ|s·d|. Last three: errors of |Γ|,\n";
    text += "of f32 points and sums, of the rule, and of f32 against f64 (- where not measured).\n";
    text += &table.left_out();
    text += &Verdict::legend(&marked);
    Ok(text + "\n" + &verdict::text(table)?)
}

/// Segments of a run's loops.
fn points(table: &Table) -> u64 {
    table.facts["points"].as_u64().unwrap_or(0)
}

/// The statistics of `text` as JSON, one object per path and timestep, none left out. Errors are in their column's unit;
/// what is unknown is null.
pub fn rows(table: &Table) -> Result<Vec<Value>> {
    let results = Results::even_empty(table)?;
    let mut rows = vec![];
    for (p, path) in results.paths.iter().enumerate() {
        for (t, (k, sigma)) in results.timesteps.iter().enumerate() {
            let mut row = json!({ "path": path, "timestep": k, "sigma": sigma });
            for name in SHOWN {
                let cell = results.cell(results.statistic(name)?, p, t);
                let quartile = |q: f64| json!({ "value": q, "verdict": cell.verdict(q).map(Verdict::word) });
                let errors: Map<String, Value> =
                    ERRORS.iter().zip(&cell.errors).map(|(name, error)| (name.to_string(), json!(error))).collect();
                row[name] = cell.stats.as_ref().map_or(Value::Null, |s| {
                    let [q1, median, q3] = [s.q1, s.median, s.q3].map(quartile);
                    json!({ "q1": q1, "median": median, "q3": q3, "errors": errors, "left_out": s.skipped })
                });
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What the loops of an adaptively integrated path took, in words; nothing where all took the same.
fn spent(results: &Results, points: u64, path: usize) -> Result<String> {
    let (all, each) = (&results.statistic("evaluations")?.values, results.timesteps.len() * results.samples);
    let of = points as f64;
    Ok(match BoxStats::of(&all[path * each..][..each]) {
        Some(stats) if stats.median < of => {
            let times = of / stats.median;
            format!(", adaptive: {:.0} evaluations a loop in the median, {times:.1} times fewer", stats.median)
        }
        _ => String::new(),
    })
}

/// A number with its mark, which is remembered for the legend.
fn statistic(cell: &Cell, pick: fn(&BoxStats) -> f64, marked: &mut Vec<Verdict>) -> String {
    let Some(value) = cell.stats.as_ref().map(pick) else { return "-".into() };
    let verdict = cell.verdict(value);
    marked.extend(verdict);
    format!("{}{}", verdict.map_or("", Verdict::mark), number(value))
}
