//! Depthwise 3x3 convolution (one filter per channel), stride 1 or 2, zero padding 1, with bias.
//! `y[c] = b[c] + sum_{u,v} w[c,u,v] x[c, s y + u - 1, s x + v - 1]`. Linear: tangent lanes get no bias.
//! Channels stay where they are, so weights are laid out to match the input's blocks.
use super::conv::{Loading, immediates, noise};
use super::window::{Backwards, Padding, Window, add_row, extent, inside};
use super::{Case, Locality, Lowering, Op, Reverse, Share, View};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Kernel, LaneRole, Step, named};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::sync::Arc;

/// 3x3 convolution of each channel alone, with bias.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// Channels read and written.
    pub channels: usize,
    /// Pixels between outputs.
    pub stride: usize,
    /// Zeros around the input: one on every side of a whole image.
    pub padding: Padding,
    /// `[channels, 3, 3]`
    pub weight: Arc<[f32]>,
    /// `[channels]`
    pub bias: Arc<[f32]>,
}

/// Rows and columns of output pixels that one thread of the CPU kernel makes; neighbours share their loads.
const TILE: (usize, usize) = (2, 4);

impl Depthwise {
    /// Weights and bias in the input's order: [block][9 taps, then bias] of vec4 over the block's channels.
    fn packed(&self, view: &View) -> Vec<f32> {
        let mut packed = vec![0f32; view.blocks() * 40];
        for (c, &slot) in view.slots.iter().enumerate() {
            let at = slot / 4 * 40 + slot % 4;
            for t in 0..9 {
                packed[at + 4 * t] = self.weight[c * 9 + t];
            }
            packed[at + 36] = self.bias[c];
        }
        packed
    }

    /// What a convolution's kernels need to filter the node's input as they load it.
    pub(crate) fn loading(&self, cx: &mut Lowering) -> Loading {
        let packed = self.packed(&cx.inputs[0]);
        let filters = cx.program.constant(cx.label("filters"), &packed);
        Loading::Filtered { filters, stride: self.stride, padding: self.padding }
    }
}

impl Op for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        if s.c != self.channels {
            return Err(Error::invalid("input", format!("{} channels, the weights expect {}", s.c, self.channels)));
        }
        let side = |n, padding| extent(n, 3, self.stride, padding);
        Ok(Shape::new(s.c, side(s.h, self.padding.rows)?, side(s.w, self.padding.columns)?))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let s = shapes[0];
        let Padding { rows, columns } = self.padding;
        let side = |n: usize, [before, after]: [usize; 2]| (n + before + after - 3) / self.stride + 1;
        let (h, w) = (side(s.h, rows), side(s.w, columns));
        let mut y = Vec::with_capacity(s.c * h * w);
        for c in 0..s.c {
            let mut plane = vec![Dual::constant(f64::from(self.bias[c])); h * w];
            for (t, &weight) in self.weight[c * 9..(c + 1) * 9].iter().enumerate() {
                for (i, out) in plane.chunks_exact_mut(w).enumerate() {
                    let Some(r) = inside(i * self.stride + t / 3, rows[0], s.h) else { continue };
                    let row = &inputs[0][(c * s.h + r) * s.w..][..s.w];
                    add_row(out, row, f64::from(weight), [self.stride, t % 3, columns[0]]);
                }
            }
            y.append(&mut plane);
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (x, y, u) = (g.shape(g.input(0)), g.shape(g.output()), g.cotangent());
        let back = |n, out, padding| Backwards::of(n, out, 3, self.stride, padding);
        let (Some(rows), Some(columns)) = (back(x.h, y.h, self.padding.rows), back(x.w, y.w, self.padding.columns))
        else {
            return Ok(vec![Share::Nothing]);
        };
        let padding = Padding { rows: rows.padding, columns: columns.padding };
        let weight = self.weight.chunks_exact(9).flat_map(|filter| filter.iter().rev()).copied().collect();
        let spread = g.spread(u, self.stride, &[rows.places, columns.places])?;
        let bias = vec![0.0; self.channels].into();
        let transposed = Self { stride: 1, padding, weight, bias, ..self.clone() };
        Ok(vec![Share::Whole(g.push("transposed", transposed, &[spread])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        18 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::Window(Window::of(3, self.stride, self.padding.rows))
    }

    fn padded(&self, rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { padding: self.padding.with_rows(rows)?, ..self.clone() }))
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.lower_then(cx, None, self.flops(&[], cx.output.shape));
        Ok(())
    }
}

