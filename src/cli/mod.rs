//! The command line: one file per verb, each with its arguments and a `run` that calls the library and prints.

pub mod bench;
pub mod circulation;
pub mod devices;
pub mod inspect;
pub mod paths;
pub mod sample;
pub mod scores;
pub mod selftest;
pub mod text;
pub mod verify;
