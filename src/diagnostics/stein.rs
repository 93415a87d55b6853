//! The Stein operator on the error field (paper, eq. 20, 21, Fig. 4): e = s - s_theta, S = div e + s.e per sample.
//! For s the conditional score -eps / sigma (div s = -D / sigma^2) E[S] = 0 for any e (Stein's identity): the mean checks
//! the estimator and the spread informs; |e| then includes the gap between conditional and marginal score. Where the
//! marginal score is known as a field, it can be s. In: fields, images, options. Out: `run::Table`.
use super::derivatives::Derivatives;
use super::numbers::dot;
use super::points::{Noisy, Pick, Selection};
use super::progress::Progress;
use crate::data::Images;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::Gpu;
use crate::measures::Stein;
use crate::measures::stein::Row;
use crate::run::{Part, Table};
use crate::summary::stats::mean;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Dimensions up to which the divergence is the exact trace unless told otherwise.
pub const EXACT: usize = 256;

/// How a divergence is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The trace: D tangents.
    Exact,
    /// Mean of v.J v over this many random tangents v of +1 and -1, at least 2 (Hutchinson).
    Hutchinson(usize),
}

impl Divergence {
    /// Exact in few dimensions, else 16 probes.
    pub fn of(dim: usize) -> Self {
        if dim <= EXACT { Divergence::Exact } else { Divergence::Hutchinson(16) }
    }

    pub(super) fn check(self) -> Result<()> {
        match self {
            Divergence::Hutchinson(n) if n < 2 => {
                Err(Error::invalid("probes", format!("{n}, expected at least 2: their spread is the error")))
            }
            _ => Ok(()),
        }
    }

    /// Tangents per point in `dim` dimensions.
    pub fn tangents(self, dim: usize) -> usize {
        match self {
            Divergence::Exact => dim,
            Divergence::Hutchinson(n) => n,
        }
    }

    /// Value and standard error from v.J v of every tangent.
    pub(super) fn of_products(self, products: &[f64]) -> (f64, f64) {
        match self {
            Divergence::Exact => (products.iter().sum(), 0.0),
            Divergence::Hutchinson(_) => mean(products),
        }
    }

