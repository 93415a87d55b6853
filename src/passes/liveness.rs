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
    let mut slots = Slots { of_root: vec![None; n], bytes: vec![], spaces: vec![] };
    // What each slot holds, and when.
    let mut held: Vec<Vec<[usize; 2]>> = vec![];
    let mut order: Vec<usize> = (0..n).filter(|&r| first[r] != usize::MAX).collect();
    order.sort_by_key(|&r| (Reverse(bytes[r]), first[r]));
    for root in order {
        // A kernel never writes what it reads: a slot is free once its last reader ran. Slots are at least as large as this root;
        // of those that are free the smallest.
        let free = |&s: &usize| {
            let lanes = [slots.spaces[s], spaces[root]].map(|space| program.lanes_in(space));
            lanes[0] == lanes[1] && held[s].iter().all(|[from, to]| last[root] < *from || *to < first[root])
        };
        let fit = (0..held.len()).filter(free).min_by_key(|&s| slots.bytes[s]);
        let slot = fit.unwrap_or_else(|| {
            slots.bytes.push(bytes[root]);
            slots.spaces.push(spaces[root]);
            held.push(vec![]);
            held.len() - 1
        });
        held[slot].push([first[root], last[root]]);
        slots.of_root[root] = Some(slot);
    }
    slots
}
