//! Lanes of nodes: which of a sample's lanes a node of an adjoint graph needs. In: a graph whose ends are nodes, of T tangents and K
//! cotangents. Out: the space of every node, and copies where one reads lanes of another space than its own (`ops::spread`).
use super::Draft;
use super::fused::{Filled, Room};
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::input::Input;
use crate::ops::output::Output;
use crate::ops::spread::Spread;
use crate::program::{Builder, Space};
use std::collections::HashMap;
use std::sync::Arc;

/// Where the reverse sweep of an adjoint graph begins: its second input, behind all nodes of the network.
pub(super) fn reverse_begins(graph: &Graph) -> usize {
    let cotangent = |node: &Node| node.op.downcast::<Input>().is_some_and(|input| input.port > 0);
    graph.nodes.iter().position(cotangent).unwrap_or(graph.nodes.len())
}

/// What depends on the cotangent has its lanes; of the rest, what the network's own output is made of has a lane for every
/// tangent, and what the reverse sweep alone reads has the primal's.
fn spaces(graph: &Graph, tangents: bool) -> Vec<Space> {
    let n = graph.nodes.len();
    let (mut reverse, mut forward) = (vec![false; n], vec![false; n]);
    for (i, node) in graph.nodes.iter().enumerate() {
        let given = node.op.downcast::<Input>().is_some_and(|input| input.port > 0);
        reverse[i] = given || node.inputs.iter().any(|id| reverse[id.0]);
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        forward[i] |= node.op.downcast::<Output>().is_some_and(|output| output.port == 0);
        if forward[i] {
            node.inputs.iter().for_each(|id| forward[id.0] = true);
        }
    }
    let room = |i: usize| graph.nodes[i].op.downcast::<Room>().is_some();
    let space = |i: usize| match (reverse[i], forward[i] && !room(i) || !tangents) {
        (true, _) => Space::Reverse,
        (_, true) => Space::Forward,
        _ => Space::Primal,
    };
    (0..n).map(space).collect()
}

/// The draft of an adjoint graph with the lanes of every node, which reads no others'. What the reverse sweep reads of nodes that have
/// tangents is copied at once, primals alone, so that no tangent is kept for it; copies for cotangents are made where the first of
/// them is read.
pub(super) fn spread(Draft { graph, whole, .. }: &Draft, program: &Builder) -> Result<Draft> {
    let lanes = |space| program.lanes_in(space);
    let spaces = spaces(graph, lanes(Space::Forward) > 1);
    let mut kept = vec![false; graph.nodes.len()];
    // Room for slopes, and what fills it, are read by no kernel of their own.
    let reads = |op: &dyn Op| op.downcast::<Room>().is_none() && op.downcast::<Filled>().is_none();
    for (node, own) in graph.nodes.iter().zip(&spaces).filter(|(node, _)| reads(&*node.op)) {
        let others = node.inputs.iter().filter(|id| spaces[id.0] == Space::Forward && *own != Space::Forward);
        others.for_each(|id| kept[id.0] = lanes(Space::Forward) > 1);
    }
    let ends = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let mut out = Draft { graph: ends, whole: vec![], spaces: vec![] };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    let mut copies: HashMap<(NodeId, Space), NodeId> = HashMap::new();
    let copy = |out: &mut Draft, (id, from): (NodeId, Space), to: Space, of: NodeId| {
        let name = format!("{}.spread", graph.nodes[of.0].name);
        let op = Arc::new(Spread { from: lanes(from), to: lanes(to) });
        out.push(Node { name, op, inputs: vec![id], shape: graph.nodes[of.0].shape }, whole[of.0], to)
    };
    for (i, node) in graph.nodes.iter().enumerate() {
        let own = spaces[i];
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (n, &id) in node.inputs.iter().enumerate() {
            let mut from = (renamed[id.0], spaces[id.0]);
            if let Some(&primal) = copies.get(&(id, Space::Primal)).filter(|_| own != Space::Forward) {
                from = (primal, Space::Primal);
            }
            // One lane each is the same lane, and some kernels find a sample's primal themselves.
            if from.1 == own || lanes(from.1) == 1 && lanes(own) == 1 || node.op.finds_primals(n) {
                inputs.push(from.0);
                continue;
            }
            let made = copies.get(&(id, own)).copied();
            let made = made.unwrap_or_else(|| copy(&mut out, from, own, id));
            copies.insert((id, own), made);
            inputs.push(made);
        }
        renamed.push(out.push(Node { inputs, ..node.clone() }, whole[i], own));
        if kept[i] {
            let primal = copy(&mut out, (renamed[i], own), Space::Primal, NodeId(i));
            copies.insert((NodeId(i), Space::Primal), primal);
        }
    }
    Ok(out)
}
