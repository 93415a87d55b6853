//! Convolution as a tiled implicit GEMM (`conv`): the portable way, and that of GPUs. Variants differ in the size of tiles.
use super::epilogue::Ending;
use super::{Job, immediates, operands, packed};
use crate::error::Result;
use crate::ops::{Lowering, weight_format};
use crate::program::{Access, Grid, Kernel, Step};

/// Each of 16x16 threads makes `tile`: pixels (4 or 8) and blocks of channels.
pub(super) fn lower(job: &Job, cx: &mut Lowering, tile: [usize; 2]) -> Result<()> {
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
        let [pm, cm] = tile.map(|n| n as i64);
        let tile_size = [spread, cx.held.constant(), ("PM", pm), ("CM", cm)];
        let constants = after.into_iter().chain(tile_size).chain(loading.iter().copied()).collect();
        let [workgroup, blocks] = tile.map(|n| 16 * n);
        let groups = place.blocks.div_ceil(blocks) as u32;
        cx.program.push(Step {
            label: cx.label("conv"),
            op: job.op(),
            kernel: Kernel { shader: "conv", constants },
            bindings,
            role: pass.role,
            immediates: immediates(&view, &place, cx.program.group(), stride, padding, &own),
            grid: Grid { items: place.shape.pixels() as u32, workgroup: workgroup as u32, groups },
            flops: job.flops,
            bytes: job.traffic(&view, &place),
        });
    }
    Ok(())
}