    /// As manifests have it.
    pub fn name(self) -> String {
        match self {
            Divergence::Exact => "exact".into(),
            Divergence::Hutchinson(n) => format!("hutchinson, {n} probes"),
        }
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct SteinOptions {
    /// Where.
    pub selection: Selection,
    /// How div s_theta is found.
    pub divergence: Divergence,
    /// Tangents, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// Lanes that a run takes, a sample's value counted once however many tangents fit at a time.
pub fn stein_lanes(options: &SteinOptions, dim: usize, reference: bool) -> u64 {
    let places = options.selection.timesteps.len() * options.selection.samples;
    let fields = if reference { 2 } else { 1 };
    (fields * places * (1 + options.divergence.tangents(dim))) as u64
}

/// Measures. `reference` is the score that made the samples; none for the conditional score -eps / sigma. `observe` is
/// told the lanes that ran and may stop the run.
pub fn stein(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    reference: Option<&Arc<dyn Field>>,
    images: &Images,
    options: &SteinOptions,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    stein_part(gpu, field, reference, images, options, Progress::new(observe))?.finish()
}

/// `stein` of a shard, going on where its journal ends, up to what shards have in common.
pub fn stein_part(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    reference: Option<&Arc<dyn Field>>,
    images: &Images,
    options: &SteinOptions,
    mut progress: Progress,
) -> Result<Part> {
    let (d, selection, shard) = (field.shape().len(), &options.selection, progress.shard);
    selection.check(field.as_ref(), images, shard)?;
    options.divergence.check()?;
    let count = options.divergence.tangents(d);
    let samples = shard.count(selection.samples);
    let ks = &selection.timesteps;
    let mut model = Derivatives::new(gpu, field, ks, samples, count)?;
    let mut other = None;
    if let Some(reference) = reference {
        if reference.shape() != field.shape() {
            let found = reference.shape();
            return Err(Error::invalid("reference", format!("is of shape {found}, the model of {}", field.shape())));
        }
        for &k in ks {
            let [theirs, ours] = [reference.process().noise(k)?, field.process().noise(k)?];
            if theirs != ours {
                let found = format!("has (a, sigma) {theirs:?} at timestep {k}, the model {ours:?}");
                return Err(Error::invalid("reference", found));
            }
        }
        other = Some(Derivatives::new(gpu, reference, ks, samples, count)?);
    }
    let tangent = |sample: usize, k: usize, j: usize| match options.divergence {
        Divergence::Hutchinson(_) => selection.probe(sample, k, j, d),
        Divergence::Exact => (0..d).map(|i| f32::from(i == j)).collect(),
    };
    // Of every place: its row, and v.J v of every tangent.
    let row = size_of::<Row>() / size_of::<f64>();
    let mut all: Vec<f64> = progress.recorded(selection.places(shard), row + count)?;
    for batch in selection.batches(shard, all.len() / (row + count), model.batch()) {
        let (k, own, at) = (batch.k, &batch.samples, batch.at());
        let sigma = field.process().noise(k)?.1;
        let points: Vec<Noisy> =
            own.iter().map(|&sample| selection.noisy(field.as_ref(), images, sample, k)).collect::<Result<_>>()?;
        let x: Vec<f32> = points.iter().flat_map(|p| p.x.iter().copied()).collect();
        let mut look = |derivatives: &mut Derivatives| -> Result<(Vec<f32>, Vec<f64>)> {
            let mut found = vec![0f64; own.len() * count];
            let s = derivatives.run(
                &x,
                &at,
                count,
                |point, j, v| v.copy_from_slice(&tangent(own[point], k, j)),
                |point, j, row| found[point * count + j] = dot(&tangent(own[point], k, j), row),
                &mut progress,
            )?;
            Ok((s, found))
        };
        let (values, found) = look(&mut model)?;
        let known = other.as_mut().map(&mut look).transpose()?;
        let first = all.len();
        for (i, point) in points.iter().enumerate() {
            let theirs = &found[i * count..(i + 1) * count];
            let (score, ours): (Vec<f64>, Vec<f64>) = match &known {
                Some((s, found)) => (
                    s[i * d..(i + 1) * d].iter().map(|&v| f64::from(v)).collect(),
                    found[i * count..(i + 1) * count].to_vec(),
                ),
                None => {
                    // J = -I / sigma^2: every sign vector gives the trace, every unit vector its share.
                    let each = -1.0 / (sigma * sigma);
                    let share = if options.divergence == Divergence::Exact { each } else { each * d as f64 };
                    (point.eps.iter().map(|e| -e / sigma).collect(), vec![share; count])
                }
            };
            let error: Vec<f64> = score.iter().zip(&values[i * d..]).map(|(s, &v)| s - f64::from(v)).collect();
            let work: f64 = score.iter().zip(&error).map(|(s, e)| s * e).sum();
            let div_error: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
            let (div, se) = options.divergence.of_products(&div_error);
            let about = Row {
                error_norm: error.iter().map(|e| e * e).sum::<f64>().sqrt(),
                stein: [div + work, se],
                div_model: options.divergence.of_products(theirs).0,
                div_score: options.divergence.of_products(&ours).0,
                work,
                size: theirs.iter().map(|v| v.abs()).sum::<f64>()
                    / if options.divergence == Divergence::Exact { 1.0 } else { count as f64 },
                arithmetic: f64::NAN,
            };
            all.extend_from_slice(bytemuck::cast_slice(&[about]));
            all.extend_from_slice(theirs);
        }
        progress.keep(batch.first, batch.samples.len(), &all[first..])?;
    }
    let picks = selection.picks(shard, options.verified);
    let worst = progress.worst(options.verified, &picks, |&Pick { place, k, sample, share }| {
        let j = (share * count as f64) as usize;
        let (v, point) = (tangent(sample, k, j), selection.noisy(field.as_ref(), images, sample, k)?);
        let twin: f64 =
            field.twin(&Dual::along(&point.x, &v), k)?.iter().zip(&v).map(|(y, &v)| y.d * f64::from(v)).sum();
        Ok((all[place * (row + count) + row + j] - twin).abs() / twin.abs().max(f64::MIN_POSITIVE))
    })?;
    let facts = json!({
        "divergence": options.divergence.name(),
        "reference": if reference.is_some() { "field" } else { "conditional score" },
    });
    let rows: Vec<Row> = all.chunks_exact(row + count).flat_map(|c| bytemuck::pod_collect_to_vec(&c[..row])).collect();
    Ok(Part { origin: progress.origin, ..selection.part(&Stein, field.as_ref(), shard, &rows, worst, facts)? })
}
