//! The small convolutional autoencoder of the paper's MNIST latents: unpadded convolutions of stride 2 and ReLU, a linear
//! layer to mean and log-variance, transposed convolutions back, a logistic output. In: the tensor names of pytorch-vae.
use super::autoencoder::{Halves, Info};
use super::blocks::{Geometry, Net, defaults, hyper, sane};
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::ops::channels::Channels;
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

/// The class's arguments, and the widths and kernels that it writes out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    image_channels: usize,
    #[serde(default = "defaults::size::<64>")]
    image_size: usize,
    h_dim: usize,
    z_dim: usize,
    #[serde(default = "encoder")]
    enc_channels: Vec<usize>,
    #[serde(default = "decoder")]
    dec_channels: Vec<usize>,
    #[serde(default = "kernels")]
    dec_kernels: Vec<usize>,
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
        let lists = [&h.enc_channels, &h.dec_channels, &h.dec_kernels];
        sane(
            [h.image_channels, h.image_size, h.h_dim, h.z_dim].into_iter().chain(lists.into_iter().flatten().copied()),
        )?;
        let deepest = h.enc_channels.last().copied().unwrap_or(0) * h.last_side().pow(2);
        let back =
            h.dec_kernels.iter().fold(1usize, |side, kernel| (side - 1).saturating_mul(2).saturating_add(*kernel));
        if h.dec_kernels.len() != h.dec_channels.len() + 1 || deepest != h.h_dim || back != h.image_size {
            let message = format!(
                "an encoder that ends with {deepest} numbers (h_dim {}), a decoder of {} widths and {} kernels that ends with {back} pixels (image_size {})",
                h.h_dim,
                h.dec_channels.len(),
                h.dec_kernels.len(),
                h.image_size
            );
            return Err(Error::invalid("hyper", message));
        }
        Ok(h)
    }

    /// Pixels left where the encoder ends.
    fn last_side(&self) -> usize {
        self.enc_channels
            .iter()
            .fold(self.image_size, |side, _| if side < KERNEL { 0 } else { (side - KERNEL) / 2 + 1 })
    }
}

fn shapes(value: &serde_json::Value) -> Result<[Shape; 2]> {
    let h = Hyper::read(value)?;
    Ok([Shape::new(h.image_channels, h.image_size, h.image_size), Shape::new(h.z_dim, 1, 1)])
}

fn encode(value: &serde_json::Value, net: &mut Net, x: NodeId) -> Result<NodeId> {
    let h = Hyper::read(value)?;
    let mut y = x;
    for (i, &width) in h.enc_channels.iter().enumerate() {
        let name = format!("encoder.{}", 2 * i);
        y = net.conv(&name, y, width, Geometry { side: KERNEL, stride: 2, padding: 0, trailing: 0 })?;
        y = net.graph.push(format!("{name}.relu"), Pointwise::Relu, &[y])?;
    }
    // A linear layer on what is left of the image, C order, is a convolution whose kernel covers it.
    let (width, side) = (net.channels(y), h.last_side());
    let mut heads = |name: &str| -> Result<NodeId> {
        let weight = net.weights.take(&format!("{name}.weight"), &[h.z_dim, width * side * side])?;
        let bias = net.weights.take(&format!("{name}.bias"), &[h.z_dim])?;
        net.push_conv(name, y, weight, bias, Geometry { side, stride: 1, padding: 0, trailing: 0 })
    };
    let (mean, logvar) = (heads("fc1")?, heads("fc2")?);
    net.graph.push("moments", Channels::concat(&[h.z_dim; 2]), &[mean, logvar])
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
