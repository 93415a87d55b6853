//! What the verbs that look at a model on data share: the arguments that name both, opening them, and
//! for the diagnostics of derivatives the whole way from a table to a run directory and a report.
use super::device::Device;
use super::finished::{Told, publish};
use super::fleet::troubles;
use super::keep::{ShardArgs, journal, or_say_kept};
use super::output::Output;
use super::process::{ProcessArgs, settled, settled_json};
use super::text::command_line;
use super::tune::{TuneArgs, variants};
use super::watch::{Plan, Watched, watch};
use crate::data::{Images, Levels, misfit};
use crate::diagnostics::{Progress, Selection};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::{self, Field, ScoreScale};
use crate::gpu::Gpu;
use crate::latents;
use crate::model::{Model, Process, leaves_size_open};
use crate::ops::weight_format::{Rounding, WeightFormat};
use crate::run::{Journal, Measure, Part, RunDir};
use crate::shape::Shape;
use crate::spec::Spec;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How the device holds a network's weights.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct HeldArgs {
    /// How the device holds the weights of convolutions and linear layers: f32, or f16 in half the memory, with arithmetic
    /// in f32 all the same. Rounding is printed and recorded, and part of the error against f64
    #[arg(long, value_name = "FORMAT", value_parser = formats(), default_value = "f32")]
    pub weights: WeightFormat,
}

fn formats() -> impl TypedValueParser<Value = WeightFormat> {
    PossibleValuesParser::new([WeightFormat::F32, WeightFormat::F16].map(WeightFormat::name))
        .try_map(|name| WeightFormat::parse(&name))
}

/// The line that says how weights are rounded, if they are.
pub(super) fn rounded(rounding: Option<Rounding>) -> String {
    rounding.map_or(String::new(), |r| format!("weights      {}\n", r.describe()))
}

/// A model on data, and where results go.
#[derive(clap::Args, Clone, Debug)]
pub struct Subject {
    /// Model directory, or field:gaussian, field:rotor?omega=1, field:tilted?omega=1, field:mixture?file=F, field:funnel
    pub model: Spec,
    /// Clean images: IDX, NPY, NPZ or safetensors (FILE#tensor), also .gz, or a folder of PNG files, taken by name; 8-bit
    /// data and PNG are scaled to the model's range. Or exact samples: data:funnel?seed=0, data:gaussian?seed=0
    #[arg(long)]
    pub data: Spec,
    /// How many images, from the first
    #[arg(long, default_value_t = 256)]
    pub samples: usize,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Run directory to create; must not exist, or be empty. Until the run is complete it is kept in OUT.partial, from where
    /// the same command goes on
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    /// Which variants of its kernels.
    #[command(flatten)]
    pub tune: TuneArgs,
    /// Shape CxHxW of a closed form, or of a network that leaves it open; that of the data if not given
    #[arg(long)]
    pub shape: Option<String>,
    /// Noise levels of a closed-form field.
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Eps-prediction to score: -eps/sigma (definition) or -eps/sigma^2 (notebook)
    #[arg(long, value_parser = ["definition", "notebook"], default_value = "definition")]
    pub score_scale: String,
    /// Which of them this process measures.
    #[command(flatten)]
    pub shard: ShardArgs,
    /// Print evaluations and predicted time, measured on the first tiles of the real work, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask where more than an hour is predicted, which is measured on the first tiles of the run
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    /// f32 or f16.
    pub held: HeldArgs,
    /// Text, JSON or nothing.
    #[command(flatten)]
    pub output: Output,
}

/// A subject, opened; nothing has run yet.
pub(super) struct Opened {
    subject: Subject,
    /// Nothing of a dry run.
    out: Option<RunDir>,
    started: SystemTime,
    pub images: Images,
    pub field: Arc<dyn Field>,
    pub gpu: Gpu,
}

/// What a verb is about to measure.
pub(super) struct Work<'a> {
    pub measure: &'static dyn Measure,
    pub timesteps: &'a [usize],
    /// Evaluations of all samples, a tangent counted as one.
    pub lanes: u64,
    /// Evaluations of the f64 twin.
    pub checks: usize,
    /// What the verb has of its own, for the manifest.
    pub options: Value,
}

