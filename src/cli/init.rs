//! `vorticity init FAMILY`: a model directory with random weights, for any size that the family knows.
//! In: family, configuration or preset, seed. Out: OUT/config.json and OUT/model.safetensors, whole or not at all.
use super::output::Output;
use super::text::{count, table};
use crate::error::{Error, Result};
use crate::model::{self, FAMILIES};
use crate::run::RunDir;
use crate::spec::Spec;
use serde_json::json;
use std::path::PathBuf;

/// Make a model directory with random weights, reproducible from a seed.
///
/// For timings, memory plans and comparisons at sizes that nobody has trained: the tensors have the family's own names,
/// activations and gains are of order one, no layer is dead. Equal arguments give equal bytes.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = presets())]
pub struct Args {
    /// Family of networks, such as mnist_shuffle_unet
    pub family: String,
    /// A config.json like a model directory's, or the name of one of the family's presets
    #[arg(long, value_name = "FILE|PRESET")]
    pub config: Spec,
    /// Seed of the weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Model directory to create; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Every family with its presets.
fn presets() -> String {
    let names = |presets: &[(&str, &str)]| presets.iter().map(|p| p.0).collect::<Vec<_>>().join(", ");
    let rows: Vec<_> = FAMILIES.iter().map(|f| [format!("  {}", f.name), names(f.presets)]).collect();
    table([("Families", false), ("presets", false)], &rows)
}

/// Makes the directory; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let out = RunDir::fresh(&args.out)?;
    let config = model::configuration(&args.family, &args.config)?;
    let made = model::init(&config, args.seed)?;
    // A directory that would not open is not made.
    model::autoencoder_of(&config, out.path(), made.shape).map_err(|e| {
        let at = config.autoencoder.as_deref().unwrap_or_default();
        let message = format!("autoencoder '{at}', sought from {}, cannot be used: {e}", args.out.display());
        Error::file(args.config.path(), format!("{message}. Put one there, or leave the key out"))
    })?;
    out.write("config.json", &made.config)?;
    out.write("model.safetensors", &made.weights)?;
    out.finish()?;
    let (path, bytes) = (args.out.display().to_string(), made.weights.len());
    args.output.say(&format!(
        "{}, {}: {} parameters, random with seed {}\nwritten to {path}\n",
        args.family,
        made.shape,
        count(made.parameters),
        args.seed,
    ))?;
    args.output.document("init", || {
        json!({
            "family": args.family, "config": args.config, "seed": args.seed, "parameters": made.parameters,
            "shape": [made.shape.c, made.shape.h, made.shape.w], "weights_bytes": bytes, "out": path,
        })
    })?;
    Ok(0)
}
