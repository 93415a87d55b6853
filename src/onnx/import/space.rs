//! Shapes, orders and parts of tensors: nothing moves where a view says it all. Joining and padding are copies where channels cannot be
//! named.
use super::host::{Source, Turned};
use super::lay::{addresses, in_runs, renamed, sides_of};
use super::{Import, Rule, Seen, Step, Value};
use crate::error::{Error, Result};
use crate::onnx::call::size;
use crate::onnx::ops::{select, shape};
use crate::onnx::tensor::{axis, strides};
use crate::onnx::view::{Atom, Laid, View};
use crate::ops::channels::Channels;
use crate::ops::filter::Filter;
use crate::ops::gather::{Gather, NOWHERE, Taken};
use crate::ops::told::Told;
use crate::shape::Shape;
use std::sync::Arc;

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
    ("Concat", concat),
    ("Pad", pad),
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

    fn reshaped(&mut self, name: &str, x: &Seen, wanted: &[usize]) -> Result<Seen> {
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

    /// Numbers along an axis, by a copy if no view has them.
    fn part(&mut self, name: &str, x: &Seen, axis: usize, from: usize, by: i64, count: usize) -> Result<Seen> {
        if count == 0 {
            return Err(Error::invalid("input", "an empty part, which is not supported"));
        }
        // Of a filter's rows and columns only those that are taken.
        if self.graph.nodes[x.node.0].op.downcast::<Filter>().is_some() && count < x.view.shape()[axis] {
            let mut wanted = x.view.shape();
            wanted[axis] = count;
            let source =
                |i: usize, k: usize| if i == axis { (from as i64 + by * k as i64).try_into().ok() } else { Some(k) };
            if !x.view.among_channels(axis)
                && let Some(taken) = self.picked(name, x, &wanted, &source)?
            {
                return Ok(taken);
            }
        }
        if let Some(view) = x.view.sliced(axis, from, by, count) {
            return Ok(Seen { view, node: x.node });
        }
        let x = self.in_order(name, x)?;
        let view = x.view.sliced(axis, from, by, count).ok_or_else(|| Error::invalid("input", "cannot be sliced"))?;
        Ok(Seen { view, node: x.node })
    }

    /// Axes that lie among the channels, of those wider than one; the last if none does.
    fn of_channels(&self, x: &View) -> Vec<usize> {
        let found: Vec<usize> = (0..x.axes.len()).filter(|&i| x.among_channels(i)).collect();
        if found.is_empty() { vec![x.axes.len() - 1] } else { found }
    }
}

