//! What a circulation run is asked for, and what does not depend on how its loops are integrated. In: what a user chose. Out:
//! options that fit the data.
use crate::data::Images;
use crate::diagnostics::check;
use crate::error::{Error, Result};
use crate::paths::{self, ClosedPath};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::sync::Arc;

/// Numbers that the device makes of a point, with padding.
pub(super) const RESULTS: usize = 8;

/// Loops of a path and timestep that are checked at least, if any are: one difference may be small by chance.
const LEAST_CHECKED: usize = 2;

/// Share of the samples for which checks may cost three evaluations a segment, whatever share is asked for: a fifth more evaluations.
const CHEAP: f64 = 0.1;

/// Segments of a loop that are compared at least, or all.
const LEAST_COMPARED: usize = 32;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Closed paths, each of another name.
    pub paths: Vec<Arc<dyn ClosedPath>>,
    /// Strictly increasing.
    pub timesteps: Vec<usize>,
    /// The first this many images.
    pub samples: usize,
    /// Segments N per loop; the most evaluations of a loop that is integrated adaptively.
    pub points: usize,
    /// Key of all randomness: equal seeds give equal points.
    pub seed: u64,
    /// How loops are integrated.
    pub quadrature: Quadrature,
    /// Share of the samples, the first ones and at least two, that are also integrated by two-point Gauss: the quadrature
    /// error. Three evaluations per segment instead of one; 0 for none, and then nothing on these paths is resolved. Where two samples
    /// are more than the share, not every segment of theirs is compared. Adaptive loops have an estimate of their own.
    pub quadrature_check: f64,
    /// Points, spread over the run, whose terms the f64 twin computes again: the arithmetic error. 0 for none.
    pub verify_points: usize,
    /// Lanes per tile; by memory if not given. Does not change results.
    pub tile: Option<usize>,
    /// Kernel family; by adapter if not given.
    pub family: Option<KernelFamily>,
}

/// The paper's protocol, on 256 samples; errors of 5% of the samples and of 8 points.
impl Default for Options {
    fn default() -> Self {
        Self {
            paths: paths::of_the_paper(),
            timesteps: (1..1000).step_by(10).collect(),
            samples: 256,
            points: 1000,
            seed: 0,
            quadrature: Quadrature::Midpoint,
            quadrature_check: 0.05,
            verify_points: 8,
            tile: None,
            family: None,
        }
    }
}

/// Points that a run repeats in f64 unless told otherwise.
const VERIFIED: usize = 8;

/// How many of a run's midpoints a share of them is, which are to be computed again.
///
/// # Errors
/// A share that is none.
pub fn verify_points(share: Option<f64>, midpoints: usize) -> Result<usize> {
    match share {
        None => Ok(VERIFIED.min(midpoints)),
        Some(share) if (0.0..=1.0).contains(&share) => Ok((share * midpoints as f64).ceil() as usize),
        Some(share) => Err(Error::invalid("--verify-fraction", format!("{share}, expected 0 to 1"))),
    }
}

impl Options {
    /// Names of the paths, in order.
    pub fn path_names(&self) -> Vec<String> {
        self.paths.iter().map(|path| path.name().to_string()).collect()
    }

    /// Samples, from the first of the run, that are also integrated by two-point Gauss.
    pub fn checked_samples(&self) -> usize {
        match (self.quadrature_check * self.samples as f64).ceil() as usize {
            0 => 0,
            asked => asked.max(LEAST_CHECKED).min(self.samples),
        }
    }

    /// Of loops that are checked, every so many segments one is compared with two-point Gauss: 1, but where samples are checked that
    /// nobody asked for. The sum of the compared differences then stands for that of all.
    pub fn compared_every(&self) -> usize {
        let asked = self.quadrature_check * self.samples as f64;
        if asked > LEAST_CHECKED as f64 - 1.0 {
            return 1;
        }
        let spare = self.checked_samples() as f64 / asked.max(CHEAP * self.samples as f64);
        (spare.ceil() as usize).min(self.points / LEAST_COMPARED).max(1)
    }

    /// Refuses what does not fit the data, the field's shape or itself; paths are checked one by one.
    pub(super) fn check(&self, images: &Images, shape: Shape) -> Result<()> {
        check(images, shape, self.samples, &self.timesteps)?;
        let checked = self.quadrature_check;
        if !(0.0..=1.0).contains(&checked) {
            return Err(Error::invalid("quadrature check", format!("{checked} of the samples, expected 0 to 1")));
        }
        if let Quadrature::Adaptive { tolerance } = self.quadrature
            && !(tolerance > 0.0 && tolerance < 1.0)
        {
            return Err(Error::invalid("tolerance", format!("{tolerance}, expected a number between 0 and 1")));
        }
        Ok(())
    }
}

/// How loops are integrated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quadrature {
    /// The paper's: N midpoints of the polyline.
    Midpoint,
    /// Smooth paths by nested rules, until the estimated error is at most `tolerance` max(|Gamma|, `FLOOR` S) or the next
    /// level would take more than N evaluations. Other paths as in `Midpoint`.
    Adaptive {
        /// Between 0 and 1.
        tolerance: f64,
    },
}
