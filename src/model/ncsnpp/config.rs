//! Keys of score_sde's configurations that make an NCSN++: each is used, known to be without effect, or refused by name. Words
//! are read as the class reads them, in any case. In: `hyper` as JSON. Out: `Hyper`, checked.
use super::super::blocks::{defaults, hyper, sane};
use super::super::sides::Sides;
use crate::error::{Error, Result};
use crate::ops::pointwise::Pointwise;
use crate::ops::resample::Resample;
use serde::de::value::StringDeserializer;
use serde::de::{IgnoredAny, IntoDeserializer};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hyper {
    pub nf: usize,
    pub ch_mult: Vec<usize>,
    pub num_res_blocks: usize,
    /// Widths in pixels; heights do not matter.
    pub attn_resolutions: Vec<usize>,
    pub image_size: Sides,
    pub num_channels: usize,
    #[serde(deserialize_with = "lower")]
    pub resblock_type: Block,
    #[serde(deserialize_with = "lower")]
    pub embedding_type: Embedding,
    #[serde(deserialize_with = "lower")]
    pub progressive: Output,
    #[serde(deserialize_with = "lower")]
    pub progressive_input: Input,
    #[serde(default, deserialize_with = "lower")]
    pub progressive_combine: Combine,
    pub fir: bool,
    #[serde(default = "binomial")]
    pub fir_kernel: Vec<f64>,
    pub skip_rescale: bool,
    pub scale_by_sigma: bool,
    pub centered: bool,
    #[serde(default = "defaults::yes")]
    pub resamp_with_conv: bool,
    #[serde(default = "defaults::yes")]
    pub conditional: bool,
    #[serde(default, deserialize_with = "lower")]
    pub nonlinearity: Nonlinearity,
    // Of the noise levels that a positional embedding numbers, where the weights have no buffer of them.
    #[serde(default)]
    pub sigma_min: Option<f64>,
    #[serde(default)]
    pub sigma_max: Option<f64>,
    #[serde(default)]
    pub num_scales: Option<usize>,
    // The class does not read these.
    #[serde(default, rename = "normalization")]
    _normalization: IgnoredAny,
    #[serde(default, rename = "conv_size")]
    _conv_size: IgnoredAny,
    #[serde(default, rename = "attention_type")]
    _attention_type: IgnoredAny,
    // Of use in training only.
    #[serde(default, rename = "init_scale")]
    _init_scale: IgnoredAny,
    #[serde(default, rename = "fourier_scale")]
    _fourier_scale: IgnoredAny,
    #[serde(default, rename = "dropout")]
    _dropout: IgnoredAny,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Block {
    Biggan,
    Ddpm,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Embedding {
    Fourier,
    Positional,
}

/// What is put out.
#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names)] // as the configurations have them
pub(super) enum Output {
    None,
    OutputSkip,
    Residual,
}

/// What is taken in on the way down.
#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names)] // as the configurations have them
pub(super) enum Input {
    None,
    InputSkip,
    Residual,
}

/// How the input pyramid joins.
#[derive(Deserialize, PartialEq, Eq, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Combine {
    #[default]
    Sum,
    Cat,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Nonlinearity {
    Elu,
    Relu,
    Lrelu,
    #[default]
    Swish,
}

impl Nonlinearity {
    /// The op; none for SiLU, which kernels apply on their stores.
    pub const fn op(self) -> Option<Pointwise> {
        match self {
            Self::Elu => Some(Pointwise::Elu([1.0, 1.0])),
            Self::Relu => Some(Pointwise::Relu),
            Self::Lrelu => Some(Pointwise::LeakyRelu(0.2)),
            Self::Swish => None,
        }
    }
}

/// A word in lower case.
fn lower<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> std::result::Result<T, D::Error> {
    let word: StringDeserializer<D::Error> = String::deserialize(deserializer)?.to_lowercase().into_deserializer();
    T::deserialize(word)
}

fn binomial() -> Vec<f64> {
    vec![1.0, 3.0, 3.0, 1.0]
}

fn refused<T>(message: impl ToString) -> Result<T> {
    Err(Error::invalid("hyper", message))
}

impl Hyper {
    pub fn read(value: &serde_json::Value) -> Result<Self> {
        let h: Self = hyper(value)?;
        // Levels without blocks are levels all the same.
        let sizes = [h.nf, h.num_res_blocks + 1, h.num_channels].into_iter().chain(h.image_size.both());
        sane(sizes.chain(h.ch_mult.iter().copied()))?;
        sane(h.ch_mult.iter().map(|m| h.nf * m))?;
        if h.ch_mult.is_empty() {
            return refused("ch_mult [], expected a number for each level");
        }
        // Norms have a quarter as many groups as channels; half of nf, less one, divides a positional embedding's frequencies.
        if h.nf < 4 {
            return refused(format!("nf {}, expected 4 or more", h.nf));
        }
        let doublings = h.ch_mult.len() - 1;
        h.image_size.halve(doublings)?;
        let turned = |what: &str| {
            let why = "the class turns its kernel around by a step of -1, which PyTorch does not have";
            refused(format!("fir with {what}: {why}, so it never runs"))
        };
        if h.fir && doublings > 0 && h.resblock_type == Block::Ddpm && h.resamp_with_conv {
            return turned("resblock_type ddpm and resamp_with_conv");
        }
        if h.fir && doublings > 0 && h.progressive == Output::Residual {
            return turned("progressive residual");
        }
        if h.fir {
            Resample::filter_down(&h.fir_kernel)?;
        }
        Ok(h)
    }

    /// Noise levels by number, as the class tabulates them: from the largest down, even in their logarithm.
    pub fn sigmas(&self) -> Result<Vec<f32>> {
        let (Some(low), Some(high), Some(n)) = (self.sigma_min, self.sigma_max, self.num_scales) else {
            let why = "scale_by_sigma with a positional embedding";
            return refused(format!("{why} needs the tensor 'sigmas', or sigma_min, sigma_max and num_scales"));
        };
        sane([n])?;
        if !(low > 0.0 && high > 0.0 && low.is_finite() && high.is_finite()) {
            return refused(format!("sigma_min {low}, sigma_max {high}, expected positive numbers"));
        }
        let part = |i: usize| i as f64 / (n - 1).max(1) as f64;
        Ok((0..n).map(|i| (high.ln() + (low.ln() - high.ln()) * part(i)).exp() as f32).collect())
    }
}
