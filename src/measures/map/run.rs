//! How maps are measured: J v and J'v of random vectors, whose halves' squares are summed pixel by pixel. In: a subject, options. Out: a
//! part, a row and four pictures per timestep and sample.
use super::Map;
use super::columns::Row;
use crate::diagnostics::{Batch, Derivatives, Pick, Selection, check_pictures, halves, lanes, unit};
use crate::error::{Error, Result};
use crate::field;
use crate::run::{Measure, Numbers, Part, PartArray, Progress, Ready, Shard, Subject, Task};
use serde_json::json;

/// What to measure.
#[derive(Clone, Debug)]
pub struct MapOptions {
    /// Where.
    pub selection: Selection,
    /// Random vectors per sample and timestep, at least 2; none for all D unit vectors, which is exact.
    pub probes: Option<usize>,
    /// Probes, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// The pictures of a place, in the order in which they are kept: mean squares of A v and of H v with their standard errors.
pub(super) const PICTURES: [&str; 4] = ["r", "r_se", "q", "q_se"];
/// Clean samples.
pub(super) const CLEAN: &str = "clean";
/// Numbers of a row that are known before the twin is asked.
const HEAD: usize = 6;

impl Task for MapOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Map
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let (d, selection) = (subject.dim(), &self.selection);
        selection.check(subject, shard)?;
        field::require_adjoint(subject.field.as_ref())?;
        check_pictures(selection.places(shard) * PICTURES.len(), d)?;
        let count = self.count(d);
        if count < 2 {
            return Err(Error::invalid("probes", format!("{count}, expected at least 2: their spread is the error")));
        }
        let lanes = lanes(1, selection.timesteps.len() * selection.samples, count.saturating_mul(2));
        let probes = self.probes.map_or("all".into(), |n| n.to_string());
        let options = json!({ "probes": probes, "verified_probes": self.verified });
        // A cotangent in f64 takes about as long as two tangents.
        let checks = self.verified.saturating_mul(3);
        selection.ready(subject, shard, (lanes, checks), options, move |p| self.part(subject, shard, p))
    }
}

impl MapOptions {
    /// Vectors per sample and timestep.
    fn count(&self, dim: usize) -> usize {
        self.probes.unwrap_or(dim)
    }

    fn vector(&self, dim: usize, sample: usize, k: usize, j: usize) -> Vec<f32> {
        match self.probes {
            Some(_) => self.selection.probe(sample, k, j, dim),
            None => unit(dim, j),
        }
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, selection) = (subject.dim(), &self.selection);
        let (count, samples) = (self.count(d), shard.count(selection.samples));
        let ks = &selection.timesteps;
        let mut derivatives = Derivatives::both(subject.gpu(), &subject.field, ks, samples, count)?;
        // Of every place: the head of its row, and its pictures.
        let each = HEAD + PICTURES.len() * d;
        let mut all: Vec<f64> = progress.recorded(selection.places(shard), each)?;
        for batch in selection.batches(shard, all.len() / each, derivatives.batch()) {
            self.batch(subject, &batch, &mut derivatives, &mut all, progress)?;
        }
        let row = |place: &[f64]| {
            let pair = |i: usize| [place[2 * i], place[2 * i + 1]];
            Row { nasym: pair(0), anti2: pair(1), sym2: pair(2), ..Row::of(&[], true) }
        };
        let mut rows: Vec<Row> = all.chunks_exact(each).map(row).collect();
        let picks = selection.picks(shard, self.verified);
        let field = subject.field.as_ref();
        let again = |&Pick { k, sample, share, .. }: &Pick| {
            let v = self.vector(d, sample, k, (share * count as f64) as usize);
            derivatives.again(&selection.noisy(subject, sample, k)?.x, &v, (k, sample))
        };
        let checked = progress.checks(field.twins_at_once(), &picks, again, |_, again| again.gaps(field))?;
        for (pick, found) in picks.iter().zip(checked) {
            rows[pick.place].checked = rows[pick.place].checked.max(found);
        }
        let shape = subject.field.shape();
        let facts = json!({
            "probes": count, "exact": self.probes.is_none(), "dimensions": d, "picture": [shape.c, shape.h, shape.w],
        });
        let mut part = selection.part(&Map, subject, shard, &rows, f64::NAN, facts)?;
        for (i, name) in PICTURES.into_iter().enumerate() {
            let picture = |place: &[f64]| place[HEAD + i * d..][..d].iter().map(|&v| v as f32).collect::<Vec<_>>();
            let values = Numbers::F32(all.chunks_exact(each).flat_map(picture).collect());
            let shape = vec![ks.len(), samples, shape.c, shape.h, shape.w];
            part.arrays.push(PartArray { name: name.into(), shape, axis: Some(1), values });
        }
        let clean = |i: usize| subject.images.values[shard.sample(i) * d..][..d].to_vec();
        part.arrays.push(PartArray {
            name: CLEAN.into(),
            shape: vec![samples, shape.c, shape.h, shape.w],
            axis: Some(0),
            values: Numbers::F32((0..samples).flat_map(clean).collect()),
        });
        Ok(part)
    }

    /// Of every sample of a batch: the head of its row, and its pictures, recorded and appended to `all`.
    fn batch(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        all: &mut Vec<f64>,
        progress: &mut Progress,
    ) -> Result<()> {
        let d = subject.dim();
        let (count, exact) = (self.count(d), self.probes.is_none());
        let lanes = derivatives.lanes(count);
        // Of each probe |A v|^2 and |H v|^2; of each pixel sums over probes of (A v)_i^2, of its square, and of the same of H v.
        let nothing = (vec![[0f64; 2]; count], vec![[0f64; 4]; d]);
        derivatives.reduce_both(
            (&self.selection.points(subject, batch)?, &batch.at(), count),
            &nothing,
            |point, j, v| v.copy_from_slice(&self.vector(d, batch.samples[point], batch.k, j)),
            |(totals, sums), _, j, jv, jtv| {
                let total = &mut totals[j];
                for (sum, (a, h)) in sums.iter_mut().zip(halves(jv, jtv)) {
                    let (a, h) = (a * a, h * h);
                    *total = [total[0] + a, total[1] + h];
                    *sum = [sum[0] + a, sum[1] + a * a, sum[2] + h, sum[3] + h * h];
                }
            },
            |progress, point, (totals, sums), _| {
                let Row { nasym, anti2, sym2, .. } = Row::of(&totals, exact);
                let mut found = [nasym, anti2, sym2].concat();
                for (sum, square) in [(0, 1), (2, 3)] {
                    let picture = sums.iter().map(|s| mean(s[sum], s[square], count, exact));
                    let (means, errors): (Vec<f64>, Vec<f64>) = picture.unzip();
                    found.extend(means);
                    found.extend(errors);
                }
                progress.keep_one(batch.first + point, lanes, &found)?;
                all.extend(found);
                Ok(())
            },
            progress,
        )
    }
}

/// Mean and its standard error from a sum and a sum of squares; of all unit vectors the sum itself, without one.
fn mean(sum: f64, square: f64, count: usize, exact: bool) -> (f64, f64) {
    let n = count as f64;
    if exact {
        return (sum, if sum.is_finite() { 0.0 } else { f64::NAN });
    }
    (sum / n, ((square - sum * sum / n).max(0.0) / (n - 1.0) / n).sqrt())
}
