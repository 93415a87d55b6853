//! Folders as diffusers writes them: a `UNet2DModel`'s config.json and weights, with a scheduler's config beside them or in
//! a pipeline's `scheduler/`. In: a folder. Out: a `Config`, the weights' files, and what settled what.
pub(super) mod hub;
pub(super) mod scheduler;

mod files;

use super::config::{Config, SCHEMA};
use super::facts::Sources;
use super::json;
use super::process::{Process, ProcessConfig};
use super::unet2d;
use super::weights::Files;
use crate::error::{Error, Result};
use scheduler::Scheduler;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A network of diffusers, found.
pub(super) struct Found {
    pub config: Config,
    pub weights: Files,
    pub sources: Sources,
}

/// Subfolders of a pipeline that hold its network, the first that is there wins: averaged weights are what people sample from.
const NETWORKS: [&str; 2] = ["unet_ema", "unet"];
/// Parts of a pipeline whose network works on what an autoencoder makes of images.
const LATENT: [&str; 4] = ["vae", "vqvae", "movq", "autoencoder"];
/// Keys that the averaging of weights leaves in a network's config.json: they are about training.
const AVERAGING: [&str; 7] =
    ["decay", "min_decay", "optimization_step", "update_after_step", "use_ema_warmup", "inv_gamma", "power"];

/// The network below `folder`, or nothing if no diffusers model lies there.
pub(super) fn find(folder: &Path) -> Result<Option<Found>> {
    let own = folder.join("config.json");
    let plain = if own.is_file() { Some(json::read(&own)?) } else { None };
    if plain.as_ref().is_some_and(|c| c.contains_key("vorticity_config")) {
        return Ok(None);
    }
    let there: Vec<&str> = NETWORKS.into_iter().filter(|n| folder.join(n).join("config.json").is_file()).collect();
    let (at, network) = match (there.first(), plain) {
        (Some(name), _) => (folder.join(name), json::read(&folder.join(name).join("config.json"))?),
        (None, Some(config)) if config.contains_key("_class_name") => (folder.to_path_buf(), config),
        (None, Some(_)) => return Ok(None),
        (None, None) => return no_network(folder),
    };
    let file = at.join("config.json");
    match network.get("_class_name").and_then(Value::as_str) {
        Some("UNet2DModel") => {}
        Some(class) => return Err(Error::file(file, format!("_class_name '{class}', only UNet2DModel is known"))),
        None => return Err(Error::file(file, "has no _class_name, expected UNet2DModel")),
    }
    let roots = roots(folder, &at);
    roots.iter().try_for_each(|root| refuse_latents(root, folder, &at))?;
    let (weights, note) = files::find(&at)?;
    let scheduler_file = scheduler_file(&at, &roots)?;
    let scheduler = scheduler::read(&scheduler_file)?;
    Process::new(&scheduler.process).map_err(|e| Error::file(&scheduler_file, e))?;
    let shown = |path: &Path| show(folder, path);
    let mut told = format!("{}{}", prefix(&shown(&at)), weights.name());
    told += &averaged(folder, &at, &there);
    told += &note.map_or(String::new(), |n| format!("; {n}"));
    let sources = Sources {
        weights: told,
        process: source(&scheduler, &shown(&scheduler_file)),
        prediction: format!("{}: {}", shown(&scheduler_file), scheduler.prediction_keys),
        data_range: format!("default of pipelines with {}, no file says it", scheduler.class),
    };
    Ok(Some(Found { config: config(network, scheduler), weights, sources }))
}

/// What settled the process.
fn source(scheduler: &Scheduler, file: &str) -> String {
    format!("{} of {file}: {}", scheduler.class, scheduler.process_keys)
}

/// What a model's own config.json would say.
fn config(mut network: Map<String, Value>, scheduler: Scheduler) -> Config {
    let averaging: Map<String, Value> = AVERAGING.iter().filter_map(|key| network.remove_entry(*key)).collect();
    let mut provenance = json!({ "format": "diffusers", "scheduler": scheduler.text });
    if !averaging.is_empty() {
        provenance["averaging"] = averaging.into();
    }
    Config {
        vorticity_config: SCHEMA,
        family: unet2d::FAMILY.name.into(),
        hyper: network.into(),
        process: scheduler.process,
        prediction: scheduler.prediction,
        data_range: scheduler.data_range,
        autoencoder: None,
        posterior: None,
        provenance,
    }
}

/// Which of raw and averaged weights were taken, where there are both.
fn averaged(folder: &Path, at: &Path, there: &[&str]) -> String {
    match there {
        ["unet_ema", "unet"] => "; averaged (EMA) weights, not those of unet, which is there too".into(),
        ["unet_ema"] => "; averaged (EMA) weights".into(),
        _ if at == folder && name(at).as_deref() == Some("unet") && up(at).join("unet_ema").is_dir() => {
            "; not the averaged (EMA) ones of unet_ema beside it".into()
        }
        _ => String::new(),
    }
}

