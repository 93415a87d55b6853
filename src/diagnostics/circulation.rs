//! Circulation (paper, eq. 4): Gamma = sum_i s(m_i) . d_i over closed polylines, with L, M, S, R, the notebooks' sum and
//! the error columns. In: a field, clean images, options. Out: `run::Circulation`, columns [path, timestep, sample].
use super::queries::{Queries, Query};
use super::sums::{Dots, Sums};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::{Field, FieldLaunch};
use crate::gpu::{Executor, Gpu};
use crate::ops::Family;
use crate::paths::{self, Anchor, ClosedPath, Lane, PathPorts};
use crate::program::{Access, BufferId, Grid, Kernel, Program, Role, Step};
use crate::run::{Circulation, Column};
use crate::sweep::{self, Job};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names in `paths::PATHS`.
    pub paths: Vec<String>,
    /// Strictly increasing.
    pub timesteps: Vec<usize>,
    /// The first this many images.
    pub samples: usize,
    /// Segments N per loop.
    pub points: usize,
    /// m of the projection path; `paths::ARCS` in the paper.
    pub arcs: u32,
    /// Key of all randomness: equal seeds give equal points.
    pub seed: u64,
    /// Share of the samples, the first ones, that are also integrated by two-point Gauss: the quadrature error. Three
    /// evaluations per segment instead of one; 0 for none.
    pub quadrature_check: f64,
    /// Midpoints, spread over the run, whose terms the f64 twin computes again: the arithmetic error. 0 for none.
    pub verify_points: usize,
    /// Lanes per tile; by memory if not given. Does not change results.
    pub tile: Option<usize>,
    /// Kernel family; by adapter if not given.
    pub family: Option<Family>,
}

/// A circulation run, ready to go: everything is allocated and compiled.
pub struct CirculationRun<'a> {
    executor: Executor,
    field: &'a dyn Field,
    work: Work<'a>,
}

/// Noise level and field coefficients of one timestep.
#[derive(Clone, Copy)]
pub(super) struct Level {
    k: usize,
    pub a: f64,
    pub sigma: f64,
    bridge_scale: f64,
    alpha: f64,
    beta: f64,
}

/// Two-point Gauss has an error too; on a rough path it was seen at a tenth of the midpoint rule's. A third is allowed for.
const GAUSS_TOO: f64 = 1.5;

/// A term to be computed again: what the GPU made of it.
#[derive(Clone, Copy, Default)]
struct Term {
    /// s.d
    value: f64,
    /// |s| |d|
    size: f64,
}

/// The loops of a run: what makes their points on the GPU, and what is known of each so far.
pub(super) struct Work<'a> {
    images: &'a Images,
    pub options: Options,
    pub queries: Queries,
    /// By loop, in order of work, and segment.
    terms: BTreeMap<(usize, u32), Term>,
    paths: Vec<(u32, &'static dyn ClosedPath)>,
    pub levels: Vec<Level>,
    pub ports: PathPorts,
    uses_pairs: bool,
    /// Order of work: timestep, sample, path.
    sums: Vec<Sums>,
}

impl<'a> CirculationRun<'a> {
    /// Checks everything, allocates and compiles; what cannot be measured is refused here. `images` must have the shape of
    /// the field.
    pub fn new(gpu: &Gpu, field: &'a dyn Field, images: &'a Images, options: Options) -> Result<Self> {
        let mut program = Program::default();
        let work = Work::new(&mut program, Role::Scratch, field, images, options)?;
        let (shape, ports, options) = (field.shape(), work.ports, &work.options);
        let s = program.buffer("field", 4 * shape.flat_stride() as u64, Role::Scratch);
        let sums = program.buffer("sums", 32, Role::Download);
        field.launch(FieldLaunch {
            program: &mut program,
            family: options.family.unwrap_or(gpu.family()),
            timesteps: &options.timesteps,
            lanes: ports.lanes,
            x: ports.x,
            s,
        })?;
        program.push(Step {
            label: "circulation".into(),
            op: "reduce",
            kernel: Kernel { shader: "circulation", constants: vec![] },
            bindings: vec![
                ("x", ports.x, Access::Read),
                ("d", ports.d, Access::Read),
                ("s", s, Access::Read),
                ("sums", sums, Access::Write),
            ],
            immediates: vec![0, shape.len() as u32, shape.flat_stride() as u32],
            grid: Grid { items: 1, workgroup: 1, groups: 1 },
            flops: 10 * shape.len() as u64,
            bytes: 12 * shape.len() as u64,
        });

        let lanes = sweep::tile_lanes(gpu, &program, options.tile, work.queries.total())?;
        let executor = Executor::new(gpu, program, lanes)?;
        Ok(Self { executor, field, work })
    }

