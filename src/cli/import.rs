//! `vorticity import FILE.onnx --out DIR`: a model directory of an ONNX file. In: the file, its .toml or options. Out:
//! DIR/config.json, graph.onnx and model.safetensors, whole or not at all.
use super::network::NetworkArgs;
use super::output::Output;
use super::process::{lines, settled_json};
use super::text::count;
use crate::error::{Error, Result};
use crate::model;
use crate::run::RunDir;
use serde_json::json;
use std::path::PathBuf;

/// Make a model directory of an ONNX file: configuration, graph and weights, with provenance and checksum.
///
/// ONNX files also stand where a model directory does, and give the same bits; the directory says in one place what the file, its
/// .toml, options and guesses said together.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// ONNX file; what it cannot say is in FILE.toml beside it, or in options
    pub file: PathBuf,
    /// Model directory to create; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    /// What the file does not say.
    pub network: NetworkArgs,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Makes the directory; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let out = RunDir::fresh(&args.out)?;
    let made = model::import(&args.file, &args.network.said()?)?;
    // A directory that would not open is not made.
    model::autoencoder_of(&made.config, out.path(), made.shape).map_err(|e| {
        let at = made.config.autoencoder.as_deref().unwrap_or_default();
        Error::file(&args.file, format!("autoencoder '{at}', sought from {}, cannot be used: {e}", args.out.display()))
    })?;
    for (name, bytes) in &made.files {
        out.write(name, bytes)?;
    }
    out.finish()?;
    let (path, parameters) = (args.out.display().to_string(), count(made.parameters));
    args.output.say(&format!(
        "{}{parameters} parameters, {}\nwritten to   {path}\n",
        lines(&made.facts),
        made.shape
    ))?;
    args.output.document("import", || {
        json!({
            "file": args.file.display().to_string(), "out": path, "parameters": made.parameters,
            "shape": [made.shape.c, made.shape.h, made.shape.w], "settled": settled_json(&made.facts),
            "files": made.files.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes.len() })).collect::<Vec<_>>(),
        })
    })?;
    Ok(0)
}
