//! Root-mean-square normalisation over the channels of a pixel: y_c = g_c x_c / max(|x|, 1e-12) (arXiv 1910.07467; the
//! factor sqrt(C) is part of g). Tangent rule: y' = g (x' - x <x, x'> / |x|^2) / |x|. Adjoint: `normed`, with sums instead of means, which
//! count where |x| is not below its floor.
use super::combine::Combine;
use super::curve::Curve;
use super::elementwise::{Elementwise, team};
use super::modulate::Modulate;
use super::normed::Normed;
use super::pointwise::Pointwise;
use super::reduce::{Made, Reduce};
use super::scale::Scale;
use super::slope::Slope;
use super::{Case, Locality, Lowering, Op, Reverse, Share, Value};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Below this norm, the f32 next to 1e-12, a pixel is divided by it instead.
const FLOOR: f32 = 1e-12;

/// y = `gain` x / |x|.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// `[channels]`, sqrt(C) included.
    pub gain: Arc<[f64]>,
}

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        if s.c != self.gain.len() {
            return Err(Error::invalid("input", format!("{} channels, the weights expect {}", s.c, self.gain.len())));
        }
        Ok(s)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (x, n, floor) = (inputs[0], shapes[0].pixels(), f64::from(FLOOR));
        let scale = |p: usize| {
            let norm = (0..shapes[0].c).map(|c| x[c * n + p] * x[c * n + p]).sum::<Dual>();
            Dual::constant(1.0) / if norm.v > floor * floor { norm.sqrt() } else { Dual::constant(floor) }
        };
        let scales: Vec<Dual> = (0..n).map(scale).collect();
        x.iter().enumerate().map(|(i, &x)| x * scales[i % n] * self.gain[i / n]).collect()
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (x, u, c) = (cx.input(0), cx.cotangent(), self.gain.len());
        let length = cx.push("length", Reduce { heads: 1, made: Made::Length }, &[x])?;
        let floor = Pointwise::Clip([FLOOR, f32::MAX]);
        let bounded = cx.push("bounded", floor, &[length])?;
        let factor = cx.push("factor", Pointwise::Reciprocal, &[bounded])?;
        let moves = cx.push("moves", Slope { of: Curve::Pointwise(floor) }, &[length])?;
        let unit = cx.push("unit", Combine::Product, &[x, factor])?;
        let gain = self.gain.iter().map(|&g| g as f32).collect();
        let scale = Scale::Fixed { gain, shift: vec![0.0; c].into() };
        let v = cx.push("weighed", Modulate { channels: c, scale }, &[u])?;
        let sum = |cx: &mut Reverse, value: Value| {
            let sum = cx.push("sum", Reduce { heads: 1, made: Made::Sum(1.0) }, &[value])?;
            cx.push("moved", Combine::Product, &[sum, moves])
        };
        Ok(vec![Share::Whole(Normed { sum, count: 1.0, centred: false }.transposed(cx, v, [unit, factor])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        4 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let view = &cx.inputs[0];
        let mut gains = vec![0f32; 8 * cx.output.blocks];
        for (c, &slot) in view.slots.iter().enumerate() {
            let at = slot / 4 * 8 + slot % 4;
            (gains[at], gains[at + 4]) = (self.gain[c] as f32, 1.0);
        }
        let gains = cx.program.constant(cx.label("gains"), &gains);
        let team = team(cx, cx.output.blocks);
        Elementwise {
            name: "rms_norm",
            constants: &[("TEAM", team as i64)],
            reads: &[("gains", gains)],
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
    let case = |name, c: usize| Case {
        name,
        op: Arc::new(RmsNorm { gain: super::conv::noise(c, 5).iter().map(|&g| f64::from(g)).collect() }),
        inputs: vec![Shape::new(c, 5, 3)],
        row: None,
    };
    vec![case("12 channels", 12), case("7 channels", 7), case("150 channels", 150)]
}
