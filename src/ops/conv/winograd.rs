//! 3x3 convolutions of stride 1 by minimal filtering (Winograd 1980), a quarter of the products: `y = A' ((G g G') . (B' d B)) A` for
//! every tile of 4x4 outputs, F(4x4, 3x3) (Lavin, Gray, arXiv 1509.09308), or for the whole of an image of 2x2 pixels, whose borders
//! make four taps of nine idle. In: view and place of the convolution. Out: three steps per piece of the image: transform in, a product
//! with a matrix of its own at each position, transform out.
use super::epilogue::{Ending, Epilogue};
use super::{Conv, Job, Loading, Padding, cc, immediates};
use crate::error::Result;
use crate::ops::elementwise::Elementwise;
use crate::ops::weight_format::WeightFormat;
use crate::ops::{Lowering, Op, Place, Segment, View};
use crate::program::{Access, BufferId, Grid, Kernel, SPARE, Step};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Side of a tile of outputs; bands of rows begin at multiples of it, so that they have the tiles of the whole.
pub(crate) const TILE: usize = 4;

/// What is computed at one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Side of a tile of outputs.
    outputs: usize,
    /// Pixels of a side that are read.
    reads: usize,
    /// G: a row per position of a side, by which a filter's three taps are multiplied.
    filter: fn() -> Vec<[f64; 3]>,
    /// Operations of one component in a pass of the transform in, and of the transform out.
    flops: [usize; 2],
    /// Whether it is all of an image.
    whole: bool,
}

/// F(4x4, 3x3), for images of any size.
const TILES: Form = Form { outputs: TILE, reads: TILE + 2, filter: interpolation, flops: [22, 14], whole: false };
/// An image of 2x2 pixels within zeros. `y0 = w1 x0 + w2 x1` and `y1 = w0 x0 + w1 x1` share `w1 (x0 + x1)`: three products instead of four
/// in each direction, nine instead of the 36 of nine taps. Accuracy: a result is the sum of two products, of which one was taken away.
const WHOLE: Form = Form {
    outputs: 2,
    reads: 2,
    filter: || vec![[1.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 1.0]],
    flops: [1, 2],
    whole: true,
};

impl Form {
    /// Positions of a side.
    fn side(&self) -> usize {
        if self.whole { 3 } else { TILE + 2 }
    }

    /// Sums over channels that a tile takes.
    fn positions(&self) -> usize {
        self.side() * self.side()
    }

    /// Blocks from a tile to the next: all positions, and a cache line. Without it tiles of 256 channels, or a multiple, would lie multiples
    /// of 4 KiB apart, which share few sets of a cache.
    fn stride(&self, blocks: usize) -> usize {
        self.positions() * blocks + 4
    }

    /// Bytes of a tile's positions.
    fn bytes(&self, blocks: usize) -> u64 {
        16 * self.stride(blocks) as u64
    }

    fn constant(&self) -> (&'static str, i64) {
        ("WHOLE", i64::from(self.whole))
    }
}

/// Bytes per lane that either scratch buffer may have: as many as what the convolution reads or writes, which fits a binding,
/// within these limits. Larger images go through them in pieces; larger pieces gained nothing, and these fill workgroups even
/// with the pixels of two lanes.
const SCRATCH: RangeInclusive<u64> = 1 << 20..=16 << 20;

/// Finite points of the interpolation; the last is infinity. Of points that are short in binary these lose least: twice a direct
/// f32 sum's rounding in the mean (0, +-1, +-2: four times), half of it where inputs are smooth.
const POINTS: [f64; 5] = [0.0, 0.75, -0.75, 1.5, -1.5];

/// Pixels of a network's largest image, up to which its convolutions go by tiles: transformed filters are four times as many
/// numbers. Beyond it tensors want the memory: an NCSN++ at 256x256 takes 1 GiB without, 1.7 GiB with them.
const LARGEST: usize = 64 * 64;

