//! Bands: tensors that are larger than a binding, cut into rows. In: a graph and the most bytes per lane that a buffer may
//! have. Out: a graph in which every node that touches such a tensor is several, one per band of rows, each computing
//! exactly what it did for those rows (`passes::banded`); where one reads beyond its own band, a `rows` node puts the rows beside it.
use super::Draft;
use super::banded::{Cut, banded};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::conv::winograd::TILE;
use crate::ops::group_norm::chunk;
use crate::ops::rows::Rows;
use crate::program::Space;
use crate::shape::Shape;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

/// `buffers`: bytes per lane of the buffer that holds each node's output, were nothing cut. None if all fit.
pub(super) fn band(draft: &Draft, buffers: &[u64], budget: u64) -> Result<Option<Draft>> {
    let graph = &draft.graph;
    let sizes = sizes(graph, buffers, budget)?;
    if sizes.is_empty() {
        return Ok(None);
    }
    let mut out = Draft { graph: Graph { nodes: vec![], ..graph.clone() }, whole: vec![], spaces: vec![] };
    let mut bands: Vec<Bands> = Vec::with_capacity(graph.nodes.len());
    for (node, &space) in graph.nodes.iter().zip(&draft.spaces) {
        let shapes: Vec<Shape> = node.inputs.iter().map(|&i| graph.shape(i)).collect();
        // As many as the output or the largest input asks for: what makes few rows of many must not read all of them.
        let count = shapes.iter().chain([&node.shape]).filter_map(|s| sizes.get(&(s.h, s.w))).max().copied();
        let all = match count {
            Some(count) => rows(node.shape, count),
            None => vec![0..node.shape.h],
        };
        let mut made = pieces(&mut out, (node, space), &shapes, &all, &bands, budget)?;
        // Whoever reads it wants bands of its own size; joined at once, channels keep their order in memory.
        let wanted = match sizes.get(&(node.shape.h, node.shape.w)) {
            Some(&count) => rows(node.shape, count),
            None => vec![0..node.shape.h],
        };
        if wanted != all && node.op.writes_port().is_none() {
            let join = |rows: Range<usize>| Ok((rows.clone(), gathered(&mut out, (&node.name, space), &made, rows)?));
            made = wanted.into_iter().map(join).collect::<Result<_>>()?;
        }
        bands.push(made);
    }
    Ok(Some(out))
}

/// A node's output, band by band.
type Bands = Vec<(Range<usize>, NodeId)>;

/// The node's bands `all`, from those of the nodes before it.
fn pieces(
    out: &mut Draft,
    (node, space): (&Node, Space),
    inputs: &[Shape],
    all: &[Range<usize>],
    bands: &[Bands],
    budget: u64,
) -> Result<Bands> {
    let mut made = Vec::with_capacity(all.len());
    let mut copies = HashMap::new();
    for (which, own) in all.iter().enumerate() {
        let (op, reads) = match all.len() {
            1 => (node.op.clone(), inputs.iter().map(|s| 0..s.h).enumerate().collect()),
            _ => banded(&node.op, &Cut { inputs, output: node.shape, bands: all, which }).ok_or_else(|| {
                let message = format!(
                    "{} ({}): it or what it reads takes more than the {budget} bytes per lane that a buffer may have \
                     here, and '{}' cannot be computed by rows",
                    node.shape,
                    node.name,
                    node.op.name()
                );
                Error::OutOfMemory { place: "plan".into(), message }
            })?,
        };
        let mut own_inputs = Vec::with_capacity(reads.len());
        for (input, rows) in reads {
            let id = match copies.entry((input, rows.start, rows.end)) {
                Entry::Occupied(made) => *made.get(),
                Entry::Vacant(slot) => {
                    *slot.insert(gathered(out, (&node.name, space), &bands[node.inputs[input].0], rows)?)
                }
            };
            own_inputs.push(id);
        }
        let shape = Shape { h: own.len(), ..node.shape };
        let id = out.push(Node { name: node.name.clone(), op, inputs: own_inputs, shape }, node.shape, space);
        made.push((own.clone(), id));
    }
    Ok(made)
}

/// Bands by height and width of the images that need them.
fn sizes(graph: &Graph, buffers: &[u64], budget: u64) -> Result<HashMap<(usize, usize), usize>> {
    let mut sizes = HashMap::new();
    for (node, &bytes) in graph.nodes.iter().zip(buffers).filter(|(_, bytes)| **bytes > budget) {
        let row = bytes / node.shape.h as u64;
        let most = budget / row;
        // Two rows more than its own are what a 3x3 kernel reads.
        let fits = |count: &usize| rows(node.shape, *count).iter().all(|band| band.len() as u64 + 2 <= most);
        let Some(needed) = (2..=node.shape.h).find(fits) else {
            let message = format!(
                "{} ({}): a band and two rows beside it, of {row} bytes a row, do not fit the {budget} bytes per lane that a buffer may have",
                node.shape, node.name
            );
            return Err(Error::OutOfMemory { place: "plan".into(), message });
        };
        let count = sizes.entry((node.shape.h, node.shape.w)).or_insert(0);
        *count = needed.max(*count);
    }
    Ok(sizes)
}

/// About equal bands, which begin where GroupNorm's chunks and Winograd's tiles do.
fn rows(s: Shape, count: usize) -> Vec<Range<usize>> {
    let chunk = chunk(s) / s.w;
    let unit = (1..=TILE).map(|n| n * chunk).find(|rows| rows.is_multiple_of(TILE)).unwrap_or(TILE * chunk);
    let units = s.h.div_ceil(unit);
    let count = count.min(units);
    (0..count).map(|i| i * units / count * unit..((i + 1) * units / count * unit).min(s.h)).collect()
}

/// The node that holds these rows: a band, or a copy of parts of several.
fn gathered(
    out: &mut Draft,
    (name, space): (&str, Space),
    bands: &[(Range<usize>, NodeId)],
    rows: Range<usize>,
) -> Result<NodeId> {
    if let Some((_, id)) = bands.iter().find(|(band, _)| *band == rows) {
        return Ok(*id);
    }
    let (mut takes, mut inputs) = (vec![], vec![]);
    for (band, id) in bands {
        let (from, to) = (rows.start.max(band.start), rows.end.min(band.end));
        if from < to {
            takes.push(from - band.start..to - band.start);
            inputs.push(*id);
        }
    }
    let space = inputs.first().map_or(space, |id| out.spaces[id.0]);
    let id = out.graph.push(format!("{name} rows {rows:?}"), Rows { takes }, &inputs)?;
    out.whole.push(out.graph.shape(id));
    out.spaces.push(space);
    Ok(id)
}
