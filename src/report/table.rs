//! The table that a run ends with on a terminal: per path, one line per timestep.
//! In: checked loops. Out: text under 100 columns wide, or the same numbers as JSON.
use super::words::{self, Found};
use super::{BoxStats, Cell, evenly};
use crate::run::schema::{ERRORS, column};
use crate::run::{Loops, Verdict};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Most timesteps shown per path.
const ROWS: usize = 12;

/// Columns that are shown.
const SHOWN: [&str; 3] = ["abs_integral", "integral_over_norm_sum", "integral_over_abs"];

/// Median circulation with its quartiles, two normalised medians, and the errors, per path and timestep; then in words
/// what was found on each path.
pub fn table(loops: &Loops) -> String {
    let data = loops.data();
    let mut text = String::new();
    let mut marked = vec![];
    for (p, path) in data.paths.iter().enumerate() {
        let _ = writeln!(text, "{path}: {} samples, N = {}{}", data.samples, data.points, spent(loops, p));
        let _ = writeln!(
            text,
            "{:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "k", "sigma", "|Γ|", "q1", "q3", "|Γ|/M", "|Γ|/S", "rounding", "quadrat.", "arithm."
        );
        let chosen = evenly(data.timesteps.len(), ROWS);
        for &t in &chosen {
            let [own, over_m, over_s] = SHOWN.map(|name| column(name).map(|c| Cell::of_loops(loops, c, p, t)));
            let mut shown = |cell: &Option<Cell>, pick: fn(&BoxStats) -> f64| match cell {
                Some(cell) => statistic(cell, pick, &mut marked),
                None => "-".into(),
            };
            let [size, q1, q3] = [shown(&own, |s| s.median), shown(&own, |s| s.q1), shown(&own, |s| s.q3)];
            let [over_m, over_s] = [shown(&over_m, |s| s.median), shown(&over_s, |s| s.median)];
            let errors = own.map_or(vec![], |c| c.errors);
            let errors: String = errors.into_iter().map(|e| format!(" {:>9}", number(e))).collect();
            let (k, sigma) = (data.timesteps[t], number(data.noise[t]));
            let _ = writeln!(text, "{k:>6} {sigma:>9} {size:>9} {q1:>9} {q3:>9} {over_m:>9} {over_s:>9}{errors}");
        }
        if chosen.len() < data.timesteps.len() {
            let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), data.timesteps.len());
        }
        text += &words::verdicts(&Found::of(loops, p));
        text.push('\n');
    }
    text += "Medians over samples. Γ: circulation in nats; M = Σ|m||d|, S = Σ|s·d|. Last three: errors of |Γ|,\n";
    text += "of f32 points and sums, of the rule, and of f32 against f64 (- where not measured).\n";
    text += &loops.table().left_out();
    text += &Verdict::legend(&marked);
    text + "\n" + &words::found(loops)
}

/// The statistics of `table` as JSON, one object per path and timestep, none left out. Errors are in their column's unit;
/// what is unknown is null.
pub fn rows(loops: &Loops) -> Vec<Value> {
    let data = loops.data();
    let mut rows = vec![];
    for (p, path) in data.paths.iter().enumerate() {
        for (t, k) in data.timesteps.iter().enumerate() {
            let mut row = json!({ "path": path, "timestep": k, "sigma": data.noise[t] });
            for column in SHOWN.into_iter().filter_map(column) {
                let cell = Cell::of_loops(loops, column, p, t);
                let quartile = |q: f64| json!({ "value": q, "verdict": cell.verdict(q).map(Verdict::word) });
                let errors: Map<String, Value> =
                    ERRORS.iter().zip(&cell.errors).map(|(name, error)| (name.to_string(), json!(error))).collect();
                row[column.name] = cell.stats.as_ref().map_or(Value::Null, |s| {
                    let [q1, median, q3] = [s.q1, s.median, s.q3].map(quartile);
                    json!({ "q1": q1, "median": median, "q3": q3, "errors": errors, "left_out": s.skipped })
                });
            }
            rows.push(row);
        }
    }
    rows
}

/// What the loops of an adaptively integrated path took, in words; nothing where all took the same.
fn spent(loops: &Loops, path: usize) -> String {
    let used = (0..loops.data().timesteps.len()).flat_map(|t| loops.at(path, t)).map(|l| l.evaluations);
    let of = loops.data().points as f64;
    match BoxStats::of(&used.collect::<Vec<_>>()) {
        Some(stats) if stats.median < of => {
            format!(
                ", adaptive: {:.0} evaluations a loop in the median, {:.1} times fewer",
                stats.median,
                of / stats.median
            )
        }
        _ => String::new(),
    }
}

/// A number with its mark, which is remembered for the legend.
fn statistic(cell: &Cell, pick: fn(&BoxStats) -> f64, marked: &mut Vec<Verdict>) -> String {
    let Some(value) = cell.stats.as_ref().map(pick) else { return "-".into() };
    let verdict = cell.verdict(value);
    marked.extend(verdict);
    format!("{}{}", verdict.map_or("", Verdict::mark), number(value))
}

/// Three significant digits, in exponent form where plain digits would be long.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if !value.is_finite() {
        "-".into()
    } else if !(1e-3..99_950.0).contains(&size) {
        format!("{value:.2e}")
    } else {
        // The exponent after rounding to three digits: 99.96 is 100, not 100.0.
        let rounded: f64 = format!("{size:.2e}").parse().unwrap_or(size);
        let before = rounded.log10().floor() as i32;
        format!("{value:.*}", (2 - before).max(0) as usize)
    }
}