impl Subject {
    /// Opens output, data, field and adapter, in this order: what is cheap to refuse comes first.
    pub(super) fn open(&self) -> Result<Opened> {
        let out = self.out.as_ref().filter(|_| !self.dry_run).map(|out| RunDir::create(out)).transpose()?;
        let scale = if self.score_scale == "notebook" { ScoreScale::Notebook } else { ScoreScale::Definition };
        let given = self.process.open()?;
        let (images, field) = open(
            &self.model,
            &self.data,
            self.samples,
            self.shape.as_deref(),
            scale,
            self.held.weights,
            given.as_ref(),
        )?;
        warn_of_range(&self.model, &self.data, field.as_ref(), &images, self.output);
        let gpu = self.tune.tuned_one(self.device.open()?, field.as_ref(), self.output)?;
        let images = encoded(&gpu, field.as_ref(), images, self.seed)?;
        Ok(Opened { subject: self.clone(), out, started: SystemTime::now(), images, field, gpu })
    }

    /// Where a diagnostic looks.
    pub(super) fn selection(&self, timesteps: &str) -> Result<Selection> {
        Ok(Selection { timesteps: parse_timesteps(timesteps)?, samples: self.samples, seed: self.seed })
    }
}

impl Opened {
    /// Measures under watch, going on where an earlier process ended, writes the run directory and prints; the exit code.
    pub fn publish(
        mut self,
        Work { measure, timesteps, lanes, checks, options }: Work,
        run: impl FnOnce(&Self, Progress) -> Result<Part>,
    ) -> Result<i32> {
        let Subject { model, data, samples, seed, yes, dry_run, output, shard, .. } = self.subject.clone();
        let (adapter, shape, shard) = (self.gpu.describe(), self.field.shape(), shard.parse()?);
        shard.check(samples)?;
        let own = shard.count(samples);
        let lanes = lanes / samples as u64 * own as u64;
        output.say(&format!(
            "adapter      {adapter}\n{}work         {own} samples of {shape}, {lanes} evaluations, a tangent counted as one\n{}",
            settled(self.field.as_ref()),
            rounded(self.field.rounding())
        ))?;
        let mut facts = json!({
            "program": format!("vorticity {}", env!("CARGO_PKG_VERSION")),
            "measure": measure.name(),
            "field": self.field.describe(),
            "data": data_facts(&data, &self.images),
            "seed": seed,
            "options": options,
            "adapter": adapter,
            "kernels": self.gpu.family().name(),
        });
        if let Some(variants) = variants(std::slice::from_ref(&self.gpu)) {
            facts["variants"] = variants;
        }
        let decides = json!({ "timesteps": timesteps, "samples": samples });
        let mut out = self.out.take();
        let journal = match &mut out {
            Some(out) => journal(out, &facts, &decides, shard, lanes, output)?,
            None => Journal::default(),
        };
        let recorded = journal.recorded();
        let check = || check(self.field.as_ref(), &self.images);
        let plan = Plan {
            output,
            total: lanes,
            at_most: false,
            least: 0,
            checks: checks.div_ceil(shard.of()),
            check: &check,
            yes,
            dry_run,
        };
        let watched = watch(plan, |observe| run(&self, Progress::of(shard, journal, observe)));
        warn(&[&self.gpu], output);
        let Watched { result, prediction, done, seconds } = or_say_kept(watched, out.as_ref())?;
        let predicted = prediction.map(|p| p.json());
        let (Some(part), Some(out), Some(path)) = (result, out, &self.subject.out) else {
            output.document(measure.name(), || {
                json!({
                    "dry_run": true, "model": model, "adapter": adapter, "options": options, "shard": shard.to_string(),
                    "evaluations": lanes, "predicted": predicted, "settled": settled_json(&self.field.facts()),
                })
            })?;
            return Ok(0);
        };
        let path = path.display().to_string();
        let done = done.max(recorded); // a run that is wholly recorded tells nobody
        let now = done - recorded;
        let rate = now as f64 / seconds;
        let log = json!({
            "command": command_line(),
            "started_unix": self.started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            "seconds": seconds,
            "evaluations": done,
            "evaluations_before": recorded,
            "evaluations_per_second": rate,
            "predicted": predicted,
            "troubles": troubles(std::slice::from_ref(&self.gpu)),
        });
        let title = format!("{}, {samples} samples", model.file_name());
        let Told { text, rows, marked, .. } = publish(out, part, facts, log, &title)?;
        output.say(&format!(
            "{text}\n{done} evaluations, {now} of them in {seconds:.1} s = {rate:.1} evaluations/s\nwritten to {path}\n"
        ))?;
        output.document(measure.name(), || {
            json!({
                "model": model, "adapter": adapter, "options": options, "shard": shard.to_string(), "evaluations": done,
                "seconds": seconds, "settled": settled_json(&self.field.facts()), "dry_run": false, "predicted": predicted, "out": path, "table": rows, "not_finite": marked.json(),
            })
        })?;
        Ok(marked.exit())
    }
}

