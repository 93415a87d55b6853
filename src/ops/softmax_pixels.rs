//! Softmax over the pixels of each channel: y_i = e^{x_i} / sum_l e^{x_l}. Linear attention's keys (arXiv 1812.01243).
//! Tangent rule: y' = y (x' - sum_l y_l x'_l). It is symmetric: the adjoint's is the same.
use super::combine::Combine;
use super::elementwise::Elementwise;
use super::filter::{Filter, Taps};
use super::softmax::softmax;
use super::{Case, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// Softmax over pixels.
#[derive(Clone, Debug)]
pub struct SoftmaxPixels;

impl Op for SoftmaxPixels {
    fn name(&self) -> &'static str {
        "softmax_pixels"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].chunks_exact(shapes[0].pixels()).flat_map(softmax).collect()
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (y, u) = (cx.output(), cx.cotangent());
        let s = cx.shape(y);
        let along = cx.push("by y", Combine::Product, &[u, y])?;
        let sums = Filter { rows: Taps::sum(s.h), columns: Taps::sum(s.w) };
        let drift = cx.push("sums", sums, &[along])?;
        let rest = cx.push("rest", Combine::Sum([1.0, -1.0]), &[u, drift])?;
        Ok(vec![Share::Whole(cx.push("times", Combine::Product, &[rest, y])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        6 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        cx.rounds(3 * cx.output.shape.pixels())?;
        let flops = self.flops(&[], cx.output.shape);
        Elementwise { name: "softmax_pixels", items: Some(cx.output.blocks), flops, ..Default::default() }.push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c| Case { name, op: Arc::new(SoftmaxPixels), inputs: vec![Shape::new(c, 5, 7)], row: None };
    vec![case("6 channels", 6)]
}
