//! What is measured of a field. One file per diagnostic; each builds a program (points, field, reduction over D on the
//! GPU), sweeps it, and sums on the host in f64.
mod adaptive;
mod circulation;
mod nested;
mod queries;
mod sums;
mod work;

pub use adaptive::FLOOR;
pub use circulation::{CirculationRun, Options, Quadrature};
pub use nested::{Nested, Node};
