//! Convolution with a prologue and an epilogue: a depthwise convolution or a normalisation of x on the load, and on the store SiLU,
//! another function, a time row, SiLU, gains, a residual (`ops::conv::Epilogue`).
use super::Fused;
use super::norm::FusedNorm;
use crate::dual::Dual;
use crate::error::Result;
use crate::ops::conv::{Conv, Epilogue, Job, Loading, OPERANDS, Padding, TimeRow, noisy};
use crate::ops::depthwise::Depthwise;
use crate::ops::{Case, Locality, Lowering, Op, Reads};
use crate::shape::Shape;
use std::sync::Arc;

/// What is done to x as it is loaded.
#[derive(Clone, Debug)]
pub(crate) enum Prologue {
    /// Every channel is filtered.
    Depthwise(Depthwise),
    /// Every group is normalised. With a band's number x is that band and what is beside it, and the bands follow as inputs.
    Norm(FusedNorm),
}

/// `Conv`, and what is done around it. Inputs: those of the prologue, then room for slopes, then the residual.
#[derive(Clone, Debug)]
pub(crate) struct FusedConv {
    /// The convolution.
    pub conv: Conv,
    /// Before it.
    pub prologue: Option<Prologue>,
    /// After it.
    pub epilogue: Epilogue,
}

impl FusedConv {
    /// The convolution alone.
    pub fn of(conv: Conv) -> Self {
        Self { conv, prologue: None, epilogue: Epilogue::default() }
    }

    /// How many of the first inputs are loaded, of all that are given.
    fn loaded(&self, given: usize) -> usize {
        match &self.prologue {
            Some(Prologue::Norm(FusedNorm { band: Some(_), .. })) => given.saturating_sub(self.epilogue.inputs()),
            _ => given.min(1),
        }
    }

    /// Whether an input, of so many, is room for slopes.
    fn keeps(&self, input: usize, of: usize) -> bool {
        self.epilogue.kept && input == self.loaded(of)
    }

    /// Shape of what the convolution gets.
    fn prepared(&self, loaded: &[Shape]) -> Result<Shape> {
        match &self.prologue {
            Some(Prologue::Depthwise(op)) => op.shape(loaded),
            Some(Prologue::Norm(op)) if op.band.is_none() => op.shape(loaded),
            // Of a band there are rows beside it, which the norm alone would not have.
            Some(Prologue::Norm(op)) => op.norm.shape(&loaded[..loaded.len().min(1)]),
            None => crate::ops::one(loaded),
        }
    }
}

impl Fused for FusedConv {
    fn storage_buffers(&self, tangents: bool) -> usize {
        OPERANDS + self.prologue.is_some() as usize + self.epilogue.storage_buffers(tangents)
    }
}

impl Op for FusedConv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let (loaded, left) = inputs.split_at(self.loaded(inputs.len()));
        self.epilogue.shape(left, self.conv.shape(&[self.prepared(loaded)?])?)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let count = self.loaded(inputs.len());
        let (loaded, sizes) = (&inputs[..count], &shapes[..count]);
        let x = match &self.prologue {
            Some(Prologue::Depthwise(op)) => &op.twin(loaded, sizes, rows),
            Some(Prologue::Norm(op)) => &op.twin(loaded, sizes, rows),
            None => loaded[0],
        };
        let s = self.prepared(sizes).unwrap_or(shapes[0]); // it was checked
        let residual = inputs[count..].get(usize::from(self.epilogue.kept)).copied();
        self.epilogue.twin(self.conv.twin(&[x], &[s], rows), residual, rows)
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        let loaded = Shape { c: self.conv.in_channels, ..output };
        let prologue = match &self.prologue {
            Some(Prologue::Depthwise(op)) => op.flops(&[], loaded),
            Some(Prologue::Norm(op)) => op.flops(&[], loaded),
            None => 0,
        };
        prologue + self.conv.flops(inputs, output)
    }

    fn weights(&self) -> Option<&[f32]> {
        self.conv.weights()
    }

    fn reads(&self, input: usize, of: usize) -> Reads {
        match &self.prologue {
            // It is written, and where it lies is where it was made for.
            _ if self.keeps(input, of) => Reads::Anywhere,
            _ if input >= self.loaded(of) => Reads::Ordered,
            Some(_) => Reads::InPlace,
            None => Reads::Anywhere,
        }
    }

    fn locality(&self, input: usize) -> Locality {
        match &self.prologue {
            Some(Prologue::Norm(_)) => Locality::Whole,
            _ if input > 0 => Locality::ByPixel,
            Some(Prologue::Depthwise(op)) => op.locality(input),
            None => self.conv.locality(input),
        }
    }

    fn padded(&self, rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        let mut op = self.clone();
        let padding = match &mut op.prologue {
            Some(Prologue::Depthwise(op)) => &mut op.padding,
            _ => &mut op.conv.padding,
        };
        *padding = padding.with_rows(rows)?;
        Some(Arc::new(op))
    }

    fn finds_primals(&self, input: usize) -> bool {
        self.keeps(input, input + 1)
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let loaded = cx.inputs[..self.loaded(cx.inputs.len())].to_vec();
        let loading = match &self.prologue {
            Some(Prologue::Depthwise(op)) => op.loading(cx),
            Some(Prologue::Norm(op)) => op.loading(cx, &loaded)?,
            None => Loading::Plain,
        };
        let flops = self.flops(&[], cx.output.shape);
        Job { conv: &self.conv, loading, epilogue: &self.epilogue, phase: None, flops }.lower(cx)
    }
}

