//! Dense convolution, any odd or even kernel size, stride and zero padding, with bias.
//! `y[o] = b[o] + sum_{c,u,v} w[o,c,u,v] x[c, s y + u - p, s x + v - p]`. Linear: tangents get no bias.
//! One file per way to compute it: `cc` (CPU adapters), `winograd` (most 3x3 there), and for everything else the table `VARIANTS`.
//! What their kernels can do besides, on the load and on the store, is in `prologue` and `epilogue`; `passes::fuse` makes use of it.
mod cc;
mod coop;
mod epilogue;
mod igemm;
mod prologue;
pub(crate) mod winograd;

use self::coop::Matrices;
use self::igemm::Tile;
use super::weight_format::WeightFormat;
use super::window::{Backwards, Window, add_row, extent, inside};
use super::{Case, Locality, Lowering, Op, Place, Reverse, Share, View};
use crate::choice::{Class, Needs};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Immediate};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::sync::Arc;

pub use super::window::Padding;
pub(crate) use epilogue::{Epilogue, TimeRow};
pub(crate) use prologue::Loading;

/// Convolution with bias.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Channels read.
    pub in_channels: usize,
    /// Channels written.
    pub out_channels: usize,
    /// Side of the square kernel, pixels.
    pub kernel: usize,
    /// Pixels between outputs.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// `[out, in, kernel, kernel]`
    pub weight: Arc<[f32]>,
    /// `[out]`
    pub bias: Arc<[f32]>,
}

/// Largest error of any variant, of the largest output: f32 sums of a few thousand products of order-one numbers.
pub const BOUND: f64 = 2e-6;

/// A way to compute a convolution in the family `igemm`; all are within `BOUND` of the twin.
pub struct Variant {
    /// As choices have it.
    pub name: &'static str,
    /// What the adapter must have.
    pub needs: Needs,
    lower: fn(&Job, &mut Lowering) -> Result<()>,
}

/// Every variant; the first is for everything that nobody chose another for. Names of `igemm` say
/// pixels x channels of a tile, of `coop` what a number is made of and the sides of a matrix.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "igemm 64x64", needs: Needs::Nothing, lower: |job, cx| igemm::lower(job, cx, TILE64X64) },
    Variant { name: "igemm 128x64", needs: Needs::Nothing, lower: |job, cx| igemm::lower(job, cx, TILE128X64) },
    Variant { name: "igemm 128x128", needs: Needs::Nothing, lower: |job, cx| igemm::lower(job, cx, TILE128X128) },
    Variant {
        name: "igemm 64x64 unchecked",
        needs: Needs::Trust,
        lower: |job, cx| igemm::lower(job, cx, TILE64X64.unchecked()),
    },
    Variant {
        name: "igemm 128x64 unchecked",
        needs: Needs::Trust,
        lower: |job, cx| igemm::lower(job, cx, TILE128X64.unchecked()),
    },
    Variant {
        name: "igemm 128x128 unchecked",
        needs: Needs::Trust,
        lower: |job, cx| igemm::lower(job, cx, TILE128X128.unchecked()),
    },
    Variant { name: "coop f16x2 16x16", needs: Needs::Halves(16), lower: |job, cx| coop::lower(job, cx, SPLIT16) },
    Variant { name: "coop f16x2 8x8", needs: Needs::Halves(8), lower: |job, cx| coop::lower(job, cx, SPLIT8) },
    Variant { name: "coop f32 8x8", needs: Needs::Floats(8), lower: |job, cx| coop::lower(job, cx, FLOATS8) },
];
const TILE64X64: Tile = Tile { down: 8, across: 16, groups: 2, blocks: 1, checked: true };
const TILE128X64: Tile = Tile { down: 16, across: 8, groups: 2, blocks: 2, checked: true };
const TILE128X128: Tile = Tile { down: 16, across: 16, groups: 2, blocks: 2, checked: true };
const SPLIT16: Matrices = Matrices { side: 16, split: true };
const SPLIT8: Matrices = Matrices { side: 8, split: true };
const FLOATS8: Matrices = Matrices { side: 8, split: false };

