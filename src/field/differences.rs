//! Derivatives of functions that give none: central differences on batches of points. In: functions, points, vectors. Out: J v, J'u.
//! D f(h) = sum_j w_j (f(x + j h e) - f(x - j h e)) / h along a unit vector e. The step h = (c delta sqrt(D))^(1/(p+1)) sigma
//! balances truncation, h^p / c in units of sigma, against rounding, sqrt(D) delta / h: D components of size 1/sigma each are
//! rounded by delta (docs/METHOD.md has p = 2 of single components).
use super::functions::{Functions, Points, as_many};
use crate::error::Result;

/// A type of numbers, and the rule of differences for functions that compute in it.
pub trait Real: Copy {
    /// What a manifest says of it.
    const DIFFERENCES: &str;
    /// Multiples j of the step and their weights w_j.
    const RULE: &[(f64, f64)];
    /// Order p.
    const ORDER: i32;
    /// c.
    const TRUNCATION: f64;
    /// How precise a function's value is, relative to it.
    const DELTA: f64;

    /// Rounded.
    fn of(v: f64) -> Self;

    /// As a double.
    fn wide(self) -> f64;
}

impl Real for f32 {
    const DIFFERENCES: &str = "central differences of second order";
    const RULE: &[(f64, f64)] = &[(1.0, 0.5)];
    const ORDER: i32 = 2;
    const TRUNCATION: f64 = 3.0;
    const DELTA: f64 = 1.0 / (1u32 << 17) as f64;

    fn of(v: f64) -> Self {
        v as f32
    }

    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    const DIFFERENCES: &str = "central differences of fourth order";
    const RULE: &[(f64, f64)] = &[(1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0)];
    const ORDER: i32 = 4;
    const TRUNCATION: f64 = 30.0;
    const DELTA: f64 = 1.0 / (1u64 << 46) as f64;

    fn of(v: f64) -> Self {
        v
    }

    fn wide(self) -> f64 {
        self
    }
}

/// h in units of sigma, for points of `dim` components.
fn step<T: Real>(dim: usize) -> f64 {
    (T::TRUNCATION * T::DELTA * (dim as f64).sqrt()).powf(1.0 / f64::from(T::ORDER + 1))
}

/// Directions at points: number of the point, unit vector.
type Directions<'a> = dyn Fn(usize) -> (usize, Vec<f64>) + 'a;

/// The function's derivatives along `count` directions, one after the other: `take(i, df)` gets `[D]`.
fn along<T: Real>(
    functions: &Functions<T>,
    at: &Points<T>,
    count: usize,
    direction: &Directions,
    batch: usize,
    mut take: impl FnMut(usize, &[f64]),
) -> Result<()> {
    let d = at.x.len() / at.ks.len();
    let (h, sides) = (step::<T>(d), 2 * T::RULE.len());
    let together = (batch / sides).max(1);
    for first in (0..count).step_by(together) {
        let now = first..count.min(first + together);
        let (mut x, mut ks, mut sigmas) = (vec![], vec![], vec![]);
        for i in now.clone() {
            let (point, e) = direction(i);
            let own = &at.x[point * d..(point + 1) * d];
            for (j, _) in T::RULE {
                for sign in [1.0, -1.0] {
                    let go = sign * j * h * at.sigmas[point];
                    x.extend(own.iter().zip(&e).map(|(x, e)| T::of(x.wide() + go * e)));
                    ks.push(at.ks[point]);
                    sigmas.push(at.sigmas[point]);
                }
            }
        }
        let values = (functions.values)(&Points { x: &x, ks: &ks, sigmas: &sigmas })?;
        as_many("of differences", values.len(), x.len())?;
        for (i, values) in now.zip(values.chunks_exact(sides * d)) {
            let mut sum = vec![0.0; d];
            let scale = 1.0 / (h * at.sigmas[direction(i).0]);
            for ((_, weight), pair) in T::RULE.iter().zip(values.chunks_exact(2 * d)) {
                let (ahead, behind) = pair.split_at(d);
                let both = sum.iter_mut().zip(ahead.iter().zip(behind));
                both.for_each(|(sum, (ahead, behind))| *sum += weight * scale * (ahead.wide() - behind.wide()));
            }
            take(i, &sum);
        }
    }
    Ok(())
}

/// J v of the function at every point, `v` and the result `[N, D]`: its own, or by differences along v.
pub(super) fn jvp<T: Real>(functions: &Functions<T>, at: &Points<T>, v: &[T], batch: usize) -> Result<Vec<T>> {
    if let Some(own) = &functions.jvp {
        return own(at, v);
    }
    let d = at.x.len() / at.ks.len();
    let norm = |v: &[T]| v.iter().map(|v| v.wide() * v.wide()).sum::<f64>().sqrt();
    let norms: Vec<f64> = v.chunks_exact(d).map(norm).collect();
    // Along nothing there is no derivative to look for.
    let some: Vec<usize> = (0..norms.len()).filter(|&i| norms[i] > 0.0).collect();
    let unit = |i: usize| {
        let point = some[i];
        (point, v[point * d..(point + 1) * d].iter().map(|v| v.wide() / norms[point]).collect())
    };
    let mut out = vec![T::of(0.0); v.len()];
    along(functions, at, some.len(), &unit, batch, |i, df| {
        let row = &mut out[some[i] * d..(some[i] + 1) * d];
        row.iter_mut().zip(df).for_each(|(out, df)| *out = T::of(df * norms[some[i]]));
    })?;
    Ok(out)
}

/// J'u of the function at one point: its own, or by differences along all D components.
pub(super) fn vjp<T: Real>(functions: &Functions<T>, at: &Points<T>, u: &[T], batch: usize) -> Result<Vec<T>> {
    if let Some(own) = &functions.vjp {
        return own(at, u);
    }
    let d = at.x.len();
    let unit = |i: usize| {
        let mut e = vec![0.0; d];
        e[i] = 1.0;
        (0, e)
    };
    let mut out = vec![T::of(0.0); d];
    along(functions, at, d, &unit, batch, |i, df| {
        out[i] = T::of(df.iter().zip(u).map(|(df, u)| df * u.wide()).sum());
    })?;
    Ok(out)
}
