//! Convolution on CPU adapters (`conv_cc`): weights at constant workgroup addresses, unrolled, one dispatch per chunk of input
//! channels, later ones adding to what earlier ones stored.
use super::epilogue::Ending;
use super::{Job, Padding, immediates, operands};
use crate::error::Result;
use crate::ops::activation::Pass;
use crate::ops::{Lowering, weight_format};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};

/// Threads of a workgroup for images of so many pixels. All share the weights that it stages, and those beyond the last pixel work for nothing:
/// of samples alone it is for about 128 lanes, of others for the lanes of whole samples that have 64 of the role, and few primals.
fn workgroup(cx: &Lowering, role: LaneRole, pixels: usize) -> usize {
    if cx.program.tangents() + cx.program.cotangents() == 0 {
        return (128 * pixels).next_power_of_two().min(512);
    }
    let all = cx.program.lanes_in(cx.program.space()) as usize;
    let [lanes, most] = match role {
        LaneRole::All => [all, 512],
        LaneRole::Tangents => [all - 1, 512],
        LaneRole::Primals => [1, 128],
    };
    let threads = pixels * lanes * 64usize.div_ceil(lanes);
    threads.div_ceil(threads.div_ceil(most)).next_multiple_of(8)
}

pub(super) fn lower(job: &Job, cx: &mut Lowering) -> Result<()> {
    at_positions(job, 1, job.op(), cx)
}

/// So many convolutions, each with its own weights `[position][out][in][kernel][kernel]`, of a pixel's blocks at each position: the
/// blocks of one position lie behind those of the other, in the input and in the output. More than one: plain 1x1, of one
/// run of blocks.
pub(super) fn at_positions(job: &Job, positions: usize, op: &'static str, cx: &mut Lowering) -> Result<()> {
    let conv = job.conv;
    let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
    let taps = conv.kernel * conv.kernel;
    // Unrolled multiply-adds, at most about 4,096: more compile for seconds and run no faster. Few inputs are loaded cheaply once
    // per group, and then code that is small as a whole pays. Weights of large kernels leave workgroup memory for few outputs.
    let products = if taps == 1 { 4096 } else { 4608 };
    let small = if view.blocks() <= 16 { 1024 } else { products };
    let widest = if taps == 1 { (small / 16 / view.blocks()).clamp(4, 8) } else { (products / 16 / taps).clamp(1, 4) };
    let m4 = (1..=widest).rev().find(|m: &usize| m.is_power_of_two() && place.blocks % m == 0).unwrap_or(1);
    let most = (products / (taps * 16 * m4)).max(1);
    let chunks = view.blocks().div_ceil(most);
    let cc4 = view.blocks().div_ceil(chunks);
    let groups = place.blocks / m4;
    // [position][group][chunk][tap][block][component][m] of vec4 over 4 output channels.
    let mut packed = vec![0f32; positions * groups * chunks * taps * cc4 * 4 * m4 * 4];
    for (position, o) in (0..positions).flat_map(|p| (0..conv.out_channels).map(move |o| (p, o))) {
        let (g, m, oc) = (position * groups + o / (4 * m4), o % (4 * m4) / 4, o % 4);
        let weight = &conv.weight[(position * conv.out_channels + o) * conv.in_channels * taps..];
        for (c, &slot) in view.slots.iter().enumerate() {
            let (block, comp) = (slot / 4, slot % 4);
            for t in 0..taps {
                let at = (((g * chunks + block / cc4) * taps + t) * cc4 + block % cc4) * 4 + comp;
                packed[(at * m4 + m) * 4 + oc] = weight[c * taps + t];
            }
        }
    }
    let weights = weight_format::buffer(cx, &packed);
    let bias = conv.bias_buffer(cx, positions * place.blocks);
    // The kernel's one pixel of a plain 1x1 is where its output is: no coordinates to work out.
    let plain = taps == 1 && conv.stride == 1 && conv.padding == Padding::all(0) && job.phase.is_none();
    let ending = Ending::of(job.epilogue, cx)?;
    cx.program.mirror(view.buffer, view.bytes());
    let passes = (1..chunks).map(|chunk| (chunk - 1, Pass::LINEAR)).collect::<Vec<_>>();
    let last = ending.passes(job, cx, &place).into_iter().map(|pass| (chunks - 1, pass));
    for (chunk, pass) in passes.into_iter().chain(last) {
        let workgroup = workgroup(cx, pass.role, place.shape.pixels());
        let shape = [("KERNEL", if plain { 0 } else { conv.kernel }), ("CC4", cc4), ("M4", m4)];
        let shape = shape.into_iter().chain([("WORKGROUP", workgroup)]);
        // Blocks that lie one behind the other, and fill every chunk, need no looking up.
        let lined = view.segments.len() == 1 && chunks * cc4 == view.blocks();
        let ends = [("LINED", lined), ("LATER", chunk > 0), ("PAIRS", place.pairs(m4))].map(|(n, on)| (n, on as usize));
        let own = shape.chain(ends).chain([("SPREAD", job.phase.is_some() as usize)]).map(|(n, v)| (n, v as i64));
        let (after, extra) = ending.pass(job, cx, &pass, chunk + 1 == chunks);
        let constants = own.chain(after).chain([cx.held.constant()]).collect();
        let own = [("chunk", chunk as u32), ("chunks", chunks as u32)];
        let own = ending.behind(&own, job.offset(&place));
        let bindings = operands(&view, Access::Image, [weights, bias], &place);
        let bindings = bindings.into_iter().chain(extra).collect();
        cx.program.push(Step {
            label: cx.label("conv"),
            op,
            kernel: Kernel { shader: "conv_cc", constants },
            bindings,
            role: pass.role,
            immediates: immediates(&view, &place, cx.program.group(), conv.stride, conv.padding, &own),
            grid: Grid {
                items: place.shape.pixels() as u32,
                workgroup: workgroup as u32,
                groups: (positions * groups) as u32,
            },
            flops: positions as u64 * job.flops / chunks as u64,
            bytes: positions as u64 * job.traffic(&view, &place) / chunks as u64,
        });
    }
    Ok(())
}
