//! What attention's queries get of a cotangent u of its output, by head: `x_i = s sum_j p_ij (u_i.v_j - a_i) k_j`, `a_i = u_i.y_i`, y the
//! output (`attention`); inputs are u, q, k, v, y. Behind x come four numbers of each head: a_i, b_i = ln sum_j e^{s q_i.k_j}, and two
//! zeros, for `attention_columns`. Each head of x, u and y has whole blocks. Tangents, adjoint: those of the ops that `parts` makes.
use super::add::Add;
use super::channels::Channels;
use super::pairs::{Lanes, Pairs, blocks, logits, sizes, spaced};
use super::pointwise::Pointwise;
use super::reduce::{Made, Reduce};
use super::softmax::{Softmax, softmax};
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Value};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::LaneRole;
use crate::shape::Shape;
use std::sync::Arc;

/// J'u of attention at q, and what its columns need of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionRows {
    /// Runs of channels.
    pub heads: usize,
    /// s
    pub scale: f64,
}

impl Op for AttentionRows {
    fn name(&self) -> &'static str {
        "attention_rows"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let &[u, q, k, v, y] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 5", inputs.len())));
        };
        let [features, values] = sizes(self.heads, [q, k, v])?;
        let wanted = Shape { c: 4 * self.heads * blocks(values), ..q };
        if u != wanted || y != wanted {
            return Err(Error::invalid("inputs", format!("{u} and {y}, expected a cotangent and an output {wanted}")));
        }
        Ok(Shape { c: 4 * self.heads * (blocks(features) + 1), ..q })
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, m, heads) = (shapes[1].pixels(), shapes[2].pixels(), self.heads);
        let [features, values] = [shapes[1].c, shapes[3].c].map(|c| c / heads);
        let mut x = vec![Dual::default(); 4 * heads * (blocks(features) + 1) * n];
        let (u, k, v, y) = (inputs[0], inputs[2], inputs[3], inputs[4]);
        logits((heads, self.scale), [inputs[1], k], [n, m], &mut |head, i, logits| {
            let of = |c: usize| (4 * head * blocks(values) + c) * n + i;
            let a: Dual = (0..values).map(|c| u[of(c)] * y[of(c)]).sum();
            let along = |j: usize| (0..values).map(|c| u[of(c)] * v[(head * values + c) * m + j]).sum::<Dual>();
            let d: Vec<Dual> = softmax(&logits).iter().enumerate().map(|(j, &p)| p * (along(j) - a)).collect();
            for c in 0..features {
                let k = &k[(head * features + c) * m..][..m];
                let sum: Dual = d.iter().zip(k).map(|(&d, &k)| d * k).sum();
                x[(4 * head * blocks(features) + c) * n + i] = sum * self.scale;
            }
            let top = Dual::constant(logits.iter().fold(f64::NEG_INFINITY, |top, l| top.max(l.v)));
            let b = logits.iter().map(|&l| (l - top).exp()).sum::<Dual>().ln() + top;
            let behind = 4 * (heads * blocks(features) + head);
            (x[behind * n + i], x[(behind + 1) * n + i]) = (a, b);
        });
        x
    }

    fn parts(&self, cx: &mut Reverse) -> Result<Option<Value>> {
        let [u, q, k, v, y] = [0, 1, 2, 3, 4].map(|i| cx.input(i));
        let (heads, m) = (self.heads, cx.shape(k).pixels());
        let [features, values] = sizes(heads, [q, k, v].map(|value| cx.shape(value)))?;
        let own = spaced(heads, values, 0);
        let (u, y) = (cx.taken("u", u, &own)?, cx.taken("y", y, &own)?);
        let logits = cx.logits("logits", heads, self.scale, [q, k])?;
        let p = cx.push("weights", Softmax { heads, scale: 1.0 }, &[logits])?;
        let product = cx.product("by y", u, y)?;
        let sum = Reduce { heads, made: Made::Sum(1.0) };
        let a = cx.push("a", sum.clone(), &[product])?;
        let d = cotangents(cx, heads, [u, v, p, a])?;
        let mixed = cx.mixed("by k", (heads, false), [d, k])?;
        let x = cx.scaled(mixed, self.scale)?;
        let top = cx.push("largest", Reduce { heads, made: Made::Most }, &[logits])?;
        let tops = cx.repeated(top, m)?;
        let rest = cx.push("less", Add { scales: [1.0, -1.0] }, &[logits, tops])?;
        let powers = cx.push("powers", Pointwise::Exp, &[rest])?;
        let total = cx.push("sum", sum, &[powers])?;
        let logarithm = cx.push("logarithm", Pointwise::Log, &[total])?;
        let b = cx.push("b", Add { scales: [1.0; 2] }, &[logarithm, top])?;
        let zero = cx.push("zero", Add { scales: [1.0, -1.0] }, &[a, a])?;
        // Channels of x, a, b and 0.
        let mut map = vec![(3, 0); 4 * heads * (blocks(features) + 1)];
        spaced(heads, features, 0).into_iter().enumerate().for_each(|(c, at)| map[at] = (0, c));
        for h in 0..heads {
            let behind = 4 * (heads * blocks(features) + h);
            (map[behind], map[behind + 1]) = ((1, h), (2, h));
        }
        Ok(Some(cx.push("together", Channels::gather(map), &[x, a, b, zero])?))
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, inputs: &[Shape], _: Shape) -> u64 {
        let [q, k, v] = [1, 2, 3].map(|i| inputs[i]);
        (2 * q.pixels() * k.pixels() * (2 * q.c + v.c + 4 * self.heads)) as u64
    }

    fn locality(&self, input: usize) -> Locality {
        if [2, 3].contains(&input) { Locality::Whole } else { Locality::ByPixel }
    }

    fn finds_primals(&self, input: usize) -> bool {
        input > 0
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let shapes: Vec<Shape> = cx.inputs.iter().map(|view| view.shape).collect();
        Pairs {
            name: "attention_rows",
            heads: self.heads,
            scale: self.scale,
            inputs: &["u", "q", "k", "v", "z"],
            sizes: sizes(self.heads, [shapes[1], shapes[2], shapes[3]])?,
            held: [2, 1],
            pixels: [shapes[1].pixels(), shapes[2].pixels()],
            flops: self.flops(&shapes, cx.output.shape),
        }
        .push(cx, LaneRole::All, &Lanes::Apart)
    }
}

/// Cotangents of the logits, over s: p_ij (u_i.v_j - a_i).
pub(super) fn cotangents(cx: &mut Reverse, heads: usize, [u, v, p, a]: [Value; 4]) -> Result<Value> {
    let along = cx.logits("by v", heads, 1.0, [u, v])?;
    let drift = cx.repeated(a, cx.shape(v).pixels())?;
    let rest = cx.push("rest", Add { scales: [1.0, -1.0] }, &[along, drift])?;
    cx.product("times", rest, p)
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, heads, [features, values]: [usize; 2], h| {
        let of = |c: usize| Shape::new(c, h, 3);
        let [u, q, v] = [4 * heads * blocks(values), heads * features, heads * values].map(of);
        Case { name, op: Arc::new(AttentionRows { heads, scale: 0.7 }), inputs: vec![u, q, q, v, u], row: None }
    };
    vec![
        case("one head of 8", 1, [8, 8], 4),
        case("one head of 6 and 5, 9 pixels", 1, [6, 5], 3),
        case("3 heads of 12", 3, [12, 12], 2),
        case("2 heads of 5 and 7, 9 pixels", 2, [5, 7], 3),
        case("one head of 90, in slices", 1, [90, 90], 3),
    ]
}