fn tile(_: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let x = step.seen(0)?;
    let repeats = step.known(1)?.ints()?.iter().map(|&n| size("repeats", n)).collect::<Result<Vec<_>>>()?;
    if repeats.len() != x.view.axes.len() || repeats.contains(&0) {
        return Err(Error::invalid("repeats", format!("{repeats:?} for {} axes", x.view.axes.len())));
    }
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
    let mut x = step.seen(0)?.clone();
    let taken = select::sliced(&step.call, &x.view.shape())?;
    for (axis, (from, by, count)) in taken.0.into_iter().enumerate() {
        x = import.part(&step.label(""), &x, axis, from, by, count)?;
    }
    Ok(vec![x])
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
        parts.push(import.part(&step.label(""), &x, axis, from, 1, n)?);
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
        true => import.part(&name, &x, along, first, by, chosen.len())?,
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

fn concat(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let name = step.label("");
    let values = (0..step.inputs.len()).map(|i| step.value(i)).collect::<Result<Vec<_>>>()?;
    let shapes: Vec<Vec<usize>> = values.iter().map(|v| v.shape()).collect();
    let along = axis(step.call.required("axis")?, shapes[0].len())?;
    let alike = |s: &Vec<usize>| s.len() == shapes[0].len() && (0..s.len()).all(|i| i == along || s[i] == shapes[0][i]);
    if let Some(other) = shapes.iter().find(|s| !alike(s)) {
        return Err(Error::invalid(
            "inputs",
            format!("{:?} and {other:?} cannot be joined along axis {along}", shapes[0]),
        ));
    }
    let first = values.iter().find_map(|v| if let Value::Seen(seen) = v { Some(seen) } else { None });
    let first = first.ok_or_else(|| Error::invalid("inputs", "none depends on x"))?.clone();
    let mut wanted = shapes[0].clone();
    wanted[along] = shapes.iter().map(|s| s[along]).sum();
    // Side by side as channels, if the first lies so.
    let channels: Vec<usize> = (0..wanted.len()).filter(|&i| i == along || first.view.among_channels(i)).collect();
    if !matches!(first.view.laid(&channels, None), Laid::Copied { .. }) {
        return import.side_by_side(step, &first, along, &channels, &wanted).map(|made| vec![made]);
    }
    let mut parts = vec![];
    let mut from = 0;
    for (i, value) in values.iter().enumerate() {
        let seen = match value {
            Value::Seen(seen) => seen.clone(),
            given => import.given_as(step, i, given)?,
        };
        let n = shapes[i][along];
        parts.push((seen, from, n));
        from += n;
    }
    let channels: Vec<usize> = import.of_channels(&first.view).into_iter().filter(|i| *i != along).collect();
    Ok(vec![import.joined(&name, &parts, along, &wanted, &channels, 0.0)?])
}

impl Import<'_> {
    /// Tensors one behind the other along an axis that is one of the channels', as a list of channels.
    fn side_by_side(
        &mut self,
        step: &Step,
        first: &Seen,
        along: usize,
        channels: &[usize],
        wanted: &[usize],
    ) -> Result<Seen> {
        let like = self.laid(&step.label(""), first, channels, None, None)?.view;
        let sizes = |axes: &[usize], of: &[usize]| axes.iter().map(|&i| of[i]).product::<usize>();
        let at = channels.iter().position(|i| *i == along).unwrap_or_default();
        let (outer, inner) = (sizes(&channels[..at], wanted), sizes(&channels[at + 1..], wanted));
        let mut parts = vec![];
        for i in 0..step.inputs.len() {
            let (value, label) = (step.value(i)?, step.label(&format!("input{i}")));
            let mut seen = match value {
                Value::Seen(seen) => seen.clone(),
                given => self.given_as(step, i, given)?,
            };
            if !matches!(seen.view.laid(channels, None), Laid::Copied { .. }) {
                seen = self.laid(&label, &seen, channels, None, None)?;
            }
            let shape = value.shape();
            let target = renamed(&like, channels, &shape);
            parts.push((self.alike(&label, &target, &seen)?.node, shape[along]));
        }
        let mut map = vec![];
        for o in 0..outer {
            for (i, &(_, n)) in parts.iter().enumerate() {
                map.extend((o * n * inner..(o + 1) * n * inner).map(|c| (i, c)));
            }
        }
        let nodes: Vec<_> = parts.iter().map(|p| p.0).collect();
        let node = self.push(step.label(""), Channels::gather(map), &nodes)?;
        Ok(Seen { node, view: renamed(&like, channels, wanted) })
    }

    /// What does not depend on x, as a tensor of the graph: one row of numbers, in the file's order.
    fn given_as(&mut self, step: &Step, i: usize, value: &Value) -> Result<Seen> {
        let (tensor, source) = match value {
            Value::Known(t) => (t.clone(), Source::Known(t.clone())),
            Value::Told(t) => (t.clone(), Source::Told(step.names[i].to_string())),
            Value::Seen(seen) => return Ok(seen.clone()),
        };
        let n = tensor.len();
        let table = self.host.row(step.label(&format!("input{i}")), source, (0..n).collect(), Turned::AsItIs);
        let of = Shape::new(n, 1, 1);
        let node = self.push(step.label(&format!("told{i}")), Told { shape: of, table, steps: [0, 1] }, &[])?;
        let own = strides(&tensor.shape).into_iter().zip(&tensor.shape);
        let axes = own.map(|(stride, &size)| if size > 1 { vec![Atom { size, stride }] } else { vec![] }).collect();
        Ok(Seen { node, view: View { of, first: 0, axes } })
    }

    /// Tensors one behind the other along an axis, from where each begins, with `fill` where none is: a copy.
    fn joined(
        &mut self,
        name: &str,
        parts: &[(Seen, usize, usize)],
        along: usize,
        wanted: &[usize],
        channels: &[usize],
        fill: f32,
    ) -> Result<Seen> {
        let others: Vec<usize> = (0..wanted.len()).filter(|i| !channels.contains(i)).collect();
        let (h, w) = sides_of(wanted, &others);
        let of = Shape::new(channels.iter().map(|&i| wanted[i]).product(), h, w);
        let mut taken = vec![];
        for (seen, from, n) in parts {
            let place = |axes: &[usize]| -> Vec<Option<i64>> {
                axes.iter().fold(vec![Some(0)], |all, &i| {
                    let own = addresses(&seen.view.axes[i]);
                    let at = |k: usize| -> Option<i64> {
                        let k = if i == along { k.checked_sub(*from).filter(|k| k < n)? } else { k };
                        own.get(k).copied()
                    };
                    all.iter()
                        .flat_map(|&base| (0..wanted[i]).map(move |k| (base, k)))
                        .map(|(base, k)| Some(base? + at(k)?))
                        .collect()
                })
            };
            let (p, q) = (place(&others), place(channels));
            let least = q.iter().flatten().copied().min().unwrap_or(0).min(0);
            let word = |at: Option<i64>, by: i64| at.map_or(NOWHERE, |at| (at + by) as u32);
            let first = seen.view.first as i64 + least;
            let pixels: Arc<[u32]> = p.into_iter().map(|at| word(at, first)).collect();
            let channels: Arc<[u32]> = q.into_iter().map(|at| word(at, -least)).collect();
            taken.push(Taken { pixels, channels });
        }
        let nodes: Vec<_> = parts.iter().map(|p| p.0.node).collect();
        let node = self.push(name.to_string(), Gather { shape: of, taken, fill }, &nodes)?;
        Ok(Seen { node, view: in_runs(of, wanted, &others, channels) })
    }
}

