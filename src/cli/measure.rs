//! The verbs that measure, one for every measure: its parameters and what all of them share as arguments, the session that
//! they ask for, and what came of it in text. In: a row of `MEASURES`, arguments. Out: a run directory; text or a document.
use super::common::{exit, rounded, warn};
use super::output::Output;
use super::process::{settled, settled_json};
use super::subject::SubjectArgs;
use super::watch::{Plan, prediction, watch};
use crate::error::Result;
use crate::run::{Kind, Measure, Parameter, RunDir, SAMPLES, SEED, Setting, Settings, Shard};
use crate::session::{Finished, How, Prediction, Prepared, Session, fleet};
use crate::spec::Spec;
use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What every measure is given besides its own parameters: a model on data, a device, and where results go.
#[derive(clap::Args, Clone, Debug)]
pub struct Shared {
    /// What is measured, and where.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Run directory to create; must not exist, or be empty. Until the run is complete it is kept in OUT.partial, from where
    /// the same command goes on
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Which of them this process measures.
    #[command(flatten)]
    pub shard: ShardArgs,
    /// Print evaluations and predicted time, measured on the first tiles of the real work, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask where more than an hour is predicted, which is measured on the first tiles of the run
    #[arg(long)]
    pub yes: bool,
    /// Text, JSON or nothing.
    #[command(flatten)]
    pub output: Output,
}

/// Which samples a process measures.
#[derive(clap::Args, Clone, Debug)]
pub struct ShardArgs {
    /// Measure shard I of N, counted from 1: every Nth sample, from the Ith. OUT is then for `vorticity merge`, which joins
    /// all N to the run that one process would have written
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
}

impl ShardArgs {
    /// The shard, all samples if none is given.
    pub(super) fn parse(&self) -> Result<Shard> {
        self.shard.as_deref().map_or(Ok(Shard::WHOLE), Shard::parse)
    }
}

/// The command line of a measure.
pub fn command(measure: &'static dyn Measure) -> Command {
    let help = measure.info().help;
    let about = help.split_once("\n\n").map_or(help, |(first, _)| first).trim_end_matches('.');
    let own = Command::new(measure.name()).args(measure.parameters().iter().map(argument));
    let name = measure.name();
    let written = format!(
        "Writes OUT/{name}.csv, {name}.npz with every array, manifest.json, run_log.json and plots (docs/FORMATS.md), and prints \
         a table; --dry-run says beforehand how long it takes."
    );
    Shared::augment_args(own).about(about).long_about(format!("{help}\n\n{written}"))
}

fn argument(parameter: &Parameter) -> Arg {
    let called = if parameter.unit.is_empty() { parameter.name } else { parameter.unit };
    let mut arg = Arg::new(parameter.name)
        .long(parameter.name)
        .help(parameter.help)
        .value_name(called.replace('-', "_").to_uppercase())
        .conflicts_with_all(parameter.excludes)
        .hide(parameter.hidden);
    if let Some(default) = parameter.default {
        arg = arg.default_value(default);
    }
    match parameter.kind {
        Kind::Count => arg.value_parser(value_parser!(u64)),
        Kind::Number => arg.value_parser(value_parser!(f64)),
        Kind::Flag => arg.action(ArgAction::SetTrue),
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        Kind::List => arg.action(ArgAction::Append).value_parser(value_parser!(Spec)),
        Kind::File => arg.value_parser(value_parser!(Spec)),
        Kind::Text | Kind::Timesteps => arg.value_parser(value_parser!(String)),
    }
}

/// What was asked of a measure.
fn asked(measure: &'static dyn Measure, matches: &ArgMatches) -> Result<Settings> {
    let mut asked = Settings::of(measure)?;
    for &Parameter { name, kind, .. } in measure.parameters() {
        // Defaults are the measure's own.
        if matches.value_source(name) == Some(ValueSource::DefaultValue) {
            continue;
        }
        let given = match kind {
            Kind::Count => matches.get_one(name).copied().map(Setting::Count),
            Kind::Number => matches.get_one(name).copied().map(Setting::Number),
            Kind::Flag => Some(Setting::Flag(matches.get_flag(name))),
            Kind::List => matches.get_many(name).map(|all| Setting::List(all.cloned().collect())),
            Kind::File => matches.get_one(name).cloned().map(Setting::File),
            Kind::Text | Kind::Timesteps | Kind::Choice(_) => matches.get_one(name).cloned().map(Setting::Text),
        };
        if let Some(given) = given {
            asked.set(name, given)?;
        }
    }
    Ok(asked)
}

