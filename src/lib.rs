//! `vorticity` measures how far a diffusion model's learned field is from being a gradient.
//!
//! The modules, in the order in which data flows; each imports only from those above it (a test reads the `use` lines).

pub mod error;
pub mod shape;
pub mod dual;
pub mod data;
pub mod program;
pub mod shaders;
pub mod ops;
pub mod graph;
pub mod twin;
pub mod plan;
pub mod model;
pub mod gpu;
pub mod paths;
pub mod evaluate;
pub mod verify;
pub mod field;
pub mod run;
pub mod sweep;
pub mod diagnostics;
pub mod report;
#[cfg(feature = "cli")]
pub mod cli;
