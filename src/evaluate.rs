//! Batch evaluation on a GPU: samples `[N, C, H, W]` and a timestep each in, a network's raw outputs or a field's values
//! out (`field::evaluator`). Splits into tiles that fit the adapter; a sample's output does not depend on its tile.
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, Pending};
use crate::graph::Graph;
use crate::ops::Family;
use crate::paths::Lane;
use crate::plan::{Ports, lower};
use crate::program::{Program, Role};
use crate::shape::Shape;

/// Bytes that one evaluator may allocate on the device: small beside any GPU, and a desktop's memory survives it.
const MEMORY_BUDGET: u64 = 1 << 30;

/// A network or a field on a device, ready to be evaluated.
pub struct Evaluator {
    executor: Executor,
    ports: Ports,
    /// Distinct and ascending.
    timesteps: Vec<usize>,
    /// What the lanes of each timestep carry.
    levels: Vec<Lane>,
    input: Shape,
    output: Shape,
}

impl Evaluator {
    /// Plans and compiles with the adapter's own kernels. `timesteps`, distinct and ascending, are all that `evaluate`
    /// may be asked for. Tiles hold at most `max_lanes` samples, fewer where memory or the adapter's limits say so.
    pub fn new(gpu: &Gpu, graph: &Graph, timesteps: &[usize], max_lanes: usize) -> Result<Self> {
        Self::with_family(gpu, graph, timesteps, max_lanes, gpu.family())
    }

    /// `new` with a chosen family of kernels.
    pub fn with_family(
        gpu: &Gpu,
        graph: &Graph,
        timesteps: &[usize],
        max_lanes: usize,
        family: Family,
    ) -> Result<Self> {
        let shapes = [graph.shape(graph.input()), graph.shape(graph.output())];
        let level = |row| Ok(Lane { row, ..Lane::default() });
        Self::of_steps(gpu, shapes, timesteps, max_lanes, level, |program, ports| {
            lower(graph, timesteps, family, ports, program)
        })
    }

    /// Whatever steps `append` adds between the ports. `level` makes the lane of the timestep of that number in the list.
    pub(crate) fn of_steps(
        gpu: &Gpu,
        [input, output]: [Shape; 2],
        timesteps: &[usize],
        max_lanes: usize,
        level: impl Fn(u32) -> Result<Lane>,
        append: impl FnOnce(&mut Program, Ports) -> Result<()>,
    ) -> Result<Self> {
        if timesteps.is_empty() || !timesteps.is_sorted_by(|a, b| a < b) {
            let message = format!("{timesteps:?} is not a list of distinct, ascending numbers");
            return Err(Error::invalid("evaluator timesteps", message));
        }
        let levels = (0..timesteps.len() as u32).map(level).collect::<Result<Vec<_>>>()?;
        let mut program = Program::default();
        let ports = Ports {
            input: program.buffer("evaluator x", 4 * input.flat_stride() as u64, Role::Upload),
            output: program.buffer("evaluator y", 4 * output.flat_stride() as u64, Role::Download),
            lanes: program.buffer("evaluator lanes", size_of::<Lane>() as u64, Role::Upload),
        };
        append(&mut program, ports)?;
        let most = Executor::most_lanes(gpu, &program, MEMORY_BUDGET).min(max_lanes);
        // At least one lane: if not even that fits, the executor says so and why.
        let executor = Executor::new(gpu, program, most.max(1))?;
        Ok(Self { executor, ports, timesteps: timesteps.to_vec(), levels, input, output })
    }

    /// Samples per tile.
    pub fn max_lanes(&self) -> usize {
        self.executor.max_lanes()
    }

    /// What runs.
    pub fn program(&self) -> &Program {
        self.executor.program()
    }

    /// The raw network outputs, or field values, `[N, D]` of `x`, `[N, C, H, W]` in C order; sample i is at timestep `ks[i]`.
    pub fn evaluate(&mut self, x: &[f32], ks: &[usize]) -> Result<Vec<f32>> {
        let d = self.input.len();
        if x.len() != ks.len() * d {
            let (found, want) = (x.len(), ks.len() * d);
            return Err(Error::invalid("evaluator x", format!("{found} numbers, {} samples have {want}", ks.len())));
        }
        let mut lanes = Vec::with_capacity(ks.len());
        for k in ks {
            let row = self.timesteps.binary_search(k).map_err(|_| {
                Error::invalid("evaluator timestep", format!("{k} is not one of the {} planned", self.timesteps.len()))
            })?;
            lanes.push(self.levels[row]);
        }
        let mut y = Vec::with_capacity(ks.len() * self.output.len());
        let mut ahead: Option<Pending> = None;
        let tile = self.max_lanes();
        for (x, lanes) in x.chunks(tile * d).zip(lanes.chunks(tile)) {
            self.executor.upload(self.ports.input, &self.padded(x))?;
            self.executor.upload(self.ports.lanes, lanes)?;
            // One tile is queued while the one before it is read back.
            let submitted = self.executor.submit(lanes.len())?;
            if let Some(before) = ahead.replace(submitted) {
                self.read(before, &mut y)?;
            }
        }
        if let Some(last) = ahead {
            self.read(last, &mut y)?;
        }
        Ok(y)
    }

    /// Rows as the device holds them, padded with zeros to a multiple of 4.
    fn padded(&self, x: &[f32]) -> Vec<f32> {
        let (d, stride) = (self.input.len(), self.input.flat_stride());
        let mut padded = vec![0f32; x.len() / d * stride];
        for (row, sample) in padded.chunks_exact_mut(stride).zip(x.chunks_exact(d)) {
            row[..d].copy_from_slice(sample);
        }
        padded
    }

    fn read(&mut self, pending: Pending, y: &mut Vec<f32>) -> Result<()> {
        let (d, stride, port) = (self.output.len(), self.output.flat_stride(), self.ports.output);
        self.executor.wait(pending, |id, bytes| {
            if id == port {
                let flat: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
                flat.chunks_exact(stride).for_each(|row| y.extend_from_slice(&row[..d]));
            }
        })
    }
}
