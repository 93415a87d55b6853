//! The table that a run ends with on a terminal: per path, one line per timestep.
//! In: checked loops. Out: text under 100 columns wide.
use super::{Summary, evenly};
use crate::run::Loops;
use crate::run::schema::{CLEAR, ColumnSpec, column};
use std::fmt::Write;

/// Most timesteps shown per path.
const ROWS: usize = 12;

/// Median circulation with its quartiles, two normalised medians, and the rounding error, per path and timestep.
pub fn table(loops: &Loops) -> String {
    let data = loops.data();
    let mut text = String::new();
    let mut marked = false;
    for (p, path) in data.paths.iter().enumerate() {
        let _ = writeln!(text, "{path}: {} samples, loops of {} segments", data.samples, data.points);
        let _ = writeln!(
            text,
            "{:>6} {:>9} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}",
            "k", "sigma", "|Γ| median", "q1", "q3", "|Γ|/M", "|Γ|/S", "rounding"
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
            let error = column("abs_integral").map_or(f64::NAN, |c| Summary::of(loops, c, p, t).error);
            let (k, sigma) = (data.timesteps[t], number(data.noise[t]));
            let error = number(error);
            let _ =
                writeln!(text, "{k:>6} {sigma:>9} {size:>11} {q1:>11} {q3:>11} {over_m:>11} {over_s:>11} {error:>11}");
        }
        if chosen.len() < data.timesteps.len() {
            let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), data.timesteps.len());
        }
        text.push('\n');
    }
    text += "Γ: circulation in nats; M = Σ|m||d|, S = Σ|s·d|; rounding: median |error| of |Γ|.\n";
    text += "The error is rounding alone; the midpoint rule's own is not in it: large on a rough path.\n";
    if marked {
        let _ = writeln!(text, "~ under {CLEAR} times its error: not resolved, read it as zero within the error.");
    } else {
        let _ = writeln!(text, "Every statistic is at least {CLEAR} times its error.");
    }
    text
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
