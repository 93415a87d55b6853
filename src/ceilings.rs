//! What an adapter can do at best, measured on the spot: multiply-adds in registers, a plain tiled GEMM, copies between
//! buffers larger than caches, dispatches that do next to nothing. In: an adapter. Out: rates, against which a kernel is
//! judged by the roofline model (Williams, Waterman, Patterson; CACM 52, 2009).
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, tiles};
use crate::program::{Access, BufferId, Builder, Grid, Immediate, Kernel, LaneRole, Program, Role, Step};
use crate::target::{KernelFamily, Target};
use std::time::{Duration, Instant};

/// Rates of one adapter, each the best of several.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// Floating-point operations per second of multiply-adds in registers, 2 each, f32.
    pub multiply_add: f64,
    /// Floating-point operations per second of a plain tiled f32 GEMM.
    pub gemm: f64,
    /// Bytes per second, read and written ones added, of a copy between two buffers.
    pub bandwidth: f64,
    /// Seconds of one more dispatch in a submission, with the barrier before it.
    pub dispatch: f64,
    /// Seconds of a submission of one such dispatch, from recording it to the host knowing of its end.
    pub submission: f64,
}

/// What keeps a kernel from being faster, in the roofline model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It has so much to compute that arithmetic takes longer.
    Compute,
    /// It has so little to compute that moving the data takes longer.
    Memory,
}

impl Bound {
    /// As tables and documents have it.
    pub const fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
        }
    }
}

impl Ceilings {
    /// Floating-point operations per second that kernels of a family may hope for: those of CPU adapters keep their
    /// weights where a multiply-add reads them at no cost, others pass everything through tiles as the GEMM does.
    pub fn compute(&self, family: KernelFamily) -> f64 {
        if family == KernelFamily::Cpu { self.multiply_add } else { self.gemm }
    }

    /// Fewest seconds for so much work, and what bounds it: max(flops / compute, bytes / bandwidth).
    pub fn roof(&self, family: KernelFamily, flops: f64, bytes: f64) -> (f64, Bound) {
        let (compute, memory) = (flops / self.compute(family), bytes / self.bandwidth);
        if compute >= memory { (compute, Bound::Compute) } else { (memory, Bound::Memory) }
    }
}

/// A kernel that measures, in a program of its own. Sizes are small enough for any watchdog and, in its `most` lanes, large
/// enough for any adapter.
pub struct Probe {
    /// One dispatch.
    pub program: Program,
    /// What it reads; a scratch buffer, unless the caller makes it an upload.
    pub input: Option<BufferId>,
    /// What it writes; likewise.
    pub output: BufferId,
    /// Most lanes.
    pub most: usize,
}

/// Rows of the GEMM per lane, and the tile of its kernel.
pub const ROWS: usize = 128;
/// Columns of the GEMM, and length of its sums.
pub const SIDE: usize = 1024;
/// Threads per lane of the multiply-adds.
pub const THREADS: usize = 1 << 14;
/// Multiply-adds per thread: 16 chains of so many.
pub const STEPS: usize = 8 * ROUNDS;
const ROUNDS: usize = 128;
/// The m and c of a <- m a + c.
pub const RECURRENCE: [f32; 2] = [0.99902344, 0.5];
/// Bytes per lane of the copy.
const COPIED: u64 = 1 << 20;
/// Bytes that are copied: more than caches hold.
const LARGE: u64 = 256 << 20;

fn step(shader: &'static str, words: &[Immediate], grid: Grid, [flops, bytes]: [u64; 2]) -> Step {
    Step {
        label: shader.into(),
        op: "ceiling",
        kernel: Kernel { shader, constants: vec![] },
        bindings: vec![],
        role: LaneRole::All,
        immediates: words.to_vec(),
        grid,
        flops,
        bytes,
    }
}

/// `rounds` of 8 steps of 16 chains in each of `threads` threads per lane.
fn chains(threads: usize, rounds: usize) -> Result<Probe> {
    let mut program = Builder::new(Target::of(KernelFamily::Gpu), 0);
    let output = program.buffer("y", 16 * threads as u64, Role::Scratch);
    let [m, c] = RECURRENCE.map(f32::to_bits);
    let words = [("items", threads as u32), ("rounds", rounds as u32), ("m", m), ("c", c)];
    let grid = Grid { items: threads as u32, workgroup: 256, groups: 1 };
    let flops = 2 * 16 * (8 * rounds * threads) as u64;
    let mut step = step("ceiling_multiply_add", &words, grid, [flops, 16 * threads as u64]);
    step.bindings = vec![("y", output, Access::Write)];
    program.push(step);
    Ok(Probe { program: program.finish()?, input: None, output, most: 64 })
}

/// y = the sum of 16 chains a <- m a + c of `STEPS` steps, which begin at i % 64 + 0..16; four lanes of them per thread i.
pub fn multiply_add() -> Result<Probe> {
    chains(THREADS, ROUNDS)
}

