//! Two tensors, number by number: `x z`, `x / z`, `max(x, z)`, `min(x, z)`, which of both those take, `s x + t z`, where z may stand
//! for all channels, for all pixels, or for both. Tangent rules: those of the product, the quotient and the sum; of an extreme that of
//! the number taken; 0 of which it is. Adjoint: the same, and what z is stretched over is summed.
use super::add::Add;
use super::elementwise::{Elementwise, Second, grouped, there};
use super::filter::{Filter, Taps};
use super::reduce::{Made, Reduce};
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share, Value};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::named;
use crate::shape::Shape;
use std::sync::Arc;

/// What is made of two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// x z
    Product,
    /// x / z
    Quotient,
    /// max(x, z)
    Larger,
    /// min(x, z)
    Smaller,
    /// 1 where z is the larger, else 0: which `Larger` takes.
    Above,
    /// 1 where z is the smaller, else 0: which `Smaller` takes.
    Below,
    /// s x + t z; of tensors of one shape this is what `Add` is for.
    Sum([f64; 2]),
}

impl Combine {
    fn of(self, x: Dual, z: Dual) -> Dual {
        match self {
            Self::Product => x * z,
            Self::Quotient => x / z,
            Self::Larger => {
                if z.v > x.v {
                    z
                } else {
                    x
                }
            }
            Self::Smaller => {
                if z.v < x.v {
                    z
                } else {
                    x
                }
            }
            Self::Above => Dual::constant(f64::from(z.v > x.v)),
            Self::Below => Dual::constant(f64::from(z.v < x.v)),
            Self::Sum([s, t]) => x * s + z * t,
        }
    }
}

/// The sum of a value over what z was stretched over.
fn gathered(cx: &mut Reverse, value: Value) -> Result<Value> {
    let (s, z, mut value) = (cx.shape(value), cx.shape(cx.input(1)), value);
    if z.pixels() < s.pixels() {
        let all = Filter { rows: Taps::sum(s.h), columns: Taps::sum(s.w) };
        value = cx.push("over pixels", all, &[value])?;
    }
    if z.c < s.c {
        value = cx.push("over channels", Reduce { heads: 1, made: Made::Sum(1.0) }, &[value])?;
    }
    Ok(value)
}

impl Op for Combine {
    fn name(&self) -> &'static str {
        "combine"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        match inputs {
            [x, z] if (z.c == x.c || z.c == 1) && ((z.h, z.w) == (x.h, x.w) || z.pixels() == 1) => Ok(*x),
            _ => Err(Error::invalid("inputs", format!("{inputs:?}: the second cannot be stretched to the first"))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let [s, z] = [shapes[0], shapes[1]];
        let n = s.pixels();
        let at = |i: usize| {
            let (c, p) = (if z.c == 1 { 0 } else { i / n }, if z.pixels() == 1 { 0 } else { i % n });
            c * z.pixels() + p
        };
        inputs[0].iter().enumerate().map(|(i, &x)| self.of(x, inputs[1][at(i)])).collect()
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (x, z, y, u) = (cx.input(0), cx.input(1), cx.output(), cx.cotangent());
        let [to_x, to_z] = match self {
            Self::Product => [cx.push("by z", Self::Product, &[u, z])?, cx.push("by x", Self::Product, &[u, x])?],
            Self::Quotient => {
                let over = cx.push("over z", Self::Quotient, &[u, z])?;
                let along = cx.push("by y", Self::Product, &[over, y])?;
                let gets = gathered(cx, along)?;
                let gets = cx.scaled(gets, -1.0)?;
                return Ok(vec![Share::Whole(over), Share::Whole(gets)]);
            }
            Self::Larger | Self::Smaller => {
                let which = if *self == Self::Larger { Self::Above } else { Self::Below };
                let taken = cx.push("taken", which, &[x, z])?;
                let to_z = cx.push("by taken", Self::Product, &[u, taken])?;
                [cx.push("rest", Add { scales: [1.0, -1.0] }, &[u, to_z])?, to_z]
            }
            Self::Above | Self::Below => return Ok(vec![Share::Nothing, Share::Nothing]),
            &Self::Sum([s, t]) => {
                let gets = gathered(cx, u)?;
                return Ok(vec![Share::Whole(cx.scaled(u, s)?), Share::Whole(cx.scaled(gets, t)?)]);
            }
        };
        Ok(vec![Share::Whole(to_x), Share::Whole(gathered(cx, to_z)?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        3 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, input: usize, _: usize) -> Reads {
        // A single channel may lie elsewhere in its block than those of x do.
        if input == 0 { Reads::Ordered } else { Reads::Together }
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn finds_primals(&self, _: usize) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (x, z) = (cx.inputs[0].shape, cx.inputs[1].clone());
        let [s, t] = if let Self::Sum(scales) = self { *scales } else { [0.0; 2] };
        let own: Vec<_> =
            z.second().into_iter().chain(named(["s", "t"], [s, t].map(|s| (s as f32).to_bits()))).collect();
        let is = |on: bool| i64::from(on);
        let constants = [
            grouped(cx),
            ("PRODUCT", is(*self == Self::Product)),
            ("QUOTIENT", is(*self == Self::Quotient)),
            ("LARGER", is(*self == Self::Larger)),
            ("SMALLER", is(*self == Self::Smaller)),
            ("ABOVE", is(*self == Self::Above)),
            ("BELOW", is(*self == Self::Below)),
            ("SUM", is(matches!(self, Self::Sum(_)))),
            ("BY_PIXEL", is(z.shape.c == 1)),
            ("BY_CHANNEL", is(z.shape.pixels() == 1 && x.pixels() > 1)),
        ];
        let mask = if *self == Self::Quotient { vec![("there", there(cx))] } else { vec![] };
        Elementwise {
            name: "combine",
            constants: &constants,
            second: Second::of(&z),
            reads: &mask,
            own: &own,
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, op: Combine, c, z: Shape| Case {
        name,
        op: Arc::new(op),
        inputs: vec![Shape::new(c, 5, 3), z],
        row: None,
    };
    vec![
        case("product", Combine::Product, 6, Shape::new(6, 5, 3)),
        case("product, one channel for all", Combine::Product, 7, Shape::new(1, 5, 3)),
        case("product, one pixel for all", Combine::Product, 6, Shape::new(6, 1, 1)),
        case("product, one number for all", Combine::Product, 5, Shape::new(1, 1, 1)),
        case("larger", Combine::Larger, 6, Shape::new(6, 5, 3)),
        case("smaller, one channel for all", Combine::Smaller, 6, Shape::new(1, 5, 3)),
        case("above", Combine::Above, 6, Shape::new(6, 5, 3)),
        case("below, one pixel for all", Combine::Below, 7, Shape::new(7, 1, 1)),
        case("sum, one channel for all", Combine::Sum([0.5, -1.25]), 6, Shape::new(1, 5, 3)),
        case("sum, one pixel for all", Combine::Sum([1.0, 1.0]), 9, Shape::new(9, 1, 1)),
    ]
}
