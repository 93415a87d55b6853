//! Height and width of a network's images, as hyper-parameters give them: one number for both, or `[height, width]`.
use crate::error::{Error, Result};
use crate::shape::Shape;
use serde::Deserialize;
use std::fmt;

/// Sides of an image, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Given")]
pub(super) struct Sides {
    pub h: usize,
    pub w: usize,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels or [height, width]")]
enum Given {
    Square(usize),
    Both([usize; 2]),
}

impl From<Given> for Sides {
    fn from(given: Given) -> Self {
        match given {
            Given::Square(side) => Self::square(side),
            Given::Both([h, w]) => Self { h, w },
        }
    }
}

impl Sides {
    pub const fn square(side: usize) -> Self {
        Self { h: side, w: side }
    }

    pub const fn both(self) -> [usize; 2] {
        [self.h, self.w]
    }

    pub const fn shape(self, channels: usize) -> Shape {
        Shape::new(channels, self.h, self.w)
    }

    /// Refuses sides that cannot be halved `times` times: what is doubled again would not meet what was kept.
    pub fn halve(self, times: usize) -> Result<()> {
        // No size that is allowed has more factors of 2.
        if self.both().iter().all(|side| side.is_multiple_of(1 << times.min(20))) {
            return Ok(());
        }
        Err(Error::invalid("hyper", format!("image_size {self} must be divisible by 2^{times}")))
    }
}

/// One number for a square.
impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.h == self.w { write!(f, "{}", self.h) } else { write!(f, "{}x{}", self.h, self.w) }
    }
}
