//! Tensors joined and padded: as a list of channels where that says it all, as rows and columns of an image that are taken or zero, else
//! by a copy.
use super::combine::given;
use super::host::{Source, Turned};
use super::lay::{addresses, in_runs, renamed, sides_of};
use super::{Import, Rule, Seen, Step, Value, viewed};
use crate::error::{Error, Result};
use crate::onnx::ops::select;
use crate::onnx::tensor::{axis, strides};
use crate::onnx::view::{Atom, Laid, View};
use crate::ops::channels::Channels;
use crate::ops::gather::{Gather, NOWHERE, Taken};
use crate::ops::told::Told;
use crate::shape::Shape;
use std::sync::Arc;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[("Concat", concat), ("Pad", pad)];

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
    viewed(&wanted)?;
    // Side by side as channels, if the first lies so.
    let channels: Vec<usize> = (0..wanted.len()).filter(|&i| i == along || first.view.among_channels(i)).collect();
    if !matches!(first.view.laid(&channels, None), Laid::Copied { .. }) {
        return import.side_by_side(step, &first, along, &channels, &wanted).map(|made| vec![made]);
    }
    let mut parts = vec![];
    // Without constants of no numbers.
    for (i, value) in values.iter().enumerate().filter(|(i, _)| shapes[*i][along] > 0) {
        parts.push(match value {
            Value::Seen(seen) => seen.clone(),
            given => import.given_as(step, i, given)?,
        });
    }
    let shapes: Vec<Vec<usize>> = shapes.into_iter().filter(|s| s[along] > 0).collect();
    let begins: Vec<usize> = shapes.iter().scan(0, |next, s| Some(std::mem::replace(next, *next + s[along]))).collect();
    let source = |part: usize, i: usize, k: usize| match i == along {
        true => k.checked_sub(begins[part]).filter(|k| *k < shapes[part][along]),
        false => Some(k),
    };
    let channels: Vec<usize> = import.of_channels(&first.view).into_iter().filter(|i| *i != along).collect();
    Ok(vec![import.placed(&name, &parts, &wanted, &channels, &source, 0.0)?])
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
            let shape = value.shape();
            if shape[along] == 0 {
                continue; // a constant of no numbers
            }
            let target = renamed(&like, channels, &shape);
            let node = match (value, given(step, i)?) {
                (_, Some(given)) => self.told_as(&label, &target, &given)?,
                (Value::Seen(seen), _) if !matches!(seen.view.laid(channels, None), Laid::Copied { .. }) => {
                    let seen = self.laid(&label, seen, channels, None, None)?;
                    self.alike(&label, &target, &seen)?.node
                }
                _ => self.alike(&label, &target, step.seen(i)?)?.node,
            };
            parts.push((node, shape[along]));
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
    pub(super) fn given_as(&mut self, step: &Step, i: usize, value: &Value) -> Result<Seen> {
        let (tensor, source) = match value {
            Value::Known(t) => (t.clone(), Source::Known(t.clone())),
            Value::Told(t) => (t.clone(), Source::Told(step.names[i].to_string())),
            Value::Seen(seen) => return Ok(seen.clone()),
        };
        let n = tensor.len();
        self.table(&[n])?;
        let table = self.host.row(step.label(&format!("input{i}")), source, (0..n).collect(), Turned::AsItIs);
        let of = Shape::new(n, 1, 1);
        let node = self.push(step.label(&format!("told{i}")), Told { shape: of, table, steps: [0, 1] }, &[])?;
        let own = strides(&tensor.shape).into_iter().zip(&tensor.shape);
        let axes = own.map(|(stride, &size)| if size > 1 { vec![Atom { size, stride }] } else { vec![] }).collect();
        Ok(Seen { node, view: View { of, first: 0, axes } })
    }

    /// The tensor of this shape whose number k along axis i is number `source(part, i, k)` of a part, the first that has one along all
    /// axes; else `fill`: a copy.
    pub(super) fn placed(
        &mut self,
        name: &str,
        parts: &[Seen],
        wanted: &[usize],
        channels: &[usize],
        source: &dyn Fn(usize, usize, usize) -> Option<usize>,
        fill: f32,
    ) -> Result<Seen> {
        let others: Vec<usize> = (0..wanted.len()).filter(|i| !channels.contains(i)).collect();
        let (h, w) = sides_of(wanted, &others);
        let of = Shape::new(channels.iter().map(|&i| wanted[i]).product(), h, w);
        self.table(&[parts.len(), of.c])?;
        self.table(&[parts.len(), h, w])?;
        let mut taken = vec![];
        for (part, Seen { view, .. }) in parts.iter().enumerate() {
            let place = |axes: &[usize]| -> Vec<Option<i64>> {
                axes.iter().fold(vec![Some(0)], |all, &i| {
                    let own = addresses(&view.axes[i]);
                    let at = |k: usize| own.get(source(part, i, k)?).copied();
                    all.iter()
                        .flat_map(|&base| (0..wanted[i]).map(move |k| (base, k)))
                        .map(|(base, k)| Some(base? + at(k)?))
                        .collect()
                })
            };
            let (p, q) = (place(&others), place(channels));
            let least = q.iter().flatten().copied().min().unwrap_or(0).min(0);
            let word = |at: Option<i64>, by: i64| at.map_or(NOWHERE, |at| (at + by) as u32);
            let first = view.first as i64 + least;
            let pixels: Arc<[u32]> = p.into_iter().map(|at| word(at, first)).collect();
            let channels: Arc<[u32]> = q.into_iter().map(|at| word(at, -least)).collect();
            taken.push(Taken { pixels, channels });
        }
        let nodes: Vec<_> = parts.iter().map(|p| p.node).collect();
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
    let wanted = select::padded(&shape, &pads)?;
    viewed(&wanted)?;
    let along_others = (0..wanted.len()).filter(|i| !x.view.among_channels(*i)).map(|i| wanted[i]);
    import.table(&along_others.collect::<Vec<_>>())?;
    let source = |i: usize, k: usize| select::source(k as i64 - pads[i][0], shape[i] as i64, &mode);
    let channels = import.of_channels(&x.view);
    let whole = channels.iter().all(|i| pads[*i] == [0, 0] || !x.view.among_channels(*i));
    if fill == 0.0
        && whole
        && let Some(taken) = import.picked(&name, &x, &wanted, &source)?
    {
        return Ok(vec![taken]);
    }
    let of_one = |_: usize, i: usize, k: usize| source(i, k);
    Ok(vec![import.placed(&name, &[x], &wanted, &channels, &of_one, fill)?])
}
