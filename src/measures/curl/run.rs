//! Curl (paper, eq. 5): |J_ab - J_ba| of K x K sub-Jacobians, J_ab = d s_a / d x_b, at K random components per sample.
//! In: a subject, options. Out: a part, a row per timestep and sample, with the sub-Jacobians themselves.
//! J is exact, by columns or by rows, or made of central differences with an error estimate of their own, or both, compared.
use super::Curl;
use super::columns::Row;
use crate::diagnostics::{Derivatives, Noisy, Pick, Selection, Sides, check_matrices, finite, largest};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field;
use crate::run::{Measure, Numbers, Part, PartArray, Progress, Ready, Shard, Subject, Task, Whose, worst};
use serde_json::json;

/// How columns of the Jacobian are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Tangents or cotangents: exact but for f32.
    Tangents,
    /// Central differences: forward passes only, any field.
    Differences,
    /// Both; the results are the tangents', and how far the differences are from them.
    Both,
}

impl Method {
    /// By the name that `--method` has for it; tangents by any other.
    pub(super) fn named(name: &str) -> Self {
        [Method::Differences, Method::Both].into_iter().find(|m| m.name() == name).unwrap_or(Method::Tangents)
    }

    fn name(self) -> &'static str {
        match self {
            Method::Tangents => "jvp",
            Method::Differences => "fd",
            Method::Both => "both",
        }
    }
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
    /// Of exact derivatives, whether they are columns or rows; `Sides::of` says what suits a field.
    pub sides: Sides,
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
            sides: Sides::Columns,
            step: STEP,
            richardson: false,
            verified: 4,
        }
    }
}

impl Task for CurlOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Curl
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let (d, n, selection) = (subject.dim(), self.components, &self.selection);
        selection.check(subject, shard)?;
        if n < 2 || n > d {
            return Err(Error::invalid("components", format!("{n}, expected 2..={d}, the components of a point")));
        }
        if !(self.step > 0.0 && self.step < 1.0) {
            return Err(Error::invalid("step", format!("{} sigma, expected more than 0 and less than 1", self.step)));
        }
        check_matrices(selection.places(shard) * if self.method == Method::Both { 2 } else { 1 }, n)?;
        let (exact, differences) = (self.method != Method::Differences, self.method != Method::Tangents);
        if exact {
            self.sides.require(subject.field.as_ref())?;
        }
        let options = json!({
            "components": n, "method": self.method.name(), "verified_columns": self.verified,
            "sides": exact.then_some(self.sides.name()),
            "step_over_sigma": differences.then_some(self.step), "richardson": differences.then_some(self.richardson),
        });
        let run = move |p: &mut Progress| self.part(subject, shard, p);
        let ready = selection.ready(subject, shard, (self.lanes(), self.verified), options, run)?;
        let order = if self.richardson { "h^4, with 2h (Richardson)" } else { "h^2" };
        let notes = match differences {
            true => format!("differences  central, h = {} sigma, error of order {order}\n", self.step),
            false => String::new(),
        };
        Ok(Ready { notes, ..ready })
    }
}

impl CurlOptions {
    /// Evaluations (lanes) that all samples take.
    pub fn lanes(&self) -> u64 {
        let (n, places) = (self.components as u64, self.selection.timesteps.len() * self.selection.samples);
        let checked = (0..self.components).filter(|&j| self.richardson || is_checked(j, self.components));
        let twice = checked.count() as u64;
        let (tangents, differences) = (n + 1, 2 * (n + twice));
        let each = match self.method {
            Method::Tangents => tangents,
            Method::Differences => differences,
            Method::Both => tangents + differences,
        };
        places as u64 * each
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, n, selection) = (subject.dim(), self.components, &self.selection);
        let (places, samples) = (selection.places(shard), shard.count(selection.samples));
        let of_sample = |i| selection.components(shard.sample(i), d, n);
        let blocks = Blocks { subject, options: self, shard, components: (0..samples).map(of_sample).collect() };
        let stepped = self.method == Method::Differences;
        let nothing = Row { step: f64::NAN, gap: f64::NAN, arithmetic: f64::NAN, raw: 1.0, ..Row::default() };
        let mut rows = vec![Row { stepped: f64::from(stepped), ..nothing }; places];
        // [timestep][sample][K][K]
        let (mut jacobians, mut differences) = (vec![], vec![]);
        if self.method != Method::Differences {
            jacobians = blocks.exact(progress)?;
        }
        if self.method != Method::Tangents {
            differences = blocks.by_differences(&mut rows, progress)?;
        }
        if stepped {
            jacobians = std::mem::take(&mut differences);
        }
        for (place, block) in jacobians.chunks_exact(n * n).enumerate() {
            rows[place].describe(block, n);
            if let Some((_, beta)) = subject.field.raw_coefficients(selection.timesteps[place / samples])? {
                rows[place].raw = 1.0 / beta.abs();
            }
            if let Some(other) = differences.get(place * n * n..(place + 1) * n * n) {
                rows[place].gap = largest(block.iter().zip(other).map(|(a, b)| f64::from((a - b).abs())));
            }
        }
        let worst = blocks.verify(&rows, &jacobians, progress)?;
        let chosen = blocks.components.iter().flatten().map(|&c| c as i64).collect();
        let facts = json!({ "components": n, "differences": stepped });
        let mut part = selection.part(&Curl, subject, shard, &rows, worst, facts)?;
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
        Ok(part)
    }
}

