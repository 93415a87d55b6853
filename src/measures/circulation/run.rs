//! Circulation (paper, eq. 4): Gamma = sum_i s(m_i) . d_i over closed polylines, or nested rules on smooth closed curves,
//! with L, M, S, R, the notebooks' sum and the error columns. In: a field, clean images, options. Out:
//! `run::Table`, columns [path, timestep, sample]. Work is done pass by pass: midpoints, then adaptive loops, round by round.
use super::finish::sums_part;
use super::options::{Options, RESULTS};
use super::work::{Term, Work};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::{Field, FieldLaunch, first_not_finite};
use crate::gpu::{Executor, Gpu, Memory, tiles};
use crate::program::{Access, BufferId, Builder, Grid, Kernel, LaneRole, Program, Role, Step};
use crate::run::{Journal, Part, Progress, Shard, Table, worst, wrong};
use crate::sweep::{self, Devices, Job, Log};
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Tiles of a round of adaptive loops: the device idles once a round, and an interruption loses the loops on their way.
const ROUND: usize = 8;

/// A circulation run, ready to go: everything is allocated and compiled.
pub struct CirculationRun<'a> {
    devices: Devices<'static>,
    field: Arc<dyn Field>,
    work: Work<'a>,
    /// Makes the points, and reads them back.
    points: Program,
}

impl<'a> CirculationRun<'a> {
    /// Checks everything, allocates and compiles; what cannot be measured is refused here. `images` must have the shape of
    /// the field.
    pub fn new(gpu: &Gpu, field: &Arc<dyn Field>, images: &'a Images, options: Options) -> Result<Self> {
        Self::on(std::slice::from_ref(gpu), field, images, options)
    }

    /// `new` on several devices, which share the work. Devices of one kind give the bits that one of them gives.
    pub fn on(gpus: &[Gpu], field: &Arc<dyn Field>, images: &'a Images, options: Options) -> Result<Self> {
        Self::of_shard(gpus, field, images, options, Shard::WHOLE)
    }

