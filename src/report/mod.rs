//! What is made of finished runs: differences of two, and one page of many. In: run directories. Out: text, CSV, HTML. A
//! statistic that does not stand clear of its error is marked.
pub mod compare;
pub(crate) mod findings;
#[cfg(feature = "cli")]
pub mod page;
pub mod spaces;
pub mod stored;
