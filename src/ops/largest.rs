//! Which channel of each head is the largest, at every pixel: 1 for the first of the largest, 0 for the others. Its slope is 0.
use super::elementwise::Elementwise;
use super::heads::per_head;
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// A mask of the largest channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Largest {
    /// Runs of equal length.
    pub heads: usize,
}

impl Op for Largest {
    fn name(&self) -> &'static str {
        "largest"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        per_head(s.c, self.heads)?;
        Ok(s)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, size) = (shapes[0].pixels(), shapes[0].c / self.heads);
        let mut y = vec![Dual::default(); inputs[0].len()];
        for (head, p) in (0..self.heads).flat_map(|head| (0..n).map(move |p| (head, p))) {
            let places = (0..size).map(|l| (head * size + l) * n + p);
            let most = places.reduce(|a, b| if inputs[0][b].v > inputs[0][a].v { b } else { a });
            most.into_iter().for_each(|at| y[at] = Dual::constant(1.0));
        }
        y
    }

    fn adjoint(&self, _: &mut Reverse) -> Result<Vec<Share>> {
        Ok(vec![Share::Nothing])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        output.len() as u64
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let s = cx.inputs[0].shape;
        Elementwise {
            name: "largest",
            own: &[("heads", self.heads as u32), ("size", (s.c / self.heads) as u32)],
            flops: self.flops(&[], s),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case =
        |name, c, heads| Case { name, op: Arc::new(Largest { heads }), inputs: vec![Shape::new(c, 3, 5)], row: None };
    vec![case("of 6 channels", 6, 1), case("of 2 heads of 5", 10, 2), case("of 3 heads of 4", 12, 3)]
}
