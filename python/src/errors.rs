//! Whatever goes wrong, as an exception of `vorticity.errors`. In: the library's errors, panics. Out: exceptions; a panic never
//! reaches Python as itself, nor standard error.
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use vorticity::error::Error;

/// Calls that are under way, of which panics are told as exceptions.
static GUARDED: AtomicUsize = AtomicUsize::new(0);
/// Where the last panic was, and what it said: of any thread, for the library has threads of its own.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// From here on panics below guarded calls are kept for the exception; all others are told as they were.
pub fn keep_panics_silent() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |about| {
        if GUARDED.load(Ordering::SeqCst) == 0 {
            return others(about);
        }
        if let Ok(mut last) = LAST.lock() {
            last.get_or_insert(about.to_string());
        }
    }));
}

/// How many calls are under way.
pub fn under_way() -> usize {
    GUARDED.load(Ordering::SeqCst)
}

/// Does `work`; a panic becomes an `InternalError`.
pub fn guard<T>(py: Python, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    GUARDED.fetch_add(1, Ordering::SeqCst);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.fetch_sub(1, Ordering::SeqCst);
    done.unwrap_or_else(|_| {
        let said = LAST.lock().ok().and_then(|mut last| last.take()).unwrap_or_else(|| "a panic".into());
        Err(raise(py, "InternalError", format!("{said}; this is a flaw of vorticity, please report it")))
    })
}

/// An exception of `vorticity.errors`.
pub fn raise(py: Python, class: &str, message: impl Into<String>) -> PyErr {
    let found = py.import("vorticity.errors").and_then(|errors| Ok(errors.getattr(class)?.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, (message.into(),)),
        Err(error) => error,
    }
}

/// An error of the library as the exception that it is; what a closure raised as it was raised.
pub fn told(py: Python, error: Error) -> PyErr {
    let error = match raised(error) {
        Ok(raised) => return raised,
        Err(error) => error,
    };
    let class = match &error {
        Error::File { .. } => "FileError",
        Error::Invalid { .. } | Error::Closure { .. } => "InvalidError",
        Error::NoAdapter(_) => "AdapterError",
        Error::OutOfMemory { .. } => "OutOfMemoryError",
        Error::DeviceLost { .. } => "DeviceLostError",
        Error::Gpu { .. } => "GpuError",
        Error::Interrupted => "Interrupted",
    };
    raise(py, class, error.to_string())
}

/// What a closure raised, if that is the error.
pub fn raised(error: Error) -> Result<PyErr, Error> {
    match error {
        Error::Closure { place, source } => match source.downcast::<PyErr>() {
            Ok(raised) => Ok(*raised),
            Err(source) => Err(Error::Closure { place, source }),
        },
        other => Err(other),
    }
}

/// Results of the library as Python's.
pub trait Told<T> {
    /// The value, or the exception.
    fn told(self, py: Python) -> PyResult<T>;
}

impl<T> Told<T> for vorticity::error::Result<T> {
    fn told(self, py: Python) -> PyResult<T> {
        self.map_err(|error| told(py, error))
    }
}

/// Panics: for the test that a panic does not reach Python as itself.
#[pyfunction(name = "_panic")]
pub fn panic(py: Python, message: String) -> PyResult<()> {
    guard(py, || py.detach(|| panic!("{message}")))
}
