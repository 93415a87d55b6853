//! How much every two pixels agree, by head: `y[(h, j), i] = s sum_f q[(h, f), i] k[(h, f), j]` (arXiv 1706.03762, before the
//! softmax). The pixels of k become channels. Tangent rule: that of a product. Adjoint: q gets sums of k's vectors, k of q's.
use super::elementwise::{Elementwise, Second, grouped, plain, tiled};
use super::heads::{aligned, per_head};
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Scaled dot products of the pixels of q (input 0) with those of k (input 1).
#[derive(Clone, Debug)]
pub struct AttentionLogits {
    /// Runs of channels.
    pub heads: usize,
    /// s
    pub scale: f64,
}

impl Op for AttentionLogits {
    fn name(&self) -> &'static str {
        "attention_logits"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [q, k] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 2", inputs.len())));
        };
        per_head(q.c, self.heads)?;
        if q.c != k.c {
            return Err(Error::invalid("inputs", format!("{q} and {k}, expected as many channels")));
        }
        Ok(Shape::new(self.heads * k.pixels(), q.h, q.w))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, m, size) = (shapes[0].pixels(), shapes[1].pixels(), shapes[0].c / self.heads);
        let mut y = Vec::with_capacity(self.heads * m * n);
        for first in (0..self.heads).map(|h| h * size) {
            for j in 0..m {
                for i in 0..n {
                    let dot: Dual = (first..first + size).map(|c| inputs[0][c * n + i] * inputs[1][c * m + j]).sum();
                    y.push(dot * self.scale);
                }
            }
        }
        y
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (q, k, u) = (cx.input(0), cx.input(1), cx.cotangent());
        let to_q = cx.mixed("by k", (self.heads, false), [u, k])?;
        let to_k = cx.outer_as("by q", self.heads, [u, q], cx.shape(k))?;
        Ok(vec![Share::Whole(cx.scaled(to_q, self.scale)?), Share::Whole(cx.scaled(to_k, self.scale)?)])
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        (2 * output.len() * inputs[0].c / self.heads) as u64
    }

    fn locality(&self, input: usize) -> Locality {
        if input == 0 { Locality::ByPixel } else { Locality::Whole }
    }

    fn finds_primals(&self, _: usize) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (q, k) = (cx.inputs[0].clone(), cx.inputs[1].clone());
        plain(&q)?;
        let first = plain(&k)?;
        let (features, pixels) = (q.shape.c / self.heads, k.shape.pixels());
        // Behind the last feature there may be other tensors' channels, which whole blocks would sum.
        let whole = features.is_multiple_of(4) && aligned(self.heads, [features, pixels]);
        Elementwise {
            name: "attention_logits",
            constants: &[grouped(cx), ("ALIGNED", whole as i64)],
            second: Second::of(&k),
            own: &[
                ("z_stride", k.stride as u32),
                ("z_first", first),
                ("z_pixels", pixels as u32),
                ("size", features as u32),
                ("channels", cx.output.shape.c as u32),
                ("scale", (self.scale as f32).to_bits()),
            ],
            items: tiled(cx),
            flops: self.flops(&[q.shape, k.shape], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c, heads, scale, h| Case {
        name,
        op: Arc::new(AttentionLogits { heads, scale }),
        inputs: vec![Shape::new(c, h, 3); 2],
        row: None,
    };
    vec![
        case("8 channels", 8, 1, 1.0, 4),
        case("5 channels beside others", 5, 1, 1.0, 4),
        case("24 channels, 3 heads, scaled", 24, 3, 0.3, 4),
        case("8 channels, odd number of pixels", 8, 1, 1.0, 5),
        case("20 channels, 2 heads, odd number of pixels", 20, 2, 0.5, 3),
        case("12 channels, 4 heads, 3 pixels", 12, 4, 1.0, 1),
    ]
}
