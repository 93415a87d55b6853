//! `vorticity sample`: pictures from a network, to see what it has learned.
use super::common::{exit, rounded, warn};
use super::device::Device;
use super::network::NetworkArgs;
use super::output::Output;
use super::process::{settled, settled_json};
use super::tune::TuneArgs;
use super::watch::{Plan, prediction, watch};
use crate::error::{Error, Result};
use crate::field::{self, Field, ScoreScale};
use crate::gpu::Gpu;
use crate::latents;
use crate::run::{Array, Numbers, beside, check_file, place, write_arrays};
use crate::sample::{METHODS, Method, Options, Samples, sample};
use crate::session::{Load, Marked, as_given, predicted, timed};
use crate::shape::Shape;
use crate::spec::Spec;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Draw samples from a model and write them as one PNG, a grid of images, or as numbers.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Model directory, or a closed form such as field:mixture?file=F with --shape
    pub model: Spec,
    /// How many samples
    #[arg(long, alias = "n", default_value_t = 64)]
    pub samples: usize,
    /// ode: probability flow, Heun, two evaluations a step; ddim: deterministic; ddpm: with fresh noise at every step [default:
    /// ddim on variance-preserving models; all others want ode]
    #[arg(long, value_parser = ["ode", "ddim", "ddpm"])]
    pub method: Option<String>,
    /// Noise levels visited, evenly spread over the model's timesteps
    #[arg(long, default_value_t = 50)]
    pub steps: usize,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// PNG file to write: a grid of the samples
    #[arg(long, value_name = "PNG", required_unless_present_any = ["dry_run", "values"])]
    pub out: Option<PathBuf>,
    /// NPZ file to write: `samples`, float32 [N, C, H, W], as the network has them (latents are not decoded), which other
    /// verbs read as --data
    #[arg(long, value_name = "NPZ")]
    pub values: Option<PathBuf>,
    /// PNG file to write: the first 8 samples, a row each, at 10 stages from noise to image
    #[arg(long, value_name = "PNG")]
    pub strip: Option<PathBuf>,
    /// What its files do not say.
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    /// Which variants of its kernels.
    #[command(flatten)]
    pub tune: TuneArgs,
    /// Print evaluations and predicted time, measured on the first steps, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask where more than an hour is predicted
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Samples and stages of a strip.
const STRIP: (usize, usize) = (8, 10);

/// Draws and writes the pictures; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    for path in [&args.out, &args.strip, &args.values].into_iter().flatten() {
        check_file(path)?;
    }
    let said = args.network.said()?;
    let field = field::open_said(&args.model, ScoreScale::Definition, &said)?;
    as_given(said.shape, field.shape())?;
    let shape = field.autoencoder().map_or(field.shape(), |a| a.decoded());
    if (args.out.is_some() || args.strip.is_some()) && ![1, 3].contains(&shape.c) {
        return Err(Error::invalid(
            "model",
            format!("{shape} is no image: 1 or 3 channels can be shown, --values writes numbers"),
        ));
    }
    let gpu = args.tune.tuned_one(args.device.open()?, field.as_ref(), args.output)?;
    let plain = if field.process().preserves_variance() { Method::Ddim } else { Method::Ode };
    let method = args.method.as_ref().and_then(|name| METHODS.iter().find(|m| m.0 == *name)).map_or(plain, |m| m.1);
    let keep = if args.strip.is_some() { STRIP.1 } else { 0 };
    let options = Options { n: args.samples, method, steps: args.steps, seed: args.seed, keep };

    let each = if method == Method::Ode { args.steps.saturating_mul(2).saturating_sub(1) } else { args.steps };
    let evaluations = args.samples.saturating_mul(each); // both are checked below, in the library
    let (output, total, adapter) = (args.output, evaluations as u64, gpu.describe());
    output.say(&settled(field.as_ref()))?;
    let facts = settled_json(&field.facts());
    let plan = Plan { output, total, yes: args.yes || args.dry_run, told: false };
    let load = Load { total, at_most: false, least: 0, checks: 0, at_once: 1, check: &|| Ok(()) };
    let start = Instant::now();
    if args.dry_run {
        let found = watch(plan, |observe| predicted(load, observe, |told| sample(&gpu, &field, &options, told)))?;
        output.say(&prediction(&found, false))?;
        output.document("sample", || {
            json!({
                "dry_run": true, "model": args.model, "adapter": adapter, "evaluations": evaluations,
                "predicted": found.json(), "settled": facts,
            })
        })?;
        return Ok(0);
    }
    let drawn = watch(plan, |observe| timed(load, observe, |told| sample(&gpu, &field, &options, told)))?;
    warn(std::slice::from_ref(&gpu), output);
    let (samples, predicted) = (drawn.result, drawn.prediction.map(|p| p.json()));
    write_values(args, field.shape(), &samples)?;
    pictures(args, &gpu, field.as_ref(), &samples, shape)?;

    let bad = &samples.not_finite;
    let told = format!("{} of {} samples are not finite, black in the picture: {}", bad.len(), args.samples, list(bad));
    let marked = Marked::new(bad.len(), &told, samples.origin.clone());
    let (n, steps, shown) =
        (args.samples, args.steps, |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string()));
    let written = [shown(&args.out), shown(&args.strip), shown(&args.values)].into_iter().flatten().collect::<Vec<_>>();
    let (method, seconds) = (method.name(), start.elapsed().as_secs_f64());
    args.output.say(&format!(
        "adapter: {adapter}\n{}{n} samples, {method} with {steps} steps, in {seconds:.1} s: {}\n",
        rounded(field.rounding()),
        written.join(", ")
    ))?;
    args.output.document("sample", || {
        json!({
            "model": args.model, "adapter": adapter, "samples": n, "shape": [shape.c, shape.h, shape.w],
            "method": method, "steps": steps, "seed": args.seed, "evaluations": evaluations, "seconds": seconds,
            "dry_run": false, "settled": facts, "predicted": predicted, "out": shown(&args.out),
            "strip": shown(&args.strip), "values": shown(&args.values), "not_finite": marked.json(),
        })
    })?;
    Ok(exit(&marked))
}

