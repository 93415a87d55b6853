//! `vorticity paths export`: the loops that a circulation run integrates along, as a file for networks that run elsewhere.
use super::common::{encoded, open, parse_timesteps};
use super::device::Device;
use super::output::Output;
use crate::diagnostics::{Options, PathExport, exported_bytes};
use crate::error::{Error, Result};
use crate::field::ScoreScale;
use crate::ops::held::Held;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Work with the closed paths themselves.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Export(ExportArgs),
}

/// Write the loops of a circulation run as an NPZ file, for scores from another program.
///
/// The points are made by the same shaders as in `vorticity circulation` and are, on one adapter and with the same
/// arguments, the same f32 numbers. Evaluate the score at the array `midpoints` and hand it back with
/// `vorticity circulation --scores SCORES --exported FILE` (docs/FORMATS.md, examples/pytorch_round_trip.py).
#[derive(clap::Args)]
struct ExportArgs {
    /// Model directory, or a closed form such as field:gaussian: gives process, shape and data range
    model: String,
    /// Clean images: IDX, NPY, NPZ or safetensors (FILE#tensor), also .gz; 8-bit data are scaled to the model's range;
    /// or exact samples: data:funnel?seed=0, data:gaussian?seed=0
    #[arg(long)]
    data: String,
    /// Closed paths, comma-separated: brownian, rotation, projection
    #[arg(long, value_delimiter = ',', default_value = "brownian,rotation,projection")]
    paths: Vec<String>,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "1..1000:10")]
    timesteps: String,
    /// How many images, from the first
    #[arg(long, default_value_t = 256)]
    samples: usize,
    /// Segments per loop
    #[arg(long, default_value_t = 1000)]
    points: usize,
    /// Arcs m of the projection path; must divide the points
    #[arg(long, default_value_t = crate::paths::ARCS)]
    arcs: u32,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// NPZ file to write
    #[arg(long, value_name = "NPZ")]
    out: PathBuf,
    /// Shape CxHxW of a closed form, or of a network that leaves it open; that of the data if not given
    #[arg(long)]
    shape: Option<String>,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    output: Output,
}

/// Writes the NPZ file; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let Verb::Export(args) = &args.verb;
    let parent = args.out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if args.out.exists() || !parent.is_dir() {
        return Err(Error::file(&args.out, "exists or is in no directory, expected the name of a new file"));
    }
    let timesteps = parse_timesteps(&args.timesteps)?;
    let (images, field) =
        open(&args.model, &args.data, args.samples, args.shape.as_deref(), ScoreScale::Definition, Held::F32)?;
    let options = Options {
        paths: args.paths.clone(),
        timesteps,
        samples: args.samples,
        points: args.points,
        arcs: args.arcs,
        seed: args.seed,
        ..Options::default()
    };
    let gpu = args.device.open()?;
    let images = encoded(&gpu, field.as_ref(), images, args.seed)?;
    let bytes = exported_bytes(&options, field.shape()).unwrap_or(u64::MAX);
    let job = PathExport::new(&gpu, field.as_ref(), &images, options)?;
    let total = job.segments();
    args.output.say(&format!(
        "adapter  {}\npoints   {total} segments of {}\nsize     {:.1} MB: midpoints, steps and nodes\n",
        gpu.describe(),
        field.shape(),
        bytes as f64 / 1e6
    ))?;
    let bar = args.output.progress(total);
    let loops = job.run(&mut |done| {
        bar.set_position(done);
        bar.set_message(format!("{done} segments"));
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    loops.write(&args.out)?;
    args.output.say(&format!("written to {}\n", args.out.display()))?;
    let out = args.out.display().to_string();
    args.output.document("paths export", || json!({ "segments": total, "bytes": bytes, "out": out }))?;
    Ok(0)
}
