//! Shape of one lane (one image) of a tensor, and the padded channels-last layout that the GPU uses for it.
use crate::error::{Error, Result};
use std::fmt;

/// Most components of a shape that is given as text.
const MOST: usize = 1 << 30;

/// `[C, H, W]` of one sample. Files and the public API are `[N, C, H, W]` in C order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels.
    pub c: usize,
    /// Height, pixels.
    pub h: usize,
    /// Width, pixels.
    pub w: usize,
}

impl Shape {
    /// `[c, h, w]`.
    pub const fn new(c: usize, h: usize, w: usize) -> Self {
        Self { c, h, w }
    }

    /// Number of components D = C H W.
    pub const fn len(&self) -> usize {
        self.c * self.h * self.w
    }

    /// True if there are no components.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels H W.
    pub const fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// D rounded up to a multiple of 4: stride of a flat `[lane][D]` buffer.
    pub const fn flat_stride(&self) -> usize {
        self.len().div_ceil(4) * 4
    }

    /// Parses `CxHxW`, for example `1x28x28`.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<usize> = text.split('x').map_while(|p| p.trim().parse().ok()).collect();
        match parts[..] {
            [c, h, w]
                if text.split('x').count() == 3 && (1..=MOST).contains(&c.saturating_mul(h).saturating_mul(w)) =>
            {
                Ok(Self { c, h, w })
            }
            _ => {
                let want = format!("CxHxW with positive numbers, such as 1x28x28, {MOST} in all at most");
                Err(Error::invalid("shape", format!("'{text}' is not {want}")))
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}x{}", self.c, self.h, self.w)
    }
}
