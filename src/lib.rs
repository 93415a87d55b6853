//! `vorticity` measures how far a diffusion model's learned field is from being a gradient.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::sync::Arc;
//! use vorticity::diagnostics::{CirculationRun, Options, Quadrature};
//! use vorticity::paths::rotation::Rotation;
//! use vorticity::{data, field, gpu};
//!
//! # fn main() -> vorticity::error::Result<()> {
//! let gpu = gpu::Gpu::open(&gpu::AdapterChoice::Best)?;
//! let field = field::open("assets/models/mnist", None, field::ScoreScale::Definition)?;
//! let images = data::load("digits-idx3-ubyte", 8, field.data_range())?;
//! let options = Options {
//!     paths: vec![Arc::new(Rotation)],
//!     timesteps: vec![1, 501, 991],
//!     samples: 8,
//!     points: 100,
//!     quadrature: Quadrature::Adaptive { tolerance: 1e-3 },
//!     ..Options::default()
//! };
//! let run = CirculationRun::new(&gpu, &field, &images, options)?;
//! let result = run.run(&mut |_| ControlFlow::Continue(()))?;
//! println!("{:?}", result.column("integral")?.values); // Gamma, [path, timestep, sample]
//! # Ok(())
//! # }
//! ```
//!
//! The modules, in the order in which data flows; each imports only from those above it (a test reads the `use` lines).
//! What this documentation lists is the public face. Modules marked `#[doc(hidden)]` are open to this project's tests and tools
//! alone, and change without notice.

#![warn(missing_docs)]

pub mod error;
pub mod shape;
pub mod spec;
pub mod dual;
pub mod data;
#[doc(hidden)]
pub mod choice;
pub mod target;
pub mod program;
#[doc(hidden)]
pub mod ops;
pub mod paths;
#[doc(hidden)]
pub mod shaders;
pub mod graph;
#[doc(hidden)]
pub mod twin;
#[doc(hidden)]
pub mod passes;
pub mod model;
pub mod gpu;
#[doc(hidden)]
pub mod ceilings;
pub mod evaluate;
pub mod tune;
#[doc(hidden)]
pub mod trace;
pub mod latents;
pub mod verify;
pub mod field;
pub mod sample;
pub mod sweep;
pub mod run;
pub mod summary;
pub mod diagnostics;
pub mod measures;
pub mod session;
pub mod selftest;
pub mod report;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

/// The snippets of the embedding guide, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/EMBEDDING.md")]
mod embedding {}
