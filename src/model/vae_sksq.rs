//! The small convolutional autoencoder of the paper's MNIST latents: unpadded convolutions of stride 2 and ReLU, a linear
//! layer to mean and log-variance, transposed convolutions back, a logistic output. In: the tensor names of pytorch-vae.
use super::blocks::{Geometry, Net, defaults, hyper, sane};
use super::halves::{Halves, Info};
use super::sides::Sides;
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::ops::channels::Channels;
use crate::ops::conv::{Conv, Padding};
use crate::ops::pointwise::Pointwise;
use crate::shape::Shape;
use serde::Deserialize;

pub(super) const AUTOENCODER: Info = Info {
    name: "vae_sksq",
    source: "github.com/sksq96/pytorch-vae, class VAE",
    ignorable: &[],
    shapes,
    halves: Halves { encode, decode },
    space: None,
};

/// The class's arguments, and the widths and kernels that it writes out. The class's own decoder works with an `h_dim` of
/// 1024 only, which it also writes out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    #[serde(default = "defaults::size::<3>")]
    image_channels: usize,
    #[serde(default = "image_size")]
    image_size: Sides,
    #[serde(default = "defaults::size::<1024>")]
    h_dim: usize,
    #[serde(default = "defaults::size::<32>")]
    z_dim: usize,
    #[serde(default = "encoder")]
    enc_channels: Vec<usize>,
    #[serde(default = "decoder")]
    dec_channels: Vec<usize>,
    #[serde(default = "kernels")]
    dec_kernels: Vec<usize>,
}

const fn image_size() -> Sides {
    Sides::square(64)
}

fn encoder() -> Vec<usize> {
    vec![32, 64, 128, 256]
}

fn decoder() -> Vec<usize> {
    vec![128, 64, 32]
}

fn kernels() -> Vec<usize> {
    vec![5, 5, 6, 6]
}

/// Side of the encoder's kernels.
const KERNEL: usize = 4;

impl Hyper {
    fn read(value: &serde_json::Value) -> Result<Self> {
        let h: Self = hyper(value)?;
        let lists = [&h.enc_channels, &h.dec_channels, &h.dec_kernels].into_iter().flatten().copied();
        sane([h.image_channels, h.h_dim, h.z_dim].into_iter().chain(h.image_size.both()).chain(lists))?;
        let (widths, kernels) = (h.dec_channels.len(), h.dec_kernels.len());
        if kernels != widths + 1 {
            let message = format!("a decoder of {widths} dec_channels and {kernels} kernels, expected one kernel more");
            return Err(Error::invalid("hyper", message));
        }
        // Refuses a decoder whose images are too large before they are laid out.
        sane([h
            .dec_kernels
            .iter()
            .fold(1, |side: usize, kernel| (side - 1).saturating_mul(2).saturating_add(*kernel))])?;
        Ok(h)
    }
}

fn shapes(value: &serde_json::Value) -> Result<[Shape; 2]> {
    let h = Hyper::read(value)?;
    Ok([h.image_size.shape(h.image_channels), Shape::new(h.z_dim, 1, 1)])
}

fn encode(value: &serde_json::Value, net: &mut Net, x: NodeId) -> Result<NodeId> {
    let h = Hyper::read(value)?;
    let mut y = x;
    for (i, &width) in h.enc_channels.iter().enumerate() {
        let name = format!("encoder.{}", 2 * i);
        y = net.conv(&name, y, width, Geometry { side: KERNEL, stride: 2, padding: 0, trailing: 0 })?;
        y = net.graph.push(format!("{name}.relu"), Pointwise::Relu, &[y])?;
    }
    let left = net.graph.shape(y);
    if left.len() != h.h_dim {
        let message = format!("an encoder that ends with {left}, {} numbers (h_dim {})", left.len(), h.h_dim);
        return Err(Error::invalid("hyper", message));
    }
    let (mean, logvar) = (flat(net, "fc1", y, h.z_dim)?, flat(net, "fc2", y, h.z_dim)?);
    net.graph.push("moments", Channels::concat(&[h.z_dim; 2]), &[mean, logvar])
}

/// A linear layer of all numbers of y in C order, `name.weight` `[out, C H W]`: a convolution whose square kernel covers y
/// and, beyond its shorter side, zeros.
fn flat(net: &mut Net, name: &str, y: NodeId, out: usize) -> Result<NodeId> {
    let s = net.graph.shape(y);
    let given = net.weights.take(&format!("{name}.weight"), &[out, s.len()])?;
    let bias = net.weights.take(&format!("{name}.bias"), &[out])?;
    let side = s.h.max(s.w);
    let mut weight = vec![0.0; out * s.c * side * side];
    for (i, row) in given.chunks_exact(s.w).enumerate() {
        let at = (i / s.h * side + i % s.h) * side;
        weight[at..at + s.w].copy_from_slice(row);
    }
    let op = Conv {
        in_channels: s.c,
        out_channels: out,
        kernel: side,
        stride: 1,
        padding: Padding { rows: [0, side - s.h], columns: [0, side - s.w] },
        weight: weight.into(),
        bias,
    };
    net.graph.push(name, op, &[y])
}

fn decode(value: &serde_json::Value, net: &mut Net, z: NodeId) -> Result<NodeId> {
    let h = Hyper::read(value)?;
    let mut y = net.linear("fc3", z, h.h_dim)?;
    let widths = h.dec_channels.iter().copied().chain([h.image_channels]);
    for (i, (width, &kernel)) in widths.zip(&h.dec_kernels).enumerate() {
        let name = format!("decoder.{}", 2 * i + 1);
        y = net.transposed(&name, y, width, kernel, 0)?;
        let last = i + 1 == h.dec_kernels.len();
        let op = if last { Pointwise::Sigmoid } else { Pointwise::Relu };
        y = net.graph.push(format!("{name}.{}", if last { "sigmoid" } else { "relu" }), op, &[y])?;
    }
    Ok(y)
}
