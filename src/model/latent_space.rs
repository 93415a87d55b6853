//! What lies between an encoder's latents and those of networks and decoders: by channel a shift and a factor, and for some
//! autoencoders a codebook, to whose nearest vectors latents are moved before they are decoded.
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// How the latents of an autoencoder are used.
#[derive(Clone, Debug)]
pub struct LatentSpace {
    /// The encoder puts out a mean and a log-variance; else the latent itself.
    pub distribution: bool,
    /// By channel of a latent: what is subtracted from it for networks.
    pub shift: Vec<f64>,
    /// By channel: what the difference is multiplied by.
    pub scale: Vec<f64>,
    /// Vectors that pixels of latents are moved to before they are decoded.
    pub codebook: Option<Codebook>,
}

impl LatentSpace {
    /// Of an encoder that puts out a mean and a log-variance, which are taken as they are.
    pub fn plain(channels: usize) -> Self {
        Self { distribution: true, shift: vec![0.0; channels], scale: vec![1.0; channels], codebook: None }
    }

    /// Channels that the encoder of latents of that shape puts out.
    pub(super) fn encoded(&self, latent: Shape) -> Shape {
        Shape { c: if self.distribution { 2 * latent.c } else { latent.c }, ..latent }
    }

    /// An error unless all numbers are finite and no factor is 0.
    pub(super) fn checked(self) -> Result<Self> {
        if let Some(c) = (0..self.shift.len()).find(|&c| !(self.shift[c].is_finite() && self.scale[c].is_normal())) {
            let found = format!("channel {c} is shifted by {} and multiplied by {}", -self.shift[c], self.scale[c]);
            return Err(Error::invalid(
                "latents",
                format!("{found}, expected finite numbers and a factor that is not 0"),
            ));
        }
        Ok(self)
    }
}

/// Vectors of an autoencoder with vector quantisation (arXiv 1711.00937).
#[derive(Clone, Debug)]
pub struct Codebook {
    /// `[vectors, width]`, C order.
    pub vectors: Arc<[f32]>,
    /// Numbers of a vector: channels of a latent.
    pub width: usize,
}

impl Codebook {
    /// Latents `[N, width, pixels]` with the vector of every pixel replaced by the nearest one of the codebook, the first of
    /// those that are equally near. Distances are Euclidean, in f64. A pixel that is not finite has none and becomes NaN.
    pub fn nearest(&self, latents: &[f32], pixels: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; latents.len()];
        let sample = self.width * pixels;
        for (z, out) in latents.chunks_exact(sample).zip(out.chunks_exact_mut(sample)) {
            for pixel in 0..pixels {
                let at = |c: usize| f64::from(z[c * pixels + pixel]);
                let mut best: (f64, &[f32]) = (f64::INFINITY, &[]);
                for vector in self.vectors.chunks_exact(self.width) {
                    let distance = vector.iter().enumerate().map(|(c, &e)| (at(c) - f64::from(e)).powi(2)).sum();
                    if distance < best.0 {
                        best = (distance, vector);
                    }
                }
                best.1.iter().enumerate().for_each(|(c, &e)| out[c * pixels + pixel] = e);
            }
        }
        out
    }
}
