//! Nodes that the output does not depend on are left out. In: a graph. Out: the same function, whose every node is read by
//! another but the last.
use crate::graph::{Graph, NodeId};

/// The graph without them; its input stays.
pub(super) fn prune(graph: &Graph) -> Graph {
    let mut needed = vec![false; graph.nodes.len()];
    (needed[0], needed[graph.output().0]) = (true, true);
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if needed[i] {
            node.inputs.iter().for_each(|id| needed[id.0] = true);
        }
    }
    let mut out = Graph { nodes: vec![], ..graph.clone() };
    let mut renamed = vec![NodeId(0); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|id| *id = renamed[id.0]);
        renamed[i] = NodeId(out.nodes.len());
        out.nodes.push(node);
    }
    out
}
