//! Which evaluation of the midpoint rule is number i: timestep, sample, path, then segments, the loops that are checked
//! with twice as many again. In: the run's sizes. Out: one `Query` per number; plain arithmetic.

/// Distance of the two-point Gauss rule's points from the midpoint, in steps: 1 / (2 sqrt 3).
pub(super) const GAUSS: f32 = 0.288_675_13;

/// One evaluation of the field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Query {
    /// Indices, not the timestep's k; `path` among those of the midpoint rule.
    pub timestep: usize,
    pub sample: usize,
    pub path: usize,
    pub segment: u32,
    /// Where on the segment, in steps from its midpoint.
    pub shift: f32,
}

/// Sizes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queries {
    pub timesteps: usize,
    pub samples: usize,
    pub paths: usize,
    /// Segments per loop.
    pub segments: usize,
    /// The first this many samples are also integrated by two-point Gauss.
    pub checked: usize,
}

impl Queries {
    fn per_timestep(&self) -> u64 {
        (self.paths * (self.samples + 2 * self.checked)) as u64 * self.segments as u64
    }

    pub fn total(&self) -> u64 {
        self.timesteps as u64 * self.per_timestep()
    }

    pub fn get(&self, i: u64) -> Query {
        let n = self.segments as u64;
        let (timestep, rest) = ((i / self.per_timestep()) as usize, i % self.per_timestep());
        let with_check = (self.checked * self.paths) as u64 * 3 * n;
        let (nth, place) = match rest.checked_sub(with_check) {
            None => (rest / (3 * n), rest % (3 * n)),
            Some(plain) => ((self.checked * self.paths) as u64 + plain / n, plain % n),
        };
        let (segment, shift) = on_segment(place, n);
        let (sample, path) = (nth as usize / self.paths, nth as usize % self.paths);
        Query { timestep, sample, path, segment, shift }
    }
}

impl Queries {
    /// The same evaluations in the order of exported files: path, timestep, sample; of each loop the segments, then the
    /// points of its check.
    pub fn in_file(&self, i: u64) -> Query {
        let (n, per) = (self.segments as u64, (self.samples + 2 * self.checked) as u64 * self.segments as u64);
        let (outer, rest) = ((i / per) as usize, i % per);
        let (path, timestep) = (outer / self.timesteps, outer % self.timesteps);
        let with_check = self.checked as u64 * 3 * n;
        let (sample, place) = match rest.checked_sub(with_check) {
            None => ((rest / (3 * n)) as usize, rest % (3 * n)),
            Some(plain) => (self.checked + (plain / n) as usize, plain % n),
        };
        let (segment, shift) = on_segment(place, n);
        Query { timestep, sample, path, segment, shift }
    }
}

/// The segment, and where on it, of evaluation `place` of a loop of n segments: its midpoints, then two Gauss points each.
fn on_segment(place: u64, n: u64) -> (u32, f32) {
    match place.checked_sub(n) {
        None => (place as u32, 0.0),
        Some(gauss) => ((gauss / 2) as u32, if gauss % 2 == 0 { -GAUSS } else { GAUSS }),
    }
}
