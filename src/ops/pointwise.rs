//! Functions of each number: ReLU and its kin, the logistic function, GELU (arXiv 1606.08415), Mish (arXiv 1908.08681), exponentials,
//! roots, sines, bounds.
//! Tangents: y' = f'(x) x', with f' as in `Dual`.
//! (SiLU has a file of its own: kernels apply it on their stores.)
use super::elementwise::{Elementwise, there};
use super::{Case, Locality, Lowering, Op};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::named;
use crate::shape::Shape;
use std::sync::Arc;

/// One of the functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pointwise {
    /// max(x, 0).
    Relu,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// x (1 + erf(x / sqrt 2)) / 2.
    Gelu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    GeluTanh,
    /// x tanh(ln(1 + e^x)).
    Mish,
    /// g x, or g a (e^x - 1) below 0 (arXiv 1511.07289, arXiv 1706.02515): a and g.
    Elu([f32; 2]),
    /// x, or a x below 0.
    LeakyRelu(f32),
    /// tanh x.
    Tanh,
    /// e^x.
    Exp,
    /// ln x, x > 0.
    Log,
    /// sqrt x, x >= 0; its slope at 0 is 0.
    Sqrt,
    /// 1 / x.
    Reciprocal,
    /// ln(1 + e^x).
    Softplus,
    /// |x|.
    Abs,
    /// erf x.
    Erf,
    /// min(max(x, a), b); its slope at a bound is 1.
    Clip([f32; 2]),
    /// min(max(a x + b, 0), 1).
    HardSigmoid([f32; 2]),
    /// x min(max(x / 6 + 1 / 2, 0), 1).
    HardSwish,
    /// 1 above 0, else 0; its slope is 0.
    Step,
    /// sin x.
    Sin,
    /// cos x.
    Cos,
}

/// Constants of the shader, one per function.
const NAMES: [&str; 21] = [
    "RELU",
    "SIGMOID",
    "GELU",
    "GELU_TANH",
    "MISH",
    "ELU",
    "LEAKY",
    "TANH",
    "EXP",
    "LOG",
    "SQRT",
    "RECIPROCAL",
    "SOFTPLUS",
    "ABS",
    "ERF",
    "CLIP",
    "HARD_SIGMOID",
    "HARD_SWISH",
    "STEP",
    "SIN",
    "COS",
];

impl Pointwise {
    /// As the shader calls it, its two numbers, and operations of an element.
    fn row(self) -> (&'static str, [f32; 2], u64) {
        match self {
            Self::Relu => ("RELU", [0.0; 2], 1),
            Self::Sigmoid => ("SIGMOID", [0.0; 2], 4),
            Self::Gelu => ("GELU", [0.0; 2], 10),
            Self::GeluTanh => ("GELU_TANH", [0.0; 2], 10),
            Self::Mish => ("MISH", [0.0; 2], 10),
            Self::Elu(numbers) => ("ELU", numbers, 4),
            Self::LeakyRelu(slope) => ("LEAKY", [slope, 0.0], 2),
            Self::Tanh => ("TANH", [0.0; 2], 6),
            Self::Exp => ("EXP", [0.0; 2], 4),
            Self::Log => ("LOG", [0.0; 2], 4),
            Self::Sqrt => ("SQRT", [0.0; 2], 1),
            Self::Reciprocal => ("RECIPROCAL", [0.0; 2], 1),
            Self::Softplus => ("SOFTPLUS", [0.0; 2], 8),
            Self::Abs => ("ABS", [0.0; 2], 1),
            Self::Erf => ("ERF", [0.0; 2], 10),
            Self::Clip(bounds) => ("CLIP", bounds, 2),
            Self::HardSigmoid(numbers) => ("HARD_SIGMOID", numbers, 4),
            Self::HardSwish => ("HARD_SWISH", [0.0; 2], 5),
            Self::Step => ("STEP", [0.0; 2], 1),
            Self::Sin => ("SIN", [0.0; 2], 16),
            Self::Cos => ("COS", [0.0; 2], 16),
        }
    }

    /// The function in duals.
    fn of(self, x: Dual) -> Dual {
        let along = |v: f64, slope: f64| Dual::new(v, x.d * slope);
        let z = x.v;
        match self {
            Self::Relu => x.relu(),
            Self::Sigmoid => x.sigmoid(),
            Self::Gelu => x.gelu(),
            Self::Mish => x.mish(),
            Self::GeluTanh => {
                let c = (2.0 / std::f64::consts::PI).sqrt();
                let (t, slope) = ((c * (z + 0.044_715 * z.powi(3))).tanh(), c * (1.0 + 3.0 * 0.044_715 * z * z));
                along(0.5 * z * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * slope)
            }
            Self::Elu([a, g]) => {
                let (a, g) = (f64::from(a), f64::from(g));
                if z > 0.0 { along(g * z, g) } else { along(g * a * z.exp_m1(), g * a * z.exp()) }
            }
            Self::LeakyRelu(a) => {
                if z > 0.0 {
                    x
                } else {
                    x * f64::from(a)
                }
            }
            Self::Tanh => along(z.tanh(), 1.0 - z.tanh().powi(2)),
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => along(z.sqrt(), if z > 0.0 { 0.5 / z.sqrt() } else { 0.0 }),
            Self::Reciprocal => along(1.0 / z, -1.0 / (z * z)),
            Self::Softplus => along(z.max(0.0) + (-z.abs()).exp().ln_1p(), 1.0 / (1.0 + (-z).exp())),
            Self::Abs => along(z.abs(), if z == 0.0 { 0.0 } else { z.signum() }),
            Self::Erf => along(libm::erf(z), std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp()),
            Self::Clip(bounds) => {
                let [a, b] = bounds.map(f64::from);
                along(z.max(a).min(b), f64::from((a..=b).contains(&z)))
            }
            Self::HardSigmoid(numbers) => {
                let [a, b] = numbers.map(f64::from);
                along((a * z + b).clamp(0.0, 1.0), if (0.0..=1.0).contains(&(a * z + b)) { a } else { 0.0 })
            }
            Self::HardSwish => {
                let slope = if z <= -3.0 {
                    0.0
                } else if z >= 3.0 {
                    1.0
                } else {
                    (2.0 * z + 3.0) / 6.0
                };
                along(z * ((z + 3.0) / 6.0).clamp(0.0, 1.0), slope)
            }
            Self::Step => along(f64::from(z > 0.0), 0.0),
            Self::Sin => along(z.sin(), z.cos()),
            Self::Cos => along(z.cos(), -z.sin()),
        }
    }
}

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

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        self.row().2 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (own, numbers, _) = self.row();
        let constants = NAMES.map(|name| (name, i64::from(name == own)));
        // Where there is no channel these would not be finite.
        let unbounded = matches!(self, Self::Log | Self::Reciprocal);
        let mask = if unbounded { vec![("there", there(cx))] } else { vec![] };
        Elementwise {
            name: "pointwise",
            constants: &constants,
            reads: &mask,
            own: &named(["a", "b"], numbers.map(f32::to_bits)),
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
