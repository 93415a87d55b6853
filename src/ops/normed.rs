//! The transpose of a norm, for those over groups of channels and those over the channels of a pixel: with xh = (x - mu) r and v = g u,
//! `J'u = r (v - m(v) - xh m(xh v))`, m the mean over what the norm is over. xh and r depend on x alone; they are made of x with its
//! mean taken off twice, so that a large mean costs no digits.
use super::add::Add;
use super::affine::Affine;
use super::combine::Combine;
use super::modulate::Modulate;
use super::pointwise::Pointwise;
use super::scale::Scale;
use super::{Reverse, Value};
use crate::error::Result;

/// A norm's sums: of each number's group, stretched so that `Combine` can put it beside the group's numbers.
pub(super) struct Normed<F> {
    pub sum: F,
    /// Numbers of a group.
    pub count: f64,
    /// Whether the mean is taken off.
    pub centred: bool,
}

impl<F: Fn(&mut Reverse, Value) -> Result<Value>> Normed<F> {
    fn mean(&self, cx: &mut Reverse, value: Value) -> Result<Value> {
        let sum = (self.sum)(cx, value)?;
        cx.scaled(sum, self.count.recip())
    }

    fn without_mean(&self, cx: &mut Reverse, value: Value) -> Result<Value> {
        let mean = self.mean(cx, value)?;
        cx.push("centred", Combine::Sum([1.0, -1.0]), &[value, mean])
    }

    /// xh and r = 1 / sqrt(var + eps) of x.
    pub fn unit(&self, cx: &mut Reverse, mut x: Value, epsilon: f64) -> Result<[Value; 2]> {
        if self.centred {
            x = self.without_mean(cx, x)?;
            x = self.without_mean(cx, x)?;
        }
        let squares = cx.push("squares", Combine::Product, &[x, x])?;
        let sum = (self.sum)(cx, squares)?;
        let variance = Affine { gain: self.count.recip(), table: None, shift: epsilon };
        let variance = cx.push("variance", variance, &[sum])?;
        let root = cx.push("deviation", Pointwise::Sqrt, &[variance])?;
        let factor = cx.push("factor", Pointwise::Reciprocal, &[root])?;
        Ok([cx.push("unit", Combine::Product, &[x, factor])?, factor])
    }

    /// What the op's input gets: from v = g u, xh and r.
    pub fn transposed(&self, cx: &mut Reverse, v: Value, [unit, factor]: [Value; 2]) -> Result<Value> {
        let along = cx.push("along", Combine::Product, &[v, unit])?;
        let drift = self.mean(cx, along)?;
        let drift = cx.push("drift", Combine::Product, &[unit, drift])?;
        let own = if self.centred { self.without_mean(cx, v)? } else { v };
        let rest = cx.push("rest", Add { scales: [1.0, -1.0] }, &[own, drift])?;
        cx.push("times", Combine::Product, &[rest, factor])
    }
}

/// The gains times a cotangent.
pub(super) fn weighed(cx: &mut Reverse, u: Value, scale: &Scale) -> Result<Value> {
    let scale = scale.unshifted();
    match scale.is_plain() {
        true => Ok(u),
        false => cx.push("weighed", Modulate { channels: cx.shape(u).c, scale }, &[u]),
    }
}
