//! Root-mean-square normalisation over the channels of a pixel: y_c = g_c x_c / max(|x|, 1e-12) (arXiv 1910.07467; the
//! factor sqrt(C) is part of g). Tangent rule: y' = g (x' - x <x, x'> / |x|^2) / |x|.
use super::elementwise::Elementwise;
use super::{Case, Locality, Lowering, Op};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Below this norm a pixel is divided by it instead.
const FLOOR: f64 = 1e-12;

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
        let (x, n) = (inputs[0], shapes[0].pixels());
        let scale = |p: usize| {
            let norm = (0..shapes[0].c).map(|c| x[c * n + p] * x[c * n + p]).sum::<Dual>();
            Dual::constant(1.0) / if norm.v > FLOOR * FLOOR { norm.sqrt() } else { Dual::constant(FLOOR) }
        };
        let scales: Vec<Dual> = (0..n).map(scale).collect();
        x.iter().enumerate().map(|(i, &x)| x * scales[i % n] * self.gain[i / n]).collect()
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
        Elementwise {
            name: "rms_norm",
            reads: &[("gains", gains)],
            items: Some(cx.output.shape.pixels()),
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
    vec![case("12 channels", 12), case("7 channels", 7)]
}
