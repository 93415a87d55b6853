//! Networks of random weights. In: a config, a seed. Out: the two files of a model directory. For tests of speed, memory and
//! agreement between implementations; such a network has learned nothing.
use super::{Config, Weights, family};
use crate::error::{Error, Result};
use crate::shape::Shape;
use serde_json::json;

/// The files of a model directory, and what they hold.
pub struct RandomModel {
    /// `config.json`.
    pub config: Vec<u8>,
    /// `model.safetensors`.
    pub weights: Vec<u8>,
    /// Parameters, as PyTorch counts them.
    pub parameters: u64,
    /// `[C, H, W]` of one sample.
    pub shape: Shape,
}

/// A model of this configuration with random weights. Its provenance says so, in the place of what was there.
pub fn init(config: &Config, seed: u64) -> Result<RandomModel> {
    let process = super::process_of(config)?;
    let weights = Weights::random(seed);
    let graph = (family(&config.family)?.build)(&config.hyper, &weights)?;
    let shape = super::require_field(&graph)?;
    process.require_told(&graph)?;
    let program = concat!("vorticity ", env!("CARGO_PKG_VERSION"));
    let provenance = json!({ "weights": "random", "seed": seed, "program": program });
    let config = Config { provenance, ..config.clone() };
    let mut text = serde_json::to_vec_pretty(&config).map_err(|e| Error::invalid("config.json", e))?;
    text.push(b'\n');
    Ok(RandomModel { config: text, weights: weights.to_safetensors()?, parameters: weights.parameters(), shape })
}
