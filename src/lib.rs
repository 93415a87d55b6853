//! `vorticity` measures how far a diffusion model's learned field is from being a gradient.
//!
//! The modules, in the order in which data flows:

pub mod data;
pub mod error;
pub mod report;
pub mod run;
pub mod shape;
