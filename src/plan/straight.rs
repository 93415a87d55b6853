//! Sums of tensors whose channels lie in different orders. A sum reads both at the same places; what was put together of several
//! tensors, or taken out of one, lies as they do, and is copied into order first, by a convolution that changes nothing. In: a
//! graph. Out: the same function, of which every sum reads tensors that lie in order.
use super::layout::sources_of;
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::conv::{After, Conv, Padding};

/// The graph with such copies.
pub(super) fn straighten(graph: &Graph) -> Result<Graph> {
    let mut out = Graph { nodes: vec![], ..graph.clone() };
    let (mut sources, mut straight): (Vec<Vec<(usize, usize)>>, Vec<bool>) = (vec![], vec![]);
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        if node.op.lines_up() {
            for id in &mut inputs {
                if straight[id.0] {
                    continue;
                }
                let (name, channels) = (format!("{}.ordered", out.nodes[id.0].name), out.shape(*id).c);
                *id = out.push(name, copy(channels), &[*id])?;
                sources.push((0..channels).map(|c| (id.0, c)).collect());
                straight.push(true);
            }
        }
        let (node, at) = (Node { inputs, ..node.clone() }, out.nodes.len());
        let of = sources_of(&node, at, &sources);
        straight.push(match node.inputs.first() {
            Some(first) if node.op.keeps_layout() => straight[first.0],
            _ if node.op.rearranges().is_none() => true,
            // All of one tensor, in order, and that in order itself.
            _ => whole(&of, &out).is_some_and(|leaf| straight[leaf]),
        });
        sources.push(of);
        out.nodes.push(node);
        renamed.push(NodeId(at));
    }
    Ok(out)
}

/// The tensor that these channels are, if they are all of it in its order.
fn whole(channels: &[(usize, usize)], graph: &Graph) -> Option<usize> {
    let leaf = channels.first()?.0;
    let all = channels.len() == graph.shape(NodeId(leaf)).c;
    (all && channels.iter().enumerate().all(|(c, source)| *source == (leaf, c))).then_some(leaf)
}

/// y = x.
fn copy(channels: usize) -> Conv {
    let one = |i: usize| f32::from(u8::from(i / channels == i % channels));
    Conv {
        in_channels: channels,
        out_channels: channels,
        kernel: 1,
        stride: 1,
        padding: Padding::all(0),
        load: None,
        weight: (0..channels * channels).map(one).collect(),
        bias: vec![0.0; channels].into(),
        silu: false,
        after: After::default(),
    }
}
