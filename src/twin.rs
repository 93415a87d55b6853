//! The twin: a graph interpreted on the CPU in f64 dual numbers with plain loops. The second opinion for every kernel,
//! for values and for derivatives along one tangent at once.
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// The network at `x` (flat `[C, H, W]`), perhaps moving along a tangent, and timestep `k`.
pub fn evaluate(graph: &Graph, x: &[Dual], k: usize) -> Result<Vec<Dual>> {
    let d = graph.shape(graph.input()).len();
    if x.len() != d {
        return Err(Error::invalid("twin input", format!("{} numbers, the network takes {d}", x.len())));
    }
    let rows = graph.rows_at(k)?;
    let mut last_use = vec![0; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|n| last_use[n.0] = i);
    }
    let mut values: Vec<Vec<Dual>> = vec![x.to_vec()];
    for (i, node) in graph.nodes.iter().enumerate().skip(1) {
        let shapes: Vec<_> = node.inputs.iter().map(|&n| graph.shape(n)).collect();
        let inputs: Vec<&[Dual]> = node.inputs.iter().map(|n| values[n.0].as_slice()).collect();
        values.push(node.op.twin(&inputs, &shapes, &rows));
        node.inputs.iter().filter(|n| last_use[n.0] == i).for_each(|n| values[n.0] = vec![]);
    }
    Ok(values.pop().unwrap_or_default())
}
