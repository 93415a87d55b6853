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
pub mod words;

pub use results::Cell;
pub use stats::BoxStats;

/// At most `most` of `0..n`, evenly spread, first and last among them.
pub fn evenly(n: usize, most: usize) -> Vec<usize> {
    match (n, most) {
        (0, _) | (_, 0) => Vec::new(),
        (_, 1) => vec![0],
        _ if n <= most => (0..n).collect(),
        _ => (0..most).map(|i| (i * (n - 1) + (most - 1) / 2) / (most - 1)).collect(),
    }
}
