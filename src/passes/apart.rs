//! Concatenated and split tensors as copies of their own. Elsewhere they are views: what is read together lies in one buffer, which lives
//! as long as any part of it. Where memory is short, a copy made at once lets go of the rest. In: a draft. Out: the same function,
//! whose kernels read whole tensors; channels lie in the same order, block by block, so bits are the same.
use super::Draft;
use super::views::{Layout, sources_of};
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::channels::Channels;
use crate::ops::repack::Repack;
use crate::program::Space;
use crate::shape::Shape;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Kernel-written tensors and channels: what a rearrangement is of.
type Sources = Vec<(usize, usize)>;

/// The draft with a copy behind the last part of everything that is rearranged.
pub(super) fn apart(Draft { graph, whole, spaces }: &Draft) -> Result<Draft> {
    let layout = Layout::of(graph)?;
    let mut sources: Vec<Sources> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let own = sources_of(node, i, &sources);
        sources.push(own);
    }
    // The last node that has a part in each: of what runs no kernel, that of what it is of.
    let mut ready: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let parts = node.inputs.iter().map(|id| ready[id.0]).max();
        ready.push(parts.filter(|_| node.op.rearranges().is_some()).unwrap_or(i));
    }
    // By the node behind which it is made: what is to be copied, each once.
    let mut wanted: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
    let mut known: HashSet<(&Sources, bool)> = HashSet::new();
    for node in graph.nodes.iter().filter(|node| node.op.rearranges().is_none()) {
        let read = node.inputs.iter().enumerate();
        for (n, id) in read.filter(|(_, id)| graph.nodes[id.0].op.rearranges().is_some()) {
            let own = &sources[id.0];
            let leaf = own.first().map_or(0, |s| s.0);
            let one = own.iter().copied().eq((0..graph.nodes[leaf].shape.c).map(|c| (leaf, c)));
            if !one && lying(&layout, own).is_some() && known.insert((own, beside(node, n))) {
                wanted.entry(ready[id.0]).or_default().push((id.0, beside(node, n)));
            }
        }
    }
    let ends = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let mut out = Draft { graph: ends, whole: vec![], spaces: vec![] };
    let (mut renamed, mut copies): (Vec<NodeId>, HashMap<(&Sources, bool), NodeId>) = (vec![], HashMap::new());
    for (i, node) in graph.nodes.iter().enumerate() {
        let read = |n: usize, id: &NodeId| {
            let copy = copies.get(&(&sources[id.0], beside(node, n))).filter(|_| node.op.rearranges().is_none());
            copy.copied().unwrap_or(renamed[id.0])
        };
        let inputs = node.inputs.iter().enumerate().map(|(n, id)| read(n, id)).collect();
        renamed.push(out.push(Node { inputs, ..node.clone() }, whole[i], spaces[i]));
        for &(id, beside) in wanted.get(&i).into_iter().flatten() {
            let order = if beside { Some(sources[id].clone()) } else { lying(&layout, &sources[id]) };
            if let Some(order) = order {
                let as_read = (&graph.nodes[id], &sources[id]);
                let copy = copied(&mut out, as_read, &order, &renamed, (whole[id], spaces[id]));
                copies.insert((&sources[id], beside), copy);
            }
        }
    }
    Ok(out)
}

/// True of an input whose channels an op puts beside those of its first: no sum follows their order in memory, and they are copied in the
/// order in which they are read.
fn beside(node: &Node, input: usize) -> bool {
    input > 0 && node.op.keeps_layout()
}

/// These channels in the order in which they lie, if they are whole blocks of 4, each channel once.
fn lying(layout: &Layout, sources: &Sources) -> Option<Sources> {
    let place = |&(leaf, c): &(usize, usize)| Some((leaf, *layout.leaves[leaf].as_ref()?.slots.get(c)?));
    let mut places: Vec<_> = sources.iter().map(|s| Some((place(s)?, *s))).collect::<Option<_>>()?;
    places.sort_unstable();
    let block = |four: &[((usize, usize), (usize, usize))]| {
        let (leaf, slot) = four[0].0;
        slot % 4 == 0 && four.iter().enumerate().all(|(n, s)| s.0 == (leaf, slot + n))
    };
    let whole = places.len() % 4 == 0 && places.chunks_exact(4).all(block);
    whole.then(|| places.into_iter().map(|(_, source)| source).collect())
}

/// A copy of these channels in an order, such as that in which they lie, and a view of it in the order in which they are read.
fn copied(
    out: &mut Draft,
    (of, sources): (&Node, &Sources),
    order: &Sources,
    renamed: &[NodeId],
    (whole, space): (Shape, Space),
) -> NodeId {
    let mut leaves: Vec<usize> = order.iter().map(|s| s.0).collect();
    leaves.sort_unstable();
    leaves.dedup();
    let map = order.iter().map(|&(leaf, c)| (leaves.partition_point(|l| *l < leaf), c)).collect();
    let copy = Node {
        name: format!("{}.apart", of.name),
        op: Arc::new(Repack { of: Channels::gather(map) }),
        inputs: leaves.iter().map(|leaf| renamed[*leaf]).collect(),
        shape: of.shape,
    };
    let copy = out.push(copy, whole, space);
    if order == sources {
        return copy;
    }
    let at: HashMap<_, _> = order.iter().enumerate().map(|(at, source)| (source, at)).collect();
    let map = sources.iter().map(|source| (0, at[source])).collect();
    let view = Node {
        name: format!("{}.in order", of.name),
        op: Arc::new(Channels::gather(map)),
        inputs: vec![copy],
        shape: of.shape,
    };
    out.push(view, whole, space)
}
