//! Curl (paper, eq. 5): |J_ab - J_ba| of K x K sub-Jacobians, J_ab = d s_a / d x_b, at K random components per sample.
//! In: a field, clean images, options. Out: `run::Table`, columns [timestep, sample], with the sub-Jacobians themselves.
//! Columns of J are exact tangents, or central differences with an error estimate of their own, or both, compared.
use super::derivatives::Derivatives;
use super::numbers::{finite, largest};
use super::points::{Noisy, Pick, Selection, check_matrices};
use super::progress::{At, Progress};
use crate::data::Images;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::{self, Field};
use crate::gpu::Gpu;
use crate::measures::Curl;
use crate::measures::curl::Row;
use crate::run::{Numbers, Part, PartArray, Shard, Table};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How columns of the Jacobian are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Forward mode: exact but for f32.
    Tangents,
    /// Central differences: forward passes only, any field.
    Differences,
    /// Both; the results are the tangents', and how far the differences are from them.
    Both,
}

/// Step of central differences in units of sigma, the scale on which a score changes: (3 delta)^(1/3) minimises truncation
/// h^2 / 6 plus rounding delta / h. For delta = 2^-17: networks in f32 are good to a few 2^-22 of their output, and what
/// they amplify of their inner layers' rounding was seen at up to thirty times that, at the smallest noise levels.
pub const STEP: f64 = 0.03;

/// So many columns at least, or all, are differenced with twice the step too, for the error estimate.
const CHECKED: usize = 8;

