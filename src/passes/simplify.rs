//! The same function with fewer nodes, of ops that a graph may have: what no output depends on is left out, and a number in front of a
//! convolution goes into its weights. In: a graph. Out: the same function, whose every node is read by another or is one of its ends.
use crate::graph::{Graph, Node, NodeId};
use crate::ops::affine::Affine;
use crate::ops::conv::Conv;
use crate::ops::weight_format::WeightFormat;
use std::sync::Arc;

/// The graph of what the outputs need; its inputs all stay.
pub(super) fn simplify(graph: &Graph) -> Graph {
    let needed = needed(graph);
    // Products of rounded weights are not what rounding promises.
    match graph.held == WeightFormat::F32 && !graph.direct {
        true => self::needed(&weighed(needed)),
        false => needed,
    }
}

/// Nodes that an output depends on, and the inputs.
pub(super) fn needed(graph: &Graph) -> Graph {
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

/// Convolutions of g x, which nobody else reads, are convolutions of x with g times the weights.
fn weighed(mut graph: Graph) -> Graph {
    let mut readers = vec![0; graph.nodes.len()];
    let ends = graph.outputs.iter().map(|(_, id)| id);
    graph.nodes.iter().flat_map(|node| &node.inputs).chain(ends).for_each(|id| readers[id.0] += 1);
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        let (Some(conv), &[x]) = (node.op.downcast::<Conv>(), &node.inputs[..]) else { continue };
        let scaled = &graph.nodes[x.0];
        let Some(&Affine { gain, table: None, shift: 0.0 }) = scaled.op.downcast() else { continue };
        if readers[x.0] == 1 {
            let weight = conv.weight.iter().map(|&w| (f64::from(w) * gain) as f32).collect();
            let (op, inputs) = (Arc::new(Conv { weight, ..conv.clone() }), scaled.inputs.clone());
            graph.nodes[i] = Node { op, inputs, ..node.clone() };
        }
    }
    graph
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
