//! What a journal keeps of midpoint loops: what their points add up to, so that it grows with the loops and not with the
//! evaluations. In: which points were taken last. Out: the state of their loops, and the work brought back to it, bit for bit: the
//! sums go on from where they were.
use super::columns::Sums;
use super::work::{Pass, Term, Work};
use std::ops::Range;

/// Numbers of a loop's sums.
const SUMS: usize = size_of::<Sums>() / size_of::<f64>();

impl Work<'_> {
    /// Whether the pass is recorded by what its points add up to, and not point by point.
    pub fn adds_up(&self) -> bool {
        matches!(self.pass, Pass::Midpoints)
    }

    /// What is known, after `count` points from `first`, of the loops that these belong to: sums and compared sums of each, the terms that
    /// are computed again, and the first point that was not finite, or -1.
    pub fn state(&self, first: u64, count: usize) -> Vec<f64> {
        let places = self.places(first, count);
        let sums = places.clone().flat_map(|place| {
            let own: [f64; SUMS] = bytemuck::cast(self.sums[place]);
            own.into_iter().chain(self.compared[place])
        });
        let terms = self.terms.range((places.start, 0)..(places.end, 0)).flat_map(|(_, term)| [term.value, term.size]);
        sums.chain(terms).chain([self.not_finite.map_or(-1.0, |i| i as f64)]).collect()
    }

    /// The same, as it was recorded; false if it is not of these points.
    pub fn restore(&mut self, first: u64, count: usize, state: &[f64]) -> bool {
        let places = self.places(first, count);
        let terms = self.terms.range_mut((places.start, 0)..(places.end, 0));
        let (sums, rest) = state.split_at((places.len() * (SUMS + 2)).min(state.len()));
        let mut values = rest.chunks_exact(2);
        let mut known = sums.len() == places.len() * (SUMS + 2);
        for (_, term) in terms {
            match values.next() {
                Some(found) => *term = Term { value: found[0], size: found[1] },
                None => known = false,
            }
        }
        let &[not_finite] = values.remainder() else { return false };
        if !known || values.next().is_some() {
            return false;
        }
        self.not_finite = (not_finite >= 0.0).then_some(not_finite as u64);
        for (place, own) in places.zip(sums.chunks_exact(SUMS + 2)) {
            self.sums[place] = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&own[..SUMS]));
            self.compared[place] = [own[SUMS], own[SUMS + 1]];
        }
        true
    }

    /// The loops that points of the pass belong to, in order of work.
    fn places(&self, first: u64, count: usize) -> Range<usize> {
        self.point(first).place..self.point(first + count as u64 - 1).place + 1
    }
}
