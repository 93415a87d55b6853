//! Images to the latents that a network works on, and back. In: an autoencoder and numbers `[N, C, H, W]`. Out: the same of
//! the other kind. A latent is the mean of the encoder's distribution or a draw from it, or what an encoder without one puts
//! out, shifted and multiplied as the autoencoder has it.
use crate::data::{Images, Levels};
use crate::error::{Error, Result};
use crate::evaluate::Evaluator;
use crate::gpu::Gpu;
use crate::model::{AutoencoderModel, Posterior};
use crate::paths::normal::normals;
use crate::paths::philox::{Purpose, Stream};

/// Samples per tile, at most.
const TILE: usize = 64;
/// Log-variances are cut off here, as the authors do.
const LOG_VARIANCE: [f64; 2] = [-30.0, 20.0];

/// The latents of images; the checksum stays the images'. Draws are keyed by the seed and the image's number.
pub fn encode(gpu: &Gpu, model: &AutoencoderModel, images: &Images, posterior: Posterior, seed: u64) -> Result<Images> {
    if images.shape != model.image() {
        let message = format!("images of {}, its autoencoder encodes {}", images.shape, model.image());
        return Err(Error::invalid("data", message));
    }
    let (d, space) = (model.shape.len(), &model.networks.space);
    if posterior == Posterior::Sample && !space.distribution {
        let message = format!("sample, but {} has no distribution to draw from", model.config.family);
        return Err(Error::invalid("posterior", message));
    }
    let mut evaluator = Evaluator::new(gpu, &model.networks.encoder, &[0], TILE.min(images.count))?;
    let encoded = evaluator.evaluate(&images.values, &vec![0; images.count])?;
    let mut values = Vec::with_capacity(images.count * d);
    for (sample, encoded) in encoded.chunks_exact(d * (1 + usize::from(space.distribution))).enumerate() {
        let (mean, logvar) = encoded.split_at(d);
        let stream = Stream { seed, purpose: Purpose::Posterior, draw: 0, sample: sample as u32, k: 0 };
        let noise = if posterior == Posterior::Sample { normals(&stream, d) } else { vec![] };
        for (i, mean) in mean.iter().enumerate() {
            let deviation = |noise: &f64| {
                let logvar = f64::from(logvar[i]).clamp(LOG_VARIANCE[0], LOG_VARIANCE[1]);
                (0.5 * logvar).exp() * noise
            };
            let z = f64::from(*mean) + noise.get(i).map_or(0.0, deviation);
            let (shift, scale) = model.seen(i);
            values.push(((z - shift) * scale) as f32);
        }
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(Error::invalid(format!("latent of image {}", at / d), format!("is {}", values[at]))),
        None => {
            let (shape, count, sha256) = (model.shape, images.count, images.sha256.clone());
            Ok(Images { shape, count, values, levels: Levels::Real, sha256 })
        }
    }
}

/// The images of latents `[N, D]`, in the autoencoder's data range.
pub fn decode(gpu: &Gpu, model: &AutoencoderModel, latents: &[f32]) -> Result<Vec<f32>> {
    let (d, networks) = (model.shape.len(), &model.networks);
    let count = latents.len() / d;
    let own = |(i, &z): (usize, &f32)| {
        let (shift, scale) = model.seen(i % d);
        (f64::from(z) / scale + shift) as f32
    };
    let mut own: Vec<f32> = latents.iter().enumerate().map(own).collect();
    if let Some(codebook) = &networks.space.codebook {
        own = codebook.nearest(&own, networks.latent.pixels());
    }
    let mut evaluator = Evaluator::new(gpu, &model.networks.decoder, &[0], TILE.min(count.max(1)))?;
    evaluator.evaluate(&own, &vec![0; count])
}
