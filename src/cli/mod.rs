//! The command line: one file per verb, each with its arguments and a `run` that calls the library and prints. What verbs
//! share is in `common` (model, data, run directory), `output` (JSON or silence instead of text), `watch` (progress, predicted time) and `text` (tables).
use crate::error::EXIT_CODES;

pub mod asymmetry;
pub mod bench;
pub mod circulation;
pub mod common;
pub mod compare;
pub mod completions;
pub mod curl;
pub mod device;
pub mod devices;
pub mod evaluate;
mod finished;
pub mod fleet;
pub mod init;
pub mod inspect;
pub mod jacobian;
pub mod keep;
pub mod likelihood;
pub mod man;
mod marked;
pub mod merge;
pub mod output;
mod path_args;
pub mod paths;
pub mod process;
pub mod report;
pub mod sample;
pub mod scores;
pub mod selftest;
pub mod stein;
pub mod text;
pub mod tune;
pub mod verify;
pub mod watch;

/// What `vorticity --help` ends with.
pub fn help() -> String {
    let codes: String = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code:>3}  {meaning}")).collect();
    format!("{}\n\nExit codes:{codes}", output::HELP)
}
