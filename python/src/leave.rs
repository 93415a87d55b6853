//! The end of the interpreter: what runs in other threads is stopped and waited for, because a thread that asks for the GIL after that
//! takes the process with it. In: Python's atexit. Out: whether work should go on.
use crate::errors::under_way;
use pyo3::prelude::*;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long other threads are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

static LEAVING: AtomicBool = AtomicBool::new(false);

/// Whether the interpreter is about to end.
pub fn leaving() -> bool {
    LEAVING.load(Ordering::SeqCst)
}

/// The process that the module was loaded in. Its children have none of its threads.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Called once, as the module is loaded.
pub fn loaded() {
    OWNER.store(process::id(), Ordering::SeqCst);
}

/// Stops everything and waits for it; called by atexit, with the GIL.
#[pyfunction]
pub fn _leave(py: Python) {
    if OWNER.load(Ordering::SeqCst) != process::id() {
        return;
    }
    LEAVING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let start = Instant::now();
        while under_way() > 0 && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}
