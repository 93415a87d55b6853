//! An orthonormal basis that grows. In: candidates, in the order in which they come. Out: columns, orthonormal to rounding in f64,
//! and what each candidate had of them. A candidate that has nothing new is replaced by a random direction, so that a space
//! which closes early goes on in its complement, where copies of repeated values are.
use super::{add, dot, norm};
use crate::paths::normal::normals;
use crate::paths::philox::Stream;

/// What is left of a candidate under this share of it is rounding in f64, and no direction.
const LOST: f64 = 1e-12;

pub(super) struct Basis {
    dim: usize,
    pub columns: Vec<Vec<f64>>,
    /// Where random directions come from; its draw is the next one's.
    stream: Stream,
}

impl Basis {
    /// Empty, of vectors with so many components.
    pub fn new(dim: usize, stream: Stream) -> Self {
        Self { dim, columns: vec![], stream }
    }

    /// Columns that it can still have.
    pub fn room(&self) -> usize {
        self.dim - self.columns.len()
    }

    /// Takes from v what the columns have of it, and returns how much of each that was. Twice, since once leaves rounding errors
    /// that are large beside a small rest.
    pub fn project(&self, v: &mut [f64]) -> Vec<f64> {
        let mut shares = vec![0.0; self.columns.len()];
        for _ in 0..2 {
            for (share, column) in shares.iter_mut().zip(&self.columns) {
                let own = dot(column, v);
                add(v, -own, column);
                *share += own;
            }
        }
        shares
    }

    /// What the columns have of v, and the norm of the rest, which becomes a column if there is room: the last number, left out
    /// where there is none. Zero where nothing new was left, and a random direction became the column.
    pub fn push(&mut self, mut v: Vec<f64>) -> Vec<f64> {
        let whole = norm(&v);
        let mut shares = self.project(&mut v);
        if self.room() == 0 {
            return shares;
        }
        let rest = norm(&v);
        if rest > LOST * whole {
            v.iter_mut().for_each(|v| *v /= rest);
            self.columns.push(v);
            shares.push(rest);
        } else {
            self.random();
            shares.push(0.0);
        }
        shares
    }

    /// Adds a random direction; there must be room.
    pub fn random(&mut self) {
        loop {
            let mut v = normals(&self.stream, self.dim);
            self.stream.draw += 1;
            let whole = norm(&v);
            self.project(&mut v);
            let rest = norm(&v);
            // In few dimensions a draw can lie in the columns' space.
            if rest > 1e-6 * whole {
                v.iter_mut().for_each(|v| *v /= rest);
                return self.columns.push(v);
            }
        }
    }

    /// The sum of the first columns, so much of each.
    pub fn combined<'a>(&self, shares: impl IntoIterator<Item = &'a f64>) -> Vec<f64> {
        let mut sum = vec![0.0; self.dim];
        self.columns.iter().zip(shares).for_each(|(column, share)| add(&mut sum, *share, column));
        sum
    }
}
