//! What the kernels of a convolution for GPUs can do to x as they load it, so that it is never written: filter it by a depthwise
//! convolution in front of a 1x1, or normalise it by coefficients of each channel. A plain convolution loads x as it is. CPU
//! adapters load a pixel once per group of outputs, where that is more work than writing it, and so does nobody there.
use super::{Conv, Padding};
use crate::program::{Access, BufferId};

/// How x is loaded; what the kernels read for it is in these buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loading {
    /// As it is.
    Plain,
    /// By a 3x3 filter of each channel, `[blocks][9 taps, bias]` of vec4.
    Filtered {
        /// Where they are.
        filters: BufferId,
        /// Pixels between outputs.
        stride: usize,
        /// Zeros around x.
        padding: Padding,
    },
    /// `a x + c`, a and c of each lane and channel, `[lane][3][blocks]` of vec4.
    Normed {
        /// Where they are.
        coefficients: BufferId,
        /// Whether SiLU follows.
        silu: bool,
    },
}

/// Constants and bindings of `shaders/lib/conv_load.wgsl`.
pub(super) type Extra = (Vec<(&'static str, i64)>, Vec<(&'static str, BufferId, Access)>);

impl Loading {
    /// What kernels are told of it.
    pub(super) fn extra(self) -> Extra {
        let (depthwise, normed, curved, binding) = match self {
            Self::Plain => (false, false, false, None),
            Self::Filtered { filters, .. } => (true, false, false, Some(("filters", filters, Access::Read))),
            Self::Normed { coefficients, silu } => {
                (false, true, silu, Some(("coefficients", coefficients, Access::Read)))
            }
        };
        let constants = [("DEPTHWISE", depthwise), ("NORMED", normed), ("CURVED", curved)];
        (constants.map(|(name, on)| (name, on as i64)).to_vec(), binding.into_iter().collect())
    }

    /// Stride and padding of what the kernel reads.
    pub(super) const fn window(self, conv: &Conv) -> (usize, Padding) {
        match self {
            Self::Filtered { stride, padding, .. } => (stride, padding),
            _ => (conv.stride, conv.padding),
        }
    }
}
