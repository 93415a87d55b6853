//! The loops of a circulation run, made by the same shaders from the same options, read back instead of integrated.
//! In: a field (for its process and shape), clean images, options. Out: `run::ExportedLoops`, bit for bit the midpoints
//! and steps that `CirculationRun` uses on this adapter.
use super::circulation::{Options, Quadrature};
use super::work::Work;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::{Executor, Gpu};
use crate::program::{BufferId, Role};
use crate::run::{ExportedLoops, LoopAxes, Shard};
use crate::shape::Shape;
use crate::sweep::{self, Devices, Job};
use std::ops::ControlFlow;

/// Most bytes of midpoints, steps and nodes together: they are held in memory before they are written.
pub const MOST_EXPORTED: u64 = 4 << 30;

/// Bytes of the three large arrays of an export: midpoints, steps and nodes, f32. None if no file could hold them.
pub fn exported_bytes(options: &Options, shape: Shape) -> Option<u64> {
    let factors = [options.paths.len(), options.timesteps.len(), options.samples, options.points, shape.len(), 3 * 4];
    factors.iter().try_fold(1u64, |bytes, &f| bytes.checked_mul(f as u64))
}

/// An export, ready to go: everything is allocated and compiled.
pub struct PathExport<'a> {
    devices: Devices<'a>,
    job: Export<'a>,
}

struct Export<'a> {
    work: Work<'a>,
    loops: ExportedLoops,
}

impl<'a> PathExport<'a> {
    /// The options are those of the circulation run; the points are those of its midpoint
    /// rule, and its checks (`quadrature_check`, `verify_points`) and kernel `family` make no difference to them. More than `MOST_EXPORTED` bytes are refused.
    pub fn new(gpu: &Gpu, field: &dyn Field, images: &'a Images, options: Options) -> Result<Self> {
        let shape = field.shape();
        match exported_bytes(&options, shape) {
            Some(bytes) if bytes <= MOST_EXPORTED => {}
            bytes => {
                let found = bytes.map_or("more bytes than any file".into(), |b| format!("{:.2e} bytes", b as f64));
                let said = format!(
                    "{found} of midpoints, steps and nodes, at most {MOST_EXPORTED} (4 GiB) can be exported at a time: \
                     ask for fewer samples, timesteps, points or paths, or export in parts"
                );
                return Err(Error::invalid("paths export", said));
            }
        }
        let mut program = gpu.program(0);
        let quadrature = Quadrature::Midpoint;
        let options = Options { quadrature, quadrature_check: 0.0, verify_points: 0, ..options };
        let work = Work::new(&mut program, Role::Download, field, images, options, Shard::WHOLE)?;
        let axes = LoopAxes {
            paths: work.options.paths.clone(),
            timesteps: work.options.timesteps.clone(),
            a: work.levels.iter().map(|l| l.a).collect(),
            sigma: work.levels.iter().map(|l| l.sigma).collect(),
            samples: work.options.samples,
            segments: work.options.points,
            shape,
        };
        let values = axes.dims().iter().product();
        let loops = ExportedLoops { axes, midpoints: vec![f32::NAN; values], steps: vec![f32::NAN; values] };
        let lanes = sweep::tile_lanes(gpu, &program, work.options.tile, work.queries.total())?;
        let recipe = program.clone(); // the shaders' constants are few
        let executor = Executor::lasting(gpu, program, lanes, Box::new(move |_| Ok(recipe.clone())))?;
        let devices = Devices::new(vec![executor])?;
        Ok(Self { devices, job: Export { work, loops } })
    }

    /// Segments of all loops.
    pub fn segments(&self) -> u64 {
        self.job.work.queries.total()
    }

    /// Makes all points; `observe` is told the segments done and may stop.
    pub fn run(mut self, observe: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<ExportedLoops> {
        let total = self.segments();
        sweep::run(&mut self.devices, &mut self.job, 0..total, observe)?;
        Ok(self.job.loops)
    }
}

impl Job for Export<'_> {
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()> {
        self.work.prepare(executor, first, lanes)
    }

    /// From order of work (timestep, sample, path, segment) to `[path, timestep, sample, segment]`.
    fn collect(&mut self, first: u64, _: usize, id: BufferId, values: &[f32]) -> Result<()> {
        let Self { work, loops } = self;
        let (d, [_, timesteps, samples, segments, ..]) = (loops.axes.shape.len(), loops.axes.dims());
        let out = if id == work.ports.x { &mut loops.midpoints } else { &mut loops.steps };
        for (i, row) in values.chunks_exact(loops.axes.shape.flat_stride()).enumerate() {
            let q = work.queries.get(first + i as u64);
            let place = ((q.path * timesteps + q.timestep) * samples + q.sample) * segments + q.segment as usize;
            out[place * d..(place + 1) * d].copy_from_slice(&row[..d]);
        }
        Ok(())
    }
}
