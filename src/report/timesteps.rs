//! Tables and plots of results with the axes [timestep, sample]: statistics of columns over the samples, each with its error.
//! In: a `run::Table` and which of its columns to show. Out: text, JSON rows, box plots.
use super::table::number;
use super::{BoxStats, evenly};
use crate::error::Result;
use crate::run::schema::CLEAR;
use crate::run::{Labels, Numbers, Table};
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
    /// Column of its error; empty if it has none.
    pub error: &'static str,
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

/// Statistics of a column over the samples, and the median of its error.
fn statistics(table: &Table, shown: &Shown, timestep: usize) -> Result<(Option<BoxStats>, f64)> {
    let error = if shown.error.is_empty() {
        f64::NAN
    } else {
        let sizes: Vec<f64> = samples(table, shown.error, timestep)?.iter().map(|v| v.abs()).collect();
        BoxStats::of(&sizes).map_or(f64::NAN, |e| e.median)
    };
    Ok((BoxStats::of(samples(table, shown.column, timestep)?), error))
}

/// One line per timestep: medians over the samples, those under three times their error marked with ~.
pub fn text(table: &Table, columns: &[Shown]) -> Result<String> {
    let (timesteps, noise) = levels(table)?;
    let mut text = format!("{:>6} {:>9}", "k", "sigma");
    for shown in columns {
        let _ = write!(text, " {:>11}", shown.heading);
        if shown.quartiles {
            let _ = write!(text, " {:>11} {:>11}", "q1", "q3");
        }
    }
    text.push('\n');
    let mut marked = false;
    let chosen = evenly(timesteps.len(), ROWS);
    for &t in &chosen {
        let _ = write!(text, "{:>6} {:>9}", timesteps[t], number(noise[t]));
        for shown in columns {
            let (stats, error) = statistics(table, shown, t)?;
            let mut cell = |value: Option<f64>| {
                let drowned = !shown.error.is_empty() && value.is_some_and(|v| v.abs() < CLEAR * error);
                marked |= drowned;
                let _ = write!(text, " {:>11}", format!("{}{}", if drowned { "~" } else { "" }, show(value)));
            };
            cell(stats.as_ref().map(|s| s.median));
            if shown.quartiles {
                cell(stats.as_ref().map(|s| s.q1));
                cell(stats.as_ref().map(|s| s.q3));
            }
        }
        text.push('\n');
    }
    if chosen.len() < timesteps.len() {
        let _ = writeln!(text, "  ({} of {} timesteps shown)", chosen.len(), timesteps.len());
    }
    let _ = writeln!(text, "Medians over {} samples.", table.shape()[1]);
    text += &table.left_out();
    if marked {
        let _ = writeln!(text, "~ under {CLEAR} times its error: not resolved, read it as zero within the error.");
    }
    Ok(text)
}

fn show(value: Option<f64>) -> String {
    value.map_or("-".into(), number)
}

/// The same as JSON, one object per timestep, none left out; what is unknown is null.
pub fn rows(table: &Table, columns: &[Shown]) -> Result<Vec<Value>> {
    let (timesteps, noise) = levels(table)?;
    let mut rows = vec![];
    for (t, k) in timesteps.iter().enumerate() {
        let mut row = json!({ "timestep": k, "sigma": noise[t] });
        for shown in columns {
            let (stats, error) = statistics(table, shown, t)?;
            row[shown.column] = stats.map_or(
                Value::Null,
                |s| json!({ "q1": s.q1, "median": s.median, "q3": s.q3, "mean": s.mean, "error": error, "left_out": s.skipped }),
            );
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
    use crate::report::boxplot::{Boxed, Figure, Series, svg};

    /// A box plot over timesteps of |column|, with the column's error beneath.
    pub fn boxes(table: &Table, shown: &Shown, title: &str, label: &str, about: &str) -> Result<String> {
        let (timesteps, _) = levels(table)?;
        let mut boxes = vec![];
        for t in 0..timesteps.len() {
            let sizes: Vec<f64> = samples(table, shown.column, t)?.iter().map(|v| v.abs()).collect();
            boxes.push(Boxed { stats: BoxStats::of(&sizes), error: statistics(table, shown, t)?.1 });
        }
        let series = vec![Series { name: shown.heading.into(), boxes }];
        svg(&Figure { title, about, label, timesteps, of: format!("{} samples", table.shape()[1]), series })
    }
}
