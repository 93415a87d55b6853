//! `vorticity check`: whether a model's field is a gradient, in sentences. In: a model on data, minutes. Out: a directory with the
//! plan, a run directory for every stage of it, the verdict and a page.
use super::common::{exit, rounded, warn};
use super::output::Output;
use super::process::settled;
use super::subject::SubjectArgs;
use super::text::duration;
use super::watch::{ASK_BEYOND, Plan as Watched, confirmed, stop_flag, watch};
use crate::check::{self, Directory, Opens, Plan, Staged, Wanted};
use crate::error::{Error, Result};
use crate::field::{self, Field};
use crate::gpu::Gpu;
use crate::run::{Table, parse_timesteps};
use crate::session::{Session, Source, State, fleet};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Answer one question: is the model's field a gradient, as far as can be measured in the time there is?
///
/// Chooses noise levels, loops (rotation first, then projection), random vectors for the Jacobian's asymmetry and a search for the planes
/// in which the field turns; times each of them on one image, and writes down a plan that fits --minutes before anything is measured.
/// Ends with a verdict in sentences: not a gradient; indistinguishable from one at this precision; or not decided, and why. Every
/// stage is a run of its own verb (OUT/circulation, OUT/asymmetry, OUT/planes). The same command goes on where it ended.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// What is measured, and where.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Directory to create, or that of a check that did not come to its end
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// How long it may take on this device; the plan follows from it [default: 2]
    #[arg(long, value_name = "MINUTES")]
    pub minutes: Option<f64>,
    /// Images that loops are drawn at, from the first, however long that takes; --minutes then decides how many of them the Jacobian's
    /// asymmetry and the planes are measured at, and how many noise levels. If not given, as many as there is time for
    #[arg(long)]
    pub samples: Option<usize>,
    /// Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list, however long that takes; the planes are searched for
    /// at the second of them. If not given, as many as there is time for, at most 10
    #[arg(long)]
    pub timesteps: Option<String>,
    /// Seed of all randomness [default: 0]. It changes no time
    #[arg(long)]
    pub seed: Option<u64>,
    /// Measure brownian loops too: they are rough, take midpoints and seldom decide anything
    #[arg(long)]
    pub brownian: bool,
    /// Measure what another check measured (its plan.json) in place of what this device has the time for: the same model gives the same
    /// bytes, another checkpoint numbers to compare
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "brownian", "samples", "timesteps", "seed"])]
    pub plan: Option<PathBuf>,
    /// Print the plan and how long it takes, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask where the plan takes more than an hour
    #[arg(long)]
    pub yes: bool,
    /// Text, JSON or nothing.
    #[command(flatten)]
    pub output: Output,
}

impl Opens for Args {
    fn held(&self) -> Result<Option<usize>> {
        field::held(self.subject.data.clone())
    }

    fn source(&self, samples: usize) -> Result<Source> {
        self.subject.opening(samples)?.open() // what does not fit is a doubt of the plan
    }

    fn gpus(&self, field: &dyn Field) -> Result<Vec<Gpu>> {
        self.subject.gpus(field, false, self.output)
    }
}

impl Args {
    /// What is said of the plan.
    fn wanted(&self) -> Result<Wanted> {
        let timesteps = self.timesteps.as_deref().map(parse_timesteps).transpose()?;
        let Args { minutes, brownian, samples, seed, .. } = *self;
        Ok(Wanted { minutes, brownian, samples, seed, timesteps })
    }

    /// The plan that is followed, and a session for it.
    fn plan(&self, directory: Option<&Directory>) -> Result<(Plan, Session)> {
        let there = directory.and_then(Directory::plan);
        if there.is_none() && self.plan.is_none() {
            self.output.say("plan         every stage is timed on one image\n")?;
        }
        let stop = stop_flag()?;
        let mut observe = |_: &State| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let wanted = self.wanted()?;
        Plan::followed(there.as_deref(), self.plan.as_deref(), wanted, self, &mut observe)
    }
}

