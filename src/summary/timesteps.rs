//! Tables of results with the axes [timestep, sample]: statistics of columns over the samples, each with its error.
//! In: a `run::Table` and which of its columns to show. Out: text, JSON rows.
use super::results::{Cell, Results};
use super::stats::{BoxStats, evenly, number};
use crate::error::Result;
use crate::run::{Labels, SEVERAL, TIMESTEP, Table, Verdict};
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
    let timesteps = table.axes.iter().find(|a| a.name == TIMESTEP.name).and_then(|a| match &a.labels {
        Labels::Numbers(ks) => Some(ks.as_slice()),
        _ => None,
    });
    Ok((timesteps.unwrap_or_default(), table.levels()?))
}

/// The samples of one column at the timestep of that number.
pub fn samples<'a>(table: &'a Table, column: &str, timestep: usize) -> Result<&'a [f64]> {
    let n = table.shape()[1];
    Ok(&table.column(column)?.values[timestep * n..(timestep + 1) * n])
}

/// A column over the samples at one place, counted over what is measured several times and timesteps, with the errors that apply
/// to it; a column that is an error itself has none.
fn cell(table: &Table, results: &Results, column: &str, place: usize) -> Result<Cell> {
    match results.statistic(column) {
        Ok(statistic) => Ok(statistic.cell(place)),
        Err(_) => {
            let own = &table.column(column)?.values[place * results.samples..][..results.samples];
            Ok(Cell { stats: BoxStats::of(own), errors: vec![] })
        }
    }
}

/// One line per timestep: medians over the samples, those that are not resolved or not checked with their marks. A table for each
/// of what is measured several times.
pub fn text(table: &Table, columns: &[Shown]) -> Result<String> {
    let ((timesteps, sigma), results) = (levels(table)?, Results::of(table)?);
    let (mut text, mut marked) = (String::new(), vec![]);
    let chosen = evenly(timesteps.len(), ROWS);
    for (path, name) in results.paths.iter().enumerate() {
        if !name.is_empty() {
            let _ = writeln!(text, "{name}");
        }
        let _ = write!(text, "{:>6} {:>9}", "k", "sigma");
        for shown in columns {
            let _ = write!(text, " {:>11}", shown.heading);
            if shown.quartiles {
                let _ = write!(text, " {:>11} {:>11}", "q1", "q3");
            }
        }
        text.push('\n');
        for &t in &chosen {
            let _ = write!(text, "{:>6} {:>9}", timesteps[t], number(sigma[t]));
            for shown in columns {
                let cell = cell(table, &results, shown.column, path * timesteps.len() + t)?;
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
    }
    if chosen.len() < timesteps.len() {
        let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), timesteps.len());
    }
    let _ = writeln!(text, "Medians over {} samples.", results.samples);
    text += &table.left_out();
    Ok(text + &Verdict::legend(&marked))
}

fn show(value: Option<f64>) -> String {
    value.map_or("-".into(), number)
}

/// The same as JSON, one object per timestep, and for each of what is measured several times, none left out; what is unknown is
/// null.
pub fn rows(table: &Table, columns: &[Shown]) -> Result<Vec<Value>> {
    let ((timesteps, sigma), results) = (levels(table)?, Results::of(table)?);
    let mut rows = vec![];
    let several = table.axes.iter().find(|a| SEVERAL.iter().any(|own| own.name == a.name));
    for path in 0..results.paths.len() {
        for (t, k) in timesteps.iter().enumerate() {
            let mut row = json!({ "timestep": k, "sigma": sigma[t] });
            if let Some(axis) = several {
                row[axis.name] = axis.labels.text(path).into();
            }
            for shown in columns {
                let cell = cell(table, &results, shown.column, path * timesteps.len() + t)?;
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
    }
    Ok(rows)
}
