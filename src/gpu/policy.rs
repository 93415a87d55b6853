//! What a caller says about a device and runs on it: bounds, kernels, how long a submission may take, and what is to go wrong on
//! purpose. A device that takes a lost one's place keeps to it.
use super::faults::Faults;
use crate::choice::Choices;
use crate::error::{Error, Result};
use crate::target::{AttentionWay, KernelFamily};
use std::sync::Arc;

/// Which limits and features a device is opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// All that the adapter has.
    #[default]
    Adapter,
    /// WebGPU's least, without optional features, as far as the adapter has that: what any browser's adapter offers. Kernels are told
    /// their words in uniform buffers there (`words`).
    WebGpu,
}

impl Limits {
    /// As options and identities have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::WebGpu => "webgpu",
        }
    }

    /// Those of that name.
    pub fn parse(name: &str) -> Result<Self> {
        [Self::Adapter, Self::WebGpu].into_iter().find(|l| l.name() == name).ok_or_else(|| {
            let known = [Self::Adapter, Self::WebGpu].map(Self::name).join(", ");
            Error::invalid("limits", format!("'{name}' is not one of {known}"))
        })
    }
}

/// What a caller sets lower than the adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Bytes that a run may take; none: `Gpu::memory` says.
    pub memory: Option<u64>,
    /// Bytes that a kernel may see of one buffer; none: the adapter's limit. The device then enforces it.
    pub binding: Option<u64>,
    /// Limits and features; the device then enforces them.
    pub limits: Limits,
}

impl Bounds {
    /// Bytes that a kernel may see of one buffer on any adapter that is opened so, if there is a limit.
    pub fn visible(&self) -> Option<u64> {
        let least = (self.limits == Limits::WebGpu).then(|| wgpu::Limits::default().max_storage_buffer_binding_size);
        self.binding.into_iter().chain(least).min()
    }

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
    /// Longest submission in seconds, if there is a limit.
    pub longest: Option<f64>,
    /// Which family of kernels computes.
    pub family: KernelFamily,
    /// Which variants do.
    pub choices: Arc<Choices>,
    /// How attention is computed.
    pub attention: AttentionWay,
    /// Whether kernels without checks are refused.
    pub checked: bool,
    pub faults: Arc<Faults>,
}
