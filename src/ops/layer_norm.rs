//! Normalisation over the channels of each pixel (arXiv 1607.06450), or by their mean square alone (arXiv 1910.07467), with gain and
//! shift that may depend on the timestep: `y_c = g_c (x_c - mu) r + h_c`, r = 1 / sqrt(var + eps).
//! Tangent rule: y' = g r (x' - mean(x') - xh mean(xh x')), xh = (x - mu) r. Adjoint: `normed`.
use super::elementwise::{Elementwise, grouped, team, there};
use super::normed::{Normed, weighed};
use super::reduce::{Made, Reduce};
use super::scale::Scale;
use super::{Case, Locality, Lowering, Op, Reverse, Share, Value};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// Normalisation of pixels.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// Channels read and written.
    pub channels: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the mean is taken off.
    pub centred: bool,
    /// Gain and shift.
    pub scale: Scale,
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.scale.shape(inputs, self.channels)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let (n, c) = (shapes[0].pixels(), self.channels);
        let mut y = vec![Dual::default(); n * c];
        for p in 0..n {
            let x: Vec<Dual> = (0..c).map(|i| inputs[0][i * n + p]).collect();
            let per = 1.0 / c as f64;
            let mean = if self.centred { x.iter().copied().sum::<Dual>() * per } else { Dual::default() };
            let var = x.iter().map(|&x| (x - mean) * (x - mean)).sum::<Dual>() * per;
            let r = Dual::constant(1.0) / (var + Dual::constant(self.epsilon)).sqrt();
            for (i, &x) in x.iter().enumerate() {
                let (gain, shift) = self.scale.of(i, rows);
                y[i * n + p] = (x - mean) * r * gain + Dual::constant(shift);
            }
        }
        y
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let sum = |cx: &mut Reverse, value: Value| cx.push("sum", Reduce { heads: 1, made: Made::Sum(1.0) }, &[value]);
        let normed = Normed { sum, count: self.channels as f64, centred: self.centred };
        let (u, x) = (cx.cotangent(), cx.input(0));
        let (unit, v) = (normed.unit(cx, x, self.epsilon)?, weighed(cx, u, &self.scale)?);
        Ok(vec![Share::Whole(normed.transposed(cx, v, unit)?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        8 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let rows = self.scale.by_block(cx);
        let masked = cx.inputs[0].slots.len() < 4 * cx.output.blocks;
        let there = masked.then(|| ("there", there(cx)));
        let reads: Vec<_> = [("rows", rows), ("lanes", cx.lanes)].into_iter().chain(there).collect();
        let team = team(cx, cx.output.blocks);
        let own = [("per", (1.0 / self.channels as f32).to_bits()), ("epsilon", (self.epsilon as f32).to_bits())];
        Elementwise {
            name: "layer_norm",
            constants: &[
                ("CENTRED", self.centred as i64),
                ("MASKED", masked as i64),
                ("TEAM", team as i64),
                grouped(cx),
            ],
            reads: &reads,
            own: &own,
            items: Some(cx.output.shape.pixels() * team),
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, channels, centred, row, scale| Case {
        name,
        op: Arc::new(LayerNorm { channels, epsilon: 1e-5, centred, scale }),
        inputs: vec![Shape::new(channels, 5, 3)],
        row,
    };
    let fixed = |c| Scale::Fixed { gain: super::conv::noise(c, 3), shift: super::conv::noise(c, 4) };
    vec![
        case("12 channels", 12, true, None, fixed(12)),
        case("150 channels", 150, true, None, fixed(150)),
        case("7 channels, rows", 7, true, Some(7), Scale::Rows { gain: 0, shift: Some(0) }),
        case("10 channels, mean square", 10, false, None, fixed(10)),
    ]
}
