//! The sweep: a long list of queries cut into tiles, pulled by whichever device is free, two in flight on each so that no
//! queue drains. A job fills a tile's uploads and takes its readback; tiles are handed over in the order of the queries,
//! so sums depend neither on their size nor on who ran them. Out: besides, a log of who did, and of devices that failed.
use crate::error::{Error, Result};
use crate::gpu::{Executor, tiles};
use crate::program::{BufferId, Role};
use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard};

/// Tiles submitted ahead of the one being read, on each device.
const IN_FLIGHT: usize = 2;

/// Bytes of results that may wait for an earlier tile which a slower device still has.
const WAITING: u64 = 256 << 20;

/// What a sweep runs. Devices have a thread each, and take turns with the job.
pub trait Job: Send {
    /// Writes the uploads of queries `first..first + lanes` to the device that will run them.
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()>;

    /// Takes the values of one download buffer for those queries; called in their order.
    fn collect(&mut self, first: u64, lanes: usize, id: BufferId, values: &[f32]) -> Result<()>;
}

/// Queries that one device ran, tile after tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Sweeps of a run are numbered from 0.
    pub sweep: usize,
    /// The first of them.
    pub first: u64,
    /// How many.
    pub queries: u64,
    /// Position among the run's devices.
    pub device: usize,
}

/// A device that failed while others went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Position among the run's devices.
    pub device: usize,
    /// What it said.
    pub message: String,
}

/// Who did what: volatile facts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// In the order of the queries.
    pub spans: Vec<Span>,
    /// In the order of time.
    pub failures: Vec<Failure>,
}

/// The devices of a run, each with the run's program; where kernels differ, so may programs, but for the job's buffers.
pub struct Devices<'a> {
    executors: Vec<Executor<'a>>,
    log: Log,
    sweeps: usize,
}

impl<'a> Devices<'a> {
    /// At least one.
    pub fn new(executors: Vec<Executor<'a>>) -> Result<Self> {
        if executors.is_empty() {
            return Err(Error::NoAdapter("a run was given none".into()));
        }
        Ok(Self { executors, log: Log::default(), sweeps: 0 })
    }

    /// In the order in which they were named.
    pub fn executors(&self) -> &[Executor<'a>] {
        &self.executors
    }

    /// Of the sweeps so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    fn record(&mut self, device: usize, tile: Tile) {
        let (sweep, queries) = (self.sweeps, tile.lanes as u64);
        match self.log.spans.last_mut().filter(|s| s.sweep == sweep && s.device == device) {
            Some(span) => span.queries += queries,
            None => self.log.spans.push(Span { sweep, first: tile.first, queries, device }),
        }
    }
}

#[derive(Clone, Copy)]
struct Tile {
    first: u64,
    lanes: usize,
}

/// What the devices share.
struct State<'a> {
    job: &'a mut dyn Job,
    /// Behind the last query.
    end: u64,
    /// The first query that nobody has taken.
    next: u64,
    /// Tiles of devices that failed, or that recover.
    returned: Vec<Tile>,
    /// The first query that was not handed to the job.
    collected: u64,
    /// Devices at work.
    live: usize,
    stop: bool,
}

struct Shared<'a> {
    state: Mutex<State<'a>>,
    /// Something may have changed for a device that waits.
    changed: Condvar,
}

/// Ends the sweep where a thread panics, so that nobody waits for it.
struct OnPanic<'s, 'a>(&'s Shared<'a>);

impl Drop for OnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

/// What a device tells the thread that collects.
enum Report {
    Done { device: usize, tile: Tile, values: Vec<(BufferId, Vec<f32>)> },
    Failed(Failure),
    Stop(Error),
}

