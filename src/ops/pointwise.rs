//! Activations, element by element: ReLU, the logistic function, the exact GELU (arXiv 1606.08415), Mish (arXiv 1908.08681), ELU, leaky ReLU.
//! Tangents: y' = f'(x) x', with f' as in `Dual`.
//! (SiLU has a file of its own: kernels apply it on their stores.)
use super::elementwise::Elementwise;
use super::{Case, Locality, Lowering, Op};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// One of the functions.
#[derive(Clone, Copy, Debug)]
pub enum Pointwise {
    /// max(x, 0).
    Relu,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// x (1 + erf(x / sqrt 2)) / 2.
    Gelu,
    /// x tanh(ln(1 + e^x)).
    Mish,
    /// x, or e^x - 1 below 0 (arXiv 1511.07289).
    Elu,
    /// x, or x / 5 below 0: as NCSN++ has it.
    LeakyRelu,
}

impl Op for Pointwise {
    fn name(&self) -> &'static str {
        "pointwise"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let f = match self {
            Pointwise::Relu => Dual::relu,
            Pointwise::Sigmoid => Dual::sigmoid,
            Pointwise::Gelu => Dual::gelu,
            Pointwise::Mish => Dual::mish,
            Pointwise::Elu => Dual::elu,
            Pointwise::LeakyRelu => Dual::leaky_relu,
        };
        inputs[0].iter().map(|&x| f(x)).collect()
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        let each = match self {
            Pointwise::Relu => 1,
            Pointwise::LeakyRelu => 2,
            Pointwise::Sigmoid | Pointwise::Elu => 4,
            Pointwise::Gelu | Pointwise::Mish => 10,
        };
        each * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let is = |name, op: Pointwise| (name, (*self as u8 == op as u8) as i64);
        let constants = [
            is("RELU", Pointwise::Relu),
            is("SIGMOID", Pointwise::Sigmoid),
            is("GELU", Pointwise::Gelu),
            is("MISH", Pointwise::Mish),
            is("ELU", Pointwise::Elu),
            is("LEAKY", Pointwise::LeakyRelu),
        ];
        let flops = self.flops(&[], cx.output.shape);
        Elementwise { name: "pointwise", constants: &constants, flops, ..Default::default() }.push(cx);
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
        case("mish", Pointwise::Mish),
        case("elu", Pointwise::Elu),
        case("leaky relu", Pointwise::LeakyRelu),
    ]
}
