//! Convolution of an image of twice the size: a transposed convolution of stride 2, or a convolution behind nearest-neighbour
//! up-sampling. The outputs of each phase (a, b) = (row, column) mod 2 see the small image through a small kernel of their
//! own: `y[2i+a, 2j+b] = sum_{u,v} w_ab[u,v] x[i+u-p_a, j+v-p_b]`, so no zero and no pixel is multiplied twice.
use super::after::After;
use super::{Conv, OPERANDS, Padding, noise};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::fold::{Doubling, Setting, Then};
use crate::ops::held::Held;
use crate::ops::{Band, Case, Launch, Op, Place, Reads};
use crate::shape::Shape;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Convolution of a doubled image.
#[derive(Clone, Debug)]
pub struct UpConv {
    /// Of the phases (0, 0), (0, 1), (1, 0), (1, 1), on the small image; sums alone.
    phases: [Conv; 4],
    /// Whether SiLU follows.
    silu: bool,
    /// What follows that.
    after: After,
    /// Whether the phases of even and of odd rows have an input each: a band's do not begin with the same row.
    apart: bool,
}

/// Where a phase's pixels begin in the output, in pixels; 0 without phases.
pub(super) fn offset(phase: Option<[usize; 2]>, place: &Place) -> u32 {
    phase.map_or(0, |[a, b]| (a * 2 * place.shape.w + b) as u32)
}

/// Along one axis, for outputs of parity `a`: the kernel's taps that fall on each of the small image's pixels, and how many
/// of those lie before the output's own.
fn axis(kernel: usize, padding: usize, doubling: Doubling, a: usize) -> Option<(Vec<Vec<usize>>, usize)> {
    let mut taps: BTreeMap<isize, Vec<usize>> = BTreeMap::new();
    for t in 0..kernel {
        let at = (a + t) as isize - padding as isize;
        if doubling == Doubling::Repeated || at % 2 == 0 {
            taps.entry(at.div_euclid(2)).or_default().push(t);
        }
    }
    let before = usize::try_from(-*taps.keys().next()?).ok()?;
    Some((taps.into_values().collect(), before))
}

impl UpConv {
    /// `conv` of a doubled image; none if its phases are not convolutions of one size, which keep the small image's, or if
    /// it sees single pixels.
    pub fn of(conv: &Conv, doubling: Doubling, held: Held) -> Option<Self> {
        let Padding { rows, columns } = conv.padding;
        let kept = if doubling == Doubling::Repeated { conv.kernel - 1 } else { conv.kernel };
        // Sums of rounded weights are not what rounding promises.
        let exact = doubling == Doubling::Spread || held == Held::F32;
        if conv.load.is_some()
            || conv.kernel == 1
            || conv.stride != 1
            || rows != columns
            || rows[0] + rows[1] != kept
            || !exact
        {
            return None;
        }
        let axes = [axis(conv.kernel, rows[0], doubling, 0)?, axis(conv.kernel, rows[0], doubling, 1)?];
        let kernel = axes[0].0.len();
        if axes[1].0.len() != kernel || axes.iter().any(|(_, before)| *before >= kernel) {
            return None;
        }
        let phase = |a: usize, b: usize| {
            let ((down, above), (across, left)) = (&axes[a], &axes[b]);
            let mut weight = Vec::with_capacity(conv.out_channels * conv.in_channels * kernel * kernel);
            for filter in conv.weight.chunks_exact(conv.kernel * conv.kernel) {
                for (rows, columns) in down.iter().flat_map(|r| across.iter().map(move |c| (r, c))) {
                    let all = rows.iter().flat_map(|r| columns.iter().map(move |c| filter[r * conv.kernel + c]));
                    weight.push(all.map(f64::from).sum::<f64>() as f32);
                }
            }
            let ends = |before: usize| [before, kernel - 1 - before];
            Conv {
                kernel,
                padding: Padding { rows: ends(*above), columns: ends(*left) },
                weight: weight.into(),
                silu: false,
                after: After::default(),
                ..conv.clone()
            }
        };
        let phases = [phase(0, 0), phase(0, 1), phase(1, 0), phase(1, 1)];
        Some(Self { phases, silu: conv.silu, after: conv.after.clone(), apart: false })
    }

    /// Input of the phases of rows of parity `a`.
    fn input(&self, a: usize) -> usize {
        if self.apart { a } else { 0 }
    }

    fn inputs(&self) -> usize {
        1 + self.apart as usize
    }
}

