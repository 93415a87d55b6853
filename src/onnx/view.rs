//! Views: how a file's tensor of any rank lies in a tensor `[H, W, C]` of the graph. Every axis of the file is a list of atoms,
//! runs of numbers at a fixed distance; reshaping, transposing, slicing and stretching change the atoms and move nothing. In: the
//! axes that an op wants as channels and as pixels. Out: whether they lie so, can be had by naming channels, or need a copy.
use crate::shape::Shape;

/// A run of `size` numbers, `stride` apart in `[H, W, C]` order; 0 where one number stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atom {
    /// More than 1.
    pub size: usize,
    /// Numbers from one to the next.
    pub stride: isize,
}

/// A file's tensor as part of a graph's tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Of the graph's tensor.
    pub of: Shape,
    /// Place of the first number.
    pub first: isize,
    /// Of each axis of the file, outermost atom first; an axis of one number has none.
    pub axes: Vec<Vec<Atom>>,
}

/// Atoms that belong together are one.
fn merged(atoms: impl IntoIterator<Item = Atom>) -> Vec<Atom> {
    let mut merged: Vec<Atom> = vec![];
    for atom in atoms {
        match merged.last_mut() {
            Some(before) if before.stride == atom.stride * atom.size as isize => {
                *before = Atom { size: before.size * atom.size, stride: atom.stride };
            }
            _ => merged.push(atom),
        }
    }
    merged
}

/// Takes `size` numbers' worth of atoms off the front; none if an atom would have to be cut where it cannot be.
fn taken(atoms: &mut Vec<Atom>, size: usize) -> Option<Vec<Atom>> {
    let (mut left, mut own) = (size, vec![]);
    while left > 1 {
        let atom = *atoms.first()?;
        if left.is_multiple_of(atom.size) {
            own.push(atom);
            atoms.remove(0);
            left /= atom.size;
        } else if atom.size.is_multiple_of(left) {
            let inner = atom.size / left;
            own.push(Atom { size: left, stride: atom.stride * inner as isize });
            atoms[0] = Atom { size: inner, stride: atom.stride };
            left = 1;
        } else {
            return None;
        }
    }
    Some(own)
}

impl View {
    /// The whole of a tensor, seen as this shape: axes whose product is C H W, in the order that `channels` says: as an image
    /// `[.., C, H, W]`, or with channels last.
    pub fn of(of: Shape, shape: &[usize], channels_last: bool) -> Option<Self> {
        let (c, pixels) = (Atom { size: of.c, stride: 1 }, Atom { size: of.pixels(), stride: of.c as isize });
        let atoms = if channels_last { [pixels, c] } else { [c, pixels] };
        let whole = Self { of, first: 0, axes: vec![atoms.into_iter().filter(|a| a.size > 1).collect()] };
        whole.reshaped(shape)
    }

