//! Whose turn it is with something that one thread may have at a time, while functions of Python's may be called. In: a lock. Out: its
//! content; an error where the thread has it already, or where somebody presses Ctrl-C while it waits.
use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};
use vorticity::error::{Error, Result};

/// Between two tries.
const PAUSE: Duration = Duration::from_micros(500);
/// Between two looks for signals.
const LOOK: Duration = Duration::from_millis(100);

thread_local! {
    /// Locks that this thread has, by where they are.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(vec![]) };
}

/// Takes a lock off the thread's list.
pub struct Held(usize);

impl Drop for Held {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|&own| own != self.0));
    }
}

/// The content of the lock, when it is this thread's turn; `name` is the field that it is of. Without the GIL.
///
/// # Errors
/// The thread has it already: a function evaluates its own field. What a signal's handler raised meanwhile.
pub fn take<'a, T>(lock: &'a Mutex<T>, name: &str) -> Result<(MutexGuard<'a, T>, Held)> {
    let (own, mut looked) = (std::ptr::from_ref(lock) as usize, Instant::now());
    if HELD.with_borrow(|held| held.contains(&own)) {
        let message = "is evaluated by its own function, which would go on for ever: expected another field there";
        return Err(Error::invalid(format!("field {name}"), message));
    }
    loop {
        let guard = match lock.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(PAUSE);
                if looked.elapsed() > LOOK {
                    looked = Instant::now();
                    Python::attach(|py| py.check_signals()).map_err(|raised| Error::Closure {
                        place: format!("field {name}"),
                        source: Box::new(raised),
                    })?;
                }
                continue;
            }
        };
        HELD.with_borrow_mut(|held| held.push(own));
        return Ok((guard, Held(own)));
    }
}
