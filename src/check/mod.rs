//! A check: whether a field is a gradient, by the measures that tell, in the time that there is. In: how to open the field on so many
//! images, minutes. Out: a plan, which is written down before anything is measured and followed to the letter; the tables of its
//! stages; a verdict in sentences. Several measures meet here and nowhere else below the command line.
mod directory;
mod doubts;
mod pace;
mod plan;
mod run;
mod sizes;
mod stages;
mod verdict;

pub use directory::Directory;
pub use plan::{Asked, MINUTES, PLAN, Plan, SCHEMA, Wanted};
pub use run::{Staged, measure};
pub use sizes::{LEVELS, Pace, Paces, SAMPLES, Sizes, There, levels};
pub use stages::{LeftOut, Stage};
pub use verdict::{Answer, Found, verdict};

use crate::error::Result;
use crate::field::Field;
use crate::gpu::Gpu;
use crate::session::Source;

/// The field on its data, opened for as many images as are wanted, and where it runs.
pub trait Opens {
    /// How many images there are; none where as many as are asked for.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn held(&self) -> Result<Option<usize>>;

    /// The field and the first so many of them.
    ///
    /// # Errors
    /// Whatever stands against it.
    fn source(&self, samples: usize) -> Result<Source>;

    /// The device, with kernels chosen for the field. It is asked for once.
    ///
    /// # Errors
    /// No device.
    fn gpus(&self, field: &dyn Field) -> Result<Vec<Gpu>>;
}
