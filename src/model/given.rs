//! A process that an option names, for fields that have none of their own. In: `--process FILE|FOLDER|KIND?key=value`, `--alphas
//! FILE` or `--sigmas LIST|FILE`. Out: the process, and which option and file said so.
use super::config::Config;
use super::process::{Kind, Process, ProcessConfig};
use super::{diffusers, json};
use crate::data;
use crate::error::{Error, Result};
use crate::spec::Spec;
use serde_json::{Map, Value};
use std::path::Path;

/// Most numbers that a list may have: as many as a process may have timesteps.
const MOST: usize = 1_000_000;

/// The process of the option that was given, if one was; two of them are refused.
pub fn given_process(process: Option<&Spec>, alphas: Option<&Spec>, sigmas: Option<&Spec>) -> Result<Option<Process>> {
    let given = [("--process", process), ("--alphas", alphas), ("--sigmas", sigmas)];
    let mut named = given.into_iter().filter_map(|(option, value)| Some((option, value?)));
    let Some((option, value)) = named.next() else { return Ok(None) };
    if let Some((other, _)) = named.next() {
        return Err(Error::invalid(option, format!("given with {other}, expected one of them")));
    }
    let (config, keys) = match option {
        "--process" => of_name(value).unwrap_or_else(|| of_path(value.path()))?,
        "--alphas" => {
            (ProcessConfig::Alphas { alphas_cumprod: numbers(option, value)?, label_scale: None }, String::new())
        }
        _ => (ProcessConfig::Sigmas { sigmas: numbers(option, value)? }, String::new()),
    };
    let name = value.file_name();
    let made = Process::new(&config).map_err(|e| Error::invalid(format!("{option} {value}"), e))?;
    Ok(Some(made.said(format!("{option} {name}{keys}"))))
}

/// The process that a scheduler of diffusers was made for, of its config as `scheduler_config.json` has it.
///
/// # Errors
/// A class or a key that is not known, or none of a process that there is.
pub fn scheduler_process(config: Map<String, Value>) -> Result<Process> {
    let (config, source) = diffusers::process_of(config)?;
    Ok(Process::new(&config)?.said(format!("scheduler, {source}")))
}

/// The process that a kind and its keys make, `flow?timesteps=100`, if there is such a kind and no such file.
fn of_name(value: &Spec) -> Option<Result<(ProcessConfig, String)>> {
    let name = value.to_string();
    let kind = Kind::of(name.split('?').next()?).filter(|_| !value.path().exists())?;
    let made = || {
        let Some((name, mut params)) = value.named("")? else { return Err(Error::invalid(value, "names no process")) };
        let config = kind.of_params(&mut params)?;
        params.finish(&name)?;
        Ok((config, String::new()))
    };
    Some(made())
}

/// The process of a model directory's config.json, of a scheduler's, or of the folder of either; and the keys that say it.
fn of_path(path: &Path) -> Result<(ProcessConfig, String)> {
    let file = if path.is_dir() { path.join("config.json") } else { path.to_path_buf() };
    if file.is_file() {
        let map = object(&file)?;
        if map.contains_key("vorticity_config") {
            return Ok((Config::read(&file)?.process, ": process".into()));
        }
        // The process alone, or what is written beside an ONNX file.
        let (process, keys) = match (map.contains_key("kind"), map.get("process")) {
            (true, _) => (Some(Value::Object(map)), ""),
            (false, Some(process)) if is_toml(&file) => (Some(process.clone()), ": process"),
            _ => (None, ""),
        };
        if let Some(process) = process {
            return Ok((serde_json::from_value(process).map_err(|e| Error::file(&file, e))?, keys.into()));
        }
        if is_toml(&file) {
            return Err(Error::file(&file, "has no 'kind' and no table 'process', expected a process"));
        }
    }
    match diffusers::process(path)? {
        Some((process, source)) => Ok((process, format!(", {source}"))),
        None if path.exists() => {
            let message = "holds neither a config.json of a model nor a scheduler_config.json, also not in scheduler/";
            Err(Error::file(path, message))
        }
        None => {
            let expected = "config.json, scheduler_config.json, a folder of one";
            Err(Error::file(path, format!("is not there, expected {expected}, or a process: {}", Kind::names())))
        }
    }
}

fn is_toml(file: &Path) -> bool {
    file.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"))
}

/// What a file of JSON or TOML holds.
fn object(file: &Path) -> Result<Map<String, Value>> {
    if !is_toml(file) {
        return json::read(file);
    }
    toml::from_str(&data::text(file)?).map_err(|e| Error::file(file, e.to_string().trim_end()))
}

/// Numbers of a file, an array or text, or of the option itself.
fn numbers(option: &str, value: &Spec) -> Result<Vec<f64>> {
    let (is_file, shown) = (value.path().is_file(), value.to_string());
    let array = shown.contains('#') || [".npy", ".npz", ".safetensors", ".gz"].iter().any(|e| shown.ends_with(e));
    if array {
        let mut file = data::Array::open(value)?;
        let [count @ 1..=MOST] = file.dims()[..] else {
            return Err(file.error(format!("has shape {:?}, expected [T], a number for each timestep", file.dims())));
        };
        let mut values = vec![];
        file.read(&mut values, count)?;
        return Ok(values);
    }
    let text = if is_file { data::text(value.path())? } else { shown };
    let place = || format!("{option} {value}");
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']')).filter(|w| !w.is_empty());
    let number = |word: &str| {
        let wrong = if is_file { "is not a number" } else { "is neither a file nor a number" };
        word.parse::<f64>().map_err(|_| Error::invalid(place(), format!("'{word}' {wrong}")))
    };
    let values: Vec<f64> = words.map(number).collect::<Result<_>>()?;
    if values.is_empty() {
        return Err(Error::invalid(place(), "holds no numbers"));
    }
    Ok(values)
}