/// The immediates that all convolution kernels share (`shaders/lib/conv_immediates.wgsl`), then the kernel's own.
pub(super) fn immediates(
    view: &View,
    place: &Place,
    group: u32,
    stride: usize,
    padding: Padding,
    own: &[Immediate],
) -> Vec<Immediate> {
    let (i, o) = (view.shape, place.shape);
    let sizes = [
        ("pixels", o.pixels()),
        ("out_w", o.w),
        ("in_h", i.h),
        ("in_w", i.w),
        ("in_stride", view.stride),
        ("out_stride", place.stride),
        ("out_offset", place.offset),
        ("blocks", view.blocks()),
        ("stride", stride),
        ("above", padding.rows[0]),
        ("left", padding.columns[0]),
    ]
    .map(|(name, v)| (name, v as u32));
    sizes.into_iter().chain(view.runs()).chain([("group", group)]).chain(own.iter().copied()).collect()
}

/// How many buffers every convolution kernel binds.
pub(crate) const OPERANDS: usize = 4;

/// What these are; x is read as `access` says.
fn operands(
    view: &View,
    access: Access,
    [weights, bias]: [BufferId; 2],
    place: &Place,
) -> [(&'static str, BufferId, Access); OPERANDS] {
    [
        ("x", view.buffer, access),
        ("weights", weights, Access::Read),
        ("bias", bias, Access::Read),
        ("y", place.buffer, Access::Write),
    ]
}

impl Conv {
    fn bias_buffer(&self, cx: &mut Lowering, blocks: usize) -> BufferId {
        let mut padded = self.bias.to_vec();
        padded.resize(blocks * 4, 0.0);
        cx.program.constant(cx.label("bias"), &padded)
    }

    /// The convolution whose weights are these transposed and turned around, with zeros above and to the left of them where
    /// `kernel` is larger. No stride, no bias.
    fn transposed(&self, kernel: usize, padding: Padding) -> Self {
        let (own, out, taps) = (self.kernel, self.out_channels, kernel * kernel);
        let mut weight = vec![0f32; out * self.in_channels * taps];
        for (i, filter) in self.weight.chunks_exact(own * own).enumerate() {
            let (o, c) = (i / self.in_channels, i % self.in_channels);
            let turned = &mut weight[(c * out + o) * taps..][..taps];
            for (t, &w) in filter.iter().enumerate() {
                turned[(kernel - 1 - t / own) * kernel + kernel - 1 - t % own] = w;
            }
        }
        Self {
            in_channels: out,
            out_channels: self.in_channels,
            kernel,
            stride: 1,
            padding,
            weight: weight.into(),
            bias: vec![0.0; self.in_channels].into(),
        }
    }

    /// What the input gets of a cotangent, along both axes.
    fn back(&self, g: &mut Reverse, [rows, columns]: [Backwards; 2]) -> Result<Share> {
        let (x, u) = (g.shape(g.input(0)), g.cotangent());
        if self.kernel == 1 {
            // It makes no zeros of anything but zeros: those are put between what it makes.
            let small = g.push("transposed", self.transposed(1, Padding::all(0)), &[u])?;
            let Padding { rows, columns } = self.padding;
            let places = [rows[0]..rows[0] + x.h, columns[0]..columns[0] + x.w];
            return Ok(Share::Whole(g.spread(small, self.stride, &places)?));
        }
        // An even kernel of the same sums is one that `fuse` takes apart, where the image has twice as many pixels.
        let [before, after] = rows.padding;
        let even = self.stride == 2 && rows.padding == columns.padding && before + after == self.kernel;
        let more = usize::from(even && !self.kernel.is_multiple_of(2));
        let around = |[before, after]: [usize; 2]| [before + more, after];
        let padding = Padding { rows: around(rows.padding), columns: around(columns.padding) };
        let spread = g.spread(u, self.stride, &[rows.places, columns.places])?;
        Ok(Share::Whole(g.push("transposed", self.transposed(self.kernel + more, padding), &[spread])?))
    }
}

/// What kernels are asked for: a convolution, and what they do around it.
pub(crate) struct Job<'a> {
    /// The convolution.
    pub conv: &'a Conv,
    /// What is done to x on the load.
    pub loading: Loading,
    /// What is done to the sums on the store.
    pub epilogue: &'a Epilogue,
    /// Row and column of the output among every 2x2 of a larger one, whose pixels lie that far apart.
    pub phase: Option<[usize; 2]>,
    /// Floating-point operations of all that per lane.
    pub flops: u64,
}