    /// Numbers along each axis.
    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|atoms| atoms.iter().map(|a| a.size).product()).collect()
    }

    /// All of its atoms, in the file's order.
    fn atoms(&self) -> Vec<Atom> {
        merged(self.axes.iter().flatten().copied())
    }

    /// In another shape of as many numbers; none where that takes a copy first.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let mut atoms = self.atoms();
        let axes = shape.iter().map(|&n| taken(&mut atoms, n)).collect::<Option<Vec<_>>>()?;
        atoms.is_empty().then(|| Self { axes, ..self.clone() })
    }

    /// Axis i is axis `order[i]` of this one.
    pub fn permuted(&self, order: &[usize]) -> Self {
        Self { axes: order.iter().map(|&i| self.axes[i].clone()).collect(), ..self.clone() }
    }

    /// `count` numbers along an axis, from `from`, `step` apart; none where that takes a copy first.
    pub fn sliced(&self, axis: usize, from: usize, step: i64, count: usize) -> Option<Self> {
        let atoms = merged(self.axes[axis].iter().copied());
        let whole: usize = atoms.iter().map(|a| a.size).product();
        if (from, step, count) == (0, 1, whole) {
            return Some(self.clone());
        }
        let mut view = self.clone();
        // Where number i along the axis lies.
        let place = |mut i: usize| -> isize {
            let each = atoms.iter().rev().map(|a| {
                let at = (i % a.size) as isize * a.stride;
                i /= a.size;
                at
            });
            each.sum()
        };
        let at = |i: usize| place((from as i64 + step * i as i64) as usize);
        let places: Vec<isize> = (0..count).map(at).collect();
        view.first += places.first()?;
        view.axes[axis] = progression(&places)?;
        Some(view)
    }

    /// Stretched to a shape; none if its axes do not fit.
    pub fn stretched(&self, shape: &[usize]) -> Option<Self> {
        let missing = shape.len().checked_sub(self.axes.len())?;
        let mut axes = Vec::with_capacity(shape.len());
        for (i, &n) in shape.iter().enumerate() {
            let own = if i < missing { &[][..] } else { &self.axes[i - missing][..] };
            axes.push(match own.iter().map(|a| a.size).product::<usize>() {
                size if size == n => own.to_vec(),
                1 => vec![Atom { size: n, stride: 0 }],
                _ => return None,
            });
        }
        Some(Self { axes, ..self.clone() })
    }

    /// Whether every number of the graph's tensor is seen, and once.
    pub fn is_whole(&self) -> bool {
        let mut atoms = self.atoms();
        atoms.sort_by_key(|a| a.stride);
        let mut next = 1;
        let dense = atoms.iter().all(|a| {
            let fits = a.stride == next;
            next = a.stride * a.size as isize;
            fits
        });
        dense && self.first == 0 && next == self.of.len() as isize
    }

    /// These axes as one list of atoms, cut so that each lies among the channels or among the pixels; none where one cannot be.
    fn cut(&self, axes: &[usize]) -> Option<Vec<Atom>> {
        let c = self.of.c as isize;
        let mut cut = vec![];
        for atom in merged(axes.iter().flat_map(|&i| self.axes[i].iter().copied())) {
            let end = atom.stride * atom.size as isize;
            if atom.stride <= 0 || atom.stride >= c || end <= c {
                cut.push(atom);
                continue;
            }
            if c % atom.stride != 0 || end % c != 0 {
                return None;
            }
            cut.push(Atom { size: (end / c) as usize, stride: c });
            cut.push(Atom { size: (c / atom.stride) as usize, stride: atom.stride });
        }
        Some(cut)
    }

    /// Whether an axis of more than one number lies among the channels.
    pub fn among_channels(&self, axis: usize) -> bool {
        let c = self.of.c as isize;
        !self.axes[axis].is_empty() && self.axes[axis].iter().all(|a| a.stride.abs() < c)
    }

    /// The atoms of each axis, cut so that each lies among the channels or among the pixels; none where one cannot be.
    pub fn split(&self) -> Option<Vec<Vec<Atom>>> {
        (0..self.axes.len()).map(|i| self.cut(&[i])).collect()
    }

    /// How an op gets these axes as channels, in their order, and the others as pixels in whatever order they lie, if `order` is
    /// none; else in that order.
    pub fn laid(&self, channels: &[usize], order: Option<&[usize]>) -> Laid {
        let others: Vec<usize> = match order {
            Some(order) => order.to_vec(),
            None => (0..self.axes.len()).filter(|i| !channels.contains(i)).collect(),
        };
        let size = |axes: &[usize]| axes.iter().flat_map(|&i| &self.axes[i]).map(|a| a.size).product::<usize>();
        let (c, pixels) = (size(channels), size(&others));
        self.named(channels, &others, order.is_some(), c, pixels).unwrap_or_else(|| {
            let outer = merged(others.iter().flat_map(|&i| self.axes[i].iter().copied()));
            let inner = merged(channels.iter().flat_map(|&i| self.axes[i].iter().copied()));
            Laid::Copied { first: self.first, outer, inner }
        })
    }

    /// The same where no number has to move: the pixels are those of the graph's tensor.
    fn named(&self, channels: &[usize], others: &[usize], ordered: bool, c: usize, pixels: usize) -> Option<Laid> {
        let own = self.of.c as isize;
        if pixels != self.of.pixels() || self.first < 0 || self.first >= own {
            return None;
        }
        let (inner, mut outer) = (self.cut(channels)?, self.cut(others)?);
        if !ordered {
            outer.sort_by_key(|a| std::cmp::Reverse(a.stride));
        }
        let outer = merged(outer);
        let pixels_as_they_are = match outer[..] {
            [] => pixels == 1,
            [Atom { size, stride }] => size == pixels && stride == own,
            _ => false,
        };
        if !pixels_as_they_are
            || inner.iter().any(|a| a.stride.unsigned_abs() * a.size > self.of.c.max(1) || a.stride == 0)
        {
            return None;
        }
        let mut places = vec![self.first];
        for a in &inner {
            places = places.iter().flat_map(|&at| (0..a.size as isize).map(move |i| at + i * a.stride)).collect();
        }
        let places = places
            .into_iter()
            .map(|p| usize::try_from(p).ok().filter(|p| *p < self.of.c))
            .collect::<Option<Vec<_>>>()?;
        let as_it_is = c == self.of.c && places.iter().enumerate().all(|(i, p)| i == *p);
        Some(if as_it_is { Laid::AsItIs } else { Laid::Named(places) })
    }

    /// The view of what an op makes of these pixels, as `laid` gave them, with other channels: axis `channels` now has so many.
    pub fn with_channels(&self, axis: usize, c: usize) -> Option<Self> {
        let others: Vec<usize> = (0..self.axes.len()).filter(|i| *i != axis).collect();
        let own = self.of.c as isize;
        let mut axes = self.axes.clone();
        for &i in &others {
            for atom in &mut axes[i] {
                if atom.stride % own != 0 {
                    return None;
                }
                atom.stride = atom.stride / own * c as isize;
            }
        }
        axes[axis] = if c > 1 { vec![Atom { size: c, stride: 1 }] } else { vec![] };
        Some(Self { of: Shape { c, ..self.of }, first: 0, axes })
    }
}

