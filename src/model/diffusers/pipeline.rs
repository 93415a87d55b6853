//! What a pipeline has besides its network. In: folders that may be the pipeline. Out: the autoencoder on whose latents the
//! network works, if there is one; latents are never taken for images. Parts that nobody knows are refused.
use super::{NETWORKS, name};
use crate::error::{Error, Result};
use crate::model::json;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Parts that are autoencoders.
pub(super) const LATENT: [&str; 4] = ["vae", "vqvae", "movq", "autoencoder"];

/// Where the autoencoder of the network at `at` lies as seen from `folder`, which is the first of `roots`: each of the others
/// is one folder further up.
pub(super) fn autoencoder(roots: &[PathBuf], folder: &Path, at: &Path) -> Result<Option<String>> {
    for (ups, root) in roots.iter().enumerate() {
        if let Some(part) = part(root, folder, at)? {
            return Ok(Some(format!("{}{part}", "../".repeat(ups))));
        }
    }
    Ok(None)
}

/// The autoencoder that belongs to `root`. The index of a folder above counts if it names the network's folder.
fn part(root: &Path, folder: &Path, at: &Path) -> Result<Option<&'static str>> {
    let own = name(at).filter(|_| root != folder);
    let index = root.join("model_index.json");
    let mut named = vec![];
    if index.is_file() {
        let map = json::read(&index)?;
        if own.as_ref().is_none_or(|p| map.contains_key(p.trim_end_matches("_ema"))) {
            check_index(&index, &map)?;
            named = LATENT.into_iter().filter(|latent| map.get(*latent).is_some_and(|v| !absent(v))).collect();
        }
    }
    let pipeline = own.is_none_or(|p| NETWORKS.contains(&p.as_str()));
    let there = |latent: &&str| named.contains(latent) || (pipeline && root.join(latent).is_dir());
    match LATENT.into_iter().filter(|latent| there(latent)).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [only] if root.join(only).is_dir() => Ok(Some(only)),
        [only] => {
            let message = "is a part of the pipeline, by its index, and is not there: the network works on that \
                           autoencoder's latents, not on images";
            Err(Error::file(root.join(only), message))
        }
        ref several => {
            let found = format!(
                "has several autoencoders, {}: on whose latents the network works is not known",
                several.join(", ")
            );
            Err(Error::file(root, found))
        }
    }
}

/// What stands for a part that a pipeline does without.
fn absent(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|parts| parts.iter().all(Value::is_null))
}

/// Every part of a pipeline's index is one that is read, absent, or refused.
fn check_index(file: &Path, index: &Map<String, Value>) -> Result<()> {
    for (key, value) in index {
        let about = ["_class_name", "_diffusers_version", "_name_or_path", "unet", "scheduler"].contains(&key.as_str());
        if !(about || absent(value) || LATENT.contains(&key.as_str())) {
            let message = format!("{key}: {value}: not a part of a pipeline of images without conditions");
            return Err(Error::file(file, message));
        }
    }
    Ok(())
}
