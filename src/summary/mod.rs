//! How results of any measure are summed up: statistics with their errors and verdicts, and what text and figures have
//! in common. In: a run's table. Out: cells, lines of text, pixels. Knows no measure: `measures` says what is shown of each.
#[cfg(feature = "cli")]
pub mod maps;
pub mod pairs;
#[cfg(feature = "cli")]
pub mod planes;
#[cfg(feature = "cli")]
pub mod raster;
pub mod results;
pub mod stats;
pub mod timesteps;
pub mod verdict;

pub use results::{Cell, Results};
pub use stats::{BoxStats, evenly, number};
