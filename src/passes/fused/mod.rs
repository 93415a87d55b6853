//! Ops of plans alone: several ops of a graph that one kernel makes together. The last of them is done on its store (the
//! epilogue), the first as it loads x (the prologue), so that what is between them is neither written nor read. `fuse` makes
//! them, by its table of rules; `band` makes others of them of the rows that fit. To passes, layout and twin they are ops.
mod across;
mod add_row;
mod conv;
mod depthwise;
mod kept;
mod norm;
mod project;
mod times;
mod up_conv;

use crate::ops::{Op, Tested};

pub(super) use across::Across;
pub(super) use add_row::FusedAddRow;
pub(super) use conv::{FusedConv, Prologue};
pub(super) use depthwise::FusedDepthwise;
pub(super) use kept::{Filled, Room};
pub(super) use norm::FusedNorm;
pub(super) use project::FusedProject;
pub(super) use times::Times;
pub(super) use up_conv::{Doubling, UpConv};

/// A fused op.
pub(super) trait Fused: Op {
    /// Storage buffers that its greediest step binds, where there are tangents or not; an upper bound.
    fn storage_buffers(&self, _tangents: bool) -> usize {
        0
    }
}

/// The fused ops and their test cases, as `ops::OPS` has those of graphs.
pub const FUSED: &[Tested] = &[
    ("fused_add_row", add_row::cases),
    ("fused_conv", conv::cases),
    ("fused_norm", norm::cases),
    ("fused_project", project::cases),
    ("times", times::cases),
    ("up_conv", up_conv::cases),
];
