//! Eigenvalues and singular values of operators that are known by their products with vectors, many independent problems in
//! lock-step: each says which vectors it wants multiplied by J and by J', all of them go to the device in one batch, and each gets
//! its products. In: a way to multiply. Out: planes in which the antisymmetric part turns, ends of the symmetric part's
//! spectrum, largest singular values, each with a residual from products of the final vectors. All arithmetic here is in f64,
//! and a problem's numbers do not depend on its company.
mod basis;
mod device;
mod ends;
mod lanczos;
mod planes;
mod singular;
#[cfg(test)]
mod tests;

pub(crate) use ends::{Ends, Pair};
pub(crate) use planes::{Plane, Planes};
pub(crate) use singular::{Affine, Side, Singular, Triplet};

use crate::error::Result;
use std::collections::BTreeMap;

/// Vectors of a problem, those for J and those for J', and in the same places what comes of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vectors {
    pub forward: Vec<Vec<f64>>,
    pub reverse: Vec<Vec<f64>>,
}

impl Vectors {
    /// The same vectors for both.
    pub fn both(vectors: Vec<Vec<f64>>) -> Self {
        Vectors { forward: vectors.clone(), reverse: vectors }
    }

    /// How many there are of each.
    pub fn counts(&self) -> [usize; 2] {
        [self.forward.len(), self.reverse.len()]
    }

    pub fn is_finite(&self) -> bool {
        self.forward.iter().chain(&self.reverse).flatten().all(|v| v.is_finite())
    }

    /// The largest norm among them; 0 of none.
    pub fn largest(&self) -> f64 {
        self.forward.iter().chain(&self.reverse).map(|v| norm(v)).fold(0.0, f64::max)
    }

    /// Appends those of another problem.
    pub fn append(&mut self, mut other: Vectors) {
        self.forward.append(&mut other.forward);
        self.reverse.append(&mut other.reverse);
    }

    /// Takes the first so many of each.
    pub fn take(&mut self, [forward, reverse]: [usize; 2]) -> Self {
        Vectors { forward: self.forward.drain(..forward).collect(), reverse: self.reverse.drain(..reverse).collect() }
    }
}

/// Products in f32 are off by about this share of the largest of them: some twenty roundings of a few 2^-24.
pub(crate) const FLOOR: f64 = 1e-6;

/// Bytes of bases that are held at once.
const BASES: usize = 1 << 30;

/// When a problem stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Products of a block, the last one for the residuals not counted.
    pub steps: usize,
    /// Residuals in units of the largest value that is wanted.
    pub tolerance: f64,
    /// Residuals in units of the largest product seen, below which the products' own rounding is all there is.
    pub floor: f64,
}

impl Limits {
    /// How many searches with blocks of this size may go on at once, at least one.
    pub fn at_once(&self, dim: usize, block: usize) -> usize {
        let columns = self.steps.saturating_add(1).saturating_mul(block).min(dim);
        (BASES / size_of::<f64>() / columns.saturating_mul(dim).max(1)).max(1)
    }

    /// Residuals under this bound are small enough.
    fn bound(&self, largest: f64, size: f64) -> f64 {
        (self.tolerance * largest).max(self.floor * size)
    }
}

/// A problem on its way.
pub(crate) trait Problem {
    /// What it wants multiplied next; none once it is done.
    fn asks(&self) -> Option<Vectors>;

    /// The products of what it asked for.
    fn gets(&mut self, products: Vectors);
}

/// What all problems that are not done ask for, once; false if there is none. `multiply` gets the numbers of some problems and the
/// vectors of each, all alike in how many there are, and returns the products.
fn round<P: Problem>(
    problems: &mut [P],
    mut multiply: impl FnMut(&[usize], Vec<Vectors>) -> Result<Vec<Vectors>>,
) -> Result<bool> {
    let mut alike: BTreeMap<[usize; 2], (Vec<usize>, Vec<Vectors>)> = BTreeMap::new();
    for (i, asked) in problems.iter().enumerate().filter_map(|(i, p)| Some((i, p.asks()?))) {
        let (numbers, vectors) = alike.entry(asked.counts()).or_default();
        numbers.push(i);
        vectors.push(asked);
    }
    let any = !alike.is_empty();
    for (numbers, vectors) in alike.into_values() {
        for (i, products) in numbers.iter().zip(multiply(&numbers, vectors)?) {
            problems[*i].gets(products);
        }
    }
    Ok(any)
}

/// x.y, from the first component to the last.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// |x|
pub(crate) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// y += factor x
fn add(y: &mut [f64], factor: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

/// A vector as devices take it and files hold it, in f32: what is checked is what is kept.
fn rounded(mut x: Vec<f64>) -> Vec<f64> {
    x.iter_mut().for_each(|v| *v = f64::from(*v as f32));
    x
}
