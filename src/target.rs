//! What a program is made for: the family of kernels, the limits that a plan must keep to, and the variants that were chosen.
//! Nothing of a network and nothing of wgpu: `Gpu::target` says it of a device, `Target::of` of any that there may be.
use crate::choice::Choices;
use crate::error::{Error, Result};
use std::sync::Arc;

/// Storage buffers that a step may bind: WebGPU's least, which every adapter has.
pub const STORAGE_BUFFERS: usize = 8;

/// Widest heads whose attention in one step is the faster way on software adapters, whatever the number of keys (docs/perf-log.md).
const NARROW: usize = 64;

/// Keys from which on attention is one step for its memory, logits and weights of every two pixels being 8 MiB and more a head and lane:
/// on software adapters that of wider heads, on GPUs that of all. No GPU has been timed.
const MANY: usize = 1024;

/// The two families of kernels; a plan uses one of them throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelFamily {
    /// CPU adapters: weights at constant workgroup addresses, inputs through images, unrolled.
    Cpu,
    /// GPUs and everything else: tiles in workgroup memory.
    Gpu,
}

impl KernelFamily {
    /// `CPU` of the shaders that both families share.
    pub const fn constant(self) -> (&'static str, i64) {
        ("CPU", matches!(self, Self::Cpu) as i64)
    }

    /// As manifests have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cc",
            Self::Gpu => "igemm",
        }
    }

    /// The family of that name.
    pub fn parse(name: &str) -> Result<Self> {
        [Self::Cpu, Self::Gpu].into_iter().find(|f| f.name() == name).ok_or_else(|| {
            Error::invalid("kernels", format!("'{name}' is not one of {}, {}", Self::Cpu.name(), Self::Gpu.name()))
        })
    }
}

/// How attention over pixels is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AttentionWay {
    /// In one step where `Target::fuses_attention` says so, in three elsewhere.
    #[default]
    Auto,
    /// In one step, without a number of every two pixels in memory (`ops::attention`).
    Fused,
    /// As logits, softmax and sums, each a step.
    Apart,
}

impl AttentionWay {
    /// All of them.
    const ALL: [Self; 3] = [Self::Auto, Self::Fused, Self::Apart];

    /// As options and manifests have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fused => "fused",
            Self::Apart => "apart",
        }
    }

    /// The way of that name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid("attention", format!("'{name}' is not one of {known}"))
        })
    }
}

/// What a program is made for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which kernels compute, where there are two.
    pub family: KernelFamily,
    /// Storage buffers that a step may bind; images are none.
    pub storage_buffers: usize,
    /// Bytes that the lanes of one sample may take in one buffer, if there is a limit: tensors that take more are cut.
    pub buffer_bytes: Option<u64>,
    /// Bytes of a sample that a plan with cotangents must take less than one that keeps everything its reverse sweep reads: so
    /// much is computed a second time.
    pub saved: u64,
    /// How attention is computed.
    pub attention: AttentionWay,
    /// Threads of a subgroup, where kernels count on it; else 0.
    pub subgroup: u32,
    /// Which variants compute what, where there are several.
    pub choices: Arc<Choices>,
}

impl Target {
    /// What every adapter of a family has; nothing is chosen, and nothing cut.
    pub fn of(family: KernelFamily) -> Self {
        Self {
            family,
            storage_buffers: STORAGE_BUFFERS,
            buffer_bytes: None,
            saved: 0,
            attention: AttentionWay::Auto,
            subgroup: 0,
            choices: Arc::default(),
        }
    }

    /// Whether attention over so many keys, with so many features or values a head, is one step: where that is faster, or where a number
    /// of every two pixels takes too much memory. A value is the same in any company, so nothing but the shape decides.
    pub(crate) fn fuses_attention(&self, keys: usize, size: usize) -> bool {
        match (self.attention, self.family) {
            (AttentionWay::Fused, _) => true,
            (AttentionWay::Apart, _) => false,
            (AttentionWay::Auto, KernelFamily::Cpu) => size <= NARROW || keys >= MANY,
            (AttentionWay::Auto, KernelFamily::Gpu) => keys >= MANY,
        }
    }

    /// Storage buffers that a step of this shader may bind. `gpu::cooperative` asks for one more where it lets that variant
    /// run.
    pub(crate) fn most_storage_buffers(&self, shader: &str) -> usize {
        self.storage_buffers + usize::from(shader == "conv_coop")
    }
}
