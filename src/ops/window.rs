//! What a kernel's window reads of an image: how many outputs there are, where they look, what is zero. In: sizes of images and
//! kernels. Out: rows, columns, paddings.
use crate::error::{Error, Result};
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

    /// Rows `out` of the output of a kernel on an input of `h` rows: the rows that it takes, and their padding; none if all it
    /// takes is padding.
    pub(super) fn band(
        self,
        out: &Range<usize>,
        kernel: usize,
        stride: usize,
        h: usize,
    ) -> Option<(Range<usize>, Self)> {
        let (first, end) = (out.start * stride, (out.end - 1) * stride + kernel); // in padded rows
        let [above, below] = [self.rows[0].saturating_sub(first), end.saturating_sub(self.rows[0] + h)];
        let rows = (first + above - self.rows[0]).min(h)..(end - below).saturating_sub(self.rows[0]);
        (!rows.is_empty()).then_some((rows, Self { rows: [above, below], ..self }))
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

/// Side, stride and padding of a window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the square, pixels.
    pub kernel: usize,
    /// Pixels between outputs.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
}

/// Position in the unpadded input, if it is inside.
pub(super) fn inside(i: usize, padding: usize, n: usize) -> Option<usize> {
    i.checked_sub(padding).filter(|&r| r < n)
}
