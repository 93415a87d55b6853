//! Functions of each number: ReLU and its kin, the logistic function, GELU (arXiv 1606.08415), Mish (arXiv 1908.08681), exponentials,
//! roots, sines, bounds.
//! Tangents: y' = f'(x) x', with f' as in `Dual`.
//! (SiLU has a file of its own: kernels apply it on their stores.)
use super::combine::Combine;
use super::curve::Curve;
use super::elementwise::{Elementwise, grouped, there};
use super::slope::Slope;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::named;
use crate::shape::Shape;
use std::sync::Arc;

pub use super::curve::Pointwise;

impl Op for Pointwise {
    fn name(&self) -> &'static str {
        "pointwise"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].iter().map(|&x| self.of(x)).collect()
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        if *self == Self::Step {
            return Ok(vec![Share::Nothing]);
        }
        let slope = cx.push("slope", Slope { of: Curve::Pointwise(*self) }, &[cx.input(0)])?;
        Ok(vec![Share::Whole(cx.push("times", Combine::Product, &[cx.cotangent(), slope])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        self.row().2 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn finds_primals(&self, _: usize) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let curve = Curve::Pointwise(*self);
        let constants: Vec<_> = curve.constants().into_iter().chain([grouped(cx)]).collect();
        let mask = if curve.unbounded() { vec![("there", there(cx))] } else { vec![] };
        Elementwise {
            name: "pointwise",
            constants: &constants,
            reads: &mask,
            own: &named(["a", "b"], self.row().1.map(f32::to_bits)),
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, op: Pointwise| Case { name, op: Arc::new(op), inputs: vec![Shape::new(6, 5, 7)], row: None };
    vec![
        case("relu", Pointwise::Relu),
        case("sigmoid", Pointwise::Sigmoid),
        case("gelu", Pointwise::Gelu),
        case("gelu by tanh", Pointwise::GeluTanh),
        case("mish", Pointwise::Mish),
        case("elu", Pointwise::Elu([1.0, 1.0])),
        case("selu", Pointwise::Elu([1.673_263_2, 1.050_701])),
        case("leaky relu", Pointwise::LeakyRelu(0.2)),
        case("tanh", Pointwise::Tanh),
        case("exp", Pointwise::Exp),
        case("softplus", Pointwise::Softplus),
        case("abs", Pointwise::Abs),
        case("erf", Pointwise::Erf),
        case("clip", Pointwise::Clip([-0.25, 0.75])),
        case("hard sigmoid", Pointwise::HardSigmoid([0.2, 0.5])),
        case("hard swish", Pointwise::HardSwish),
        case("step", Pointwise::Step),
        case("sine", Pointwise::Sin),
        case("cosine", Pointwise::Cos),
    ]
}
