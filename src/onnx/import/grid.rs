//! What reads rows and columns of an image by tables: filters, zeros around and between pixels, every other pixel. Of two that follow each
//! other, one that takes single pixels becomes part of the other. In: an image, tables. Out: the filter.
use super::{Import, Seen};
use crate::error::Result;
use crate::graph::NodeId;
use crate::onnx::ops::conv::Window;
use crate::onnx::view::{Atom, Laid, View};
use crate::ops::filter::{Filter, Taps};
use crate::ops::resample::Resample;
use crate::shape::Shape;

/// Filters that have a kernel of their own, which other passes know.
const KNOWN: [Resample; 4] = [Resample::nearest(), Resample::average(), Resample::fir_up(), Resample::fir_down()];

/// Which axis of an image an axis of a file's tensor is part of.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Channels,
    Rows,
    Columns,
}

impl Import<'_> {
    /// A filter of an image.
    pub(super) fn filter(&mut self, name: &str, x: NodeId, rows: Taps, columns: Taps) -> Result<NodeId> {
        let of = &self.graph.nodes[x.0];
        let before = of.op.downcast::<Filter>().and_then(|b| Some((rows.after(&b.rows)?, columns.after(&b.columns)?)));
        let (x, rows, columns) = match before {
            Some((rows, columns)) => (of.inputs[0], rows, columns),
            None => (x, rows, columns),
        };
        let s = self.graph.shape(x);
        if let Some(op) = KNOWN.into_iter().find(|op| is_known(op, s, [&rows, &columns])) {
            return self.push(name.into(), op, &[x]);
        }
        self.push(name.into(), Filter { rows, columns }, &[x])
    }

    /// The tensor of this shape, whose number k along an axis is number `source(axis, k)` of x, or 0 where that is none; none if
    /// more than rows and columns is taken, or if these do not lie as such.
    pub(super) fn picked(
        &mut self,
        name: &str,
        x: &Seen,
        wanted: &[usize],
        source: &dyn Fn(usize, usize) -> Option<usize>,
    ) -> Result<Option<Seen>> {
        let channels: Vec<usize> = (0..wanted.len()).filter(|i| x.view.among_channels(*i)).collect();
        if matches!(x.view.laid(&channels, None), Laid::Copied { .. }) {
            return Ok(None);
        }
        let x = self.laid(name, x, &channels, None, None)?;
        let Some(sides) = sides(&x.view, wanted) else { return Ok(None) };
        let taken = |side: Side, unit: usize| -> Taps {
            let mut places = vec![Some(0)];
            for i in (0..wanted.len()).filter(|i| sides[*i] == side) {
                let own = super::lay::addresses(&x.view.axes[i]);
                let at = |k| source(i, k).map(|k| own[k] as usize / unit);
                places = places
                    .into_iter()
                    .flat_map(|base| (0..wanted[i]).map(move |k| (base, k)))
                    .map(|(base, k)| Some(base? + at(k)?))
                    .collect();
            }
            Taps::new(&places.into_iter().map(|p| p.map(|p| (p, 1.0)).into_iter().collect()).collect::<Vec<_>>())
        };
        let Shape { c, w, .. } = x.view.of;
        let (rows, columns) = (taken(Side::Rows, c * w), taken(Side::Columns, c));
        let of = Shape::new(c, rows.outputs(), columns.outputs());
        let node = self.filter(name, x.node, rows, columns)?;
        let mut axes = x.view.axes.clone();
        let (mut row, mut column) = ((c * of.w) as isize, c as isize);
        for i in (0..wanted.len()).rev() {
            let next = match sides[i] {
                Side::Channels => continue,
                Side::Rows => &mut row,
                Side::Columns => &mut column,
            };
            axes[i] = if wanted[i] > 1 { vec![Atom { size: wanted[i], stride: *next }] } else { vec![] };
            *next *= wanted[i] as isize;
        }
        Ok(Some(Seen { node, view: View { of, axes, ..x.view } }))
    }

    /// An image without the zeros that stand around it, and a window that has them.
    pub(super) fn unpadded(&self, x: NodeId, mut window: Window) -> (NodeId, Window) {
        let of = &self.graph.nodes[x.0];
        if let (Some(filter), &[image]) = (of.op.downcast::<Filter>(), &of.inputs[..])
            && let Shape { h, w, .. } = self.graph.shape(image)
            && let (Some(rows), Some(columns)) = (filter.rows.padding(h), filter.columns.padding(w))
        {
            for (pads, more) in window.pads.iter_mut().zip([rows, columns]) {
                *pads = [pads[0] + more[0], pads[1] + more[1]];
            }
            return (image, window);
        }
        (x, window)
    }
}

/// Which side each axis is part of; rows and columns must lie in the file's order, those of one number with the axis before them.
fn sides(x: &View, wanted: &[usize]) -> Option<Vec<Side>> {
    let (row, column) = ((x.of.c * x.of.w) as isize, x.of.c as isize);
    let mut sides = vec![];
    let mut next = [x.of.h, x.of.w].map(|n| n as isize);
    for (i, atoms) in x.axes.iter().enumerate() {
        let last = sides.last().copied().filter(|s| *s != Side::Channels);
        let side = match atoms[..] {
            [] if wanted[i] == 1 => last.unwrap_or(Side::Channels),
            [] => last?,
            _ if x.among_channels(i) => Side::Channels,
            [Atom { stride, .. }, ..] if stride >= row => Side::Rows,
            _ => Side::Columns,
        };
        sides.push(side);
        let unit = if side == Side::Rows { row } else { column };
        for a in atoms.iter().filter(|_| side != Side::Channels) {
            let left = &mut next[usize::from(side == Side::Columns)];
            if a.stride * a.size as isize != *left * unit {
                return None;
            }
            *left = a.stride / unit;
        }
    }
    (x.is_whole() && next == [1, 1]).then_some(sides)
}

/// Whether an op is what these tables say, of an image of this shape: its factor may be shared between both in any way.
fn is_known(op: &Resample, s: Shape, tables: [&Taps; 2]) -> bool {
    let own = op.tables(s);
    let mut factor = 1.0;
    for (own, taps) in own.iter().zip(tables) {
        let Some(by) = ratio(own, taps) else { return false };
        factor *= by;
    }
    factor == op.gain()
}

/// The number by which all weights of a table are those of a list.
fn ratio(own: &[Vec<(usize, f64)>], taps: &Taps) -> Option<f64> {
    if own.len() != taps.outputs() {
        return None;
    }
    let mut found = None;
    for (i, own) in own.iter().enumerate() {
        let (mut own, mut terms) = (own.clone(), taps.terms(i));
        own.sort_by_key(|tap| tap.0);
        terms.sort_by_key(|tap| tap.0);
        if terms.len() != own.len() || own.is_empty() {
            return None;
        }
        for (&(at, weight), (place, by)) in own.iter().zip(terms) {
            let by = by / weight;
            if at != place || found.is_some_and(|f| f != by) {
                return None;
            }
            found = Some(by);
        }
    }
    found
}
