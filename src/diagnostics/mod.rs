//! What several measures measure with: noisy points and picks among them, Jacobian-vector products in batches, divergences,
//! small arithmetic. In: a subject. Out: numbers on the host. What they are for is said in `measures`.
mod derivatives;
mod directional;
mod divergence;
mod numbers;
mod points;

pub(crate) use derivatives::Derivatives;
pub use directional::{Directional, Found, directional};
pub use divergence::Divergence;
pub(crate) use divergence::{PROBES, parse_probes, unit};
pub(crate) use numbers::{dot, finite, largest};
pub use points::Selection;
pub(crate) use points::{Batch, Noisy, Pick, ROWS, check, check_matrices, lanes, spread};
