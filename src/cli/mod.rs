//! The command line: one file per verb.
pub mod devices;
pub mod inspect;
pub mod text;
pub mod verify;
