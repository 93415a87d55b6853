//! How planes are searched: many samples in lock-step, each by block Lanczos on its A = (J - J')/2. In: a subject, options. Out: a
//! part, a row per plane, sample and timestep, and the vectors of the planes.
use super::Turning;
use super::columns::Row;
use crate::diagnostics::krylov::{FLOOR, Limits, Plane, Planes};
use crate::diagnostics::{Again, Batch, Derivatives, Pick, Selection, check_pictures};
use crate::error::{Error, Result};
use crate::field;
use crate::paths::philox::{Purpose, Stream};
use crate::run::{Measure, Numbers, Part, PartArray, Progress, Ready, Shard, Subject, Task};
use serde_json::json;

/// What to measure.
#[derive(Clone, Debug)]
pub struct PlanesOptions {
    /// Where.
    pub selection: Selection,
    /// How many of each sample and timestep, the fastest; at most D/2.
    pub planes: usize,
    /// Random vectors that a search begins with: planes of one omega are found surely if they are no more than that.
    pub block: usize,
    /// Most products of a block.
    pub steps: usize,
    /// A search ends where residuals are under this share of the largest omega.
    pub tolerance: f64,
    /// Random vectors for |A|, at least 2.
    pub probes: usize,
    /// Planes, spread over the run, whose products the f64 twin computes again.
    pub verified: usize,
}

/// Numbers of a row.
const ROW: usize = size_of::<Row>() / size_of::<f64>();

impl Task for PlanesOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Turning
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let (d, selection) = (subject.dim(), &self.selection);
        selection.check(subject, shard)?;
        field::require_adjoint(subject.field.as_ref())?;
        let wrong = |name: &str, said: String| Err(Error::invalid(name, said));
        if self.planes == 0 || self.planes > d / 2 {
            let most = format!("{}, expected 1..={}, half of the D = {d} components", self.planes, d / 2);
            return wrong("planes", if d < 2 { "one component has no planes".into() } else { most });
        }
        if self.block == 0 || self.block > d {
            return wrong("block", format!("{}, expected 1..={d}, the components of a point", self.block));
        }
        if self.steps.saturating_mul(self.block) < 2 * self.planes {
            let least = (2 * self.planes).div_ceil(self.block);
            return wrong("steps", format!("{}, expected at least {least}: a plane takes two vectors", self.steps));
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return wrong("tolerance", format!("{}, expected more than 0 and less than 1", self.tolerance));
        }
        if self.probes < 2 {
            return wrong("probes", format!("{}, expected at least 2: their spread is the error", self.probes));
        }
        check_pictures(selection.places(shard).saturating_mul(2 * self.planes), d)?;
        let options = json!({
            "planes": self.planes, "block": self.block, "steps": self.steps, "tolerance": self.tolerance,
            "probes": self.probes, "verified_planes": self.verified,
        });
        // A cotangent in f64 takes about as long as two tangents; a plane has two vectors.
        let checks = self.verified.saturating_mul(6);
        let run = move |p: &mut Progress| self.part(subject, shard, p);
        let places = (selection.timesteps.len() * selection.samples) as u64;
        selection.ready_at_most(subject, shard, (places.saturating_mul(self.most(d)), checks), options, run)
    }
}

impl PlanesOptions {
    /// Evaluations that one search takes at most, products counted as one each.
    fn most(&self, d: usize) -> u64 {
        let blocks = self.steps.min(d.div_ceil(self.block)) as u64;
        let vectors = (self.probes + 2 * self.planes) as u64;
        blocks * (1 + 2 * self.block as u64) + 1 + 2 * vectors
    }

    /// Numbers of a place: its rows, then the vectors of its planes.
    fn each(&self, d: usize) -> usize {
        self.planes * (ROW + 2 * d)
    }