/// How a convolution goes this way, if it does: by the network and by the convolution's shape as far as bands of its image share
/// that, so that they do as the whole does. Weights that the device rounds to f16 would have to be f32 here.
pub(super) fn form(conv: &Conv, cx: &Lowering) -> Option<Form> {
    let (read, written) = (conv.in_channels, conv.out_channels);
    let able = cx.family() == KernelFamily::Cpu && !cx.direct && cx.held == WeightFormat::F32;
    let s = cx.output.shape;
    let small = (s.h, s.w) == (2, 2) && conv.padding == Padding::all(1) && pays(read, written, 1, 1);
    let form = if small { WHOLE } else { TILES };
    let suits = small || cx.largest <= LARGEST && pays(read, written, s.w, TILE);
    (able && suits && (conv.kernel, conv.stride) == (3, 1) && form.bytes(cx.output.blocks) <= SPARE).then_some(form)
}

/// Whether it is faster for square images in tiles of that side: a pixel of a tile costs 2.25 multiply-adds per pair of channels, and
/// transforms, loads and stores as much as 56 per channel read and 115 per channel written (llvmpipe, 16 to 128 channels at
/// 16x16), where a direct one costs 9 per pair. Tiles at the edges are whole.
fn pays(read: usize, written: usize, width: usize, tile: usize) -> bool {
    let (direct, tiled) = (9 * read * written, 9 * read * written / 4 + 56 * read + 115 * written);
    direct * width.pow(2) > tiled * width.next_multiple_of(tile).pow(2)
}

pub(super) fn lower(job: &Job, form: Form, cx: &mut Lowering) -> Result<()> {
    let conv = job.conv;
    let (inputs, place) = (cx.inputs.clone(), cx.output.clone());
    let view = inputs[0].clone();
    let across = place.shape.w.div_ceil(form.outputs);
    let tiles = across * place.shape.h.div_ceil(form.outputs);
    let (read, written) = (view.blocks(), place.blocks);
    let own = view.bytes().max(16 * (place.stride * place.shape.pixels()) as u64);
    let scratch = own.clamp(*SCRATCH.start(), *SCRATCH.end()).min(cx.program.budget().unwrap_or(u64::MAX));
    let most = (scratch / form.bytes(read.max(written))).max(1) as usize;
    let pieces = tiles.div_ceil(most);
    let products = Conv {
        kernel: 1,
        padding: Padding::all(0),
        weight: transformed(conv, &form),
        bias: vec![].into(),
        ..conv.clone()
    };
    let plain = Epilogue::default();
    let bias = conv.bias_buffer(cx, written);
    let ending = Ending::of(job.epilogue, cx)?;
    for piece in 0..pieces {
        let (first, end) = (piece * tiles / pieces, (piece + 1) * tiles / pieces);
        let count = end - first;
        let scratch = |cx: &mut Lowering, name, blocks, channels| Place {
            buffer: cx.shared(name, form.bytes(blocks) * count as u64),
            shape: Shape::new(channels, 1, count),
            stride: form.stride(blocks),
            offset: 0,
            blocks,
            slots: (0..channels).collect(),
        };
        let inside = scratch(cx, "winograd in", read, view.shape.c);
        let outside = scratch(cx, "winograd out", written, place.shape.c);
        let reads = |from: &Place, slots: &[usize]| View {
            buffer: from.buffer,
            shape: from.shape,
            stride: from.stride,
            segments: vec![Segment { first: 0, count: from.blocks }],
            slots: slots.to_vec(),
            apart: None,
        };
        // The whole of an image is read without its borders.
        let pad = [conv.padding.rows[0], conv.padding.columns[0]].map(|n| if form.whole { 0 } else { n as u32 });
        let i = view.shape;
        (cx.inputs, cx.output) = (vec![view.clone()], inside.clone());
        Elementwise {
            name: "winograd_in",
            own: &[
                ("in_h", i.h as u32),
                ("in_w", i.w as u32),
                ("across", across as u32),
                ("above", pad[0]),
                ("left", pad[1]),
                ("first", first as u32),
            ],
            constants: &[form.constant()],
            pairs: true,
            // A pass per column that is read, and one per row of positions, over four channels.
            flops: (count * read * 4 * (form.reads + form.side()) * form.flops[0]) as u64,
            ..Default::default()
        }
        .push(cx);
        (cx.inputs, cx.output) = (vec![reads(&inside, &view.slots)], outside.clone());
        let flops = products.flops(&[], outside.shape);
        let each = Job { conv: &products, loading: Loading::Plain, epilogue: &plain, phase: None, flops };
        cc::at_positions(&each, form.positions(), "conv winograd", cx)?;
        (cx.inputs, cx.output) = (inputs.clone(), place.clone());
        stored(job, cx, &form, &ending, bias, &reads(&outside, &place.slots), [across, first]);
    }
    Ok(())
}

