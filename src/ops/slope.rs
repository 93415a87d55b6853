//! Slopes of functions of each number: y = f'(x), f SiLU or any of `pointwise`. What reverse mode multiplies cotangents by, and keeps.
//! Tangents: y' = f''(x) x', 0 of straight pieces. Adjoint: f'' in ops that exist.
use super::affine::Affine;
use super::combine::Combine;
use super::curve::{Curve, Pointwise};
use super::elementwise::{Elementwise, grouped, there};
use super::{Case, Locality, Lowering, Op, Reverse, Share, Value};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::named;
use crate::shape::Shape;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, TAU};
use std::sync::Arc;

/// y = f'(x).
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// f
    pub of: Curve,
}

impl Op for Slope {
    fn name(&self) -> &'static str {
        "slope"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].iter().map(|&x| self.of.slope(x)).collect()
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let x = Of { value: cx.input(0), cx };
        let bend = match self.of {
            Curve::Silu => x.silu()?,
            Curve::Pointwise(f) => x.pointwise(f)?,
        };
        let Some(bend) = bend else { return Ok(vec![Share::Nothing]) };
        Ok(vec![Share::Whole(cx.push("times", Combine::Product, &[cx.cotangent(), bend])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        self.of.row().2 * output.len() as u64
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
        let constants: Vec<_> = self.of.constants().into_iter().chain([grouped(cx)]).collect();
        let mask = if self.of.unbounded() { vec![("there", there(cx))] } else { vec![] };
        Elementwise {
            name: "slope",
            constants: &constants,
            reads: &mask,
            own: &named(["a", "b"], self.of.row().1.map(f32::to_bits)),
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// f'' of an input, as a rule makes it.
struct Of<'a> {
    value: Value,
    cx: &'a mut Reverse,
}

impl Of<'_> {
    /// g x + h
    fn affine(&mut self, x: Value, gain: f64, shift: f64) -> Result<Value> {
        self.cx.push("affine", Affine { gain, table: None, shift }, &[x])
    }

    fn times(&mut self, x: Value, z: Value) -> Result<Value> {
        self.cx.push("product", Combine::Product, &[x, z])
    }

    fn point(&mut self, f: Pointwise, x: Value) -> Result<Value> {
        self.cx.push("function", f, &[x])
    }

    fn slope(&mut self, f: Pointwise, x: Value) -> Result<Value> {
        self.cx.push("slope", Slope { of: Curve::Pointwise(f) }, &[x])
    }

    /// s'(x) (2 - x tanh(x / 2)), s the logistic function.
    fn silu(mut self) -> Result<Option<Value>> {
        let x = self.value;
        let (half, steep) = (self.affine(x, 0.5, 0.0)?, self.slope(Pointwise::Sigmoid, x)?);
        let tanh = self.point(Pointwise::Tanh, half)?;
        let along = self.times(tanh, x)?;
        let rest = self.affine(along, -1.0, 2.0)?;
        self.times(steep, rest).map(Some)
    }

    /// None where it is 0.
    fn pointwise(mut self, f: Pointwise) -> Result<Option<Value>> {
        let x = self.value;
        Ok(Some(match f {
            Pointwise::Relu
            | Pointwise::LeakyRelu(_)
            | Pointwise::Abs
            | Pointwise::Clip(_)
            | Pointwise::HardSigmoid(_)
            | Pointwise::Step => return Ok(None),
            Pointwise::Sigmoid => {
                // -s' tanh(x / 2)
                let (half, steep) = (self.affine(x, -0.5, 0.0)?, self.slope(f, x)?);
                let tanh = self.point(Pointwise::Tanh, half)?;
                self.times(steep, tanh)?
            }
            Pointwise::Gelu => {
                // (2 - x^2) bell(x), whose bell is erf's slope at x / sqrt 2 but for a factor.
                let square = self.times(x, x)?;
                let (at, rest) = (self.affine(x, FRAC_1_SQRT_2, 0.0)?, self.affine(square, -1.0, 2.0)?);
                let bell = self.slope(Pointwise::Erf, at)?;
                let both = self.times(bell, rest)?;
                self.affine(both, 1.0 / (FRAC_2_SQRT_PI * TAU.sqrt()), 0.0)?
            }
            Pointwise::GeluTanh => self.gelu_tanh()?,
            Pointwise::Mish => {
                // With w = tanh(soft): (1 - w^2) s (2 + x (1 - s - 2 w s)).
                let (soft, s) = (self.point(Pointwise::Softplus, x)?, self.point(Pointwise::Sigmoid, x)?);
                let (w, rest) = (self.point(Pointwise::Tanh, soft)?, self.slope(Pointwise::Tanh, soft)?);
                let twice = self.affine(w, 2.0, 1.0)?;
                let own = self.times(twice, s)?;
                let turned = self.affine(own, -1.0, 1.0)?;
                let along = self.times(turned, x)?;
                let factor = self.affine(along, 1.0, 2.0)?;
                let steep = self.times(rest, s)?;
                self.times(steep, factor)?
            }
            Pointwise::Elu([a, g]) => {
                let (step, low) = (self.point(Pointwise::Step, x)?, Pointwise::Clip([f32::MIN, 0.0]));
                let (own, below) = (self.affine(step, -1.0, 1.0)?, self.point(low, x)?);
                let power = self.point(Pointwise::Exp, below)?;
                let both = self.times(power, own)?;
                self.affine(both, f64::from(a) * f64::from(g), 0.0)?
            }
            Pointwise::Tanh => {
                let (value, steep) = (self.point(f, x)?, self.slope(f, x)?);
                let both = self.times(value, steep)?;
                self.affine(both, -2.0, 0.0)?
            }
            Pointwise::Exp => self.point(f, x)?,
            Pointwise::Log => self.slope(Pointwise::Reciprocal, x)?,
            Pointwise::Sqrt => {
                let slope = self.slope(f, x)?;
                let square = self.times(slope, slope)?;
                let cube = self.times(square, slope)?;
                self.affine(cube, -2.0, 0.0)?
            }
            Pointwise::Reciprocal => {
                let (value, slope) = (self.point(f, x)?, self.slope(f, x)?);
                let both = self.times(value, slope)?;
                self.affine(both, -2.0, 0.0)?
            }
            Pointwise::Softplus => self.slope(Pointwise::Sigmoid, x)?,
            Pointwise::Erf => {
                let slope = self.slope(f, x)?;
                let both = self.times(slope, x)?;
                self.affine(both, -2.0, 0.0)?
            }
            Pointwise::HardSwish => {
                let within = self.slope(Pointwise::Clip([-3.0, 3.0]), x)?;
                self.affine(within, 1.0 / 3.0, 0.0)?
            }
            Pointwise::Sin | Pointwise::Cos => {
                let value = self.point(f, x)?;
                self.affine(value, -1.0, 0.0)?
            }
        }))
    }

    /// With s the logistic function of u = c (x + b x^3): s' (2 u' + x (u'' - u'^2 tanh(u / 2))).
    fn gelu_tanh(&mut self) -> Result<Value> {
        let x = self.value;
        let (c, b) = ((8.0 / PI).sqrt(), 0.044_715);
        let square = self.times(x, x)?;
        let (per, grows) = (self.affine(square, c * b, c)?, self.affine(square, 3.0 * c * b, c)?);
        let u = self.times(per, x)?;
        let half = self.affine(u, -0.5, 0.0)?;
        let (steep, tanh) = (self.slope(Pointwise::Sigmoid, u)?, self.point(Pointwise::Tanh, half)?);
        // s' first: it is what makes the powers of a large x vanish.
        let (first, curved) = (self.times(steep, grows)?, self.affine(x, 6.0 * c * b, 0.0)?);
        let once = self.times(first, tanh)?;
        let (twice, own) = (self.times(once, grows)?, self.times(steep, curved)?);
        let both = self.cx.push("sum", Combine::Sum([1.0, 1.0]), &[twice, own])?;
        let along = self.times(both, x)?;
        self.cx.push("sum", Combine::Sum([1.0, 2.0]), &[along, first])
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, of| Case { name, op: Arc::new(Slope { of }), inputs: vec![Shape::new(6, 5, 7)], row: None };
    let point = |name, f| case(name, Curve::Pointwise(f));
    vec![
        case("silu", Curve::Silu),
        point("relu", Pointwise::Relu),
        point("sigmoid", Pointwise::Sigmoid),
        point("gelu", Pointwise::Gelu),
        point("gelu by tanh", Pointwise::GeluTanh),
        point("mish", Pointwise::Mish),
        point("selu", Pointwise::Elu([1.673_263_2, 1.050_701])),
        point("leaky relu", Pointwise::LeakyRelu(0.2)),
        point("tanh", Pointwise::Tanh),
        point("exp", Pointwise::Exp),
        point("softplus", Pointwise::Softplus),
        point("abs", Pointwise::Abs),
        point("erf", Pointwise::Erf),
        point("clip", Pointwise::Clip([-0.25, 0.75])),
        point("hard sigmoid", Pointwise::HardSigmoid([0.2, 0.5])),
        point("hard swish", Pointwise::HardSwish),
        point("sine", Pointwise::Sin),
        point("cosine", Pointwise::Cos),
    ]
}
