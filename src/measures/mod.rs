//! Every measure, a file or a folder each and one line of `measures!`: what it can be asked, how it measures, what its columns
//! say, which errors apply, how its parts become a table, what is shown of it. In: a subject and settings. Out: `MEASURES`, the
//! one list that sessions, the verbs, `merge`, `compare`, the page, the reader of run directories and the tables of
//! docs/FORMATS.md are made from.
pub(crate) mod rows;

use crate::run::Measure;

/// From one line per measure: its module, its type, and its row of `MEASURES`.
macro_rules! measures {
    ($($file:ident $measure:ident)*) => {
        $(pub mod $file;)*
        $(pub use $file::$measure;)*

        /// Every measure, in the order of the page's chapters.
        pub const MEASURES: &[&dyn Measure] = &[$(&$measure),*];
    };
}

measures! {
    circulation Circulation
    curl Curl
    asymmetry Asymmetry
    map Map
    planes Turning
    spectrum Spectrum
    stein Stein
    lid Lid
    jacobian Jacobian
    likelihood Likelihood
}

/// The measure of that name.
pub fn find(name: &str) -> Option<&'static dyn Measure> {
    MEASURES.iter().copied().find(|m| m.name() == name)
}
