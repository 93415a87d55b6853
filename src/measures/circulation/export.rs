//! The loops of a circulation run, made by the same shaders from the same options, written to a file instead of integrated.
//! In: a field (for its process and shape), clean images, options, which shard. Out: `run::LoopWriter`'s file, whose
//! midpoints, steps and Gauss points are bit for bit those that `CirculationRun` uses on this adapter. Memory: some tiles.
use super::options::{Options, Quadrature};
use super::queries::Query;
use super::work::{Pass, Work};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::{Executor, Gpu, tiles};
use crate::paths;
use crate::program::{BufferId, Builder, Role};
use crate::run::{LoopAxes, LoopLayout, LoopRun, LoopWriter, MOST_REPEATED, Shard};
use crate::sweep::{self, Devices, Job};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;

/// An export, ready to go: everything is allocated and compiled.
pub struct PathExport<'a> {
    devices: Devices<'a>,
    work: Work<'a>,
    layout: LoopLayout,
}

struct Export<'a, 'b> {
    work: &'b mut Work<'a>,
    layout: &'b LoopLayout,
    writer: LoopWriter,
}

impl<'a> PathExport<'a> {
    /// The options are those of the circulation run; the points are those of its midpoint rule and of its checks, which are
    /// for the caller to evaluate: Gauss points of the samples that `quadrature_check` says, and `verify_points` in float64.
    /// `facts` is what else decides on the points, for the file to say: an object.
    pub fn new(
        gpu: &Gpu,
        field: &dyn Field,
        images: &'a Images,
        options: Options,
        shard: Shard,
        facts: Value,
    ) -> Result<Self> {
        if options.verify_points > MOST_REPEATED {
            let found =
                format!("{} points to be repeated in float64, expected at most {MOST_REPEATED}", options.verify_points);
            return Err(Error::invalid("paths export", found));
        }
        let mut program = Builder::new(gpu.target(), 0);
        let options = Options { quadrature: Quadrature::Midpoint, ..options };
        let mut work = Work::new(&mut program, Role::Download, field, images, options, shard)?;
        work.pass = Pass::Exported;
        work.queries.every = 1; // whoever evaluates them hands back scores for all
        let options = &work.options;
        let axes = LoopAxes {
            paths: options.path_names(),
            timesteps: options.timesteps.clone(),
            a: work.levels.iter().map(|l| l.a).collect(),
            sigma: work.levels.iter().map(|l| l.sigma).collect(),
            samples: work.samples,
            segments: options.points,
            shape: field.shape(),
        };
        let mut decides = json!({
            "seed": options.seed, "points": options.points, "path_parameters": paths::parameters(&options.paths),
        });
        if let (Value::Object(all), Value::Object(facts)) = (&mut decides, facts) {
            all.extend(facts);
        }
        let run = LoopRun {
            samples: options.samples,
            checked: options.checked_samples(),
            repeated: work.verified,
            facts: decides,
        };
        let place = |&(place, point): &(usize, usize)| {
            let (timestep, sample, path) = work.split(place);
            [path, timestep, sample, point]
        };
        let mut repeat: Vec<[usize; 4]> = work.terms.keys().map(place).collect();
        repeat.sort();
        let layout = LoopLayout { axes, shard, run, repeat };
        let program = program.finish()?;
        let lanes = tiles::lanes(gpu, &program, work.options.tile, work.queries.total())?;
        let recipe = program.clone(); // the shaders' constants are few
        let executor = Executor::lasting(gpu, program, lanes, Box::new(move |_| Ok(recipe.clone())))?;
        Ok(Self { devices: Devices::new(vec![executor])?, work, layout })
    }

    /// What the file has besides its points, its size among it.
    pub fn layout(&self) -> &LoopLayout {
        &self.layout
    }

    /// Points to make: midpoints, and Gauss points of the loops that are checked.
    pub fn points(&self) -> u64 {
        self.work.queries.total()
    }

    /// Makes all points and writes the file; `observe` is told the points done and may stop. After an error nothing is left.
    pub fn write(mut self, path: &Path, observe: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<()> {
        let total = self.points();
        let writer = self.layout.create(path)?;
        let mut job = Export { work: &mut self.work, layout: &self.layout, writer };
        sweep::run(&mut self.devices, &mut job, 0..total, observe)?;
        job.writer.finish()
    }
}

impl Job for Export<'_, '_> {
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()> {
        self.work.prepare(executor, first, lanes)
    }

    fn collect(&mut self, first: u64, _: usize, id: BufferId, values: &[f32]) -> Result<()> {
        let shape = self.layout.axes.shape;
        for (i, row) in values.chunks_exact(shape.flat_stride()).enumerate() {
            let (row, q) = (&row[..shape.len()], self.work.queries.in_file(first + i as u64));
            let Query { path, timestep, sample, segment, shift } = q;
            match (id == self.work.ports.x, shift == 0.0) {
                (true, true) => {
                    let place = [path, timestep, sample, segment as usize];
                    self.writer.midpoint(row, self.layout.repeat.binary_search(&place).is_ok())?;
                }
                (true, false) => self.writer.gauss(row)?,
                (false, true) => self.writer.step(row)?,
                (false, false) => {}
            }
        }
        Ok(())
    }
}
