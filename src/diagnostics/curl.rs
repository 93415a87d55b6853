//! Curl (paper, eq. 5): |J_ab - J_ba| of K x K sub-Jacobians, J_ab = d s_a / d x_b, at K random components per sample.
//! In: a field, clean images, options. Out: `run::Table`, columns [timestep, sample], with the sub-Jacobians themselves.
//! Columns of J are exact tangents, or central differences with an error estimate of their own, or both, compared.
use super::derivatives::{Derivatives, finite};
use super::points::{Column, Noisy, Progress, Selection, check_matrices, columns};
use super::queries::spread;
use crate::data::Images;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::{self, Field};
use crate::gpu::Gpu;
use crate::run::schema::CLEAR;
use crate::run::{About, Array, Numbers, Table};
use serde_json::json;
use std::ops::ControlFlow;

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

/// What is known of one sample at one timestep; NaN where not.
#[derive(Clone, Copy, Default)]
pub(super) struct Row {
    median: f64,
    mean: f64,
    max: f64,
    raw: f64,
    entry: f64,
    largest: f64,
    sub_nasym: f64,
    step: f64,
    gap: f64,
    arithmetic: f64,
    /// Whether J is of differences, whose step then is an error.
    stepped: bool,
}

impl Row {
    /// The largest error of a |J_ab - J_ba| that is known.
    fn error(&self) -> f64 {
        if self.stepped { self.step.max(self.arithmetic) } else { self.arithmetic }
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("asymmetry",      "median |J_ab - J_ba|, a < b", "nat/x^2", "of the score, over pairs of components (Figs. 2c, 8c)"), |r| r.median),
    (About::new("asymmetry_mean", "mean |J_ab - J_ba|",          "nat/x^2", "of the score"),                                         |r| r.mean),
    (About::new("asymmetry_max",  "max |J_ab - J_ba|",           "nat/x^2", "of the score"),                                         |r| r.max),
    (About::new("raw_asymmetry",  "median |J_ab - J_ba|",        "1/x",     "of the network's raw output"),                          |r| r.median * r.raw),
    (About::new("raw_asymmetry_mean", "mean |J_ab - J_ba|",      "1/x",     "of the network's raw output"),                          |r| r.mean * r.raw),
    (About::new("raw_asymmetry_max",  "max |J_ab - J_ba|",       "1/x",     "of the network's raw output"),                          |r| r.max * r.raw),
    (About::new("entry_rms",      "sqrt(mean J_ab^2), a != b",   "nat/x^2", "size of what is compared"),                             |r| r.entry),
    (About::new("sub_nasym",      "|B - B'|^2 / (4 |B|^2)",      "1",       "of the sub-Jacobian B: 0 symmetric, 1 antisymmetric"),   |r| r.sub_nasym),
    (About::new("step",           "2 max |D(h) - D(2h)|",        "nat/x^2", "error of the differences: one step and the other, on eight columns or more"), |r| r.step),
    (About::new("method_gap",     "max |differences - tangents|", "nat/x^2", "how far apart the two methods are, of an entry"),       |r| r.gap),
    (About::new("arithmetic",     "2 max |B| max |J_ab - f64| / max |J|", "nat/x^2", "error: columns recomputed in f64; of a |J_ab - J_ba|"), |r| r.arithmetic),
    (About::new("error",          "largest of the errors",       "nat/x^2", "what a |J_ab - J_ba| is uncertain by"),                  Row::error),
    (About::new("resolved",       "asymmetry >= 3 error",        "1",       "1 if the median stands clear of its error, else 0"),     |r| f64::from(r.median >= CLEAR * r.error())),
];

/// What a run's tables are made of.
struct Found {
    /// `[timestep][sample][K][K]`
    jacobians: Vec<f32>,
    differences: Vec<f32>,
    rows: Vec<Row>,
}

