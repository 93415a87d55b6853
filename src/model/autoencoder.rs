//! Autoencoders: images to latents and back. A directory of one holds `config.json` (schema: docs/FORMATS.md) and
//! `model.safetensors`, or is one that diffusers wrote; a network's config may name it, and is then run on latents. Adding
//! one is a file and a line here.
use super::blocks::{Net, defaults};
use super::config::SCHEMA;
use super::halves::{Half, Info};
use super::latent_space::LatentSpace;
use super::{Files, Weights, autoencoder_diffusers, diffusers, vae_sksq, vae_sld};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::channels::Channels;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// `config.json` of an autoencoder's directory, schema version 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Schema version of this file.
    pub vorticity_config: u32,
    /// Name in `AUTOENCODERS`.
    pub family: String,
    /// The family's own hyper-parameters.
    pub hyper: Value,
    /// What 0 and 255 of an 8-bit image map to.
    pub data_range: [f64; 2],
    /// How networks see latents.
    #[serde(default)]
    pub latent: LatentConfig,
    /// Free text and numbers about where the weights come from; copied into manifests.
    #[serde(default)]
    pub provenance: Value,
}

/// How networks see an autoencoder's latents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentConfig {
    /// `[C, H, W]` into which the numbers are folded, in C order; none: as the encoder puts them out.
    #[serde(default)]
    pub shape: Option<[usize; 3]>,
    /// What they are multiplied by, where the hyper-parameters do not say it.
    #[serde(default = "defaults::one")]
    pub scale: f64,
}

impl Default for LatentConfig {
    fn default() -> Self {
        Self { shape: None, scale: 1.0 }
    }
}

/// An opened autoencoder directory.
#[derive(Clone, Debug)]
pub struct AutoencoderModel {
    /// Its `config.json`.
    pub config: AutoencoderConfig,
    /// Its halves.
    pub networks: Autoencoder,
    /// SHA-256 of the weights' file; of shards as `Files::sha256` has it.
    pub sha256: String,
    /// `[C, H, W]` of a latent as networks see it.
    pub shape: Shape,
}

impl AutoencoderModel {
    /// Reads and checks the directory, ours or one of diffusers.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_for(path, None)
    }

    /// `open` for a network on latents of that shape. A directory of diffusers holds an autoencoder of images of any size,
    /// which then follows from the latents'; else it is the `sample_size` of its config.json.
    pub fn open_for(path: &Path, latents: Option<Shape>) -> Result<Self> {
        // A cache of the Hugging Face hub holds it in a folder further down.
        let path = &if path.is_dir() { diffusers::hub::folder(path)? } else { path.to_path_buf() };
        let file = path.join("config.json");
        let (config, weights) = match diffusers::autoencoder::find(path, latents)? {
            Some(found) => found,
            None => {
                let text = crate::data::text(&file)?;
                (
                    serde_json::from_str(&text).map_err(|e| Error::file(&file, e))?,
                    Files::one(path.join("model.safetensors")),
                )
            }
        };
        Self::of(config, &file, &weights)
    }

    /// The autoencoder of a configuration, which lies in `file`, and weights.
    fn of(config: AutoencoderConfig, file: &Path, weights: &Files) -> Result<Self> {
        if config.vorticity_config != SCHEMA {
            let found = config.vorticity_config;
            return Err(Error::file(file, format!("schema version {found}, this program reads {SCHEMA}")));
        }
        let [low, high] = config.data_range;
        if !(low.is_finite() && high.is_finite() && low < high && config.latent.scale.is_normal()) {
            let scale = config.latent.scale;
            let found = format!("data_range [{low}, {high}] and latent.scale {scale}");
            return Err(Error::file(file, format!("{found}, expected an increasing pair and a finite factor")));
        }
        let networks =
            Autoencoder::new(&config.family, &config.hyper, &Weights::open_files(weights)?).map_err(|e| match e {
                Error::Invalid { .. } => Error::file(file, e),
                e => e,
            })?;
        if config.latent.scale != 1.0 && info(&config.family)?.space.is_some() {
            let found =
                format!("latent.scale {}, but the factor of {} is in hyper", config.latent.scale, config.family);
            return Err(Error::file(file, found));
        }
        let shape = config.latent.shape.map_or(networks.latent, |[c, h, w]| Shape::new(c, h, w));
        let numbers = shape.c.checked_mul(shape.h).and_then(|n| n.checked_mul(shape.w));
        if numbers != Some(networks.latent.len()) {
            let found = format!("latent.shape {shape}, expected {} numbers", networks.latent.len());
            return Err(Error::file(file, found));
        }
        let sha256 = weights.sha256()?;
        Ok(Self { config, networks, sha256, shape })
    }

    /// What is subtracted from number `i` of a latent for networks, and what the difference is multiplied by.
    pub fn seen(&self, i: usize) -> (f64, f64) {
        let (space, channel) = (&self.networks.space, i / self.networks.latent.pixels());
        (space.shift[channel], space.scale[channel] * self.config.latent.scale)
    }

    /// `[C, H, W]` of an image.
    pub fn image(&self) -> Shape {
        self.networks.image
    }

    /// `[C, H, W]` of a decoded latent: smaller than an image whose sides are no multiples of what the encoder divides by.
    pub fn decoded(&self) -> Shape {
        self.networks.decoded
    }
}

