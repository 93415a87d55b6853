//! How asymmetry is measured: products of the Jacobian with random vectors, or with all unit vectors. In: a subject, options. Out: a
//! part, a row per timestep and sample.
use super::Asymmetry;
use super::columns::{Checked, Probe, Row};
use crate::diagnostics::{Again, Batch, Derivatives, Noisy, Pick, Selection, dot, lanes, unit};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::{self, Field};
use crate::run::{Measure, Part, Progress, Ready, Shard, Subject, Task};
use serde_json::json;

/// What each probe is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// J v and J'v: |A|^2 = E |A v|^2, which scatters by |A|^2 alone.
    Both,
    /// J v and J(J v), for fields without adjoints.
    Forward,
}

impl Estimator {
    /// Both modes, where a field has them.
    pub fn of(field: &dyn Field) -> Self {
        if field.has_adjoint() { Estimator::Both } else { Estimator::Forward }
    }

    /// By the name that `--estimator` has for it; both by any other.
    pub(super) fn named(name: &str) -> Self {
        if name == Estimator::Forward.name() { Estimator::Forward } else { Estimator::Both }
    }

    /// As manifests have it.
    pub fn name(self) -> &'static str {
        match self {
            Estimator::Both => "both",
            Estimator::Forward => "forward",
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct AsymmetryOptions {
    /// Where.
    pub selection: Selection,
    /// How.
    pub estimator: Estimator,
    /// Random vectors per sample and timestep, at least 2; none for all D unit vectors, which is exact.
    pub probes: Option<usize>,
    /// Probes, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// 16 probes at 256 samples, in both modes.
impl Default for AsymmetryOptions {
    fn default() -> Self {
        let selection = Selection { timesteps: (1..1000).step_by(10).collect(), samples: 256, seed: 0 };
        Self { selection, estimator: Estimator::Both, probes: Some(16), verified: 4 }
    }
}

impl Task for AsymmetryOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Asymmetry
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        self.selection.check(subject, shard)?;
        let count = self.count(subject.dim());
        if count < 2 {
            return Err(Error::invalid("probes", format!("{count}, expected at least 2: their spread is the error")));
        }
        let places = self.selection.timesteps.len() * self.selection.samples;
        let probes = self.probes.map_or("all".into(), |n| n.to_string());
        let without = !subject.field.has_adjoint();
        let options = json!({
            "probes": probes, "verified_probes": self.verified, "estimator": self.estimator.name(),
            "estimator_because": without.then_some(WITHOUT),
        });
        // A cotangent in f64 takes about as long as two tangents.
        let (lanes, each) = match self.estimator {
            Estimator::Both => {
                field::require_adjoint(subject.field.as_ref())?;
                (lanes(1, places, count.saturating_mul(2)), 3)
            }
            Estimator::Forward => (lanes(2, places, count), 2),
        };
        let checks = self.verified.saturating_mul(each);
        let run = move |p: &mut Progress| self.part(subject, shard, p);
        let ready = self.selection.ready(subject, shard, (lanes, checks), options, run)?;
        let notes = if without { format!("estimator    forward: {WITHOUT}\n") } else { String::new() };
        Ok(Ready { notes, ..ready })
    }
}

/// Why a field is measured by the forward estimator.
const WITHOUT: &str = "the field has no adjoint";

impl AsymmetryOptions {
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
        let count = self.count(d);
        let samples = shard.count(selection.samples);
        let open = match self.estimator {
            Estimator::Both => Derivatives::both,
            Estimator::Forward => Derivatives::new,
        };
        let mut derivatives = open(subject.gpu(), &subject.field, &selection.timesteps, samples, count)?;
        let mut probes: Vec<Probe> = progress.recorded(selection.places(shard), count)?;
        for batch in selection.batches(shard, probes.len() / count, derivatives.batch()) {
            match self.estimator {
                Estimator::Both => self.both(subject, &batch, &mut derivatives, &mut probes, progress)?,
                Estimator::Forward => self.forward(subject, &batch, &mut derivatives, &mut probes, progress)?,
            }
        }
        let mut rows: Vec<Row> = probes.chunks_exact(count).map(|p| Row::of(p, self.probes.is_none())).collect();
        let picks = selection.picks(shard, self.verified);
        let field = subject.field.as_ref();
        let picked = |pick: &Pick| (pick.share * count as f64) as usize;
        let again = |pick: &Pick| {
            let (v, at) = (self.vector(d, pick.sample, pick.k, picked(pick)), (pick.k, pick.sample));
            let both = self.estimator == Estimator::Both;
            both.then(|| derivatives.again(&selection.noisy(subject, pick.sample, pick.k)?.x, &v, at)).transpose()
        };
        let check = |pick: &Pick, again: &Option<Again>| {
            if let Some(again) = again {
                return Ok(again.gaps(field)?.into());
            }
            let &Pick { place, k, sample, .. } = pick;
            let (v, Noisy { x, .. }) = (self.vector(d, sample, k, picked(pick)), selection.noisy(subject, sample, k)?);
            let twin = by_twin(field, &x, &v, (k, sample))?;
            Ok(compared(&probes[place * count + picked(pick)], &twin, dot(&v, &v)))
        };
        let checked = progress.checks(field.twins_at_once(), &picks, again, check)?;
        for (pick, found) in picks.iter().zip(checked) {
            rows[pick.place].checked = rows[pick.place].checked.max(found);
        }
        let facts = json!({
            "probes": count, "exact": self.probes.is_none(), "dimensions": d, "estimator": self.estimator.name(),
        });
        selection.part(&Asymmetry, subject, shard, &rows, f64::NAN, facts)
    }