/// The blocks of a run's Jacobians.
struct Blocks<'a> {
    subject: &'a Subject,
    options: &'a CurlOptions,
    shard: Shard,
    /// Of each of the shard's samples.
    components: Vec<Vec<usize>>,
}

impl Blocks<'_> {
    /// By tangents or cotangents.
    fn exact(&self, progress: &mut Progress) -> Result<Vec<f32>> {
        let Blocks { subject, options, shard, components } = self;
        let (n, sides, selection) = (options.components, options.sides, &options.selection);
        let (size, ks) = ((components.len(), n), &selection.timesteps);
        let mut derivatives = Derivatives::of_sides(subject.gpu(), &subject.field, ks, size, sides)?;
        let lanes = derivatives.lanes(n);
        let mut all: Vec<f32> = progress.recorded(selection.places(*shard), n * n)?;
        for batch in selection.batches(*shard, all.len() / (n * n), derivatives.batch()) {
            let first = batch.first % components.len();
            derivatives.reduce(
                (&selection.points(subject, &batch)?, &batch.at(), n),
                &vec![0f32; n * n],
                |point, j, v| v[components[first + point][j]] = 1.0,
                |block, point, j, product| {
                    for (i, &component) in components[first + point].iter().enumerate() {
                        let [a, b] = sides.entry(i, j);
                        block[a * n + b] = product[component];
                    }
                },
                |progress, point, block, _| {
                    progress.keep_one(batch.first + point, lanes, &block)?;
                    all.extend(block);
                    Ok(())
                },
                progress,
            )?;
        }
        Ok(all)
    }

    /// (s(x + h e_b) - s(x - h e_b)) / ((x_b + h) - (x_b - h)), the denominator as f32 has it.
    fn by_differences(&self, rows: &mut [Row], progress: &mut Progress) -> Result<Vec<f32>> {
        let Blocks { subject, options, shard, components } = self;
        let (d, n, selection) = (subject.dim(), options.components, &options.selection);
        // Column, and whether with twice the step.
        let twice = (0..n).filter(|&j| options.richardson || is_checked(j, n));
        let columns: Vec<(usize, bool)> = (0..n).map(|j| (j, false)).chain(twice.map(|j| (j, true))).collect();
        let mut evaluator = field::evaluator(
            subject.gpu(),
            &subject.field,
            &selection.timesteps,
            2 * columns.len() * components.len(),
        )?;
        // Of every place: its block, and its change.
        let mut all: Vec<f64> = progress.recorded(rows.len(), n * n + 1)?;
        for place in all.len() / (n * n + 1)..rows.len() {
            let own = &components[place % components.len()];
            let (k, sample) = (selection.timesteps[place / components.len()], shard.sample(place % components.len()));
            let h = options.step * subject.field.process().noise(k)?.1;
            let Noisy { x, .. } = selection.noisy(subject, sample, k)?;
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
            let s = evaluator.evaluate_of(&points, &ks, &vec![sample; ks.len()])?;
            let at = Whose { k, what: "sample", samples: &[sample] };
            if let Some(bad) = s.chunks_exact(d).position(|s| !finite(s)) {
                progress.look(subject.gpu(), &subject.field, &points[bad * d..(bad + 1) * d], &[], &at, 0);
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
        let Blocks { subject, options, shard, components } = self;
        let (d, n, selection) = (subject.dim(), options.components, &options.selection);
        let picks = selection.picks(*shard, options.verified);
        let check = |&Pick { place, k, sample, share }: &Pick, _: &()| {
            let (j, own) = ((share * n as f64) as usize, &components[place % components.len()]);
            let Noisy { x, .. } = selection.noisy(subject, sample, k)?;
            let mut v = vec![0f32; d];
            v[own[j]] = 1.0;
            let twin = subject.field.twin(&Dual::along(&x, &v), k, sample)?;
            let gap = |(a, &row): (usize, &usize)| {
                let got = f64::from(jacobians[(place * n + a) * n + j]);
                (got - twin[row].d).abs() / rows[place].largest
            };
            Ok(largest(own.iter().enumerate().map(gap)))
        };
        let found = progress.checks(subject.field.twins_at_once(), &picks, |_| Ok(()), check)?;
        Ok(worst(options.verified, &found))
    }
}
