//! Watches over a long run, the same for every verb: a bar with the rate of the last half minute, the prediction, the question
//! before more than an hour, Ctrl-C. In: how far the run is, as its session tells it. Out: standard error, and whether it goes on.
use super::output::Output;
use super::text::duration;
use crate::error::{Error, Result};
use crate::session::{Prediction, State};
use indicatif::ProgressBar;
use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Runs of more than this many seconds want --yes or an answer.
pub(super) const ASK_BEYOND: f64 = 3600.0;

/// Seconds between lines of progress where there is no terminal for a bar.
const BETWEEN_LINES: f64 = 60.0;

/// The line that says how long a run will take.
pub(super) fn prediction(found: &Prediction, at_most: bool) -> String {
    let ((evaluations, seconds), (checks, each)) = (found.timed, found.checks);
    let rate = evaluations as f64 / seconds;
    let f64s = if checks > 0 { format!(", and {checks} checks in f64 at {each:.2} s") } else { String::new() };
    let whole = format!("{}{}", if at_most { "at most " } else { "" }, duration(found.seconds));
    format!("predicted    {whole}: {rate:.1} evaluations/s, timed over {evaluations} in {seconds:.1} s{f64s}\n")
}

/// What a run is told to do about its length.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub output: Output,
    /// Evaluations of the run, or the most that it may need.
    pub total: u64,
    /// Goes on where more than an hour is predicted.
    pub yes: bool,
    /// How long it will take has been said already.
    pub told: bool,
}

struct Watch {
    plan: Plan,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    /// Whether the prediction was told.
    told: bool,
    /// When the last line was written.
    line: f64,
    failed: Option<Error>,
}

/// Does `work` under watch. It is stopped where the user says so, or where more than an hour is predicted and not wanted.
pub(super) fn watch<T>(
    plan: Plan,
    work: impl FnOnce(&mut dyn FnMut(&State) -> ControlFlow<()>) -> Result<T>,
) -> Result<T> {
    let (bar, stop) = (plan.output.progress(plan.total), stop_flag()?);
    let mut watch = Watch { plan, bar, stop, told: plan.told, line: 0.0, failed: None };
    let result = work(&mut |state| watch.see(state));
    watch.bar.finish_and_clear();
    match (result, watch.failed) {
        (Err(Error::Interrupted), Some(error)) => Err(error),
        (result, _) => result,
    }
}

impl Watch {
    fn see(&mut self, state: &State) -> ControlFlow<()> {
        if let Some(prediction) = state.prediction.filter(|_| !self.told) {
            self.told = true;
            self.failed = self.tell(&prediction, state.at_most).err();
        }
        self.show(state);
        let over = self.failed.is_some() || self.stop.load(Ordering::Relaxed);
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Says how long the run will take; an error if that is more than is wanted.
    fn tell(&mut self, found: &Prediction, at_most: bool) -> Result<()> {
        let (plan, bar, seconds) = (&self.plan, &self.bar, found.seconds);
        bar.suspend(|| plan.output.say(&prediction(found, at_most)))?;
        let long = seconds > ASK_BEYOND && !plan.yes;
        if long && (plan.output.quiet || !bar.suspend(|| confirmed(seconds))?) {
            let said = format!("{} predicted; give --yes to run it anyway", duration(seconds));
            return Err(Error::invalid("run time", said));
        }
        Ok(())
    }

    /// The bar, or where there is none a line now and then.
    fn show(&mut self, state: &State) {
        let said = match (state.rate, state.left()) {
            _ if state.done >= state.total => "checks in f64".into(),
            (Some(rate), Some(left)) => {
                let most = if state.at_most { "at most " } else { "" };
                format!("{rate:.1} evaluations/s, {most}{} left", duration(left))
            }
            _ => "first tiles".into(),
        };
        let now = state.seconds;
        if now - self.line >= BETWEEN_LINES && !self.plan.output.quiet && !std::io::stderr().is_terminal() {
            self.line = now;
            let percent = 100.0 * state.done as f64 / state.total.max(1) as f64;
            let of = if state.at_most { " of the most that it may take" } else { "" };
            eprintln!("{percent:.1}%{of}  {said}, {} elapsed", duration(now));
        }
        self.bar.set_position(state.done);
        self.bar.set_message(said);
    }
}

/// Set by Ctrl-C; a second Ctrl-C ends the process at once. It is the same one for all the work of a process.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(flag) = FLAG.get() {
        return Ok(flag.clone());
    }
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping after the tile in flight; Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::invalid("Ctrl-C handler", e))?;
    Ok(FLAG.get_or_init(|| flag).clone())
}

/// Asks on a terminal, where standard output may be a document's; elsewhere the answer is no.
pub(super) fn confirmed(seconds: f64) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{} predicted. Run it? [y/N] ", duration(seconds));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| Error::invalid("terminal", e))?;
    Ok(line.trim().eq_ignore_ascii_case("y"))
}
