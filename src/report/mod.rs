//! What a person looks at: statistics, a terminal table and plots of a circulation run.
//! In: checked loops. Out: text and SVG. A statistic that does not stand clear of its error is marked.
#[cfg(feature = "cli")]
mod axis;
#[cfg(feature = "cli")]
pub mod boxplot;
pub mod stats;
pub mod table;

use crate::run::Loops;
use crate::run::schema::{CLEAR, ColumnSpec};
pub use stats::BoxStats;

/// One column at one path and timestep, over the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// None if no sample has a finite value.
    pub stats: Option<BoxStats>,
    /// Median size of the column's rounding error, in the column's own unit; NaN if unknown.
    pub error: f64,
}

impl Summary {
    pub fn of(loops: &Loops, column: &ColumnSpec, path: usize, timestep: usize) -> Self {
        let values: Vec<f64> = loops.at(path, timestep).map(|l| (column.value)(&l)).collect();
        let errors: Vec<f64> = loops.at(path, timestep).map(|l| (column.value)(&l.error()).abs()).collect();
        let error = BoxStats::of(&errors).map_or(f64::NAN, |e| e.median);
        Summary { stats: BoxStats::of(&values), error }
    }

    /// Whether a statistic of this column is at least three times its error; an unknown error resolves nothing.
    pub fn resolves(&self, statistic: f64) -> bool {
        statistic.abs() >= CLEAR * self.error
    }
}

/// At most `most` of `0..n`, evenly spread, first and last among them.
pub fn evenly(n: usize, most: usize) -> Vec<usize> {
    match (n, most) {
        (0, _) | (_, 0) => Vec::new(),
        (_, 1) => vec![0],
        _ if n <= most => (0..n).collect(),
        _ => (0..most).map(|i| (i * (n - 1) + (most - 1) / 2) / (most - 1)).collect(),
    }
}