/// Writes the samples as they are, if that is asked for.
fn write_values(args: &Args, shape: Shape, samples: &Samples) -> Result<()> {
    let Some(path) = &args.values else { return Ok(()) };
    let shape = vec![args.samples, shape.c, shape.h, shape.w];
    write_arrays(path, &[Array { name: "samples", shape, values: Numbers::F32(samples.x.clone()) }])
}

/// Writes the grid and the strip where they are asked for; `shape` is that of a picture.
fn pictures(args: &Args, gpu: &Gpu, field: &dyn Field, samples: &Samples, shape: Shape) -> Result<()> {
    let shown = |x: &[f32]| match field.autoencoder() {
        Some(autoencoder) => latents::decode(gpu, autoencoder, x),
        None => Ok(x.to_vec()),
    };
    let range = field.data_range();
    let columns = (args.samples as f64).sqrt().ceil() as usize;
    if let Some(out) = &args.out {
        write(out, &shown(&samples.x)?, columns, shape, range)?;
    }
    if let Some(path) = &args.strip {
        let (rows, d) = (STRIP.0.min(args.samples), shape.len());
        let stages = samples.states.iter().map(|s| shown(&s.1)).collect::<Result<Vec<_>>>()?;
        let strip: Vec<f32> =
            (0..rows).flat_map(|i| stages.iter().flat_map(move |x| x[i * d..(i + 1) * d].to_vec())).collect();
        write(path, &strip, samples.states.len(), shape, range)?;
    }
    Ok(())
}

/// The first few numbers.
fn list(numbers: &[usize]) -> String {
    let more = if numbers.len() > 8 { ", .." } else { "" };
    numbers.iter().take(8).map(usize::to_string).collect::<Vec<_>>().join(", ") + more
}

/// Images `[N, C, H, W]` as a grid of `columns`, values of `range` as 0..255. The file appears whole or not at all.
fn write(path: &Path, x: &[f32], columns: usize, shape: Shape, range: [f64; 2]) -> Result<()> {
    let Shape { c, h, w } = shape;
    let rows = (x.len() / shape.len()).div_ceil(columns);
    let (width, height) = (columns * w, rows * h);
    let mut pixels = vec![0u8; 3 * width * height];
    for (i, one) in x.chunks_exact(shape.len()).enumerate() {
        let (top, left) = (i / columns * h, i % columns * w);
        for p in 0..h * w {
            let level = |channel: usize| {
                let v = f64::from(one[(channel % c) * h * w + p]);
                ((v - range[0]) / (range[1] - range[0]) * 255.0).round().clamp(0.0, 255.0) as u8
            };
            let at = 3 * ((top + p / w) * width + left + p % w);
            pixels[at..at + 3].copy_from_slice(&[0, 1, 2].map(level));
        }
    }
    let fail = |e: &dyn std::fmt::Display| Error::invalid(path.display().to_string(), e);
    let mut file = beside(path)?;
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().and_then(|mut w| w.write_image_data(&pixels)).map_err(|e| fail(&e))?;
    place(file, path)
}
