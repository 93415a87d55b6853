//! The KL autoencoder of the paper's CIFAR-10 latents: residual blocks of GroupNorm, SiLU and convolution; no attention.
//! In: the tensor names of simple-latent-diffusion-model. Out: its encoder (mean and log-variance) and decoder.
use super::autoencoder::{Halves, Info};
use super::blocks::{Geometry, Net, hyper, sane};
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
    encoder: Side,
    decoder: Side,
    vae: Latent,
}

/// One half's constructor arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    in_channels: usize,
    #[serde(default)]
    out_channels: Option<usize>,
    resolution: usize,
    channels: usize,
    channel_multipliers: Vec<usize>,
    z_channels: usize,
    num_res_blocks: usize,
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

const GROUPS: usize = 32;
const EPSILON: f64 = 1e-6;

fn shapes(value: &serde_json::Value) -> Result<[Shape; 2]> {
    let h: Hyper = hyper(value)?;
    for side in [&h.encoder, &h.decoder] {
        let sizes = [side.in_channels, side.resolution, side.channels, side.z_channels, side.num_res_blocks];
        sane(sizes.into_iter().chain(side.channel_multipliers.iter().map(|m| m.saturating_mul(side.channels))))?;
    }
    sane([h.vae.embed_dim])?;
    let levels = [&h.encoder, &h.decoder].map(|side| side.channel_multipliers.len());
    if levels[0] != levels[1] {
        let message = format!("{} levels in the encoder, {} in the decoder", levels[0], levels[1]);
        return Err(Error::invalid("hyper", message));
    }
    let halvings = h.encoder.channel_multipliers.len().saturating_sub(1).min(20);
    let side = h.encoder.resolution;
    if h.encoder.channel_multipliers.is_empty() || !side.is_multiple_of(1 << halvings) {
        return Err(Error::invalid("hyper", format!("resolution {side} must be divisible by 2^{halvings}")));
    }
    let small = side >> halvings;
    Ok([Shape::new(h.encoder.in_channels, side, side), Shape::new(h.vae.embed_dim, small, small)])
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
        if level + 1 < e.channel_multipliers.len() {
            let width = net.channels(y);
            y = net.conv(&format!("{name}.downsample.conv"), y, width, Geometry::HALVE)?;
        }
    }
    y = middle(net, "encoder", y)?;
    y = net.norm_silu("encoder.norm_out", y, GROUPS, EPSILON)?;
    y = net.conv("encoder.conv_out", y, 2 * e.z_channels, Geometry::same(3))?;
    net.conv("quant_conv", y, 2 * h.vae.embed_dim, Geometry::same(1))
}

fn decode(value: &serde_json::Value, net: &mut Net, z: NodeId) -> Result<NodeId> {
    let h: Hyper = hyper(value)?;
    let d = &h.decoder;
    let mut y = net.conv("post_quant_conv", z, d.z_channels, Geometry::same(1))?;
    // The class starts its way up as narrow as it ends.
    y = net.conv("decoder.conv_in", y, d.channels, Geometry::same(3))?;
    y = middle(net, "decoder", y)?;
    for (level, m) in d.channel_multipliers.iter().enumerate().rev() {
        let name = format!("decoder.up.{level}");
        for i in 0..=d.num_res_blocks {
            y = block(net, &format!("{name}.block.{i}"), y, d.channels * m)?;
        }
        if level > 0 {
            let width = net.channels(y);
            y = net.resample(&format!("{name}.upsample"), y, Resample::nearest())?;
            y = net.conv(&format!("{name}.upsample.conv"), y, width, Geometry::same(3))?;
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
