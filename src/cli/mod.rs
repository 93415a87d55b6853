//! The command line: one file per verb, each with its arguments and a `run` that calls the library and prints; the verbs that
//! measure are made of `MEASURES` by one file, `measure`. What verbs share is in `common` (weights, warnings), `output` (JSON or
//! silence instead of text), `watch` (progress, predicted time) and `text` (tables). Help is
//! grouped by one table, `headings`, and ends with those of another, `examples`;
//! `words` answers words of other programs.
pub mod bench;
pub mod check;
pub mod common;
pub mod compare;
pub mod completions;
pub mod device;
pub mod devices;
pub mod evaluate;
pub mod examples;
pub mod headings;
pub mod import;
pub mod init;
pub mod inspect;
pub mod integrate;
pub mod kernels;
pub mod man;
pub mod measure;
pub mod merge;
pub mod network;
pub mod output;
mod path_args;
pub mod paths;
pub mod plot;
pub mod process;
pub mod report;
pub mod sample;
pub mod selftest;
pub mod subject;
pub mod text;
pub mod tune;
mod verbs;
pub mod verify;
pub mod watch;
pub mod words;

pub use verbs::{command, main};

use crate::error::EXIT_CODES;

/// What `vorticity --help` ends with.
pub fn help() -> String {
    let codes: String = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code:>3}  {meaning}")).collect();
    format!("{}\n\nExit codes:{codes}", output::HELP)
}
