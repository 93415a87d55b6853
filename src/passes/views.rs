//! Channel layout: where every channel of every tensor sits. Split, concatenate and shuffle run no kernel; here they
//! become lists of 4-channel blocks for whoever reads them. Tensors that one reader reads together share a root buffer.
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Segment;
use std::collections::HashMap;

/// A tensor that a kernel writes: its blocks inside its root buffer.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Node whose buffer holds it.
    pub root: usize,
    /// Where it lies among others: by the first node of its name, so that what is made a second time lies as it did the first time.
    pub rank: usize,
    /// First block in the root.
    pub offset: usize,
    /// Blocks of 4 channels.
    pub blocks: usize,
    /// Position of channel c: 4 * block + component, within the leaf.
    pub slots: Vec<usize>,
}

/// Where the channels of what a node reads lie.
pub(super) struct Found {
    /// The buffer, by its root.
    pub root: usize,
    /// Runs of blocks, in order.
    pub runs: Vec<Segment>,
    /// Position of every channel among those blocks.
    pub slots: Vec<usize>,
}

impl Found {
    /// At most two runs of blocks, as kernels read them, and the position of every channel among those. Three or more are read
    /// as the whole stretch, whose extra channels get zero weights.
    pub fn readable(self) -> (Vec<Segment>, Vec<usize>) {
        let [first, .., last] = self.runs[..] else { return (self.runs, self.slots) };
        if self.runs.len() == 2 {
            return (self.runs, self.slots);
        }
        let blocks: Vec<usize> = self.runs.iter().flat_map(|run| run.first..run.first + run.count).collect();
        let slots = self.slots.iter().map(|s| 4 * (blocks[s / 4] - first.first) + s % 4).collect();
        (vec![Segment { first: first.first, count: last.first + last.count - first.first }], slots)
    }
}

pub(super) struct Layout {
    /// By node; none for rearrangements of channels.
    pub leaves: Vec<Option<Leaf>>,
    /// Blocks per pixel, by root (roots are numbered by their first leaf's node).
    pub strides: Vec<usize>,
    /// By node, by channel: the leaf's node and its channel.
    sources: Vec<Vec<(usize, usize)>>,
}

impl Layout {
    /// Layout of every node.
    pub fn of(graph: &Graph) -> Result<Self> {
        let sources = sources(graph);
        let roots = roots(graph, &sources);
        let mut leaves: Vec<Option<Leaf>> = vec![None; graph.nodes.len()];
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            if sources[i].iter().any(|&(leaf, _)| leaf != i) {
                continue; // a rearrangement
            }
            let (blocks, slots) = match node.inputs.first() {
                Some(input) if node.op.keeps_layout() => {
                    let (blocks, slots) = covering(&sources[input.0], &leaves);
                    (blocks.len(), slots)
                }
                _ => (node.shape.c.div_ceil(4), (0..node.shape.c).collect()),
            };
            let rank = *first.entry(&node.name).or_insert(i);
            leaves[i] = Some(Leaf { root: roots[i], rank, offset: 0, blocks, slots });
        }
        let mut strides = vec![0; graph.nodes.len()];
        let mut in_order: Vec<&mut Leaf> = leaves.iter_mut().flatten().collect();
        in_order.sort_by_key(|leaf| leaf.rank);
        for leaf in in_order {
            leaf.offset = strides[leaf.root];
            strides[leaf.root] += leaf.blocks;
        }
        Ok(Self { leaves, strides, sources })
    }

    /// Bytes per lane of the buffer that holds each node's output; 0 for rearrangements.
    pub fn bytes(&self, graph: &Graph) -> Vec<u64> {
        let bytes = |(leaf, node): (&Option<Leaf>, &Node)| match leaf {
            Some(leaf) => 16 * (self.strides[leaf.root] * node.shape.pixels()) as u64,
            None => 0,
        };
        self.leaves.iter().zip(&graph.nodes).map(bytes).collect()
    }

    /// Where the channels of `id` lie.
    pub fn found(&self, graph: &Graph, id: NodeId) -> Result<Found> {
        let lost = || Error::invalid(&graph.nodes[id.0].name, "has no buffer to read from");
        let leaf = |i: usize| self.leaves[i].as_ref().ok_or_else(lost);
        let root = leaf(self.sources[id.0].first().ok_or_else(lost)?.0)?.root;
        let (blocks, slots) = covering(&self.sources[id.0], &self.leaves);
        let mut runs: Vec<Segment> = vec![];
        for &(node, block) in &blocks {
            let leaf = leaf(node)?;
            if leaf.root != root {
                return Err(Error::invalid(&graph.nodes[id.0].name, "is spread over two buffers"));
            }
            match runs.last_mut() {
                Some(s) if s.first + s.count == leaf.offset + block => s.count += 1,
                _ => runs.push(Segment { first: leaf.offset + block, count: 1 }),
            }
        }
        Ok(Found { root, runs, slots })
    }

    /// (leaf's node, channel) of every channel of `id`.
    pub fn sources(&self, id: NodeId) -> &[(usize, usize)] {
        &self.sources[id.0]
    }

    /// The leaves that `id` reads.
    pub fn leaves_of(&self, id: NodeId) -> Vec<usize> {
        let mut nodes: Vec<usize> = self.sources[id.0].iter().map(|s| s.0).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// For every channel of every node, the kernel-written tensor and channel that it is.
fn sources(graph: &Graph) -> Vec<Vec<(usize, usize)>> {
    let mut sources: Vec<Vec<(usize, usize)>> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let own = sources_of(node, i, &sources);
        sources.push(own);
    }
    sources
}

