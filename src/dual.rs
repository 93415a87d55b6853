//! Dual numbers in f64: a value and its derivative along one tangent. The arithmetic of the twin.
use std::ops::{Add, AddAssign, Mul, Sub};

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
