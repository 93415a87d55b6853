//! Functions of one number, as two ops have them: `pointwise` makes their values, `slope` their derivatives. In: a number in duals.
//! Out: f, or f' whose own derivative is f''. Shaders: `lib/curves.wgsl`.
use crate::dual::Dual;
use std::f64::consts::{FRAC_2_SQRT_PI, PI, TAU};

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

/// Constants of the shaders, one per function.
const NAMES: [&str; 22] = [
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
    "SWISH",
];

impl Pointwise {
    /// As the shader calls it, its two numbers, and operations of an element.
    pub(crate) fn row(self) -> (&'static str, [f32; 2], u64) {
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
    pub(crate) fn of(self, x: Dual) -> Dual {
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

/// A function whose derivative is a tensor of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    /// x / (1 + e^-x).
    Silu,
    /// Any other.
    Pointwise(Pointwise),
}

impl Curve {
    /// As `Pointwise::row`.
    pub(super) fn row(self) -> (&'static str, [f32; 2], u64) {
        match self {
            Self::Silu => ("SWISH", [0.0; 2], 8),
            Self::Pointwise(f) => f.row(),
        }
    }

    /// Constants of the shaders: 1 for this function.
    pub(crate) fn constants(self) -> [(&'static str, i64); 22] {
        let own = self.row().0;
        NAMES.map(|name| (name, i64::from(name == own)))
    }

    /// True if the function and its slope would not be finite where there is no channel.
    pub(crate) fn unbounded(self) -> bool {
        matches!(self, Self::Pointwise(Pointwise::Log | Pointwise::Reciprocal))
    }

    /// f' in duals, so that its derivative is f''; of pieces that are straight 0.
    pub(super) fn slope(self, x: Dual) -> Dual {
        let one = Dual::constant(1.0);
        let flat = |slope: f64| Dual::constant(slope);
        let f = match self {
            Self::Silu => {
                let s = x.sigmoid();
                return s * (one + x * minus(x).sigmoid());
            }
            Self::Pointwise(f) => f,
        };
        match f {
            Pointwise::Sigmoid => x.sigmoid() * minus(x).sigmoid(),
            Pointwise::Gelu => {
                let bell = (x * x * -0.5).exp() * TAU.sqrt().recip();
                let below = 0.5 * libm::erfc(-x.v / std::f64::consts::SQRT_2);
                Dual::new(below, x.d * bell.v) + x * bell
            }
            Pointwise::GeluTanh => {
                // (1 + tanh u) / 2 is the logistic function of 2 u.
                let (c, b) = ((8.0 / PI).sqrt(), 0.044_715);
                let u = (x + x * x * x * b) * c;
                let s = u.sigmoid();
                s + x * s * minus(u).sigmoid() * (one + x * x * (3.0 * b)) * c
            }
            Pointwise::Mish => {
                let (s, soft) = (x.sigmoid(), Pointwise::Softplus.of(x));
                let rest = Self::Pointwise(Pointwise::Tanh).slope(soft);
                Pointwise::Tanh.of(soft) + x * rest * s
            }
            Pointwise::Elu([a, g]) if x.v <= 0.0 => x.exp() * (f64::from(g) * f64::from(a)),
            Pointwise::Tanh => {
                let small = (Dual::new(x.v.abs(), x.d * x.v.signum()) * -2.0).exp();
                small * 4.0 / ((one + small) * (one + small))
            }
            Pointwise::Exp => x.exp(),
            Pointwise::Log => one / x,
            Pointwise::Sqrt if x.v > 0.0 => flat(0.5) / x.sqrt(),
            Pointwise::Reciprocal => flat(-1.0) / (x * x),
            Pointwise::Softplus => x.sigmoid(),
            Pointwise::Erf => minus(x * x).exp() * FRAC_2_SQRT_PI,
            Pointwise::HardSwish => {
                Dual::new(f.of(Dual::new(x.v, 1.0)).d, if x.v.abs() <= 3.0 { x.d / 3.0 } else { 0.0 })
            }
            Pointwise::Sin => Pointwise::Cos.of(x),
            Pointwise::Cos => minus(Pointwise::Sin.of(x)),
            // Straight pieces.
            _ => flat(f.of(Dual::new(x.v, 1.0)).d),
        }
    }
}

fn minus(x: Dual) -> Dual {
    x * -1.0
}
