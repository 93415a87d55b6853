//! SiLU: y = x s(x), s the logistic function. As a rule the planner fuses it into the store before.
//! Tangent rule: y' = s (1 + x (1 - s)) x'.
use super::combine::Combine;
use super::curve::Curve;
use super::elementwise::Elementwise;
use super::slope::Slope;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// y = x / (1 + e^-x).
#[derive(Clone, Debug)]
pub struct Silu;

impl Op for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].iter().map(|x| x.silu()).collect()
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let slope = cx.push("slope", Slope { of: Curve::Silu }, &[cx.input(0)])?;
        Ok(vec![Share::Whole(cx.push("times", Combine::Product, &[cx.cotangent(), slope])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        4 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let flops = self.flops(&[], cx.output.shape);
        Elementwise { name: "silu", silu: true, flops, ..Default::default() }.push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "6 channels", op: Arc::new(Silu), inputs: vec![Shape::new(6, 5, 7)], row: None }]
}