/// y = x, with the loads and stores that suit the family.
pub fn copy(family: KernelFamily) -> Result<Probe> {
    let mut program = Builder::new(Target::of(family), 0);
    let [x, y] = ["x", "y"].map(|label| program.buffer(label, COPIED, Role::Scratch));
    let per_thread = if family == KernelFamily::Cpu { 32 } else { 16 };
    let items = (COPIED / per_thread) as u32;
    let mut step =
        step("ceiling_copy", &[("items", items)], Grid { items, workgroup: 256, groups: 1 }, [0, 2 * COPIED]);
    step.kernel.constants = vec![family.constant()];
    let access = if family == KernelFamily::Cpu { Access::Image } else { Access::Read };
    step.bindings = vec![("x", x, access), ("y", y, Access::Write)];
    if access == Access::Image {
        program.mirror(x, COPIED);
    }
    program.push(step);
    Ok(Probe { program: program.finish()?, input: Some(x), output: y, most: (LARGE / COPIED) as usize })
}

/// The right-hand matrix of the GEMM, `[SIDE][SIDE]`.
pub fn right() -> Vec<f32> {
    (0..SIDE * SIDE).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// y = a b, `[ROWS lanes][SIDE]` each, with b from `right`.
pub fn gemm() -> Result<Probe> {
    let mut program = Builder::new(Target::of(KernelFamily::Gpu), 0);
    let bytes = 4 * (ROWS * SIDE) as u64;
    let [a, y] = ["a", "y"].map(|label| program.buffer(label, bytes, Role::Scratch));
    let b = program.constant("b", &right());
    let grid = Grid { items: ROWS as u32, workgroup: ROWS as u32, groups: (SIDE / 128) as u32 };
    let quarter = SIDE as u32 / 4;
    let flops = 2 * (ROWS * SIDE * SIDE) as u64;
    let mut step = step("ceiling_gemm", &[("depth", quarter), ("width", quarter)], grid, [flops, 2 * bytes]);
    step.bindings = vec![("a", a, Access::Read), ("b", b, Access::Read), ("y", y, Access::Write)];
    program.push(step);
    Ok(Probe { program: program.finish()?, input: Some(a), output: y, most: 64 })
}

/// Seconds that a timed submission should take, so that what it costs to submit does not show.
const LONG: f64 = 0.02;

/// Seconds of the probe's dispatch over `lanes` lanes in a submission of `repeat`, the best of `rounds`.
fn time(executor: &Executor, lanes: usize, repeat: usize, rounds: usize) -> Result<f64> {
    let times = executor.time_actions(lanes, repeat, rounds)?;
    let own = times.iter().find(|(step, _)| step.is_some()).map(|t| t.1);
    own.filter(|t| *t > 0.0).ok_or_else(|| Error::Gpu { place: "ceiling".into(), message: "nothing to time".into() })
}

/// Seconds per lane in the first number of lanes from `least` that takes long enough, or in as many as there may be.
fn per_lane(gpu: &Gpu, probe: Probe, least: usize, rounds: usize) -> Result<f64> {
    let most = tiles::lanes(gpu, &probe.program, None, probe.most as u64)?;
    let executor = Executor::new(gpu, probe.program, most)?;
    let mut lanes = least.min(most);
    let mut once = time(&executor, lanes, 1, 2)?;
    while once < LONG && lanes < most {
        lanes = (2 * lanes).min(most);
        once = time(&executor, lanes, 1, 2)?;
    }
    let repeat = (LONG / once).ceil().clamp(1.0, 100.0) as usize;
    Ok(time(&executor, lanes, repeat, rounds)? / lanes as f64)
}

/// Keeps the adapter busy until its multiply-adds get no faster: cards at rest take a while to raise their clocks.
fn warm(gpu: &Gpu) -> Result<()> {
    let chains = multiply_add()?;
    let lanes = tiles::lanes(gpu, &chains.program, None, chains.most as u64)?;
    let executor = Executor::new(gpu, chains.program, lanes)?;
    let (start, mut best, mut since) = (Instant::now(), f64::INFINITY, Instant::now());
    while start.elapsed() < WARM[1] && since.elapsed() < WARM[0] {
        let seconds = time(&executor, lanes, 4, 1)?;
        if seconds < 0.98 * best {
            (best, since) = (seconds, Instant::now());
        }
    }
    Ok(())
}

/// Without a gain for so long, an adapter counts as warm; and at the latest after so long.
const WARM: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(2000)];

/// Measures all of them, each the best of `rounds`; a second or two on a software adapter, much less on a GPU.
pub fn measure(gpu: &Gpu, rounds: usize) -> Result<Ceilings> {
    let flops = |probe: &Probe| probe.program.flops() as f64;
    if !gpu.is_software() {
        warm(gpu)?;
    }
    let (chains_of, product, copied) = (multiply_add()?, gemm()?, copy(gpu.family())?);
    let (chained, multiplied) = (flops(&chains_of), flops(&product));
    let multiply_add = chained / per_lane(gpu, chains_of, 1, rounds)?;
    let gemm = multiplied / per_lane(gpu, product, 1, rounds)?;
    let bandwidth = 2.0 * COPIED as f64 / per_lane(gpu, copied, usize::MAX, rounds)?;
    let small = Executor::new(gpu, chains(1, 0)?.program, 1)?;
    let many = 256;
    let (submission, all) = (time(&small, 1, 1, 4 * rounds)?, time(&small, 1, many, rounds)? * many as f64);
    let dispatch = (all - submission).max(0.0) / (many - 1) as f64;
    Ok(Ceilings { multiply_add, gemm, bandwidth, dispatch, submission })
}