/// Whether column j of n is one of them.
fn is_checked(j: usize, n: usize) -> bool {
    j.is_multiple_of((n / CHECKED).max(1))
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct CurlOptions {
    /// Where.
    pub selection: Selection,
    /// K, the same components for rows and columns; at most D.
    pub components: usize,
    /// How.
    pub method: Method,
    /// Of differences, in units of sigma; `STEP` in most cases.
    pub step: f64,
    /// Differences: eliminate the h^2 term with a second step 2h, at twice the evaluations (Richardson).
    pub richardson: bool,
    /// Columns of J, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// The paper's 64 components of 256 samples, by tangents.
impl Default for CurlOptions {
    fn default() -> Self {
        Self {
            selection: Selection { timesteps: (1..1000).step_by(10).collect(), samples: 256, seed: 0 },
            components: 64,
            method: Method::Tangents,
            step: STEP,
            richardson: false,
            verified: 4,
        }
    }
}

/// Measures; `observe` is told the lanes that ran and may stop the run.
pub fn curl(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    options: &CurlOptions,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    curl_part(gpu, field, images, options, Progress::new(observe))?.finish()
}

/// `curl` of a shard, going on where its journal ends, up to what shards have in common.
pub fn curl_part(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    options: &CurlOptions,
    mut progress: Progress,
) -> Result<Part> {
    let (d, n, selection, shard) = (field.shape().len(), options.components, &options.selection, progress.shard);
    selection.check(field.as_ref(), images, shard)?;
    if n < 2 || n > d {
        return Err(Error::invalid("components", format!("{n}, expected 2..={d}, the components of a point")));
    }
    if !(options.step > 0.0 && options.step < 1.0) {
        return Err(Error::invalid("step", format!("{} sigma, expected more than 0 and less than 1", options.step)));
    }
    let (places, samples) = (selection.places(shard), shard.count(selection.samples));
    check_matrices(places * if options.method == Method::Both { 2 } else { 1 }, n)?;
    let of_sample = |i| selection.components(shard.sample(i), d, n);
    let subject = Subject { gpu, field, images, options, shard, components: (0..samples).map(of_sample).collect() };
    let stepped = options.method == Method::Differences;
    let nothing = Row { step: f64::NAN, gap: f64::NAN, arithmetic: f64::NAN, raw: 1.0, ..Row::default() };
    let mut rows = vec![Row { stepped: f64::from(stepped), ..nothing }; places];
    // [timestep][sample][K][K]
    let (mut jacobians, mut differences) = (vec![], vec![]);
    if options.method != Method::Differences {
        jacobians = subject.by_tangents(&mut progress)?;
    }
    if options.method != Method::Tangents {
        differences = subject.by_differences(&mut rows, &mut progress)?;
    }
    if stepped {
        jacobians = std::mem::take(&mut differences);
    }

    for (place, block) in jacobians.chunks_exact(n * n).enumerate() {
        describe(&mut rows[place], block, n);
        if let Some((_, beta)) = field.raw_coefficients(selection.timesteps[place / samples])? {
            rows[place].raw = 1.0 / beta.abs();
        }
        if let Some(other) = differences.get(place * n * n..(place + 1) * n * n) {
            rows[place].gap = largest(block.iter().zip(other).map(|(a, b)| f64::from((a - b).abs())));
        }
    }
    let worst = subject.verify(&rows, &jacobians, &mut progress)?;
    let chosen = subject.components.iter().flatten().map(|&c| c as i64).collect();
    let mut part = selection.part(
        &Curl,
        field.as_ref(),
        shard,
        &rows,
        worst,
        json!({ "components": n, "differences": stepped }),
    )?;
    let shape = vec![selection.timesteps.len(), samples, n, n];
    part.arrays.push(PartArray {
        name: "components".into(),
        shape: vec![samples, n],
        axis: Some(0),
        values: Numbers::I64(chosen),
    });
    for (name, values) in [("jacobian", jacobians), ("jacobian_fd", differences)] {
        if !values.is_empty() {
            let (name, shape) = (name.into(), shape.clone());
            part.arrays.push(PartArray { name, shape, axis: Some(1), values: Numbers::F32(values) });
        }
    }
    part.origin = progress.origin;
    Ok(part)
}

/// Evaluations (lanes) that a run takes.
pub fn curl_lanes(options: &CurlOptions) -> u64 {
    let (n, places) = (options.components as u64, options.selection.timesteps.len() * options.selection.samples);
    let checked = (0..options.components).filter(|&j| options.richardson || is_checked(j, options.components));
    let twice = checked.count() as u64;
    let (tangents, differences) = (n + 1, 2 * (n + twice));
    let each = match options.method {
        Method::Tangents => tangents,
        Method::Differences => differences,
        Method::Both => tangents + differences,
    };
    places as u64 * each
}

/// What is looked at.
struct Subject<'a> {
    gpu: &'a Gpu,
    field: &'a Arc<dyn Field>,
    images: &'a Images,
    options: &'a CurlOptions,
    shard: Shard,
    /// Of each of the shard's samples.
    components: Vec<Vec<usize>>,
}

impl Subject<'_> {
    fn by_tangents(&self, progress: &mut Progress) -> Result<Vec<f32>> {
        let Subject { gpu, field, images, options, shard, components } = self;
        let (n, selection) = (options.components, &options.selection);
        let mut derivatives = Derivatives::new(gpu, field, &selection.timesteps, components.len(), n)?;
        let mut all: Vec<f32> = progress.recorded(selection.places(*shard), n * n)?;
        for batch in selection.batches(*shard, all.len() / (n * n), derivatives.batch()) {
            let first = batch.first % components.len();
            let mut blocks = vec![0f32; batch.samples.len() * n * n];
            derivatives.run(
                &selection.points(field.as_ref(), images, &batch)?,
                &batch.at(),
                n,
                |point, j, v| v[components[first + point][j]] = 1.0,
                |point, j, jv| {
                    for (a, &row) in components[first + point].iter().enumerate() {
                        blocks[(point * n + a) * n + j] = jv[row];
                    }
                },
                progress,
            )?;
            progress.keep(batch.first, batch.samples.len(), &blocks)?;
            all.extend(blocks);
        }
        Ok(all)
    }

    /// (s(x + h e_b) - s(x - h e_b)) / ((x_b + h) - (x_b - h)), the denominator as f32 has it.
    fn by_differences(&self, rows: &mut [Row], progress: &mut Progress) -> Result<Vec<f32>> {
        let Subject { gpu, field, images, options, shard, components } = self;
        let (d, n, selection) = (field.shape().len(), options.components, &options.selection);
        // Column, and whether with twice the step.
        let twice = (0..n).filter(|&j| options.richardson || is_checked(j, n));
        let columns: Vec<(usize, bool)> = (0..n).map(|j| (j, false)).chain(twice.map(|j| (j, true))).collect();
        let mut evaluator = field::evaluator(gpu, field, &selection.timesteps, 2 * columns.len() * components.len())?;
        // Of every place: its block, and its change.
        let mut all: Vec<f64> = progress.recorded(rows.len(), n * n + 1)?;
        for place in all.len() / (n * n + 1)..rows.len() {
            let own = &components[place % components.len()];
            let (k, sample) = (selection.timesteps[place / components.len()], shard.sample(place % components.len()));
            let h = options.step * field.process().noise(k)?.1;
            let Noisy { x, .. } = selection.noisy(field.as_ref(), images, sample, k)?;
            let mut points = Vec::with_capacity(2 * columns.len() * d);
            let mut spans = Vec::with_capacity(columns.len());
            for &(j, twice) in &columns {
                let (b, h) = (own[j], if twice { 2.0 * h } else { h });
                let ends = [1.0, -1.0].map(|sign| (f64::from(x[b]) + sign * h) as f32);
                for end in ends {
                    points.extend_from_slice(&x);
                    let at = points.len() - d + b;
                    points[at] = end;
                }
                spans.push(f64::from(ends[0]) - f64::from(ends[1]));
            }
            if let Some(at) = spans.iter().position(|s| *s <= 0.0) {
                let place = format!("step at timestep {k}, sample {sample}, component {}", own[columns[at].0]);
                return Err(Error::invalid(place, format!("{h:e} vanishes beside {}", x[own[columns[at].0]])));
            }
            let ks = vec![k; 2 * columns.len()];
            let s = evaluator.evaluate(&points, &ks)?;
            let at = At { k, what: "sample", samples: &[sample] };
            if let Some(bad) = s.chunks_exact(d).position(|s| !finite(s)) {
                progress.look(gpu, field, &points[bad * d..(bad + 1) * d], &[], &at, 0);
            }
            let difference = |c: usize, a: usize| {
                (f64::from(s[2 * c * d + own[a]]) - f64::from(s[(2 * c + 1) * d + own[a]])) / spans[c]
            };
            let mut block = vec![0f64; n * n + 1];
            for (c, &(j, twice)) in columns.iter().enumerate() {
                for a in 0..n {
                    if !twice {
                        block[a * n + j] = difference(c, a);
                        continue;
                    }
                    let (near, far) = (difference(j, a), difference(c, a));
                    block[n * n] = largest([block[n * n], (near - far).abs()].into_iter());
                    if options.richardson {
                        block[a * n + j] = near + (near - far) / 3.0;
                    }
                }
            }
            progress.done += ks.len() as u64;
            progress.keep(place, 1, &block)?;
            progress.add(0)?;
            all.extend(block);
        }
        let mut jacobians = Vec::with_capacity(rows.len() * n * n);
        for (row, block) in rows.iter_mut().zip(all.chunks_exact(n * n + 1)) {
            jacobians.extend(block[..n * n].iter().map(|&v| v as f32));
            // The change is three times the truncation at h plus its rounding, of some columns: with a factor of two it
            // holds for every entry, and for differences of two.
            row.step = 2.0 * block[n * n];
        }
        Ok(jacobians)
    }

    /// Columns spread over the run by the f64 twin: the worst difference of an entry, in units of its block's largest entry,
    /// is taken to hold for all.
    fn verify(&self, rows: &[Row], jacobians: &[f32], progress: &mut Progress) -> Result<f64> {
        let Subject { field, images, options, shard, components, .. } = self;
        let (d, n, selection) = (field.shape().len(), options.components, &options.selection);
        let picks = selection.picks(*shard, options.verified);
        progress.worst(options.verified, &picks, |&Pick { place, k, sample, share }| {
            let (j, own) = ((share * n as f64) as usize, &components[place % components.len()]);
            let Noisy { x, .. } = selection.noisy(field.as_ref(), images, sample, k)?;
            let mut v = vec![0f32; d];
            v[own[j]] = 1.0;
            let twin = field.twin(&Dual::along(&x, &v), k)?;
            let gap = |(a, &row): (usize, &usize)| {
                let got = f64::from(jacobians[(place * n + a) * n + j]);
                (got - twin[row].d).abs() / rows[place].largest
            };
            Ok(largest(own.iter().enumerate().map(gap)))
        })
    }
}