/// Every autoencoder that directories may hold.
pub const AUTOENCODERS: &[Info] =
    &[vae_sksq::AUTOENCODER, vae_sld::AUTOENCODER, autoencoder_diffusers::KL, autoencoder_diffusers::VQ];

fn info(name: &str) -> Result<&'static Info> {
    AUTOENCODERS.iter().find(|a| a.name == name).ok_or_else(|| {
        let known: Vec<_> = AUTOENCODERS.iter().map(|a| a.name).collect();
        Error::invalid("family", format!("'{name}' is not an autoencoder; known: {}", known.join(", ")))
    })
}

/// The networks of an autoencoder.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    /// An image to the mean and the log-variance of its latent, as channels, or to the latent (`space.distribution`).
    pub encoder: Graph,
    /// A latent to an image; with a codebook, one of its vectors.
    pub decoder: Graph,
    /// `[C, H, W]` of an image.
    pub image: Shape,
    /// `[C, H, W]` of a latent.
    pub latent: Shape,
    /// `[C, H, W]` of a decoded latent.
    pub decoded: Shape,
    /// How latents are used.
    pub space: LatentSpace,
}

impl Autoencoder {
    /// The autoencoder `name` with its weights, every one of which must be used; sizes as `hyper` has them.
    pub fn new(name: &str, hyper: &Value, weights: &Weights) -> Result<Self> {
        let [image, latent] = (info(name)?.shapes)(hyper)?;
        let made = Self::at(name, hyper, weights, Some([image.h, image.w]), Some([latent.h, latent.w]))?;
        let (expected, found) = (made.space.encoded(latent), made.encoder.end_shapes()?[1]);
        if found != expected {
            let twice = if made.space.distribution { "twice " } else { "" };
            let message = format!("the encoder ends with {found}, expected {expected}, {twice}what the decoder takes");
            return Err(Error::invalid("hyper", message));
        }
        Ok(made)
    }

    /// The same for images and latents of other heights and widths; none: images as `hyper` has them, latents as the
    /// encoder leaves them. Encoder and decoder need not meet.
    pub fn at(
        name: &str,
        hyper: &Value,
        weights: &Weights,
        image: Option<[usize; 2]>,
        latent: Option<[usize; 2]>,
    ) -> Result<Self> {
        let (info, sized) = (info(name)?, |s: Shape, [h, w]: [usize; 2]| Shape::new(s.c, h, w));
        let [own, code] = (info.shapes)(hyper)?;
        let half = |shape, half: Half| -> Result<Graph> {
            let mut net = Net::new(shape, weights);
            let input = net.graph.input("x")?;
            let y = half(hyper, &mut net, input)?;
            net.graph.output("y", y)?;
            // It makes the data, once: digits before speed, since norms of few numbers enlarge what is lost.
            net.graph.direct = true;
            Ok(net.graph)
        };
        let encoder = half(image.map_or(own, |sides| sized(own, sides)), info.halves.encode)?;
        let [image, left] = encoder.end_shapes()?;
        let latent = sized(code, latent.unwrap_or([left.h, left.w]));
        let decoder = half(latent, info.halves.decode)?;
        let [_, decoded] = decoder.end_shapes()?;
        let space = info.space.map_or_else(|| Ok(LatentSpace::plain(latent.c)), |space| space(hyper, weights))?;
        weights.finish(info.ignorable)?;
        Ok(Self { encoder, decoder, image, latent, decoded, space })
    }

    /// An image to the decoded mean of its latent. Shares the weights. No graph has the nearest vectors of a codebook.
    pub fn reconstruction(&self) -> Result<Graph> {
        if self.space.codebook.is_some() {
            return Err(Error::invalid(
                "reconstruction",
                "latents are moved to vectors of a codebook, which no graph does",
            ));
        }
        let (mut whole, [_, encoded]) = (self.encoder.clone(), self.encoder.ends()?);
        let [latent, decoded] = self.decoder.ends()?;
        let mean = match self.space.distribution {
            true => whole.push("mean", Channels::range(0, self.latent.c), &[encoded])?,
            false => encoded,
        };
        // By node of the decoder, whose input is the mean; neither half has time rows.
        let mut nodes: Vec<NodeId> = Vec::with_capacity(self.decoder.nodes.len());
        for (i, node) in self.decoder.nodes.iter().enumerate() {
            let inputs: Vec<NodeId> = node.inputs.iter().map(|i| nodes[i.0]).collect();
            nodes.push(if NodeId(i) == latent {
                mean
            } else {
                whole.push_arc(&node.name, node.op.clone(), &inputs)?
            });
        }
        whole.outputs.clear();
        whole.output("y", nodes[decoded.0])?;
        Ok(whole)
    }
}
