//! `vorticity stein`: the Stein operator on the error field, into a run directory.
use super::asymmetry::parse_probes;
use super::common::{Opened, Subject, Work};
use crate::diagnostics::{self, Divergence, Progress, SteinOptions};
use crate::error::Result;
use crate::field::{self, EXACT, Field, ScoreScale};
use crate::measures::Stein;
use crate::ops::weight_format::WeightFormat;
use crate::spec::Spec;
use serde_json::{Value, json};
use std::sync::Arc;

/// Apply the Stein operator to the error of the score, e = s - s_theta (the paper's eq. 20, 21, Fig. 4).
///
/// s is the conditional score -eps/sigma of the noise that made each sample, or a field given with --reference, which
/// should then be the marginal score of the data. Writes OUT/stein.csv, stein.npz, manifest.json, run_log.json and
/// plots/*.svg (docs/FORMATS.md), and prints a table.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list
    #[arg(long, default_value = "1..1000:10")]
    timesteps: String,
    /// Random tangents for the divergence (Hutchinson), or `all` for the exact trace [default: all up to 256 dimensions,
    /// else 16]
    #[arg(long)]
    probes: Option<String>,
    /// The marginal score of the data, where it is known, such as field:mixture?file=F, or field:funnel of data:funnel. Its
    /// process is that of MODEL unless its parameters name another
    #[arg(long, value_name = "FIELD")]
    reference: Option<Spec>,
    /// Tangents, spread over the run, to repeat in f64 on the host, for the arithmetic error
    #[arg(long, default_value_t = 4)]
    verify: usize,
}

/// What `--probes` says, or what fits `dim`.
pub(super) fn divergence(probes: Option<&str>, dim: usize) -> Result<Divergence> {
    match probes {
        None => Ok(Divergence::of(dim)),
        Some(text) => Ok(parse_probes(text)?.map_or(Divergence::Exact, Divergence::Hutchinson)),
    }
}

/// Measures, writes the run directory, prints the table; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let selection = args.subject.selection(&args.timesteps)?;
    let opened = args.subject.open()?;
    let shape = opened.field.shape();
    let reference = args.reference.as_ref().map(|spec| open(spec, &opened)).transpose()?;
    if let (Some(spec), false) = (&args.reference, args.subject.output.quiet) {
        strangers(spec, &args.subject.data, opened.field.as_ref()).iter().for_each(|w| eprintln!("warning: {w}"));
    }
    let divergence = divergence(args.probes.as_deref(), shape.len())?;
    let options = SteinOptions { selection, divergence, verified: args.verify };
    let work = Work {
        measure: &Stein,
        timesteps: &options.selection.timesteps,
        lanes: diagnostics::stein_lanes(&options, shape.len(), reference.is_some()),
        checks: args.verify,
        options: json!({
            "divergence": options.divergence.name(), "verified_tangents": args.verify,
            "reference": reference.as_ref().map_or("conditional score".into(), |r| r.describe()),
        }),
    };
    let measure = |o: &Opened, progress: Progress| {
        diagnostics::stein_part(&o.gpu, &o.field, reference.as_ref(), &o.images, &options, progress)
    };
    opened.publish(work, measure)
}

/// The reference; a closed form whose parameters name no process has the field's own.
fn open(spec: &Spec, opened: &Opened) -> Result<Arc<dyn Field>> {
    let (shape, scale) = (Some(opened.field.shape()), ScoreScale::Definition);
    if !spec.is_closed_form() || field::names_process(spec)? {
        return field::open(spec, shape, scale);
    }
    let own = opened.field.process().clone().said("as the field that is measured has it");
    field::open_given(spec, shape, scale, WeightFormat::F32, Some(&own))
}

/// Why the reference may be of another system than the field and its data.
fn strangers(spec: &Spec, data: &Spec, field: &dyn Field) -> Vec<String> {
    let Ok(Some((name, _))) = spec.named("field:") else { return vec![] };
    if !EXACT.iter().any(|e| e.0 == name) {
        let no_score = ["rotor", "tilted"].contains(&name.as_str());
        return if no_score { vec![format!("--reference {spec} is the score of no data")] } else { vec![] };
    }
    let mut all = vec![];
    let drawn = data.named("data:").ok().flatten().map(|(drawn, _)| drawn);
    if drawn.as_ref() != Some(&name) {
        all.push(format!("--reference {spec} is the score of data:{name}, --data is {}", data.file_name()));
    }
    let facts = field.describe();
    let trained = facts.pointer("/config/provenance/data").and_then(Value::as_str);
    if let Some(trained) = trained.filter(|t| !t.to_lowercase().contains(&name)) {
        all.push(format!("--reference {spec} is the score of data:{name}, the network was trained on: {trained}"));
    }
    all
}
