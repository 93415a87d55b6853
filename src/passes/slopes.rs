//! Slopes of SiLU behind group norms, found again where a cotangent meets them. In: an adjoint graph, whose memory is short. Out: the same
//! function, in which norm, slope and product before a `Project` are one op with it, so that of the norm its input alone is read.
use super::fused::FusedProject;
use super::simplify::needed;
use crate::graph::{Graph, Node};
use crate::ops::combine::Combine;
use crate::ops::curve::Curve;
use crate::ops::group_norm::GroupNorm;
use crate::ops::project::Project;
use crate::ops::slope::Slope;
use std::sync::Arc;

/// The graph with every `Project` of a product with such slopes as one op, and without what nobody reads any more.
pub(super) fn found_again(graph: &Graph) -> Graph {
    let mut readers = vec![0; graph.nodes.len()];
    let ends = graph.outputs.iter().map(|(_, id)| id);
    graph.nodes.iter().flat_map(|node| &node.inputs).chain(ends).for_each(|id| readers[id.0] += 1);
    let own = |node: &Node| {
        let project = node.op.downcast::<Project>()?;
        let &[p, x] = &node.inputs[..] else { return None };
        let product = Some(&graph.nodes[p.0]).filter(|p| p.op.downcast() == Some(&Combine::Product))?;
        let &[u, s] = &product.inputs[..] else { return None };
        let slope = Some(&graph.nodes[s.0]).filter(|s| s.op.downcast() == Some(&Slope { of: Curve::Silu }))?;
        let norm = &graph.nodes[slope.inputs.first()?.0];
        let same = norm.op.downcast::<GroupNorm>() == Some(&project.norm) && norm.inputs == [x];
        let alone = readers[p.0] == 1 && product.shape == slope.shape;
        let op = Arc::new(FusedProject { project: project.clone() });
        (same && alone).then(|| Node { op, inputs: vec![u, x], ..node.clone() })
    };
    let nodes = graph.nodes.iter().map(|node| own(node).unwrap_or_else(|| node.clone())).collect();
    needed(&Graph { nodes, ..graph.clone() })
}
