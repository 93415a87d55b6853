//! Bilinear up-sampling by 2, corners not aligned: along each axis an output takes 3/4 of its nearest input and 1/4 of
//! the next, the border repeated. Linear, tangent alike. (PyTorch's `bilinear`, align_corners=False.)
use super::elementwise::Elementwise;
use super::filter::{Filter, Taps};
use super::window::Window;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// Twice the height and width, bilinear (align_corners = false).
#[derive(Clone, Debug)]
pub struct Upsample {
    /// Rows of the border repeated above and below, of the image spread out to twice its size and one row less.
    rows: [isize; 2],
}

impl Default for Upsample {
    fn default() -> Self {
        Self { rows: [2, 1] }
    }
}

impl Upsample {
    /// First row of the output, of those that the input would have by default.
    const fn first(&self) -> usize {
        (2 - self.rows[0]) as usize
    }

    /// Rows of the output, of an input of `h`.
    const fn count(&self, h: usize) -> usize {
        (2 * h as isize + self.rows[0] + self.rows[1] - 3) as usize
    }
}

/// The two inputs of output `i` along an axis of `n` inputs: the near one (weight 3/4) and the far one (1/4).
fn taps(i: usize, n: usize) -> (usize, usize) {
    let near = i / 2;
    (near, if i.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(n - 1) })
}

impl Op for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        Ok(Shape::new(s.c, self.count(s.h), 2 * s.w))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let s = shapes[0];
        let at = |c: usize, i: usize, j: usize| inputs[0][(c * s.h + i) * s.w + j];
        let (first, count) = (self.first(), self.count(s.h));
        let mut y = Vec::with_capacity(2 * count * s.w * s.c);
        for c in 0..s.c {
            for i in first..first + count {
                let (i0, i1) = taps(i, s.h);
                for j in 0..2 * s.w {
                    let (j0, j1) = taps(j, s.w);
                    let near = at(c, i0, j0) * 0.75 + at(c, i0, j1) * 0.25;
                    let far = at(c, i1, j0) * 0.75 + at(c, i1, j1) * 0.25;
                    y.push(near * 0.75 + far * 0.25);
                }
            }
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (s, u) = (g.shape(g.input(0)), g.cotangent());
        let back = |first: usize, count: usize, n: usize| {
            let of = |i| [taps(i, n).0, taps(i, n).1].into_iter().zip([0.75, 0.25]).collect();
            Taps::new(&(first..first + count).map(of).collect::<Vec<_>>()).transposed(n)
        };
        let back = Filter { rows: back(self.first(), self.count(s.h), s.h), columns: back(0, 2 * s.w, s.w) };
        Ok(vec![Share::Whole(g.push("transposed", back, &[u])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        8 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::Window(Window { spread: 2, stride: 1, kernel: 4, padding: self.rows, reflect: false })
    }

    fn padded(&self, rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        // A border is repeated as often as the filter reaches beyond it.
        (rows[0] <= 2 && rows[1] <= 1).then(|| Arc::new(Self { rows }) as _)
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (flops, s) = (self.flops(&[], cx.output.shape), cx.inputs[0].shape);
        let own = &[("in_h", s.h as u32), ("in_w", s.w as u32), ("first", self.first() as u32)];
        Elementwise { name: "upsample", own, flops, ..Default::default() }.push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "6 channels", op: Arc::new(Upsample::default()), inputs: vec![Shape::new(6, 3, 5)], row: None },
        Case { name: "one row", op: Arc::new(Upsample::default()), inputs: vec![Shape::new(3, 1, 2)], row: None },
    ]
}
