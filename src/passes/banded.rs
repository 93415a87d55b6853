//! An op on some rows of its output alone. Of most ops their `Locality` says which rows of the inputs that takes, and the op is the
//! same, with other padding where it has a window. `RULES` has the others: ends of the network, and what measures a whole
//! tensor but is made pixel by pixel.
use super::fused::{FusedConv, FusedNorm, Prologue, UpConv};
use crate::dual::Dual;
use crate::error::Result;
use crate::ops::group_norm::{GroupNorm, chunk};
use crate::ops::input::Input;
use crate::ops::output::Output;
use crate::ops::{Locality, Lowering, Op, Outside, input, output};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

/// Which rows are wanted.
pub(super) struct Cut<'a> {
    /// Shapes of what the op reads.
    pub inputs: &'a [Shape],
    /// Shape of what it makes.
    pub output: Shape,
    /// All bands of the output, and of inputs of its height.
    pub bands: &'a [Range<usize>],
    /// The one that is wanted.
    pub which: usize,
}

impl Cut<'_> {
    fn rows(&self) -> &Range<usize> {
        &self.bands[self.which]
    }
}

/// What makes a band: an op, and what it reads, the inputs of the whole op and rows of those.
pub(super) type Part = (Arc<dyn Op>, Vec<(usize, Range<usize>)>);

/// Ops that know more of themselves than a locality; each is of one op, and none of others.
const RULES: &[fn(&dyn Op, &Cut) -> Option<Part>] = &[
    // Ends find their rows in the image outside.
    |op, cut| {
        let of = op.downcast::<Input>()?.clone();
        let outside = Outside { whole: cut.output, first: cut.rows().start };
        Some((Arc::new(InputRows { of, outside }), vec![]))
    },
    |op, cut| {
        let of = op.downcast::<Output>()?.clone();
        let outside = Outside { whole: cut.output, first: cut.rows().start };
        Some((Arc::new(OutputRows { of, outside }), vec![(0, cut.rows().clone())]))
    },
    // The first band of a norm measures them all.
    |op, cut| {
        let norm = op.downcast::<GroupNorm>().map(|norm| FusedNorm::of(norm.clone()));
        let norm = norm.or_else(|| op.downcast::<FusedNorm>().cloned())?;
        let reads = [(0, cut.rows().clone())].into_iter().chain(measured(cut)?).collect();
        Some((Arc::new(FusedNorm { band: Some(cut.which), ..norm }), reads))
    },
    |op, cut| {
        let fused = op.downcast::<FusedConv>()?;
        let Some(Prologue::Norm(norm)) = &fused.prologue else { return None };
        let Locality::Window(window) = fused.conv.locality(0) else { return None };
        let (rows, padding) = window.cut(cut.rows(), cut.inputs[0].h);
        let mut op = fused.clone();
        op.conv.padding = op.conv.padding.with_rows(padding)?;
        op.prologue = Some(Prologue::Norm(FusedNorm { band: Some(cut.which), ..norm.clone() }));
        let reads = [(0, rows)].into_iter().chain(measured(cut)?).chain(residual(cut));
        Some((Arc::new(op), reads.collect()))
    },
    // Phases of even and of odd rows do not begin with the same row.
    |op, cut| {
        let (op, reads) = op.downcast::<UpConv>()?.rows(cut.rows(), cut.inputs[0].h)?;
        Some((Arc::new(op), reads.into_iter().map(|rows| (0, rows)).chain(residual(cut)).collect()))
    },
];

/// All bands of the first input, if each begins with a chunk of what a norm sums.
fn measured(cut: &Cut) -> Option<impl Iterator<Item = (usize, Range<usize>)>> {
    let rows = chunk(cut.inputs[0]) / cut.inputs[0].w;
    let even = cut.bands.iter().all(|band| band.start.is_multiple_of(rows));
    even.then(|| cut.bands.iter().map(|rows| (0, rows.clone())))
}

/// Rows of an input that is added to the output.
fn residual(cut: &Cut) -> Option<(usize, Range<usize>)> {
    (cut.inputs.len() > 1).then(|| (1, cut.rows().clone()))
}

/// The op on the rows alone; none if it cannot be had by rows.
pub(super) fn banded(op: &Arc<dyn Op>, cut: &Cut) -> Option<Part> {
    RULES.iter().find_map(|rule| rule(&**op, cut)).or_else(|| local(op, cut))
}

/// By locality: pixels of at least one input must be enough.
fn local(op: &Arc<dyn Op>, cut: &Cut) -> Option<Part> {
    let (mut padded, mut enough, mut reads) = (None, false, Vec::with_capacity(cut.inputs.len()));
    for (i, s) in cut.inputs.iter().enumerate() {
        let locality = op.locality(i);
        enough |= locality != Locality::Whole;
        reads.push(match locality {
            Locality::ByPixel if s.h == cut.output.h => (i, cut.rows().clone()),
            Locality::Window(window) if padded.is_none() => {
                let (rows, padding) = window.cut(cut.rows(), s.h);
                padded = Some(op.padded(padding)?);
                (i, rows)
            }
            Locality::Whole => (i, 0..s.h),
            _ => return None,
        });
    }
    enough.then(|| (padded.unwrap_or_else(|| op.clone()), reads))
}

/// `Input` of some rows.
#[derive(Clone, Debug)]
struct InputRows {
    of: Input,
    outside: Outside,
}

impl Op for InputRows {
    fn name(&self) -> &'static str {
        self.of.name()
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.of.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.of.twin(inputs, shapes, rows)
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        input::lower(cx, self.of.port, self.outside);
        Ok(())
    }
}

/// `Output` of some rows.
#[derive(Clone, Debug)]
struct OutputRows {
    of: Output,
    outside: Outside,
}

impl Op for OutputRows {
    fn name(&self) -> &'static str {
        self.of.name()
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.of.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.of.twin(inputs, shapes, rows)
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn writes_port(&self) -> Option<usize> {
        self.of.writes_port()
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        output::lower(cx, self.outside);
        Ok(())
    }
}