/// How an op gets what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Laid {
    /// It lies as the op wants it.
    AsItIs,
    /// These channels of it, in this order.
    Named(Vec<usize>),
    /// By a copy: places of pixels, outermost first, and of channels, from the first.
    Copied {
        /// Place of the first number.
        first: isize,
        /// Of the pixels.
        outer: Vec<Atom>,
        /// Of a pixel's channels.
        inner: Vec<Atom>,
    },
}

/// Atoms of these places, less the first; none if they are not as regular.
fn progression(places: &[isize]) -> Option<Vec<Atom>> {
    if places.len() <= 1 {
        return Some(vec![]);
    }
    let step = places[1] - places[0];
    let run = places.windows(2).take_while(|w| w[1] - w[0] == step).count() + 1;
    if run == places.len() {
        return Some(vec![Atom { size: run, stride: step }]);
    }
    if !places.len().is_multiple_of(run) {
        return None;
    }
    let starts: Vec<isize> = places.iter().step_by(run).copied().collect();
    let regular =
        places.chunks_exact(run).all(|chunk| chunk.iter().enumerate().all(|(i, p)| *p == chunk[0] + i as isize * step));
    let mut atoms = progression(&starts).filter(|_| regular)?;
    if run > 1 {
        atoms.push(Atom { size: run, stride: step });
    }
    Some(atoms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of all numbers, in the file's order.
    fn places(view: &View) -> Vec<isize> {
        let mut places = vec![view.first];
        for a in view.axes.iter().flatten() {
            places = places.iter().flat_map(|&at| (0..a.size as isize).map(move |i| at + i * a.stride)).collect();
        }
        places
    }

    #[test]
    fn tokens_and_images_are_the_same_numbers() {
        let image = View::of(Shape::new(6, 2, 4), &[1, 6, 2, 4], false).unwrap();
        assert_eq!(image.shape(), [1, 6, 2, 4]);
        let tokens = image.reshaped(&[1, 6, 8]).unwrap().permuted(&[0, 2, 1]);
        assert_eq!(tokens.laid(&[2], None), Laid::AsItIs);
        assert_eq!(places(&tokens), (0..48).collect::<Vec<_>>());
        let heads = tokens.reshaped(&[1, 8, 3, 2]).unwrap().permuted(&[0, 2, 1, 3]);
        assert_eq!(heads.laid(&[1, 3], None), Laid::AsItIs);
        assert!(matches!(heads.laid(&[2], None), Laid::Copied { .. }));
        assert!(heads.is_whole());
    }

    #[test]
    fn a_shuffle_names_channels_and_a_slice_some_of_them() {
        let x = View::of(Shape::new(6, 2, 2), &[1, 6, 2, 2], false).unwrap();
        let shuffled =
            x.reshaped(&[1, 2, 3, 2, 2]).unwrap().permuted(&[0, 2, 1, 3, 4]).reshaped(&[1, 6, 2, 2]).unwrap();
        assert_eq!(shuffled.laid(&[1], Some(&[2, 3])), Laid::Named(vec![0, 3, 1, 4, 2, 5]));
        let half = x.sliced(1, 3, 1, 3).unwrap();
        assert_eq!(half.laid(&[1], Some(&[2, 3])), Laid::Named(vec![3, 4, 5]));
        assert!(!half.is_whole());
        let back = x.sliced(1, 5, -1, 6).unwrap();
        assert_eq!(back.laid(&[1], None), Laid::Named(vec![5, 4, 3, 2, 1, 0]));
    }

    #[test]
    fn patches_are_copied_and_split_atoms_line_up() {
        let x = View::of(Shape::new(2, 4, 6), &[1, 2, 4, 6], false).unwrap();
        let patches =
            x.reshaped(&[1, 2, 2, 2, 3, 2]).unwrap().permuted(&[0, 2, 4, 1, 3, 5]).reshaped(&[1, 6, 8]).unwrap();
        let Laid::Copied { first, outer, inner } = patches.laid(&[2], None) else { panic!("moved without a copy") };
        assert_eq!(first, 0);
        assert_eq!(outer, [Atom { size: 2, stride: 24 }, Atom { size: 3, stride: 4 }]);
        assert_eq!(inner, [Atom { size: 2, stride: 1 }, Atom { size: 2, stride: 12 }, Atom { size: 2, stride: 2 }]);
        assert_eq!(
            View::of(Shape::new(1, 3, 4), &[1, 1, 3, 4], false).unwrap().reshaped(&[4, 3]).unwrap().shape(),
            [4, 3]
        );
        let cut = x.sliced(3, 0, 1, 5).unwrap();
        assert!(cut.reshaped(&[1, 2, 20]).is_some() && cut.reshaped(&[1, 2, 5, 4]).is_none());
    }

    #[test]
    fn stretching_repeats_a_number() {
        let one = View::of(Shape::new(1, 3, 5), &[1, 1, 3, 5], false).unwrap();
        let many = one.stretched(&[1, 4, 3, 5]).unwrap();
        assert_eq!(many.shape(), [1, 4, 3, 5]);
        assert!(!many.is_whole() && matches!(many.laid(&[1], None), Laid::Copied { .. }));
        assert!(one.stretched(&[1, 4, 3, 6]).is_none());
    }
}