/// The transform out: the tiles of `sums`, of `across` in a row of the output the ones from `first` on, stored with bias and epilogue.
fn stored(
    job: &Job,
    cx: &mut Lowering,
    form: &Form,
    ending: &Ending,
    bias: BufferId,
    sums: &View,
    [across, first]: [usize; 2],
) {
    let (place, count) = (cx.output.clone(), sums.shape.w);
    let own = ending.behind(&[("across", across as u32), ("first", first as u32)], 0);
    cx.program.mirror(sums.buffer, sums.bytes());
    for pass in ending.passes(job, cx, &place) {
        let (mut constants, extra) = ending.pass(job, cx, &pass, true);
        let pairs = place.pairs(place.blocks);
        constants.extend([form.constant(), ("PAIRS", i64::from(pairs))]);
        let bindings =
            [("x", sums.buffer, Access::Image), ("bias", bias, Access::Read), ("y", place.buffer, Access::Write)];
        let words = immediates(sums, &place, cx.program.group(), 1, Padding::all(0), &own);
        cx.program.push(Step {
            label: cx.label("winograd_out"),
            op: "winograd_out",
            kernel: Kernel { shader: "winograd_out", constants },
            bindings: bindings.into_iter().chain(extra).collect(),
            role: pass.role,
            immediates: words,
            grid: Grid { items: (count * place.blocks / (1 + usize::from(pairs))) as u32, workgroup: 256, groups: 1 },
            // A pass per column of positions, and one per row that is written, over four channels.
            flops: (count * place.blocks * 4 * (form.side() + form.outputs) * form.flops[1]) as u64,
            bytes: 16 * (count * (form.positions() + form.outputs.pow(2)) * place.blocks) as u64,
        });
    }
}

/// G of the points: the rows that a filter's three taps are multiplied by.
fn interpolation() -> Vec<[f64; 3]> {
    let row = |&p: &f64| {
        let scale: f64 = POINTS.iter().filter(|&&q| q != p).map(|q| p - q).product();
        [1.0, p, p * p].map(|power| power / scale)
    };
    POINTS.iter().map(row).chain([[0.0, 0.0, 1.0]]).collect()
}

/// U = G g G' of every pair of channels, `[position][out][in]`: in f64, rounded once.
fn transformed(conv: &Conv, form: &Form) -> Arc<[f32]> {
    let (g, pairs) = ((form.filter)(), conv.out_channels * conv.in_channels);
    let mut all = vec![0f32; g.len() * g.len() * pairs];
    for (pair, taps) in conv.weight.chunks_exact(9).enumerate() {
        for (i, rows) in g.iter().enumerate() {
            let column = |j: usize| -> f64 { (0..3).map(|r| rows[r] * f64::from(taps[3 * r + j])).sum() };
            let row = [column(0), column(1), column(2)];
            for (j, columns) in g.iter().enumerate() {
                let u: f64 = (0..3).map(|c| row[c] * columns[c]).sum();
                all[(g.len() * i + j) * pairs + pair] = u as f32;
            }
        }
    }
    all.into()
}
