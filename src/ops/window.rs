//! What a kernel's window reads of an image: how many outputs there are, where they look, what is zero. In: sizes of images and
//! kernels. Out: rows, columns, paddings.
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::Immediate;
use crate::shape::Shape;
use std::ops::Range;

/// Zeros before and after the rows and the columns of an input, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Above and below.
    pub rows: [usize; 2],
    /// Left and right.
    pub columns: [usize; 2],
}

impl Padding {
    /// As many on every side.
    pub const fn all(n: usize) -> Self {
        Self::trailing(n, 0)
    }

    /// `n` on every side and `more` below and to the right.
    pub const fn trailing(n: usize, more: usize) -> Self {
        Self { rows: [n, n + more], columns: [n, n + more] }
    }

    /// With so many zeros above and below; none if that is fewer than none.
    pub(crate) fn with_rows(self, rows: [isize; 2]) -> Option<Self> {
        let [above, below] = rows.map(usize::try_from);
        Some(Self { rows: [above.ok()?, below.ok()?], ..self })
    }
}

/// Output height or width of a convolution, or what is wrong.
pub(super) fn extent(n: usize, kernel: usize, stride: usize, padding: [usize; 2]) -> Result<usize> {
    let padded = n + padding[0] + padding[1];
    if stride == 0 || padded < kernel {
        return Err(Error::invalid(
            "input",
            format!("{n} pixels with {padding:?} zeros around them do not hold a kernel of {kernel}"),
        ));
    }
    Ok((padded - kernel) / stride + 1)
}

/// Which rows of an input a row of the output depends on: row i on the rows `i stride + t - padding[0]`, t = 0..kernel, of the input
/// spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows of the input spread out, per row of the input.
    pub spread: usize,
    /// Rows of that between outputs.
    pub stride: usize,
    /// Rows of that under the window.
    pub kernel: usize,
    /// Rows above the first, and below the last that spreading leaves; negative: fewer of those.
    pub padding: [isize; 2],
    /// Whether the row next to an edge stands beyond it.
    pub reflect: bool,
}

impl Window {
    /// Of a convolution.
    pub const fn of(kernel: usize, stride: usize, padding: [usize; 2]) -> Self {
        let padding = [padding[0] as isize, padding[1] as isize];
        Self { spread: 1, stride, kernel, padding, reflect: false }
    }

    /// For rows `out` of the output on an input of `h` rows: the rows that it takes, at least one, and the padding with which
    /// the same op makes `out` of those alone.
    pub(crate) fn cut(&self, out: &Range<usize>, h: usize) -> (Range<usize>, [isize; 2]) {
        let (spread, h) = (self.spread as isize, h as isize);
        // Of the input spread out.
        let first = (out.start * self.stride) as isize - self.padding[0];
        let end = ((out.end - 1) * self.stride + self.kernel) as isize - self.padding[0];
        let start = ((first.max(0) + spread - 1) / spread).min(h - 1);
        let beyond = (end - 1) / spread + 1;
        let mut rows = start..beyond.clamp(start + 1, h);
        if self.reflect {
            // What stands beyond the first row is the second, beyond the last the one before.
            rows.end = if first < 0 { rows.end.max(2).min(h) } else { rows.end };
            rows.start = if beyond > h { rows.start.min(h - 2).max(0) } else { rows.start };
        }
        let above = spread * rows.start - first;
        let below = end - first - above - spread * (rows.end - rows.start);
        (rows.start as usize..rows.end as usize, [above, below])
    }
}

/// What the transpose of a window reads along an axis, and what it makes of it: a cotangent spread out by the stride, of that
/// the places that some of the input is under, and zeros around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backwards {
    /// Of the cotangent spread out.
    pub places: Range<usize>,
    /// Zeros before and after those.
    pub padding: [usize; 2],
}

