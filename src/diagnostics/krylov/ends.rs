//! Both ends of the spectrum of H = (J + J')/2: its lowest and its highest eigenvalues. In: products with J and J'. Out: pairs
//! of eigenvalue and eigenvector, each with the residual of its own product.
use super::lanczos::{Half, Lanczos};
use super::{Limits, Problem, Vectors, add, dot, norm, rounded};
use crate::paths::philox::Stream;
use nalgebra::SymmetricEigen;

/// An eigenvalue and its vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    /// v'H v
    pub value: f64,
    /// |H v - value v|
    pub residual: f64,
    /// Of unit length, each number one of f32; its largest component is positive.
    pub vector: Vec<f64>,
}

enum Stage {
    Growing,
    Checking(Vec<Pair>),
    Done(Vec<Pair>),
}

/// The search for both ends of one H.
pub(crate) struct Ends {
    dim: usize,
    count: usize,
    limits: Limits,
    lanczos: Lanczos,
    stage: Stage,
    size: f64,
}

impl Ends {
    /// `count` eigenvalues from each end, of vectors with at least as many components.
    pub fn new(dim: usize, count: usize, block: usize, limits: Limits, stream: Stream) -> Self {
        let lanczos = Lanczos::new(Half::Symmetric, dim, block, stream);
        Self { dim, count, limits, lanczos, stage: Stage::Growing, size: 0.0 }
    }

    /// The lowest from the end inwards, then the highest from the end inwards; NaN where a product was not finite. Empty until it
    /// is done.
    pub fn found(&self) -> &[Pair] {
        if let Stage::Done(pairs) = &self.stage { pairs } else { &[] }
    }

    /// The largest product of a unit vector with J or J', the scale of their rounding.
    pub fn size(&self) -> f64 {
        self.size.max(self.lanczos.size)
    }

    fn fail(&mut self) {
        let pair = Pair { value: f64::NAN, residual: f64::NAN, vector: vec![f64::NAN; self.dim] };
        self.stage = Stage::Done(vec![pair; 2 * self.count]);
    }

    fn judge(&mut self) {
        if self.lanczos.len() < (2 * self.count).min(self.dim) {
            return;
        }
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(self.lanczos.matrix());
        let mut order: Vec<usize> = (0..eigenvalues.len()).collect();
        order.sort_by(|&i, &j| eigenvalues[i].total_cmp(&eigenvalues[j]));
        let (low, high) = (order.iter(), order.iter().rev());
        let wanted: Vec<usize> = low.take(self.count).chain(high.take(self.count)).copied().collect();
        let left = |i: usize| self.lanczos.left(eigenvectors.column(i).iter());
        let largest = wanted.iter().map(|&i| eigenvalues[i].abs()).fold(0.0, f64::max);
        let bound = self.limits.bound(largest, self.size());
        let good = wanted.iter().all(|&i| left(i) <= bound);
        if good || self.lanczos.steps >= self.limits.steps || self.lanczos.asks().is_empty() {
            let pair = |&i: &usize| Pair {
                value: eigenvalues[i],
                residual: left(i),
                vector: signed(self.lanczos.basis.combined(eigenvectors.column(i).iter())),
            };
            self.stage = Stage::Checking(wanted.iter().map(pair).collect());
        }
    }
}

impl Problem for Ends {
    fn asks(&self) -> Option<Vectors> {
        match &self.stage {
            Stage::Growing => Some(Vectors::both(self.lanczos.asks())),
            Stage::Checking(pairs) => Some(Vectors::both(pairs.iter().map(|p| p.vector.clone()).collect())),
            Stage::Done(_) => None,
        }
    }

    fn gets(&mut self, products: Vectors) {
        if !products.is_finite() {
            return self.fail();
        }
        match std::mem::replace(&mut self.stage, Stage::Growing) {
            Stage::Growing => {
                self.lanczos.gets(&products);
                self.judge();
            }
            Stage::Checking(mut pairs) => {
                self.size = products.largest();
                for (i, pair) in pairs.iter_mut().enumerate() {
                    let mut hv = Half::Symmetric.of(&products.forward[i], &products.reverse[i]);
                    pair.value = dot(&pair.vector, &hv);
                    add(&mut hv, -pair.value, &pair.vector);
                    pair.residual = norm(&hv);
                }
                let (low, high) = pairs.split_at_mut(self.count);
                low.sort_by(|a, b| a.value.total_cmp(&b.value));
                high.sort_by(|a, b| b.value.total_cmp(&a.value));
                self.stage = Stage::Done(pairs);
            }
            done => self.stage = done,
        }
    }
}

/// The same direction with its largest component positive.
fn signed(mut vector: Vec<f64>) -> Vec<f64> {
    let largest = vector.iter().fold(0.0f64, |most, v| if v.abs() > most.abs() { *v } else { most });
    if largest < 0.0 {
        vector.iter_mut().for_each(|v| *v = -*v);
    }
    rounded(vector)
}
