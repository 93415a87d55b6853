//! Liveness: a root buffer lives from its first write to its last read; roots that do not overlap share a slot.
//! Greedy, the largest first (arXiv 2001.03288, shared objects): a slot never grows for a later root, and the sum of the slots is
//! near the most that is alive at once.
use super::views::Layout;
use crate::graph::{Graph, NodeId};
use crate::program::{Builder, Space};
use std::cmp::Reverse;

pub(super) struct Slots {
    /// Slot of each root.
    pub of_root: Vec<Option<usize>>,
    /// Bytes per lane of each slot.
    pub bytes: Vec<u64>,
    /// Whose lanes each slot has, or as many: roots share one with those of as many lanes alone.
    pub spaces: Vec<Space>,
}

pub(super) fn assign(graph: &Graph, layout: &Layout, spaces: &[Space], program: &Builder) -> Slots {
    let n = graph.nodes.len();
    let (mut first, mut last) = (vec![usize::MAX; n], vec![0; n]);
    let (sizes, mut bytes) = (layout.bytes(graph), vec![0u64; n]);
    for (i, node) in graph.nodes.iter().enumerate() {
        let Some(leaf) = &layout.leaves[i] else { continue };
        // Output nodes write the flat buffer outside.
        if node.op.writes_port().is_none() {
            first[leaf.root] = first[leaf.root].min(i);
            bytes[leaf.root] = sizes[i];
            last[leaf.root] = last[leaf.root].max(i);
        }
        for leaf in node.inputs.iter().flat_map(|&id| layout.leaves_of(NodeId(id.0))) {
            if let Some(leaf) = &layout.leaves[leaf] {
                last[leaf.root] = last[leaf.root].max(i);
            }
        }
    }
    let taken = taken(graph, layout, spaces, &last, &bytes);
    // What is written in the place of another is one with it, and lives as long.
    for (i, root) in taken.iter().enumerate().filter_map(|(i, root)| Some((i, (*root)?))) {
        last[root] = last[root].max(last[i]);
        first[i] = usize::MAX;
    }
    let mut slots = Slots { of_root: vec![None; n], bytes: vec![], spaces: vec![] };
    // What each slot holds, and when.
    let mut held: Vec<Vec<[usize; 2]>> = vec![];
    let mut order: Vec<usize> = (0..n).filter(|&r| first[r] != usize::MAX).collect();
    order.sort_by_key(|&r| (Reverse(bytes[r]), first[r]));
    for root in order {
        // A slot is free once its last reader ran. Slots are at least as large as this root; of those that are free the largest: the
        // smaller ones are for what lives longer.
        let free = |&s: &usize| {
            let lanes = [slots.spaces[s], spaces[root]].map(|space| program.lanes_in(space));
            lanes[0] == lanes[1] && held[s].iter().all(|[from, to]| last[root] < *from || *to < first[root])
        };
        let fit = (0..held.len()).filter(free).max_by_key(|&s| (slots.bytes[s], Reverse(s)));
        let slot = fit.unwrap_or_else(|| {
            slots.bytes.push(bytes[root]);
            slots.spaces.push(spaces[root]);
            held.push(vec![]);
            held.len() - 1
        });
        held[slot].push([first[root], last[root]]);
        slots.of_root[root] = Some(slot);
    }
    for (i, root) in taken.iter().enumerate() {
        slots.of_root[i] = root.map_or(slots.of_root[i], |root| slots.of_root[root]);
    }
    slots
}

/// For every root, the one in whose place it is written: that of an input which its op lets it take (`Op::in_place`), both tensors
/// alone in their buffers, and nobody else reading the old one then or later.
fn taken(graph: &Graph, layout: &Layout, spaces: &[Space], last: &[usize], bytes: &[u64]) -> Vec<Option<usize>> {
    let (mut taken, mut last): (Vec<Option<usize>>, _) = (vec![None; graph.nodes.len()], last.to_vec());
    let alone = |leaf: usize| layout.leaves[leaf].as_ref().filter(|leaf| leaf.blocks == layout.strides[leaf.root]);
    for (i, node) in graph.nodes.iter().enumerate() {
        let Some(place) = node.op.in_place().filter(|_| node.op.writes_port().is_none()) else { continue };
        let read: Vec<Vec<usize>> = node.inputs.iter().map(|&id| layout.leaves_of(id)).collect();
        let [leaf] = read[place][..] else { continue };
        let (Some(own), Some(from)) = (alone(i), alone(leaf)) else { continue };
        let root = taken[from.root].unwrap_or(from.root);
        let others = read.iter().enumerate().filter(|(n, _)| *n != place).any(|(_, leaves)| leaves.contains(&leaf));
        if last[root] == i && !others && bytes[root] == bytes[own.root] && spaces[root] == spaces[i] {
            taken[own.root] = Some(root);
            last[root] = last[own.root];
        }
    }
    taken
}
