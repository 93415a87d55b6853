//! How far a long run is, and how long it will take: the rate of the last half minute, and a prediction of the whole from the
//! run's own first tiles. In: how many evaluations are done, as the run tells it. Out: the same with rate and prediction for
//! an observer, who may stop the run.
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

/// Seconds of work that a prediction stands on, at least, after the first tiles.
const MEASURED: f64 = 1.0;

/// Seconds that the rate and the time left look back.
const BACK: f64 = 30.0;

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Of the whole run.
    pub seconds: f64,
    /// Evaluations that were timed, and what they took.
    pub timed: (u64, f64),
    /// Checks on the host and the seconds of one, shared by those that go on at once.
    pub checks: (usize, f64),
}

impl Prediction {
    /// Of a run that was over before there was anything to predict from.
    fn whole(done: u64, seconds: f64) -> Self {
        Prediction { seconds, timed: (done, seconds), checks: (0, 0.0) }
    }

    /// For logs and documents.
    pub fn json(&self) -> Value {
        let ((evaluations, seconds), (checks, each)) = (self.timed, self.checks);
        json!({
            "seconds": self.seconds, "evaluations_per_second": evaluations as f64 / seconds,
            "timed_evaluations": evaluations, "timed_seconds": seconds, "checks": checks, "seconds_per_check": each,
        })
    }
}

/// What there is to do.
pub struct Load<'a> {
    /// Evaluations of the run, or the most that it may need.
    pub total: u64,
    /// True where they may be fewer.
    pub at_most: bool,
    /// Evaluations that must be timed: more than a tile where several devices take turns.
    pub least: u64,
    /// Checks on the host after the evaluations, how many of them go on at once, and a way to do one.
    pub checks: usize,
    /// At least 1.
    pub at_once: usize,
    /// Does one, to time it.
    pub check: &'a dyn Fn() -> Result<()>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Evaluations that are done, recorded ones among them.
    pub done: u64,
    /// All of them, or the most that it may need.
    pub total: u64,
    /// True where they may be fewer: the time left and the prediction are then the most that it may take.
    pub at_most: bool,
    /// Since it began.
    pub seconds: f64,
    /// Evaluations per second of late; none before the second tile.
    pub rate: Option<f64>,
    /// How long the whole will take; none as long as nobody knows.
    pub prediction: Option<Prediction>,
}

impl State {
    /// Seconds that are left at this rate, checks among them; where `at_most`, no more than these.
    pub fn left(&self) -> Option<f64> {
        let checks = self.prediction.map_or(0.0, |p| p.checks.0 as f64 * p.checks.1);
        Some(self.total.saturating_sub(self.done) as f64 / self.rate? + checks)
    }
}

/// What came of work that was timed.
pub struct Timed<T> {
    /// The work's own.
    pub result: T,
    /// None of a run too short to be predicted.
    pub prediction: Option<Prediction>,
    /// Evaluations.
    pub done: u64,
    /// Of the whole.
    pub seconds: f64,
}

struct Clock<'a> {
    load: Load<'a>,
    start: Instant,
    done: u64,
    /// The first tiles wait for kernels to be compiled: time is taken from their end.
    first: Option<(f64, u64)>,
    recent: MovingRate,
    prediction: Option<Prediction>,
    failed: Option<Error>,
}

/// Does `work`, which tells how many evaluations are done, and tells `observe` how far it is.
///
/// # Errors
/// The work's own, `Error::Interrupted` where `observe` stopped it among them; that of a check that was timed.
pub fn timed<T>(
    load: Load,
    observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
    work: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<T>,
) -> Result<Timed<T>> {
    let (start, recent) = (Instant::now(), MovingRate::default());
    let mut clock = Clock { load, start, done: 0, first: None, recent, prediction: None, failed: None };
    let result = work(&mut |done| clock.see(done, observe));
    let (done, seconds) = (clock.done, clock.start.elapsed().as_secs_f64());
    match (result, clock.failed) {
        (Err(Error::Interrupted), Some(error)) => Err(error),
        (result, _) => Ok(Timed { result: result?, prediction: clock.prediction, done, seconds }),
    }
}

/// Does `work` as far as it takes to know how long the whole would be.
///
/// # Errors
/// As `timed`.
pub fn predicted<T>(
    load: Load,
    observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
    work: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<T>,
) -> Result<Prediction> {
    let mut found = None;
    let mut stop = |state: &State| {
        found = state.prediction;
        if found.is_some() { ControlFlow::Break(()) } else { observe(state) }
    };
    match timed(load, &mut stop, work) {
        Ok(Timed { done, seconds, .. }) => Ok(Prediction::whole(done, seconds)),
        Err(Error::Interrupted) => found.ok_or(Error::Interrupted),
        Err(error) => Err(error),
    }
}

impl Clock<'_> {
    fn see(&mut self, done: u64, observe: &mut dyn FnMut(&State) -> ControlFlow<()>) -> ControlFlow<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        self.done = done;
        self.recent.add(seconds, done);
        let (since, before) = *self.first.get_or_insert((seconds, done));
        let (taken, timed) = (seconds - since, done - before);
        let enough = taken >= MEASURED && timed >= self.load.least.max(1) && done < self.load.total;
        if self.prediction.is_none() && enough {
            match self.predict(timed, taken) {
                Ok(prediction) => self.prediction = Some(prediction),
                Err(error) => {
                    self.failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        let (total, at_most, rate) = (self.load.total, self.load.at_most, self.recent.rate());
        observe(&State { done, total, at_most, seconds, rate, prediction: self.prediction })
    }

    /// How long the run will take, from so many evaluations that took so many seconds.
    fn predict(&self, timed: u64, taken: f64) -> Result<Prediction> {
        let start = Instant::now();
        if self.load.checks > 0 {
            (self.load.check)()?;
        }
        let each = start.elapsed().as_secs_f64() / self.load.at_once.min(self.load.checks).max(1) as f64;
        let left = (self.load.total - self.done) as f64 * taken / timed as f64;
        let seconds = self.start.elapsed().as_secs_f64() + left + self.load.checks as f64 * each;
        Ok(Prediction { seconds, timed: (timed, taken), checks: (self.load.checks, each) })
    }
}
