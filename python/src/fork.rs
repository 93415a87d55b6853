//! Processes that are forked while a device is open. A device's driver has threads that do not come along: nothing that was opened
//! before can be used in the child, or even closed. In: values that hold devices. Out: the same, which a child is refused and
//! forgets.
use crate::errors::raise;
use pyo3::prelude::*;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The process that opened a device, or looked for one, first; 0: none has.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Refuses to go near a device in a child of the process that opened one; from here on this process is the one that did.
pub fn check(py: Python) -> PyResult<()> {
    let own = process::id();
    match OWNER.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst) {
        Err(owner) if owner != own => Err(raise(
            py,
            "ForkError",
            format!(
                "process {own} was forked from {owner}, which has a device open: devices do not survive a fork. Use processes that are \
                 spawned (multiprocessing.get_context(\"spawn\"), joblib's loky, Dask), or fork before the first call"
            ),
        )),
        _ => Ok(()),
    }
}

/// What holds a device: dropped in the process that made it, forgotten in its children.
pub struct Kept<T> {
    value: ManuallyDrop<T>,
    owner: u32,
}

impl<T> Kept<T> {
    /// Of this process.
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), owner: process::id() }
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if self.owner == process::id() {
            // Safety: nothing uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Kept<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
