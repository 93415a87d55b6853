//! Sums over pixels of outer products, by head: `y[f, (h, d)] = sum_i k[(h, d), i] v[(h, f), i]`, the context of linear attention
//! (arXiv 1812.01243). Channel f, row h and column d of the output. Tangent rule: that of a product. Adjoint: each of k and v gets sums
//! of the other's vectors.
use super::elementwise::{Elementwise, Second, grouped, plain};
use super::gather::Gather;
use super::heads::{aligned, per_head};
use super::{Case, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Products of the channels of k (input 0) with those of v (input 1), summed over pixels.
#[derive(Clone, Debug)]
pub struct Outer {
    /// Runs of channels.
    pub heads: usize,
}

impl Op for Outer {
    fn name(&self) -> &'static str {
        "outer"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [k, v] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 2", inputs.len())));
        };
        if (k.h, k.w) != (v.h, v.w) {
            return Err(Error::invalid("inputs", format!("{k} and {v}, expected the same pixels")));
        }
        Ok(Shape::new(per_head(v.c, self.heads)?, self.heads, per_head(k.c, self.heads)?))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let n = shapes[0].pixels();
        let [columns, features] = [shapes[0].c, shapes[1].c].map(|c| c / self.heads);
        let mut y = Vec::with_capacity(features * shapes[0].c);
        for f in 0..features {
            for c in 0..shapes[0].c {
                let other = c / columns * features + f;
                y.push((0..n).map(|i| inputs[0][c * n + i] * inputs[1][other * n + i]).sum());
            }
        }
        y
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (k, v, u) = (cx.input(0), cx.input(1), cx.cotangent());
        let turned = cx.push("turned", Gather::turned(cx.shape(u)), &[u])?;
        let to_k = cx.mixed("by v", (self.heads, false), [v, turned])?;
        let to_v = cx.mixed("by k", (self.heads, true), [k, u])?;
        Ok(vec![Share::Whole(to_k), Share::Whole(to_v)])
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        (2 * output.len() * inputs[0].pixels()) as u64
    }

    fn finds_primals(&self, _: usize) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (k, v) = (cx.inputs[0].clone(), cx.inputs[1].clone());
        plain(&k)?;
        let first = plain(&v)?;
        cx.rounds(k.shape.pixels() * if cx.program.tangents() > 0 { 2 } else { 1 })?;
        let out = cx.output.shape;
        // Four columns are one thread's where no four belong to two heads, and where no block of v does.
        let whole = out.w.is_multiple_of(4) && aligned(self.heads, [out.c]);
        let columns = if whole { out.pixels() / 4 } else { out.pixels() };
        Elementwise {
            name: "outer",
            constants: &[grouped(cx), ("ALIGNED", whole as i64)],
            second: Second::of(&v),
            own: &[
                ("z_stride", v.stride as u32),
                ("z_first", first),
                ("in_pixels", k.shape.pixels() as u32),
                ("columns", out.w as u32),
                ("features", out.c as u32),
            ],
            items: Some(columns * cx.output.blocks),
            flops: self.flops(&[k.shape, v.shape], out),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, columns, features, heads| Case {
        name,
        op: Arc::new(Outer { heads }),
        inputs: vec![Shape::new(columns, 5, 3), Shape::new(features, 5, 3)],
        row: None,
    };
    vec![
        case("8 channels", 8, 8, 1),
        case("24 channels, 3 heads", 24, 24, 3),
        case("20 channels, 2 heads", 20, 20, 2),
        case("12 channels, 4 heads", 12, 12, 4),
        case("12 by 7 channels", 12, 7, 1),
        case("7 by 12 channels", 7, 12, 1),
        case("24 by 12 channels, 3 heads", 24, 12, 3),
        case("16 by 10 channels, 2 heads", 16, 10, 2),
        case("10 by 16 channels, 2 heads", 10, 16, 2),
    ]
}
