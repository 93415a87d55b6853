//! Autoencoders: images to latents and back. A directory of one holds `config.json` (schema: docs/FORMATS.md) and
//! `model.safetensors`; a network's config may name it, and is then run on latents. Adding one is a file and a line here.
use super::blocks::Net;
use super::{Weights, vae_sksq, vae_sld};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::channels::Channels;
use crate::shape::Shape;
use serde_json::Value;

/// An architecture, by the tensor names that its authors gave it.
pub struct Info {
    /// Name in `config.json`.
    pub name: &'static str,
    /// Where the architecture comes from.
    pub source: &'static str,
    /// Endings of tensor names that checkpoints carry and evaluation does not need.
    pub ignorable: &'static [&'static str],
    /// Shapes of an image and of a latent.
    pub(super) shapes: fn(&Value) -> Result<[Shape; 2]>,
    pub(super) halves: Halves,
}

type Half = fn(&Value, &mut Net, NodeId) -> Result<NodeId>;

/// Both halves append themselves to a graph.
pub(super) struct Halves {
    /// From an image to the mean and the log-variance of its latent, as channels.
    pub encode: Half,
    /// From a latent to an image.
    pub decode: Half,
}

/// Every autoencoder that directories may hold.
pub const AUTOENCODERS: &[Info] = &[vae_sksq::AUTOENCODER, vae_sld::AUTOENCODER];

/// The networks of an autoencoder.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    /// An image to the mean and the log-variance of its latent, as channels.
    pub encoder: Graph,
    /// A latent to an image.
    pub decoder: Graph,
    /// An image to the decoded mean of its latent.
    pub reconstruction: Graph,
    /// `[C, H, W]` of a latent.
    pub latent: Shape,
}

impl Autoencoder {
    /// The autoencoder `name` with its weights, every one of which must be used.
    pub fn new(name: &str, hyper: &Value, weights: &Weights) -> Result<Self> {
        let info = AUTOENCODERS.iter().find(|a| a.name == name).ok_or_else(|| {
            let known: Vec<_> = AUTOENCODERS.iter().map(|a| a.name).collect();
            Error::invalid("family", format!("'{name}' is not an autoencoder; known: {}", known.join(", ")))
        })?;
        let [image, latent] = (info.shapes)(hyper)?;
        let Halves { encode, decode } = info.halves;
        let half = |shape, half: Half| -> Result<Graph> {
            let mut net = Net::new(shape, weights);
            let input = net.graph.input();
            half(hyper, &mut net, input)?;
            Ok(net.graph)
        };
        let (encoder, decoder) = (half(image, encode)?, half(latent, decode)?);
        let mut net = Net::new(image, weights);
        let moments = encode(hyper, &mut net, NodeId(0))?;
        let mean = net.graph.push("mean", Channels::range(0, latent.c), &[moments])?;
        decode(hyper, &mut net, mean)?;
        weights.finish(info.ignorable)?;
        Ok(Self { encoder, decoder, reconstruction: net.graph, latent })
    }
}
