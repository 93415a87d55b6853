//! What a caller says about runs on a device: bounds, kernels, how long a submission may take, and what is to go wrong on
//! purpose. A device that takes a lost one's place keeps to it.
use super::faults::Faults;
use crate::choice::Choices;
use crate::error::{Error, Result};
use crate::target::{AttentionWay, KernelFamily};
use std::sync::Arc;

/// What a caller sets lower than the adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Bytes that a run may take; none: `Gpu::memory` says.
    pub memory: Option<u64>,
    /// Bytes that a kernel may see of one buffer; none: the adapter's limit. The device then enforces it.
    pub binding: Option<u64>,
}

impl Bounds {
    /// Refuses bindings that hold nothing.
    pub fn check(&self) -> Result<()> {
        let least = 1 << 20;
        match self.binding.filter(|most| *most < least) {
            Some(most) => Err(Error::invalid("binding limit", format!("{most} bytes, expected {least} or more"))),
            None => Ok(()),
        }
    }
}

/// Everything that a caller may set. Results depend on the kernels alone.
#[derive(Clone)]
pub(super) struct Policy {
    pub bounds: Bounds,
    /// Longest submission in seconds, if there is a limit.
    pub longest: Option<f64>,
    /// Which family of kernels computes.
    pub family: KernelFamily,
    /// Which variants do.
    pub choices: Arc<Choices>,
    /// How attention is computed.
    pub attention: AttentionWay,
    pub faults: Arc<Faults>,
}
