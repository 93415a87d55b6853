//! Layers over the pixels of an image (the tokens of an MLP mixer): a 1x1 convolution of an image turned round, with pixels for channels,
//! becomes one op that reads the image as it lies, and the copies in front of it and behind it go. In: a graph. Out: the same function.
use super::fused::Across;
use super::simplify::needed;
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::conv::{Conv, Padding};
use crate::ops::gather::Gather;
use crate::ops::pointwise::Pointwise;
use crate::ops::silu::Silu;
use crate::shape::Shape;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The graph with its layers over pixels in place, if it then has fewer copies.
pub(super) fn across(graph: &Graph) -> Result<Cow<'_, Graph>> {
    let copies = |graph: &Graph| graph.nodes.iter().filter(|node| node.op.downcast::<Gather>().is_some()).count();
    if copies(graph) == 0 {
        return Ok(Cow::Borrowed(graph));
    }
    let out = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let mut turning = Turning { out, of: BTreeMap::new() };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        renamed.push(turning.add(node, inputs)?);
    }
    let mut out = turning.out;
    out.inputs.iter_mut().chain(&mut out.outputs).for_each(|(_, id)| *id = renamed[id.0]);
    let out = needed(&out);
    Ok(if copies(&out) < copies(graph) { Cow::Owned(out) } else { Cow::Borrowed(graph) })
}

/// The new graph as it grows.
struct Turning {
    out: Graph,
    /// Nodes that are another one turned round, and which.
    of: BTreeMap<NodeId, NodeId>,
}

impl Turning {
    /// The node that has the value of `node`, whose inputs are these now.
    fn add(&mut self, node: &Node, inputs: Vec<NodeId>) -> Result<NodeId> {
        if let [x] = inputs[..] {
            let under = self.of.get(&x).copied();
            if node.op.downcast::<Gather>().is_some_and(|gather| turns(gather, self.out.shape(x))) {
                return match under.and_then(|under| Some((self.out.nodes[under.0].op.downcast::<Across>()?, under))) {
                    Some((layer, under)) => {
                        let (layer, inputs) = (layer.of_shape(node.shape), self.out.nodes[under.0].inputs.clone());
                        self.out.push(node.name.clone(), layer, &inputs)
                    }
                    None => {
                        let turned = self.plain(node, inputs);
                        self.of.insert(turned, x);
                        Ok(turned)
                    }
                };
            }
            if let Some(under) = under {
                let layer = node.op.downcast::<Conv>().filter(|conv| over_channels(conv)).and_then(Across::of);
                let alike = node.op.downcast::<Pointwise>().is_some() || node.op.downcast::<Silu>().is_some();
                if let Some(layer) = layer {
                    let made = self.out.push(node.name.clone(), layer, &[under])?;
                    return self.turned(node, made);
                }
                if alike {
                    let made = self.out.push_arc(node.name.clone(), node.op.clone(), &[under])?;
                    return self.turned(node, made);
                }
            }
        }
        Ok(self.plain(node, inputs))
    }

    /// The value of `node`, which is `made` turned round.
    fn turned(&mut self, node: &Node, made: NodeId) -> Result<NodeId> {
        let from = self.out.shape(made);
        let channels = (0..from.pixels()).map(|p| (p * from.c) as u32).collect();
        let gather = Gather::of(node.shape, (0..from.c as u32).collect(), channels);
        let turned = self.out.push(format!("{}.turned", node.name), gather, &[made])?;
        self.of.insert(turned, made);
        Ok(turned)
    }

    fn plain(&mut self, node: &Node, inputs: Vec<NodeId>) -> NodeId {
        self.out.nodes.push(Node { inputs, ..node.clone() });
        NodeId(self.out.nodes.len() - 1)
    }
}

/// Whether a copy makes channels of the pixels of an image of that shape, in order, and pixels of its channels.
fn turns(gather: &Gather, from: Shape) -> bool {
    let [taken] = &gather.taken[..] else { return false };
    let in_order = |table: &[u32], step: usize| table.iter().enumerate().all(|(i, &at)| at as usize == i * step);
    taken.pixels.len() == from.c && in_order(&taken.pixels, 1) && in_order(&taken.channels, from.c)
}

/// Whether a convolution does nothing but mix the channels of each pixel.
fn over_channels(conv: &Conv) -> bool {
    conv.kernel == 1 && conv.stride == 1 && conv.padding == Padding::all(0)
}
