//! `vorticity check`: whether a model's field is a gradient, in sentences. In: a model on data, minutes. Out: a directory with the
//! plan, a run directory for every stage of it, the verdict and a page.
use super::common::{exit, rounded, warn};
use super::output::Output;
use super::process::settled;
use super::subject::SubjectArgs;
use super::text::duration;
use super::watch::{ASK_BEYOND, Plan as Watched, confirmed, stop_flag, watch};
use crate::check::{self, Asked, Found, Opens, PLAN, Plan, Staged};
use crate::error::{Error, Result};
use crate::field;
use crate::gpu::Gpu;
use crate::report::{page, stored};
use crate::run::{Table, write_file};
use crate::session::{Session, State, fleet};
use serde_json::json;
use std::cell::OnceCell;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Minutes of a check that is told nothing else.
const MINUTES: f64 = 2.0;
/// Of the directory of a check, besides the plan and the runs.
const VERDICT: &str = "verdict.json";
const PAGE: &str = "page.html";
/// Of latents that are drawn, as every verb has it by default.
const SEED: u64 = 0;
/// Version of `verdict.json`'s layout.
const SCHEMA: u32 = 1;

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
    /// Measure brownian loops too: they are rough, take midpoints and seldom decide anything
    #[arg(long)]
    pub brownian: bool,
    /// Follow this plan (plan.json of another check) in place of one for this device: the data files are the same bytes wherever the
    /// kernels are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "brownian"])]
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

/// Opens the subject for as many images as the plan wants, on a device that is opened once.
struct Opener<'a> {
    args: &'a Args,
    gpus: OnceCell<Vec<Gpu>>,
}

impl Opens for Opener<'_> {
    fn held(&self) -> Result<Option<usize>> {
        field::held(self.args.subject.data.clone())
    }

    fn session(&self, samples: usize) -> Result<Session> {
        let Args { subject, output, .. } = self.args;
        let source = subject.source(samples, *output)?;
        let gpus = match self.gpus.get() {
            Some(gpus) => gpus.clone(),
            None => subject.gpus(source.field.as_ref(), false, *output)?,
        };
        source.on(self.gpus.get_or_init(|| gpus).clone(), SEED)
    }
}

impl Args {
    /// The plan that is followed, and a session for it: one that is there already, one that is given, or a new one.
    fn plan(&self, there: Option<&Path>) -> Result<(Plan, Session)> {
        let opener = Opener { args: self, gpus: OnceCell::new() };
        if let Some(path) = there.or(self.plan.as_deref()) {
            let plan = Plan::read(path)?;
            let asked =
                self.minutes.is_some_and(|m| m != plan.asked.minutes) || (self.brownian && !plan.asked.brownian);
            if asked {
                let Asked { minutes, brownian } = plan.asked;
                let also = if brownian { " and --brownian" } else { "" };
                let said = format!("is a plan for --minutes {minutes}{also}: name another --out for another plan");
                return Err(Error::file(path, said));
            }
            let session = opener.session(plan.samples)?;
            plan.check(&session, path)?;
            return Ok((plan, session));
        }
        self.output.say("plan         every stage is timed on one image\n")?;
        let stop = stop_flag()?;
        let mut observe = |_: &State| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let asked = Asked { minutes: self.minutes.unwrap_or(MINUTES), brownian: self.brownian };
        Plan::made(asked, &opener, &mut observe)
    }

    /// The plan of a check that has begun there. What else lies there is refused.
    fn there(&self) -> Result<Option<PathBuf>> {
        let Some(out) = self.out.as_ref().filter(|_| !self.dry_run) else { return Ok(None) };
        let plan = out.join(PLAN);
        if plan.is_file() {
            return Ok(Some(plan));
        }
        let others = match fs::read_dir(out) {
            Ok(entries) => entries.count(),
            Err(e) if e.kind() == ErrorKind::NotFound => 0,
            Err(e) => return Err(Error::file(out, format!("cannot be read: {e}"))),
        };
        match others {
            0 => Ok(None),
            _ => {
                let said = format!("is not empty and has no {PLAN}: name a new directory, or that of a check");
                Err(Error::file(out, said))
            }
        }
    }
}

/// Plans, measures, says what was found; the exit code. `command` is for the logs.
pub fn run(args: &Args, command: Vec<String>) -> Result<i32> {
    let there = args.there()?;
    let (plan, session) = args.plan(there.as_deref())?;
    let subject = session.subject();
    args.output.say(&format!(
        "adapter      {}\n{}{}{}",
        fleet::text(subject.gpus()),
        settled(subject.field.as_ref()),
        rounded(subject.field.rounding()),
        text(&plan)
    ))?;
    let Some(out) = args.out.as_ref().filter(|_| !args.dry_run) else {
        args.output.document("check", || json!({ "dry_run": true, "plan": plan }))?;
        return Ok(0);
    };
    if plan.seconds > ASK_BEYOND && !args.yes && (args.output.quiet || !confirmed(plan.seconds)?) {
        let said = format!("{} planned; give --yes to run it anyway", duration(plan.seconds));
        return Err(Error::invalid("run time", said));
    }
    fs::create_dir_all(out).map_err(|e| Error::file(out, format!("cannot be created: {e}")))?;
    if there.is_none() {
        write_file(&out.join(PLAN), &plan.bytes()?)?;
    }
    let (tables, code) = measured(args, &plan, &session, out, &command)?;
    let found = check::verdict(&tables, &plan.left_out)?;
    wrote(args, &plan, &found, out)?;
    args.output.say(&format!(
        "\n{}\n\nwritten to {}; the page is {}\n",
        found.text(),
        out.display(),
        out.join(PAGE).display()
    ))?;
    args.output.document(
        "check",
        || json!({ "dry_run": false, "out": out, "page": out.join(PAGE), "plan": plan, "verdict": found.json() }),
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
    for left in &plan.left_out {
        text += &format!("left out     {}: {}\n", left.what, left.why);
    }
    if plan.seconds > 60.0 * plan.asked.minutes {
        text += &format!(
            "             this is the least that answers anything; it takes more than {} min\n",
            plan.asked.minutes
        );
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
            let watched =
                Watched { output: args.output, total: cost.evaluations, at_most: cost.at_most, yes: true, told: true };
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

/// Writes the verdict, for programs, and the page.
fn wrote(args: &Args, plan: &Plan, found: &Found, out: &Path) -> Result<()> {
    let mut verdict = json!({ "schema": SCHEMA, "program": plan.program, "left_out": plan.left_out });
    if let (Some(verdict), Some(own)) = (verdict.as_object_mut(), found.json().as_object()) {
        verdict.extend(own.clone());
    }
    write_file(&out.join(VERDICT), format!("{verdict:#}\n").as_bytes())?;
    let name = args.subject.model.file_name();
    let label = |stage: &str| if stage == "brownian" { format!("{name}, brownian") } else { name.clone() };
    let runs = plan.stages.iter().map(|stage| Ok((label(&stage.name), stored::read(&out.join(&stage.name))?)));
    let runs = runs.collect::<Result<Vec<_>>>()?;
    let title = format!("Is {name} a gradient?");
    write_file(&out.join(PAGE), page::with_verdict(&title, &found.sentences, &runs, &[])?.as_bytes())
}
