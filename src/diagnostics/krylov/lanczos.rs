//! Block Lanczos for A = (J - J')/2 or H = (J + J')/2 with full reorthogonalisation, in real arithmetic (Paige, 1971; Golub and
//! Underwood, 1977; for skew matrices Greif and Varah, 2009): Q'AQ = T is block tridiagonal and as symmetric or skew as A. A block
//! of b random vectors finds values that are repeated up to b times; one that closes goes on in its complement (`basis`).
//! In: products of one block after the other. Out: T, and how far a combination of the columns is from being invariant.
use super::Vectors;
use super::basis::Basis;
use crate::paths::philox::Stream;
use nalgebra::DMatrix;

/// Which half of J.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// A = (J - J')/2
    Antisymmetric,
    /// H = (J + J')/2
    Symmetric,
}

impl Half {
    /// The sign of J', and of entries across the diagonal.
    fn sign(self) -> f64 {
        if self == Half::Antisymmetric { -1.0 } else { 1.0 }
    }

    /// A v or H v of J v and J'v.
    pub fn of(self, forward: &[f64], reverse: &[f64]) -> Vec<f64> {
        forward.iter().zip(reverse).map(|(f, r)| (f + self.sign() * r) / 2.0).collect()
    }
}

pub(super) struct Lanczos {
    half: Half,
    pub basis: Basis,
    /// Columns of T, as far as they were multiplied, each down to its block's end.
    t: Vec<Vec<f64>>,
    /// First column of the block that was multiplied last.
    last: usize,
    /// What the products of that block have of the next one.
    next: Vec<Vec<f64>>,
    /// Products of blocks so far.
    pub steps: usize,
    /// The largest product of J or J' with a column.
    pub size: f64,
}

impl Lanczos {
    /// A block of random vectors to begin with, as many as there are components at most.
    pub fn new(half: Half, dim: usize, block: usize, stream: Stream) -> Self {
        let mut basis = Basis::new(dim, stream);
        (0..block.min(dim)).for_each(|_| basis.random());
        Self { half, basis, t: vec![], last: 0, next: vec![], steps: 0, size: 0.0 }
    }

    /// The block that is to be multiplied; empty once the basis is whole.
    pub fn asks(&self) -> Vec<Vec<f64>> {
        self.basis.columns[self.t.len()..].to_vec()
    }

    /// Columns that were multiplied.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    pub fn gets(&mut self, products: &Vectors) {
        (self.last, self.next) = (self.t.len(), vec![]);
        let own = self.basis.columns.len();
        for (forward, reverse) in products.forward.iter().zip(&products.reverse) {
            let mut shares = self.basis.push(self.half.of(forward, reverse));
            self.next.push(shares.split_off(own));
            self.t.push(shares);
        }
        self.steps += 1;
        self.size = self.size.max(products.largest());
    }

    /// T, exactly skew or symmetric.
    pub fn matrix(&self) -> DMatrix<f64> {
        let (n, sign) = (self.t.len(), self.half.sign());
        let mut t = DMatrix::zeros(n, n);
        for (j, column) in self.t.iter().enumerate() {
            for i in 0..=j {
                // Within a block both entries were measured; else the one above the diagonal, by the newer column.
                let across = self.t[i].get(j).map_or(column[i], |own| (column[i] + sign * own) / 2.0);
                (t[(i, j)], t[(j, i)]) = (across, sign * across);
            }
        }
        t
    }

    /// |A q - T q| of the columns' combination q: what leads out of them.
    pub fn left<'a>(&self, shares: impl IntoIterator<Item = &'a f64>) -> f64 {
        let mut out: Vec<f64> = vec![];
        for (share, next) in shares.into_iter().skip(self.last).zip(&self.next) {
            out.resize(out.len().max(next.len()), 0.0);
            next.iter().enumerate().for_each(|(i, v)| out[i] += share * v);
        }
        super::norm(&out)
    }
}
