//! Dense convolution, any odd or even kernel size, stride and zero padding, with bias, and on the store (`after`): SiLU, a
//! time row, a residual.
//! `y[o] = b[o] + sum_{c,u,v} w[o,c,u,v] x[c, s y + u - p, s x + v - p]`. Linear: tangents get no bias. SiLU: `activation`.
//! One file per way to compute it: `cc` (CPU adapters), `winograd` (most 3x3 there), and for everything else the table `VARIANTS`.
mod after;
mod before;
mod cc;
mod coop;
mod igemm;
pub mod up;
pub(crate) mod winograd;

use self::coop::Matrices;
use super::fold::{Before, LoadKind, Loads, Setting, Then, TimeRow};
use super::held::Held;
use super::window::{extent, inside};
use super::{Band, Case, Family, Launch, Op, Place, Reads, View};
use crate::choice::{Class, Needs};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Immediate};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

pub use super::window::Padding;
pub use after::After;
pub use up::UpConv;

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
    /// What is done to the input first, on the load.
    pub load: Option<Arc<dyn Loads>>,
    /// `[out, in, kernel, kernel]`
    pub weight: Arc<[f32]>,
    /// `[out]`
    pub bias: Arc<[f32]>,
    /// Whether SiLU follows.
    pub silu: bool,
    /// What follows that, on the store.
    pub after: After,
}

/// Largest error of any variant, of the largest output: f32 sums of a few thousand products of order-one numbers.
pub const BOUND: f64 = 2e-6;

/// A way to compute a convolution in the family `igemm`; all are within `BOUND` of the twin.
pub struct Variant {
    /// As choices have it.
    pub name: &'static str,
    /// What the adapter must have.
    pub needs: Needs,
    launch: fn(&Conv, &mut Launch, Option<[usize; 2]>) -> Result<()>,
}

