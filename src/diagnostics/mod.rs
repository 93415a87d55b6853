//! What is measured of a field. One file per diagnostic; each builds a program (points, field, reduction over D on the
//! GPU), sweeps it, and sums on the host in f64.
mod circulation;
mod queries;

pub use circulation::{CirculationRun, Options};