    /// What the probes of a batch say, J v and J'v of each, recorded sample by sample and appended to `all`.
    fn both(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        all: &mut Vec<Probe>,
        progress: &mut Progress,
    ) -> Result<()> {
        let d = subject.dim();
        let count = self.count(d);
        let lanes = derivatives.lanes(count);
        let own = |point: usize, j: usize| self.vector(d, batch.samples[point], batch.k, j);
        derivatives.reduce_both(
            (&self.selection.points(subject, batch)?, &batch.at(), count),
            &vec![Probe::default(); count],
            |point, j, v| v.copy_from_slice(&own(point, j)),
            |found, point, j, jv, jtv| found[j] = Probe::of_both(&own(point, j), jv, jtv),
            |progress, point, found, _| {
                progress.keep_one(batch.first + point, lanes, &found)?;
                all.extend(found);
                Ok(())
            },
            progress,
        )
    }

    /// What the probes of a batch say, J v of each, then J(J v), recorded sample by sample and appended to `all`.
    fn forward(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        all: &mut Vec<Probe>,
        progress: &mut Progress,
    ) -> Result<()> {
        let d = subject.dim();
        let count = self.count(d);
        let lanes = 2 * derivatives.lanes(count);
        let (x, at) = (self.selection.points(subject, batch)?, batch.at());
        let own = |point: usize, j: usize| self.vector(d, batch.samples[point], batch.k, j);
        let mut first = vec![Probe::default(); batch.samples.len() * count];
        let mut jv = vec![0f32; batch.samples.len() * count * d];
        derivatives.run(
            &x,
            &at,
            count,
            |point, j, v| v.copy_from_slice(&own(point, j)),
            |point, j, row| {
                let at = point * count + j;
                first[at] = Probe::of_forward(dot(row, row), dot(&own(point, j), row), 0.0);
                jv[at * d..(at + 1) * d].copy_from_slice(row);
            },
            progress,
        )?;
        derivatives.reduce(
            (&x, &at, count),
            &vec![Probe::default(); count],
            |point, j, v| v.copy_from_slice(&jv[(point * count + j) * d..][..d]),
            |found, point, j, row| {
                let Probe { fro2, trace, .. } = first[point * count + j];
                found[j] = Probe::of_forward(fro2, trace, dot(&own(point, j), row));
            },
            |progress, point, found, _| {
                progress.keep_one(batch.first + point, lanes, &found)?;
                all.extend(found);
                Ok(())
            },
            progress,
        )
    }
}

/// The forward estimator's products in f64.
fn by_twin(field: &dyn Field, x: &[f32], v: &[f32], (k, sample): (usize, usize)) -> Result<Probe> {
    let jv: Vec<f64> = field.twin(&Dual::along(x, v), k, sample)?.iter().map(|y| y.d).collect();
    let onward: Vec<Dual> = x.iter().zip(&jv).map(|(&x, &d)| Dual::new(f64::from(x), d)).collect();
    let jjv = field.twin(&onward, k, sample)?;
    let with_v = |of: &mut dyn Iterator<Item = f64>| of.zip(v).map(|(y, &v)| y * f64::from(v)).sum::<f64>();
    let trace = with_v(&mut jv.iter().copied());
    Ok(Probe::of_forward(jv.iter().map(|y| y * y).sum(), trace, with_v(&mut jjv.iter().map(|y| y.d))))
}

/// How far a probe of the forward estimator is from the twin's; `square` is |v|^2.
fn compared(got: &Probe, twin: &Probe, square: f64) -> Checked {
    // A unit vector's own share can be far from the whole's: differences are in units of that vector's |J v|^2.
    let gap = ((got.fro2 - twin.fro2).abs() + (got.trace2 - twin.trace2).abs()) / (2.0 * twin.fro2);
    // |v| |J v| is the most that v.J v can be.
    let trace = (got.trace - twin.trace).abs() / (square * twin.fro2).sqrt();
    let worst = gap.max(trace).max((got.nasym() - twin.nasym()).abs());
    Checked { anti: worst, products: worst }
}
