//! Every measure, one file each: what its columns say, which errors apply, how its parts become a table, what is shown of it.
//! In: parts as `diagnostics` measures them, tables. Out: `MEASURES`, the one list that `merge`, `compare`, the page, the
//! reader of run directories, the verbs and the tables of docs/FORMATS.md are made from.
pub mod asymmetry;
pub mod circulation;
pub mod curl;
pub mod jacobian;
pub mod likelihood;
pub(crate) mod rows;
pub mod stein;

pub use asymmetry::Asymmetry;
pub use circulation::Circulation;
pub use curl::Curl;
pub use jacobian::Jacobian;
pub use likelihood::Likelihood;
pub use stein::Stein;

use crate::run::Measure;

/// Every measure, in the order of the page's chapters.
pub const MEASURES: &[&dyn Measure] = &[&Circulation, &Curl, &Asymmetry, &Stein, &Jacobian, &Likelihood];

/// The measure of that name.
pub fn find(name: &str) -> Option<&'static dyn Measure> {
    MEASURES.iter().copied().find(|m| m.name() == name)
}
