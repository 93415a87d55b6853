//! Convolution as a tiled implicit GEMM (`conv`): the portable way, and that of GPUs.
use super::after::Ending;
use super::up::offset;
use super::{Conv, immediates};
use crate::error::Result;
use crate::ops::activation::Pass;
use crate::ops::{Launch, Op, held};
use crate::program::{Access, Grid, Kernel, Step};

/// `phase`: row and column of the output among every 2x2 (`up`), whose pixels lie that far apart.
pub(super) fn launch(conv: &Conv, cx: &mut Launch, phase: Option<[usize; 2]>) -> Result<()> {
    let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
    let (taps, rows) = (conv.kernel * conv.kernel, view.blocks() * 4);
    // [tap][4 block + component][out block] of vec4 over 4 output channels.
    let mut packed = vec![0f32; taps * rows * place.blocks * 4];
    for o in 0..conv.out_channels {
        for (c, &slot) in view.slots.iter().enumerate() {
            for t in 0..taps {
                packed[(t * rows + slot) * place.blocks * 4 + o] = conv.weight[(o * conv.in_channels + c) * taps + t];
            }
        }
    }
    let weights = held::buffer(cx, &packed);
    let bias = conv.bias_buffer(cx, place.blocks);
    let ending = Ending::of(conv, cx)?;
    let (loading, loaded) = conv.loading(cx)?;
    let (stride, padding) = conv.window();
    let own = ending.words([conv.kernel as u32, place.blocks as u32, 0, offset(phase, &place)]);
    for pass in Pass::of(cx, conv.curved(), &place) {
        let bindings = [
            ("x", view.buffer, Access::Read),
            ("weights", weights, Access::Read),
            ("bias", bias, Access::Read),
            ("y", place.buffer, Access::Write),
        ];
        let (after, extra) = ending.pass(conv, cx, &pass, true);
        let bindings = bindings.into_iter().chain(extra).chain(loaded.iter().copied()).collect();
        let spread = ("SPREAD", phase.is_some() as i64);
        let constants = after.into_iter().chain([spread, cx.held.constant()]).chain(loading.iter().copied()).collect();
        let groups = place.blocks.div_ceil(16) as u32;
        cx.program.push(Step {
            label: cx.label("conv"),
            op: conv.op(),
            kernel: Kernel { shader: "conv", constants },
            bindings,
            part: pass.part,
            immediates: immediates(&view, &place, cx.program.group(), stride, padding, own),
            grid: Grid { items: place.shape.pixels() as u32, workgroup: 64, groups },
            flops: conv.flops(&[view.shape], place.shape),
            bytes: conv.traffic(&view, &place),
        });
    }
    Ok(())
}