/// The same of node `i`; `sources` are those of the nodes before it.
pub(super) fn sources_of(node: &Node, i: usize, sources: &[Vec<(usize, usize)>]) -> Vec<(usize, usize)> {
    let given = |input: usize| &sources[node.inputs[input].0];
    match node.op.rearranges() {
        Some(map) => map.iter().map(|&(input, c)| given(input)[c]).collect(),
        None => (0..node.shape.c).map(|c| (i, c)).collect(),
    }
}

/// Union of the leaves that some kernel reads through one input; a root is named by its first leaf.
fn roots(graph: &Graph, sources: &[Vec<(usize, usize)>]) -> Vec<usize> {
    let mut root: Vec<usize> = (0..graph.nodes.len()).collect();
    fn find(root: &[usize], mut i: usize) -> usize {
        while root[i] != i {
            i = root[i];
        }
        i
    }
    for node in &graph.nodes {
        if node.op.rearranges().is_some() {
            continue;
        }
        for input in &node.inputs {
            for pair in sources[input.0].windows(2) {
                let (a, b) = (find(&root, pair[0].0), find(&root, pair[1].0));
                root[a.max(b)] = a.min(b);
            }
        }
    }
    (0..root.len()).map(|i| find(&root, i)).collect()
}

/// The distinct (leaf, block) pairs that hold these channels, in buffer order, and each channel's position among them.
fn covering(channels: &[(usize, usize)], leaves: &[Option<Leaf>]) -> (Vec<(usize, usize)>, Vec<usize>) {
    let place = |&(node, c): &(usize, usize)| {
        let (rank, slot) = leaves[node].as_ref().map_or((node, c), |l| (l.rank, l.slots[c]));
        ((rank, node, slot / 4), slot % 4)
    };
    let mut blocks: Vec<(usize, usize, usize)> = channels.iter().map(|c| place(c).0).collect();
    blocks.sort_unstable();
    blocks.dedup();
    let slot = |c| {
        let (at, component) = place(c);
        4 * blocks.partition_point(|b| *b < at) + component
    };
    let slots = channels.iter().map(slot).collect();
    (blocks.into_iter().map(|(_, node, block)| (node, block)).collect(), slots)
}
