//! What several measures measure with: noisy points and picks among them, Jacobian-vector products in batches, divergences,
//! both halves of a Jacobian, their eigenvalues, small arithmetic. In: a subject. Out: numbers on the host. What they are for is
//! said in `measures`.
mod derivatives;
mod directional;
mod divergence;
mod halves;
pub(crate) mod krylov;
mod numbers;
mod points;
mod sides;

pub(crate) use derivatives::Derivatives;
pub use directional::{Directional, Found, directional};
pub use divergence::Divergence;
pub(crate) use divergence::{PROBES, parse_probes, unit};
pub(crate) use halves::{Again, Gaps, halves, of_square};
pub(crate) use numbers::{dot, finite, largest};
pub use points::Selection;
pub(crate) use points::{Batch, Noisy, Pick, ROWS, check, check_matrices, check_pictures, lanes, spread};
pub(crate) use sides::SIDES;
pub use sides::Sides;
