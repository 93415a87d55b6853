//! Caches of the Hugging Face hub, read as they lie: nothing is downloaded. In: what the user calls a model. Out: a folder.
use crate::data;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The folder that `spec` names: itself, in a cache the revision that is current, or the model of that name in the user's
/// cache.
pub(in crate::model) fn folder(spec: &Path) -> Result<PathBuf> {
    if spec.is_dir() {
        return snapshot(spec);
    }
    let what = match spec.exists() {
        true => "not a directory",
        false => "there is no such file or directory",
    };
    let expected = "a model is a folder with config.json and model.safetensors, a folder of diffusers, an ONNX file (.onnx), or \
                    a closed form (field:..)";
    let Some(name) = spec.to_str().filter(|s| !spec.exists() && is_name(s)) else {
        return Err(Error::file(spec, format!("{what}; {expected}")));
    };
    let entry = format!("{}{}", data::HUB_ENTRY, name.replace('/', "--"));
    let cache = cache();
    match cache.as_ref().map(|c| c.join(&entry)).filter(|c| c.is_dir()) {
        Some(found) => snapshot(&found),
        None => {
            let place = cache.map_or("no cache folder".into(), |c| format!("no {entry} in {}", c.display()));
            let message = format!(
                "{what}; {expected}. As a name of the Hugging Face hub: {place} (HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE and \
                 HF_HOME say where), and nothing is downloaded"
            );
            Err(Error::file(spec, message))
        }
    }
}

/// Whether the hub could have a model of that name: `name` or `owner/name`.
fn is_name(spec: &str) -> bool {
    let word = |part: &str| {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && part.chars().all(sound) && !part.starts_with(['.', '-']) && !part.contains("--")
    };
    let parts: Vec<&str> = spec.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|p| word(p))
}

/// Where huggingface_hub keeps what it downloaded.
fn cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || {
        let default = || variable("XDG_CACHE_HOME").or_else(|| dirs::home_dir().map(|h| h.join(".cache")));
        variable("HF_HOME").or_else(|| default().map(|c| c.join("huggingface")))
    };
    variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE")).or_else(|| home().map(|h| h.join("hub")))
}

/// In a cache's entry, the revision that its main branch points to, or the only one; else the path itself.
fn snapshot(path: &Path) -> Result<PathBuf> {
    let snapshots = path.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(path.to_path_buf());
    }
    let main = path.join("refs/main");
    if main.is_file() {
        let revision = data::text(&main)?;
        let named = snapshots.join(revision.trim());
        return match Path::new(revision.trim()).components().count() == 1 && named.is_dir() {
            true => Ok(named),
            false => Err(Error::file(
                main,
                format!("names the revision '{}', which is not among snapshots/", revision.trim()),
            )),
        };
    }
    let entries = std::fs::read_dir(&snapshots).map_err(|e| Error::file(&snapshots, e))?;
    let folders: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_dir()).collect();
    match &folders[..] {
        [only] => Ok(only.clone()),
        found => Err(Error::file(snapshots, format!("{} revisions and no refs/main: name one of them", found.len()))),
    }
}