/// Statistics of a block; NaN where it is not finite.
fn describe(row: &mut Row, block: &[f32], n: usize) {
    if !finite(block) {
        let nan = f64::NAN;
        *row = Row { median: nan, mean: nan, max: nan, entry: nan, largest: nan, sub_nasym: nan, step: nan, ..*row };
        return;
    }
    let at = |a: usize, b: usize| f64::from(block[a * n + b]);
    let mut pairs: Vec<f64> =
        (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).map(|(a, b)| (at(a, b) - at(b, a)).abs()).collect();
    pairs.sort_by(f64::total_cmp);
    let square = |v: f64| v * v;
    let all: f64 = block.iter().map(|&v| square(f64::from(v))).sum();
    let diagonal: f64 = (0..n).map(|a| square(at(a, a))).sum();
    let asymmetric: f64 = pairs.iter().map(|&p| 2.0 * square(p)).sum();
    let middle = pairs.len() / 2;
    row.median = if pairs.len() % 2 == 1 { pairs[middle] } else { 0.5 * (pairs[middle - 1] + pairs[middle]) };
    row.mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
    row.max = pairs[pairs.len() - 1];
    row.entry = ((all - diagonal) / (n * (n - 1)) as f64).max(0.0).sqrt();
    row.largest = block.iter().fold(f64::MIN_POSITIVE, |most, &v| f64::from(v.abs()).max(most));
    row.sub_nasym = asymmetric / (4.0 * all);
}
