//! What a person looks at: statistics, terminal tables and plots, one file per measure on top of what they share.
//! In: checked loops, or a table. Out: text and SVG. A statistic that does not stand clear of its error is marked.
pub mod asymmetry;
#[cfg(feature = "cli")]
mod axis;
#[cfg(feature = "cli")]
pub mod boxplot;
#[cfg(feature = "cli")]
pub mod circulation;
pub mod compare;
pub mod curl;
#[cfg(feature = "cli")]
pub mod curve;
pub mod jacobian;
pub mod likelihood;
#[cfg(feature = "cli")]
pub mod page;
pub mod results;
pub mod stats;
pub mod stein;
pub mod stored;
pub mod table;
pub mod timesteps;

use crate::run::Loops;
use crate::run::schema::{CLEAR, ColumnSpec, Loop};
pub use stats::BoxStats;

/// One column at one path and timestep, over the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// None if no sample has a finite value.
    pub stats: Option<BoxStats>,
    /// Median sizes of the column's errors, in the column's own unit and the order of `schema::ERRORS`; NaN if unknown.
    pub errors: [f64; 3],
}

impl Summary {
    /// Of a column's samples at one path and timestep.
    pub fn of(loops: &Loops, column: &ColumnSpec, path: usize, timestep: usize) -> Self {
        let values: Vec<f64> = loops.at(path, timestep).map(|l| (column.value)(&l)).collect();
        let median = |kind: usize| {
            let error = |l: Loop| (column.value)(&l.with_integral(l.errors()[kind])).abs();
            BoxStats::of(&loops.at(path, timestep).map(error).collect::<Vec<_>>()).map_or(f64::NAN, |e| e.median)
        };
        Summary { stats: BoxStats::of(&values), errors: [0, 1, 2].map(median) }
    }

    /// The largest error that is known; NaN if none is.
    pub fn error(&self) -> f64 {
        self.errors.into_iter().fold(f64::NAN, f64::max)
    }

    /// Whether a statistic of this column is at least three times its error; an unknown error resolves nothing.
    pub fn resolves(&self, statistic: f64) -> bool {
        statistic.abs() >= CLEAR * self.error()
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
