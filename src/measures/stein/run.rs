//! The Stein operator on the error field (paper, eq. 20, 21, Fig. 4): `e = s - s_theta`, `S = div e + s.e` per sample.
//! For s the conditional score -eps / sigma (div s = -D / sigma^2) `E[S] = 0` for any e (Stein's identity): the mean checks
//! the estimator and the spread informs; |e| then includes the gap between conditional and marginal score. Where the
//! marginal score is known as a field, it can be s. In: a subject, options. Out: a part, a row per place.
use super::Stein;
use super::columns::Row;
use crate::diagnostics::{Batch, Derivatives, Divergence, Noisy, Pick, Selection, dot, lanes};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::run::{Measure, Part, Progress, Ready, Shard, Subject, Task, worst};
use serde_json::json;
use std::sync::Arc;

/// What to measure.
#[derive(Clone)]
pub struct SteinOptions {
    /// Where.
    pub selection: Selection,
    /// How div s_theta is found.
    pub divergence: Divergence,
    /// The score that made the samples; none for the conditional score -eps / sigma.
    pub reference: Option<Arc<dyn Field>>,
    /// Why the reference may be of another system.
    pub warnings: Vec<String>,
    /// Tangents, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// Numbers of a row.
const ROW: usize = size_of::<Row>() / size_of::<f64>();

impl Task for SteinOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Stein
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let selection = &self.selection;
        selection.check(subject, shard)?;
        subject.field.require_score("stein")?;
        self.divergence.check()?;
        if let Some(reference) = &self.reference {
            self.fits(reference.as_ref(), subject.field.as_ref())?;
        }
        let places = selection.timesteps.len() * selection.samples;
        let fields = if self.reference.is_some() { 2 } else { 1 };
        let lanes = lanes(fields, places, self.divergence.tangents(subject.dim()));
        let options = json!({
            "divergence": self.divergence.name(), "verified_tangents": self.verified,
            "reference": self.reference.as_ref().map_or("conditional score".into(), |r| r.describe()),
        });
        let run = move |p: &mut Progress| self.part(subject, shard, p);
        let ready = selection.ready(subject, shard, (lanes, self.verified), options, run)?;
        Ok(Ready { warnings: self.warnings.clone(), ..ready })
    }
}

impl SteinOptions {
    /// Refuses a reference of another shape or process than the field that is measured.
    fn fits(&self, reference: &dyn Field, field: &dyn Field) -> Result<()> {
        reference.require_score("reference")?;
        if reference.shape() != field.shape() {
            let found = reference.shape();
            return Err(Error::invalid("reference", format!("is of shape {found}, the model of {}", field.shape())));
        }
        for &k in &self.selection.timesteps {
            let [theirs, ours] = [reference.process().noise(k)?, field.process().noise(k)?];
            if theirs != ours {
                let found = format!("has (a, sigma) {theirs:?} at timestep {k}, the model {ours:?}");
                return Err(Error::invalid("reference", found));
            }
        }
        Ok(())
    }