impl Depthwise {
    /// The kernel, perhaps with a product on its store, and so many operations per lane.
    pub(crate) fn lower_then(&self, cx: &mut Lowering, times: Option<View>, flops: u64) {
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        let weights = cx.program.constant(cx.label("weights"), &self.packed(&view));
        let factor = times.as_ref().map_or_else(Vec::new, |z| {
            let lanes = named(["z_to", "z_from"], z.apart.unwrap_or([1, 1]));
            z.second().into_iter().chain(lanes).collect()
        });
        let words = immediates(&view, &place, cx.program.group(), self.stride, self.padding, &factor);
        let s = place.shape;
        let (rows, columns) = TILE;
        let blocks = [4, 2, 1].into_iter().find(|b| place.blocks.is_multiple_of(*b)).unwrap_or(1);
        let (shader, access, grid, constants) = match cx.family() {
            KernelFamily::Cpu => (
                "depthwise_cc",
                Access::Image,
                Grid {
                    items: (s.h.div_ceil(rows) * s.w.div_ceil(columns)) as u32,
                    workgroup: 256,
                    groups: (place.blocks / blocks) as u32,
                },
                [
                    ("ROWS", rows),
                    ("COLUMNS", columns),
                    ("STRIDE", self.stride),
                    ("BLOCKS", blocks),
                    ("PAIRS", place.pairs(blocks) as usize),
                ]
                .map(|(name, value)| (name, value as i64))
                .to_vec(),
            ),
            KernelFamily::Gpu => (
                "depthwise",
                Access::Read,
                Grid { items: (s.pixels() * place.blocks) as u32, workgroup: 256, groups: 1 },
                vec![],
            ),
        };
        let constants = constants.into_iter().chain([("TIMES", i64::from(times.is_some()))]).collect();
        if access == Access::Image {
            for view in [Some(&view), times.as_ref()].into_iter().flatten() {
                cx.program.mirror(view.buffer, view.bytes());
            }
        }
        let factor = times.map(|z| ("z", z.buffer, access));
        cx.program.push(Step {
            label: cx.label("depthwise"),
            op: "depthwise",
            kernel: Kernel { shader, constants },
            bindings: [
                ("x", view.buffer, access),
                ("weights", weights, Access::Read),
                ("y", place.buffer, Access::Write),
            ]
            .into_iter()
            .chain(factor)
            .collect(),
            role: LaneRole::All,
            immediates: words,
            grid,
            flops,
            bytes: 16 * (view.blocks() * view.shape.pixels() + place.blocks * s.pixels()) as u64,
        });
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let padded = |name, c: usize, stride, h, w, padding| Case {
        name,
        op: Arc::new(Depthwise { channels: c, stride, padding, weight: noise(c * 9, c), bias: noise(c, c + 3) }),
        inputs: vec![Shape::new(c, h, w)],
        row: None,
    };
    let case = |name, c, stride, h, w| padded(name, c, stride, h, w, Padding::all(1));
    vec![
        case("7 channels", 7, 1, 5, 6),
        case("12 channels, stride 2", 12, 2, 7, 10),
        case("5 channels, stride 2, even", 5, 2, 6, 4),
        case("24 channels", 24, 1, 5, 6),
        case("32 channels, stride 2", 32, 2, 7, 6),
        case("21 channels, wide", 21, 1, 3, 11),
        padded("9 channels, no zeros around them", 9, 1, 6, 9, Padding::all(0)),
        padded("9 channels, other zeros on every side", 9, 2, 6, 9, Padding { rows: [0, 1], columns: [2, 3] }),
    ]
}
