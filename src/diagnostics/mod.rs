//! What is measured of a field. One file per diagnostic; each builds a program (points, field, reduction over D on the
//! GPU), sweeps it, and sums on the host in f64.
mod circulation;
mod export;
mod queries;
mod scores;
mod sums;

pub use circulation::{CirculationRun, Options};
pub use export::{MOST_EXPORTED, PathExport, exported_bytes};
pub use scores::integrate;