impl Job<'_> {
    /// As timings call it.
    const fn op(&self) -> &'static str {
        match (self.loading, self.conv.kernel) {
            (Loading::Filtered { .. }, _) => "depthwise + 1x1",
            (_, 1) => "conv 1x1",
            _ => "conv",
        }
    }

    /// Where a phase's pixels begin in the output, in pixels; 0 without phases.
    fn offset(&self, place: &Place) -> u32 {
        self.phase.map_or(0, |[a, b]| (a * 2 * place.shape.w + b) as u32)
    }

    /// Bytes read and written per lane.
    fn traffic(&self, view: &View, place: &Place) -> u64 {
        let written = place.shape.pixels() * place.blocks;
        let added = if self.epilogue.residual.is_some() { written } else { 0 };
        16 * (view.shape.pixels() * view.blocks() + written + added) as u64
    }

    /// Appends the dispatches.
    pub fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let conv = self.conv;
        match cx.family() {
            KernelFamily::Cpu if !matches!(self.loading, Loading::Plain) => {
                Err(Error::invalid(cx.node, "kernels of CPU adapters load an input as it is"))
            }
            KernelFamily::Cpu => match winograd::form(conv, cx).filter(|_| self.phase.is_none()) {
                Some(form) => winograd::lower(self, form, cx),
                None => cc::lower(self, cx),
            },
            KernelFamily::Gpu => {
                let class = Class {
                    kernel: conv.kernel,
                    stride: conv.stride,
                    inputs: conv.in_channels,
                    outputs: conv.out_channels,
                    pixels_log2: cx.whole.pixels().ilog2(),
                    half: cx.held == WeightFormat::F16,
                };
                let name = cx.program.choose(class, VARIANTS[0].name);
                let found = VARIANTS.iter().find(|v| v.name == name);
                let unknown = || {
                    let known: Vec<_> = VARIANTS.iter().map(|v| v.name).collect();
                    Error::invalid(cx.node, format!("no variant '{name}', expected one of {}", known.join(", ")))
                };
                (found.ok_or_else(unknown)?.lower)(self, cx)
            }
        }
    }
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        if s.c != self.in_channels {
            return Err(Error::invalid("input", format!("{} channels, the weights expect {}", s.c, self.in_channels)));
        }
        let (numbers, biases) = (self.out_channels * self.in_channels * self.kernel * self.kernel, self.out_channels);
        if self.weight.len() != numbers || self.bias.len() != biases {
            let found = format!("{} numbers and {} biases", self.weight.len(), self.bias.len());
            return Err(Error::invalid("weights", format!("{found}, expected {numbers} and {biases}")));
        }
        let side = |n, padding| extent(n, self.kernel, self.stride, padding);
        Ok(Shape::new(self.out_channels, side(s.h, self.padding.rows)?, side(s.w, self.padding.columns)?))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (x, k, Padding { rows, columns }) = (inputs[0], self.kernel, self.padding);
        // Where every output reads the pixel at its place, the image is one row.
        let alike = k == 1 && self.stride == 1 && self.padding == Padding::all(0);
        let s = if alike { Shape::new(shapes[0].c, 1, shapes[0].pixels()) } else { shapes[0] };
        let side = |n: usize, [before, after]: [usize; 2]| (n + before + after - k) / self.stride + 1;
        let (h, w) = (side(s.h, rows), side(s.w, columns));
        let mut y = Vec::with_capacity(self.out_channels * h * w);
        for o in 0..self.out_channels {
            let mut plane = vec![Dual::constant(self.bias[o] as f64); h * w];
            for c in 0..s.c {
                for (t, &weight) in self.weight[(o * s.c + c) * k * k..][..k * k].iter().enumerate() {
                    for (i, out) in plane.chunks_exact_mut(w).enumerate() {
                        let Some(r) = inside(i * self.stride + t / k, rows[0], s.h) else { continue };
                        let row = &x[(c * s.h + r) * s.w..][..s.w];
                        add_row(out, row, f64::from(weight), [self.stride, t % k, columns[0]]);
                    }
                }
            }
            y.append(&mut plane);
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (x, y) = (g.shape(g.input(0)), g.shape(g.output()));
        let back = |n, out, padding| Backwards::of(n, out, self.kernel, self.stride, padding);
        match (back(x.h, y.h, self.padding.rows), back(x.w, y.w, self.padding.columns)) {
            (Some(rows), Some(columns)) => Ok(vec![self.back(g, [rows, columns])?]),
            _ => Ok(vec![Share::Nothing]),
        }
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        2 * (output.len() * self.in_channels * self.kernel * self.kernel) as u64
    }

    fn weights(&self) -> Option<&[f32]> {
        Some(&self.weight)
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::Window(Window::of(self.kernel, self.stride, self.padding.rows))
    }

    fn padded(&self, rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { padding: self.padding.with_rows(rows)?, ..self.clone() }))
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (epilogue, flops) = (Epilogue::default(), self.flops(&[], cx.output.shape));
        Job { conv: self, loading: Loading::Plain, epilogue: &epilogue, phase: None, flops }.lower(cx)
    }
}

