//! Fusion: a SiLU whose input is read by nobody else and whose producer can apply it on the store is folded into it.
use crate::graph::{Graph, Node, NodeId};

/// The same network with fewer nodes. Node order is kept.
pub(super) fn fuse(graph: &Graph) -> Graph {
    let mut readers = vec![0usize; graph.nodes.len()];
    for id in graph.nodes.iter().flat_map(|n| &n.inputs) {
        readers[id.0] += 1;
    }
    let nodes = Vec::with_capacity(graph.nodes.len());
    let mut fused = Graph { nodes, rows: graph.rows.clone(), labels: graph.labels.clone(), held: graph.held };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|i| renamed[i.0]).collect();
        if node.op.name() == "silu"
            && readers[node.inputs[0].0] == 1
            && let Some(op) = fused.nodes[inputs[0].0].op.with_silu()
        {
            fused.nodes[inputs[0].0].op = op;
            renamed.push(inputs[0]);
            continue;
        }
        fused.nodes.push(Node { name: node.name.clone(), op: node.op.clone(), inputs, shape: node.shape });
        renamed.push(NodeId(fused.nodes.len() - 1));
    }
    fused
}
