//! Watches over a long run, the same for every verb: a bar whose rate is that of the last half minute, a prediction of the
//! whole from the run's own first tiles, the question before more than an hour, Ctrl-C, and stopping a dry run. In: how
//! many evaluations are done, as the run tells it. Out: the run's result with what was predicted.
use super::output::Output;
use super::text::duration;
use crate::error::{Error, Result};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Runs of more than this many seconds want --yes or an answer.
const ASK_BEYOND: f64 = 3600.0;

/// Seconds of work that a prediction stands on, at least, after the first tiles.
const MEASURED: f64 = 1.0;

/// Seconds that the rate and the time left look back.
const BACK: f64 = 30.0;

/// Seconds between lines of progress where there is no terminal for a bar.
const BETWEEN_LINES: f64 = 60.0;

/// The rate of the last half minute, or of the last tile where tiles take longer.
#[derive(Clone, Debug, Default)]
pub struct MovingRate(VecDeque<(f64, u64)>);

impl MovingRate {
    /// `done` evaluations after `seconds`; both ascend.
    pub fn add(&mut self, seconds: f64, done: u64) {
        self.0.push_back((seconds, done));
        while self.0.len() > 2 && self.0[1].0 < seconds - BACK {
            self.0.pop_front();
        }
    }

    /// Evaluations per second; nothing before the second tile.
    pub fn rate(&self) -> Option<f64> {
        let (&(from, before), &(to, done)) = self.0.front().zip(self.0.back())?;
        (to > from && done > before).then(|| (done - before) as f64 / (to - from))
    }
}

/// How long a run takes, and how that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prediction {
    pub seconds: f64,
    /// Evaluations that were timed, and what they took.
    timed: (u64, f64),
    /// Checks on the host and the seconds of one.
    checks: (usize, f64),
}

impl Prediction {
    fn text(&self, at_most: bool) -> String {
        let ((evaluations, seconds), (checks, each)) = (self.timed, self.checks);
        let rate = evaluations as f64 / seconds;
        let f64s = if checks > 0 { format!(", and {checks} checks in f64 at {each:.2} s") } else { String::new() };
        let whole = format!("{}{}", if at_most { "at most " } else { "" }, duration(self.seconds));
        format!("predicted    {whole}: {rate:.1} evaluations/s, timed over {evaluations} in {seconds:.1} s{f64s}\n")
    }

    pub fn json(&self) -> Value {
        let ((evaluations, seconds), (checks, each)) = (self.timed, self.checks);
        json!({
            "seconds": self.seconds, "evaluations_per_second": evaluations as f64 / seconds,
            "timed_evaluations": evaluations, "timed_seconds": seconds, "checks": checks, "seconds_per_check": each,
        })
    }
}

/// What a run is told to do about its length.
pub(super) struct Plan<'a> {
    pub output: Output,
    /// Evaluations of the run, or the most that it may need.
    pub total: u64,
    pub at_most: bool,
    /// Evaluations that must be timed: more than a tile where several devices take turns.
    pub least: u64,
    /// Checks on the host after the evaluations, and a way to do one.
    pub checks: usize,
    pub check: &'a dyn Fn() -> Result<()>,
    /// Goes on where more than an hour is predicted.
    pub yes: bool,
    /// Stops where the time is predicted.
    pub dry_run: bool,
}

/// A run that ended well.
pub(super) struct Watched<T> {
    /// Nothing of a dry run.
    pub result: Option<T>,
    /// Nothing of a run too short to be predicted.
    pub prediction: Option<Prediction>,
    pub done: u64,
    pub seconds: f64,
}

struct Watch<'a> {
    plan: Plan<'a>,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    start: Instant,
    done: u64,
    /// The first tiles wait for kernels to be compiled: time is taken from their end.
    first: Option<(f64, u64)>,
    recent: MovingRate,
    prediction: Option<Prediction>,
    /// When the last line was written.
    line: f64,
    failed: Option<Error>,
}

