//! Attention as one op: logits, softmax over the keys, and sums of values, which nobody else reads, become `ops::attention`, where the
//! target says so. In: a graph. Out: the same function, in which no tensor has a number of every two pixels.
use super::simplify::needed;
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::attention::Attention;
use crate::ops::attention_logits::AttentionLogits;
use crate::ops::channels::Channels;
use crate::ops::mix::Mix;
use crate::ops::softmax::Softmax;
use crate::target::Target;
use std::borrow::Cow;

/// The graph with every attention in one op for which that is the target's way; itself, if it has none.
pub(super) fn attention<'a>(graph: &'a Graph, target: &Target) -> Result<Cow<'a, Graph>> {
    let mut readers = vec![0; graph.nodes.len()];
    let ends = graph.outputs.iter().map(|(_, id)| id);
    graph.nodes.iter().flat_map(|node| &node.inputs).chain(ends).for_each(|id| readers[id.0] += 1);
    let wanted = |(op, inputs): &(Attention, [NodeId; 3])| {
        let [q, k, v] = inputs.map(|id| graph.shape(id));
        target.fuses_attention(k.pixels(), q.c.max(v.c) / op.heads)
    };
    let found: Vec<_> = graph.nodes.iter().map(|node| joined(graph, node, &readers).filter(wanted)).collect();
    if found.iter().all(Option::is_none) {
        return Ok(Cow::Borrowed(graph));
    }
    let mut out = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (node, found) in graph.nodes.iter().zip(found) {
        renamed.push(match found {
            None => {
                let inputs = node.inputs.iter().map(|id| renamed[id.0]).collect();
                out.nodes.push(Node { inputs, ..node.clone() });
                NodeId(out.nodes.len() - 1)
            }
            Some((op, inputs)) => {
                // Heads have whole blocks there.
                let own = op.channels(node.shape.c / op.heads);
                let made = out.push(node.name.clone(), op, &inputs.map(|id| renamed[id.0]))?;
                match own.len() == out.shape(made).c {
                    true => made,
                    false => {
                        let taken = Channels::gather(own.into_iter().map(|c| (0, c)).collect());
                        out.push(format!("{}.heads", node.name), taken, &[made])?
                    }
                }
            }
        });
    }
    out.inputs.iter_mut().chain(&mut out.outputs).for_each(|(_, id)| *id = renamed[id.0]);
    Ok(Cow::Owned(needed(&out)))
}

/// The op of a sum of values that is the last part of an attention, and its queries, keys and values.
fn joined(graph: &Graph, node: &Node, readers: &[usize]) -> Option<(Attention, [NodeId; 3])> {
    let &Mix { heads, by_row: false } = node.op.downcast()? else { return None };
    let &[weights, v] = &node.inputs[..] else { return None };
    let only = |id: NodeId| Some(&graph.nodes[id.0]).filter(|_| readers[id.0] == 1);
    let softmax = only(weights)?;
    let logits = only(*softmax.inputs.first()?)?;
    let &Softmax { heads: of_softmax, scale: 1.0 } = softmax.op.downcast()? else { return None };
    let &AttentionLogits { heads: of_logits, scale } = logits.op.downcast()?;
    let &[q, k] = &logits.inputs[..] else { return None };
    // The reverse sweep makes what keys and values get as one tensor.
    let [keys, values] = [k, v].map(|id| graph.shape(id)).map(|s| (s.h, s.w));
    ([of_softmax, of_logits] == [heads; 2] && keys == values).then_some((Attention { heads, scale }, [q, k, v]))
}
