//! The KL autoencoder of the paper's CIFAR-10 latents: residual blocks of GroupNorm, SiLU and convolution; no attention.
//! In: the tensor names of simple-latent-diffusion-model. Out: its encoder (mean and log-variance) and decoder.
use super::blocks::{Geometry, Net, defaults, hyper, sane};
use super::halves::{Halves, Info};
use super::sides::Sides;
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::ops::resample::Resample;
use crate::shape::Shape;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub(super) const AUTOENCODER: Info = Info {
    name: "vae_sld",
    source: "github.com/juyeopdang/simple-latent-diffusion-model, class VariationalAutoEncoder",
    ignorable: &[],
    shapes,
    halves: Halves { encode, decode },
    space: None,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    encoder: Encoder,
    decoder: Decoder,
    vae: Latent,
}

/// The encoder's constructor arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoder {
    in_channels: usize,
    resolution: Sides,
    channels: usize,
    #[serde(default = "multipliers")]
    channel_multipliers: Vec<usize>,
    z_channels: usize,
    num_res_blocks: usize,
    #[serde(default = "defaults::yes")]
    resample_with_conv: bool,
    /// Whether it ends with twice `z_channels`.
    #[serde(default = "defaults::yes")]
    double_z: bool,
    #[serde(default, rename = "dropout")]
    _dropout: IgnoredAny,
}

/// The decoder's. The class keeps `in_channels` and never reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decoder {
    in_channels: usize,
    #[serde(default)]
    out_channels: Option<usize>,
    resolution: Sides,
    channels: usize,
    #[serde(default = "multipliers")]
    channel_multipliers: Vec<usize>,
    z_channels: usize,
    num_res_blocks: usize,
    #[serde(default = "defaults::yes")]
    resample_with_conv: bool,
    #[serde(default, rename = "dropout")]
    _dropout: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latent {
    embed_dim: usize,
    #[serde(default, rename = "kld_weight")]
    _kld_weight: IgnoredAny,
}

fn multipliers() -> Vec<usize> {
    vec![1, 2, 4, 8]
}

const GROUPS: usize = 32;
const EPSILON: f64 = 1e-6;

fn shapes(value: &serde_json::Value) -> Result<[Shape; 2]> {
    let Hyper { encoder: e, decoder: d, vae } = hyper(value)?;
    let sides = [e.resolution, d.resolution].map(Sides::both);
    let sizes = [e.in_channels, e.channels, e.z_channels, d.in_channels, d.channels, d.z_channels, vae.embed_dim];
    sane(sizes.into_iter().chain(sides.into_iter().flatten()))?;
    // A level may have no blocks of its own.
    sane([e.num_res_blocks + 1, d.num_res_blocks + 1])?;
    sane(d.out_channels)?;
    for (channels, multipliers) in [(e.channels, &e.channel_multipliers), (d.channels, &d.channel_multipliers)] {
        if multipliers.is_empty() {
            return Err(Error::invalid("hyper", "channel_multipliers [], expected one number for each level"));
        }
        sane(multipliers.iter().map(|m| m.saturating_mul(channels)))?;
    }
    // The decoder alone says how large latents are.
    let halvings = (d.channel_multipliers.len() - 1).min(20);
    let latent = Shape::new(vae.embed_dim, d.resolution.h >> halvings, d.resolution.w >> halvings);
    Ok([e.resolution.shape(e.in_channels), latent])
}

fn encode(value: &serde_json::Value, net: &mut Net, x: NodeId) -> Result<NodeId> {
    let h: Hyper = hyper(value)?;
    let e = &h.encoder;
    let mut y = net.conv("encoder.conv_in", x, e.channels, Geometry::same(3))?;
    for (level, m) in e.channel_multipliers.iter().enumerate() {
        let name = format!("encoder.down.{level}");
        for i in 0..e.num_res_blocks {
            y = block(net, &format!("{name}.block.{i}"), y, e.channels * m)?;
        }
        if level + 1 == e.channel_multipliers.len() {
            break;
        }
        let width = net.channels(y);
        y = if e.resample_with_conv {
            net.conv(&format!("{name}.downsample.conv"), y, width, Geometry::HALVE)?
        } else {
            net.resample(&format!("{name}.downsample"), y, Resample::average())?
        };
    }
    y = middle(net, "encoder", y)?;
    y = net.norm_silu("encoder.norm_out", y, GROUPS, EPSILON)?;
    let width = if e.double_z { 2 * e.z_channels } else { e.z_channels };
    y = net.conv("encoder.conv_out", y, width, Geometry::same(3))?;
    net.conv("quant_conv", y, 2 * h.vae.embed_dim, Geometry::same(1))
}

fn decode(value: &serde_json::Value, net: &mut Net, z: NodeId) -> Result<NodeId> {
    let h: Hyper = hyper(value)?;
    let d = &h.decoder;
    let mut y = net.conv("post_quant_conv", z, d.z_channels, Geometry::same(1))?;
    // The way up begins as wide as the last level but one is, or as `channels` where there is one level.
    let before = d.channel_multipliers.iter().rev().nth(1).copied().unwrap_or(1);
    y = net.conv("decoder.conv_in", y, d.channels * before, Geometry::same(3))?;
    y = middle(net, "decoder", y)?;
    for (level, m) in d.channel_multipliers.iter().enumerate().rev() {
        let name = format!("decoder.up.{level}");
        for i in 0..=d.num_res_blocks {
            y = block(net, &format!("{name}.block.{i}"), y, d.channels * m)?;
        }
        if level > 0 {
            let width = net.channels(y);
            y = net.resample(&format!("{name}.upsample"), y, Resample::nearest())?;
            if d.resample_with_conv {
                y = net.conv(&format!("{name}.upsample.conv"), y, width, Geometry::same(3))?;
            }
        }
    }
    y = net.norm_silu("decoder.norm_out", y, GROUPS, EPSILON)?;
    net.conv("decoder.conv_out", y, d.out_channels.unwrap_or(d.in_channels), Geometry::same(3))
}

fn middle(net: &mut Net, half: &str, x: NodeId) -> Result<NodeId> {
    let width = net.channels(x);
    let y = block(net, &format!("{half}.mid.block_1"), x, width)?;
    block(net, &format!("{half}.mid.block_2"), y, width)
}

/// x + f(x), f of two convolutions.
fn block(net: &mut Net, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
    let mut y = net.norm_silu(&format!("{name}.norm1"), x, GROUPS, EPSILON)?;
    y = net.conv(&format!("{name}.conv1"), y, out, Geometry::same(3))?;
    y = net.norm_silu(&format!("{name}.norm2"), y, GROUPS, EPSILON)?;
    y = net.conv(&format!("{name}.conv2"), y, out, Geometry::same(3))?;
    let shortcut =
        if net.channels(x) == out { x } else { net.conv(&format!("{name}.nin_shortcut"), x, out, Geometry::same(1))? };
    net.sum(name, shortcut, y, 1.0)
}
