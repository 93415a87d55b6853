//! The largest number under a window: `y[i, j] = max_{t, u} x[s i + d t - p, s j + d u - p]` over the pixels that lie in the image.
//! Tangent rule: that of the first of the largest.
use super::elementwise::Elementwise;
use super::unpool::Unpool;
use super::window::Windows;
use super::{Case, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// Maxima over windows.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// Which.
    pub windows: Windows,
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        self.windows.check(s)?;
        let [h, w] = self.windows.outputs;
        Ok(Shape::new(s.c, h, w))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let most = |plane: &[Dual], output| {
            let seen = self.windows.pixels(output, shapes[0]).map(|p| plane[p]);
            seen.reduce(|a, b| if b.v > a.v { b } else { a }).unwrap_or_default()
        };
        let planes = inputs[0].chunks_exact(shapes[0].pixels());
        planes.flat_map(|plane| self.windows.each().map(move |output| most(plane, output))).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let back = Unpool { windows: self.windows.clone(), puts: true };
        Ok(vec![Share::Whole(g.push("put back", back, &[g.cotangent(), g.input(0)])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        (self.windows.kernel.iter().product::<usize>() * output.len()) as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let [rows, columns] = self.windows.kernel;
        Elementwise {
            name: "max_pool",
            constants: &[("ROWS", rows as i64), ("COLUMNS", columns as i64)],
            own: &self.windows.immediates(cx.inputs[0].shape),
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
        op: Arc::new(MaxPool { windows: Windows { kernel, strides, dilations, before, outputs } }),
        inputs: vec![Shape::new(6, h, w)],
        row: None,
    };
    vec![
        case("2x2", [2, 2], [2, 2], [1, 1], [0, 0], [3, 2], 6, 4),
        case("3x3 padded", [3, 3], [1, 1], [1, 1], [1, 1], [5, 3], 5, 3),
        case("3x2 dilated", [3, 2], [2, 1], [2, 3], [1, 0], [2, 4], 5, 7),
    ]
}
