//! The command line: one file per verb, each with its arguments and a `run` that calls the library and prints.

pub mod bench;
pub mod circulation;
