//! The largest singular value of M = shift I + scale J by bidiagonalisation (Golub and Kahan, 1965) with full
//! reorthogonalisation: M v, then M' of what came of it, in turns. In: products with J and J'. Out: value and vectors with the
//! residual of their own products.
use super::basis::Basis;
use super::{Limits, Problem, Vectors, add, dot, norm, rounded};
use crate::paths::philox::Stream;
use nalgebra::{DMatrix, SVD};

/// shift I + scale J
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    pub shift: f64,
    pub scale: f64,
}

impl Affine {
    /// M v of v and J v; M'v of J'v.
    fn of(self, v: &[f64], jv: &[f64]) -> Vec<f64> {
        v.iter().zip(jv).map(|(v, jv)| self.shift * v + self.scale * jv).collect()
    }
}

/// Whose turn it is first. Of two searches in lock-step one begins with J and one with J', so that both have work at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Forward,
    Reverse,
}

/// A singular value with its vectors: M right = value left, M'left = value right.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Triplet {
    pub value: f64,
    /// sqrt(|M right - value left|^2 + |M'left - value right|^2)
    pub residual: f64,
    /// Of unit length, each number one of f32; the largest component of `right` is positive.
    pub right: Vec<f64>,
    pub left: Vec<f64>,
}

enum Stage {
    Growing,
    Checking(Triplet),
    Done(Triplet),
}

/// The search for one value.
pub(crate) struct Singular {
    dim: usize,
    limits: Limits,
    operator: Affine,
    first: Side,
    /// Bases of where a search begins and of where its first products lie: right and left vectors of M, or the other way round.
    near: Basis,
    far: Basis,
    /// Columns of far' M near, each down to its diagonal.
    b: Vec<Vec<f64>>,
    stage: Stage,
    size: f64,
}

impl Singular {
    pub fn new(dim: usize, operator: Affine, first: Side, limits: Limits, streams: [Stream; 2]) -> Self {
        let [mut near, far] = streams.map(|stream| Basis::new(dim, stream));
        near.random();
        Self { dim, limits, operator, first, near, far, b: vec![], stage: Stage::Growing, size: 0.0 }
    }

    /// The triplet, NaN where a product was not finite; none until it is done.
    pub fn found(&self) -> Option<&Triplet> {
        if let Stage::Done(triplet) = &self.stage { Some(triplet) } else { None }
    }

    /// The largest product of a unit vector with J or J', the scale of their rounding.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Which product is next.
    fn side(&self) -> Side {
        match (self.near.columns.len() > self.far.columns.len(), self.first) {
            (true, first) => first,
            (false, Side::Forward) => Side::Reverse,
            (false, Side::Reverse) => Side::Forward,
        }
    }

    /// The vector that is next.
    fn vector(&self) -> &[f64] {
        let from = if self.side() == self.first { &self.near } else { &self.far };
        from.columns.last().map_or(&[], Vec::as_slice)
    }

    fn fail(&mut self) {
        let nan = vec![f64::NAN; self.dim];
        self.stage = Stage::Done(Triplet { value: f64::NAN, residual: f64::NAN, right: nan.clone(), left: nan });
    }

    /// Takes the product of the next vector.
    fn grow(&mut self, product: &[f64]) {
        let image = self.operator.of(self.vector(), product);
        if self.side() == self.first {
            self.b.push(self.far.push(image));
            return;
        }
        let shares = self.near.push(image);
        let out = if shares.len() > self.b.len() { shares[self.b.len()] } else { 0.0 };
        self.judge(out);
    }

    /// `out`: what the last product has beyond the basis.
    fn judge(&mut self, out: f64) {
        let n = self.b.len();
        let b = DMatrix::from_fn(n, n, |i, j| self.b[j].get(i).copied().unwrap_or(0.0));
        let svd = SVD::new(b, true, true);
        let (Some(u), Some(v)) = (&svd.u, &svd.v_t) else { return self.fail() };
        let (value, residual) = (svd.singular_values[0], out * u[(n - 1, 0)].abs());
        let whole = self.near.columns.len() == n;
        if residual <= self.limits.bound(value, self.size) || n >= self.limits.steps || whole {
            let near = self.near.combined(v.row(0).iter());
            let far = self.far.combined(u.column(0).iter());
            let (mut right, mut left) = if self.first == Side::Forward { (near, far) } else { (far, near) };
            let largest = right.iter().fold(0.0f64, |most, v| if v.abs() > most.abs() { *v } else { most });
            if largest < 0.0 {
                right.iter_mut().chain(&mut left).for_each(|v| *v = -*v);
            }
            self.stage = Stage::Checking(Triplet { value, residual, right: rounded(right), left: rounded(left) });
        }
    }
}

impl Problem for Singular {
    fn asks(&self) -> Option<Vectors> {
        match &self.stage {
            Stage::Growing => {
                let next = vec![self.vector().to_vec()];
                Some(match self.side() {
                    Side::Forward => Vectors { forward: next, reverse: vec![] },
                    Side::Reverse => Vectors { forward: vec![], reverse: next },
                })
            }
            Stage::Checking(t) => Some(Vectors { forward: vec![t.right.clone()], reverse: vec![t.left.clone()] }),
            Stage::Done(_) => None,
        }
    }

    fn gets(&mut self, products: Vectors) {
        if !products.is_finite() {
            return self.fail();
        }
        self.size = self.size.max(products.largest());
        match std::mem::replace(&mut self.stage, Stage::Growing) {
            Stage::Growing => {
                let product = products.forward.first().or(products.reverse.first());
                product.into_iter().for_each(|p| self.grow(p));
            }
            Stage::Checking(mut t) => {
                let mut across = self.operator.of(&t.right, &products.forward[0]);
                let mut back = self.operator.of(&t.left, &products.reverse[0]);
                t.value = (dot(&t.left, &across) + dot(&t.right, &back)) / 2.0;
                add(&mut across, -t.value, &t.left);
                add(&mut back, -t.value, &t.right);
                t.residual = norm(&across).hypot(norm(&back));
                self.stage = Stage::Done(t);
            }
            done => self.stage = done,
        }
    }
}
