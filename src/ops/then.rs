//! What may be done at the end of another op, on its store, so that a tensor is written once: SiLU, a time row, a residual.
//! An op says what it is to the one before it (`Op::as_then`), which says whether its kernel can do it (`Op::then`).
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
