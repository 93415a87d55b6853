//! What may be folded into another op, so that a tensor is neither written nor read: its end, on the store (SiLU, a time row,
//! a residual), or its beginning, on the load (a doubled image, a depthwise convolution, a normalisation). An op says what it
//! is to its neighbour (`Op::as_then`, `Op::as_before`), which says whether its kernel can do it (`Op::then`, `Op::before`).
use super::Family;
use super::conv::Doubling;
use super::depthwise::Depthwise;
use super::group_norm::GroupNorm;
use super::held::Held;
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

/// The beginning of an op.
#[derive(Clone, Debug)]
pub enum Before {
    /// The image becomes twice as large.
    Doubled(Doubling),
    /// Each channel is filtered.
    Depthwise(Depthwise),
    /// Groups of channels are normalised.
    Norm(GroupNorm),
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