/// Every variant; the first is for everything that nobody chose another for. Names of `igemm` say
/// pixels x channels of a tile, of `coop` what a number is made of and the sides of a matrix.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "igemm 64x64", needs: Needs::Nothing, launch: |conv, cx, at| igemm::launch(conv, cx, at, [4, 1]) },
    Variant { name: "igemm 128x64", needs: Needs::Nothing, launch: |conv, cx, at| igemm::launch(conv, cx, at, [8, 1]) },
    Variant {
        name: "igemm 128x128",
        needs: Needs::Nothing,
        launch: |conv, cx, at| igemm::launch(conv, cx, at, [8, 2]),
    },
    Variant {
        name: "coop f16x2 16x16",
        needs: Needs::Halves(16),
        launch: |conv, cx, at| coop::launch(conv, cx, at, SPLIT16),
    },
    Variant {
        name: "coop f16x2 8x8",
        needs: Needs::Halves(8),
        launch: |conv, cx, at| coop::launch(conv, cx, at, SPLIT8),
    },
    Variant {
        name: "coop f32 8x8",
        needs: Needs::Floats(8),
        launch: |conv, cx, at| coop::launch(conv, cx, at, FLOATS8),
    },
];
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
const OPERANDS: usize = 4;

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
    fn bias_buffer(&self, cx: &mut Launch, blocks: usize) -> BufferId {
        let mut padded = self.bias.to_vec();
        padded.resize(blocks * 4, 0.0);
        cx.program.constant(cx.label("bias"), &padded)
    }

    /// As timings call it.
    fn op(&self) -> &'static str {
        match (self.load.as_ref().map(|load| load.kind()), self.kernel) {
            (Some(LoadKind::Depthwise { .. }), _) => "depthwise + 1x1",
            (_, 1) => "conv 1x1",
            _ => "conv",
        }
    }

    /// Appends the dispatches that make the output, or one of its phases.
    fn launch_phase(&self, cx: &mut Launch, phase: Option<[usize; 2]>) -> Result<()> {
        match cx.family() {
            _ if phase.is_none() && winograd::suits(self, cx) => winograd::launch(self, cx),
            Family::Cpu => cc::launch(self, cx, phase),
            Family::Gpu => {
                let class = Class {
                    kernel: self.kernel,
                    stride: self.stride,
                    inputs: self.in_channels,
                    outputs: self.out_channels,
                    pixels_log2: cx.whole.pixels().ilog2(),
                    half: cx.held == Held::F16,
                };
                let name = cx.program.choose(class, VARIANTS[0].name);
                let found = VARIANTS.iter().find(|v| v.name == name);
                let unknown = || {
                    let known: Vec<_> = VARIANTS.iter().map(|v| v.name).collect();
                    Error::invalid(cx.node, format!("no variant '{name}', expected one of {}", known.join(", ")))
                };
                (found.ok_or_else(unknown)?.launch)(self, cx, phase)
            }
        }
    }

    fn traffic(&self, view: &View, place: &Place) -> u64 {
        let written = place.shape.pixels() * place.blocks;
        let added = if self.after.residual.is_some() { written } else { 0 };
        16 * (view.shape.pixels() * view.blocks() + written + added) as u64
    }
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let reads = self.loaded(inputs.len());
        let z = self.after.split(&inputs[reads.min(inputs.len())..])?;
        let s = match &self.load {
            Some(load) => load.loaded(&inputs[..reads.min(inputs.len())])?,
            None => super::one(&inputs[..reads.min(inputs.len())])?,
        };
        if s.c != self.in_channels {
            return Err(Error::invalid("input", format!("{} channels, the weights expect {}", s.c, self.in_channels)));
        }
        let (numbers, biases) = (self.out_channels * self.in_channels * self.kernel * self.kernel, self.out_channels);
        if self.weight.len() != numbers || self.bias.len() != biases {
            let found = format!("{} numbers and {} biases", self.weight.len(), self.bias.len());
            return Err(Error::invalid("weights", format!("{found}, expected {numbers} and {biases}")));
        }
        let side = |n, padding| extent(n, self.kernel, self.stride, padding);
        let out = Shape::new(self.out_channels, side(s.h, self.padding.rows)?, side(s.w, self.padding.columns)?);
        match z {
            Some(z) if z != out => Err(Error::invalid("inputs", format!("{z} to add to an output of {out}"))),
            _ => Ok(out),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], times: &[Vec<f64>]) -> Vec<Dual> {
        let reads = self.loaded(inputs.len());
        let loaded = self.load.as_ref().map(|load| load.values(&inputs[..reads], &shapes[..reads], times));
        let x = loaded.as_deref().unwrap_or(inputs[0]);
        let k = self.kernel;
        let s = match &self.load {
            Some(load) => load.loaded(&shapes[..reads]).unwrap_or(shapes[0]), // its shape was checked
            None => shapes[0],
        };
        let Padding { rows, columns } = self.padding;
        let side = |n: usize, [before, after]: [usize; 2]| (n + before + after - k) / self.stride + 1;
        let (h, w) = (side(s.h, rows), side(s.w, columns));
        let mut y = Vec::with_capacity(self.out_channels * h * w);
        for o in 0..self.out_channels {
            let mut plane = vec![Dual::constant(self.bias[o] as f64); h * w];
            for c in 0..s.c {
                for (t, &weight) in self.weight[(o * s.c + c) * k * k..][..k * k].iter().enumerate() {
                    for i in 0..h {
                        let Some(r) = inside(i * self.stride + t / k, rows[0], s.h) else { continue };
                        for j in 0..w {
                            let Some(q) = inside(j * self.stride + t % k, columns[0], s.w) else { continue };
                            plane[i * w + j] += x[(c * s.h + r) * s.w + q] * weight as f64;
                        }
                    }
                }
            }
            y.extend(plane.into_iter().map(|v| if self.silu { v.silu() } else { v }));
        }
        self.after.twin(y, inputs.get(reads).copied(), times)
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        let load = self.load.as_ref().map_or(0, |load| load.cost(output));
        load + 2 * (output.len() * self.in_channels * self.kernel * self.kernel) as u64
    }

    fn weights(&self) -> Option<&[f32]> {
        Some(&self.weight)
    }

    fn reads(&self, input: usize, of: usize) -> Reads {
        match &self.load {
            _ if self.after.residual.is_some() && input + 1 == of => Reads::Ordered,
            Some(_) => Reads::InPlace,
            None => Reads::Anywhere,
        }
    }

    fn storage_buffers(&self, setting: Setting) -> usize {
        OPERANDS + self.load.is_some() as usize + self.after.storage_buffers(self.silu, setting)
    }

    fn then(&self, then: &Then) -> Option<Arc<dyn Op>> {
        let (silu, after) = self.after.then(self.silu, then)?;
        Some(Arc::new(Self { silu, after, ..self.clone() }))
    }

    fn before(&self, before: &Before, setting: Setting) -> Option<Arc<dyn Op>> {
        match before {
            Before::Doubled(doubling) => Some(Arc::new(UpConv::of(self, *doubling, setting.held)?)),
            Before::Loads(load) => {
                self.loads(load, setting).then(|| Arc::new(Self { load: Some(load.clone()), ..self.clone() }) as _)
            }
        }
    }

    fn band(&self, inputs: &[Shape], bands: &[Range<usize>], which: usize) -> Option<Band> {
        let (op, reads) = match &self.load {
            Some(load) => {
                let (load, padding, reads) = load.split(self.window_of_weights(), inputs[0], bands, which)?;
                (Self { load: Some(load), padding, ..self.clone() }, reads)
            }
            None => {
                let (rows, padding) = self.padding.band(&bands[which], self.kernel, self.stride, inputs[0].h)?;
                (Self { padding, ..self.clone() }, vec![(0, rows)])
            }
        };
        let reads = reads.into_iter().chain(self.after.reads(&bands[which])).collect();
        Some(Band { op: Some(Arc::new(op)), reads })
    }

    fn launch(&self, cx: &mut Launch) -> Result<()> {
        self.launch_phase(cx, None)
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
pub(super) fn noise(n: usize, salt: usize) -> Arc<[f32]> {
    (0..n).map(|i| ((i * 7919 + salt * 104_729 + 13) % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let conv = |ci: usize, co: usize, kernel: usize, stride: usize, padding: usize, trailing, silu| Conv {
        in_channels: ci,
        out_channels: co,
        kernel,
        stride,
        padding: Padding::trailing(padding, trailing),
        load: None,
        weight: noise(co * ci * kernel * kernel, ci),
        bias: noise(co, co + 1),
        silu,
        after: After::default(),
    };
    let all = |co: usize| After {
        row: Some(TimeRow { table: 0, entries: (0..co).rev().collect() }),
        silu: true,
        residual: Some([0.5, -1.25]),
    };
    let case = |name, ci: usize, co: usize, kernel: usize, stride: usize, padding: usize, h, w, silu| Case {
        name,
        op: Arc::new(conv(ci, co, kernel, stride, padding, 0, silu)),
        inputs: vec![Shape::new(ci, h, w)],
        row: None,
    };
    vec![
        case("1x1 5->7", 5, 7, 1, 1, 0, 3, 5, false),
        case("1x1 20->36 silu", 20, 36, 1, 1, 0, 7, 5, true),
        case("1x1 132->16, two chunks", 132, 16, 1, 1, 0, 5, 3, true),
        case("1x1 64->64 silu", 64, 64, 1, 1, 0, 6, 3, true),
        case("1x1 160->32, two chunks", 160, 32, 1, 1, 0, 3, 3, true),
        case("1x1 stride 2, 5->6", 5, 6, 1, 2, 0, 5, 4, false),
        case("1x1 padded, 4->3", 4, 3, 1, 1, 1, 2, 3, true),
        case("3x3 1->6", 1, 6, 3, 1, 1, 6, 5, true),
        case("3x3 34->9, chunks", 34, 9, 3, 1, 1, 5, 6, false),
        case("3x3 stride 2, 6->10", 6, 10, 3, 2, 1, 7, 9, false),
        case("4x4 stride 2, 3->5", 3, 5, 4, 2, 1, 10, 6, false),
        case("3x3 40->36 silu, tiles", 40, 36, 3, 1, 1, 5, 7, true),
        case("3x3 64->72 silu, less than a tile", 64, 72, 3, 1, 1, 2, 3, true),
        case("3x3 no padding, 33->42, tiles", 33, 42, 3, 1, 0, 7, 10, false),
        case("3x3 140->32, tiles, two chunks", 140, 32, 3, 1, 1, 6, 4, false),
        case("5x5 no padding, 2->3", 2, 3, 5, 1, 0, 7, 6, false),
        case("7x7, 3->8", 3, 8, 7, 1, 3, 6, 5, false),
        Case {
            name: "3x3 8->12, SiLU, time row, SiLU, residual",
            op: Arc::new(Conv { after: all(12), ..conv(8, 12, 3, 1, 1, 0, true) }),
            inputs: vec![Shape::new(8, 4, 5), Shape::new(12, 4, 5)],
            row: Some(12),
        },
        Case {
            name: "3x3 40->36, tiles, SiLU, time row, SiLU, residual",
            op: Arc::new(Conv { after: all(36), ..conv(40, 36, 3, 1, 1, 0, true) }),
            inputs: vec![Shape::new(40, 5, 8), Shape::new(36, 5, 8)],
            row: Some(36),
        },
        Case {
            name: "1x1 132->8, two chunks, time row, residual",
            op: Arc::new(Conv { after: After { silu: false, ..all(8) }, ..conv(132, 8, 1, 1, 0, 0, false) }),
            inputs: vec![Shape::new(132, 4, 5), Shape::new(8, 4, 5)],
            row: Some(8),
        },
        Case {
            name: "3x3 stride 2, zeros below and right, 5->6",
            op: Arc::new(conv(5, 6, 3, 2, 0, 1, true)),
            inputs: vec![Shape::new(5, 6, 8)],
            row: None,
        },
    ]
}