/// A folder without config.json: perhaps part of a pipeline, which is then named.
fn no_network(folder: &Path) -> Result<Option<Found>> {
    let parts =
        ["model_index.json", "scheduler", scheduler::FILE, "unet", "unet_ema", "transformer", "prior", "vae", "vqvae"];
    let there: Vec<&str> = parts.into_iter().filter(|p| folder.join(p).exists()).collect();
    if there.is_empty() {
        return Ok(None);
    }
    let message = format!("holds {}, but no network: neither config.json nor unet/config.json", there.join(", "));
    Err(Error::file(folder, message))
}

/// Folders that may be the pipeline of the network at `at`, the nearest first: an accelerate checkpoint-N lies in one more.
fn roots(folder: &Path, at: &Path) -> Vec<PathBuf> {
    let mut roots = vec![folder.to_path_buf()];
    if at == folder {
        roots.push(up(folder));
    }
    if let Some(last) = roots.last().filter(|r| name(r).is_some_and(|n| n.starts_with("checkpoint-"))) {
        roots.push(up(last));
    }
    roots
}

/// The folder above.
fn up(folder: &Path) -> PathBuf {
    match (folder.file_name(), folder.parent()) {
        (Some(_), Some(parent)) => parent.to_path_buf(),
        _ => folder.join(".."),
    }
}

/// A folder's own name, also of `.`.
fn name(folder: &Path) -> Option<String> {
    let own = folder.file_name().map(|n| n.to_os_string());
    own.or_else(|| folder.canonicalize().ok()?.file_name().map(|n| n.to_os_string()))
        .map(|n| n.to_string_lossy().into_owned())
}

/// Where the scheduler's config lies.
fn scheduler_file(at: &Path, roots: &[PathBuf]) -> Result<PathBuf> {
    let mut all = vec![at.join(scheduler::FILE)];
    all.extend(roots.iter().map(|root| root.join("scheduler").join(scheduler::FILE)));
    if name(at).is_some_and(|n| NETWORKS.contains(&n.as_str())) {
        all.push(up(at).join(scheduler::FILE));
    }
    match all.iter().find(|p| p.is_file()) {
        Some(found) => Ok(found.clone()),
        None => {
            let looked = all[1..].iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
            let message = format!("missing, and so is {looked}: it says what noise the network was trained on");
            Err(Error::file(&all[0], message))
        }
    }
}

/// Refuses a pipeline whose network works on latents, and parts of one that nobody knows. The index of a folder above counts
/// if it names the network's folder.
fn refuse_latents(root: &Path, folder: &Path, at: &Path) -> Result<()> {
    let part = name(at).filter(|_| root != folder);
    let index = root.join("model_index.json");
    if index.is_file() {
        let map = json::read(&index)?;
        if part.as_ref().is_none_or(|p| map.contains_key(p.trim_end_matches("_ema"))) {
            check_index(&index, &map)?;
        }
    }
    let pipeline = part.is_none_or(|p| NETWORKS.contains(&p.as_str()));
    match LATENT.iter().find(|l| pipeline && root.join(l).is_dir()) {
        Some(latent) => Err(Error::file(root.join(latent), latents(latent))),
        None => Ok(()),
    }
}

fn latents(part: &str) -> String {
    format!(
        "the pipeline has an autoencoder ({part}): its network works on that autoencoder's latents, not on images, and latent \
         pipelines of diffusers are not read"
    )
}

/// Every part of a pipeline's index is one that is read, absent, or refused.
fn check_index(file: &Path, index: &Map<String, Value>) -> Result<()> {
    for (key, value) in index {
        let fail = |m: String| Err(Error::file(file, format!("{key}: {m}")));
        let absent = value.is_null() || value.as_array().is_some_and(|parts| parts.iter().all(Value::is_null));
        match key.as_str() {
            "_class_name" | "_diffusers_version" | "_name_or_path" | "unet" | "scheduler" => {}
            _ if absent => {}
            latent if LATENT.contains(&latent) => return fail(latents(latent)),
            _ => return fail(format!("{value}: not a part of a pipeline of images without conditions")),
        }
    }
    Ok(())
}

/// A path as seen from the model's folder.
fn show(folder: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(folder).map(|p| p.display().to_string());
    inside.unwrap_or_else(|_| {
        let tail: Vec<_> =
            path.components().rev().take(2).map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
        let keep = if tail.get(1).is_some_and(|t| t == "scheduler") { 2 } else { 1 };
        tail[..keep.min(tail.len())].iter().rev().cloned().collect::<Vec<_>>().join("/")
    })
}

fn prefix(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

/// The process of a scheduler's config below a folder or in a file, for closed forms.
pub(super) fn process(path: &Path) -> Result<Option<(ProcessConfig, String)>> {
    let candidates = match path.is_dir() {
        true => {
            let mut all = vec![path.join(scheduler::FILE), path.join("scheduler").join(scheduler::FILE)];
            if name(path).is_some_and(|n| NETWORKS.contains(&n.as_str())) {
                all.push(up(path).join("scheduler").join(scheduler::FILE));
            }
            all
        }
        false => vec![path.to_path_buf()],
    };
    let Some(file) = candidates.iter().find(|p| p.is_file()) else { return Ok(None) };
    let scheduler = scheduler::read(file)?;
    let folder = if path.is_dir() { path.to_path_buf() } else { up(path) };
    let source = source(&scheduler, &show(&folder, file));
    Ok(Some((scheduler.process, source)))
}
