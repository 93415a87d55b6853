//! Convolution of an image of twice the size: a transposed convolution of stride 2, or a convolution behind nearest-neighbour
//! up-sampling. The outputs of each phase (a, b) = (row, column) mod 2 see the small image through a small kernel of their
//! own: `y[2i+a, 2j+b] = sum_{u,v} w_ab[u,v] x[i+u-p_a, j+v-p_b]`, so no zero and no pixel is multiplied twice.
use super::Fused;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::conv::{Conv, Epilogue, Job, Loading, OPERANDS, Padding, TimeRow, noisy};
use crate::ops::weight_format::WeightFormat;
use crate::ops::window::Window;
use crate::ops::{Case, Lowering, Op, Place, Reads};
use crate::shape::Shape;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// How an image becomes twice as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubling {
    /// Every pixel twice along each axis.
    Repeated,
    /// A zero between every two: 2n - 1 of n.
    Spread,
}

/// Convolution of a doubled image.
#[derive(Clone, Debug)]
pub(crate) struct UpConv {
    /// Of the phases (0, 0), (0, 1), (1, 0), (1, 1), on the small image; sums alone.
    phases: [Conv; 4],
    /// What is done to those.
    pub epilogue: Epilogue,
    /// Whether the phases of even and of odd rows have an input each: a band's do not begin with the same row.
    apart: bool,
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
    pub fn of(conv: &Conv, doubling: Doubling, held: WeightFormat) -> Option<Self> {
        let Padding { rows, columns } = conv.padding;
        let kept = if doubling == Doubling::Repeated { conv.kernel - 1 } else { conv.kernel };
        // Sums of rounded weights are not what rounding promises.
        let exact = doubling == Doubling::Spread || held == WeightFormat::F32;
        let same = rows == columns && rows[0] + rows[1] == kept;
        if conv.kernel == 1 || conv.stride != 1 || !same || !exact {
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
                ..conv.clone()
            }
        };
        let phases = [phase(0, 0), phase(0, 1), phase(1, 0), phase(1, 1)];
        Some(Self { phases, epilogue: Epilogue::default(), apart: false })
    }

    /// The same with another epilogue.
    pub fn with(&self, epilogue: Epilogue) -> Self {
        Self { epilogue, ..self.clone() }
    }

    /// Input of the phases of rows of parity `a`.
    fn input(&self, a: usize) -> usize {
        if self.apart { a } else { 0 }
    }

    fn inputs(&self) -> usize {
        1 + self.apart as usize
    }

    /// The op for rows `out` of its output, of an input of `h` rows, and the rows that its phases of even and of odd rows read.
    pub fn rows(&self, out: &Range<usize>, h: usize) -> Option<(Self, [Range<usize>; 2])> {
        if self.apart || !out.start.is_multiple_of(2) || !out.end.is_multiple_of(2) {
            return None;
        }
        let small = out.start / 2..out.end / 2;
        let mut op = Self { apart: true, ..self.clone() };
        let mut reads = [small.clone(), small.clone()];
        for (i, phase) in op.phases.iter_mut().enumerate() {
            let (rows, padding) = Window::of(phase.kernel, 1, phase.padding.rows).cut(&small, h);
            phase.padding = phase.padding.with_rows(padding)?;
            reads[i / 2] = rows;
        }
        Some((op, reads))
    }
}

impl Fused for UpConv {
    fn storage_buffers(&self, tangents: bool) -> usize {
        OPERANDS + self.epilogue.storage_buffers(tangents)
    }
}

impl Op for UpConv {
    fn name(&self) -> &'static str {
        "up_conv"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        if inputs.len() < self.inputs() {
            return Err(Error::invalid("inputs", format!("found {}, expected {}", inputs.len(), self.inputs())));
        }
        let small = self.phases[0].shape(&inputs[..1])?;
        for (i, phase) in self.phases.iter().enumerate() {
            let shape = phase.shape(&[inputs[self.input(i / 2)]])?;
            if shape != small {
                return Err(Error::invalid("input", format!("{shape} of one phase, {small} of another")));
            }
        }
        self.epilogue.shape(&inputs[self.inputs()..], Shape::new(small.c, 2 * small.h, 2 * small.w))
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
        self.epilogue.twin(y, inputs.get(self.inputs()).copied(), times)
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        let small = Shape::new(output.c, output.h / 2, output.w / 2);
        self.phases.iter().map(|phase| phase.flops(&[], small)).sum()
    }

    fn reads(&self, input: usize, _: usize) -> Reads {
        if input < self.inputs() { Reads::Anywhere } else { Reads::Ordered }
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (inputs, output) = (cx.inputs.clone(), cx.output.clone());
        let s = output.shape;
        for (i, phase) in self.phases.iter().enumerate() {
            let x = inputs[self.input(i / 2)].clone();
            cx.inputs = [x].into_iter().chain(inputs.get(self.inputs()).cloned()).collect();
            cx.output = Place { shape: Shape::new(s.c, s.h / 2, s.w / 2), ..output.clone() };
            let (flops, phase) = (phase.flops(&[], cx.output.shape), Some([i / 2, i % 2]));
            Job { conv: &self.phases[i], loading: Loading::Plain, epilogue: &self.epilogue, phase, flops }.lower(cx)?;
        }
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, ci: usize, co: usize, kernel: usize, doubling, h, w, epilogue: Epilogue| {
        let kept = if doubling == Doubling::Repeated { kernel - 1 } else { kernel };
        let conv = noisy(ci, co, kernel, 1, Padding::trailing(kept / 2, kept % 2));
        let residual = epilogue.residual.map(|_| Shape::new(co, 2 * h, 2 * w));
        let row = epilogue.row.as_ref().map(|r| r.entries.len());
        UpConv::of(&conv, doubling, WeightFormat::F32).map(|op| Case {
            name,
            op: Arc::new(op.with(epilogue)),
            inputs: [Shape::new(ci, h, w)].into_iter().chain(residual).collect(),
            row,
        })
    };
    let silu = || Epilogue { silu: true, ..Epilogue::default() };
    let all = Epilogue {
        row: Some(TimeRow { table: 0, entries: (0..8).rev().collect() }),
        again: true,
        residual: Some([0.5, -1.25]),
        ..Epilogue::default()
    };
    [
        case("nearest, then 3x3, 5->7", 5, 7, 3, Doubling::Repeated, 3, 4, silu()),
        case("nearest, then 3x3, 20->8, all that may follow", 20, 8, 3, Doubling::Repeated, 4, 3, all),
        case("transposed 4x4, 6->10", 6, 10, 4, Doubling::Spread, 3, 5, Epilogue::default()),
        case("transposed 2x2, 5->6", 5, 6, 2, Doubling::Spread, 3, 4, silu()),
        case("nearest, then 5x5, 3->4", 3, 4, 5, Doubling::Repeated, 2, 3, Epilogue::default()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
