//! Watches over long work for Python: signals are looked for and progress is told, at most every tenth of a second, for which alone
//! the GIL is taken. In: how far the work is. Out: whether it goes on; the exception that ended it.
use crate::errors::{raise, raised, told};
use crate::leave::leaving;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use vorticity::error::Error;
use vorticity::session::State;

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(100);

/// Who is told, and what ended the work.
pub struct Watch {
    observer: Option<Py<PyAny>>,
    last: Option<Instant>,
    /// Whether it was told that all is done.
    ended: bool,
    failed: Option<PyErr>,
}

impl Watch {
    pub fn new(observer: Option<Py<PyAny>>) -> Self {
        Self { observer, last: None, ended: false, failed: None }
    }

    /// Looks for signals and tells the observer, if it is time. Called without the GIL.
    pub fn see(&mut self, state: Option<&State>) -> ControlFlow<()> {
        if leaving() {
            return ControlFlow::Break(());
        }
        let whole = state.is_some_and(|state| state.done >= state.total) && !self.ended;
        if self.last.is_some_and(|last| last.elapsed() < BETWEEN) && !whole {
            return ControlFlow::Continue(());
        }
        self.ended |= whole;
        self.last = Some(Instant::now());
        let looked = Python::attach(|py| {
            py.check_signals()?;
            match (&self.observer, state) {
                (Some(observer), Some(state)) => observer.call1(py, (document(py, state)?,)).map(drop),
                _ => Ok(()),
            }
        });
        match looked {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed.get_or_insert(error);
                ControlFlow::Break(())
            }
        }
    }

    /// The exception of work that ended with an error. `kept` is where what was done is kept, if it is.
    pub fn told(self, py: Python, error: Error, kept: Option<&Path>) -> PyErr {
        // Ctrl-C may reach a closure instead of the observer.
        let (error, failed) = match raised(error) {
            Ok(raised) => (Error::Interrupted, Some(raised)),
            Err(error) => (error, self.failed),
        };
        match (error, failed) {
            (Error::Interrupted, Some(cause)) if cause.is_instance_of::<PyKeyboardInterrupt>(py) => {
                let said = match kept {
                    Some(place) => {
                        let place = place.display();
                        format!("stopped; what was measured is kept in {place}: the same call goes on from there")
                    }
                    None => "stopped; nothing is kept of it (a run is kept where out= says)".into(),
                };
                let stopped = raise(py, "Interrupted", said);
                stopped.set_cause(py, Some(cause));
                stopped
            }
            (Error::Interrupted, Some(cause)) => {
                if let Some(place) = kept {
                    let note = format!("what was measured is kept in {}: the same call goes on", place.display());
                    let _ = cause.value(py).call_method1("add_note", (note,)); // not before Python 3.11
                }
                cause
            }
            (error, _) => told(py, error),
        }
    }
}

/// How far the work is.
fn document<'py>(py: Python<'py>, state: &State) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("done", state.done)?;
    all.set_item("total", state.total)?;
    all.set_item("at_most", state.at_most)?;
    all.set_item("seconds", state.seconds)?;
    all.set_item("rate", state.rate)?;
    all.set_item("left", state.left())?;
    all.set_item("predicted", state.prediction.map(|p| p.seconds))?;
    Ok(all)
}