    /// Evaluations of the field that the run needs on the device, the quadrature check's among them.
    pub fn evaluations(&self) -> u64 {
        self.work.queries.total()
    }

    /// Closed loops of the run.
    pub fn loops(&self) -> usize {
        self.work.queries.loops()
    }

    /// Samples whose loops are also integrated by two-point Gauss, from the first.
    pub fn checked_samples(&self) -> usize {
        self.work.queries.checked
    }

    /// Terms that the f64 twin computes again.
    pub fn verified_points(&self) -> usize {
        self.work.terms.len()
    }

    /// What runs on the device.
    pub fn program(&self) -> &Program {
        self.executor.program()
    }

    /// Lanes per tile.
    pub fn tile(&self) -> usize {
        self.executor.max_lanes()
    }

    /// Evaluations per second, measured on tiles of the real work: one to warm up, then as many as fill a second.
    pub fn measure_rate(&mut self) -> Result<f64> {
        let tile = (self.tile() as u64).min(self.evaluations());
        sweep::run(&mut self.executor, &mut self.work, tile, &mut |_| ControlFlow::Continue(()))?;
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed().as_secs_f64() < 1.0 {
            sweep::run(&mut self.executor, &mut self.work, tile, &mut |_| ControlFlow::Continue(()))?;
            done += tile;
        }
        self.work.sums.fill(Sums::default());
        Ok(done as f64 / start.elapsed().as_secs_f64())
    }

