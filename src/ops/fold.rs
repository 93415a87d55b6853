//! What may be folded into another op, so that a tensor is neither written nor read: its end, on the store (SiLU, a time row,
//! a residual), or its beginning, on the load (a doubled image, a depthwise convolution, a normalisation). An op says what it
//! is to its neighbour (`Op::as_then`, `Op::as_before`), which says whether its kernel can do it (`Op::then`, `Op::before`).
use super::held::Held;
use super::window::{Padding, Window};
use super::{Family, Launch};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::BufferId;
use crate::shape::Shape;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// A time row to add, one number per channel.
#[derive(Clone, Debug)]
pub struct TimeRow {
    /// Index into `Graph::rows`.
    pub table: usize,
    /// Which number of the row channel c gets.
    pub entries: Arc<[usize]>,
}

/// The end of an op.
#[derive(Clone, Debug)]
pub enum Then {
    /// y = x / (1 + e^-x).
    Silu,
    /// y = x + row.
    Row(TimeRow),
    /// y = s x + t z, z one more input, at the end: s and t.
    Residual([f32; 2]),
}

/// How an image becomes twice as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubling {
    /// Every pixel twice along each axis.
    Repeated,
    /// A zero between every two: 2n - 1 of n.
    Spread,
}

/// The beginning of an op.
#[derive(Clone, Debug)]
pub enum Before {
    /// The image becomes twice as large.
    Doubled(Doubling),
    /// Every element is made as it is loaded: filtered channels, normalised groups.
    Loads(Arc<dyn Loads>),
}

/// How kernels load what another op would have made.
#[derive(Clone, Copy, Debug)]
pub enum LoadKind {
    /// By a 3x3 filter of each channel.
    Depthwise {
        /// Pixels between outputs.
        stride: usize,
        /// Zeros around the input.
        padding: Padding,
    },
    /// By three coefficients of each channel.
    Norm {
        /// Whether SiLU follows.
        silu: bool,
    },
}

/// Rows that are read, by the number of the input.
pub type Rows = Vec<(usize, Range<usize>)>;

/// An op that a convolution's kernels do to x as they load it, so that its result is never written.
pub trait Loads: Debug + Send + Sync {
    /// What kernels do.
    fn kind(&self) -> LoadKind;

    /// Whether it pays, in front of a convolution of this kernel.
    fn pays(&self, kernel: usize, setting: Setting) -> bool;

    /// How many of the first inputs it reads, of those that are given without a residual.
    fn inputs(&self, given: usize) -> usize;

    /// Of what the convolution gets.
    fn loaded(&self, inputs: &[Shape]) -> Result<Shape>;

    /// What the convolution gets, in f64.
    fn values(&self, inputs: &[&[Dual]], shapes: &[Shape], times: &[Vec<f64>]) -> Vec<Dual>;

    /// Operations of its own, for a convolution's output.
    fn cost(&self, output: Shape) -> u64;

    /// For rows `bands[which]` of the output of a convolution with this window: what loads them, the convolution's padding, and
    /// the rows that are read.
    fn split(
        &self,
        window: Window,
        input: Shape,
        bands: &[Range<usize>],
        which: usize,
    ) -> Option<(Arc<dyn Loads>, Padding, Rows)>;

    /// Appends what must run before the convolution, whose first inputs are `inputs`; the buffer that its kernels read besides, and
    /// its name there.
    fn prepare(&self, cx: &mut Launch, inputs: usize) -> Result<(&'static str, BufferId)>;
}

/// What a plan is for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its kernels.
    pub family: Family,
    /// K
    pub tangents: u32,
    /// How the device holds weights.
    pub held: Held,
}
