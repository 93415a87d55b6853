//! The axes of two tensors whose products are summed, by letters: which are heads, which are summed, which stay with one of both. In: two
//! views with a letter for each axis, the letters of the result. Out: these sets, and how much would have to be copied.
use super::Seen;
use crate::error::{Error, Result};
use crate::onnx::view::Laid;

/// Letters of two tensors by what becomes of them.
pub(super) struct Sides<'a> {
    pub a: (&'a Seen, &'a [char]),
    pub b: (&'a Seen, &'a [char]),
    /// In both, and in the result.
    pub heads: Vec<char>,
    /// In both, and not in the result.
    pub summed: Vec<char>,
    /// In the first alone.
    pub left: Vec<char>,
    /// In the second alone.
    pub right: Vec<char>,
}

impl<'a> Sides<'a> {
    pub fn of(a: (&'a Seen, &'a [char]), b: (&'a Seen, &'a [char]), result: &[char]) -> Result<Self> {
        let (sa, sb) = (a.0.view.shape(), b.0.view.shape());
        let size =
            |letters: &[char], sizes: &[usize], c: char| letters.iter().position(|l| *l == c).map_or(1, |i| sizes[i]);
        let wide = |c: char| (size(a.1, &sa, c), size(b.1, &sb, c));
        let (mut heads, mut summed) = (vec![], vec![]);
        for &c in a.1.iter().filter(|c| b.1.contains(c)) {
            match (wide(c), result.contains(&c)) {
                ((1, 1), _) => {}
                ((m, n), _) if m != n => {
                    return Err(Error::invalid(
                        "inputs",
                        format!("an axis of {m} in one and {n} in the other is not supported"),
                    ));
                }
                (_, true) => heads.push(c),
                (_, false) => summed.push(c),
            }
        }
        let alone = |own: &[char], sizes: &[usize], other: &[char]| -> Result<Vec<char>> {
            let alone = own.iter().copied().filter(|c| !other.contains(c) && size(own, sizes, *c) > 1);
            alone
                .map(|c| {
                    if result.contains(&c) {
                        Ok(c)
                    } else {
                        Err(Error::invalid("equation", "an axis of one tensor alone is summed, which is not supported"))
                    }
                })
                .collect()
        };
        let (left, right) = (alone(a.1, &sa, b.1)?, alone(b.1, &sb, a.1)?);
        Ok(Self { a, b, heads, summed, left, right })
    }

    pub fn axis_a(&self, c: char) -> usize {
        self.a.1.iter().position(|l| *l == c).unwrap_or_default()
    }

    pub fn axis_b(&self, c: char) -> usize {
        self.b.1.iter().position(|l| *l == c).unwrap_or_default()
    }

    pub fn axes_a(&self, first: &[char], then: &[char]) -> Vec<usize> {
        first.iter().chain(then).map(|&c| self.axis_a(c)).collect()
    }

    pub fn axes_b(&self, first: &[char], then: &[char]) -> Vec<usize> {
        first.iter().chain(then).map(|&c| self.axis_b(c)).collect()
    }

    pub fn size(&self, c: char) -> usize {
        let of = |(seen, letters): (&Seen, &[char])| letters.iter().position(|l| *l == c).map(|i| seen.view.shape()[i]);
        of(self.a).or_else(|| of(self.b)).unwrap_or(1)
    }

    pub fn count(&self, letters: &[char]) -> usize {
        letters.iter().map(|&c| self.size(c)).product()
    }

    /// Channels and pixels, in order, of the second where its pixels are summed.
    pub fn mixed(&self, by_row: bool) -> [Vec<usize>; 2] {
        let (heads, none) = (&self.heads[..], &[][..]);
        let (channels, rows) = if by_row { (none, heads) } else { (heads, none) };
        let order = self.axes_b(rows, &self.summed).into_iter().chain(ones(self.b.0)).collect();
        [self.axes_b(channels, &self.right), order]
    }

    /// Pixels of the first, in order, where they are summed.
    pub fn pixels_a(&self) -> Vec<usize> {
        self.axes_a(&self.summed, &[]).into_iter().chain(ones(self.a.0)).collect()
    }

    /// The same of the second.
    pub fn pixels_b(&self) -> Vec<usize> {
        self.axes_b(&self.summed, &[]).into_iter().chain(ones(self.b.0)).collect()
    }

    /// How many of both would have to be copied; none if they cannot be multiplied so.
    pub fn copies(&self, way: Way) -> Option<usize> {
        let copied = |laid: Laid| usize::from(matches!(laid, Laid::Copied { .. }));
        let (a, b) = (&self.a.0.view, &self.b.0.view);
        let as_weights = || copied(a.laid(&self.axes_a(&self.heads, &self.summed), None));
        match way {
            Way::Logits => Some(as_weights() + copied(b.laid(&self.axes_b(&self.heads, &self.summed), None))),
            Way::Mixed => {
                let [channels, order] = self.mixed(false);
                Some(as_weights() + copied(b.laid(&channels, Some(&order))))
            }
            Way::MixedByRow => {
                let [channels, order] = self.mixed(true);
                let in_rows = (b.of.h, b.of.w) == (self.count(&self.heads), self.count(&self.summed));
                let placed = in_rows && copied(b.laid(&channels, Some(&order))) == 0;
                (placed && !self.heads.is_empty()).then(as_weights)
            }
            Way::Outer => {
                let first = a.laid(&self.axes_a(&self.heads, &self.left), Some(&self.pixels_a()));
                let second = b.laid(&self.axes_b(&self.heads, &self.right), Some(&self.pixels_b()));
                let alike = self.count(&self.left) == self.count(&self.right) && (a.of.h, a.of.w) == (b.of.h, b.of.w);
                (alike && copied(first) + copied(second) == 0).then_some(0)
            }
        }
    }
}

/// Axes of one number.
fn ones(x: &Seen) -> impl Iterator<Item = usize> {
    let shape = x.view.shape();
    (0..shape.len()).filter(move |&i| shape[i] == 1)
}

/// How two tensors are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The channels of every two pixels: those of the second become channels (`AttentionLogits`).
    Logits,
    /// The second's pixels, with the first's channels as weights; heads are channels of both (`Mix`).
    Mixed,
    /// The same, where heads are rows of the second.
    MixedByRow,
    /// Every two channels, over all pixels (`Outer`).
    Outer,
}