    /// Runs everything; `observe` is told the evaluations done and may stop the run.
    pub fn run(mut self, observe: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<Circulation> {
        let total = self.evaluations();
        sweep::run(&mut self.executor, &mut self.work, total, observe)?;
        let mut worst = if self.work.terms.is_empty() { f64::NAN } else { 0.0 };
        for (&(place, segment), term) in &self.work.terms {
            let twin = self.work.term_by_twin(self.field, place, segment)?;
            worst = worst.max((term.value - twin).abs() / term.size.max(f64::MIN_POSITIVE));
            if observe(total).is_break() {
                return Err(Error::Interrupted);
            }
        }
        Ok(self.work.finish(worst))
    }
}

impl<'a> Work<'a> {
    /// Checks the options, and appends to `program` the buffers and steps that make the points; `points` is what the
    /// buffers of midpoints and steps are for.
    pub fn new(
        program: &mut Program,
        points: Role,
        field: &dyn Field,
        images: &'a Images,
        options: Options,
    ) -> Result<Self> {
        let shape = field.shape();
        if images.shape != shape {
            let found = images.shape;
            return Err(Error::invalid("data", format!("images are {found}, the field takes {shape}")));
        }
        if options.samples == 0 || options.samples > images.count {
            let found = options.samples;
            return Err(Error::invalid("samples", format!("{found}, expected 1..={}", images.count)));
        }
        if options.timesteps.is_empty() || !options.timesteps.is_sorted_by(|a, b| a < b) {
            return Err(Error::invalid("timesteps", "expected at least one, strictly increasing"));
        }
        let checked = options.quadrature_check;
        if !(0.0..=1.0).contains(&checked) {
            return Err(Error::invalid("quadrature check", format!("{checked} of the samples, expected 0 to 1")));
        }
        let mut chosen: Vec<(u32, &'static dyn ClosedPath)> = vec![];
        for name in &options.paths {
            let found = paths::find(name)?;
            found.1.check(shape.len(), options.points, options.arcs)?;
            if chosen.iter().any(|p| p.0 == found.0) {
                return Err(Error::invalid("paths", format!("'{name}' is given twice")));
            }
            chosen.push(found);
        }
        if chosen.is_empty() {
            return Err(Error::invalid("paths", "none given"));
        }
        let level = |&k: &usize| -> Result<Level> {
            let (a, sigma) = field.process().noise(k)?;
            let (alpha, beta) = field.coefficients(k)?;
            Ok(Level { k, a, sigma, bridge_scale: field.process().bridge_scale(k), alpha, beta })
        };
        let levels = options.timesteps.iter().map(level).collect::<Result<Vec<_>>>()?;

        let row = 4 * shape.flat_stride() as u64;
        let uses_pairs = chosen.iter().any(|p| p.1.uses_pairs());
        let x0 = program.buffer("clean images", row, Role::Upload);
        let ports = PathPorts {
            lanes: program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
            x0,
            pairs: if uses_pairs { program.buffer("pairs", row, Role::Upload) } else { x0 },
            x: program.buffer("midpoints", row, points.clone()),
            d: program.buffer("steps", row, points),
        };
        for &(index, path) in &chosen {
            paths::launch(program, path, index, shape.len(), options.seed, ports);
        }

        let queries = Queries {
            timesteps: levels.len(),
            samples: options.samples,
            paths: chosen.len(),
            segments: options.points,
            checked: (checked * options.samples as f64).ceil() as usize,
        };
        let terms = queries.spread(options.verify_points).into_iter().map(|key| (key, Term::default())).collect();
        let sums = vec![Sums::default(); queries.loops()];
        Ok(Work { images, options, queries, terms, paths: chosen, levels, ports, uses_pairs, sums })
    }

    /// s.d of one segment in f64: points, field and product; the field sees the midpoint in f32, as on the device.
    fn term_by_twin(&self, field: &dyn Field, place: usize, segment: u32) -> Result<f64> {
        let (rest, path) = (place / self.paths.len(), self.paths[place % self.paths.len()].1);
        let (timestep, sample) = (rest / self.options.samples, rest % self.options.samples);
        let anchor = self.anchor(timestep, sample);
        let (p, q) = (path.point(&anchor, segment), path.point(&anchor, segment + 1));
        let middle: Vec<f32> = p.iter().zip(&q).map(|(p, q)| (0.5 * (p + q)) as f32).collect();
        let s = field.twin(&middle, self.levels[timestep].k)?;
        Ok(s.iter().zip(p.iter().zip(&q)).map(|(s, (p, q))| s * (q - p)).sum())
    }

    fn anchor(&self, timestep: usize, sample: usize) -> Anchor<'_> {
        let (level, d) = (self.levels[timestep], self.images.shape.len());
        Anchor {
            seed: self.options.seed,
            sample: sample as u32,
            k: level.k as u32,
            a: level.a,
            sigma: level.sigma,
            bridge_scale: level.bridge_scale,
            x0: &self.images.values[sample * d..(sample + 1) * d],
            segments: self.options.points as u32,
            arcs: self.options.arcs,
        }
    }

