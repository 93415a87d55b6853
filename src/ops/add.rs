//! Weighted sum of two tensors: y = s x + t z. Residual connections, whose scales are 1, 1/sqrt(2) or learned.
//! Linear: the tangent is s x' + t z'.
use super::elementwise::{Elementwise, Second};
use super::{Case, Locality, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::named;
use crate::shape::Shape;
use std::sync::Arc;

/// y = `scales[0]` x + `scales[1]` z.
#[derive(Clone, Debug)]
pub struct Add {
    /// s and t.
    pub scales: [f64; 2],
}

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        match inputs {
            [x, z] if x == z => Ok(*x),
            _ => Err(Error::invalid("inputs", format!("{inputs:?}, expected two of one shape"))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let [s, t] = self.scales;
        inputs[0].iter().zip(inputs[1]).map(|(&x, &z)| x * s + z * t).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let u = g.cotangent();
        self.scales.iter().map(|&scale| g.scaled(u, scale).map(Share::Whole)).collect()
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        3 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let z = cx.inputs[1].clone();
        if z.slots != cx.inputs[0].slots {
            return Err(Error::invalid(cx.node, "the channels of its two inputs are ordered differently in memory"));
        }
        let own: Vec<_> =
            z.second().into_iter().chain(named(["s", "t"], self.scales.map(|s| (s as f32).to_bits()))).collect();
        Elementwise {
            name: "add",
            second: Second::of(&z),
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
    let case =
        |name, c, scales| Case { name, op: Arc::new(Add { scales }), inputs: vec![Shape::new(c, 5, 3); 2], row: None };
    vec![case("8 channels", 8, [1.0, 1.0]), case("12 channels, scaled", 12, [0.75, -0.3])]
}
