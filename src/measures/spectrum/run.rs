//! How spectra are measured: many samples in lock-step, each with its searches. In: a subject, options. Out: a part, a row per end,
//! sample and timestep, and the vectors that belong to them.
use super::Spectrum;
use super::columns::Row;
use super::search::Search;
use crate::diagnostics::krylov::{FLOOR, Limits, Pair, Triplet};
use crate::diagnostics::{Again, Batch, Derivatives, Pick, Selection, check_pictures};
use crate::error::{Error, Result};
use crate::field;
use crate::paths::philox::{Purpose, Stream};
use crate::run::{Measure, Numbers, Part, PartArray, Progress, Ready, Shard, Subject, Task};
use serde_json::json;

/// What to measure.
#[derive(Clone, Debug)]
pub struct SpectrumOptions {
    /// Where.
    pub selection: Selection,
    /// Eigenvalues from each end of H; at most D/2, or 1.
    pub ends: usize,
    /// Random vectors that a search for them begins with: eigenvalues that repeat are all found if they are no more than that.
    pub block: usize,
    /// Most products of a block, and of each side of a search for a singular value.
    pub steps: usize,
    /// A search ends where residuals are under this share of the largest value.
    pub tolerance: f64,
    /// Ends, spread over the run, whose products the f64 twin computes again.
    pub verified: usize,
}

/// Numbers of a row.
const ROW: usize = size_of::<Row>() / size_of::<f64>();

impl Task for SpectrumOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Spectrum
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let (d, selection) = (subject.dim(), &self.selection);
        selection.check(subject, shard)?;
        field::require_adjoint(subject.field.as_ref())?;
        let wrong = |name: &str, said: String| Err(Error::invalid(name, said));
        let most = (d / 2).max(1);
        if self.ends == 0 || self.ends > most {
            return wrong("ends", format!("{}, expected 1..={most}, half of the D = {d} components", self.ends));
        }
        if self.block == 0 || self.block > d {
            return wrong("block", format!("{}, expected 1..={d}, the components of a point", self.block));
        }
        if self.steps.saturating_mul(self.block) < (2 * self.ends).min(d) {
            let least = (2 * self.ends).div_ceil(self.block);
            return wrong("steps", format!("{}, expected at least {least}: each end takes a vector", self.steps));
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return wrong("tolerance", format!("{}, expected more than 0 and less than 1", self.tolerance));
        }
        check_pictures(selection.places(shard).saturating_mul(self.vectors()), d)?;
        let options = json!({
            "ends": self.ends, "block": self.block, "steps": self.steps, "tolerance": self.tolerance,
            "verified_ends": self.verified,
        });
        // A cotangent in f64 takes about as long as two tangents; an end has up to four vectors.
        let checks = self.verified.saturating_mul(6);
        let run = move |p: &mut Progress| self.part(subject, shard, p);
        let places = (selection.timesteps.len() * selection.samples) as u64;
        selection.ready_at_most(subject, shard, (places.saturating_mul(self.most(d)), checks), options, run)
    }
}

impl SpectrumOptions {
    /// Evaluations that one place takes at most, products counted as one each.
    fn most(&self, d: usize) -> u64 {
        let (blocks, sides) = (self.steps.min(d.div_ceil(self.block)) as u64, self.steps.min(d) as u64);
        let each = (1 + 2 * (self.block as u64 + 1)) * blocks.min(2 * sides);
        each + 3 * (2 * sides).saturating_sub(blocks) + 1 + 2 * (2 * self.ends as u64 + 2)
    }

    /// Rows of a place: the ends, and the singular values.
    fn rows(&self) -> usize {
        2 * self.ends + 1
    }

    /// Vectors of a place: one of each end, right and left of J's singular value and of the denoiser's.
    fn vectors(&self) -> usize {
        2 * self.ends + 4
    }

