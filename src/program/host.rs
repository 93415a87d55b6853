//! A step that the host takes between two of the device: what a program of somebody's own computes, which is no kernel. In: lanes of
//! buffers. Out: lanes of one, and what went wrong in between.
use super::BufferId;
use crate::error::Result;
use std::fmt;
use std::sync::Arc;

/// What the host does: given the bytes of every buffer that is read, all lanes of the run, it makes those of the buffer that is
/// written.
pub type HostWork = Arc<dyn Fn(&[&[u8]]) -> Result<Vec<u8>> + Send + Sync>;

/// The device waits for it, and is waited for.
#[derive(Clone)]
pub struct HostStep {
    /// What it is; errors and plans name it.
    pub label: String,
    /// Buffers that it is given, in order.
    pub reads: Vec<BufferId>,
    /// The buffer that it makes.
    pub writes: BufferId,
    /// What it does.
    pub work: HostWork,
}

impl fmt::Debug for HostStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostStep")
            .field("label", &self.label)
            .field("reads", &self.reads)
            .field("writes", &self.writes)
            .finish_non_exhaustive()
    }
}
