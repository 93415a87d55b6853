//! Folders that diffusers wrote of an autoencoder alone: its config.json and weights. In: a folder, and the latents of the
//! network that it is for. Out: an `AutoencoderConfig` and the weights' path.
use super::{WEIGHTS, read};
use crate::error::{Error, Result};
use crate::model::autoencoder::{AutoencoderConfig, LatentConfig};
use crate::model::autoencoder_diffusers::{CLASSES, family};
use crate::model::config::SCHEMA;
use crate::shape::Shape;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The autoencoder in `folder`, or nothing if diffusers did not write it. Its networks are made for latents as large as
/// `latents`; where there are none, for images of its `sample_size`.
pub(in crate::model) fn find(folder: &Path, latents: Option<Shape>) -> Result<Option<(AutoencoderConfig, PathBuf)>> {
    let file = folder.join("config.json");
    if !file.is_file() {
        return Ok(None);
    }
    let mut hyper = read(&file)?;
    let class = match hyper.get("_class_name") {
        Some(class) if hyper.get("vorticity_config").is_none() => class,
        _ => return Ok(None),
    };
    let Some(name) = class.as_str().and_then(family) else {
        let message = format!("_class_name {class} is no autoencoder that is known: {}", CLASSES.join(", "));
        return Err(Error::file(file, message));
    };
    let weights = folder.join(WEIGHTS);
    if !weights.is_file() {
        return Err(Error::file(weights, "missing; weights of other formats have to be saved as safetensors first"));
    }
    let mut provenance = json!({ "format": "diffusers" });
    let halvings = hyper.get("block_out_channels").and_then(Value::as_array).map_or(0, |w| w.len().saturating_sub(1));
    if let Some(Shape { h, w, .. }) = latents {
        let grown = |side: usize| u32::try_from(halvings).ok().and_then(|n| side.checked_mul(2usize.checked_pow(n)?));
        let (Some(height), Some(width)) = (grown(h), grown(w)) else {
            return Err(Error::file(file, format!("block_out_channels: {halvings} halvings are too many")));
        };
        provenance["sample_size"] = hyper.get("sample_size").cloned().unwrap_or(Value::Null);
        hyper["sample_size"] = json!([height, width]);
    }
    let config = AutoencoderConfig {
        vorticity_config: SCHEMA,
        family: name.into(),
        hyper,
        data_range: [-1.0, 1.0],
        latent: LatentConfig::default(),
        provenance,
    };
    Ok(Some((config, weights)))
}
