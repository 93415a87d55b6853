//! How large a graph may be that a file makes: its tensors, its tables, its weights. In: sizes, before anything is laid out. Out: leave, or
//! a sentence.
use super::Import;
use crate::error::{Error, Result};
use crate::onnx::budget::{AXES, Budget};
use crate::onnx::tensor::count;

/// Numbers of a table, and of all tables: of 4 bytes each, in the graph.
const TABLE: usize = 1 << 26;
const TABLES: usize = 1 << 28;

/// Numbers of a tensor that depends on x, and along one of its axes.
const SEEN: usize = 1 << 30;
const SEEN_ALONG: usize = 1 << 24;

/// Refuses tensors that depend on x of no numbers, and of more than can be laid out.
pub(super) fn viewed(shape: &[usize]) -> Result<()> {
    if shape.len() > AXES {
        return Err(Error::invalid("shape", format!("{} axes, at most {AXES} are supported", shape.len())));
    }
    let n = count(shape)?;
    match n > 0 && n <= SEEN && shape.iter().all(|d| *d <= SEEN_ALONG) {
        true => Ok(()),
        false => {
            let message = format!(
                "{shape:?} depends on x: expected 1 to {SEEN} numbers, at most {SEEN_ALONG} of them along an axis"
            );
            Err(Error::invalid("shape", message))
        }
    }
}

/// For a file's tables, and for weights that are laid out anew.
pub(super) fn tables() -> Budget {
    Budget::tables(TABLE, TABLES)
}

impl Import<'_> {
    /// Leave for a table, or weights, of so many numbers, which is spent.
    pub(super) fn table(&self, sizes: &[usize]) -> Result<()> {
        let n = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).unwrap_or(usize::MAX);
        let refused = |_| {
            let message =
                format!("{sizes:?} numbers to lay out, at most {TABLE} at once and {TABLES} in all are supported");
            Error::invalid("size", message)
        };
        self.tables.spend(n).map_err(refused)
    }
}
