//! The twin: a graph interpreted on the CPU in f64 dual numbers with plain loops. The second opinion for every kernel,
//! for values and for derivatives along one tangent at once.
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use std::collections::HashMap;

/// The network at `x` (flat `[C, H, W]`), perhaps moving along a tangent, and timestep `k`; of one input and one output.
pub fn evaluate(graph: &Graph, x: &[Dual], k: usize) -> Result<Vec<Dual>> {
    under(graph, x, k, 0)
}

/// Bytes that an evaluation of the network, or of its transpose, takes at most, all nodes of it alive: those that a sweep back has are
/// about as large as its own.
pub fn bytes(graph: &Graph) -> usize {
    let numbers = graph.nodes.iter().map(|node| node.shape.len()).fold(0, usize::saturating_add);
    numbers.saturating_mul(2 * size_of::<Dual>())
}

/// The same under one of several conditions (`Rows::conditions`).
pub fn under(graph: &Graph, x: &[Dual], k: usize, condition: usize) -> Result<Vec<Dual>> {
    graph.ends()?;
    Ok(outputs(graph, &[x], k, condition)?.swap_remove(0))
}

/// Every output of a network (flat `[C, H, W]`), in the order of `Graph::outputs`, of its inputs in the order of theirs.
pub fn outputs(graph: &Graph, inputs: &[&[Dual]], k: usize, condition: usize) -> Result<Vec<Vec<Dual>>> {
    if inputs.len() != graph.inputs.len() {
        let message = format!("{} inputs, the network takes {}", inputs.len(), graph.inputs.len());
        return Err(Error::invalid("twin input", message));
    }
    let mut given = HashMap::new();
    for (&x, (name, id)) in inputs.iter().zip(&graph.inputs) {
        let d = graph.shape(*id).len();
        if x.len() != d {
            let message = format!("{} numbers for '{name}', the network takes {d}", x.len());
            return Err(Error::invalid("twin input", message));
        }
        given.insert(*id, x);
    }
    let rows = graph.rows_at(k, condition)?;
    let mut last_use = vec![0; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|n| last_use[n.0] = i);
    }
    graph.outputs.iter().for_each(|(_, id)| last_use[id.0] = usize::MAX);
    let mut values: Vec<Vec<Dual>> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        if let Some(x) = given.get(&NodeId(i)) {
            values.push(x.to_vec());
            continue;
        }
        let shapes: Vec<_> = node.inputs.iter().map(|&n| graph.shape(n)).collect();
        let inputs: Vec<&[Dual]> = node.inputs.iter().map(|n| values[n.0].as_slice()).collect();
        values.push(node.op.twin(&inputs, &shapes, &rows));
        node.inputs.iter().filter(|n| last_use[n.0] == i).for_each(|n| values[n.0] = vec![]);
    }
    Ok(graph.outputs.iter().map(|(_, id)| values[id.0].clone()).collect())
}
