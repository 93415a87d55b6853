//! What a journal keeps of loops: what their points add up to, so that it grows with the loops and not with the evaluations. Of
//! midpoint loops that is so after every tile; adaptive loops are kept when they are done, as further levels need every point. In:
//! which loops. Out: their state, and the work brought back to it, bit for bit: sums go on from where they were.
use super::columns::Sums;
use super::work::{Pass, Term, Work};
use std::collections::BTreeSet;
use std::ops::Range;

/// Numbers of a loop's sums.
const SUMS: usize = size_of::<Sums>() / size_of::<f64>();

impl Work<'_> {
    /// Whether loops of the pass are kept tile by tile, and not when they are done.
    pub fn adds_up(&self) -> bool {
        matches!(self.pass, Pass::Midpoints)
    }

    /// What is known, after `count` points from `first`, of the loops that these belong to, and the first point that was not
    /// finite, or -1.
    pub fn state(&self, first: u64, count: usize) -> Vec<f64> {
        let mut all = self.of_loops(self.places(first, count));
        all.push(self.not_finite.map_or(-1.0, |i| i as f64));
        all
    }

    /// The same, as it was recorded; false if it is not of these points.
    pub fn restore(&mut self, first: u64, count: usize, state: &[f64]) -> bool {
        let Some((&not_finite, loops)) = state.split_last() else { return false };
        let known = self.restore_loops(self.places(first, count), loops);
        if known {
            self.not_finite = (not_finite >= 0.0).then_some(not_finite as u64);
        }
        known
    }

    /// Of loops in order of work: sums and compared sums of each, and the terms that are computed again.
    pub fn of_loops(&self, places: Range<usize>) -> Vec<f64> {
        let sums = places.clone().flat_map(|place| {
            let own: [f64; SUMS] = bytemuck::cast(self.sums[place]);
            own.into_iter().chain(self.compared[place])
        });
        let terms = self.terms.range((places.start, 0)..(places.end, 0)).flat_map(|(_, term)| [term.value, term.size]);
        sums.chain(terms).collect()
    }

    fn restore_loops(&mut self, places: Range<usize>, state: &[f64]) -> bool {
        let terms = self.terms.range_mut((places.start, 0)..(places.end, 0));
        let Some((sums, rest)) = state.split_at_checked(places.len() * (SUMS + 2)) else { return false };
        let mut values = rest.chunks_exact(2);
        if !values.remainder().is_empty() {
            return false;
        }
        for (_, term) in terms {
            let Some(found) = values.next() else { return false };
            *term = Term { value: found[0], size: found[1] };
        }
        for (place, own) in places.zip(sums.chunks_exact(SUMS + 2)) {
            self.sums[place] = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&own[..SUMS]));
            self.compared[place] = [own[SUMS], own[SUMS + 1]];
        }
        values.next().is_none()
    }

    /// An adaptive loop that is done, as it was recorded; false if it is none, or not of this one.
    pub fn restore_done(&mut self, place: usize, state: &[f64]) -> bool {
        let adaptive = place < self.sums.len() && self.paths[place % self.paths.len()].rule.is_some();
        adaptive && self.restore_loops(place..place + 1, state)
    }

    /// Goes on with the adaptive loops that are not among these.
    pub fn go_on(&mut self, known: &BTreeSet<usize>) {
        if let Pass::Nested(group) = &mut self.pass {
            group.leave_out(known, &self.rules);
        }
    }

    /// The loops that points of the pass belong to, in order of work.
    fn places(&self, first: u64, count: usize) -> Range<usize> {
        self.point(first).place..self.point(first + count as u64 - 1).place + 1
    }
}
