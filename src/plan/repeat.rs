//! A tensor beside itself. Layout reads every channel where it lies, once; where one kernel would find the same channel under
//! two names, the later name gets a copy. In: a graph. Out: the same function, of which no kernel reads a channel twice.
use super::layout::sources_of;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::affine::Affine;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The graph as it is built again.
struct Separated {
    graph: Graph,
    /// For every channel of every node, the kernel-written tensor and channel that it is.
    sources: Vec<Vec<(usize, usize)>>,
}

/// Copies inputs of rearrangements that repeat channels of the inputs before them.
pub(super) fn separate(graph: &Graph) -> Graph {
    let mut out = Separated { graph: Graph { nodes: vec![], ..graph.clone() }, sources: vec![] };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        if node.op.rearranges().is_some() {
            let mut seen = BTreeSet::new();
            for id in &mut inputs {
                if out.sources[id.0].iter().any(|source| seen.contains(source)) {
                    // The copy will lie in one buffer with the original, and no kernel may write what it reads.
                    *id = out.copy(*id);
                    *id = out.copy(*id);
                }
                seen.extend(out.sources[id.0].iter().copied());
            }
        }
        renamed.push(out.push(Node { inputs, ..node.clone() }));
    }
    out.graph
}

impl Separated {
    fn push(&mut self, node: Node) -> NodeId {
        let at = self.graph.nodes.len();
        self.sources.push(sources_of(&node, at, &self.sources));
        self.graph.nodes.push(node);
        NodeId(at)
    }

    fn copy(&mut self, id: NodeId) -> NodeId {
        let op = Arc::new(Affine { gain: 1.0, table: None, shift: 0.0 });
        let of = &self.graph.nodes[id.0];
        let node = Node { name: format!("{}.copy", of.name), op, inputs: vec![id], shape: of.shape, whole: of.whole };
        self.push(node)
    }
}
