//! Where a network's numbers stop being finite: a node whose inputs are finite and whose output is not. In: a graph, a point
//! where its output is not finite, perhaps with a tangent, a timestep. Out: the node. Parts of the graph that end at inner
//! nodes run on the device, by bisection: about the logarithm of the nodes, each planned and compiled for itself.
use crate::error::Result;
use crate::evaluate::{Evaluator, Room};
use crate::gpu::Gpu;
use crate::graph::{Graph, NodeId};
use std::collections::HashMap;

/// A node that makes what is not finite out of finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Name of the node.
    pub node: String,
    /// What it computes.
    pub op: &'static str,
    /// NaN or an infinity: the first of its output that is not finite.
    pub value: f32,
    /// Of its derivative along the tangent; its value is finite.
    pub derivative: bool,
}

/// The node where `graph` stops being finite at `x` (`[D]`), timestep k and a condition, or where its derivative along `tangent` (`[D]`, or
/// empty) does; none if its output is finite. Of several such nodes one that the output depends on.
///
/// # Errors
/// What the device says.
pub fn origin(
    gpu: &Gpu,
    graph: &Graph,
    x: &[f32],
    tangent: &[f32],
    (k, condition): (usize, usize),
) -> Result<Option<Origin>> {
    let mut trace = Trace { gpu, graph, x, tangent, k, condition, seen: HashMap::new() };
    let mut first = None;
    for &(_, NodeId(output)) in &graph.outputs {
        if first.is_none() && trace.at(output)?.is_some() {
            first = Some(output);
        }
    }
    let Some(mut bad) = first else { return Ok(None) };
    let NodeId(given) = graph.inputs.first().map_or(NodeId(0), |(_, id)| *id);
    loop {
        // The input is finite, `bad` is not: neighbours in the order of evaluation between which that changes.
        let mut good = given;
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if trace.at(middle)?.is_some() { bad = middle } else { good = middle }
        }
        // They may lie on different branches: then on with the input that is not finite.
        let mut before = None;
        for &NodeId(input) in &graph.nodes[bad].inputs {
            if before.is_none() && trace.at(input)?.is_some() {
                before = Some(input);
            }
        }
        match before {
            Some(input) => bad = input,
            None => break,
        }
    }
    let node = &graph.nodes[bad];
    let found = trace.at(bad)?.map(|(value, derivative)| Origin {
        node: node.name.clone(),
        op: node.op.name(),
        value,
        derivative,
    });
    Ok(found)
}

struct Trace<'a> {
    gpu: &'a Gpu,
    graph: &'a Graph,
    x: &'a [f32],
    tangent: &'a [f32],
    k: usize,
    condition: usize,
    /// By node: what is not finite of it, and whether that is a derivative.
    seen: HashMap<usize, Option<(f32, bool)>>,
}

impl Trace<'_> {
    /// The first number of a node's output that is not finite.
    fn at(&mut self, node: usize) -> Result<Option<(f32, bool)>> {
        if self.graph.inputs.iter().any(|(_, input)| input.0 == node) {
            return Ok(None); // callers have finite points and tangents
        }
        if let Some(&seen) = self.seen.get(&node) {
            return Ok(seen);
        }
        let part = Graph { outputs: vec![("traced".into(), NodeId(node))], ..self.graph.clone() };
        let room = Room { samples: 1, tangents: usize::from(!self.tangent.is_empty()), cotangents: 0 };
        let mut evaluator = Evaluator::with_tangents(self.gpu, &part, &[self.k], room)?;
        let (values, derivatives) = match room.tangents {
            0 => (evaluator.evaluate_of(self.x, &[self.k], &[self.condition])?, vec![]),
            _ => evaluator.jvp_of(self.x, self.tangent, &[self.k], &[self.condition])?,
        };
        let first =
            |numbers: &[f32], derivative| numbers.iter().find(|v| !v.is_finite()).map(|&value| (value, derivative));
        let found = first(&values, false).or(first(&derivatives, true));
        self.seen.insert(node, found);
        Ok(found)
    }
}
