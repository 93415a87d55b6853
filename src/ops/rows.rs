//! Rows of tensors of one width, one below the other: what a kernel reads beyond the rows of its own band, put beside them.
//! y[.., i, j] = x_n[.., i - start_n, j]. Linear, tangent alike; a copy. The planner makes it where it cuts tensors into bands.
use super::filter::{Filter, Taps};
use super::{Case, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

/// Rows `takes[n]` of input n, in order.
#[derive(Clone, Debug)]
pub struct Rows {
    /// One range an input.
    pub takes: Vec<Range<usize>>,
}

impl Op for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let Some(first) = inputs.first().filter(|_| inputs.len() == self.takes.len()) else {
            let message = format!("found {}, expected {}", inputs.len(), self.takes.len());
            return Err(Error::invalid("inputs", message));
        };
        if inputs.iter().any(|s| (s.c, s.w) != (first.c, first.w)) {
            return Err(Error::invalid("inputs", format!("{inputs:?}, expected one width and number of channels")));
        }
        for (s, rows) in inputs.iter().zip(&self.takes) {
            if rows.is_empty() || rows.end > s.h {
                return Err(Error::invalid("inputs", format!("rows {rows:?} of {s}")));
            }
        }
        Ok(Shape { h: self.takes.iter().map(Range::len).sum(), ..*first })
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let mut y = vec![];
        for c in 0..shapes[0].c {
            for ((x, s), rows) in inputs.iter().zip(shapes).zip(&self.takes) {
                y.extend_from_slice(&x[c * s.pixels()..][rows.start * s.w..rows.end * s.w]);
            }
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (mut first, mut gets) = (0, vec![]);
        for (n, takes) in self.takes.iter().enumerate() {
            let (s, u) = (g.shape(g.input(n)), g.cotangent());
            let of = |row| takes.contains(&row).then(|| (first + row - takes.start, 1.0));
            let rows = Taps::new(&(0..s.h).map(|row| of(row).into_iter().collect()).collect::<Vec<_>>());
            gets.push(Share::Whole(g.push("rows", Filter { rows, columns: Taps::identity(s.w) }, &[u])?));
            first += takes.len();
        }
        Ok(gets)
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let place = cx.output.clone();
        let (w, slots) = (place.shape.w, cx.inputs[0].slots.clone());
        let mut to = 0;
        for (view, rows) in cx.inputs.clone().iter().zip(&self.takes) {
            if view.slots != slots {
                return Err(Error::invalid(cx.node, "the channels of its inputs are ordered differently in memory"));
            }
            let pixels = rows.len() * w;
            let words = [
                ("pixels", pixels),
                ("first_in", rows.start * w),
                ("in_pixels", view.shape.pixels()),
                ("in_stride", view.stride),
                ("first_out", to),
                ("out_pixels", place.shape.pixels()),
                ("out_stride", place.stride),
                ("out_offset", place.offset),
                ("blocks", place.blocks),
            ]
            .map(|(name, v)| (name, v as u32));
            cx.program.push(Step {
                label: cx.label("rows"),
                op: "rows",
                kernel: Kernel { shader: "rows", constants: vec![] },
                bindings: vec![("x", view.buffer, Access::Read), ("y", place.buffer, Access::Write)],
                role: LaneRole::All,
                immediates: words.into_iter().chain(view.runs()).collect(),
                grid: Grid { items: (pixels * place.blocks) as u32, workgroup: 256, groups: 1 },
                flops: 0,
                bytes: (32 * pixels * place.blocks) as u64,
            });
            to += pixels;
        }
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, takes: Vec<Range<usize>>, inputs| Case { name, op: Arc::new(Rows { takes }), inputs, row: None };
    vec![
        case("end, all and beginning", vec![4..5, 0..5, 0..2], vec![Shape::new(8, 5, 7); 3]),
        case("middle of one", vec![1..4], vec![Shape::new(10, 6, 3)]),
    ]
}
