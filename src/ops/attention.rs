//! Attention in one step, by head: `y_i = sum_j p_ij v_j`, `p_ij = e^{s q_i.k_j} / sum_l e^{s q_i.k_l}` over the pixels j of k and v
//! (arXiv 1706.03762), without a p in memory (arXiv 2205.14135). Each head of y has whole blocks of 4 channels, zeros behind its own.
//! Tangent rule: y'_i = sum_j p_ij (s'_ij (v_j - y_i) + v'_j), s'_ij = s (q'_i.k_j + q_i.k'_j). Adjoint: `attention_rows`, `attention_columns`.
use super::attention_columns::AttentionColumns;
use super::attention_rows::AttentionRows;
use super::pairs::{Lanes, Pairs, blocks, logits, sizes, spaced};
use super::softmax::softmax;
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share, staged};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::LaneRole;
use crate::shape::Shape;
use std::sync::Arc;

/// Sums of the pixels of v (input 2), weighed by how much those of k (input 1) agree with those of q (input 0).
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Runs of channels.
    pub heads: usize,
    /// s
    pub scale: f64,
}

impl Attention {
    /// Where the channels of the heads are in the output, of so many each.
    pub fn channels(&self, size: usize) -> Vec<usize> {
        spaced(self.heads, size, 0)
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let &[q, k, v] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 3", inputs.len())));
        };
        let [_, values] = sizes(self.heads, [q, k, v])?;
        Ok(Shape { c: 4 * self.heads * blocks(values), ..q })
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, m, size) = (shapes[0].pixels(), shapes[1].pixels(), shapes[2].c / self.heads);
        let mut y = vec![Dual::default(); 4 * self.heads * blocks(size) * n];
        logits((self.heads, self.scale), [inputs[0], inputs[1]], [n, m], &mut |head, i, logits| {
            let p = softmax(&logits);
            for c in 0..size {
                let v = &inputs[2][(head * size + c) * m..][..m];
                y[(4 * head * blocks(size) + c) * n + i] = p.iter().zip(v).map(|(&p, &v)| p * v).sum();
            }
        });
        y
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (q, k, v) = (cx.input(0), cx.input(1), cx.input(2));
        let (y, u, heads) = (cx.output(), cx.cotangent(), self.heads);
        let [features, values] = sizes(heads, [q, k, v].map(|value| cx.shape(value)))?;
        let (heads_of_q, scale) = (heads * blocks(features), self.scale);
        let rows = cx.push("rows", AttentionRows { heads, scale }, &[u, q, k, v, y])?;
        let to_q = cx.taken("to q", rows, &spaced(heads, features, 0))?;
        let sums = cx.taken("sums", rows, &spaced(heads, 4, heads_of_q))?;
        let columns = cx.push("columns", AttentionColumns { heads, scale }, &[u, q, k, v, sums])?;
        let to_k = cx.taken("to k", columns, &spaced(heads, features, 0))?;
        let to_v = cx.taken("to v", columns, &spaced(heads, values, heads_of_q))?;
        Ok([to_q, to_k, to_v].map(Share::Whole).to_vec())
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, inputs: &[Shape], _: Shape) -> u64 {
        let [q, k, v] = [0, 1, 2].map(|i| inputs[i]);
        (2 * q.pixels() * k.pixels() * (q.c + v.c + 3 * self.heads)) as u64
    }

    fn locality(&self, input: usize) -> Locality {
        if input == 0 { Locality::ByPixel } else { Locality::Whole }
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let shapes: Vec<Shape> = cx.inputs.iter().map(|view| view.shape).collect();
        let pairs = Pairs {
            name: "attention",
            heads: self.heads,
            scale: self.scale,
            inputs: &["q", "k", "v"],
            sizes: sizes(self.heads, [shapes[0], shapes[1], shapes[2]])?,
            held: [1, 1],
            pixels: [shapes[0].pixels(), shapes[1].pixels()],
            flops: self.flops(&shapes, cx.output.shape),
        };
        let (tangents, staged) = (cx.program.tangents() > 0, staged::pays(cx, &pairs));
        let role = if tangents { LaneRole::Primals } else { LaneRole::All };
        if staged {
            staged::push(&pairs, cx, role)?
        } else {
            pairs.push(cx, role, &Lanes::Tangents)?
        }
        if !tangents {
            return Ok(());
        }
        let flops = 5 * pairs.flops / 2;
        Pairs { held: [2, 1], flops, ..pairs }.push(cx, LaneRole::Tangents, &Lanes::Tangents)
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    // The inputs of a case are cut from one tensor, so all have the same pixels.
    let case = |name, heads, [features, values]: [usize; 2], h| Case {
        name,
        op: Arc::new(Attention { heads, scale: 0.7 }),
        inputs: [features, features, values].map(|size| Shape::new(heads * size, h, 3)).to_vec(),
        row: None,
    };
    vec![
        case("one head of 8", 1, [8, 8], 4),
        case("one head of 6 and 5, 9 pixels", 1, [6, 5], 3),
        case("3 heads of 12", 3, [12, 12], 2),
        case("2 heads of 5 and 7, 9 pixels", 2, [5, 7], 3),
        case("2 heads of 16 and 4", 2, [16, 4], 4),
        case("one head of 132, in slices", 1, [132, 132], 3),
        case("3 heads of 8, 150 pixels", 3, [8, 8], 50),
        case("2 heads of 6 and 5, 90 pixels", 2, [6, 5], 30),
        case("one head of 64, 66 pixels", 1, [64, 64], 22),
    ]
}