impl<'a> Shared<'a> {
    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner()) // a thread that panicked ends the sweep anyway
    }

    /// The next tile for a device, or nothing: for now, or if `wait` for good.
    fn take(&self, executor: &Executor, wait: bool) -> Option<Tile> {
        let most = executor.safe_lanes();
        let downloads = executor.program().buffers.iter().filter(|b| matches!(b.role, Role::Download));
        let ahead = WAITING / downloads.map(|b| b.bytes_per_lane).sum::<u64>().max(1);
        let mut state = self.lock();
        loop {
            if state.stop || state.collected == state.end {
                return None;
            }
            if let Some(tile) = state.returned.pop() {
                let lanes = tile.lanes.min(most);
                if lanes < tile.lanes {
                    state.returned.push(Tile { first: tile.first + lanes as u64, lanes: tile.lanes - lanes });
                }
                return Some(Tile { lanes, ..tile });
            }
            let left = state.end - state.next;
            if left > 0 && state.next - state.collected <= ahead {
                let lanes = tiles::share(most, left, state.live, executor.program().group());
                let tile = Tile { first: state.next, lanes };
                state.next += tile.lanes as u64;
                return Some(tile);
            }
            if !wait {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// A device's whole part in a sweep.
    fn drive(&self, device: usize, executor: &mut Executor, reports: &Sender<Report>) {
        let _guard = OnPanic(self);
        let mut tiles = VecDeque::with_capacity(IN_FLIGHT);
        let Err(error) = self.pull(device, executor, &mut tiles, reports) else { return };
        let mut state = self.lock();
        state.live -= 1;
        let of_device = matches!(error, Error::OutOfMemory { .. } | Error::DeviceLost { .. } | Error::Gpu { .. });
        let report = if of_device && state.live > 0 {
            state.returned.extend(tiles);
            Report::Failed(Failure { device, message: error.to_string() })
        } else {
            state.stop = true;
            Report::Stop(error)
        };
        drop(state);
        self.changed.notify_all();
        let _ = reports.send(report); // nobody listens once the sweep has ended
    }

    /// Runs tiles until there are none, again those that were in flight when the device was in trouble; `tiles` are those in flight.
    fn pull(
        &self,
        device: usize,
        executor: &mut Executor,
        tiles: &mut VecDeque<Tile>,
        reports: &Sender<Report>,
    ) -> Result<()> {
        while let Err(error) = self.fly(device, executor, tiles, reports) {
            executor.recover(error)?;
            self.lock().returned.extend(tiles.drain(..));
            self.changed.notify_all();
        }
        Ok(())
    }

    fn fly(
        &self,
        device: usize,
        executor: &mut Executor,
        tiles: &mut VecDeque<Tile>,
        reports: &Sender<Report>,
    ) -> Result<()> {
        let mut flying = VecDeque::with_capacity(IN_FLIGHT);
        loop {
            while flying.len() < IN_FLIGHT {
                let Some(tile) = self.take(executor, flying.is_empty()) else { break };
                tiles.push_back(tile);
                self.lock().job.prepare(executor, tile.first, tile.lanes)?;
                flying.push_back(executor.submit(tile.lanes)?);
            }
            let Some(pending) = flying.pop_front() else { return Ok(()) };
            let mut values = vec![];
            executor.wait(pending, |id, bytes| values.push((id, bytemuck::pod_collect_to_vec(bytes))))?;
            if let Some(tile) = tiles.pop_front() {
                let _ = reports.send(Report::Done { device, tile, values }); // nobody listens once the sweep has ended
            }
        }
    }

    /// Hands tiles to the job in order.
    fn collect(
        &self,
        reports: &Receiver<Report>,
        devices: &mut Devices,
        observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut early = BTreeMap::new();
        let mut next = self.lock().collected;
        for report in reports {
            match report {
                Report::Stop(error) => return Err(error),
                Report::Failed(failure) => devices.log.failures.push(failure),
                Report::Done { device, tile, values } => drop(early.insert(tile.first, (device, tile, values))),
            }
            while let Some((device, tile, values)) = early.remove(&next) {
                let mut state = self.lock();
                for (id, values) in &values {
                    state.job.collect(tile.first, tile.lanes, *id, values)?;
                }
                next += tile.lanes as u64;
                state.collected = next;
                drop(state);
                self.changed.notify_all();
                devices.record(device, tile);
                if observe(next).is_break() {
                    return Err(Error::Interrupted);
                }
            }
        }
        Ok(())
    }
}

/// Runs a range of queries. `observe` is told up to which query they are done and may stop the sweep after the tiles in flight. A device
/// in trouble recovers and goes on (`Executor::recover`); one that fails is left out from then on, and its tiles go to the others; the last
/// one's failure is the sweep's.
pub fn run(
    devices: &mut Devices,
    job: &mut dyn Job,
    queries: Range<u64>,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let failed: Vec<usize> = devices.log.failures.iter().map(|f| f.device).collect();
    let mut executors = std::mem::take(&mut devices.executors);
    let live = executors.len() - failed.len();
    let Range { start, end } = queries;
    let state = State { job, end, next: start, returned: vec![], collected: start, live, stop: false };
    let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
    let (tell, reports) = channel();
    let result = std::thread::scope(|scope| {
        for (n, executor) in executors.iter_mut().enumerate().filter(|(n, _)| !failed.contains(n)) {
            let (shared, tell) = (&shared, tell.clone());
            scope.spawn(move || shared.drive(n, executor, &tell));
        }
        drop(tell);
        let _guard = OnPanic(&shared);
        let result = shared.collect(&reports, devices, observe);
        shared.stop();
        result
    });
    devices.executors = executors;
    devices.sweeps += 1;
    result
}
