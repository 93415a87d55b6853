//! Rearrangements that a kernel cannot read where they lie are carried out, by a copy in front of that kernel: a channel twice;
//! channels in the buffer that the kernel writes; in too many runs, or in another order than it needs (`ops::Reads`). In: a
//! graph. Out: the same function, of which every kernel reads what it can, and its layout.
use super::Draft;
use super::views::{Found, Layout};
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Reads;
use crate::ops::channels::Channels;
use crate::ops::repack::Repack;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The graph with such copies. A copy is read as a whole, which every kernel can; so each round leaves fewer to make.
pub(super) fn layout(mut draft: Draft) -> Result<(Draft, Layout)> {
    loop {
        let layout = Layout::of(&draft.graph)?;
        let wanted = wanted(&draft.graph, &layout)?;
        if wanted.is_empty() {
            return Ok((draft, layout));
        }
        draft = repacked(&draft, &layout, &wanted);
    }
}

/// Nodes and their inputs that need a copy.
fn wanted(graph: &Graph, layout: &Layout) -> Result<BTreeSet<(usize, usize)>> {
    let mut wanted = BTreeSet::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let Some(leaf) = &layout.leaves[i] else { continue };
        let found = node.inputs.iter().map(|&id| layout.found(graph, id)).collect::<Result<Vec<_>>>()?;
        let reads: Vec<Reads> = (0..found.len()).map(|n| node.op.reads(n, found.len())).collect();
        let mut in_place = found.iter().zip(&reads).filter(|(_, r)| **r == Reads::InPlace).map(|(f, _)| &f.slots);
        let alike = in_place.next().is_none_or(|first| in_place.all(|slots| slots == first));
        for (n, (found, reads)) in found.iter().zip(reads).enumerate() {
            let reads = if reads == Reads::InPlace && !alike { Reads::Ordered } else { reads };
            // The flat output outside is read off a table, and is nobody's input.
            let outside = node.op.writes_port().is_some();
            let distinct = outside || once(layout.sources(node.inputs[n]));
            if !distinct || !outside && found.root == leaf.root || !suits(found, reads) {
                wanted.insert((i, n));
            }
        }
    }
    Ok(wanted)
}

/// Whether no channel comes twice.
fn once(channels: &[(usize, usize)]) -> bool {
    channels.iter().collect::<BTreeSet<_>>().len() == channels.len()
}

fn suits(found: &Found, reads: Reads) -> bool {
    let ordered = || found.slots.iter().enumerate().all(|(c, slot)| c == *slot);
    match reads {
        Reads::Anywhere => true,
        Reads::InPlace => found.runs.len() <= 2,
        Reads::Ordered => found.runs.len() <= 2 && ordered(),
        Reads::Together => found.runs.len() == 1 && ordered(),
    }
}

/// The graph with copies in front of these inputs; those of the same channels share one.
fn repacked(Draft { graph, whole, spaces }: &Draft, layout: &Layout, wanted: &BTreeSet<(usize, usize)>) -> Draft {
    let nodes = Vec::with_capacity(graph.nodes.len());
    let mut out = Draft { graph: Graph { nodes, ..graph.clone() }, whole: vec![], spaces: vec![] };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    let mut copies: HashMap<&[(usize, usize)], NodeId> = HashMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        for (n, &id) in node.inputs.iter().enumerate().filter(|(n, _)| wanted.contains(&(i, *n))) {
            inputs[n] = *copies.entry(layout.sources(id)).or_insert_with(|| {
                let copy = copy(&graph.nodes[id.0], layout.sources(id), &layout.leaves_of(id), &renamed);
                let space = spaces[layout.leaves_of(id)[0]];
                out.push(copy, whole[id.0], space)
            });
        }
        renamed.push(out.push(Node { inputs, ..node.clone() }, whole[i], spaces[i]));
    }
    out
}

/// A node that holds these channels of these tensors.
fn copy(of: &Node, channels: &[(usize, usize)], leaves: &[usize], renamed: &[NodeId]) -> Node {
    let map = channels.iter().map(|&(leaf, c)| (leaves.partition_point(|&l| l < leaf), c)).collect();
    Node {
        name: format!("{}.repacked", of.name),
        op: Arc::new(Repack { of: Channels::gather(map) }),
        inputs: leaves.iter().map(|&leaf| renamed[leaf]).collect(),
        shape: of.shape,
    }
}