/// Weights as the kernels of `VARIANTS` read them: [tap][4 block + component][out block] of vec4 over 4 output channels.
fn packed(conv: &Conv, view: &View, place: &Place) -> Vec<f32> {
    let (taps, rows) = (conv.kernel * conv.kernel, view.blocks() * 4);
    let mut packed = vec![0f32; taps * rows * place.blocks * 4];
    for o in 0..conv.out_channels {
        for (c, &slot) in view.slots.iter().enumerate() {
            for t in 0..taps {
                packed[(t * rows + slot) * place.blocks * 4 + o] = conv.weight[(o * conv.in_channels + c) * taps + t];
            }
        }
    }
    packed
}

/// Numbers that look random and are the same everywhere, in -0.5..0.5.
pub(crate) fn noise(n: usize, salt: usize) -> Arc<[f32]> {
    (0..n).map(|i| ((i * 7919 + salt * 104_729 + 13) % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// A convolution with such weights.
pub(crate) fn noisy(ci: usize, co: usize, kernel: usize, stride: usize, padding: Padding) -> Conv {
    Conv {
        in_channels: ci,
        out_channels: co,
        kernel,
        stride,
        padding,
        weight: noise(co * ci * kernel * kernel, ci),
        bias: noise(co, co + 1),
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, ci: usize, co: usize, kernel: usize, stride: usize, padding: usize, h, w| Case {
        name,
        op: Arc::new(noisy(ci, co, kernel, stride, Padding::all(padding))),
        inputs: vec![Shape::new(ci, h, w)],
        row: None,
    };
    vec![
        case("1x1 5->7", 5, 7, 1, 1, 0, 3, 5),
        case("1x1 20->36", 20, 36, 1, 1, 0, 7, 5),
        case("1x1 132->16, two chunks", 132, 16, 1, 1, 0, 5, 3),
        case("1x1 160->32, two chunks", 160, 32, 1, 1, 0, 3, 3),
        case("1x1 stride 2, 5->6", 5, 6, 1, 2, 0, 5, 4),
        case("1x1 padded, 4->3", 4, 3, 1, 1, 1, 2, 3),
        case("3x3 1->6", 1, 6, 3, 1, 1, 6, 5),
        case("3x3 34->9, chunks", 34, 9, 3, 1, 1, 5, 6),
        case("3x3 stride 2, 6->10", 6, 10, 3, 2, 1, 7, 9),
        case("4x4 stride 2, 3->5", 3, 5, 4, 2, 1, 10, 6),
        case("3x3 40->36, tiles", 40, 36, 3, 1, 1, 5, 7),
        case("3x3 64->72, less than a tile", 64, 72, 3, 1, 1, 2, 3),
        case("3x3 no padding, 33->42, tiles", 33, 42, 3, 1, 0, 7, 10),
        case("3x3 68->42, the whole of an image", 68, 42, 3, 1, 1, 2, 2),
        case("3x3 140->32, tiles, two chunks", 140, 32, 3, 1, 1, 6, 4),
        case("5x5 no padding, 2->3", 2, 3, 5, 1, 0, 7, 6),
        case("7x7, 3->8", 3, 8, 7, 1, 3, 6, 5),
        Case {
            name: "3x3 stride 2, zeros below and right, 5->6",
            op: Arc::new(noisy(5, 6, 3, 2, Padding::trailing(0, 1))),
            inputs: vec![Shape::new(5, 6, 8)],
            row: None,
        },
    ]
}
