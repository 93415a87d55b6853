//! Folders that diffusers wrote of an autoencoder alone: its config.json and weights. In: a folder, and the latents of the
//! network that it is for. Out: an `AutoencoderConfig` and the weights' files.
use super::files;
use crate::error::{Error, Result};
use crate::model::autoencoder::{AutoencoderConfig, LatentConfig};
use crate::model::autoencoder_diffusers::{CLASSES, family, give_size};
use crate::model::config::SCHEMA;
use crate::model::json;
use crate::model::weights::Files;
use crate::shape::Shape;
use serde_json::json;
use std::path::Path;

/// The autoencoder in `folder`, or nothing if diffusers did not write it. Its networks are made for latents as large as
/// `latents`; where there are none, for images of its `sample_size`.
pub(in crate::model) fn find(folder: &Path, latents: Option<Shape>) -> Result<Option<(AutoencoderConfig, Files)>> {
    let file = folder.join("config.json");
    if !file.is_file() {
        return Ok(None);
    }
    let mut hyper = json::read(&file)?;
    let class = match hyper.get("_class_name") {
        Some(class) if !hyper.contains_key("vorticity_config") => class,
        _ => return Ok(None),
    };
    let Some((class, name)) = class.as_str().and_then(|class| Some((class, family(class)?))) else {
        let message = format!("_class_name {class} is no autoencoder that is known: {}", CLASSES.join(", "));
        return Err(Error::file(file, message));
    };
    let (weights, note) = files::find(folder, class)?;
    let mut provenance = json!({ "format": "diffusers", "weights": weights.name() });
    if let Some(note) = note {
        provenance["weights"] = format!("{}; {note}", weights.name()).into();
    }
    if let Some(latent) = latents {
        provenance["sample_size"] = give_size(name, &mut hyper, latent).map_err(|e| Error::file(&file, e))?;
    }
    let config = AutoencoderConfig {
        vorticity_config: SCHEMA,
        family: name.into(),
        hyper: hyper.into(),
        data_range: [-1.0, 1.0],
        latent: LatentConfig::default(),
        provenance,
    };
    Ok(Some((config, weights)))
}
