//! Dual numbers in f64: a value and its derivative along one tangent. The arithmetic of the twin.
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// `v + d e` with e^2 = 0; `d` is the derivative along the tangent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dual {
    /// Value.
    pub v: f64,
    /// Derivative along the one tangent.
    pub d: f64,
}

impl Dual {
    /// v + d epsilon.
    pub const fn new(v: f64, d: f64) -> Self {
        Self { v, d }
    }

    /// A constant: derivative zero.
    pub const fn constant(v: f64) -> Self {
        Self { v, d: 0.0 }
    }

    /// Numbers of a file or of the GPU, as constants.
    pub fn lift(x: &[f32]) -> Vec<Self> {
        x.iter().map(|&v| Self::constant(f64::from(v))).collect()
    }

    /// The point `x` moving along the tangent `v`; both have the same length.
    pub fn along(x: &[f32], v: &[f32]) -> Vec<Self> {
        x.iter().zip(v).map(|(&x, &v)| Self::new(f64::from(x), f64::from(v))).collect()
    }

    /// e^x.
    pub fn exp(self) -> Self {
        let v = self.v.exp();
        Self { v, d: self.d * v }
    }

    /// The square root of a positive number.
    pub fn sqrt(self) -> Self {
        let v = self.v.sqrt();
        Self { v, d: self.d / (2.0 * v) }
    }

    /// 1 / (1 + e^-z), the logistic function.
    pub fn sigmoid(self) -> Self {
        let s = 1.0 / (1.0 + (-self.v).exp());
        Self { v: s, d: self.d * s * (1.0 - s) }
    }

    /// max(x, 0), with slope 0 at 0.
    pub fn relu(self) -> Self {
        if self.v > 0.0 { self } else { Self::default() }
    }

    /// z, or e^z - 1 where z is not above 0.
    pub fn elu(self) -> Self {
        if self.v > 0.0 { self } else { Self { v: self.v.exp_m1(), d: self.d * self.v.exp() } }
    }

    /// z, or z / 5 where z is not above 0.
    pub fn leaky_relu(self) -> Self {
        if self.v > 0.0 { self } else { self * 0.2 }
    }

    /// ln x, x > 0.
    pub fn ln(self) -> Self {
        Self { v: self.v.ln(), d: self.d / self.v }
    }

    /// z P(z), P the standard normal distribution: z (1 + erf(z / sqrt 2)) / 2; derivative P + z P'.
    pub fn gelu(self) -> Self {
        let p = 0.5 * libm::erfc(-self.v * FRAC_1_SQRT_2);
        let density = (-0.5 * self.v * self.v).exp() / TAU.sqrt();
        Self { v: self.v * p, d: self.d * (p + self.v * density) }
    }

    /// z tanh(ln(1 + e^z)); with w = tanh(..), derivative w + z (1 - w^2) / (1 + e^-z).
    pub fn mish(self) -> Self {
        let e = (-self.v.abs()).exp();
        // tanh(ln(1 + e^z)) = (u^2 - 1) / (u^2 + 1), u = 1 + e^z; over e^2z where that could overflow.
        let (up, down) = if self.v > 0.0 { (1.0 + 2.0 * e, 2.0 * e * e) } else { (e * (e + 2.0), 2.0) };
        let (w, rest) = (up / (up + down), down / (up + down));
        let s = if self.v > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
        Self { v: self.v * w, d: self.d * (w + self.v * rest * (1.0 + w) * s) }
    }

    /// z s(z), s the logistic function; derivative s (1 + z (1 - s)).
    pub fn silu(self) -> Self {
        let s = 1.0 / (1.0 + (-self.v).exp());
        Self { v: self.v * s, d: self.d * s * (1.0 + self.v * (1.0 - s)) }
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { v: self.v + o.v, d: self.d + o.d }
    }
}

impl AddAssign for Dual {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self { v: self.v - o.v, d: self.d - o.d }
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self { v: self.v * o.v, d: self.v * o.d + self.d * o.v }
    }
}

impl Mul<f64> for Dual {
    type Output = Self;
    fn mul(self, o: f64) -> Self {
        Self { v: self.v * o, d: self.d * o }
    }
}

impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let v = self.v / o.v;
        Self { v, d: (self.d - v * o.d) / o.v }
    }
}

impl Sum for Dual {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, v| sum + v)
    }
}
