//! Fusion: what can be done at the end of the op before it (`ops::fold`) is folded into that op, so that a tensor is written
//! once; what can be done as another op loads it, into that one. In: a graph. Out: the same function with fewer nodes.
use super::layout::sources_of;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::fold::{Setting, Then, TimeRow};
use crate::target::STORAGE_BUFFERS;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The fused graph as it grows.
struct Fused<'a> {
    of: &'a Graph,
    setting: Setting,
    /// Nodes that others have taken in are none.
    nodes: Vec<Option<Node>>,
    /// For every channel of every node, the kernel-written tensor and channel that it is.
    sources: Vec<Vec<(usize, usize)>>,
    /// The node of the original graph whose value each node is.
    is: Vec<usize>,
    /// How many kernels read each value of the original graph, through whatever rearrangement.
    kernels: Vec<usize>,
    /// How many nodes name each node of the original graph as an input.
    named: Vec<usize>,
}

/// The same network with fewer nodes. Node order is kept; the output is last because it depends on all others (`prune`).
pub(super) fn fuse(graph: &Graph, setting: Setting) -> Graph {
    let mut original: Vec<Vec<(usize, usize)>> = Vec::with_capacity(graph.nodes.len());
    let (mut kernels, mut named) = (vec![0; graph.nodes.len()], vec![0; graph.nodes.len()]);
    let read = |kernels: &mut Vec<usize>, sources: &[&Vec<(usize, usize)>]| {
        let leaves: BTreeSet<usize> = sources.iter().flat_map(|s| s.iter().map(|(leaf, _)| *leaf)).collect();
        leaves.into_iter().for_each(|leaf| kernels[leaf] += 1);
    };
    for (i, node) in graph.nodes.iter().enumerate() {
        original.push(sources_of(node, i, &original));
        node.inputs.iter().for_each(|id| named[id.0] += 1);
        if original[i].iter().any(|(leaf, _)| *leaf == i) {
            read(&mut kernels, &node.inputs.iter().map(|id| &original[id.0]).collect::<Vec<_>>());
        }
    }
    read(&mut kernels, &[&original[graph.output().0]]);

    let mut fused = Fused { of: graph, setting, nodes: vec![], sources: vec![], is: vec![], kernels, named };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        renamed.push(fused.add(i, Node { inputs, ..node.clone() }));
    }
    fused.finish()
}

impl Fused<'_> {
    /// The node that has the value of the original node `i`, which is `node` if nothing can take it in.
    fn add(&mut self, i: usize, node: Node) -> NodeId {
        let taken = match node.op.as_then() {
            Some(Then::Residual(scales)) => self.residual(i, &node, scales),
            Some(then) => self.each(i, node.inputs[0], &then),
            None => None,
        };
        taken.unwrap_or_else(|| {
            let node = self.before(&node).unwrap_or(node);
            self.push(i, node)
        })
    }

    fn push(&mut self, i: usize, node: Node) -> NodeId {
        let sources = sources_of(&node, self.nodes.len(), &self.sources);
        self.sources.push(sources);
        self.nodes.push(Some(node));
        self.is.push(i);
        NodeId(self.nodes.len() - 1)
    }

    /// A node whose value only one other asks for, by its own name.
    fn only(&self, id: NodeId) -> Option<&Node> {
        self.nodes[id.0].as_ref().filter(|_| self.named[self.is[id.0]] == 1)
    }

    /// An op that others were folded into, if its steps bind no more than every adapter can.
    fn fitting(&self, op: Arc<dyn Op>) -> Option<Arc<dyn Op>> {
        (op.storage_buffers(self.setting) <= STORAGE_BUFFERS).then_some(op)
    }

    /// SiLU or a time row on `x`, put into all that write it, if nobody else reads those.
    fn each(&mut self, i: usize, x: NodeId, then: &Then) -> Option<NodeId> {
        let channels = &self.sources[x.0];
        let leaves: BTreeSet<usize> = channels.iter().map(|(leaf, _)| *leaf).collect();
        // A channel that comes twice gets two numbers of a row.
        if matches!(then, Then::Row(_)) && channels.iter().collect::<BTreeSet<_>>().len() < channels.len() {
            return None;
        }
        let mut ops = Vec::with_capacity(leaves.len());
        for &leaf in &leaves {
            let node = self.nodes[leaf].as_ref().filter(|_| self.kernels[self.is[leaf]] == 1)?;
            let place = |c| channels.iter().position(|source| *source == (leaf, c));
            let then = match then {
                Then::Row(row) => {
                    let entry = |c| Some(row.entries[place(c)?]);
                    Then::Row(TimeRow { entries: (0..node.shape.c).map(entry).collect::<Option<_>>()?, ..row.clone() })
                }
                then => then.clone(),
            };
            ops.push((leaf, self.fitting(node.op.then(&then)?)?));
        }
        for (leaf, op) in ops {
            self.nodes[leaf].as_mut()?.op = op;
            self.is[leaf] = i;
        }
        self.is[x.0] = i;
        Some(x)
    }

    /// A sum, made by the later of the two that it adds, if that can.
    fn residual(&mut self, i: usize, sum: &Node, scales: [f32; 2]) -> Option<NodeId> {
        let mut sides =
            [(sum.inputs[0], sum.inputs[1], scales), (sum.inputs[1], sum.inputs[0], [scales[1], scales[0]])];
        sides.sort_by_key(|(own, ..)| std::cmp::Reverse(*own));
        let (own, node) = sides.into_iter().find_map(|(own, other, scales)| {
            let node = self.only(own)?;
            let op = self.fitting(node.op.then(&Then::Residual(scales))?)?;
            let inputs = node.inputs.iter().copied().chain([other]).collect();
            Some((own, Node { name: node.name.clone(), op, inputs, shape: sum.shape, whole: sum.shape }))
        })?;
        self.nodes[own.0] = None;
        Some(self.push(i, node))
    }

    /// The node with what makes its first input in it, if nobody else asks for that.
    fn before(&mut self, node: &Node) -> Option<Node> {
        let &first = node.inputs.first()?;
        let producer = self.only(first)?;
        let op = self.fitting(node.op.before(&producer.op.as_before()?, self.setting)?)?;
        let inputs = producer.inputs.iter().chain(&node.inputs[1..]).copied().collect();
        self.nodes[first.0] = None;
        Some(Node { op, inputs, ..node.clone() })
    }

    /// Without the gaps.
    fn finish(self) -> Graph {
        let mut renamed = vec![NodeId(0); self.nodes.len()];
        let mut out = Graph { nodes: vec![], ..self.of.clone() };
        for (i, node) in self.nodes.into_iter().enumerate() {
            let Some(mut node) = node else { continue };
            node.inputs.iter_mut().for_each(|id| *id = renamed[id.0]);
            renamed[i] = NodeId(out.nodes.len());
            out.nodes.push(node);
        }
        out
    }
}