/// Measures, writes the run directory, prints the table; the exit code. `command` is for the log.
pub fn run(measure: &'static dyn Measure, matches: &ArgMatches, command: Vec<String>) -> Result<i32> {
    let args = Shared::from_arg_matches(matches).unwrap_or_else(|e| e.exit());
    let (asked, shard) = (asked(measure, matches)?, args.shard.parse()?);
    let out = args.out.as_ref().filter(|_| !args.dry_run).map(|out| RunDir::create(out)).transpose()?;
    let (samples, seed) = (asked.count(SAMPLES.name)?, asked.count(SEED.name)? as u64);
    let source = args.subject.source(samples, args.output)?;
    let gpus = args.subject.gpus(source.field.as_ref(), measure.shares_devices(), args.output)?;
    let session = source.on(gpus, seed)?;
    let task = session.task(&asked)?;
    let mut prepared = session.prepare(task.as_ref(), How { shard, out, command })?;
    begin(&args, &session, &prepared)?;
    let cost = prepared.about().cost;
    let plan = Plan { output: args.output, total: cost.evaluations, yes: args.yes, told: false };
    if args.dry_run {
        let predicted = watch(Plan { yes: true, ..plan }, |observe| prepared.predict(observe))?;
        args.output.say(&prediction(&predicted, cost.at_most))?;
        args.output.document(measure.name(), || document(&args, &session, &prepared, Some(&predicted)))?;
        return Ok(0);
    }
    let finished = watch(plan, |observe| prepared.run(observe));
    warn(session.subject().gpus(), args.output);
    if let (Err(_), Some(place)) = (&finished, prepared.kept()) {
        eprintln!("what was measured is kept in {}: the same command goes on from there", place.display());
    }
    end(measure, &args, &session, &prepared, finished?)
}

/// Says what is about to be done, and what is there already.
fn begin(args: &Shared, session: &Session, prepared: &Prepared) -> Result<()> {
    let (about, subject) = (prepared.about(), session.subject());
    for warning in about.warnings.iter().filter(|_| !args.output.quiet) {
        eprintln!("warning: {warning}");
    }
    args.output.say(&format!(
        "{}adapter      {}\n{}{}{}",
        about.notes,
        fleet::text(subject.gpus()),
        settled(subject.field.as_ref()),
        rounded(subject.field.rounding()),
        about.text
    ))?;
    let ((recorded, dropped), total) = (prepared.recorded(), about.cost.evaluations);
    if let Some(place) = prepared.kept() {
        args.output.say(&format!("goes on      {recorded} of {total} evaluations are in {}\n", place.display()))?;
        if dropped > 0 {
            let said = format!("             {dropped} bytes of it were torn or damaged and are made again\n");
            args.output.say(&said)?;
        }
    }
    Ok(())
}

/// Says what was found; the exit code.
fn end(
    measure: &'static dyn Measure,
    args: &Shared,
    session: &Session,
    prepared: &Prepared,
    finished: Finished,
) -> Result<i32> {
    let Finished { found, marked, evaluations, recorded, seconds, prediction, failures, .. } = finished;
    for failure in failures.iter().filter(|_| !args.output.quiet) {
        eprintln!("warning: device {} was lost, others ran its tiles: {}", failure.device, failure.message);
    }
    let path = args.out.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let now = evaluations.saturating_sub(recorded);
    let rate = now as f64 / seconds;
    args.output.say(&format!(
        "{}\n{evaluations} evaluations, {now} of them in {seconds:.1} s = {rate:.1} evaluations/s\nwritten to {path}\n",
        found.text()?
    ))?;
    let (rows, words) = (found.rows()?, found.words()?);
    args.output.document(measure.name(), || {
        let mut document = document(args, session, prepared, prediction.as_ref());
        for (key, value) in [
            ("dry_run", json!(false)),
            ("evaluations", json!(evaluations)),
            ("seconds", json!(seconds)),
            ("out", json!(path)),
            ("table", json!(rows)),
            ("found", json!(words)),
            ("not_finite", marked.json()),
        ] {
            document[key] = value;
        }
        document
    })?;
    Ok(exit(&marked))
}

/// What a document says of a task before it has run.
fn document(args: &Shared, session: &Session, prepared: &Prepared, predicted: Option<&Prediction>) -> Value {
    let (about, subject) = (prepared.about(), session.subject());
    let facts = &about.facts;
    let common = json!({
        "model": args.subject.model, "adapter": facts["adapter"], "kernels": facts["kernels"], "devices": subject.gpus().len(),
        "samples": about.samples, "shard": about.shard.to_string(), "predicted": predicted.map(|p| p.json()),
        "settled": settled_json(&subject.field.facts()),
    });
    let (mut document, mut work) = (common.clone(), about.work.clone());
    if let (Value::Object(work), Value::Object(common)) = (&mut work, common) {
        work.extend(common);
    }
    document["dry_run"] = json!(true);
    document["evaluations"] = json!(about.cost.evaluations);
    document["work"] = work;
    if let Some(options) = facts.get("options") {
        document["options"] = options.clone();
    }
    document
}
