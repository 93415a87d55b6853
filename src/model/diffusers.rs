//! Directories as diffusers writes them: a `UNet2DModel`'s config.json and weights with a scheduler's config beside them, a
//! pipeline (`unet/`, `scheduler/`), or a Hugging Face cache of either. In: a path. Out: a `Config` and the weights' path.
pub(super) mod autoencoder;

use super::config::{Config, Prediction, SCHEMA};
use super::process::{ProcessConfig, Schedule};
use super::unet2d;
use crate::data;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The weights' file.
pub(super) const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// The configuration and weights below `path`, or nothing if no diffusers model lies there.
pub(super) fn find(path: &Path) -> Result<Option<(Config, PathBuf)>> {
    let path = snapshot(path)?;
    let (unet, scheduler) = if path.join("unet/config.json").is_file() {
        (path.join("unet"), path.join("scheduler/scheduler_config.json"))
    } else {
        (path.clone(), path.join("scheduler_config.json"))
    };
    let file = unet.join("config.json");
    if !file.is_file() {
        return Ok(None);
    }
    let network = read(&file)?;
    let Some(class) = network.get("_class_name").and_then(Value::as_str) else { return Ok(None) };
    if class != "UNet2DModel" {
        return Err(Error::file(file, format!("_class_name '{class}', only UNet2DModel is known")));
    }
    let weights = unet.join(WEIGHTS);
    if !weights.is_file() {
        return Err(Error::file(weights, "missing; weights of other formats have to be saved as safetensors first"));
    }
    let noise = read(&scheduler)?;
    let (process, prediction) = process(&noise).map_err(|e| Error::file(&scheduler, e))?;
    let data_range = if matches!(process, ProcessConfig::Ve { .. }) { [0.0, 1.0] } else { [-1.0, 1.0] };
    let config = Config {
        vorticity_config: SCHEMA,
        family: unet2d::FAMILY.name.into(),
        hyper: network,
        process,
        prediction,
        data_range,
        autoencoder: None,
        posterior: None,
        provenance: json!({ "format": "diffusers", "scheduler": noise }),
    };
    Ok(Some((config, weights)))
}

/// In a cache, the revision that its main branch points to, or the only one; else the path itself.
fn snapshot(path: &Path) -> Result<PathBuf> {
    let snapshots = path.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(path.to_path_buf());
    }
    if let Ok(main) = data::text(&path.join("refs/main")) {
        let named = snapshots.join(main.trim());
        if named.is_dir() {
            return Ok(named);
        }
    }
    let entries = std::fs::read_dir(&snapshots).map_err(|e| Error::file(&snapshots, e))?;
    let folders: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.is_dir()).collect();
    match &folders[..] {
        [only] => Ok(only.clone()),
        found => Err(Error::file(snapshots, format!("{} revisions and no refs/main: name one of them", found.len()))),
    }
}

fn read(file: &Path) -> Result<Value> {
    serde_json::from_str(&data::text(file)?).map_err(|e| Error::file(file, e))
}

/// Schedulers of the discrete variance-preserving process, all of which state it in the same words.
const KNOWN: [&str; 10] = [
    "DDPM",
    "DDIM",
    "PNDM",
    "LMSDiscrete",
    "EulerDiscrete",
    "EulerAncestralDiscrete",
    "DPMSolverMultistep",
    "DPMSolverSinglestep",
    "DEISMultistep",
    "UniPCMultistep",
];

/// What a scheduler's config says about the noise that the network was trained on.
fn process(scheduler: &Value) -> Result<(ProcessConfig, Prediction)> {
    let text = |key: &str, default: &str| scheduler.get(key).and_then(Value::as_str).unwrap_or(default).to_string();
    let number = |key: &str, default: f64| scheduler.get(key).and_then(Value::as_f64).unwrap_or(default);
    let steps = |default: u64| scheduler.get("num_train_timesteps").and_then(Value::as_u64).unwrap_or(default) as usize;
    let class = text("_class_name", "");
    if class == "ScoreSdeVeScheduler" {
        let (sigma_min, sigma_max) = (number("sigma_min", 0.01), number("sigma_max", 1348.0));
        return Ok((ProcessConfig::Ve { sigma_min, sigma_max, timesteps: steps(2000) }, Prediction::Score));
    }
    if !class.strip_suffix("Scheduler").is_some_and(|c| KNOWN.contains(&c)) {
        let known = KNOWN.map(|c| format!("{c}Scheduler")).join(", ");
        return Err(Error::invalid("_class_name", format!("'{class}' is not one of {known}, ScoreSdeVeScheduler")));
    }
    if !scheduler.get("trained_betas").is_none_or(Value::is_null) {
        return Err(Error::invalid("trained_betas", "a list of betas is not supported"));
    }
    if scheduler.get("rescale_betas_zero_snr").and_then(Value::as_bool) == Some(true) {
        return Err(Error::invalid("rescale_betas_zero_snr", "is not supported"));
    }
    let schedule = match text("beta_schedule", "linear").as_str() {
        "linear" => Schedule::Linear,
        "scaled_linear" => Schedule::ScaledLinear,
        "squaredcos_cap_v2" => Schedule::Cosine,
        other => {
            let message = format!("'{other}' of {class} is not one of linear, scaled_linear, squaredcos_cap_v2");
            return Err(Error::invalid("beta_schedule", message));
        }
    };
    let ends = (schedule != Schedule::Cosine).then(|| (number("beta_start", 1e-4), number("beta_end", 0.02)));
    let prediction = match text("prediction_type", "epsilon").as_str() {
        "epsilon" => Prediction::Eps,
        "v_prediction" => Prediction::V,
        "sample" => Prediction::X0,
        other => {
            let message = format!("'{other}' is not one of epsilon, v_prediction, sample");
            return Err(Error::invalid("prediction_type", message));
        }
    };
    let (beta_start, beta_end) = (ends.map(|e| e.0), ends.map(|e| e.1));
    Ok((ProcessConfig::Vp { schedule, timesteps: steps(1000), beta_start, beta_end }, prediction))
}
