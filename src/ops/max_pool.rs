//! The largest number under a window: `y[i, j] = max_{t, u} x[s i + d t - p, s j + d u - p]` over the pixels that lie in the image.
//! Tangent rule: that of the first of the largest.
use super::elementwise::Elementwise;
use super::{Case, Lowering, Op};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Maxima over windows.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// Height and width of the window, pixels.
    pub kernel: [usize; 2],
    /// Pixels between outputs, along rows and columns.
    pub strides: [usize; 2],
    /// Pixels between those of a window.
    pub dilations: [usize; 2],
    /// Pixels beyond the image, above and to the left.
    pub before: [usize; 2],
    /// Height and width of the output.
    pub outputs: [usize; 2],
}

impl MaxPool {
    /// Where output i along an axis looks: each place inside the image.
    fn seen(&self, along: usize, i: usize, n: usize) -> impl Iterator<Item = usize> + Clone {
        let (stride, dilation, before) = (self.strides[along], self.dilations[along], self.before[along]);
        (0..self.kernel[along])
            .filter_map(move |t| (i * stride + t * dilation).checked_sub(before))
            .filter(move |p| *p < n)
    }
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        for (along, n) in [s.h, s.w].into_iter().enumerate() {
            if let Some(i) = (0..self.outputs[along]).find(|&i| self.seen(along, i, n).next().is_none()) {
                let message = format!("{s}: the window of output {i} along axis {along} sees nothing of it");
                return Err(Error::invalid("input", message));
            }
        }
        Ok(Shape::new(s.c, self.outputs[0], self.outputs[1]))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let s = shapes[0];
        let [h, w] = self.outputs;
        let mut y = Vec::with_capacity(s.c * h * w);
        for plane in inputs[0].chunks_exact(s.pixels()) {
            for (i, j) in (0..h).flat_map(|i| (0..w).map(move |j| (i, j))) {
                let columns = self.seen(1, j, s.w);
                let seen = self.seen(0, i, s.h).flat_map(|r| columns.clone().map(move |q| plane[r * s.w + q]));
                y.push(seen.reduce(|a, b| if b.v > a.v { b } else { a }).unwrap_or_default());
            }
        }
        y
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        (self.kernel[0] * self.kernel[1] * output.len()) as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let s = cx.inputs[0].shape;
        let own = [
            ("in_h", s.h),
            ("in_w", s.w),
            ("above", self.before[0]),
            ("left", self.before[1]),
            ("out_w", self.outputs[1]),
            ("down", self.strides[0]),
            ("across", self.strides[1]),
            ("apart", self.dilations[0]),
            ("beside", self.dilations[1]),
        ];
        Elementwise {
            name: "max_pool",
            constants: &[("ROWS", self.kernel[0] as i64), ("COLUMNS", self.kernel[1] as i64)],
            own: &own.map(|(name, v)| (name, v as u32)),
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, kernel, strides, dilations, before, outputs, h, w| Case {
        name,
        op: Arc::new(MaxPool { kernel, strides, dilations, before, outputs }),
        inputs: vec![Shape::new(6, h, w)],
        row: None,
    };
    vec![
        case("2x2", [2, 2], [2, 2], [1, 1], [0, 0], [3, 2], 6, 4),
        case("3x3 padded", [3, 3], [1, 1], [1, 1], [1, 1], [5, 3], 5, 3),
        case("3x2 dilated", [3, 2], [2, 1], [2, 3], [1, 0], [2, 4], 5, 7),
    ]
}
