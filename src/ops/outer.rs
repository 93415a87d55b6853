//! Sums over pixels of outer products, by head: `y[f, (h, d)] = sum_i k[(h, d), i] v[(h, f), i]`, the context of linear attention
//! (arXiv 1812.01243). Channel f, row h and column d of the output. Tangent rule: that of a product.
use super::elementwise::{Elementwise, grouped, plain};
use super::softmax::per_head;
use super::{Case, Lowering, Op, Reads};
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
        if k != v {
            return Err(Error::invalid("inputs", format!("{k} and {v}, expected one shape")));
        }
        let size = per_head(k.c, self.heads)?;
        Ok(Shape::new(size, self.heads, size))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (n, size) = (shapes[0].pixels(), shapes[0].c / self.heads);
        let mut y = Vec::with_capacity(size * shapes[0].c);
        for f in 0..size {
            for c in 0..shapes[0].c {
                let other = c / size * size + f;
                y.push((0..n).map(|i| inputs[0][c * n + i] * inputs[1][other * n + i]).sum());
            }
        }
        y
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Together
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        (2 * output.len() * inputs[0].pixels()) as u64
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (k, v) = (cx.inputs[0].clone(), cx.inputs[1].clone());
        plain(&k)?;
        let first = plain(&v)?;
        let out = cx.output.shape;
        // Four columns are one thread's where no four belong to two heads.
        let aligned = out.c.is_multiple_of(4);
        let columns = if aligned { out.pixels() / 4 } else { out.pixels() };
        Elementwise {
            name: "outer",
            constants: &[grouped(cx), ("ALIGNED", aligned as i64)],
            second: Some((v.buffer, v.bytes())),
            own: &[
                ("z_stride", v.stride as u32),
                ("z_first", first),
                ("in_pixels", k.shape.pixels() as u32),
                ("size", out.c as u32),
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
    let case =
        |name, c, heads| Case { name, op: Arc::new(Outer { heads }), inputs: vec![Shape::new(c, 5, 3); 2], row: None };
    vec![
        case("8 channels", 8, 1),
        case("24 channels, 3 heads", 24, 3),
        case("20 channels, 2 heads", 20, 2),
        case("12 channels, 4 heads", 12, 4),
    ]
}
