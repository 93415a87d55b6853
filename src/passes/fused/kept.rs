//! Slopes of a SiLU that a convolution leaves as it stores its values (`Epilogue::kept`): room for them in front of the convolution,
//! which runs no kernel of its own, and behind it what the reverse sweep reads. Formula: silu'(z), z the convolution's sums.
use super::conv::FusedConv;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::curve::Curve;
use crate::ops::slope::Slope;
use crate::ops::{Lowering, Op};
use crate::shape::Shape;

/// The slopes at the sums of a convolution, in a buffer that the convolution behind it fills.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// The convolution without SiLU; its inputs are these.
    pub of: FusedConv,
}

impl Op for Room {
    fn name(&self) -> &'static str {
        "room"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.of.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let sums = self.of.twin(inputs, shapes, rows);
        Slope { of: Curve::Silu }.twin(&[&sums], shapes, rows)
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn lower(&self, _: &mut Lowering) -> Result<()> {
        Ok(())
    }
}

/// Input 0, a `Room`, once input 1 has filled it. No kernel runs.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    map: Vec<(usize, usize)>,
}

impl Filled {
    /// Of so many channels.
    pub fn of(channels: usize) -> Self {
        Self { map: (0..channels).map(|c| (0, c)).collect() }
    }
}

impl Op for Filled {
    fn name(&self) -> &'static str {
        "filled"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        match inputs {
            [room, by] if room == by && room.c == self.map.len() => Ok(*room),
            _ => Err(Error::invalid("inputs", format!("{inputs:?}, expected two of {} channels", self.map.len()))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].to_vec()
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn rearranges(&self) -> Option<&[(usize, usize)]> {
        Some(&self.map)
    }

    fn finds_primals(&self, _: usize) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        Err(Error::invalid(cx.node, "what was filled has no kernel"))
    }
}
