//! Every measure, a file or a folder each: what it can be asked, how it measures, what its columns say, which errors apply, how
//! its parts become a table, what is shown of it. In: a subject and settings. Out: `MEASURES`, the one list that sessions, the
//! verbs, `merge`, `compare`, the page, the reader of run directories and the tables of docs/FORMATS.md are made from.
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
