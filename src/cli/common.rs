//! What the verbs that look at a model on data share: the arguments that name both, opening them, stopping cleanly, and
//! for the diagnostics of derivatives the whole way from a table to a run directory and a report.
use super::keep::{ShardArgs, journal, or_say_kept};
use super::output::Output;
use crate::data::Images;
use crate::diagnostics::{self, Progress, Selection};
use crate::error::{Error, Result};
use crate::field::{self, Field, ScoreScale};
use crate::gpu::{AdapterChoice, Gpu};
use crate::latents;
use crate::run::{Part, RunDir, Table, write_table};
use crate::shape::Shape;
use indicatif::HumanDuration;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs of more than this many seconds want --yes or an answer.
pub(super) const ASK_BEYOND: f64 = 3600.0;

/// How long a run goes on before its length is predicted from what is done.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// A model on data, and where results go.
#[derive(clap::Args, Clone, Debug)]
pub struct Subject {
    /// Model directory, or field:gaussian, field:rotor?omega=1, field:tilted?omega=1, field:mixture?file=F, field:funnel
    pub model: String,
    /// Clean images: IDX, NPY, NPZ or safetensors (FILE#tensor), also .gz, or a folder of PNG files, taken by name; 8-bit
    /// data and PNG are scaled to the model's range. Or exact samples: data:funnel?seed=0, data:gaussian?seed=0
    #[arg(long)]
    pub data: String,
    /// How many images, from the first
    #[arg(long, default_value_t = 256)]
    pub samples: usize,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Run directory to create; must not exist, or be empty. Until the run is complete it is kept in OUT.partial, from where
    /// the same command goes on
    #[arg(long)]
    pub out: PathBuf,
    /// Adapter: index or part of the name in `vorticity devices`, or software
    #[arg(long)]
    pub adapter: Option<String>,
    /// Shape CxHxW of a closed-form field; that of the data if not given
    #[arg(long)]
    pub shape: Option<String>,
    /// Eps-prediction to score: -eps/sigma (definition) or -eps/sigma^2 (notebook)
    #[arg(long, value_parser = ["definition", "notebook"], default_value = "definition")]
    pub score_scale: String,
    /// Which of them this process measures.
    #[command(flatten)]
    pub shard: ShardArgs,
    /// Go on where more than an hour is predicted, which is measured in the first seconds of the run
    #[arg(long)]
    pub yes: bool,
    /// Text, JSON or nothing.
    #[command(flatten)]
    pub output: Output,
}

/// A subject, opened; nothing has run yet.
pub(super) struct Opened {
    subject: Subject,
    out: RunDir,
    started: SystemTime,
    pub images: Images,
    pub field: Box<dyn Field>,
    pub gpu: Gpu,
}

/// What a verb measures.
pub(super) struct Plan<'a> {
    pub measure: &'static str,
    pub timesteps: &'a [usize],
    /// Evaluations of all samples.
    pub lanes: u64,
    /// What the verb has of its own, for the manifest.
    pub options: Value,
}

/// A table, for people and for programs.
pub(super) struct Report {
    pub text: String,
    pub rows: Vec<Value>,
    /// Name in the run directory, SVG.
    pub plots: Vec<(&'static str, String)>,
}

impl Subject {
    /// Opens output, data, field and adapter, in this order: what is cheap to refuse comes first.
    pub(super) fn open(&self) -> Result<Opened> {
        let out = RunDir::create(&self.out)?;
        let scale = if self.score_scale == "notebook" { ScoreScale::Notebook } else { ScoreScale::Definition };
        let (images, field) = open(&self.model, &self.data, self.samples, self.shape.as_deref(), scale)?;
        let gpu = Gpu::open(&self.adapter.as_deref().map_or(AdapterChoice::Best, AdapterChoice::parse))?;
        let images = encoded(&gpu, field.as_ref(), images, self.seed)?;
        Ok(Opened { subject: self.clone(), out, started: SystemTime::now(), images, field, gpu })
    }