    /// The columns. `arithmetic` is the largest error of a term in units of |s| |d|.
    fn finish(self, arithmetic: f64) -> Circulation {
        let (p, t, n) = (self.paths.len(), self.levels.len(), self.options.samples);
        let (sums, checked) = (&self.sums, self.queries.checked);
        let place = move |path: usize, timestep: usize, sample: usize| (timestep * n + sample) * p + path;
        let values = |value: &dyn Fn(usize, usize, usize) -> f64| -> Vec<f64> {
            (0..p * t * n).map(|i| value(i / (t * n), i / n % t, i % n)).collect()
        };
        let column = |&(name, value): &(&'static str, fn(&Sums) -> f64)| Column {
            name,
            values: values(&|path, timestep, sample| value(&sums[place(path, timestep, sample)])),
        };
        let gap = |path, timestep, sample| {
            let loop_ = &sums[place(path, timestep, sample)];
            GAUSS_TOO * (loop_.integral - loop_.gauss).abs()
        };
        // A loop that was not checked takes the largest error among those of its path and timestep that were.
        let quadrature = values(&|path, timestep, sample| match sample < checked {
            true => gap(path, timestep, sample),
            false => (0..checked).fold(f64::NAN, |most, other| most.max(gap(path, timestep, other))),
        });
        // Errors of terms are taken to add up: the bound that holds for a wrong kernel as for rounding.
        let bound = values(&|path, timestep, sample| arithmetic * sums[place(path, timestep, sample)].score_norm_sum);
        let mut columns: Vec<Column> = Sums::COLUMNS.iter().map(column).collect();
        columns.push(Column { name: "quadrature", values: quadrature });
        columns.push(Column { name: "arithmetic", values: bound });
        Circulation {
            paths: self.options.paths.clone(),
            timesteps: self.options.timesteps.clone(),
            noise: self.levels.iter().map(|l| l.sigma).collect(),
            samples: n,
            points: self.options.points,
            columns,
        }
    }
}

impl Job for Work<'_> {
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()> {
        let (d, flat) = (self.images.shape.len(), self.images.shape.flat_stride());
        let (mut table, mut x0, mut pairs) = (Vec::with_capacity(lanes), vec![], vec![]);
        let mut last = None;
        let mut anchors = 0;
        for i in first..first + lanes as u64 {
            let Query { timestep, sample, path, segment, shift } = self.queries.get(i);
            let anchor = self.anchor(timestep, sample);
            if last != Some((timestep, sample)) {
                last = Some((timestep, sample));
                anchors += 1;
                x0.extend_from_slice(anchor.x0);
                x0.resize(anchors * flat, 0.0);
                if self.uses_pairs {
                    pairs.extend(paths::pairs(anchor.seed, anchor.sample, anchor.k, d));
                    pairs.resize(anchors * flat, 0u32);
                }
            }
            let level = self.levels[timestep];
            table.push(Lane {
                anchor: anchors as u32 - 1,
                row: timestep as u32,
                alpha: level.alpha as f32,
                beta: level.beta as f32,
                shift,
                ..paths::lane(self.paths[path].0, &anchor, segment)?
            });
        }
        executor.upload(self.ports.lanes, &table)?;
        executor.upload(self.ports.x0, &x0)?;
        if self.uses_pairs {
            executor.upload(self.ports.pairs, &pairs)?;
        }
        Ok(())
    }

    fn collect(&mut self, first: u64, _: usize, _: BufferId, values: &[f32]) -> Result<()> {
        for (i, v) in values.chunks_exact(8).enumerate() {
            let query = self.queries.get(first + i as u64);
            let Query { timestep, sample, path, segment, shift } = query;
            let dots = Dots::read(v);
            if !dots.is_finite() {
                let (name, k) = (&self.options.paths[path], self.levels[timestep].k);
                return Err(Error::invalid(
                    format!("field at path {name}, timestep {k}, sample {sample}, segment {segment}"),
                    format!("s.d = {}, |s|^2 = {}, |m|^2 = {}: expected finite numbers", dots.sd, dots.ss, dots.mm),
                ));
            }
            let Level { a, sigma, .. } = self.levels[timestep];
            let place = self.queries.loop_of(query);
            let sums = &mut self.sums[place];
            if shift != 0.0 {
                sums.gauss += 0.5 * dots.sd;
                continue;
            }
            if let Some(term) = self.terms.get_mut(&(place, segment)) {
                *term = Term { value: dots.sd, size: dots.size() };
            }
            sums.add(&dots, a, sigma);
        }
        Ok(())
    }
}
