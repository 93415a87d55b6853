//! A program: the plain data that the gpu room runs. Buffers, then steps in order; every buffer grows with the number
//! of lanes. Ops, paths, fields and diagnostics all speak to the GPU by appending steps to a `Builder`; nothing here knows
//! wgpu.
mod builder;
mod host;
mod step;

pub use builder::Builder;
pub use host::{HostStep, HostWork};
pub(crate) use step::named;
pub use step::{Access, Grid, Immediate, Kernel, LaneRole, Space, Step};

use crate::choice::Class;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Index into `Program::buffers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// What a buffer is for; decides its usage flags and who writes it.
#[derive(Clone, Debug)]
pub enum Role {
    /// Written and read by steps; starts as NaN.
    Scratch,
    /// Written by the host before each run.
    Upload,
    /// Read back by the host after each run.
    Download,
    /// Written once, when the program is loaded.
    Constant(Vec<u8>),
}

/// One storage buffer. Bytes = `bytes_per_lane` x lanes of its space, or the constant's own size.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Named in errors.
    pub label: String,
    /// Bytes of one lane; 0 for constants.
    pub bytes_per_lane: u64,
    /// Which lanes it holds.
    pub space: Space,
    /// Who writes it.
    pub role: Role,
}

/// What happens in order: a dispatch, making what a buffer holds visible in its image mirror (a copy, or a barrier where both
/// share memory), or work of the host.
#[derive(Clone, Debug)]
pub enum Action {
    /// A kernel runs, over lanes of this space.
    Dispatch(Step, Space),
    /// An image mirror catches up with its buffer.
    Mirror {
        /// What is mirrored.
        buffer: BufferId,
        /// Bytes of a lane that it holds at present.
        bytes_per_lane: u64,
    },
    /// The host makes lanes of a buffer out of those of others.
    Host(HostStep),
}

/// Texels in a row of an image mirror; row 0 is kept at zero and is what padding reads.
pub(crate) const IMAGE_WIDTH: u64 = 1024;

/// Bytes of a texel of an image mirror.
pub(crate) const TEXEL: u64 = 16;

/// Bytes of a row of it.
pub(crate) const IMAGE_ROW: u64 = IMAGE_WIDTH * TEXEL;

/// Most bytes of a pixel that threads of convolutions on CPU adapters store behind the last lane, having nothing else to store.
pub(crate) const SPARE: u64 = 1 << 17;

/// Buffers and actions, as a `Builder` made them. `Debug` prints the whole plan.
#[derive(Clone, Debug)]
pub struct Program {
    /// By `BufferId`.
    pub buffers: Vec<Buffer>,
    /// In order.
    pub actions: Vec<Action>,
    /// T: tangents of every sample, whose lanes follow its primal.
    pub tangents: u32,
    /// K: cotangents of every sample, whose lanes follow those.
    pub cotangents: u32,
    /// Most lanes for which the kernels' index arithmetic is exact, if they have such a limit.
    pub lane_limit: Option<u64>,
    /// The classes of work that there are, and the variant of each.
    pub chosen: BTreeMap<Class, String>,
    /// WGSL that is not in `shaders/`, by name.
    pub sources: Vec<(&'static str, Cow<'static, str>)>,
}

impl Program {
    /// `sources`, as the assembler takes them.
    pub(crate) fn texts(&self) -> Vec<(&str, &str)> {
        self.sources.iter().map(|(name, text)| (*name, text.as_ref())).collect()
    }

    /// Lanes per sample, 1 + T + K. Runs are of whole samples.
    pub fn group(&self) -> u32 {
        self.lanes_in(Space::Whole)
    }

    /// Lanes per sample of a space.
    pub fn lanes_in(&self, space: Space) -> u32 {
        match space {
            Space::Whole => 1 + self.tangents + self.cotangents,
            Space::Forward => 1 + self.tangents,
            Space::Primal => 1,
            Space::Reverse => self.cotangents,
        }
    }

    /// How many lanes of a space there are in a run of `lanes` lanes, and of those how many have a role.
    pub fn lanes_of(&self, space: Space, role: LaneRole, lanes: u64) -> u64 {
        let samples = lanes / u64::from(self.group());
        let own = samples * u64::from(self.lanes_in(space));
        match role {
            LaneRole::All => own,
            LaneRole::Primals => samples,
            LaneRole::Tangents => own - samples,
        }
    }

    /// Bytes of a buffer in a run of `lanes` lanes, its lanes alone.
    pub fn bytes_of(&self, buffer: &Buffer, lanes: u64) -> u64 {
        buffer.bytes_per_lane * self.lanes_of(buffer.space, LaneRole::All, lanes)
    }

    /// The dispatches, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.dispatches().map(|(step, _)| step)
    }

    /// The dispatches, in order, and over lanes of which space each runs.
    pub fn dispatches(&self) -> impl Iterator<Item = (&Step, Space)> {
        self.actions.iter().filter_map(|a| match a {
            Action::Dispatch(step, space) => Some((step, *space)),
            Action::Mirror { .. } | Action::Host(_) => None,
        })
    }

    /// True if some step reads the buffer through an image mirror.
    pub fn has_image(&self, id: BufferId) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::Mirror { buffer, .. } if *buffer == id))
    }

    /// Bytes of all buffers and image mirrors that grow with the lanes, per lane on average over those of a sample; as if no
    /// mirror shared its memory.
    pub fn bytes_per_lane(&self) -> u64 {
        let (copies, group) = (|i: usize| if self.has_image(BufferId(i)) { 2 } else { 1 }, u64::from(self.group()));
        self.buffers.iter().enumerate().map(|(i, b)| self.bytes_of(b, group) * copies(i)).sum::<u64>() / group
    }

    /// Bytes of the constants.
    pub fn constant_bytes(&self) -> u64 {
        self.buffers.iter().map(|b| if let Role::Constant(data) = &b.role { data.len() as u64 } else { 0 }).sum()
    }

    /// Floating-point operations per lane, on average over the lanes of a sample.
    pub fn flops(&self) -> u64 {
        let group = u64::from(self.group());
        self.dispatches().map(|(s, space)| s.flops * self.lanes_of(space, s.role, group)).sum::<u64>() / group
    }
}
