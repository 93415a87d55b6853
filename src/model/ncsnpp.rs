//! NCSN++ of score_sde (arXiv 2011.13456), the paper's CelebA-HQ network: BigGAN or DDPM residual blocks, FIR resampling,
//! input and output pyramids. In: the tensor names of score_sde_pytorch, `all_modules.N` in order. Out: a graph.
use super::blocks::{Geometry, Net, Time, defaults, hyper, sane};
use super::{FamilyInfo, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, RowLayer};
use crate::ops::affine::Affine;
use crate::ops::resample::Resample;
use crate::shape::Shape;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::f64::consts::FRAC_1_SQRT_2;

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "ncsnpp",
    source: "github.com/yang-song/score_sde_pytorch, class NCSNpp",
    ignorable: &["sigmas"],
    schedule: None,
    presets: &[("celebahq-256", CELEBAHQ_256), ("celebahq-64", CELEBAHQ_64)],
    build,
};

/// The paper's: configs/ve/celebahq_256_ncsnpp_continuous.py of score_sde.
const CELEBAHQ_256: &str = include_str!("presets/celebahq-256.json");

/// The same at a quarter of the side, two levels fewer.
const CELEBAHQ_64: &str = include_str!("presets/celebahq-64.json");

/// The keys of score_sde's configurations that make the network; those that only training reads are accepted unread.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    nf: usize,
    ch_mult: Vec<usize>,
    num_res_blocks: usize,
    attn_resolutions: Vec<usize>,
    image_size: usize,
    num_channels: usize,
    resblock_type: Block,
    embedding_type: Embedding,
    progressive: Progressive,
    progressive_input: Progressive,
    #[serde(default = "sum")]
    progressive_combine: String,
    fir: bool,
    #[serde(default = "binomial")]
    fir_kernel: Vec<usize>,
    skip_rescale: bool,
    scale_by_sigma: bool,
    centered: bool,
    #[serde(default = "defaults::yes")]
    resamp_with_conv: bool,
    #[serde(default = "defaults::yes")]
    conditional: bool,
    #[serde(default = "swish")]
    nonlinearity: String,
    #[serde(default = "group_norm")]
    normalization: String,
    #[serde(default = "defaults::size::<3>")]
    conv_size: usize,
    // Of use in training only.
    #[serde(default, rename = "attention_type")]
    _attention_type: IgnoredAny,
    #[serde(default, rename = "init_scale")]
    _init_scale: IgnoredAny,
    #[serde(default, rename = "fourier_scale")]
    _fourier_scale: IgnoredAny,
    #[serde(default, rename = "sigma_min")]
    _sigma_min: IgnoredAny,
    #[serde(default, rename = "sigma_max")]
    _sigma_max: IgnoredAny,
    #[serde(default, rename = "num_scales")]
    _num_scales: IgnoredAny,
    #[serde(default, rename = "dropout")]
    _dropout: IgnoredAny,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Block {
    Biggan,
    Ddpm,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Embedding {
    Fourier,
    Positional,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Progressive {
    None,
    InputSkip,
    OutputSkip,
    Residual,
}

fn sum() -> String {
    "sum".into()
}

fn swish() -> String {
    "swish".into()
}

fn group_norm() -> String {
    "GroupNorm".into()
}

fn binomial() -> Vec<usize> {
    vec![1, 3, 3, 1]
}

const EPSILON: f64 = 1e-6;

/// Groups of a norm over so many channels.
fn groups(channels: usize) -> usize {
    (channels / 4).clamp(1, 32)
}

struct Builder<'a> {
    net: Net<'a>,
    h: Hyper,
    /// Number of the next of `all_modules`.
    next: usize,
    time: Time,
}

fn build(value: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let h: Hyper = hyper(value)?;
    sane([h.nf, h.num_res_blocks, h.image_size, h.num_channels].into_iter().chain(h.ch_mult.clone()))?;
    sane(h.ch_mult.iter().map(|m| h.nf * m))?;
    let halvings = h.ch_mult.len().saturating_sub(1).min(20);
    if h.ch_mult.is_empty() || !h.nf.is_multiple_of(4) || !h.image_size.is_multiple_of(1 << halvings) {
        let message = format!(
            "nf {} must be divisible by 4, image_size {} by 2^{halvings}, ch_mult not empty",
            h.nf, h.image_size
        );
        return Err(Error::invalid("hyper", message));
    }
    let only = |name: &str, found: &str, known: &str| {
        if found == known {
            Ok(())
        } else {
            Err(Error::invalid("hyper", format!("{name} '{found}', only '{known}' is known")))
        }
    };
    only("progressive_combine", &h.progressive_combine, "sum")?;
    only("nonlinearity", &h.nonlinearity, "swish")?;
    only("normalization", &h.normalization, "GroupNorm")?;
    only("fir_kernel", &format!("{:?}", h.fir_kernel), "[1, 3, 3, 1]")?;
    only("conv_size", &h.conv_size.to_string(), "3")?;
    only("conditional, resamp_with_conv", &format!("{}, {}", h.conditional, h.resamp_with_conv), "true, true")?;
    if h.progressive == Progressive::InputSkip || h.progressive_input == Progressive::OutputSkip {
        return Err(Error::invalid(
            "hyper",
            "progressive is none, output_skip or residual; progressive_input none, input_skip or residual",
        ));
    }
    if h.resblock_type == Block::Ddpm && h.fir
        || h.fir && [h.progressive, h.progressive_input].contains(&Progressive::Residual)
    {
        return Err(Error::invalid("hyper", "fir together with ddpm blocks or residual pyramids is not supported"));
    }
    if h.embedding_type == Embedding::Positional && h.scale_by_sigma {
        return Err(Error::invalid("hyper", "scale_by_sigma with a positional embedding is not supported"));
    }
    let net = Net::new(Shape::new(h.num_channels, h.image_size, h.image_size), weights);
    let mut b = Builder { net, h, next: 0, time: Time { layers: vec![], width: 0 } };
    b.network()?;
    Ok(b.net.graph)
}

impl Builder<'_> {
    fn module(&mut self) -> String {
        self.next += 1;
        format!("all_modules.{}", self.next - 1)
    }

    fn network(&mut self) -> Result<()> {
        let (nf, levels, blocks) = (self.h.nf, self.h.ch_mult.len(), self.h.num_res_blocks);
        self.embed()?;
        let mut x = self.net.graph.input();
        if !self.h.centered {
            x = self.net.graph.push("centered", Affine { gain: 2.0, table: None, shift: -1.0 }, &[x])?;
        }
        let mut input = x;
        let name = self.module();
        let mut skips = vec![self.net.conv(&name, x, nf, Geometry::same(3))?];
        let mut y = skips[0];
        for level in 0..levels {
            for _ in 0..blocks {
                y = self.block(y, nf * self.h.ch_mult[level])?;
                y = self.perhaps_attention(y)?;
                skips.push(y);
            }
            if level + 1 == levels {
                break;
            }
            y = self.resized(y, false)?;
            match self.h.progressive_input {
                Progressive::InputSkip => {
                    input = self.thin("input pyramid", input)?;
                    let name = format!("{}.Conv_0", self.module());
                    let width = self.net.channels(y);
                    let shown = self.net.conv(&name, input, width, Geometry::same(1))?;
                    y = self.net.sum(&name, shown, y, 1.0)?;
                }
                Progressive::Residual => {
                    let (name, width) = (self.module(), self.net.channels(y));
                    input = self.net.conv(&format!("{name}.Conv_0"), input, width, Geometry::HALVE)?;
                    input = self.net.sum(&name, input, y, self.rescale())?;
                    y = input;
                }
                _ => {}
            }
            skips.push(y);
        }
        let deepest = self.net.channels(y);
        y = self.block(y, deepest)?;
        y = self.attention(y)?;
        y = self.block(y, deepest)?;
        let mut pyramid: Option<NodeId> = None;
        for level in (0..levels).rev() {
            for _ in 0..=blocks {
                let skip = skips.pop().ok_or_else(|| Error::invalid("ncsnpp", "no skip connection left"))?;
                let both = self.net.concat(&format!("all_modules.{}", self.next), y, skip)?;
                y = self.block(both, nf * self.h.ch_mult[level])?;
            }
            y = self.perhaps_attention(y)?;
            match (self.h.progressive, pyramid) {
                (Progressive::OutputSkip, before) => {
                    let shown = self.out(y, self.h.num_channels)?;
                    pyramid = Some(match before {
                        None => shown,
                        Some(before) => {
                            let up = self.spread("output pyramid", before)?;
                            self.net.sum("output pyramid", up, shown, 1.0)?
                        }
                    });
                }
                (Progressive::Residual, None) => pyramid = Some(self.out(y, self.net.channels(y))?),
                (Progressive::Residual, Some(before)) => {
                    let (name, width) = (self.module(), self.net.channels(y));
                    let up = self.spread(&format!("{name}.up"), before)?;
                    let up = self.net.conv(&format!("{name}.Conv_0"), up, width, Geometry::same(3))?;
                    y = self.net.sum(&name, up, y, self.rescale())?;
                    pyramid = Some(y);
                }
                _ => {}
            }
            if level > 0 {
                y = self.resized(y, true)?;
            }
        }
        y = match pyramid {
            Some(pyramid) if self.h.progressive == Progressive::OutputSkip => pyramid,
            _ => self.out(y, self.h.num_channels)?,
        };
        if self.h.scale_by_sigma {
            let table = Some(self.net.row("1 / sigma", 1, vec![RowLayer::Reciprocal]));
            y = self.net.graph.push("over sigma", Affine { gain: 1.0, table, shift: 0.0 }, &[y])?;
        }
        if y != self.net.graph.output() {
            return Err(Error::invalid("ncsnpp", "the output is not the last node"));
        }
        Ok(())
    }

    /// The embedding of the noise level; blocks see SiLU of it.
    fn embed(&mut self) -> Result<()> {
        let nf = self.h.nf;
        let (first, width) = match self.h.embedding_type {
            Embedding::Fourier => {
                let weights = self.net.weights.take(&format!("{}.W", self.module()), &[nf])?;
                (RowLayer::Fourier { weights, log: true }, 2 * nf)
            }
            Embedding::Positional => {
                (RowLayer::Sinusoid { width: nf, divisor: (nf / 2) as f64 - 1.0, cos_first: false }, nf)
            }
        };
        let (one, two) = (self.module(), self.module());
        let layers = vec![
            first,
            self.net.dense(&one, 4 * nf, width)?,
            RowLayer::Silu,
            self.net.dense(&two, 4 * nf, 4 * nf)?,
            RowLayer::Silu,
        ];
        self.time = Time { layers, width: 4 * nf };
        Ok(())
    }

    fn rescale(&self) -> f64 {
        if self.h.skip_rescale { FRAC_1_SQRT_2 } else { 1.0 }
    }

    fn thin(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.net.resample(name, x, if self.h.fir { Resample::fir_down() } else { Resample::average() })
    }

    fn spread(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.net.resample(name, x, if self.h.fir { Resample::fir_up() } else { Resample::nearest() })
    }

    /// silu(norm), then a 3x3 convolution.
    fn out(&mut self, x: NodeId, channels: usize) -> Result<NodeId> {
        let name = self.module();
        let y = self.net.norm_silu(&name, x, groups(self.net.channels(x)), EPSILON)?;
        let name = self.module();
        self.net.conv(&name, y, channels, Geometry::same(3))
    }

    fn block(&mut self, x: NodeId, out: usize) -> Result<NodeId> {
        self.residual(x, out, None)
    }

    /// Half or twice the size: by a residual block, or by a convolution where blocks are DDPM's.
    fn resized(&mut self, x: NodeId, up: bool) -> Result<NodeId> {
        let channels = self.net.channels(x);
        if self.h.resblock_type == Block::Biggan {
            return self.residual(x, channels, Some(up));
        }
        let name = format!("{}.Conv_0", self.module());
        if !up {
            return self.net.conv(&name, x, channels, Geometry::HALVE);
        }
        let spread = self.net.resample(&format!("{name}.nearest"), x, Resample::nearest())?;
        self.net.conv(&name, spread, channels, Geometry::same(3))
    }

    /// (x + f(x)) / sqrt 2, f of two convolutions; `up` resizes both.
    fn residual(&mut self, x: NodeId, out: usize, up: Option<bool>) -> Result<NodeId> {
        let name = self.module();
        let channels = self.net.channels(x);
        let (mut x, mut y) = (x, self.net.norm_silu(&format!("{name}.GroupNorm_0"), x, groups(channels), EPSILON)?);
        match up {
            Some(true) => {
                y = self.spread(&format!("{name}.up"), y)?;
                x = self.spread(&format!("{name}.shortcut.up"), x)?;
            }
            Some(false) => {
                y = self.thin(&format!("{name}.down"), y)?;
                x = self.thin(&format!("{name}.shortcut.down"), x)?;
            }
            None => {}
        }
        y = self.net.conv(&format!("{name}.Conv_0"), y, out, Geometry::same(3))?;
        y = self.net.add_time(&format!("{name}.Dense_0"), y, &self.time)?;
        y = self.net.norm_silu(&format!("{name}.GroupNorm_1"), y, groups(out), EPSILON)?;
        y = self.net.conv(&format!("{name}.Conv_1"), y, out, Geometry::same(3))?;
        x = match self.h.resblock_type {
            Block::Biggan if channels != out || up.is_some() => {
                self.net.conv(&format!("{name}.Conv_2"), x, out, Geometry::same(1))?
            }
            Block::Ddpm if channels != out => self.nin(&format!("{name}.NIN_0"), x, out)?,
            _ => x,
        };
        self.net.sum(&name, x, y, self.rescale())
    }

    fn perhaps_attention(&mut self, x: NodeId) -> Result<NodeId> {
        if self.h.attn_resolutions.contains(&self.net.graph.shape(x).w) { self.attention(x) } else { Ok(x) }
    }

    fn attention(&mut self, x: NodeId) -> Result<NodeId> {
        let name = self.module();
        let channels = self.net.channels(x);
        let y = self.net.group_norm(&format!("{name}.GroupNorm_0"), x, groups(channels), EPSILON)?;
        let [q, k, v] = [0, 1, 2].map(|i| self.nin(&format!("{name}.NIN_{i}"), y, channels));
        let y = self.net.attention(&name, [q?, k?, v?], 1)?;
        let y = self.nin(&format!("{name}.NIN_3"), y, channels)?;
        self.net.sum(&name, x, y, self.rescale())
    }

    /// A linear layer at every pixel, `W` `[in, out]` and `b`.
    fn nin(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let channels = self.net.channels(x);
        let given = self.net.weights.take(&format!("{name}.W"), &[channels, out])?;
        let bias = self.net.weights.take(&format!("{name}.b"), &[out])?;
        let weight = (0..given.len()).map(|i| given[i % channels * out + i / channels]).collect();
        self.net.push_conv(name, x, weight, bias, Geometry::same(1))
    }
}
