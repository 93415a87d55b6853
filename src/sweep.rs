//! The sweep: a long list of queries cut into tiles, two of them in flight so that the queue never drains.
//! A job fills a tile's uploads and takes its readback; tiles come back in order, so sums do not depend on their size.
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu};
use crate::program::{BufferId, Program};
use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

/// Tiles submitted ahead of the one being read.
const IN_FLIGHT: usize = 2;

/// What a sweep runs.
pub trait Job {
    /// Writes the uploads of queries `first..first + lanes`.
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()>;

    /// Takes the values of one download buffer for those queries.
    fn collect(&mut self, first: u64, lanes: usize, id: BufferId, values: &[f32]) -> Result<()>;
}

/// Lanes per tile: what the caller asks for, else what the budget and the adapter's limits allow; never more than `total`.
pub fn tile_lanes(gpu: &Gpu, program: &Program, asked: Option<usize>, total: u64) -> Result<usize> {
    let fits = Executor::most_lanes(gpu, program, u64::MAX);
    let lanes = match asked {
        Some(0) => return Err(Error::invalid("tile", "0 lanes, expected at least 1")),
        Some(n) if n > fits => {
            return Err(Error::invalid("tile", format!("{n} lanes, the adapter's limits hold {fits}")));
        }
        Some(n) => n,
        None => Executor::most_lanes(gpu, program, gpu.tile_budget()),
    };
    Ok(lanes.min(usize::try_from(total).unwrap_or(usize::MAX)).max(1))
}

/// Runs a range of queries. `observe` is told up to which query they are done and may stop the sweep after the tiles in
/// flight.
pub fn run(
    executor: &mut Executor,
    job: &mut dyn Job,
    queries: Range<u64>,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let tile = executor.max_lanes() as u64;
    let mut flying = VecDeque::with_capacity(IN_FLIGHT);
    let (mut next, mut stopped) = (queries.start, false);
    loop {
        while flying.len() < IN_FLIGHT && next < queries.end && !stopped {
            let lanes = tile.min(queries.end - next) as usize;
            job.prepare(executor, next, lanes)?;
            flying.push_back((next, lanes, executor.submit(lanes)?));
            next += lanes as u64;
        }
        let Some((first, lanes, pending)) = flying.pop_front() else {
            return if stopped { Err(Error::Interrupted) } else { Ok(()) };
        };
        let mut result = Ok(());
        executor.wait(pending, |id, bytes| {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            if result.is_ok() {
                result = job.collect(first, lanes, id, &values);
            }
        })?;
        result?;
        stopped |= observe(first + lanes as u64).is_break();
    }
}
