//! Convolution as a tiled implicit GEMM (`conv`): the portable way, and that of GPUs. Variants differ in the size of tiles.
use super::epilogue::Ending;
use super::{Job, immediates, operands, packed};
use crate::error::Result;
use crate::ops::{Lowering, weight_format};
use crate::program::{Access, Grid, Kernel, Step};

/// A tile of the output: threads along pixels and along channels, groups of 4 pixels and blocks of 4 channels of each.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub down: usize,
    pub across: usize,
    pub groups: usize,
    pub blocks: usize,
    /// Whether indices and loops are checked as the kernel runs.
    pub checked: bool,
}

impl Tile {
    pub const fn unchecked(self) -> Self {
        Self { checked: false, ..self }
    }
}

pub(super) fn lower(job: &Job, cx: &mut Lowering, tile: Tile) -> Result<()> {
    let conv = job.conv;
    let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
    let weights = packed(conv, &view, &place);
    let weights = weight_format::buffer(cx, &weights);
    let bias = conv.bias_buffer(cx, place.blocks);
    let ending = Ending::of(job.epilogue, cx)?;
    let (loading, loaded) = job.loading.extra();
    let (stride, padding) = job.loading.window(conv);
    let own = ending.behind(&[("kernel", conv.kernel as u32)], job.offset(&place));
    for pass in ending.passes(job, cx, &place) {
        let bindings = operands(&view, Access::Read, [weights, bias], &place);
        let (after, extra) = ending.pass(job, cx, &pass, true);
        let bindings = bindings.into_iter().chain(extra).chain(loaded.iter().copied()).collect();
        let spread = ("SPREAD", job.phase.is_some() as i64);
        let Tile { down, across, groups, blocks, checked } = tile;
        let sizes =
            [("DOWN", down), ("ACROSS", across), ("PG", groups), ("CM", blocks)].map(|(name, n)| (name, n as i64));
        let tile_size = [spread, cx.held.constant(), (Kernel::UNCHECKED, i64::from(!checked))].into_iter().chain(sizes);
        let constants = after.into_iter().chain(tile_size).chain(loading.iter().copied()).collect();
        let [pixels, columns] = [4 * down * groups, across * blocks].map(|n| n as u32);
        cx.program.push(Step {
            label: cx.label("conv"),
            op: job.op(),
            kernel: Kernel { shader: "conv", constants },
            bindings,
            role: pass.role,
            immediates: immediates(&view, &place, cx.program.group(), stride, padding, &own),
            grid: Grid {
                items: place.shape.pixels() as u32,
                workgroup: pixels,
                groups: place.blocks.div_ceil(columns as usize) as u32,
            },
            flops: job.flops,
            bytes: job.traffic(&view, &place),
        });
    }
    Ok(())
}
