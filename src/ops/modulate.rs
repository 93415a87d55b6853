//! Gain and shift of each channel, which may depend on the timestep: `y_c = g_c(k) x_c + h_c(k)` (adaLN, arXiv 2212.09748; FiLM).
//! Affine: the tangent is g_c x'.
use super::elementwise::Elementwise;
use super::scale::Scale;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// y = gain x + shift, by channel.
#[derive(Clone, Debug)]
pub struct Modulate {
    /// Channels.
    pub channels: usize,
    /// Gain and shift.
    pub scale: Scale,
}

impl Op for Modulate {
    fn name(&self) -> &'static str {
        "modulate"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.scale.shape(inputs, self.channels)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let n = shapes[0].pixels();
        let scaled = |(i, &x): (usize, &Dual)| {
            let (gain, shift) = self.scale.of(i / n, rows);
            x * gain + Dual::constant(shift)
        };
        inputs[0].iter().enumerate().map(scaled).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (u, back) = (g.cotangent(), Self { channels: self.channels, scale: self.scale.unshifted() });
        Ok(vec![Share::Whole(g.push("scaled", back, &[u])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        2 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let rows = self.scale.by_block(cx);
        let reads = [("rows", rows), ("lanes", cx.lanes)];
        let flops = self.flops(&[], cx.output.shape);
        Elementwise { name: "modulate", reads: &reads, flops, ..Default::default() }.push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, channels, row, scale| Case {
        name,
        op: Arc::new(Modulate { channels, scale }),
        inputs: vec![Shape::new(channels, 5, 3)],
        row,
    };
    let fixed = |c| Scale::Fixed { gain: super::conv::noise(c, 3), shift: super::conv::noise(c, 4) };
    vec![
        case("10 channels", 10, None, fixed(10)),
        case("7 channels, rows", 7, Some(7), Scale::Rows { gain: 0, shift: Some(0) }),
        case("6 channels, rows, no shift", 6, Some(6), Scale::Rows { gain: 0, shift: None }),
    ]
}
