//! How the weights of convolutions and linear layers are held on the device: f32, or f16, two to a word, which takes half the
//! memory and bandwidth; arithmetic is f32 either way (shaders/lib/weights.wgsl). In: f32 weights. Out: a constant buffer, and
//! what rounding does to the weights (IEEE 754, to nearest, ties to even). The f64 twin keeps the weights as they are.
use super::Lowering;
use crate::error::{Error, Result};
use crate::program::BufferId;
use half::f16;
use std::num::FpCategory;

/// How the device holds weights. Filters of depthwise convolutions, biases, gains and time rows are few and always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// As they are.
    #[default]
    F32,
    /// Rounded.
    F16,
}

impl WeightFormat {
    /// As the command line and manifests have it.
    pub const fn name(self) -> &'static str {
        match self {
            WeightFormat::F32 => "f32",
            WeightFormat::F16 => "f16",
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Result<Self> {
        let found = [WeightFormat::F32, WeightFormat::F16].into_iter().find(|h| h.name() == name);
        found.ok_or_else(|| Error::invalid("weights", format!("'{name}' is not one of f32, f16")))
    }

    /// `HALF` of the shaders that read weights.
    pub(crate) const fn constant(self) -> (&'static str, i64) {
        ("HALF", matches!(self, WeightFormat::F16) as i64)
    }
}

/// The weights of a node, as its kernel reads them.
pub(crate) fn buffer(cx: &mut Lowering, packed: &[f32]) -> BufferId {
    let label = cx.label("weights");
    match cx.held {
        WeightFormat::F32 => cx.program.constant(label, packed),
        WeightFormat::F16 => {
            let halves: Vec<f16> = packed.iter().map(|&w| f16::from_f32(w)).collect();
            cx.program.constant(label, &halves)
        }
    }
}

/// What f16 makes of a network's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounding {
    /// Weights that are rounded.
    pub weights: u64,
    /// Largest |w' - w| / |w| of those that stay normal numbers; at most 2^-11.
    pub relative: f64,
    /// Weights that become subnormal, below 2^-14: off by at most 2^-25, or flushed to zero, which WGSL permits.
    pub subnormal: u64,
    /// Weights that are not zero and become it, below 2^-25.
    pub zero: u64,
}

impl Rounding {
    /// Counts these weights too. None may be beyond f16's 65504.
    pub(crate) fn add(&mut self, weights: &[f32]) -> Result<()> {
        for (i, &w) in weights.iter().enumerate() {
            let exact = f64::from(w);
            if exact.abs() > f16::MAX.to_f64() {
                return Err(Error::invalid("f16", format!("element {i} is {w}, expected at most {}", f16::MAX)));
            }
            let rounded = f16::from_f32(w);
            match rounded.classify() {
                FpCategory::Zero => self.zero += u64::from(w != 0.0),
                FpCategory::Subnormal => self.subnormal += 1,
                _ => self.relative = self.relative.max(((rounded.to_f64() - exact) / exact).abs()),
            }
        }
        self.weights += weights.len() as u64;
        Ok(())
    }

    /// In words, for people.
    pub fn describe(&self) -> String {
        let Self { weights, relative, subnormal, zero } = self;
        format!(
            "{weights} as f16, rounded by up to {relative:.2e} of their size; {subnormal} become subnormal, {zero} zero"
        )
    }

    /// For manifests.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "format": WeightFormat::F16.name(), "weights": self.weights, "largest_relative_rounding": self.relative,
            "subnormal": self.subnormal, "zero": self.zero,
        })
    }
}
