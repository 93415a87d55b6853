//! Softmax over the channels of each head, at every pixel: y_j = s e^{x_j} / sum_l e^{x_l}.
//! Tangent rule: y' = y (x' - sum_l p_l x'_l), p = y / s. It is symmetric: the adjoint's is the same.
use super::add::Add;
use super::combine::Combine;
use super::elementwise::{Elementwise, plain, team};
use super::heads::{aligned, per_head};
use super::reduce::{Made, Reduce};
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// Softmax over runs of channels.
#[derive(Clone, Debug)]
pub struct Softmax {
    /// Runs of equal length.
    pub heads: usize,
    /// s
    pub scale: f64,
}

/// Softmax in duals; the largest value is taken off first.
pub(super) fn softmax(x: &[Dual]) -> Vec<Dual> {
    let most = x.iter().fold(f64::NEG_INFINITY, |most, x| most.max(x.v));
    let powers: Vec<Dual> = x.iter().map(|&x| (x - Dual::constant(most)).exp()).collect();
    let sum = powers.iter().copied().sum::<Dual>();
    powers.into_iter().map(|p| p / sum).collect()
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        per_head(s.c, self.heads)?;
        Ok(s)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, size) = (shapes[0].pixels(), shapes[0].c / self.heads);
        let mut y = vec![Dual::default(); inputs[0].len()];
        for head in 0..self.heads {
            for p in 0..n {
                let at = |j: usize| (head * size + j) * n + p;
                let x: Vec<Dual> = (0..size).map(|j| inputs[0][at(j)]).collect();
                softmax(&x).into_iter().enumerate().for_each(|(j, v)| y[at(j)] = v * self.scale);
            }
        }
        y
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (y, u) = (cx.output(), cx.cotangent());
        let along = cx.push("by y", Combine::Product, &[u, y])?;
        let sums = cx.push("sums", Reduce { heads: self.heads, made: Made::Sum(1.0) }, &[along])?;
        let drift = cx.scaled(sums, 1.0 / self.scale)?;
        let rest = if self.heads == 1 {
            cx.push("rest", Combine::Sum([1.0, -1.0]), &[u, drift])?
        } else {
            let drift = cx.repeated(drift, cx.shape(u).c / self.heads)?;
            cx.push("rest", Add { scales: [1.0, -1.0] }, &[u, drift])?
        };
        Ok(vec![Share::Whole(cx.push("times", Combine::Product, &[rest, y])?)])
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        6 * output.len() as u64
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let s = cx.output.shape;
        plain(&cx.inputs[0])?;
        let size = s.c / self.heads;
        // Heads that share a block of channels are one thread's, which alone writes it.
        let [together, team] = if aligned(self.heads, [size]) { [1, team(cx, size / 4)] } else { [self.heads, 1] };
        Elementwise {
            name: "softmax",
            constants: &[("TEAM", team as i64)],
            own: &[
                ("heads", self.heads as u32),
                ("together", together as u32),
                ("size", size as u32),
                ("scale", (self.scale as f32).to_bits()),
            ],
            items: Some(s.pixels() * self.heads / together * team),
            flops: self.flops(&[], s),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c, heads, scale| Case {
        name,
        op: Arc::new(Softmax { heads, scale }),
        inputs: vec![Shape::new(c, 5, 3)],
        row: None,
    };
    vec![
        case("12 channels", 12, 1, 1.0),
        case("7 channels", 7, 1, 1.0),
        case("150 channels", 150, 1, 1.0),
        case("24 channels, 3 heads, scaled", 24, 3, 0.25),
        case("33 channels, 3 heads", 33, 3, 0.5),
        case("14 channels, 7 heads", 14, 7, 1.0),
    ]
}
