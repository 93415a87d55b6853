//! Which evaluation of the midpoint rule is number i: timestep, sample, path, then segments, the loops that are checked
//! with two more of each segment that is compared. In: the run's sizes. Out: one `Query` per number; plain arithmetic.

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
    /// Of these, every so many segments one is compared.
    pub every: usize,
}

impl Queries {
    /// Segments of a loop that are compared, where it is checked.
    pub fn compared(&self) -> usize {
        self.segments.saturating_sub(self.every / 2).div_ceil(self.every)
    }

    /// Whether a segment is one of them.
    pub fn compares(&self, segment: usize) -> bool {
        segment % self.every == self.every / 2
    }

    /// Evaluations of a loop that is checked.
    fn with_check(&self) -> u64 {
        (self.segments + 2 * self.compared()) as u64
    }

    /// Evaluations of a path and timestep.
    fn per_path(&self) -> u64 {
        self.samples as u64 * self.segments as u64 + (self.checked * 2 * self.compared()) as u64
    }

    fn per_timestep(&self) -> u64 {
        self.paths as u64 * self.per_path()
    }

    /// The segment, and where on it, of evaluation `place` of a loop: its midpoints, then two Gauss points of each that is compared.
    fn on_segment(&self, place: u64) -> (u32, f32) {
        match place.checked_sub(self.segments as u64) {
            None => (place as u32, 0.0),
            Some(gauss) => {
                let segment = self.every / 2 + self.every * (gauss / 2) as usize;
                (segment as u32, if gauss % 2 == 0 { -GAUSS } else { GAUSS })
            }
        }
    }

    pub fn total(&self) -> u64 {
        self.timesteps as u64 * self.per_timestep()
    }

    pub fn get(&self, i: u64) -> Query {
        let (n, each) = (self.segments as u64, self.with_check());
        let (timestep, rest) = ((i / self.per_timestep()) as usize, i % self.per_timestep());
        let with_check = (self.checked * self.paths) as u64 * each;
        let (nth, place) = match rest.checked_sub(with_check) {
            None => (rest / each, rest % each),
            Some(plain) => ((self.checked * self.paths) as u64 + plain / n, plain % n),
        };
        let (segment, shift) = self.on_segment(place);
        let (sample, path) = (nth as usize / self.paths, nth as usize % self.paths);
        Query { timestep, sample, path, segment, shift }
    }
}

impl Queries {
    /// The same evaluations in the order of exported files: path, timestep, sample; of each loop the segments, then the
    /// points of its check.
    pub fn in_file(&self, i: u64) -> Query {
        let (n, each, per) = (self.segments as u64, self.with_check(), self.per_path());
        let (outer, rest) = ((i / per) as usize, i % per);
        let (path, timestep) = (outer / self.timesteps, outer % self.timesteps);
        let with_check = self.checked as u64 * each;
        let (sample, place) = match rest.checked_sub(with_check) {
            None => ((rest / each) as usize, rest % each),
            Some(plain) => (self.checked + (plain / n) as usize, plain % n),
        };
        let (segment, shift) = self.on_segment(place);
        Query { timestep, sample, path, segment, shift }
    }
}
