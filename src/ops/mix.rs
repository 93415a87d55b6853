//! Weighted sums of vectors, by head: `y[(h, f), i] = sum_j p[(h, j), i] v_h[f, j]`. v_h[f, j] is channel (h, f) and pixel j of v
//! (attention's values), or channel f and pixel (h, j) of v (linear attention's context). Tangent rule: that of a product. Adjoint: p gets
//! dot products with the vectors of v, and those get sums over pixels.
use super::elementwise::{Elementwise, Second, grouped, plain, tiled};
use super::gather::Gather;
use super::heads::{aligned, per_head};
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Sums of what input 1 holds with the weights of input 0.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Runs of weights.
    pub heads: usize,
    /// True if v has one row of pixels per head, as `Outer` makes them; false if heads are runs of its channels.
    pub by_row: bool,
}

impl Op for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [p, v] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 2", inputs.len())));
        };
        let size = per_head(p.c, self.heads)?;
        let (vectors, features) = if self.by_row {
            (v.pixels() / self.heads, per_head(v.c, 1)?)
        } else {
            (v.pixels(), per_head(v.c, self.heads)?)
        };
        if vectors != size || self.by_row && v.h != self.heads {
            let message = format!("{p} weights for {v}: {size} and {vectors} a head");
            return Err(Error::invalid("inputs", message));
        }
        Ok(Shape::new(self.heads * features, p.h, p.w))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, m, size) = (shapes[0].pixels(), shapes[1].pixels(), shapes[0].c / self.heads);
        let features = if self.by_row { shapes[1].c } else { shapes[1].c / self.heads };
        let mut y = Vec::with_capacity(self.heads * features * n);
        for h in 0..self.heads {
            for f in 0..features {
                let v = |j: usize| {
                    if self.by_row { inputs[1][f * m + h * size + j] } else { inputs[1][(h * features + f) * m + j] }
                };
                y.extend((0..n).map(|i| (0..size).map(|j| inputs[0][(h * size + j) * n + i] * v(j)).sum::<Dual>()));
            }
        }
        y
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (p, v, u) = (cx.input(0), cx.input(1), cx.cotangent());
        let (heads, s) = (self.heads, cx.shape(v));
        let (vectors, to_v) = if self.by_row {
            let across = Shape::new(heads * s.c, 1, s.w);
            (cx.push("vectors", Gather::by_channel(heads, s, across), &[v])?, cx.outer("by p", heads, [p, u])?)
        } else {
            (v, cx.outer_as("by p", heads, [p, u], s)?)
        };
        let to_p = cx.logits("by v", heads, 1.0, [u, vectors])?;
        Ok(vec![Share::Whole(to_p), Share::Whole(to_v)])
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
        let (p, v) = (cx.inputs[0].clone(), cx.inputs[1].clone());
        plain(&p)?;
        let first = plain(&v)?;
        let per_head = [p.shape.c, cx.output.shape.c].map(|c| c / self.heads);
        let own = [
            ("z_stride", v.stride as u32),
            ("z_first", first),
            ("z_pixels", v.shape.pixels() as u32),
            ("vectors", per_head[0] as u32),
            ("features", per_head[1] as u32),
            ("heads", self.heads as u32),
        ];
        Elementwise {
            name: "mix",
            constants: &[
                grouped(cx),
                ("ALIGNED", aligned(self.heads, per_head) as i64),
                // Behind the last weight there may be other tensors' channels.
                ("MASKED", !per_head[0].is_multiple_of(4) as i64),
            ],
            second: Second::of(&v),
            own: &own,
            items: tiled(cx),
            flops: self.flops(&[p.shape, v.shape], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    // The inputs of a case are cut from one tensor, so both have the same pixels.
    let case = |name, op: Mix, weights, vectors, w| Case {
        name,
        op: Arc::new(op),
        inputs: vec![Shape::new(weights, 2, w), Shape::new(vectors, 2, w)],
        row: None,
    };
    vec![
        case("one head", Mix { heads: 1, by_row: false }, 12, 8, 6),
        case("one head, 10 vectors, other channels behind the weights", Mix { heads: 1, by_row: false }, 10, 8, 5),
        case("3 heads", Mix { heads: 3, by_row: false }, 36, 24, 6),
        case("2 heads by row", Mix { heads: 2, by_row: true }, 8, 12, 4),
        case("2 heads of 7 features, 10 vectors", Mix { heads: 2, by_row: false }, 20, 14, 5),
        case("2 heads by row, of 5 features, 6 vectors", Mix { heads: 2, by_row: true }, 12, 5, 6),
    ]
}