    fn limits(&self) -> Limits {
        Limits { steps: self.steps, tolerance: self.tolerance, floor: FLOOR }
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, selection) = (subject.dim(), &self.selection);
        let (samples, each) = (shard.count(selection.samples), self.each(d));
        let mut derivatives =
            Derivatives::both(subject.gpu(), &subject.field, &selection.timesteps, samples, self.block)?;
        let mut all: Vec<f64> = progress.recorded(selection.places(shard), each)?;
        let size = derivatives.batch().min(self.limits().at_once(d, self.block));
        for batch in selection.batches(shard, all.len() / each, size) {
            self.batch(subject, &batch, &mut derivatives, &mut all, progress)?;
        }
        let (mut rows, mut vectors): (Vec<Row>, Vec<f32>) = (vec![], vec![]);
        for place in all.chunks_exact(each) {
            let (own, pictures) = place.split_at(self.planes * ROW);
            rows.extend(bytemuck::pod_collect_to_vec::<f64, Row>(own));
            vectors.extend(pictures.iter().map(|v| *v as f32));
        }
        let picks = selection.picks(shard, self.verified);
        let field = subject.field.as_ref();
        let again = |pick: &Pick| {
            let pair = &vectors[self.picked(pick) * 2 * d..][..2 * d];
            derivatives.again_each(&selection.noisy(subject, pick.sample, pick.k)?.x, pair, (pick.k, pick.sample))
        };
        // What A u and A w of a plane are off by, in units of the largest product at its place.
        let off = |pick: &Pick, again: &Vec<Again>| {
            Again::off(again, field, (|gaps| gaps.anti, rows[self.picked(pick)].size))
        };
        let checked = progress.checks(field.twins_at_once(), &picks, again, off)?;
        for (pick, found) in picks.iter().zip(checked) {
            let row = &mut rows[self.picked(pick)];
            row.checked = row.checked.max(found);
        }
        let facts = json!({ "dimensions": d, "planes_each": self.planes });
        let mut part = selection.part(&Turning, subject, shard, &rows, f64::NAN, facts)?;
        let shape = subject.field.shape();
        let shape = vec![selection.timesteps.len(), samples, self.planes, 2, shape.c, shape.h, shape.w];
        part.arrays.push(PartArray { name: "vectors".into(), shape, axis: Some(1), values: Numbers::F32(vectors) });
        Ok(part)
    }

    /// Which of all planes a pick is of.
    fn picked(&self, pick: &Pick) -> usize {
        pick.place * self.planes + (pick.share * self.planes as f64) as usize
    }

    /// Of every sample of a batch: the rows of its planes, then their vectors, recorded and appended to `all`.
    fn batch(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        all: &mut Vec<f64>,
        progress: &mut Progress,
    ) -> Result<()> {
        let (d, k, selection) = (subject.dim(), batch.k, &self.selection);
        let x = selection.points(subject, batch)?;
        let problem = |&sample: &usize| {
            let stream =
                Stream { seed: selection.seed, purpose: Purpose::Krylov, draw: 0, sample: sample as u32, k: k as u32 };
            let probe = |j| selection.probe(sample, k, j, d).into_iter().map(f64::from).collect();
            Planes::new(d, self.planes, self.block, self.limits(), stream, (0..self.probes).map(probe).collect())
        };
        let mut problems: Vec<Planes> = batch.samples.iter().map(problem).collect();
        let sigma = subject.field.process().noise(k)?.1;
        let sigma2 = if subject.field.require_score("turn").is_ok() { sigma * sigma } else { f64::NAN };
        let done = |progress: &mut Progress, point: usize, lanes: u64, problem: &Planes| {
            let found = numbers(problem, sigma2);
            progress.keep_one(batch.first + point, lanes, &found)?;
            all.extend(found);
            Ok(())
        };
        derivatives.solve(&x, &batch.at(), &mut problems, done, progress)
    }
}

/// What a search found: the rows of its planes, then their vectors.
fn numbers(problem: &Planes, sigma2: f64) -> Vec<f64> {
    let (size, error) = problem.frobenius();
    let mut all = vec![];
    for Plane { omega, residual, .. } in problem.found() {
        let row = Row {
            omega: *omega,
            residual: *residual,
            anti2: [size, error],
            sigma2,
            steps: problem.steps() as f64,
            size: problem.size(),
            checked: f64::NAN,
            arithmetic: f64::NAN,
        };
        all.extend_from_slice(bytemuck::cast_slice(&[row]));
    }
    problem.found().iter().for_each(|p| all.extend(p.u.iter().chain(&p.w)));
    all
}
