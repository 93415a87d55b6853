//! How ops get what they read: the axes that they want as channels and as pixels, in a view that needs nothing, by naming channels, or
//! by a copy. And two tensors in one layout, so that an op can take them number by number.
use super::{Import, Seen};
use crate::error::{Error, Result};
use crate::onnx::view::{Atom, Laid, View};
use crate::ops::channels::Channels;
use crate::ops::gather::Gather;
use crate::shape::Shape;

/// Addresses of all numbers of these atoms, outermost first.
pub(super) fn addresses(atoms: &[Atom]) -> Vec<i64> {
    let mut places = vec![0i64];
    for a in atoms {
        places = places.iter().flat_map(|&at| (0..a.size as i64).map(move |i| at + i * a.stride as i64)).collect();
    }
    places
}

impl Import<'_> {
    /// The same tensor with these axes as channels, in order, and the others as pixels: in whatever order they lie, or in this one;
    /// and with so many rows and columns, if that matters.
    pub(super) fn laid(
        &mut self,
        name: &str,
        seen: &Seen,
        channels: &[usize],
        order: Option<&[usize]>,
        sides: Option<(usize, usize)>,
    ) -> Result<Seen> {
        let view = &seen.view;
        let others: Vec<usize> = match order {
            Some(order) => order.to_vec(),
            None => (0..view.axes.len()).filter(|i| !channels.contains(i)).collect(),
        };
        let as_wanted = sides.is_none_or(|s| s == (view.of.h, view.of.w));
        match view.laid(channels, order) {
            Laid::AsItIs if as_wanted => Ok(seen.clone()),
            Laid::Named(places) if as_wanted => {
                let map = places.iter().map(|&p| (0, p)).collect();
                let node = self.push(format!("{name}.channels"), Channels::gather(map), &[seen.node])?;
                let view = renamed(view, channels, &view.shape());
                Ok(Seen { node, view })
            }
            _ => self.copied(name, seen, channels, &others, sides),
        }
    }

    /// By a copy, the pixels in the order of these axes.
    fn copied(
        &mut self,
        name: &str,
        seen: &Seen,
        channels: &[usize],
        others: &[usize],
        sides: Option<(usize, usize)>,
    ) -> Result<Seen> {
        let atoms =
            |axes: &[usize]| -> Vec<Atom> { axes.iter().flat_map(|&i| seen.view.axes[i].iter().copied()).collect() };
        let sizes = seen.view.shape();
        let (h, w) = sides.unwrap_or_else(|| sides_of(&sizes, others));
        let shape = Shape::new(channels.iter().map(|&i| sizes[i]).product(), h, w);
        self.table(&[shape.c])?;
        self.table(&[h, w])?;
        let gather = gather(shape, seen.view.first as i64, addresses(&atoms(others)), addresses(&atoms(channels)))?;
        let node = self.push(format!("{name}.moved"), gather, &[seen.node])?;
        Ok(Seen { node, view: in_runs(shape, &sizes, others, channels) })
    }

    /// The same tensor, every number of whose node is seen, and once.
    pub(super) fn whole(&mut self, name: &str, seen: &Seen) -> Result<Seen> {
        if seen.view.is_whole() {
            return Ok(seen.clone());
        }
        let named: Vec<usize> = (0..seen.view.axes.len()).filter(|i| seen.view.among_channels(*i)).collect();
        if !matches!(seen.view.laid(&named, None), Laid::Copied { .. }) {
            return self.laid(name, seen, &named, None, None);
        }
        let shape = seen.view.shape();
        let wide = (0..shape.len()).filter(|&i| shape[i] > 1);
        let named = wide.clone().find(|&i| !matches!(seen.view.laid(&[i], None), Laid::Copied { .. }));
        let channels = named.or_else(|| wide.clone().find(|&i| i == 1)).or_else(|| wide.clone().next_back());
        let channels: Vec<usize> = channels.into_iter().collect();
        self.laid(name, seen, &channels, None, None)
    }

    /// `b` where `a`, which is whole, has the same numbers of the file: one layout for both. What is stretched is copied out.
    pub(super) fn alike(&mut self, name: &str, a: &View, b: &Seen) -> Result<Seen> {
        let runs = refined(a, &b.view)
            .ok_or_else(|| Error::invalid("inputs", "their axes are split in ways that do not fit"))?;
        if a.of == b.view.of && b.view.first == 0 && runs.iter().all(|r| r.stride == r.other) {
            return Ok(Seen { node: b.node, view: a.clone() });
        }
        self.table(&[a.of.pixels() + a.of.c])?;
        let (pixels, channels) = tables(a.of, &runs);
        let gather = gather(a.of, b.view.first as i64, pixels, channels)?;
        let node = self.push(format!("{name}.alike"), gather, &[b.node])?;
        Ok(Seen { node, view: a.clone() })
    }
}