/// Plans, measures, says what was found; the exit code. `command` is for the logs.
pub fn run(args: &Args, command: Vec<String>) -> Result<i32> {
    let directory = args.out.as_ref().filter(|_| !args.dry_run).map(|out| Directory::of(out)).transpose()?;
    let (plan, session) = args.plan(directory.as_ref())?;
    let subject = session.subject();
    args.output.say(&format!(
        "adapter      {}\n{}{}{}",
        fleet::text(subject.gpus()),
        settled(subject.field.as_ref()),
        rounded(subject.field.rounding()),
        text(&plan)
    ))?;
    let Some(directory) = directory else {
        args.output.document("check", || json!({ "dry_run": true, "plan": plan }))?;
        return Ok(0);
    };
    if plan.seconds > ASK_BEYOND && !args.yes && (args.output.quiet || !confirmed(plan.seconds)?) {
        let said = format!("{} planned; give --yes to run it anyway", duration(plan.seconds));
        return Err(Error::invalid("run time", said));
    }
    directory.begin(&plan)?;
    let (tables, code) = measured(args, &plan, &session, directory.path(), &command)?;
    let found = check::verdict(&tables, &plan.left_out, &plan.doubts)?;
    directory.end(&args.subject.model.file_name(), &plan, &found)?;
    let (out, page) = (directory.path().display(), directory.page());
    args.output.say(&format!("\n{}\n\nwritten to {out}; the page is {}\n", found.text(), page.display()))?;
    args.output.document(
        "check",
        || json!({ "dry_run": false, "out": directory.path(), "page": page, "plan": plan, "verdict": found.json() }),
    )?;
    Ok(code)
}

/// The plan for people.
fn text(plan: &Plan) -> String {
    let mut text = format!(
        "plan         about {} at {} noise levels, k = {}\n",
        duration(plan.seconds),
        plan.timesteps.len(),
        plan.timesteps.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    );
    for stage in &plan.stages {
        text += &format!("             {}\n", stage.command(&plan.timesteps));
    }
    for doubt in &plan.doubts {
        text += &format!("doubt        {doubt}\n");
    }
    for left in &plan.left_out {
        text += &format!("left out     {}: {}\n", left.what, left.why);
    }
    if plan.seconds > 60.0 * plan.asked.minutes {
        let asked = plan.asked.samples.is_some() || plan.asked.timesteps.is_some();
        let least = if asked { "the least of what is asked for" } else { "the least that answers anything" };
        text += &format!("             this is {least}; it takes more than {} min\n", plan.asked.minutes);
    }
    text
}

/// The tables of all stages, and the worst exit code.
fn measured(args: &Args, plan: &Plan, session: &Session, out: &Path, command: &[String]) -> Result<(Vec<Table>, i32)> {
    let (mut tables, mut code) = (vec![], 0);
    for (i, stage) in plan.stages.iter().enumerate() {
        args.output.say(&format!("\nstage {} of {} {}\n", i + 1, plan.stages.len(), stage.name))?;
        let staged = check::measure(session, stage, Some(out), command.to_vec(), |prepared| {
            let cost = prepared.about().cost;
            let watched = Watched { output: args.output, total: cost.evaluations, yes: true, told: true };
            watch(watched, |observe| prepared.run(observe))
        });
        warn(session.subject().gpus(), args.output);
        if staged.is_err() {
            eprintln!("what was measured is kept in {}: the same command goes on from there", out.display());
        }
        let staged = staged?;
        if let Staged::Now(finished) = &staged {
            code = code.max(exit(&finished.marked));
            args.output.say(&format!(
                "took         {}, {} evaluations\n",
                duration(finished.seconds),
                finished.evaluations
            ))?;
        } else {
            args.output.say("took         nothing: an earlier process finished it\n")?;
        }
        tables.push(staged.table()?);
    }
    Ok((tables, code))
}
