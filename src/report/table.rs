//! The table that a run ends with on a terminal: per path, one line per timestep.
//! In: checked loops. Out: text under 100 columns wide, or the same numbers as JSON.
use super::{BoxStats, Summary, evenly};
use crate::run::Loops;
use crate::run::schema::{CLEAR, ColumnSpec, ERRORS, column};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Most timesteps shown per path.
const ROWS: usize = 12;

/// Median circulation with its quartiles, two normalised medians, and the errors, per path and timestep; then in words
/// which medians are resolved.
pub fn table(loops: &Loops) -> String {
    let data = loops.data();
    let mut text = String::new();
    let mut marked = false;
    for (p, path) in data.paths.iter().enumerate() {
        let _ = writeln!(text, "{path}: {} samples, N = {}{}", data.samples, data.points, spent(loops, p));
        let _ = writeln!(
            text,
            "{:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "k", "sigma", "|Γ|", "q1", "q3", "|Γ|/M", "|Γ|/S", "rounding", "quadrat.", "arithm."
        );
        let chosen = evenly(data.timesteps.len(), ROWS);
        for &t in &chosen {
            let cell = |name: &str, pick: fn(&super::BoxStats) -> f64, marked: &mut bool| match column(name) {
                Some(column) => statistic(loops, column, p, t, pick, marked),
                None => "-".into(),
            };
            let size = cell("abs_integral", |s| s.median, &mut marked);
            let q1 = cell("abs_integral", |s| s.q1, &mut marked);
            let q3 = cell("abs_integral", |s| s.q3, &mut marked);
            let over_m = cell("integral_over_norm_sum", |s| s.median, &mut marked);
            let over_s = cell("integral_over_abs", |s| s.median, &mut marked);
            let errors = column("abs_integral").map_or([f64::NAN; 3], |c| Summary::of(loops, c, p, t).errors);
            let (k, sigma, [e0, e1, e2]) = (data.timesteps[t], number(data.noise[t]), errors.map(number));
            let _ = write!(text, "{k:>6} {sigma:>9} {size:>9} {q1:>9} {q3:>9} {over_m:>9} {over_s:>9}");
            let _ = writeln!(text, " {e0:>9} {e1:>9} {e2:>9}");
        }
        if chosen.len() < data.timesteps.len() {
            let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), data.timesteps.len());
        }
        text += &verdict(loops, p);
        text.push('\n');
    }
    text += "Medians over samples. Γ: circulation in nats; M = Σ|m||d|, S = Σ|s·d|. Last three: errors of |Γ|,\n";
    text += "of f32 points and sums, of the rule, and of f32 against f64 (- where not checked).\n";
    text += &loops.table().left_out();
    if marked {
        let _ = writeln!(text, "~ under {CLEAR} times its error: not resolved, read it as zero within the error.");
    } else {
        let _ = writeln!(text, "Every statistic is at least {CLEAR} times its error.");
    }
    text
}

/// The statistics of `table` as JSON, one object per path and timestep, none left out. Errors are in their column's unit;
/// what is unknown is null.
pub fn rows(loops: &Loops) -> Vec<Value> {
    let data = loops.data();
    let mut rows = vec![];
    for (p, path) in data.paths.iter().enumerate() {
        for (t, k) in data.timesteps.iter().enumerate() {
            let mut row = json!({ "path": path, "timestep": k, "sigma": data.noise[t] });
            for column in ["abs_integral", "integral_over_norm_sum", "integral_over_abs"].into_iter().filter_map(column)
            {
                let summary = Summary::of(loops, column, p, t);
                let quartile = |q: f64| json!({ "value": q, "resolved": summary.resolves(q) });
                let errors: Map<String, Value> =
                    ERRORS.iter().zip(summary.errors).map(|(name, error)| (name.to_string(), json!(error))).collect();
                row[column.name] = summary.stats.as_ref().map_or(Value::Null, |s| {
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

/// Which medians of |Γ| stand clear of their errors and which do not, in a sentence.
fn verdict(loops: &Loops, path: usize) -> String {
    let data = loops.data();
    let Some(column) = column("abs_integral") else { return String::new() };
    let mut drowned: Vec<(usize, &str)> = vec![];
    let mut unknown = ERRORS.to_vec();
    for (t, &k) in data.timesteps.iter().enumerate() {
        let summary = Summary::of(loops, column, path, t);
        unknown.retain(|name| ERRORS.iter().zip(summary.errors).any(|(e, error)| e == name && error.is_nan()));
        if !summary.stats.as_ref().is_some_and(|s| summary.resolves(s.median)) {
            let largest = ERRORS.iter().zip(summary.errors).find(|(_, e)| *e == summary.error());
            drowned.push((k, largest.map_or("unknown", |(name, _)| name)));
        }
    }
    let n = data.timesteps.len();
    let open = match unknown.len() {
        0 => String::new(),
        _ => format!("  Not checked, and so not counted: {}.\n", unknown.join(", ")),
    };
    if drowned.is_empty() {
        return format!("  Resolved at all {n} timesteps.\n{open}");
    }
    let mut text = format!("  Resolved at {} of {n} timesteps; zero within the error at", n - drowned.len());
    for kind in ERRORS.iter().chain(&["unknown"]) {
        let ks: Vec<usize> = drowned.iter().filter(|d| d.1 == *kind).map(|d| d.0).collect();
        if !ks.is_empty() {
            let shown: Vec<String> = evenly(ks.len(), 6).into_iter().map(|i| ks[i].to_string()).collect();
            let more = if ks.len() > shown.len() { format!(" .. ({} in all)", ks.len()) } else { String::new() };
            let _ = write!(text, "\n    k = {}{more}, where {kind} is the largest error", shown.join(", "));
        }
    }
    text + "\n" + &open
}

fn statistic(
    loops: &Loops,
    column: &ColumnSpec,
    path: usize,
    timestep: usize,
    pick: fn(&super::BoxStats) -> f64,
    marked: &mut bool,
) -> String {
    let summary = Summary::of(loops, column, path, timestep);
    match &summary.stats {
        None => "-".into(),
        Some(stats) => {
            let value = pick(stats);
            let clear = summary.resolves(value);
            *marked |= !clear;
            format!("{}{}", if clear { "" } else { "~" }, number(value))
        }
    }
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