/// Rows and columns of a copy whose pixels are these axes: those of an image, if that is what they are.
pub(super) fn sides_of(sizes: &[usize], others: &[usize]) -> (usize, usize) {
    let wide: Vec<usize> = others.iter().map(|&i| sizes[i]).filter(|n| *n > 1).collect();
    match (others, &wide[..]) {
        (&[0, 2, 3], _) if sizes.len() == 4 && sizes[0] == 1 => (sizes[2], sizes[3]),
        (_, &[h, w]) => (h, w),
        _ => (wide.iter().product(), 1),
    }
}

/// Atoms of an axis that lies among the pixels, of a tensor of as many pixels and `c` channels.
pub(super) fn on_pixels(view: &View, axis: usize, c: usize) -> Result<Vec<Atom>> {
    let own = view.of.c as isize;
    let moved = |a: &Atom| match a.stride % own {
        0 => Ok(Atom { stride: a.stride / own * c as isize, ..*a }),
        _ => Err(Error::invalid("view", "an axis lies among the channels")),
    };
    view.axes[axis].iter().map(moved).collect()
}

/// The view of a copy in which every axis is one run: pixels and channels in the order of these axes, the last innermost.
pub(super) fn in_runs(of: Shape, sizes: &[usize], others: &[usize], channels: &[usize]) -> View {
    let mut axes = vec![vec![]; sizes.len()];
    let mut stride = 1;
    for &i in others.iter().chain(channels).rev().collect::<Vec<_>>() {
        if sizes[i] > 1 {
            axes[i] = vec![Atom { size: sizes[i], stride }];
        }
        stride *= sizes[i] as isize;
    }
    View { of, first: 0, axes }
}

/// The view of a tensor of these pixels whose channels are these axes, in order, of these sizes.
pub(super) fn renamed(view: &View, channels: &[usize], sizes: &[usize]) -> View {
    let (own, c) = (view.of.c as isize, channels.iter().map(|&i| sizes[i]).product::<usize>());
    let on_pixels =
        |atoms: &Vec<Atom>| atoms.iter().map(|a| Atom { stride: a.stride / own * c as isize, ..*a }).collect();
    let mut axes: Vec<Vec<Atom>> = view.axes.iter().map(on_pixels).collect();
    let mut stride = 1;
    for &i in channels.iter().rev() {
        axes[i] = if sizes[i] > 1 { vec![Atom { size: sizes[i], stride }] } else { vec![] };
        stride *= sizes[i] as isize;
    }
    View { of: Shape { c, ..view.of }, first: 0, axes }
}

/// A copy by the addresses of pixels and channels.
pub(super) fn gather(shape: Shape, first: i64, pixels: Vec<i64>, channels: Vec<i64>) -> Result<Gather> {
    let least = channels.iter().copied().min().unwrap_or(0).min(0);
    let word = |at: i64| u32::try_from(at).map_err(|_| Error::invalid("view", format!("address {at} is none")));
    let pixels = pixels.into_iter().map(|p| word(first + p + least)).collect::<Result<Vec<_>>>()?;
    let channels = channels.into_iter().map(|c| word(c - least)).collect::<Result<Vec<_>>>()?;
    Ok(Gather::of(shape, pixels, channels))
}

/// A run of numbers along an axis: how far apart they are in one tensor, and in another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub size: usize,
    pub stride: isize,
    pub other: isize,
}

/// The axes of a whole view and of another of the same shape, cut into common runs, each of which lies among the pixels or among the
/// channels of the first.
pub(super) fn refined(a: &View, b: &View) -> Option<Vec<Run>> {
    let mut runs = vec![];
    for (a, b) in a.split()?.iter().zip(&b.axes) {
        runs.extend(common(a, b)?);
    }
    Some(runs)
}

/// Two lists of atoms of as many numbers, in common pieces.
fn common(a: &[Atom], b: &[Atom]) -> Option<Vec<Run>> {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    let mut runs = vec![];
    // Innermost first.
    while let (Some(&x), Some(&y)) = (a.last(), b.last()) {
        let size = gcd(x.size, y.size);
        if size == 1 {
            return None;
        }
        runs.push(Run { size, stride: x.stride, other: y.stride });
        for (atoms, atom) in [(&mut a, x), (&mut b, y)] {
            atoms.pop();
            if atom.size > size {
                atoms.push(Atom { size: atom.size / size, stride: atom.stride * size as isize });
            }
        }
    }
    (a.is_empty() && b.is_empty()).then(|| runs.into_iter().rev().collect())
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// For every pixel and every channel of the first tensor, the address in the other, from its first number.
pub(super) fn tables(of: Shape, runs: &[Run]) -> (Vec<i64>, Vec<i64>) {
    let (mut pixels, mut channels) = (vec![0i64; of.pixels()], vec![0i64; of.c]);
    let c = of.c as isize;
    for run in runs {
        let (table, stride) = match run.stride >= c {
            true => (&mut pixels, (run.stride / c) as usize),
            false => (&mut channels, run.stride as usize),
        };
        for (i, at) in table.iter_mut().enumerate() {
            *at += (i / stride % run.size) as i64 * run.other as i64;
        }
    }
    (pixels, channels)
}
