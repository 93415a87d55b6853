//! `vorticity paths export`: the loops that a circulation run integrates along, as a file for networks that run elsewhere.
use super::device::Device;
use super::measure::ShardArgs;
use super::network::NetworkArgs;
use super::output::Output;
use super::path_args::PathArgs;
use super::process::{settled, settled_json};
use super::watch::stop_flag;
use crate::error::{Error, Result};
use crate::measures::circulation::{Options, PathExport, verify_points};
use crate::run::parse_timesteps;
use crate::session::Opening;
use crate::spec::Spec;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

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
/// arguments, the same f32 numbers. Evaluate the score at the array `midpoints`; for its errors to be known also at `gauss`
/// and, in float64, at `repeat_points`. Hand all of it back with `vorticity integrate SCORES --exported FILE --out RUN`
/// (docs/FORMATS.md, examples/pytorch_round_trip.py). The file is written as the points are made, in little memory.
#[derive(clap::Args)]
struct ExportArgs {
    /// Model directory, or a closed form such as field:gaussian: gives process, shape and data range
    model: Spec,
    /// Clean images: IDX, NPY, NPZ or safetensors (FILE#tensor), also .gz; 8-bit data are scaled to the model's range;
    /// or exact samples: data:funnel?seed=0, data:gaussian?seed=0
    #[arg(long)]
    data: Spec,
    #[command(flatten)]
    paths: PathArgs,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "1..1000:10")]
    timesteps: String,
    /// How many images, from the first
    #[arg(long, default_value_t = 256)]
    samples: usize,
    /// Segments per loop
    #[arg(long, default_value_t = 1000)]
    points: usize,
    /// Share of the samples whose loops get two-point Gauss points too, for the quadrature error: twice that share in points.
    /// At least two samples; with 0 the verdict will be "not checked"
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    quadrature_check: f64,
    /// Share of the midpoints to be repeated in float64, for the arithmetic error [default: 8 points]; with 0 the verdict will
    /// be "not checked"
    #[arg(long, value_name = "SHARE")]
    verify_fraction: Option<f64>,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    shard: ShardArgs,
    /// Print how many points and bytes there will be, and stop
    #[arg(long)]
    dry_run: bool,
    /// Do not refuse files of more than 4 GiB
    #[arg(long)]
    yes: bool,
    /// NPZ file to write; until it is whole its name ends in .partial
    #[arg(long, value_name = "NPZ", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    output: Output,
}

/// Bytes of a file beyond which --yes must say that it is meant.
const ASK: u64 = 4 << 30;

/// Writes the NPZ file; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let Verb::Export(args) = &args.verb;
    if let Some(out) = &args.out {
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if out.exists() || !parent.is_dir() {
            return Err(Error::file(out, "exists or is in no directory, expected the name of a new file"));
        }
    }
    let timesteps = parse_timesteps(&args.timesteps)?;
    let opening =
        Opening { said: args.network.said()?, ..Opening::new(args.model.clone(), args.data.clone(), args.samples) };
    let source = opening.open()?;
    let shard = args.shard.parse()?;
    let paths = args.paths.open((source.field.shape(), source.field.data_range()))?;
    let midpoints = [timesteps.len(), args.samples, args.points].into_iter().fold(paths.len(), usize::saturating_mul);
    let options = Options {
        paths,
        timesteps,
        samples: args.samples,
        points: args.points,
        seed: args.seed,
        quadrature_check: args.quadrature_check,
        verify_points: verify_points(args.verify_fraction, midpoints)?,
        ..Options::default()
    };
    if let Some(misfit) = source.misfit().filter(|_| !args.output.quiet) {
        eprintln!("warning: --data {}: {misfit}", args.data);
    }
    let session = source.on(vec![args.device.open()?], args.seed)?;
    let (subject, gpu) = (session.subject(), session.subject().gpu());
    let field = &subject.field;
    let facts = json!({ "field": field.describe(), "data": session.data() });
    let job = PathExport::new(gpu, field.as_ref(), &subject.images, options, shard, facts)?;
    let (total, layout) = (job.points(), job.layout());
    let (segments, repeated) = (layout.axes.dims()[..4].iter().product::<usize>() as u64, layout.repeat.len());
    let (samples, gauss, bytes) = (layout.axes.samples, total - segments, layout.bytes());
    let said =
        bytes.map_or("more bytes than any file holds".into(), |b| format!("{b} bytes ({:.1} MB)", b as f64 / 1e6));
    args.output.say(&format!(
        "adapter      {}\n{}loops        of {samples} samples, shard {shard}\npoints       {segments} segments of {}, {gauss} Gauss points, \
         {repeated} to be repeated in float64\nsize         {said}\n",
        gpu.describe(),
        settled(field.as_ref()),
        field.shape(),
    ))?;
    let document = |dry_run: bool| {
        let out = args.out.as_ref().filter(|_| !dry_run).map(|out| out.display().to_string());
        json!({
            "dry_run": dry_run, "segments": segments, "gauss_points": gauss, "repeated": repeated, "samples": samples,
            "shard": shard.to_string(), "bytes": bytes, "settled": settled_json(&field.facts()), "out": out,
        })
    };
    let Some(out) = args.out.as_ref().filter(|_| !args.dry_run) else {
        args.output.document("paths export", || document(true))?;
        return Ok(0);
    };
    if bytes.is_none_or(|b| b > ASK && !args.yes) {
        let said = format!(
            "{said}: more than 4 GiB want --yes. Or ask for fewer samples, timesteps, points or paths, or for one part of \
             the samples at a time (--shard 1/8), whose results `vorticity merge` joins"
        );
        return Err(Error::invalid("paths export", said));
    }
    let (bar, stop) = (args.output.progress(total), stop_flag()?);
    job.write(out, &mut |done| {
        bar.set_position(done);
        bar.set_message(format!("{done} points"));
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    args.output.say(&format!("written to {}\n", out.display()))?;
    args.output.document("paths export", || document(false))?;
    Ok(0)
}
