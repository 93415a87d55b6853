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

    /// Axes of the second of one number.
    pub fn ones_b(&self) -> impl Iterator<Item = usize> {
        let shape = self.b.0.view.shape();
        (0..shape.len()).filter(move |&i| shape[i] == 1)
    }

    pub fn size(&self, c: char) -> usize {
        let of = |(seen, letters): (&Seen, &[char])| letters.iter().position(|l| *l == c).map(|i| seen.view.shape()[i]);
        of(self.a).or_else(|| of(self.b)).unwrap_or(1)
    }

    pub fn count(&self, letters: &[char]) -> usize {
        letters.iter().map(|&c| self.size(c)).product()
    }

    /// How many of both would have to be copied.
    pub fn copies(&self, logits: bool) -> usize {
        let copied = |laid: Laid| usize::from(matches!(laid, Laid::Copied { .. }));
        let first = copied(self.a.0.view.laid(&self.axes_a(&self.heads, &self.summed), None));
        let second = match logits {
            true => self.b.0.view.laid(&self.axes_b(&self.heads, &self.summed), None),
            false => {
                let order: Vec<usize> = self.summed.iter().map(|&c| self.axis_b(c)).chain(self.ones_b()).collect();
                self.b.0.view.laid(&self.axes_b(&self.heads, &self.right), Some(&order))
            }
        };
        first + copied(second)
    }
}
