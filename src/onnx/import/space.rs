//! Shapes, orders and parts of tensors: nothing moves where a view says it all.
use super::lay::addresses;
use super::{Import, Rule, Seen, Step, viewed};
use crate::error::{Error, Result};
use crate::onnx::call::size;
use crate::onnx::ops::{select, shape};
use crate::onnx::tensor::axis;
use crate::onnx::view::{Atom, View};
use crate::ops::channels::Channels;
use crate::ops::filter::Filter;
use crate::shape::Shape;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("Reshape", |i, s| i.seen_as(s, shape::reshaped(&s.call, &s.seen(0)?.view.shape())?)),
    ("Flatten", |i, s| i.seen_as(s, shape::flattened(&s.call, &s.seen(0)?.view.shape())?)),
    ("Squeeze", |i, s| i.seen_as(s, shape::squeezed(&s.call, &s.seen(0)?.view.shape())?)),
    ("Unsqueeze", |i, s| i.seen_as(s, shape::unsqueezed(&s.call, &s.seen(0)?.view.shape())?)),
    ("Transpose", |_, s| {
        let x = s.seen(0)?;
        let view = x.view.permuted(&shape::order(&s.call, x.view.axes.len())?);
        Ok(vec![Seen { view, node: x.node }])
    }),
    ("Expand", |_, s| {
        let x = s.seen(0)?;
        let wanted = select::expanded(&s.call, &x.view.shape())?;
        let view = x.view.stretched(&wanted).ok_or_else(|| Error::invalid("shape", "cannot be stretched"))?;
        Ok(vec![Seen { view, node: x.node }])
    }),
    ("Tile", tile),
    ("Slice", slice),
    ("Split", split),
    ("Gather", gather),
    ("GatherElements", elements),
    ("DepthToSpace", |i, s| {
        let x = s.seen(0)?.clone();
        let (seen, order, shape) = shape::deep(&s.call, &x.view.shape())?;
        i.turned(s, &x, &seen, &order, &shape)
    }),
    ("SpaceToDepth", |i, s| {
        let x = s.seen(0)?.clone();
        let (seen, order, shape) = shape::flat(&s.call, &x.view.shape())?;
        i.turned(s, &x, &seen, &order, &shape)
    }),
];

impl Import<'_> {
    /// The same numbers in another shape; by a copy where the view cannot be cut so.
    fn seen_as(&mut self, step: &Step, wanted: Vec<usize>) -> Result<Vec<Seen>> {
        let x = step.seen(0)?.clone();
        Ok(vec![self.reshaped(&step.label(""), &x, &wanted)?])
    }

    pub(super) fn reshaped(&mut self, name: &str, x: &Seen, wanted: &[usize]) -> Result<Seen> {
        if let Some(view) = x.view.reshaped(wanted) {
            return Ok(Seen { view, node: x.node });
        }
        let x = self.in_order(name, x)?;
        let view = x
            .view
            .reshaped(wanted)
            .ok_or_else(|| Error::invalid("shape", format!("{wanted:?} cannot be had of {:?}", x.view.shape())))?;
        Ok(Seen { view, node: x.node })
    }

    /// A copy whose numbers lie in the file's order: one channel, as many pixels.
    fn in_order(&mut self, name: &str, x: &Seen) -> Result<Seen> {
        let atoms: Vec<Atom> = x.view.axes.iter().flatten().copied().collect();
        let n: usize = atoms.iter().map(|a| a.size).product();
        self.table(&[n])?;
        let of = Shape::new(1, n, 1);
        let op = super::lay::gather(of, x.view.first as i64, addresses(&atoms), vec![0])?;
        let node = self.push(format!("{name}.in_order"), op, &[x.node])?;
        let whole = View { of, first: 0, axes: vec![vec![Atom { size: n, stride: 1 }]] };
        let view = whole.reshaped(&x.view.shape()).ok_or_else(|| Error::invalid("shape", "cannot be seen"))?;
        Ok(Seen { node, view })
    }

    fn turned(
        &mut self,
        step: &Step,
        x: &Seen,
        seen: &[usize],
        order: &[usize],
        wanted: &[usize],
    ) -> Result<Vec<Seen>> {
        let cut = self.reshaped(&step.label("cut"), x, seen)?;
        let view = cut.view.permuted(order);
        Ok(vec![self.reshaped(&step.label(""), &Seen { view, node: cut.node }, wanted)?])
    }

    /// Of each axis so many numbers, from where on and how far apart; by a copy if no view has them.
    fn part(&mut self, name: &str, x: &Seen, taken: &[(usize, i64, usize)]) -> Result<Seen> {
        let (shape, wanted): (_, Vec<usize>) = (x.view.shape(), taken.iter().map(|t| t.2).collect());
        if wanted.contains(&0) {
            return Err(Error::invalid("input", "an empty part, which is not supported"));
        }
        let source = |i: usize, k: usize| usize::try_from(taken[i].0 as i64 + taken[i].1 * k as i64).ok();
        // Of a filter's rows and columns only those that are taken.
        let whole = |i: usize| taken[i] == (0, 1, shape[i]);
        let of_pixels = (0..shape.len()).all(|i| whole(i) || !x.view.among_channels(i));
        if self.graph.nodes[x.node.0].op.downcast::<Filter>().is_some()
            && of_pixels
            && wanted != shape
            && let Some(taken) = self.picked(name, x, &wanted, &source)?
        {
            return Ok(taken);
        }
        let mut parts = taken.iter().enumerate();
        let view = parts.try_fold(x.view.clone(), |view, (i, &(from, by, count))| view.sliced(i, from, by, count));
        if let Some(view) = view {
            return Ok(Seen { view, node: x.node });
        }
        let channels = self.of_channels(&x.view);
        self.placed(name, std::slice::from_ref(x), &wanted, &channels, &|_, i, k| source(i, k), 0.0)
    }

    /// The same of one axis.
    fn along(&mut self, name: &str, x: &Seen, axis: usize, part: (usize, i64, usize)) -> Result<Seen> {
        let mut taken: Vec<_> = x.view.shape().into_iter().map(|n| (0, 1, n)).collect();
        taken[axis] = part;
        self.part(name, x, &taken)
    }

    /// Axes that lie among the channels, of those wider than one; if none does, the last, or what an image has as channels.
    pub(super) fn of_channels(&self, x: &View) -> Vec<usize> {
        let found: Vec<usize> = (0..x.axes.len()).filter(|&i| x.among_channels(i)).collect();
        match found.is_empty() {
            true if x.axes.len() == 4 => vec![1],
            true => vec![x.axes.len() - 1],
            false => found,
        }
    }
}

