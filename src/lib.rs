//! `vorticity` measures how far a diffusion model's learned field is from being a gradient.
//!
//! The modules, in the order in which data flows:

pub mod error;
pub mod shape;
pub mod program;
pub mod data;
pub mod dual;
pub mod ops;
pub mod graph;
pub mod shaders;
pub mod gpu;
pub mod plan;
pub mod model;
pub mod twin;
pub mod paths;
