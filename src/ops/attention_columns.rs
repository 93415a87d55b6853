//! What attention's keys and values get of a cotangent u of its output, by head: `x_j = s sum_i d_ij q_i` and behind all heads' x
//! `y_j = sum_i p_ij u_i`, with `p_ij = e^{s q_i.k_j - b_i}`, `d_ij = p_ij (u_i.v_j - a_i)`; inputs are u, q, k, v, and four numbers of each
//! head, a_i, b_i and two more (`attention_rows`). Each head of x, y and u has whole blocks. Tangents, adjoint: those of `parts`.
use super::add::Add;
use super::attention_rows::cotangents;
use super::channels::Channels;
use super::pairs::{Lanes, Pairs, blocks, logits, sizes, spaced};
use super::pointwise::Pointwise;
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Value};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::LaneRole;
use crate::shape::Shape;
use std::sync::Arc;

/// J'u of attention at k and v.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionColumns {
    /// Runs of channels.
    pub heads: usize,
    /// s
    pub scale: f64,
}

impl Op for AttentionColumns {
    fn name(&self) -> &'static str {
        "attention_columns"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let &[u, q, k, v, sums] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 5", inputs.len())));
        };
        let [features, values] = sizes(self.heads, [q, k, v])?;
        let wanted = [4 * self.heads * blocks(values), 4 * self.heads].map(|c| Shape { c, ..q });
        if [u, sums] != wanted {
            let [cotangent, numbers] = wanted;
            let message = format!("{u} and {sums}, expected a cotangent {cotangent} and sums {numbers}");
            return Err(Error::invalid("inputs", message));
        }
        Ok(Shape { c: 4 * self.heads * (blocks(features) + blocks(values)), ..k })
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, m, heads) = (shapes[1].pixels(), shapes[2].pixels(), self.heads);
        let [features, values] = [shapes[1].c, shapes[3].c].map(|c| c / heads);
        let mut x = vec![Dual::default(); 4 * heads * (blocks(features) + blocks(values)) * m];
        let (u, q, v, sums) = (inputs[0], inputs[1], inputs[3], inputs[4]);
        logits((heads, self.scale), [q, inputs[2]], [n, m], &mut |head, i, logits| {
            let (a, b) = (sums[4 * head * n + i], sums[(4 * head + 1) * n + i]);
            let u = |c: usize| u[(4 * head * blocks(values) + c) * n + i];
            for (j, &logit) in logits.iter().enumerate() {
                let p = (logit - b).exp();
                let along: Dual = (0..values).map(|c| u(c) * v[(head * values + c) * m + j]).sum();
                let d = p * (along - a);
                for c in 0..features {
                    x[(4 * head * blocks(features) + c) * m + j] += d * q[(head * features + c) * n + i] * self.scale;
                }
                for c in 0..values {
                    x[(4 * (heads * blocks(features) + head * blocks(values)) + c) * m + j] += p * u(c);
                }
            }
        });
        x
    }

    fn parts(&self, cx: &mut Reverse) -> Result<Option<Value>> {
        let [u, q, k, v, sums] = [0, 1, 2, 3, 4].map(|i| cx.input(i));
        let (heads, m) = (self.heads, cx.shape(k).pixels());
        let [features, values] = sizes(heads, [q, k, v].map(|value| cx.shape(value)))?;
        let u = cx.taken("u", u, &spaced(heads, values, 0))?;
        let of_heads = |n: usize| (0..heads).map(|h| 4 * h + n).collect::<Vec<_>>();
        let (a, b) = (cx.taken("a", sums, &of_heads(0))?, cx.taken("b", sums, &of_heads(1))?);
        let logits = cx.logits("logits", heads, self.scale, [q, k])?;
        let tops = cx.repeated(b, m)?;
        let rest = cx.push("less", Add { scales: [1.0, -1.0] }, &[logits, tops])?;
        let p = cx.push("weights", Pointwise::Exp, &[rest])?;
        let d = cotangents(cx, heads, [u, v, p, a])?;
        let to_k = cx.outer_as("by q", heads, [d, q], cx.shape(k))?;
        let to_k = cx.scaled(to_k, self.scale)?;
        let to_v = cx.outer_as("by u", heads, [p, u], cx.shape(v))?;
        let zero = cx.push("zero", Add { scales: [1.0, -1.0] }, &[to_k, to_k])?;
        let mut map = vec![(2, 0); 4 * heads * (blocks(features) + blocks(values))];
        spaced(heads, features, 0).into_iter().enumerate().for_each(|(c, at)| map[at] = (0, c));
        let behind = heads * blocks(features);
        spaced(heads, values, behind).into_iter().enumerate().for_each(|(c, at)| map[at] = (1, c));
        Ok(Some(cx.push("together", Channels::gather(map), &[to_k, to_v, zero])?))
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, inputs: &[Shape], _: Shape) -> u64 {
        let [q, k, v] = [1, 2, 3].map(|i| inputs[i]);
        (2 * q.pixels() * k.pixels() * (2 * q.c + 2 * v.c + 4 * self.heads)) as u64
    }

    fn locality(&self, input: usize) -> Locality {
        if [2, 3].contains(&input) { Locality::ByPixel } else { Locality::Whole }
    }

    fn finds_primals(&self, input: usize) -> bool {
        (1..4).contains(&input)
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let shapes: Vec<Shape> = cx.inputs.iter().map(|view| view.shape).collect();
        Pairs {
            name: "attention_columns",
            heads: self.heads,
            scale: self.scale,
            inputs: &["u", "q", "k", "v", "z"],
            sizes: sizes(self.heads, [shapes[1], shapes[2], shapes[3]])?,
            held: [2, 2],
            pixels: [shapes[2].pixels(), shapes[1].pixels()],
            flops: self.flops(&shapes, cx.output.shape),
        }
        .push(cx, LaneRole::All, &Lanes::Apart)
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, heads, [features, values]: [usize; 2], h| {
        let of = |c: usize| Shape::new(c, h, 3);
        let [u, q, v, sums] = [4 * heads * blocks(values), heads * features, heads * values, 4 * heads].map(of);
        Case { name, op: Arc::new(AttentionColumns { heads, scale: 0.7 }), inputs: vec![u, q, q, v, sums], row: None }
    };
    vec![
        case("one head of 8", 1, [8, 8], 4),
        case("one head of 6 and 5, 9 pixels", 1, [6, 5], 3),
        case("3 heads of 12", 3, [12, 12], 2),
        case("2 heads of 5 and 7, 9 pixels", 2, [5, 7], 3),
        case("one head of 70, in slices", 1, [70, 70], 3),
    ]
}
