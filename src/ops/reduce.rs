//! One number of the channels of each head, at every pixel: their sum times s, their length, or the largest.
//! Tangent rules: that of the sum; <x, x'> / |x|, 0 where x is 0; that of the first of the largest.
use super::elementwise::Elementwise;
use super::heads::per_head;
use super::largest::Largest;
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// What is made of the channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Made {
    /// s times their sum.
    Sum(f32),
    /// The root of the sum of their squares.
    Length,
    /// The largest.
    Most,
}

/// A number of each run of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// Runs of equal length.
    pub heads: usize,
    /// What is made of each.
    pub made: Made,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        per_head(s.c, self.heads)?;
        Ok(Shape { c: self.heads, ..s })
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, size) = (shapes[0].pixels(), shapes[0].c / self.heads);
        let number = |(head, p): (usize, usize)| {
            let x = (0..size).map(|l| inputs[0][(head * size + l) * n + p]);
            match self.made {
                Made::Sum(s) => x.sum::<Dual>() * f64::from(s),
                Made::Most => x.reduce(|a, b| if b.v > a.v { b } else { a }).unwrap_or_default(),
                Made::Length => {
                    let squares: Dual = x.map(|x| x * x).sum();
                    if squares.v == 0.0 { Dual::default() } else { squares.sqrt() }
                }
            }
        };
        (0..self.heads).flat_map(|head| (0..n).map(move |p| (head, p))).map(number).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (x, u) = (g.input(0), g.cotangent());
        let size = g.shape(x).c / self.heads;
        // A product takes one channel for all.
        let of_each = |g: &mut Reverse, v| if self.heads == 1 { Ok(v) } else { g.repeated(v, size) };
        let gets = match self.made {
            Made::Sum(s) => {
                let scaled = g.scaled(u, f64::from(s))?;
                g.repeated(scaled, size)?
            }
            Made::Most => {
                let mask = g.push("mask", Largest { heads: self.heads }, &[x])?;
                let all = of_each(g, u)?;
                g.product("to the largest", mask, all)?
            }
            Made::Length => {
                // x is 0 where its length is.
                let length = g.nonzero(g.output())?;
                let over = g.quotient("over its length", u, length)?;
                let all = of_each(g, over)?;
                g.product("along x", x, all)?
            }
        };
        Ok(vec![Share::Whole(gets)])
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        2 * inputs.first().map_or(output.len(), |s| s.len()) as u64
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let s = cx.inputs[0].shape;
        let constants = [
            ("SUM", matches!(self.made, Made::Sum(_)) as i64),
            ("LENGTH", (self.made == Made::Length) as i64),
            ("MOST", (self.made == Made::Most) as i64),
        ];
        let scale = if let Made::Sum(s) = self.made { s } else { 1.0 };
        let own = [("heads", self.heads as u32), ("size", (s.c / self.heads) as u32), ("scale", scale.to_bits())];
        Elementwise {
            name: "reduce",
            constants: &constants,
            own: &own,
            items: Some(s.pixels()),
            flops: self.flops(&[s], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c, heads, made| Case {
        name,
        op: Arc::new(Reduce { heads, made }),
        inputs: vec![Shape::new(c, 3, 5)],
        row: None,
    };
    vec![
        case("sum of 7 channels", 7, 1, Made::Sum(1.0)),
        case("means of 5 heads of 3", 15, 5, Made::Sum(1.0 / 3.0)),
        case("length of 10 channels", 10, 1, Made::Length),
        case("lengths of 3 heads of 4", 12, 3, Made::Length),
        case("largest of 6 channels", 6, 1, Made::Most),
        case("largest of 2 heads of 5", 10, 2, Made::Most),
    ]
}
