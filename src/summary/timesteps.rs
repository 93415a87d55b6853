//! Tables and plots of results with the axes [timestep, sample]: statistics of columns over the samples, each with its error.
//! In: a `run::Table` and which of its columns to show. Out: text, JSON rows, box plots.
use super::results::{Cell, Results};
use super::stats::{BoxStats, evenly, number};
use crate::error::Result;
use crate::run::{Labels, Numbers, Table, Verdict};
use serde_json::{Value, json};
use std::fmt::Write;

/// Most timesteps shown.
const ROWS: usize = 12;

/// A column to show.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// In the table's head, at most 11 characters.
    pub heading: &'static str,
    /// Its name.
    pub column: &'static str,
    /// The quartiles too.
    pub quartiles: bool,
}

/// Timesteps, and sigma of each.
pub fn levels(table: &Table) -> Result<(&[usize], &[f64])> {
    let timesteps = table.axes.iter().find_map(|a| match &a.labels {
        Labels::Numbers(ks) => Some(ks.as_slice()),
        _ => None,
    });
    let noise = match &table.array("noise")?.values {
        Numbers::F64(noise) => noise.as_slice(),
        _ => &[],
    };
    Ok((timesteps.unwrap_or_default(), noise))
}

/// The samples of one column at the timestep of that number.
pub fn samples<'a>(table: &'a Table, column: &str, timestep: usize) -> Result<&'a [f64]> {
    let n = table.shape()[1];
    Ok(&table.column(column)?.values[timestep * n..(timestep + 1) * n])
}

/// A column over the samples, with the errors that apply to it; a column that is an error itself has none.
fn cell(table: &Table, results: &Results, column: &str, timestep: usize) -> Result<Cell> {
    match results.statistic(column) {
        Ok(statistic) => Ok(statistic.cell(timestep)),
        Err(_) => Ok(Cell { stats: BoxStats::of(samples(table, column, timestep)?), errors: vec![] }),
    }
}

/// One line per timestep: medians over the samples, those that are not resolved or not checked with their marks.
pub fn text(table: &Table, columns: &[Shown]) -> Result<String> {
    let ((timesteps, noise), results) = (levels(table)?, Results::of(table)?);
    let mut text = format!("{:>6} {:>9}", "k", "sigma");
    for shown in columns {
        let _ = write!(text, " {:>11}", shown.heading);
        if shown.quartiles {
            let _ = write!(text, " {:>11} {:>11}", "q1", "q3");
        }
    }
    text.push('\n');
    let mut marked = vec![];
    let chosen = evenly(timesteps.len(), ROWS);
    for &t in &chosen {
        let _ = write!(text, "{:>6} {:>9}", timesteps[t], number(noise[t]));
        for shown in columns {
            let cell = cell(table, &results, shown.column, t)?;
            let mut put = |value: Option<f64>| {
                let verdict = value.and_then(|v| cell.verdict(v));
                marked.extend(verdict);
                let _ = write!(text, " {:>11}", format!("{}{}", verdict.map_or("", Verdict::mark), show(value)));
            };
            put(cell.stats.as_ref().map(|s| s.median));
            if shown.quartiles {
                put(cell.stats.as_ref().map(|s| s.q1));
                put(cell.stats.as_ref().map(|s| s.q3));
            }
        }
        text.push('\n');
    }
    if chosen.len() < timesteps.len() {
        let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), timesteps.len());
    }
    let _ = writeln!(text, "Medians over {} samples.", table.shape()[1]);
    text += &table.left_out();
    Ok(text + &Verdict::legend(&marked))
}

/// The verdicts on the median of what the run is about, counted, with the timesteps that are not resolved.
pub fn verdicts(table: &Table) -> Result<String> {
    let ((timesteps, _), results) = (levels(table)?, Results::of(table)?);
    let Ok(statistic) = results.statistic(table.measure.info().headline) else { return Ok(String::new()) };
    let verdict = |t: usize| statistic.cell(t).of_median().unwrap_or(Verdict::NotResolved);
    let found: Vec<Verdict> = (0..timesteps.len()).map(verdict).collect();
    let mut parts = vec![];
    for verdict in Verdict::ALL {
        let own: Vec<String> =
            timesteps.iter().zip(&found).filter(|(_, v)| **v == verdict).map(|(k, _)| k.to_string()).collect();
        if !own.is_empty() {
            let few: Vec<&str> = evenly(own.len(), 8).into_iter().map(|i| own[i].as_str()).collect();
            let more = if own.len() > few.len() { " .." } else { "" };
            parts.push(format!("{} at {} (k = {}{more})", verdict.word(), own.len(), few.join(", ")));
        }
    }
    Ok(format!("{} at {} timesteps: {}.\n", statistic.about.name, timesteps.len(), parts.join(", ")))
}

fn show(value: Option<f64>) -> String {
    value.map_or("-".into(), number)
}

/// The same as JSON, one object per timestep, none left out; what is unknown is null.
pub fn rows(table: &Table, columns: &[Shown]) -> Result<Vec<Value>> {
    let ((timesteps, noise), results) = (levels(table)?, Results::of(table)?);
    let mut rows = vec![];
    for (t, k) in timesteps.iter().enumerate() {
        let mut row = json!({ "timestep": k, "sigma": noise[t] });
        for shown in columns {
            let cell = cell(table, &results, shown.column, t)?;
            let (error, verdict) = (cell.error(), cell.of_median().map(Verdict::word));
            row[shown.column] = cell.stats.map_or(Value::Null, |s| {
                json!({
                    "q1": s.q1, "median": s.median, "q3": s.q3, "mean": s.mean, "error": error, "verdict": verdict,
                    "left_out": s.skipped,
                })
            });
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(feature = "cli")]
pub use plots::boxes;

#[cfg(feature = "cli")]
mod plots {
    use super::*;
    use crate::summary::boxplot::{Boxed, Figure, Series, svg};

    /// A box plot over timesteps of |column|, with the column's error beneath.
    pub fn boxes(table: &Table, shown: &Shown, title: &str, label: &str, about: &str) -> Result<String> {
        let ((timesteps, _), results) = (levels(table)?, Results::of(table)?);
        let mut boxes = vec![];
        for t in 0..timesteps.len() {
            let sizes: Vec<f64> = samples(table, shown.column, t)?.iter().map(|v| v.abs()).collect();
            let cell = cell(table, &results, shown.column, t)?;
            boxes.push(Boxed::of(&Cell { stats: BoxStats::of(&sizes), ..cell }));
        }
        let series = vec![Series { name: shown.heading.into(), boxes }];
        svg(&Figure { title, about, label, timesteps, of: format!("{} samples", table.shape()[1]), series })
    }
}