    fn each(&self, d: usize) -> usize {
        self.rows() * ROW + self.vectors() * d
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
        let size = derivatives.batch().min(self.limits().at_once(d, self.block + 4));
        for batch in selection.batches(shard, all.len() / each, size) {
            self.batch(subject, &batch, &mut derivatives, &mut all, progress)?;
        }
        let mut rows: Vec<Row> = vec![];
        let (mut eigen, mut singular): (Vec<f32>, Vec<f32>) = (vec![], vec![]);
        for place in all.chunks_exact(each) {
            let (own, vectors) = place.split_at(self.rows() * ROW);
            let (ends, rest) = vectors.split_at(2 * self.ends * d);
            rows.extend(bytemuck::pod_collect_to_vec::<f64, Row>(own));
            eigen.extend(ends.iter().map(|v| *v as f32));
            singular.extend(rest.iter().map(|v| *v as f32));
        }
        let picks = selection.picks(shard, self.verified);
        let field = subject.field.as_ref();
        let again = |pick: &Pick| {
            let end = self.end(pick);
            let own = if end < 2 * self.ends {
                &eigen[(pick.place * 2 * self.ends + end) * d..][..d]
            } else {
                &singular[pick.place * 4 * d..][..2 * d]
            };
            derivatives.again_each(&selection.noisy(subject, pick.sample, pick.k)?.x, own, (pick.k, pick.sample))
        };
        // What J v and J'v of vectors are off by, in units of the largest product at their place.
        let off = |pick: &Pick, again: &Vec<Again>| {
            Again::off(again, field, (|gaps| gaps.products, rows[pick.place * self.rows()].size))
        };
        let checked = progress.checks(field.twins_at_once(), &picks, again, off)?;
        for (pick, found) in picks.iter().zip(checked) {
            let row = &mut rows[pick.place * self.rows() + self.end(pick)];
            row.checked = row.checked.max(found);
        }
        let mut part = selection.part(&Spectrum, subject, shard, &rows, f64::NAN, json!({ "ends_each": self.ends }))?;
        let shape = subject.field.shape();
        let array = |name: &str, own: &[usize], values| PartArray {
            name: name.into(),
            shape: [&[selection.timesteps.len(), samples], own, &[shape.c, shape.h, shape.w]].concat(),
            axis: Some(1),
            values: Numbers::F32(values),
        };
        part.arrays.push(array("eigenvectors", &[2 * self.ends], eigen));
        part.arrays.push(array("singular_vectors", &[2, 2], singular));
        Ok(part)
    }

    /// Which row of its place a pick is of.
    fn end(&self, pick: &Pick) -> usize {
        (pick.share * self.rows() as f64) as usize
    }

    /// Of every sample of a batch: its rows, then the vectors of each, recorded and appended to `all`.
    fn batch(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        all: &mut Vec<f64>,
        progress: &mut Progress,
    ) -> Result<()> {
        let (d, k, selection) = (subject.dim(), batch.k, &self.selection);
        let (x, (a, sigma)) = (selection.points(subject, batch)?, subject.field.process().noise(k)?);
        let noise = (subject.field.require_score("denoiser").is_ok() && a > 0.0).then_some([a, sigma]);
        let problem = |&sample: &usize| {
            let stream =
                Stream { seed: selection.seed, purpose: Purpose::Krylov, draw: 0, sample: sample as u32, k: k as u32 };
            Search::new(d, (self.ends, self.block), self.limits(), stream, noise)
        };
        let mut problems: Vec<Search> = batch.samples.iter().map(problem).collect();
        let done = |progress: &mut Progress, point: usize, lanes: u64, search: &Search| {
            let found = self.numbers(search, noise, d);
            progress.keep_one(batch.first + point, lanes, &found)?;
            all.extend(found);
            Ok(())
        };
        derivatives.solve(&x, &batch.at(), &mut problems, done, progress)
    }

    /// What a search found: rows, then vectors; NaN for the denoiser of what is no score.
    fn numbers(&self, search: &Search, noise: Option<[f64; 2]>, d: usize) -> Vec<f64> {
        let [shift, factor] = noise.map_or([f64::NAN; 2], |[a, sigma]| [1.0 / a, sigma * sigma / a]);
        let (size, nan) = (search.size(), vec![f64::NAN; d]);
        let (mut rows, mut vectors): (Vec<f64>, Vec<f64>) = (vec![], vec![]);
        let mut add = |[value, residual, denoiser, denoiser_residual]: [f64; 4]| {
            let (checked, arithmetic) = (f64::NAN, f64::NAN);
            let row = Row { value, residual, denoiser, denoiser_residual, factor, size, checked, arithmetic };
            rows.extend_from_slice(bytemuck::cast_slice::<Row, f64>(&[row]));
        };
        for Pair { value, residual, vector } in search.ends.found() {
            add([*value, *residual, shift + factor * value, factor * residual]);
            vectors.extend(vector);
        }
        let [own, denoiser] = [search.field.found(), search.denoiser.as_ref().and_then(|d| d.found())];
        let of = |t: Option<&Triplet>| t.map_or([f64::NAN; 2], |t| [t.value, t.residual]);
        let ([value, residual], [denoised, denoised_residual]) = (of(own), of(denoiser));
        add([value, residual, denoised, denoised_residual]);
        for triplet in [own, denoiser] {
            vectors.extend(triplet.map_or(&nan, |t| &t.right));
            vectors.extend(triplet.map_or(&nan, |t| &t.left));
        }
        rows.extend(vectors);
        rows
    }
}
