//! Convolution as a tiled implicit GEMM (`conv`): the portable way, and that of GPUs. Variants differ in the size of tiles.
use super::after::Ending;
use super::up::offset;
use super::{Conv, immediates, operands, packed};
use crate::error::Result;
use crate::ops::activation::Pass;
use crate::ops::{Launch, Op, held};
use crate::program::{Access, Grid, Kernel, Step};

/// `phase`: row and column of the output among every 2x2 (`up`), whose pixels lie that far apart. Each of 16x16 threads
/// makes `tile`: pixels (4 or 8) and blocks of channels.
pub(super) fn launch(conv: &Conv, cx: &mut Launch, phase: Option<[usize; 2]>, tile: [usize; 2]) -> Result<()> {
    let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
    let weights = packed(conv, &view, &place);
    let weights = held::buffer(cx, &weights);
    let bias = conv.bias_buffer(cx, place.blocks);
    let ending = Ending::of(conv, cx)?;
    let (loading, loaded) = conv.loading(cx)?;
    let (stride, padding) = conv.window();
    let own = ending.behind(&[("kernel", conv.kernel as u32)], offset(phase, &place));
    for pass in Pass::of(cx, conv.curved(), &place) {
        let bindings = operands(&view, Access::Read, [weights, bias], &place);
        let (after, extra) = ending.pass(conv, cx, &pass, true);
        let bindings = bindings.into_iter().chain(extra).chain(loaded.iter().copied()).collect();
        let spread = ("SPREAD", phase.is_some() as i64);
        let [pm, cm] = tile.map(|n| n as i64);
        let tile_size = [spread, cx.held.constant(), ("PM", pm), ("CM", cm)];
        let constants = after.into_iter().chain(tile_size).chain(loading.iter().copied()).collect();
        let [workgroup, blocks] = tile.map(|n| 16 * n);
        let groups = place.blocks.div_ceil(blocks) as u32;
        cx.program.push(Step {
            label: cx.label("conv"),
            op: conv.op(),
            kernel: Kernel { shader: "conv", constants },
            bindings,
            part: pass.part,
            immediates: immediates(&view, &place, cx.program.group(), stride, padding, &own),
            grid: Grid { items: place.shape.pixels() as u32, workgroup: workgroup as u32, groups },
            flops: conv.flops(&[view.shape], place.shape),
            bytes: conv.traffic(&view, &place),
        });
    }
    Ok(())
}
