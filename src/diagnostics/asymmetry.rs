//! Asymmetry of the whole Jacobian without ever holding it, forward mode only (after arXiv 2209.12753): with E[v v'] = I,
//! |J|^2 = E |J v|^2, tr J = E v.J v, tr J^2 = E v.J(J v), and nasym = |J - J'|^2 / (4 |J|^2) = (|J|^2 - tr J^2) / (2 |J|^2):
//! 0 for a gradient, 1 for an antisymmetric J. Two chained tangents per probe v; or all D unit vectors, then exactly.
//! In: a field, clean images, options. Out: `run::Table`, columns [timestep, sample], with standard errors over probes.
use super::derivatives::Derivatives;
use super::numbers::dot;
use super::points::{Noisy, Pick, Selection};
use super::progress::Progress;
use crate::data::Images;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::Gpu;
use crate::measures::Asymmetry;
use crate::measures::asymmetry::Row;
use crate::run::{Part, Table};
use crate::summary::stats::mean;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What to measure.
#[derive(Clone, Debug)]
pub struct AsymmetryOptions {
    /// Where.
    pub selection: Selection,
    /// Random tangents per sample and timestep, at least 2; none for all D unit vectors, which is exact.
    pub probes: Option<usize>,
    /// Probes, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// 16 probes at 256 samples.
impl Default for AsymmetryOptions {
    fn default() -> Self {
        let selection = Selection { timesteps: (1..1000).step_by(10).collect(), samples: 256, seed: 0 };
        Self { selection, probes: Some(16), verified: 4 }
    }
}

/// What one tangent says: |J v|^2, v.J v, v.J(J v).
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Probe {
    fro2: f64,
    trace: f64,
    trace2: f64,
}

impl Probe {
    fn nasym(&self) -> f64 {
        (self.fro2 - self.trace2) / (2.0 * self.fro2)
    }
}

/// The estimates of one place. `exact`: the probes are all unit vectors, whose sum is the thing itself.
fn row(probes: &[Probe], exact: bool) -> Row {
    let over = |value: fn(&Probe) -> f64| {
        let values: Vec<f64> = probes.iter().map(value).collect();
        if exact { [values.iter().sum(), 0.0] } else { mean(&values).into() }
    };
    let (fro2, trace, trace2) = (over(|p| p.fro2), over(|p| p.trace), over(|p| p.trace2));
    let nasym = (fro2[0] - trace2[0]) / (2.0 * fro2[0]);
    // A ratio of means: to first order its error is that of the mean of what each probe leaves of it.
    let left: Vec<f64> = probes.iter().map(|p| (p.fro2 - p.trace2 - 2.0 * nasym * p.fro2) / (2.0 * fro2[0])).collect();
    let error = if exact { 0.0 } else { mean(&left).1 };
    Row { nasym: [nasym, error], fro2, trace, trace2, arithmetic: f64::NAN }
}

/// Lanes that a run takes, a sample's value counted once however many tangents fit at a time.
pub fn asymmetry_lanes(options: &AsymmetryOptions, dim: usize) -> u64 {
    let places = options.selection.timesteps.len() * options.selection.samples;
    2 * (places * (1 + options.probes.unwrap_or(dim))) as u64
}

/// Measures; `observe` is told the lanes that ran and may stop the run.
pub fn asymmetry(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    options: &AsymmetryOptions,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    asymmetry_part(gpu, field, images, options, Progress::new(observe))?.finish()
}

/// `asymmetry` of a shard, going on where its journal ends, up to what shards have in common.
pub fn asymmetry_part(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    options: &AsymmetryOptions,
    mut progress: Progress,
) -> Result<Part> {
    let (d, selection, shard) = (field.shape().len(), &options.selection, progress.shard);
    selection.check(field.as_ref(), images, shard)?;
    let count = options.probes.unwrap_or(d);
    if count < 2 {
        return Err(Error::invalid("probes", format!("{count}, expected at least 2: their spread is the error")));
    }
    let mut derivatives = Derivatives::new(gpu, field, &selection.timesteps, shard.count(selection.samples), count)?;
    let tangent = |sample: usize, k: usize, j: usize| match options.probes {
        Some(_) => selection.probe(sample, k, j, d),
        None => (0..d).map(|i| f32::from(i == j)).collect(),
    };
    let mut probes: Vec<Probe> = progress.recorded(selection.places(shard), count)?;
    for batch in selection.batches(shard, probes.len() / count, derivatives.batch()) {
        let (x, at) = (selection.points(field.as_ref(), images, &batch)?, batch.at());
        let own = |point: usize, j: usize| tangent(batch.samples[point], batch.k, j);
        let mut found = vec![Probe::default(); batch.samples.len() * count];
        let mut jv = vec![0f32; batch.samples.len() * count * d];
        derivatives.run(
            &x,
            &at,
            count,
            |point, j, v| v.copy_from_slice(&own(point, j)),
            |point, j, row| {
                let at = point * count + j;
                found[at] = Probe { fro2: dot(row, row), trace: dot(&own(point, j), row), trace2: 0.0 };
                jv[at * d..(at + 1) * d].copy_from_slice(row);
            },
            &mut progress,
        )?;
        derivatives.run(
            &x,
            &at,
            count,
            |point, j, v| v.copy_from_slice(&jv[(point * count + j) * d..][..d]),
            |point, j, row| found[point * count + j].trace2 = dot(&own(point, j), row),
            &mut progress,
        )?;
        progress.keep(batch.first, batch.samples.len(), &found)?;
        probes.extend(found);
    }
    let rows: Vec<Row> = probes.chunks_exact(count).map(|p| row(p, options.probes.is_none())).collect();
    let picks = selection.picks(shard, options.verified);
    let worst = progress.worst(options.verified, &picks, |&Pick { place, k, sample, share }| {
        let j = (share * count as f64) as usize;
        let Noisy { x, .. } = selection.noisy(field.as_ref(), images, sample, k)?;
        let twin = by_twin(field.as_ref(), &x, &tangent(sample, k, j), k)?;
        let got = &probes[place * count + j];
        // A unit vector's own share can be far from the whole's: differences are in units of that vector's |J v|^2.
        let gap = ((got.fro2 - twin.fro2).abs() + (got.trace2 - twin.trace2).abs()) / (2.0 * twin.fro2);
        // |v| |J v| is the most that v.J v can be.
        let size = (dot(&tangent(sample, k, j), &tangent(sample, k, j)) * twin.fro2).sqrt();
        let trace = (got.trace - twin.trace).abs() / size;
        Ok(gap.max(trace).max((got.nasym() - twin.nasym()).abs()))
    })?;
    let facts = json!({ "probes": count, "exact": options.probes.is_none(), "dimensions": d });
    Ok(Part { origin: progress.origin, ..selection.part(&Asymmetry, field.as_ref(), shard, &rows, worst, facts)? })
}

/// The same products in f64.
fn by_twin(field: &dyn Field, x: &[f32], v: &[f32], k: usize) -> Result<Probe> {
    let jv: Vec<f64> = field.twin(&Dual::along(x, v), k)?.iter().map(|y| y.d).collect();
    let onward: Vec<Dual> = x.iter().zip(&jv).map(|(&x, &d)| Dual::new(f64::from(x), d)).collect();
    let jjv = field.twin(&onward, k)?;
    let with_v = |of: &mut dyn Iterator<Item = f64>| of.zip(v).map(|(y, &v)| y * f64::from(v)).sum::<f64>();
    Ok(Probe {
        fro2: jv.iter().map(|y| y * y).sum(),
        trace: with_v(&mut jv.iter().copied()),
        trace2: with_v(&mut jjv.iter().map(|y| y.d)),
    })
}
