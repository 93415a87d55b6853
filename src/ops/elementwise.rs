//! The step of an elementwise kernel (`shaders/lib/elementwise.wgsl`): it makes one block of 4 channels per thread from one
//! input, perhaps with a second buffer beside it.
use super::activation::Pass;
use super::{Lowering, View};
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Grid, Immediate, Kernel, LaneRole, Step, named};
use crate::target::KernelFamily;

/// What one elementwise kernel has of its own.
#[derive(Default)]
pub(super) struct Elementwise<'a> {
    /// Shader file, and the op's name.
    pub name: &'static str,
    /// SiLU on the store.
    pub silu: bool,
    /// Integers of the shader's own.
    pub constants: &'a [(&'static str, i64)],
    /// Buffers read besides `x`, by values only.
    pub reads: &'a [(&'static str, BufferId)],
    /// A buffer read as `x` is, by all lanes.
    pub second: Option<Second>,
    /// Immediates of the shader's own.
    pub own: &'a [Immediate],
    /// Threads per lane, if not one per block of the output, or pair.
    pub items: Option<usize>,
    /// Whether the kernel can make two blocks a thread.
    pub pairs: bool,
    /// Floating-point operations per lane.
    pub flops: u64,
}

/// A buffer beside x.
#[derive(Clone, Copy)]
pub(super) struct Second {
    pub buffer: BufferId,
    /// Per lane.
    pub bytes: u64,
    /// As `View::apart`.
    pub apart: Option<[u32; 2]>,
}

impl Second {
    /// Of another input.
    pub fn of(view: &View) -> Option<Self> {
        Some(Self { buffer: view.buffer, bytes: view.bytes(), apart: view.apart })
    }
}

impl Elementwise<'_> {
    /// Its dispatches: two where there are tangents and SiLU.
    pub fn push(self, cx: &mut Lowering) {
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        let access = cx.x_access();
        let in_place = view.buffer == place.buffer;
        if access == Access::Image {
            if !in_place {
                cx.program.mirror(view.buffer, view.bytes());
            }
            if let Some(Second { buffer, bytes, .. }) = self.second {
                cx.program.mirror(buffer, bytes);
            }
        }
        let written = place.shape.pixels() * place.blocks;
        // Where two blocks are neighbours in x and y: CPU drivers store one thread's numbers at a time, and two blocks at one go cost less.
        let neighbours = place.pairs(place.blocks) && view.segments.iter().all(|run| run.count.is_multiple_of(2));
        let pairs = self.pairs && cx.family() == KernelFamily::Cpu && !in_place && neighbours;
        let sizes = [
            ("pixels", place.shape.pixels()),
            ("in_stride", view.stride),
            ("out_stride", place.stride),
            ("out_offset", place.offset),
            ("blocks", place.blocks),
        ]
        .map(|(name, v)| (name, v as u32));
        let apart = [("X_APART", view.apart), ("Z_APART", self.second.and_then(|second| second.apart))];
        let lanes = apart.iter().zip([["x_to", "x_from"], ["z_to", "z_from"]]);
        let lanes: Vec<_> = lanes.filter_map(|((_, lanes), names)| Some(named(names, (*lanes)?))).flatten().collect();
        for pass in Pass::of(cx, self.silu, None, &place) {
            let reads = self.reads.iter().filter(|_| pass.role != LaneRole::Tangents);
            let reads = reads.map(|&(name, buffer)| (name, buffer, Access::Read));
            let ends =
                [Some(("x", view.buffer, access)).filter(|_| !in_place), Some(("y", place.buffer, Access::Write))];
            let second = self.second.map(|second| ("z", second.buffer, access));
            let bindings = ends.into_iter().flatten().chain(second).chain(reads).chain(pass.binding(cx)).collect();
            let constants = [cx.family().constant()].into_iter().chain(pass.constants());
            let constants = constants.chain(apart.map(|(name, lanes)| (name, i64::from(lanes.is_some()))));
            let constants = constants.chain([("IN_PLACE", i64::from(in_place)), ("PAIRS", i64::from(pairs))]);
            let words = sizes.into_iter().chain(view.runs()).chain([("group", cx.program.group())]);
            cx.program.push(Step {
                label: cx.label(self.name),
                op: self.name,
                kernel: Kernel {
                    shader: self.name,
                    constants: constants.chain(self.constants.iter().copied()).collect(),
                },
                bindings,
                role: pass.role,
                immediates: words.chain(lanes.iter().copied()).chain(self.own.iter().copied()).collect(),
                grid: Grid {
                    items: self.items.unwrap_or(written / (1 + usize::from(pairs))) as u32,
                    workgroup: 256,
                    groups: 1,
                },
                flops: self.flops,
                bytes: 16 * (written + view.shape.pixels() * view.blocks()) as u64,
            });
        }
    }
}

/// Threads per lane of a kernel that makes 4 pixels each (`shaders/lib/elementwise_tiles.wgsl`).
pub(super) fn tiled(cx: &Lowering) -> Option<usize> {
    Some(cx.output.shape.pixels().div_ceil(4) * cx.output.blocks)
}

/// Threads that share the blocks of a pixel or head (`shaders/lib/team.wgsl`): on GPUs, where neighbours then read what lies side by side,
/// as many as there are blocks and at most 32.
pub(super) fn team(cx: &Lowering, blocks: usize) -> usize {
    match cx.family() {
        KernelFamily::Cpu => 1,
        KernelFamily::Gpu => 1 << blocks.clamp(1, 32).ilog2(),
    }
}

/// `GROUPED` of shaders that need the primal's input only where there are tangents.
pub(super) fn grouped(cx: &Lowering) -> (&'static str, i64) {
    ("GROUPED", (cx.program.tangents() > 0) as i64)
}

/// First block of an input whose channels lie one after the other, four to a block; products of channels need that.
pub(super) fn plain(view: &View) -> Result<u32> {
    if view.segments.len() == 1 && view.slots.iter().enumerate().all(|(c, &slot)| c == slot) {
        return Ok(view.segments[0].first as u32);
    }
    Err(Error::invalid("input", "its channels do not lie one after the other in memory, four to a block"))
}

/// A constant that says which of the output's channels there are, `[blocks]` of vec4 of 1 and 0 (`shaders/lib/there.wgsl`).
pub(super) fn there(cx: &mut Lowering) -> BufferId {
    let mut mask = vec![0f32; 4 * cx.output.blocks];
    cx.inputs[0].slots.iter().for_each(|&slot| mask[slot] = 1.0);
    cx.program.constant(cx.label("channels"), &mask)
}