impl Op for UpConv {
    fn name(&self) -> &'static str {
        "up_conv"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let expected = self.inputs() + self.after.residual.is_some() as usize;
        if inputs.len() != expected {
            return Err(Error::invalid("inputs", format!("found {}, expected {expected}", inputs.len())));
        }
        let small = self.phases[0].shape(&inputs[..1])?;
        for (i, phase) in self.phases.iter().enumerate() {
            let shape = phase.shape(&[inputs[self.input(i / 2)]])?;
            if shape != small {
                return Err(Error::invalid("input", format!("{shape} of one phase, {small} of another")));
            }
        }
        let out = Shape::new(small.c, 2 * small.h, 2 * small.w);
        match inputs.get(self.inputs()) {
            Some(&z) if z != out => Err(Error::invalid("inputs", format!("{z} to add to an output of {out}"))),
            _ => Ok(out),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], times: &[Vec<f64>]) -> Vec<Dual> {
        let made: Vec<Vec<Dual>> = (0..4)
            .map(|i| {
                let input = self.input(i / 2);
                self.phases[i].twin(&[inputs[input]], &[shapes[input]], times)
            })
            .collect();
        let (c, w) = (self.phases[0].out_channels, shapes[0].w);
        let h = made[0].len() / c / w;
        let mut y = Vec::with_capacity(4 * made[0].len());
        for i in (0..c).flat_map(|c| (0..2 * h).map(move |i| (c, i))) {
            let (c, row) = i;
            y.extend((0..2 * w).map(|column| made[row % 2 * 2 + column % 2][(c * h + row / 2) * w + column / 2]));
        }
        if self.silu {
            y.iter_mut().for_each(|v| *v = v.silu());
        }
        self.after.twin(y, inputs.get(self.inputs()).copied(), times)
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        let small = Shape::new(output.c, output.h / 2, output.w / 2);
        self.phases.iter().map(|phase| phase.flops(&[], small)).sum()
    }

    fn reads(&self, input: usize, _: usize) -> Reads {
        if input < self.inputs() { Reads::Anywhere } else { Reads::Ordered }
    }

    fn storage_buffers(&self, setting: Setting) -> usize {
        OPERANDS + self.after.storage_buffers(self.silu, setting)
    }

    fn then(&self, then: &Then) -> Option<Arc<dyn Op>> {
        let (silu, after) = self.after.then(self.silu, then)?;
        Some(Arc::new(Self { silu, after, ..self.clone() }))
    }

    fn band(&self, inputs: &[Shape], bands: &[Range<usize>], which: usize) -> Option<Band> {
        let out = &bands[which];
        if self.apart || !out.start.is_multiple_of(2) || !out.end.is_multiple_of(2) {
            return None;
        }
        let small = out.start / 2..out.end / 2;
        let rows = |a: usize| {
            let phase = &self.phases[2 * a];
            phase.padding.band(&small, phase.kernel, 1, inputs[0].h)
        };
        let cut = [rows(0)?, rows(1)?];
        let mut op = Self { apart: true, ..self.clone() };
        for (i, phase) in op.phases.iter_mut().enumerate() {
            phase.padding.rows = cut[i / 2].1.rows;
        }
        let reads = cut.into_iter().map(|(rows, _)| (0, rows)).chain(self.after.reads(out)).collect();
        Some(Band { op: Some(Arc::new(op)), reads })
    }

    fn launch(&self, cx: &mut Launch) -> Result<()> {
        let (inputs, output) = (cx.inputs.clone(), cx.output.clone());
        let s = output.shape;
        for (i, phase) in self.phases.iter().enumerate() {
            let x = inputs[self.input(i / 2)].clone();
            cx.inputs = [x].into_iter().chain(inputs.get(self.inputs()).cloned()).collect();
            cx.output = Place { shape: Shape::new(s.c, s.h / 2, s.w / 2), ..output.clone() };
            let conv = Conv { silu: self.silu, after: self.after.clone(), ..phase.clone() };
            conv.launch_phase(cx, Some([i / 2, i % 2]))?;
        }
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, ci: usize, co: usize, kernel: usize, doubling, h, w, silu, after: After| {
        let kept = if doubling == Doubling::Repeated { kernel - 1 } else { kernel };
        let conv = Conv {
            in_channels: ci,
            out_channels: co,
            kernel,
            stride: 1,
            padding: Padding::trailing(kept / 2, kept % 2),
            load: None,
            weight: noise(co * ci * kernel * kernel, ci),
            bias: noise(co, co + 1),
            silu,
            after,
        };
        let residual = conv.after.residual.map(|_| Shape::new(co, 2 * h, 2 * w));
        let row = conv.after.row.as_ref().map(|r| r.entries.len());
        UpConv::of(&conv, doubling, Held::F32).map(|op| Case {
            name,
            op: Arc::new(op),
            inputs: [Shape::new(ci, h, w)].into_iter().chain(residual).collect(),
            row,
        })
    };
    let all = After {
        row: Some(crate::ops::fold::TimeRow { table: 0, entries: (0..8).rev().collect() }),
        silu: true,
        residual: Some([0.5, -1.25]),
    };
    [
        case("nearest, then 3x3, 5->7", 5, 7, 3, Doubling::Repeated, 3, 4, true, After::default()),
        case("nearest, then 3x3, 20->8, all that may follow", 20, 8, 3, Doubling::Repeated, 4, 3, false, all),
        case("transposed 4x4, 6->10", 6, 10, 4, Doubling::Spread, 3, 5, false, After::default()),
        case("transposed 2x2, 5->6", 5, 6, 2, Doubling::Spread, 3, 4, true, After::default()),
        case("nearest, then 5x5, 3->4", 3, 4, 5, Doubling::Repeated, 2, 3, false, After::default()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