impl Backwards {
    /// Of an input of `n` and an output of `out`; none if no window sees any of the input.
    pub fn of(n: usize, out: usize, kernel: usize, stride: usize, padding: [usize; 2]) -> Option<Self> {
        let spread = (out - 1) * stride + 1;
        let before = kernel as isize - 1 - padding[0] as isize;
        let after = (n + padding[0]) as isize - spread as isize;
        let beyond = |zeros: isize| zeros.min(0).unsigned_abs();
        let places = beyond(before)..spread.checked_sub(beyond(after))?;
        let padding = [before, after].map(|zeros| zeros.max(0) as usize);
        (!places.is_empty()).then_some(Self { places, padding })
    }
}

/// Windows over both axes of an image, of which each takes what lies inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Height and width of a window, pixels.
    pub kernel: [usize; 2],
    /// Pixels between outputs, along rows and columns.
    pub strides: [usize; 2],
    /// Pixels between those of a window.
    pub dilations: [usize; 2],
    /// Pixels beyond the image, above and to the left.
    pub before: [usize; 2],
    /// Height and width of the output.
    pub outputs: [usize; 2],
}

impl Windows {
    /// Where output i along an axis looks: each place inside the image.
    fn seen(&self, along: usize, i: usize, n: usize) -> impl Iterator<Item = usize> + Clone {
        let (stride, dilation, before) = (self.strides[along], self.dilations[along], self.before[along]);
        (0..self.kernel[along])
            .filter_map(move |t| (i * stride + t * dilation).checked_sub(before))
            .filter(move |p| *p < n)
    }

    /// The pixels that an output looks at, in order, of an image of this shape.
    pub(super) fn pixels(&self, [i, j]: [usize; 2], s: Shape) -> impl Iterator<Item = usize> {
        let columns = self.seen(1, j, s.w);
        self.seen(0, i, s.h).flat_map(move |r| columns.clone().map(move |q| r * s.w + q))
    }

    /// The outputs, row by row.
    pub(super) fn each(&self) -> impl Iterator<Item = [usize; 2]> {
        let [h, w] = self.outputs;
        (0..h).flat_map(move |i| (0..w).map(move |j| [i, j]))
    }

    /// Refuses images of which some window sees nothing.
    pub(super) fn check(&self, s: Shape) -> Result<()> {
        for (along, n) in [s.h, s.w].into_iter().enumerate() {
            if let Some(i) = (0..self.outputs[along]).find(|&i| self.seen(along, i, n).next().is_none()) {
                let message = format!("{s}: the window of output {i} along axis {along} sees nothing of it");
                return Err(Error::invalid("input", message));
            }
        }
        Ok(())
    }

    /// What kernels are told of them and of an image: ROWS and COLUMNS are the kernel's sides.
    pub(super) fn immediates(&self, s: Shape) -> [Immediate; 9] {
        [
            ("in_h", s.h),
            ("in_w", s.w),
            ("above", self.before[0]),
            ("left", self.before[1]),
            ("out_w", self.outputs[1]),
            ("down", self.strides[0]),
            ("across", self.strides[1]),
            ("apart", self.dilations[0]),
            ("beside", self.dilations[1]),
        ]
        .map(|(name, v)| (name, v as u32))
    }
}

/// Adds weight times a row of an image to a row of outputs, in f64: output j reads pixel `j stride + t - before`, where that is inside.
/// Most of the twin's time goes here.
pub(super) fn add_row(out: &mut [Dual], row: &[Dual], weight: f64, [stride, t, before]: [usize; 3]) {
    let first = before.saturating_sub(t).div_ceil(stride);
    let (out, row) = (out.get_mut(first..), row.get(first * stride + t - before..));
    let (Some(out), Some(row)) = (out, row) else { return };
    if stride == 1 {
        out.iter_mut().zip(row).for_each(|(y, x)| *y += *x * weight); // as vectors
    } else {
        out.iter_mut().zip(row.iter().step_by(stride)).for_each(|(y, x)| *y += *x * weight);
    }
}

/// Position in the unpadded input, if it is inside.
pub(super) fn inside(i: usize, padding: usize, n: usize) -> Option<usize> {
    i.checked_sub(padding).filter(|&r| r < n)
}
