//! Convolution by cooperative matrices (`conv_coop`): of f32 as they are, or of f32 split in two f16 each, for hardware whose
//! matrices are of f16. The split's scales keep f16 from overflow and underflow; its error is stated in the shader.
use super::epilogue::Ending;
use super::{Job, immediates, operands, packed};
use crate::error::Result;
use crate::ops::weight_format::WeightFormat;
use crate::ops::{Lowering, weight_format};
use crate::program::{Access, BufferId, Grid, Immediate, Kernel, LaneRole, Step};
use half::f16;

/// Pixels and channels of a tile.
const TILE: usize = 64;
/// log2 of what the lower parts are multiplied by.
const LIFT: f32 = 2048.0;

/// Which matrices.
#[derive(Clone, Copy)]
pub(super) struct Matrices {
    pub side: usize,
    /// Two f16 for each f32.
    pub split: bool,
}

/// The exponent e of s_w = 2^e: the largest |w| comes to 2^11..2^12; 2^-126 <= s_w <= 2^126.
fn exponent(weights: &[f32]) -> i32 {
    let most = weights.iter().fold(0f32, |most, w| most.max(w.abs()));
    (11 - ((most.to_bits() >> 23) as i32 - 127)).clamp(-126, 126)
}

/// 2^e as an f32, for exponents of normal numbers.
fn power(e: i32) -> f32 {
    f32::from_bits(((e + 127) as u32) << 23)
}

/// Both f16 of 2^e w, one part behind the other. Where the device holds weights as f16 there is only the first.
fn split(cx: &mut Lowering, weights: &[f32], e: i32) -> (BufferId, usize) {
    let scaled: Vec<f32> = match cx.held {
        WeightFormat::F32 => weights.iter().map(|w| w * power(e)).collect(),
        WeightFormat::F16 => weights.iter().map(|&w| f16::from_f32(w).to_f32() * power(e)).collect(),
    };
    let mut parts: Vec<f16> = scaled.iter().map(|&w| f16::from_f32(w)).collect();
    let count = if cx.held == WeightFormat::F16 { 1 } else { 2 };
    if count == 2 {
        let low = |(&w, high): (&f32, &f16)| f16::from_f32((w - high.to_f32()) * LIFT);
        let lows: Vec<f16> = scaled.iter().zip(&parts).map(low).collect();
        parts.extend(lows);
    }
    (cx.program.constant(cx.label("weights"), &parts), count)
}

/// As `igemm::lower`.
pub(super) fn lower(job: &Job, cx: &mut Lowering, matrices: Matrices) -> Result<()> {
    let conv = job.conv;
    let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
    let weights = packed(conv, &view, &place);
    let e = exponent(&weights);
    let ((weights, parts), half) = match matrices.split {
        true => (split(cx, &weights, e), 1),
        false => ((weight_format::buffer(cx, &weights), 1), cx.held.constant().1),
    };
    let bias = conv.bias_buffer(cx, place.blocks);
    let ending = Ending::of(job.epilogue, cx)?;
    let (loading, loaded) = job.loading.extra();
    let (stride, padding) = job.loading.window(conv);
    let kernel = ("kernel", conv.kernel as u32);
    let group = cx.program.group();
    let words = |own: &[Immediate]| immediates(&view, &place, group, stride, padding, own);
    let mut maxima = None;
    if matrices.split {
        let made = cx.shared("window maxima", 4 * place.shape.pixels() as u64);
        let bindings = [("x", view.buffer, Access::Read), ("maxima", made, Access::Write)];
        let all = [("KEEP", 0), ("SLOPED", 0)];
        cx.program.push(Step {
            label: cx.label("window max"),
            op: "window max",
            kernel: Kernel {
                shader: "window_max",
                constants: all.into_iter().chain(loading.iter().copied()).collect(),
            },
            bindings: bindings.into_iter().chain(loaded.iter().copied()).collect(),
            role: LaneRole::All,
            immediates: words(&[kernel]),
            grid: Grid { items: place.shape.pixels() as u32, workgroup: 256, groups: 1 },
            flops: 0,
            bytes: 16 * (view.shape.pixels() * view.blocks()) as u64,
        });
        maxima = Some(("maxima", made, Access::Read));
    }
    let own = ending.behind(&[kernel, ("weight_unit", power(-e).to_bits())], job.offset(&place));
    for pass in ending.passes(job, cx, &place) {
        let bindings = operands(&view, Access::Read, [weights, bias], &place);
        let (after, extra) = ending.pass(job, cx, &pass, true);
        let bindings = bindings.into_iter().chain(maxima).chain(extra).chain(loaded.iter().copied()).collect();
        let shape = [("SIDE", matrices.side as i64), ("LANES", i64::from(cx.program.target().subgroup))];
        let parts = [("SPLIT", matrices.split as i64), ("WEIGHTS", parts as i64), ("HALF", half)];
        let spread = ("SPREAD", job.phase.is_some() as i64);
        cx.program.push(Step {
            label: cx.label("conv"),
            op: job.op(),
            kernel: Kernel {
                shader: "conv_coop",
                constants: after
                    .into_iter()
                    .chain([spread])
                    .chain(shape)
                    .chain(parts)
                    .chain(loading.iter().copied())
                    .collect(),
            },
            bindings,
            role: pass.role,
            immediates: words(&own),
            grid: Grid {
                items: place.shape.pixels() as u32,
                workgroup: TILE as u32,
                groups: (place.blocks * 4).div_ceil(TILE) as u32,
            },
            flops: job.flops,
            bytes: job.traffic(&view, &place),
        });
    }
    Ok(())
}