    /// Where a diagnostic looks.
    pub(super) fn selection(&self, timesteps: &str) -> Result<Selection> {
        Ok(Selection { timesteps: parse_timesteps(timesteps)?, samples: self.samples, seed: self.seed })
    }
}

impl Opened {
    /// Measures with a progress bar, going on where an earlier process ended, writes the run directory and prints; the exit
    /// code.
    pub fn publish(
        mut self,
        plan: Plan,
        measure: impl FnOnce(&Self, Progress) -> Result<Part>,
        report: fn(&Table, &str) -> Result<Report>,
    ) -> Result<i32> {
        let Subject { model, data, samples, seed, out, yes, output, shard, .. } = self.subject.clone();
        let (adapter, shape, shard) = (self.gpu.describe(), self.field.shape(), shard.parse()?);
        shard.check(samples)?;
        let (own, options) = (shard.count(samples), plan.options);
        let lanes = plan.lanes / samples as u64 * own as u64;
        output.say(&format!("adapter      {adapter}\nwork         {own} samples of {shape}, {lanes} evaluations, a tangent counted as one\n"))?;
        let facts = json!({
            "program": format!("vorticity {}", env!("CARGO_PKG_VERSION")),
            "measure": plan.measure,
            "field": self.field.describe(),
            "data": data_facts(&data, &self.images),
            "seed": seed,
            "options": options,
            "adapter": adapter,
            "kernels": self.gpu.family().name(),
        });
        let decides = json!({ "timesteps": plan.timesteps, "samples": samples });
        let journal = journal(&mut self.out, &facts, &decides, shard, lanes, output)?;
        let recorded = journal.recorded();

        let (start, bar, stop) = (Instant::now(), output.progress(lanes), stop_flag()?);
        bar.set_position(recorded);
        bar.reset_eta();
        let (mut predicted, mut done) = (None, recorded);
        // The first tiles wait for kernels to be compiled: the rate is that of what follows.
        let mut warm: Option<(Instant, u64)> = None;
        let mut observe = |now: u64| {
            done = now;
            bar.set_position(done);
            let (since, before) = *warm.get_or_insert_with(|| (Instant::now(), done));
            if predicted.is_none() && since.elapsed() >= LOOK_AFTER {
                let each = since.elapsed().as_secs_f64() / (done - before) as f64;
                predicted = Some(each * lanes.saturating_sub(recorded) as f64);
            }
            let long = !yes && predicted.is_some_and(|seconds| seconds > ASK_BEYOND);
            if long || stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let measured = measure(&self, Progress::of(shard, journal, &mut observe)).map_err(|e| match (e, predicted) {
            (Error::Interrupted, Some(seconds)) if !stop.load(Ordering::Relaxed) => {
                let duration = HumanDuration(Duration::from_secs_f64(seconds));
                Error::invalid("run time", format!("{duration} predicted; give --yes to run it anyway"))
            }
            (e, _) => e,
        });
        bar.finish_and_clear();
        let part = or_say_kept(measured, &self.out)?;
        let seconds = start.elapsed().as_secs_f64();
        let rate = done.saturating_sub(recorded) as f64 / seconds;
        let log = json!({
            "command": std::env::args().collect::<Vec<_>>(),
            "started_unix": self.started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            "seconds": seconds,
            "evaluations": done,
            "evaluations_before": recorded,
            "evaluations_per_second": rate,
        });
        let title = format!("{}, {samples} samples", file_name(&model));
        let (text, rows) = if shard.is_whole() {
            let table = diagnostics::finish(part)?;
            write_table(&self.out, &table, facts, log)?;
            let report = report(&table, &title)?;
            for (name, svg) in &report.plots {
                self.out.write(name, svg.as_bytes())?;
            }
            (report.text, report.rows)
        } else {
            part.write(&self.out, &facts, &title, &log)?;
            (format!("shard {shard}: the results are those of all {} merged\n", shard.of()), vec![])
        };
        self.out.finish()?;
        output.say(&format!(
            "{text}\n{done} evaluations, {} of them in {seconds:.1} s = {rate:.1} evaluations/s\nwritten to {}\n",
            done.saturating_sub(recorded),
            out.display()
        ))?;
        output.document(plan.measure, || {
            json!({
                "model": model, "adapter": adapter, "options": options, "shard": shard.to_string(), "evaluations": done,
                "seconds": seconds, "out": out.display().to_string(), "table": rows,
            })
        })?;
        Ok(0)
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
    model: &str,
    data: &str,
    samples: usize,
    shape: Option<&str>,
    scale: ScoreScale,
) -> Result<(Images, Box<dyn Field>)> {
    let given = shape.map(Shape::parse).transpose()?;
    if model.starts_with("field:") {
        let images = field::open_data(data, samples, [-1.0, 1.0], given)?;
        let field = field::open(model, Some(given.unwrap_or(images.shape)), scale)?;
        Ok((images, field))
    } else {
        let field = field::open(model, None, scale)?;
        let shape = field.autoencoder().map_or(field.shape(), |a| a.image());
        let images = field::open_data(data, samples, field.data_range(), Some(shape))?;
        Ok((images, field))
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
pub(super) fn data_facts(spec: &str, images: &Images) -> Value {
    let (key, name) = if spec.starts_with("data:") { ("drawn", spec.into()) } else { ("file", file_name(spec)) };
    json!({ key: name, "sha256": images.sha256, "shape": images.shape.to_string() })
}

/// The last part of a path: where a file lies on this machine is nobody's business.
pub(super) fn file_name(spec: &str) -> String {
    spec.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(spec).to_string()
}

/// Set by Ctrl-C; a second Ctrl-C ends the process at once.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping after the tiles in flight; Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::invalid("Ctrl-C handler", e))?;
    Ok(flag)
}
