//! A task on its way to a table or a run directory. In: a session, a task, where it goes. Out: what it will cost, how long it
//! would take, and what came of it.
use super::clock::{Load, Prediction, State, Timed, predicted, timed};
use super::finished::{Finished, Record, finish};
use super::{How, Session, extend, fleet};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::run::{Cost, Journal, Measure, Measured, Progress, Ready, RunDir, Shard, Task};
use crate::threads::cores;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A task, ready to run.
pub struct Prepared<'a> {
    session: &'a Session,
    measure: &'static dyn Measure,
    ready: Option<Ready<'a>>,
    about: About,
    out: Option<RunDir>,
    journal: Option<Journal>,
    recorded: u64,
    dropped: u64,
    /// What earlier processes said of themselves, with the evaluations that they recorded, and what this one says.
    earlier: Vec<(Value, u64)>,
    process: Value,
}

/// What a task says of itself beforehand.
#[derive(Clone, Debug)]
pub struct About {
    /// Of which samples.
    pub shard: Shard,
    /// Samples of the whole run.
    pub samples: usize,
    /// What it takes.
    pub cost: Cost,
    /// What follows from the options, in lines for people.
    pub notes: String,
    /// The work that there is, in lines for people.
    pub text: String,
    /// The same for programs, a JSON object.
    pub work: Value,
    /// What may be wrong with what was asked.
    pub warnings: Vec<String>,
    /// For the manifest, a JSON object.
    pub facts: Value,
    /// The line on model and samples in plots.
    pub title: String,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(session: &'a Session, task: &'a dyn Task, how: How) -> Result<Self> {
        let (measure, How { shard, mut out, command }) = (task.measure(), how);
        let ready = task.ready(&session.subject, shard)?;
        let mut facts = session.facts(measure);
        extend(&mut facts, ready.facts.clone());
        let mut configuration = facts.clone();
        extend(&mut configuration, ready.decides.clone());
        extend(&mut configuration, json!({ "shard": shard.to_string() }));
        let mut journal = out.as_mut().map_or(Ok(Journal::default()), |out| out.journal(&configuration))?;
        let (started, earlier) = (SystemTime::now(), journal.processes().to_vec());
        let process = json!({
            "command": command, "started_unix": unix(started),
            "adapters": session.subject.gpus().iter().map(|gpu| gpu.describe()).collect::<Vec<_>>(),
        });
        journal.begin(process.clone());
        let (recorded, dropped) = (journal.recorded(), journal.dropped());
        let [each, whole] = ready.cost.bytes;
        if let Some(out) = out.as_ref().filter(|_| each + whole > 0) {
            let left = ready.cost.evaluations.saturating_sub(recorded);
            out.check_room(left.saturating_mul(each).saturating_add(whole))?;
        }
        let about = About {
            shard,
            samples: ready.samples,
            cost: ready.cost,
            notes: ready.notes.clone(),
            text: ready.text.clone(),
            work: ready.work.clone(),
            warnings: ready.warnings.clone(),
            facts,
            title: format!("{}, {}", session.name, ready.title),
        };
        let (ready, journal) = (Some(ready), Some(journal));
        Ok(Self { session, measure, ready, about, out, journal, recorded, dropped, earlier, process })
    }

    /// What the task says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Evaluations that earlier processes have recorded, and bytes of torn or damaged records that were dropped.
    pub fn recorded(&self) -> (u64, u64) {
        (self.recorded, self.dropped)
    }

    /// Where records are kept, if there are any: the same task goes on from there.
    pub fn kept(&self) -> Option<&Path> {
        self.out.as_ref().and_then(RunDir::kept)
    }

    fn take(&mut self) -> Result<(Ready<'a>, Journal)> {
        let taken = self.ready.take().zip(self.journal.take());
        taken.ok_or_else(|| Error::invalid(self.measure, "has run already: prepare it again"))
    }

    /// How long the task would take, measured on its own first tiles. After that it has to be prepared again.
    ///
    /// # Errors
    /// What the device says; `Error::Interrupted` where `observe` stopped it.
    pub fn predict(&mut self, observe: &mut dyn FnMut(&State) -> ControlFlow<()>) -> Result<Prediction> {
        let (ready, journal) = self.take()?;
        let check = || self.check();
        predicted(self.load(&check), observe, |told| ready.run(&mut Progress::of(journal, told)))
    }

    /// Runs to the end, going on where the journal ends, and writes the directory if there is one. Once.
    ///
    /// # Errors
    /// What the device says, files that cannot be written; `Error::Interrupted` where `observe` stopped it.
    pub fn run(&mut self, observe: &mut dyn FnMut(&State) -> ControlFlow<()>) -> Result<Finished> {
        let (ready, journal) = self.take()?;
        let check = || self.check();
        let work = |told: &mut dyn FnMut(u64) -> ControlFlow<()>| ready.run(&mut Progress::of(journal, told));
        let Timed { result, prediction, seconds, .. } = timed(self.load(&check), observe, work)?;
        let Measured { part, evaluations, devices } = result;
        let (gpus, recorded) = (self.session.subject.gpus(), self.recorded);
        let rate = evaluations.saturating_sub(recorded) as f64 / seconds;
        let mut log = json!({
            "command": self.process["command"],
            "started_unix": self.process["started_unix"],
            "seconds": seconds,
            "evaluations": evaluations,
            "evaluations_before": recorded,
            "processes": self.processes(evaluations.saturating_sub(recorded)),
            "evaluations_per_second": rate,
            "predicted": prediction.map(|p| p.json()),
            "troubles": fleet::troubles(gpus),
        });
        let mut failures = vec![];
        if let Some((tiles, who)) = devices {
            extend(&mut log, fleet::log(gpus, &tiles, &who));
            failures = who.failures;
        }
        let mut record = Record { facts: self.about.facts.clone(), log, title: self.about.title.clone() };
        let (found, marked) = finish(self.out.take(), part, &mut record)?;
        Ok(Finished { found, record, marked, evaluations, recorded, seconds, prediction, failures })
    }

    /// All that worked on the run, this one last, which made so many evaluations.
    fn processes(&self, own: u64) -> Vec<Value> {
        let all = self.earlier.iter().cloned().chain([(self.process.clone(), own)]);
        let with = |(mut process, evaluations): (Value, u64)| {
            extend(&mut process, json!({ "evaluations": evaluations }));
            process
        };
        all.map(with).collect()
    }

    fn load<'b>(&self, check: &'b dyn Fn() -> Result<()>) -> Load<'b> {
        let Cost { evaluations, at_most, least, checks, .. } = self.about.cost;
        let at_once = self.session.subject.field.twins_at_once().min(cores());
        Load { total: evaluations, at_most, least, checks, at_once, check }
    }

    /// One evaluation of the f64 twin, as the checks of a run have it, to time it.
    fn check(&self) -> Result<()> {
        let (field, images) = (&self.session.subject.field, &self.session.subject.images);
        let x = Dual::lift(&images.values[..images.shape.len()]);
        field.twin(&x, field.process().timesteps() / 2, 0).map(drop)
    }
}

/// Seconds since 1970.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