    /// `on` for some of the samples.
    pub fn of_shard(
        gpus: &[Gpu],
        field: &Arc<dyn Field>,
        images: &'a Images,
        options: Options,
        shard: Shard,
    ) -> Result<Self> {
        let Some(first) = gpus.first() else {
            return Err(Error::invalid("devices", "none given"));
        };
        field.require_score("circulation")?;
        let mut program = Builder::new(first.target(), 0);
        let mut work = Work::new(&mut program, Role::Scratch, field.as_ref(), images, options, shard)?;
        let (shape, ports, options) = (field.shape(), work.ports, work.options.clone());
        let program = program.finish()?;
        let mut points = program.clone();
        points.buffers[ports.x.0].role = Role::Download;
        let mut program = Builder::behind(program, first.target());
        let s = program.buffer("field", 4 * shape.flat_stride() as u64, Role::Scratch);
        let sums = program.buffer("sums", 4 * RESULTS as u64, Role::Download);
        let reduce = Step {
            label: "circulation".into(),
            op: "reduce",
            kernel: Kernel { shader: "circulation", constants: vec![] },
            bindings: vec![
                ("x", ports.x, Access::Read),
                ("d", ports.d, Access::Read),
                ("s", s, Access::Read),
                ("sums", sums, Access::Write),
            ],
            role: LaneRole::All,
            immediates: vec![("dim", shape.len() as u32), ("flat", shape.flat_stride() as u32)],
            grid: Grid { items: 1, workgroup: 1, groups: 1 },
            flops: 10 * shape.len() as u64,
            bytes: 12 * shape.len() as u64,
        };
        // The job's buffers are the same on all devices; the field's follow from what each is.
        let (family, timesteps, job) = (options.family, options.timesteps.clone(), program.finish()?);
        let own = field.clone();
        let plan = move |gpu: &Gpu| -> Result<Program> {
            let target = family.map_or_else(|| gpu.target(), |family| gpu.clone().with_family(family).target());
            let mut program = Builder::behind(job.clone(), target);
            own.launch(FieldLaunch {
                program: &mut program,
                timesteps: &timesteps,
                lanes: ports.lanes,
                x: ports.x,
                s,
            })?;
            program.push(reduce.clone());
            program.finish()
        };
        let load = |gpu: &Gpu| -> Result<Executor<'static>> {
            let program = plan(gpu)?;
            let lanes = tiles::lanes(gpu, &program, options.tile, work.most_evaluations())?;
            Executor::lasting(gpu, program, lanes, Box::new(plan.clone()))
        };
        let devices = Devices::new(gpus.iter().map(load).collect::<Result<_>>()?)?;
        work.round = (ROUND * devices.executors().iter().map(Executor::max_lanes).sum::<usize>()) as u64;
        Ok(Self { devices, field: field.clone(), work, points })
    }

    /// Evaluations of the field that the shard needs on the device, the quadrature check's among them; with adaptive
    /// quadrature the most it may need.
    pub fn evaluations(&self) -> u64 {
        self.work.most_evaluations()
    }

    /// Closed loops of the shard.
    pub fn loops(&self) -> usize {
        self.work.sums.len()
    }

    /// Samples of the whole run whose loops are also integrated by two-point Gauss, from the first.
    pub fn checked_samples(&self) -> usize {
        self.work.options.checked_samples()
    }

    /// Terms of the whole run that the f64 twin computes again.
    pub fn verified_points(&self) -> usize {
        self.work.verified
    }

    /// What runs on the devices; where their kernels differ, on the first.
    pub fn program(&self) -> &Program {
        self.devices.executors()[0].program()
    }

    /// What it takes on the first device.
    pub fn memory(&self) -> Memory {
        self.devices.executors()[0].memory()
    }

    /// Lanes per tile, of each device.
    pub fn tiles(&self) -> Vec<usize> {
        self.devices.executors().iter().map(Executor::max_lanes).collect()
    }

    /// Runs everything; `observe` is told how much of `evaluations` is done, or was not needed, and may stop the run.
    pub fn run(self, observe: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<Table> {
        self.measure(&mut Progress::new(observe))?.0.finish()
    }

    /// `run` up to what shards have in common, going on where the journal ends; the observer is not told of what is in it. And
    /// which device did what.
    pub fn measure(mut self, progress: &mut Progress) -> Result<(Part, Log)> {
        let total = self.evaluations();
        let mut before = 0;
        for pass in 0.. {
            if !self.work.begin(pass) {
                break;
            }
            progress.begin();
            let most = self.work.pass_most();
            let mut first = self.recorded(progress)?;
            self.work.next_round();
            while self.work.pass_total() > 0 {
                let (at, points) = (before + self.work.pass_before(), self.work.pass_total());
                let Progress { journal, observe, stage, .. } = &mut *progress;
                let mut job = Recorded { work: &mut self.work, journal, stage: *stage };
                sweep::run(&mut self.devices, &mut job, first..points, &mut |done| observe(at + done))?;
                first = 0;
                if progress.origin.is_none()
                    && let Some(i) = self.work.not_finite
                {
                    progress.origin = Some(self.look(i));
                }
                for place in self.work.settle() {
                    let lanes = self.work.sums[place].evaluations as u64;
                    progress.keep_one(place, lanes, &self.work.of_loops(place..place + 1))?;
                }
                self.work.next_round();
            }
            before += most;
        }
        let (field, work) = (&self.field, &self.work);
        let terms: Vec<_> = work.terms.iter().collect();
        (progress.done, progress.recorded) = (total, total); // tiles are recorded with their own evaluations
        let check = |&(&(place, point), term): &(&(usize, usize), &Term), _: &()| {
            let twin = work.term_by_twin(field.as_ref(), place, point)?;
            Ok((term.value - twin).abs() / term.size.max(f64::MIN_POSITIVE))
        };
        let found = progress.checks(field.twins_at_once(), &terms, |_| Ok(()), check)?;
        let worst = worst(work.verified, &found);
        let part = Part { origin: progress.origin.take(), ..part(work, worst) };
        Ok((part, self.devices.log().clone()))
    }

    /// Takes what is recorded of the pass; the first of its points that is not. Adaptive loops that are recorded are left out.
    fn recorded(&mut self, progress: &mut Progress) -> Result<u64> {
        let (mut first, points) = (0, self.work.pass_total());
        let next = |first: usize, count: usize| Some((first + count) as u64).filter(|next| *next <= points);
        if self.work.adds_up() {
            while let Some((count, values)) = progress.record::<f64>(first)? {
                if next(first, count).is_none() || !self.work.restore(first as u64, count, &values) {
                    return Err(wrong(first, count as u64, values.len(), "the sums of their loops"));
                }
                first += count;
            }
            return Ok(first as u64);
        }
        let mut known = BTreeSet::new();
        while let Some((place, values)) = progress.record_of_any::<f64>()? {
            if !known.insert(place) || !self.work.restore_done(place, &values) {
                return Err(wrong(place, 1, values.len(), "the sums of an adaptive loop, once"));
            }
        }
        self.work.go_on(&known);
        Ok(0)
    }

    /// Looks into a point of the pass at which the field was not finite.
    fn look(&mut self, i: u64) -> String {
        let (gpu, (at, place)) = (self.devices.executors()[0].gpu().clone(), self.work.name(i));
        let mut point = || -> Result<Vec<f32>> {
            let mut executor = Executor::new(&gpu, self.points.clone(), 1)?;
            self.work.prepare(&executor, i, 1)?;
            executor.run(1, self.work.ports.x)
        };
        match point() {
            Ok(x) => first_not_finite(&gpu, &self.field, &x[..self.field.shape().len()], &[], at, &place),
            Err(error) => format!("the field is not finite at {place}; its point could not be made again: {error}"),
        }
    }
}

/// What the work of a shard came to. `worst` is the largest error of a term in units of |s| |d|.
fn part(work: &Work, worst: f64) -> Part {
    let facts = json!({
        "paths": work.options.path_names(),
        "timesteps": work.options.timesteps,
        "sigma": work.levels.iter().map(|l| l.sigma).collect::<Vec<f64>>(),
        "points": work.options.points,
        "checked": work.options.checked_samples(),
    });
    let sizes = [work.levels.len(), work.samples, work.paths.len()];
    sums_part(work.shard, work.options.samples, sizes, &work.sums, facts, worst)
}

/// Work whose tiles are recorded as they are taken, but for those of adaptive loops.
struct Recorded<'a, 'b> {
    work: &'a mut Work<'b>,
    journal: &'a mut Journal,
    stage: u64,
}

impl Job for Recorded<'_, '_> {
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()> {
        self.work.prepare(executor, first, lanes)
    }

    fn collect(&mut self, first: u64, lanes: usize, _: BufferId, values: &[f32]) -> Result<()> {
        self.work.take(first, values)?;
        let (stage, count) = (self.stage, lanes as u64);
        match self.work.adds_up() {
            true => self.journal.append(stage, first, count, count, &self.work.state(first, lanes)),
            false => Ok(()),
        }
    }
}
