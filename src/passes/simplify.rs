//! Nodes that no output depends on are left out. In: a graph. Out: the same function, whose every node is read by another or is
//! one of its ends.
use crate::graph::{Graph, Node, NodeId};

/// The graph of what the outputs need; its inputs all stay.
pub(super) fn simplify(graph: &Graph) -> Graph {
    let mut needed = vec![false; graph.nodes.len()];
    graph.inputs.iter().chain(&graph.outputs).for_each(|(_, id)| needed[id.0] = true);
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if needed[i] {
            node.inputs.iter().for_each(|id| needed[id.0] = true);
        }
    }
    let kept = graph.nodes.iter().zip(needed).map(|(node, needed)| needed.then(|| node.clone())).collect();
    compact(graph, kept)
}

/// Nodes of a graph without the gaps; its ends are none.
pub(super) fn compact(of: &Graph, nodes: Vec<Option<Node>>) -> Graph {
    let mut out = Graph { nodes: vec![], ..of.clone() };
    let mut renamed = vec![NodeId(0); nodes.len()];
    for (i, node) in nodes.into_iter().enumerate() {
        let Some(mut node) = node else { continue };
        node.inputs.iter_mut().for_each(|id| *id = renamed[id.0]);
        renamed[i] = NodeId(out.nodes.len());
        out.nodes.push(node);
    }
    out.inputs.iter_mut().chain(&mut out.outputs).for_each(|(_, id)| *id = renamed[id.0]);
    out
}