fn tile(_: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let x = step.seen(0)?;
    let repeats = step.known(1)?.ints()?.iter().map(|&n| size("repeats", n)).collect::<Result<Vec<_>>>()?;
    if repeats.len() != x.view.axes.len() || repeats.contains(&0) {
        return Err(Error::invalid("repeats", format!("{repeats:?} for {} axes", x.view.axes.len())));
    }
    viewed(&x.view.shape().iter().zip(&repeats).map(|(n, r)| n.saturating_mul(*r)).collect::<Vec<_>>())?;
    let copies = |(atoms, &n): (&Vec<Atom>, &usize)| -> Vec<Atom> {
        let first = (n > 1).then_some(Atom { size: n, stride: 0 });
        first.into_iter().chain(atoms.iter().copied()).collect()
    };
    let axes = x.view.axes.iter().zip(&repeats).map(copies).collect();
    Ok(vec![Seen { view: View { axes, ..x.view.clone() }, node: x.node }])
}

fn slice(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    for i in 1..step.inputs.len() {
        if step.inputs[i].is_some() {
            step.known(i)?;
        }
    }
    let x = step.seen(0)?.clone();
    let taken = select::sliced(&step.call, &x.view.shape())?;
    Ok(vec![import.part(&step.label(""), &x, &taken.0)?])
}

fn split(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    if step.inputs.get(1).is_some_and(Option::is_some) {
        step.known(1)?;
    }
    let x = step.seen(0)?.clone();
    let (axis, sizes) = select::parts(&step.call, &x.view.shape())?;
    let mut from = 0;
    let mut parts = vec![];
    for n in sizes {
        parts.push(import.along(&step.label(""), &x, axis, (from, 1, n))?);
        from += n;
    }
    Ok(parts)
}

fn gather(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let indices = step.known(1)?;
    let shape = x.view.shape();
    let along = axis(step.call.int("axis", 0)?, shape.len())?;
    let n = shape[along] as i64;
    let index = |&i: &i64| {
        let at = if i < 0 { i + n } else { i };
        usize::try_from(at)
            .ok()
            .filter(|at| (*at as i64) < n)
            .ok_or_else(|| Error::invalid("indices", format!("{i} of an axis of {n} numbers")))
    };
    let chosen = indices.ints()?.iter().map(index).collect::<Result<Vec<_>>>()?;
    let [first, ..] = chosen[..] else { return Err(Error::invalid("indices", "none, which is not supported")) };
    let by = chosen.get(1).map_or(1, |&second| second as i64 - first as i64);
    let regular = by != 0 && chosen.iter().enumerate().all(|(i, &at)| at as i64 == first as i64 + i as i64 * by);
    let part = match regular {
        true => import.along(&name, &x, along, (first, by, chosen.len()))?,
        false => {
            // By naming channels, after a copy where they are none.
            let laid = import.laid(&name, &x, &[along], None, None)?;
            let node =
                import.push(name.clone(), Channels::gather(chosen.iter().map(|&c| (0, c)).collect()), &[laid.node])?;
            let view = laid
                .view
                .with_channels(along, chosen.len())
                .ok_or_else(|| Error::invalid("result", "cannot be seen"))?;
            Seen { node, view }
        }
    };
    let wanted = [&shape[..along], &indices.shape, &shape[along + 1..]].concat();
    Ok(vec![import.reshaped(&name, &part, &wanted)?])
}

/// Each number from a place of its own.
fn elements(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name, indices) = (step.seen(0)?, step.label(""), step.known(1)?);
    import.table(&[indices.len()])?;
    let places = select::elements(&step.call, &x.view.shape(), indices)?;
    let x = import.in_order(&name, x)?;
    let of = Shape::new(1, places.len(), 1);
    let op = super::lay::gather(of, 0, places.into_iter().map(|p| p as i64).collect(), vec![0])?;
    let node = import.push(name, op, &[x.node])?;
    let view = View::of(of, &indices.shape, true).ok_or_else(|| Error::invalid("indices", "cannot be seen"))?;
    Ok(vec![Seen { node, view }])
}
