//! `vorticity` measures how far a diffusion model's learned field is from being a gradient.
//!
//! ```no_run
//! use vorticity::gpu::{AdapterChoice, Gpu};
//! use vorticity::measures::Circulation;
//! use vorticity::run::Settings;
//! use vorticity::session::Opening;
//!
//! # fn main() -> vorticity::error::Result<()> {
//! let gpu = Gpu::open(&AdapterChoice::Best)?;
//! let session = Opening::new("assets/models/mnist", "digits-idx3-ubyte", 8).open()?.on(vec![gpu], 0)?;
//! let asked = Settings::of(&Circulation)?
//!     .with("paths", ["rotation"])?
//!     .with("timesteps", [1, 501, 991])?
//!     .with("samples", 8)?
//!     .with("quadrature", "adaptive")?;
//! let table = session.table(session.task(&asked)?.as_ref())?;
//! println!("{:?}", table.column("integral")?.values); // Gamma, [path, timestep, sample]
//! # Ok(())
//! # }
//! ```
//!
//! The modules, in the order in which data flows; each imports only from those above it (a test reads the `use` lines).
//! What this documentation lists is the public face. Modules marked `#[doc(hidden)]` are open to this project's tests and tools
//! alone, and change without notice.

#![warn(missing_docs)]

pub mod error;
mod threads;
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
pub mod rows;
pub mod graph;
#[doc(hidden)]
pub mod twin;
#[doc(hidden)]
pub mod passes;
pub mod onnx;
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
#[cfg(feature = "cli")]
pub mod figures;
pub mod diagnostics;
pub mod measures;
pub mod session;
pub mod selftest;
pub mod report;
pub mod check;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

/// The snippets of the embedding guide, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/EMBEDDING.md")]
mod embedding {}