/// Does `work` under watch. It stops as an interrupted run does where it is a dry run, where the user says so, or where more
/// than an hour is predicted and not wanted.
pub(super) fn watch<T>(
    plan: Plan,
    work: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<T>,
) -> Result<Watched<T>> {
    let mut watch = Watch {
        bar: plan.output.progress(plan.total),
        plan,
        stop: stop_flag()?,
        start: Instant::now(),
        done: 0,
        first: None,
        recent: MovingRate::default(),
        prediction: None,
        line: 0.0,
        failed: None,
    };
    let result = work(&mut |done| watch.see(done));
    watch.bar.finish_and_clear();
    let (done, seconds) = (watch.done, watch.start.elapsed().as_secs_f64());
    let whole = Prediction { seconds, timed: (done, seconds), checks: (0, 0.0) };
    match (result, watch.failed) {
        (Err(Error::Interrupted), Some(error)) => Err(error),
        (Err(Error::Interrupted), None) if watch.plan.dry_run && watch.prediction.is_some() => {
            Ok(Watched { result: None, prediction: watch.prediction, done, seconds })
        }
        (Err(error), _) => Err(error),
        (Ok(_), _) if watch.plan.dry_run => {
            // It was over before there was anything to predict from.
            watch.plan.output.say(&whole.text(false))?;
            Ok(Watched { result: None, prediction: Some(whole), done, seconds })
        }
        (Ok(result), _) => Ok(Watched { result: Some(result), prediction: watch.prediction, done, seconds }),
    }
}

impl Watch<'_> {
    fn see(&mut self, done: u64) -> ControlFlow<()> {
        let now = self.start.elapsed().as_secs_f64();
        self.done = done;
        self.recent.add(now, done);
        let (since, before) = *self.first.get_or_insert((now, done));
        let (taken, timed) = (now - since, done - before);
        let enough = taken >= MEASURED && timed >= self.plan.least.max(1) && done < self.plan.total;
        if self.prediction.is_none() && enough {
            self.failed = self.predict(timed, taken).err();
        }
        self.show(now);
        let over = self.plan.dry_run && self.prediction.is_some();
        if over || self.failed.is_some() || self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Says how long the run will take; an error if that is more than is wanted.
    fn predict(&mut self, timed: u64, taken: f64) -> Result<()> {
        let start = Instant::now();
        if self.plan.checks > 0 {
            (self.plan.check)()?;
        }
        let each = start.elapsed().as_secs_f64();
        let left = (self.plan.total - self.done) as f64 * taken / timed as f64;
        let seconds = self.start.elapsed().as_secs_f64() + left + self.plan.checks as f64 * each;
        let prediction = Prediction { seconds, timed: (timed, taken), checks: (self.plan.checks, each) };
        self.prediction = Some(prediction);
        let (plan, bar) = (&self.plan, &self.bar);
        bar.suspend(|| plan.output.say(&prediction.text(plan.at_most)))?;
        let long = seconds > ASK_BEYOND && !plan.dry_run && !plan.yes;
        if long && (plan.output.quiet || !bar.suspend(|| confirmed(seconds))?) {
            let said = format!("{} predicted; give --yes to run it anyway", duration(seconds));
            return Err(Error::invalid("run time", said));
        }
        Ok(())
    }

    /// The bar, or where there is none a line now and then.
    fn show(&mut self, now: f64) {
        let left = |rate: f64| {
            let checks = self.prediction.map_or(0.0, |p| p.checks.0 as f64 * p.checks.1);
            duration(self.plan.total.saturating_sub(self.done) as f64 / rate + checks)
        };
        let said = match self.recent.rate() {
            _ if self.done >= self.plan.total => "checks in f64".into(),
            None => "first tiles".into(),
            Some(rate) => format!("{rate:.1} evaluations/s, {} left", left(rate)),
        };
        if now - self.line >= BETWEEN_LINES && !self.plan.output.quiet && !std::io::stderr().is_terminal() {
            self.line = now;
            let percent = 100.0 * self.done as f64 / self.plan.total.max(1) as f64;
            eprintln!("{percent:.1}%  {said}, {} elapsed", duration(now));
        }
        self.bar.set_position(self.done);
        self.bar.set_message(said);
    }
}

/// Set by Ctrl-C; a second Ctrl-C ends the process at once.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping after the tile in flight; Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::invalid("Ctrl-C handler", e))?;
    Ok(flag)
}

/// Asks on a terminal, where standard output may be a document's; elsewhere the answer is no.
fn confirmed(seconds: f64) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{} predicted. Run it? [y/N] ", duration(seconds));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| Error::invalid("terminal", e))?;
    Ok(line.trim().eq_ignore_ascii_case("y"))
}
