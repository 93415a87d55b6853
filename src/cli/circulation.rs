//! `vorticity circulation`: closed-loop integrals of a model or a closed-form field, into a run directory.
use super::common::{HeldArgs, check, data_facts, encoded, open, parse_timesteps, rounded, warn, warn_of_range};
use super::device::Device;
use super::finished::publish;
use super::fleet;
use super::keep::{ShardArgs, journal, or_say_kept};
use super::output::Output;
use super::path_args::PathArgs;
use super::process::{ProcessArgs, settled, settled_json};
use super::scores::{self, ScoreArgs};
use super::text::command_line;
use super::tune::TuneArgs;
use super::watch::{Plan, Watched, watch};
use crate::diagnostics::{self, CirculationRun, Options, Quadrature};
use crate::error::{Error, Result};
use crate::field::ScoreScale;
use crate::measures::circulation::circulation_evaluations;
use crate::run::{Journal, RunDir};
use crate::spec::Spec;
use serde_json::json;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Integrate the field around closed paths (the paper's eq. 4).
///
/// Writes OUT/circulation.csv, circulation.npz, manifest.json, run_log.json and plots/*.svg (docs/FORMATS.md), and
/// prints a table. The defaults are the paper's protocol: 76.8 million evaluations; try --dry-run first.
#[derive(clap::Args)]
pub struct Args {
    /// Model directory, or field:gaussian, field:rotor?omega=1, field:tilted?omega=1, field:mixture?file=F, field:funnel
    #[arg(required_unless_present = "scores")]
    model: Option<Spec>,
    /// Clean images: IDX, NPY, NPZ or safetensors (FILE#tensor), also .gz, or a folder of PNG files, taken by name; 8-bit
    /// data and PNG are scaled to the model's range. Or exact samples: data:funnel?seed=0, data:gaussian?seed=0
    #[arg(long, required_unless_present = "scores")]
    data: Option<Spec>,
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
    /// Rule: midpoint (the paper's), or adaptive: nested rules on the smooth paths rotation and projection, until --tol
    /// is met or --points evaluations are spent; other paths by midpoints
    #[arg(long, value_parser = ["midpoint", "adaptive"], default_value = "midpoint")]
    quadrature: String,
    /// Error that adaptive quadrature aims for, in units of |Gamma|, or of a thousandth of S = sum |s.d| if that is more
    #[arg(long, default_value_t = 1e-3)]
    tol: f64,
    /// Share of the samples whose loops are also integrated by two-point Gauss, for the quadrature error; costs twice
    /// that share in evaluations. At least two samples; with 0 the verdict is "not checked"
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    quadrature_check: f64,
    /// Share of the evaluations to repeat in f64 on the host, for the arithmetic error [default: 8 points of the run]; with 0
    /// the verdict is "not checked"
    #[arg(long, value_name = "SHARE")]
    verify_fraction: Option<f64>,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run directory to create; must not exist, or be empty. Until the run is complete it is kept in OUT.partial, from where
    /// the same command goes on
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    tune: TuneArgs,
    /// Lanes per tile; by memory if not given. Results do not depend on it
    #[arg(long)]
    tile: Option<usize>,
    /// Shape CxHxW of a closed form, or of a network that leaves it open; that of the data if not given
    #[arg(long)]
    shape: Option<String>,
    #[command(flatten)]
    process: ProcessArgs,
    /// Eps-prediction to score: -eps/sigma (definition) or -eps/sigma^2 (notebook)
    #[arg(long, value_parser = ["definition", "notebook"], default_value = "definition")]
    score_scale: String,
    /// Print evaluations, FLOPs and predicted time, measured on the first tiles of the real work, and stop
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before runs of more than an hour
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    held: HeldArgs,
    #[command(flatten)]
    elsewhere: ScoreArgs,
    #[command(flatten)]
    output: Output,
}

/// Points that a run repeats in f64 unless told otherwise.
const VERIFIED: usize = 8;

/// How many of the midpoints a share of them is.
pub(super) fn verify_points(share: Option<f64>, midpoints: usize) -> Result<usize> {
    match share {
        None => Ok(VERIFIED.min(midpoints)),
        Some(share) if (0.0..=1.0).contains(&share) => Ok((share * midpoints as f64).ceil() as usize),
        Some(share) => Err(Error::invalid("--verify-fraction", format!("{share}, expected 0 to 1"))),
    }
}

/// Measures, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    if let (Some(files), Some(out)) = (scores::files(&args.elsewhere)?, &args.out) {
        return scores::run(&files, out, args.output);
    }
    let (Some(model), Some(data)) = (&args.model, &args.data) else {
        return Err(Error::invalid("circulation", "needs a MODEL and --data, or --scores with --exported and --out"));
    };
    let shard = args.shard.parse()?;
    let mut out = match (&args.out, args.dry_run) {
        (None, false) => return Err(Error::invalid("--out", "missing: name the run directory to create")),
        (Some(path), false) => Some(RunDir::create(path)?),
        _ => None,
    };
    let timesteps = parse_timesteps(&args.timesteps)?;
    let scale = if args.score_scale == "notebook" { ScoreScale::Notebook } else { ScoreScale::Definition };
    let (given, shape) = (args.process.open()?, args.shape.as_deref());
    let (images, field) = open(model, data, args.samples, shape, scale, args.held.weights, given.as_ref())?;
    let paths = args.paths.open((field.shape(), field.data_range()))?;
    warn_of_range(model, data, field.as_ref(), &images, args.output);
    let gpus = args.tune.tuned(args.device.open_all()?, field.as_ref(), args.output)?;
    let images = encoded(&gpus[0], field.as_ref(), images, args.seed)?;
    let midpoints = [timesteps.len(), args.samples, args.points].into_iter().fold(paths.len(), usize::saturating_mul);
    let verify_points = verify_points(args.verify_fraction, midpoints)?;
    let options = Options {
        paths,
        timesteps,
        samples: args.samples,
        points: args.points,
        seed: args.seed,
        quadrature: match args.quadrature.as_str() {
            "adaptive" => Quadrature::Adaptive { tolerance: args.tol },
            _ => Quadrature::Midpoint,
        },
        quadrature_check: args.quadrature_check,
        verify_points,
        tile: args.tile,
        family: None,
    };
    let parameters = crate::paths::parameters(&options.paths);
    let decides = json!({
        "paths": options.path_names(), "timesteps": options.timesteps, "samples": options.samples, "points": options.points,
        "quadrature_check": options.quadrature_check,
    });
    let job = CirculationRun::of_shard(&gpus, &field, &images, options, shard)?;

    let (total, flops, tiles) = (job.evaluations(), job.program().flops() as f64, job.tiles());
    let (checked, verified) = (job.checked_samples(), job.verified_points());
    let (output, loops, bytes) = (args.output, job.loops(), tile_bytes(&job));
    let most = if args.quadrature == "adaptive" { "at most " } else { "" };
    let (samples, points, tile) = (args.samples, args.points, tiles[0]);
    let each = if tiles.len() > 1 { ", on the first device" } else { "" };
    output.say(&format!(
        "adapter      {}\n{}{}\
         work         {loops} loops, N = {points}: {most}{total} evaluations with checks\n\
         checks       two-point Gauss on {checked} of {samples} samples, {verified} points in f64\n\
         arithmetic   {:.3} MFLOP per evaluation, {:.3e} FLOP in all\n\
         tile         {tile} lanes, {:.1} MB{each}\n",
        fleet::text(&gpus),
        settled(field.as_ref()),
        rounded(field.rounding()),
        flops / 1e6,
        flops * total as f64,
        bytes as f64 / 1e6
    ))?;
    let mut facts = json!({
        "program": format!("vorticity {}", env!("CARGO_PKG_VERSION")),
        "measure": "circulation",
        "field": field.describe(),
        "data": data_facts(data, &images),
        "seed": args.seed,
        "path_parameters": parameters,
        "quadrature": args.quadrature,
        "tolerance": (args.quadrature == "adaptive").then_some(args.tol),
        "quadrature_checked_samples": checked,
        "verified_points": verified,
    });
    if let Some(facts) = facts.as_object_mut() {
        facts.extend(fleet::facts(&gpus));
    }
    let kept = match &mut out {
        Some(out) => journal(out, &facts, &decides, shard, total, output)?,
        None => Journal::default(),
    };
    let recorded = kept.recorded();
    if let (Some(out), "midpoint") = (&out, args.quadrature.as_str()) {
        out.check_room(diagnostics::circulation_bytes(loops as u64, total.saturating_sub(recorded)))?;
    }
    let started = SystemTime::now();
    let check = || check(field.as_ref(), &images);
    // Several devices take turns: all must have had theirs, twice.
    let least = if tiles.len() > 1 { 2 * tiles.iter().sum::<usize>() as u64 } else { 0 };
    let plan = Plan {
        output,
        total,
        at_most: args.quadrature == "adaptive",
        least,
        checks: verified.div_ceil(shard.of()),
        check: &check,
        yes: args.yes,
        dry_run: args.dry_run,
    };
    let watched = watch(plan, |observe| job.measure(kept, observe));
    warn(&gpus.iter().collect::<Vec<_>>(), output);
    let Watched { result, prediction, seconds, .. } = or_say_kept(watched, out.as_ref())?;
    let predicted = prediction.map(|p| p.json());
    let work = json!({
        "model": args.model, "adapter": facts["adapter"], "kernels": facts["kernels"], "devices": gpus.len(),
        "loops": loops, "samples": samples, "shard": shard.to_string(), "points": points,
        "quadrature": args.quadrature, "most_evaluations": total, "quadrature_checked_samples": checked,
        "verified_points": verified, "flops_per_evaluation": flops, "tile": tile, "tile_bytes": bytes,
        "predicted": predicted, "settled": settled_json(&field.facts()),
    });
    let Some(((part, who), out)) = result.zip(out) else {
        output.document("circulation", || json!({ "dry_run": true, "work": work }))?;
        return Ok(0);
    };
    for failure in who.failures.iter().filter(|_| !output.quiet) {
        eprintln!("warning: device {} was lost, others ran its tiles: {}", failure.device, failure.message);
    }
    let evaluations = circulation_evaluations(&part)?;
    let now = evaluations.saturating_sub(recorded);
    let mut log = json!({
        "command": command_line(),
        "started_unix": started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        "seconds": seconds,
        "evaluations": evaluations,
        "evaluations_before": recorded,
        "evaluations_per_second": now as f64 / seconds,
        "predicted": predicted,
    });
    if let Some(log) = log.as_object_mut() {
        log.extend(fleet::log(&gpus, &tiles, &who).map(|(key, value)| (key.into(), value)));
    }
    let path = args.out.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let title = format!("{}, {} samples, N = {}", model.file_name(), args.samples, args.points);
    let told = publish(out, part, facts, log, &title)?;
    output.say(&format!(
        "{}\n{evaluations} evaluations, {now} of them in {seconds:.1} s = {:.1} evaluations/s\nwritten to {path}\n",
        told.text,
        now as f64 / seconds
    ))?;
    output.document("circulation", || {
        json!({
            "dry_run": false, "work": work, "evaluations": evaluations, "seconds": seconds, "out": path,
            "table": told.rows, "found": told.found, "not_finite": told.marked.json(),
        })
    })?;
    Ok(told.marked.exit())
}

fn tile_bytes(job: &CirculationRun) -> u64 {
    job.memory().device()
}