/// `1..1000:10` (half-open) or `1,5,9` or `7`.
pub(super) fn parse_timesteps(text: &str) -> Result<Vec<usize>> {
    let fail = |m: &str| Error::invalid("timesteps", format!("'{text}' {m}"));
    let number = |s: &str| s.trim().parse::<usize>().map_err(|_| fail("is not FIRST..END:STEP or a list of numbers"));
    let Some((first, rest)) = text.split_once("..") else {
        return text.split(',').map(number).collect();
    };
    let (end, step) = rest.split_once(':').unwrap_or((rest, "1"));
    let (first, end, step) = (number(first)?, number(end)?, number(step)?);
    if step == 0 || first >= end || end > 10_000_000 {
        return Err(fail("is empty, has step 0 or is out of all bounds"));
    }
    Ok((first..end).step_by(step).collect())
}

/// Images and field of MODEL and --data. Closed forms take [-1, 1] data and, unless told otherwise, their shape.
pub(super) fn open(
    model: &Spec,
    data: &Spec,
    samples: usize,
    shape: Option<&str>,
    scale: ScoreScale,
    held: WeightFormat,
    process: Option<&Process>,
) -> Result<(Images, Arc<dyn Field>)> {
    let given = shape.map(Shape::parse).transpose()?;
    if model.is_closed_form() {
        let images = field::open_data(data, samples, [-1.0, 1.0], given)?;
        let field = field::open_given(model, Some(given.unwrap_or(images.shape)), scale, held, process)?;
        Ok((images, field))
    } else {
        let shape = match given {
            None if leaves_size_open(model.path())? => Some(field::open_data(data, 1, [-1.0, 1.0], None)?.shape),
            given => given,
        };
        let field = field::open_given(model, shape, scale, held, process)?;
        as_given(given, field.as_ref())?;
        let shape = field.autoencoder().map_or(field.shape(), |a| a.image());
        let images = field::open_data(data, samples, field.data_range(), Some(shape))?;
        Ok((images, field))
    }
}

/// Warns of floating-point data that are no data of the network's range. Closed forms have no range of their own.
pub(super) fn warn_of_range(model: &Spec, data: &Spec, field: &dyn Field, images: &Images, output: Output) {
    let scaled = model.is_closed_form() || images.levels != Levels::Real;
    if let Some(misfit) = misfit(&images.values, field.data_range()).filter(|_| !scaled && !output.quiet) {
        eprintln!("warning: --data {data}: {misfit}");
    }
}

/// The network of a model directory; `shape` for one that leaves it open.
pub(super) fn sized(model: &Path, shape: Option<&str>, held: WeightFormat) -> Result<Model> {
    let given = shape.map(Shape::parse).transpose()?;
    let model = Model::open_sized(model, given, held)?;
    match given {
        Some(given) if given != model.shape() => Err(other_shape(given, model.shape())),
        _ => Ok(model),
    }
}

fn other_shape(given: Shape, found: Shape) -> Error {
    Error::invalid("shape", format!("{given} is given, the network works on {found}"))
}

/// An error if --shape says something else than the field.
pub(super) fn as_given(shape: Option<Shape>, field: &dyn Field) -> Result<()> {
    match shape {
        Some(given) if given != field.shape() => Err(other_shape(given, field.shape())),
        _ => Ok(()),
    }
}

/// What the field lives on: the images themselves, or the latents that its autoencoder gives them.
pub(super) fn encoded(gpu: &Gpu, field: &dyn Field, images: Images, seed: u64) -> Result<Images> {
    match field.autoencoder() {
        Some(autoencoder) => latents::encode(gpu, autoencoder, &images, field.posterior(), seed),
        None => Ok(images),
    }
}

/// What a manifest says of the images of `--data`: the file, or what was drawn.
pub(super) fn data_facts(spec: &Spec, images: &Images) -> Value {
    let drawn = spec.after("data:").is_some();
    let (key, name) = if drawn { ("drawn", spec.to_string()) } else { ("file", spec.file_name()) };
    json!({ key: name, "sha256": images.sha256, "shape": images.shape.to_string() })
}

/// Passes on what the devices warn of.
pub(super) fn warn(gpus: &[&Gpu], output: Output) {
    for warning in gpus.iter().flat_map(|gpu| gpu.warnings()).filter(|_| !output.quiet) {
        eprintln!("warning: {warning}");
    }
}

/// One evaluation of the f64 twin, as the checks of a run have it, to time it.
pub(super) fn check(field: &dyn Field, images: &Images) -> Result<()> {
    let x = Dual::lift(&images.values[..images.shape.len()]);
    field.twin(&x, field.process().timesteps() / 2).map(drop)
}
