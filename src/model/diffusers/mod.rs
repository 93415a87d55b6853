//! Folders as diffusers writes them: a `UNet2DModel`'s config.json and weights, with a scheduler's config beside them or in
//! a pipeline's `scheduler/`. In: a folder. Out: a `Config`, the weights' files, and what settled what.
pub(super) mod autoencoder;
pub(super) mod hub;
pub(super) mod scheduler;

mod files;
mod pipeline;

use super::config::{Config, SCHEMA};
use super::facts::Sources;
use super::json;
use super::process::{Process, ProcessConfig};
use super::unet2d;
use super::weights::Files;
use crate::error::{Error, Result};
use scheduler::Scheduler;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A network of diffusers, found.
pub(super) struct Found {
    pub config: Config,
    pub weights: Files,
    pub sources: Sources,
}

/// Either end of a range that keeps latents to nothing: far beyond all of them.
const UNCLIPPED: f64 = 1e9;
/// Subfolders of a pipeline that hold its network, the first that is there wins: averaged weights are what people sample from.
const NETWORKS: [&str; 2] = ["unet_ema", "unet"];
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
    let mut flat = false;
    let (at, network) = match (there.first(), plain) {
        (Some(name), root) => {
            flat = root.is_some_and(|c| c.contains_key("_class_name"));
            (folder.join(name), json::read(&folder.join(name).join("config.json"))?)
        }
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
    let autoencoder = pipeline::autoencoder(&roots, folder, &at)?;
    let (weights, note) = files::find(&at, "UNet2DModel")?;
    let scheduler_file = scheduler_file(&at, &roots)?;
    let mut scheduler = scheduler::read(&scheduler_file)?;
    Process::new(&scheduler.process).map_err(|e| Error::file(&scheduler_file, e))?;
    let shown = |path: &Path| show(folder, path);
    let mut told = format!("{}{}", prefix(&shown(&at)), weights.name());
    told += &averaged(folder, &at, &there);
    told += if flat { "; not the network of config.json beside that folder" } else { "" };
    told += &note.map_or(String::new(), |n| format!("; {n}"));
    let mut range = format!("default of pipelines with {}, no file says it", scheduler.class);
    if autoencoder.is_some() {
        (scheduler.data_range, range) = latent_range(&scheduler, &scheduler_file, &shown(&scheduler_file))?;
    }
    let sources = Sources {
        weights: told,
        process: source(&scheduler, &shown(&scheduler_file)),
        prediction: format!("{}: {}", shown(&scheduler_file), scheduler.prediction_keys),
        data_range: range,
    };
    Ok(Some(Found { config: Config { autoencoder, ..config(network, scheduler) }, weights, sources }))
}

/// What the latents of a pipeline keep to, and what says so.
fn latent_range(scheduler: &Scheduler, file: &Path, shown: &str) -> Result<([f64; 2], String)> {
    match scheduler.clip {
        None => Ok(([-UNCLIPPED, UNCLIPPED], format!("latents, which {shown} does not clip"))),
        Some(clip) if clip.is_finite() && clip > 0.0 => {
            Ok(([-clip, clip], format!("latents, clip_sample and clip_sample_range of {shown}")))
        }
        Some(clip) => {
            let found = format!("clip_sample_range: {clip}, expected a positive number");
            Err(Error::file(file, found))
        }
    }
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
        conditions: BTreeMap::new(),
        null: BTreeMap::new(),
        guidance: None,
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
        ["unet"] if folder.join("unet_ema").exists() => {
            "; not the averaged (EMA) ones of unet_ema, which has no config.json".into()
        }
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

/// The process of a scheduler's config, as `scheduler_config.json` has it.
pub(super) fn process_of(config: Map<String, Value>) -> Result<(ProcessConfig, String)> {
    let scheduler = scheduler::of(config)?;
    let source = source(&scheduler, "config");
    Ok((scheduler.process, source))
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