/// Measures; `observe` is told the lanes that ran and may stop the run.
pub fn curl(
    gpu: &Gpu,
    field: &dyn Field,
    images: &Images,
    options: &CurlOptions,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    let (d, n, selection) = (field.shape().len(), options.components, &options.selection);
    selection.check(field, images)?;
    if n < 2 || n > d {
        return Err(Error::invalid("components", format!("{n}, expected 2..={d}, the components of a point")));
    }
    if !(options.step > 0.0 && options.step < 1.0) {
        return Err(Error::invalid("step", format!("{} sigma, expected more than 0 and less than 1", options.step)));
    }
    let (timesteps, samples) = (&selection.timesteps, selection.samples);
    check_matrices(timesteps.len() * samples * if options.method == Method::Both { 2 } else { 1 }, n)?;
    let components: Vec<Vec<usize>> = (0..samples).map(|i| selection.components(i, d, n)).collect();
    let places = timesteps.len() * samples;
    let stepped = options.method == Method::Differences;
    let nothing = Row { step: f64::NAN, gap: f64::NAN, arithmetic: f64::NAN, raw: 1.0, stepped, ..Row::default() };
    let mut found = Found { jacobians: vec![], differences: vec![], rows: vec![nothing; places] };
    let mut progress = Progress { done: 0, observe };
    if options.method != Method::Differences {
        found.jacobians = by_tangents(gpu, field, images, options, &components, &mut progress)?;
    }
    if options.method != Method::Tangents {
        found.differences = by_differences(gpu, field, images, options, &components, &mut found.rows, &mut progress)?;
    }
    if stepped {
        found.jacobians = std::mem::take(&mut found.differences);
    }

    for (place, block) in found.jacobians.chunks_exact(n * n).enumerate() {
        describe(&mut found.rows[place], block, n);
        if let Some((_, beta)) = field.raw_coefficients(timesteps[place / samples])? {
            found.rows[place].raw = 1.0 / beta.abs();
        }
        if let Some(other) = found.differences.get(place * n * n..(place + 1) * n * n) {
            let gaps = block.iter().zip(other).map(|(a, b)| f64::from((a - b).abs()));
            found.rows[place].gap = gaps.fold(0.0, f64::max);
        }
    }
    verify(field, images, options, &components, &mut found)?;
    let chosen = components.iter().flatten().map(|&c| c as i64).collect();
    let shape = vec![timesteps.len(), samples, n, n];
    let mut arrays = vec![
        Array { name: "components", shape: vec![samples, n], values: Numbers::I64(chosen) },
        Array { name: "jacobian", shape: shape.clone(), values: Numbers::F32(found.jacobians) },
    ];
    if options.method == Method::Both {
        arrays.push(Array { name: "jacobian_fd", shape, values: Numbers::F32(found.differences) });
    }
    selection.table("curl", field, columns(COLUMNS, &found.rows), arrays, json!({ "components": n }))
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

fn by_tangents(
    gpu: &Gpu,
    field: &dyn Field,
    images: &Images,
    options: &CurlOptions,
    components: &[Vec<usize>],
    progress: &mut Progress,
) -> Result<Vec<f32>> {
    let (n, selection) = (options.components, &options.selection);
    let mut derivatives = Derivatives::new(gpu, field, &selection.timesteps, selection.samples, n)?;
    let mut all = Vec::with_capacity(selection.timesteps.len() * selection.samples * n * n);
    for batch in selection.batches(derivatives.batch()) {
        let first = batch.samples.start;
        let mut blocks = vec![0f32; batch.samples.len() * n * n];
        derivatives.run(
            &selection.points(field, images, &batch)?,
            &batch.ks(),
            n,
            |point, j, v| v[components[first + point][j]] = 1.0,
            |point, j, jv| {
                for (a, &row) in components[first + point].iter().enumerate() {
                    blocks[(point * n + a) * n + j] = jv[row];
                }
            },
            progress,
        )?;
        all.extend(blocks);
    }
    Ok(all)
}

/// (s(x + h e_b) - s(x - h e_b)) / ((x_b + h) - (x_b - h)), the denominator as f32 has it.
fn by_differences(
    gpu: &Gpu,
    field: &dyn Field,
    images: &Images,
    options: &CurlOptions,
    components: &[Vec<usize>],
    rows: &mut [Row],
    progress: &mut Progress,
) -> Result<Vec<f32>> {
    let (d, n, selection) = (field.shape().len(), options.components, &options.selection);
    // Column, and whether with twice the step.
    let twice = (0..n).filter(|&j| options.richardson || is_checked(j, n));
    let columns: Vec<(usize, bool)> = (0..n).map(|j| (j, false)).chain(twice.map(|j| (j, true))).collect();
    let mut evaluator = field::evaluator(gpu, field, &selection.timesteps, 2 * columns.len() * selection.samples)?;
    let mut all = Vec::with_capacity(selection.timesteps.len() * selection.samples * n * n);
    for (t, &k) in selection.timesteps.iter().enumerate() {
        let h = options.step * field.process().noise(k)?.1;
        for sample in 0..selection.samples {
            let Noisy { x, .. } = selection.noisy(field, images, sample, k)?;
            let own = &components[sample];
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
            finite(&s, &ks, d, "value")?;
            progress.add(ks.len() as u64)?;
            let difference = |c: usize, a: usize| {
                (f64::from(s[2 * c * d + own[a]]) - f64::from(s[(2 * c + 1) * d + own[a]])) / spans[c]
            };
            let mut block = vec![0f32; n * n];
            let mut change = 0f64;
            for (c, &(j, twice)) in columns.iter().enumerate() {
                for a in 0..n {
                    if !twice {
                        block[a * n + j] = difference(c, a) as f32;
                        continue;
                    }
                    let (near, far) = (difference(j, a), difference(c, a));
                    change = change.max((near - far).abs());
                    if options.richardson {
                        block[a * n + j] = (near + (near - far) / 3.0) as f32;
                    }
                }
            }
            // The change is three times the truncation at h plus its rounding, of some columns: with a factor of two it
            // holds for every entry, and for differences of two.
            rows[t * selection.samples + sample].step = 2.0 * change;
            all.extend(block);
        }
    }
    Ok(all)
}

/// Statistics of a block.
fn describe(row: &mut Row, block: &[f32], n: usize) {
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
    row.largest = block.iter().fold(0.0, |most, &v| f64::from(v.abs()).max(most));
    row.sub_nasym = asymmetric / (4.0 * all);
}

/// Columns spread over the run by the f64 twin: the worst difference of an entry, in units of its block's largest entry,
/// is taken to hold for all.
fn verify(
    field: &dyn Field,
    images: &Images,
    options: &CurlOptions,
    components: &[Vec<usize>],
    found: &mut Found,
) -> Result<()> {
    let (d, n, selection) = (field.shape().len(), options.components, &options.selection);
    let places = found.rows.len();
    let mut worst = if options.verified == 0 { f64::NAN } else { 0f64 };
    for (place, share) in spread(places, options.verified) {
        let (t, sample) = (place / selection.samples, place % selection.samples);
        let (k, j) = (selection.timesteps[t], (share * n as f64) as usize);
        let Noisy { x, .. } = selection.noisy(field, images, sample, k)?;
        let mut v = vec![0f32; d];
        v[components[sample][j]] = 1.0;
        let twin = field.twin(&Dual::along(&x, &v), k)?;
        for (a, &row) in components[sample].iter().enumerate() {
            let got = f64::from(found.jacobians[(place * n + a) * n + j]);
            worst = worst.max((got - twin[row].d).abs() / found.rows[place].largest.max(f64::MIN_POSITIVE));
        }
    }
    found.rows.iter_mut().for_each(|row| row.arithmetic = 2.0 * worst * row.largest);
    Ok(())
}