fn pad(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    for i in 1..step.inputs.len() {
        if step.inputs[i].is_some() {
            step.known(i)?;
        }
    }
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let shape = x.view.shape();
    let pads = select::pads(&step.call, shape.len())?;
    let mode = step.call.one_of("mode", "constant", &["constant", "edge", "reflect", "wrap"])?;
    let fill = match step.inputs.get(2).is_some_and(Option::is_some) {
        true => step.known(2)?.one()? as f32,
        false => step.call.float("value", 0.0)? as f32,
    };
    if pads.iter().all(|p| *p == [0, 0]) {
        return Ok(vec![x]);
    }
    let mut wanted = vec![];
    for (&n, &[before, behind]) in shape.iter().zip(&pads) {
        let size =
            (n as i64).checked_add(before).and_then(|m| m.checked_add(behind)).filter(|m| (1..1 << 31).contains(m));
        wanted.push(
            size.ok_or_else(|| Error::invalid("pads", format!("{before} and {behind} around an axis of {n} numbers")))?
                as usize,
        );
    }
    let source = |i: usize, k: usize| select::source(k as i64 - pads[i][0], shape[i] as i64, &mode);
    let channels = import.of_channels(&x.view);
    let whole = channels.iter().all(|i| pads[*i] == [0, 0] || !x.view.among_channels(*i));
    if let (0.0, true, Some(taken)) = (fill, whole, import.picked(&name, &x, &wanted, &source)?) {
        return Ok(vec![taken]);
    }
    let others: Vec<usize> = (0..wanted.len()).filter(|i| !channels.contains(i)).collect();
    let place = |axes: &[usize]| -> Vec<Option<i64>> {
        axes.iter().fold(vec![Some(0)], |all, &i| {
            let own = addresses(&x.view.axes[i]);
            let at = |k: usize| source(i, k).map(|s| own[s]);
            all.iter()
                .flat_map(|&base| (0..wanted[i]).map(move |k| (base, k)))
                .map(|(base, k)| Some(base? + at(k)?))
                .collect()
        })
    };
    let (p, q) = (place(&others), place(&channels));
    let least = q.iter().flatten().copied().min().unwrap_or(0).min(0);
    let word = |at: Option<i64>, by: i64| at.map_or(NOWHERE, |at| (at + by) as u32);
    let first = x.view.first as i64 + least;
    let (h, w) = sides_of(&wanted, &others);
    let of = Shape::new(channels.iter().map(|&i| wanted[i]).product(), h, w);
    let taken = Taken {
        pixels: p.into_iter().map(|at| word(at, first)).collect(),
        channels: q.into_iter().map(|at| word(at, -least)).collect(),
    };
    let node = import.push(name, Gather { shape: of, taken: vec![taken], fill }, &[x.node])?;
    Ok(vec![Seen { node, view: in_runs(of, &wanted, &others, &channels) }])
}