/// Small graphs for tests and selftest. (Prologues are of kernels for GPUs alone, and tested with what `fuse` makes.)
pub(super) fn cases() -> Vec<Case> {
    let silu = || Epilogue { silu: true, ..Epilogue::default() };
    let case = |name, conv: Conv, h, w, epilogue: Epilogue| {
        let residual = epilogue.residual.map(|_| Shape::new(conv.out_channels, h, w));
        Case {
            name,
            inputs: [Shape::new(conv.in_channels, h, w)].into_iter().chain(residual).collect(),
            row: epilogue.row.as_ref().or(epilogue.gain.as_ref()).map(|row| row.entries.len()),
            op: Arc::new(FusedConv { epilogue, ..FusedConv::of(conv) }),
        }
    };
    let same = |ci, co, kernel: usize| noisy(ci, co, kernel, 1, Padding::all(kernel / 2));
    let all = |co: usize, silu: bool| Epilogue {
        silu,
        row: Some(TimeRow { table: 0, entries: (0..co).rev().collect() }),
        again: silu,
        residual: Some([0.5, -1.25]),
        ..Epilogue::default()
    };
    let gained = |co: usize| Epilogue {
        gain: Some(TimeRow { table: 0, entries: (0..co).rev().collect() }),
        residual: Some([1.0, 1.0]),
        ..Epilogue::default()
    };
    vec![
        case("1x1 20->36, SiLU", same(20, 36, 1), 7, 5, silu()),
        case("1x1 132->16, two chunks, SiLU", same(132, 16, 1), 5, 3, silu()),
        case("1x1 64->64, SiLU", same(64, 64, 1), 6, 3, silu()),
        case("1x1 padded, 4->3, SiLU", noisy(4, 3, 1, 1, Padding::all(1)), 2, 3, silu()),
        case("3x3 1->6, SiLU", same(1, 6, 3), 6, 5, silu()),
        case("3x3 40->36, tiles, SiLU", same(40, 36, 3), 5, 7, silu()),
        case("3x3 64->72, less than a tile, SiLU", same(64, 72, 3), 2, 3, silu()),
        case(
            "3x3 stride 2, zeros below and right, 5->6, SiLU",
            noisy(5, 6, 3, 2, Padding::trailing(0, 1)),
            6,
            8,
            silu(),
        ),
        case("3x3 8->12, SiLU, time row, SiLU, residual", same(8, 12, 3), 4, 5, all(12, true)),
        case("3x3 40->36, tiles, SiLU, time row, SiLU, residual", same(40, 36, 3), 5, 8, all(36, true)),
        case("1x1 132->8, two chunks, time row, residual", same(132, 8, 1), 4, 5, all(8, false)),
        case("1x1 260->16, two chunks, gain, residual", same(260, 16, 1), 4, 3, gained(16)),
        case("3x3 40->36, tiles, gain, residual", same(40, 36, 3), 5, 8, gained(36)),
    ]
}
