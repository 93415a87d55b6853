//! From the sums of all loops to the table of a circulation run. In: a part that has all samples, as `sums_part` makes it and
//! shards are merged to. Out: `run::Table`, with the two errors that loops have in common: that of the quadrature,
//! which a loop that was not checked takes from those that were, and that of the arithmetic.
use super::columns::{Loop, Sums};
use super::loops::{Circulation, Loops};
use crate::error::{Error, Result};
use crate::run::{Numbers, Part, PartArray, Shard, Table};
use serde_json::Value;

/// The array of a part, [timestep, sample, path, sums].
const SUMS: &str = "sums";

/// Of m loops that were checked the largest error in units of S, times this, is at least the error of a further loop in 99 of
/// 100 cases if errors in units of S are normal about zero: (m, factor), good up to the next m. From 99 loops on that holds of
/// any distribution. Errors have longer tails than normal ones, so that few loops need the margin.
#[rustfmt::skip]
const FURTHER: [(usize, f64); 18] = [
    (1, 64.0), (2, 8.0), (3, 4.2), (4, 3.1), (5, 2.6), (6, 2.3), (7, 2.1), (8, 2.0), (9, 1.9), (10, 1.8), (12, 1.7), (14, 1.6),
    (16, 1.5), (19, 1.4), (30, 1.3), (50, 1.2), (70, 1.1), (99, 1.0),
];

/// What is known of the rule's error on one loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// NaN if it was not measured.
    pub error: f64,
    /// S, in whose units errors of loops are compared: loops differ in scale.
    pub size: f64,
    /// NaN if the field was not finite on it.
    pub integral: f64,
}

impl Rule {
    pub fn of(sums: &Sums) -> Self {
        Rule { error: sums.quadrature, size: sums.abs_terms, integral: sums.integral }
    }

    /// The error in units of S; of a loop without any work it is none.
    fn share(&self) -> f64 {
        if self.size == 0.0 { 0.0 * self.error } else { self.error / self.size }
    }
}

/// Of a mixture's score the errors of 24 smooth loops at one noise level, in units of S, were seen to differ by a factor of 400:
/// the field is all but linear on some of them. So few loops may all be of that kind.
const FEW: usize = 8;

/// Errors in units of S of the loops that were checked.
fn shares(loops: &[Rule]) -> Vec<f64> {
    loops.iter().map(Rule::share).filter(|s| s.is_finite()).collect()
}

/// Errors of the rule on the loops of one path and timestep. A loop that was checked has at least the median of the checked
/// ones in units of S: one difference may be small by chance, and so may the estimate that every adaptive loop has of its own.
/// One that was not takes the largest, with a margin for how few there are; `elsewhere` is the largest of the path at any timestep, which counts where fewer than `FEW` were checked. NaN
/// where none was checked, or the field was not finite.
pub(super) fn spread(loops: &[Rule], elsewhere: f64) -> Vec<f64> {
    let mut shares = shares(loops);
    shares.sort_by(f64::total_cmp);
    let m = shares.len();
    let (middle, largest) = match shares.last() {
        Some(&last) => (0.5 * (shares[(m - 1) / 2] + shares[m / 2]), last),
        None => (f64::NAN, f64::NAN),
    };
    let margin = FURTHER.iter().rev().find(|f| f.0 <= m).map_or(f64::NAN, |f| f.1);
    let further = margin * if m < FEW { largest.max(elsewhere) } else { largest };
    let error = |own: &Rule| {
        if own.integral.is_nan() {
            f64::NAN
        } else if own.error.is_nan() {
            further * own.size
        } else {
            own.error.max(middle * own.size)
        }
    };
    loops.iter().map(error).collect()
}

/// The part of a shard of `samples` samples: sums of its loops `[timestep, sample, path]`.
pub(super) fn sums_part(
    shard: Shard,
    samples: usize,
    sizes: [usize; 3],
    sums: &[Sums],
    facts: Value,
    worst: f64,
) -> Part {
    let shape = [&sizes[..], &[size_of::<Sums>() / size_of::<f64>()]].concat();
    let values = Numbers::F64(bytemuck::cast_slice(sums).to_vec());
    let arrays = vec![PartArray { name: SUMS.into(), shape, axis: Some(1), values }];
    Part { measure: &Circulation, shard, samples, facts, arrays, worst, origin: None }
}

/// Evaluations of the field on the loops of a part.
pub fn circulation_evaluations(part: &Part) -> Result<u64> {
    let sums: Vec<Sums> = part.clone().rows(SUMS)?;
    Ok(sums.iter().map(|s| s.evaluations).sum::<f64>() as u64)
}

/// The table of a part that has all samples.
pub(super) fn finish(mut part: Part) -> Result<Table> {
    part.whole()?;
    let sums: Vec<Sums> = part.rows(SUMS)?;
    let (paths, timesteps): (Vec<String>, Vec<usize>) = (part.fact("paths")?, part.fact("timesteps")?);
    let (p, t, n, checked) = (paths.len(), timesteps.len(), part.samples, part.fact::<usize>("checked")?);
    // Facts may come from a shard's manifest.
    let loops = p.checked_mul(t).and_then(|loops| loops.checked_mul(n));
    if loops != Some(sums.len()) || checked > n {
        let found = format!("{} loops and {checked} checked samples, expected {p} x {t} x {n}", sums.len());
        return Err(Error::invalid(part.measure, found));
    }
    let of = |path: usize, timestep: usize, sample: usize| &sums[(timestep * n + sample) * p + path];
    let rules = |path, timestep| -> Vec<Rule> { (0..n).map(|sample| Rule::of(of(path, timestep, sample))).collect() };
    let largest = |path| (0..t).flat_map(|timestep| shares(&rules(path, timestep))).fold(f64::NAN, f64::max);
    let elsewhere: Vec<f64> = (0..p).map(largest).collect();
    let quadrature = (0..p * t).flat_map(|i| {
        let (path, timestep) = (i / t, i % t);
        spread(&rules(path, timestep), elsewhere[path])
    });
    let one = |(i, quadrature): (usize, f64)| {
        let sums = of(i / (t * n), i / n % t, i % n);
        Loop::of(sums, quadrature, part.worst)
    };
    let loops = quadrature.enumerate().map(one).collect();
    Loops { paths, timesteps, sigma: part.sigma()?, samples: n, points: part.fact("points")?, loops }.table()
}
