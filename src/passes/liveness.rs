//! Liveness: a root buffer lives from its first write to its last read; roots that do not overlap share a slot.
//! Greedy best fit by size, which is close to optimal for chains with few long skips.
use super::views::Layout;
use crate::graph::{Graph, NodeId};
use crate::program::Space;

pub(super) struct Slots {
    /// Slot of each root.
    pub of_root: Vec<Option<usize>>,
    /// Bytes per lane of each slot.
    pub bytes: Vec<u64>,
    /// Whose lanes each slot has: roots share one with those of the same lanes alone.
    pub spaces: Vec<Space>,
}

pub(super) fn assign(graph: &Graph, layout: &Layout, spaces: &[Space]) -> Slots {
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
    let mut free_after: Vec<usize> = vec![]; // last reader of each slot's present root
    let mut order: Vec<usize> = (0..n).filter(|&r| first[r] != usize::MAX).collect();
    order.sort_by_key(|&r| first[r]);
    for root in order {
        let need = bytes[root];
        // A slot is free once its last reader ran: a kernel never writes what it reads. Prefer the slot that fits best.
        let fit = (0..slots.bytes.len())
            .filter(|&s| free_after[s] < first[root] && slots.spaces[s] == spaces[root])
            .min_by_key(|&s| {
                let have = slots.bytes[s];
                if have >= need { (0, have - need) } else { (1, need - have) }
            });
        let slot = fit.unwrap_or_else(|| {
            slots.bytes.push(0);
            slots.spaces.push(spaces[root]);
            free_after.push(0);
            slots.bytes.len() - 1
        });
        slots.bytes[slot] = slots.bytes[slot].max(need);
        free_after[slot] = last[root];
        slots.of_root[root] = Some(slot);
    }
    slots
}