    fn tangent(&self, dim: usize, sample: usize, k: usize, j: usize) -> Vec<f32> {
        self.divergence.tangent(dim, j, || self.selection.probe(sample, k, j, dim))
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, selection) = (subject.dim(), &self.selection);
        let count = self.divergence.tangents(d);
        let (samples, ks) = (shard.count(selection.samples), &selection.timesteps);
        let of = |field| Derivatives::new(subject.gpu(), field, ks, samples, count);
        let mut model = of(&subject.field)?;
        let mut other = self.reference.as_ref().map(of).transpose()?;
        // Of every place: its row, and v.J v of every tangent.
        let mut all: Vec<f64> = progress.recorded(selection.places(shard), ROW + count)?;
        for batch in selection.batches(shard, all.len() / (ROW + count), model.batch()) {
            self.batch(subject, &batch, (&mut model, other.as_mut()), &mut all, progress)?;
        }
        let picks = selection.picks(shard, self.verified);
        let check = |&Pick { place, k, sample, share }: &Pick, _: &()| {
            let j = (share * count as f64) as usize;
            let (v, point) = (self.tangent(d, sample, k, j), selection.noisy(subject, sample, k)?);
            let twin = subject.field.twin(&Dual::along(&point.x, &v), k, sample)?;
            let twin: f64 = twin.iter().zip(&v).map(|(y, &v)| y.d * f64::from(v)).sum();
            Ok((all[place * (ROW + count) + ROW + j] - twin).abs() / twin.abs().max(f64::MIN_POSITIVE))
        };
        let found = progress.checks(subject.field.twins_at_once(), &picks, |_| Ok(()), check)?;
        let worst = worst(self.verified, &found);
        let facts = json!({
            "divergence": self.divergence.name(),
            "reference": if self.reference.is_some() { "field" } else { "conditional score" },
        });
        let rows = all.chunks_exact(ROW + count).flat_map(|c| bytemuck::pod_collect_to_vec(&c[..ROW]));
        selection.part(&Stein, subject, shard, &rows.collect::<Vec<Row>>(), worst, facts)
    }

    /// Of every sample of a batch: its row, and v.J v of every tangent, recorded and appended to `all`.
    fn batch(
        &self,
        subject: &Subject,
        batch: &Batch,
        (model, other): (&mut Derivatives, Option<&mut Derivatives>),
        all: &mut Vec<f64>,
        progress: &mut Progress,
    ) -> Result<()> {
        let (d, k, own) = (subject.dim(), batch.k, &batch.samples);
        let count = self.divergence.tangents(d);
        let sigma = subject.field.process().noise(k)?.1;
        let points = own.iter().map(|&sample| self.selection.noisy(subject, sample, k));
        let points: Vec<Noisy> = points.collect::<Result<_>>()?;
        let x: Vec<f32> = points.iter().flat_map(|p| p.x.iter().copied()).collect();
        let tangent = |point: usize, j: usize| self.tangent(d, own[point], k, j);
        let mut lanes = model.lanes(count);
        let mut known = None;
        if let Some(other) = other {
            lanes += other.lanes(count);
            let mut found = vec![0f64; own.len() * count];
            let s = other.run(
                &x,
                &batch.at(),
                count,
                |point, j, v| v.copy_from_slice(&tangent(point, j)),
                |point, j, row| found[point * count + j] = dot(&tangent(point, j), row),
                progress,
            )?;
            known = Some((s, found));
        }
        model.reduce(
            (&x, &batch.at(), count),
            &vec![0f64; count],
            |point, j, v| v.copy_from_slice(&tangent(point, j)),
            |theirs, point, j, row| theirs[j] = dot(&tangent(point, j), row),
            |progress, i, theirs, values| {
                let (score, ours): (Vec<f64>, Vec<f64>) = match &known {
                    Some((s, found)) => (
                        s[i * d..(i + 1) * d].iter().map(|&v| f64::from(v)).collect(),
                        found[i * count..(i + 1) * count].to_vec(),
                    ),
                    None => {
                        // J = -I / sigma^2: every sign vector gives the trace, every unit vector its share.
                        let each = -1.0 / (sigma * sigma);
                        let share = if self.divergence == Divergence::Exact { each } else { each * d as f64 };
                        (points[i].eps.iter().map(|e| -e / sigma).collect(), vec![share; count])
                    }
                };
                let error: Vec<f64> = score.iter().zip(values).map(|(s, &v)| s - f64::from(v)).collect();
                let row = Row::of(self.divergence, &score, &error, &ours, &theirs);
                let mut found = bytemuck::cast_slice::<Row, f64>(&[row]).to_vec();
                found.extend(theirs);
                progress.keep_one(batch.first + i, lanes, &found)?;
                all.extend(found);
                Ok(())
            },
            progress,
        )
    }
}
