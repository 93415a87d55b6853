//! Ops that have kernels and rules for values alone become the ops that they are made of (`Op::parts`), where tangents or adjoints are
//! asked for. In: a graph. Out: the same function of ops that have both.
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::reverse::{Made, Reverse};
use crate::shape::Shape;
use std::borrow::Cow;

/// The graph with every such op in parts; itself, if it has none.
pub(super) fn parts(graph: &Graph) -> Result<Cow<'_, Graph>> {
    let mut out = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let (mut renamed, mut any) = (Vec::with_capacity(graph.nodes.len()), false);
    for node in &graph.nodes {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        let read: Vec<Shape> = node.inputs.iter().map(|&id| graph.shape(id)).collect();
        let mut reverse = Reverse::new(&read, node.shape);
        let fail = |e: Error| Error::invalid(format!("parts of {} ({})", node.name, node.op.name()), e);
        let made = match node.op.parts(&mut reverse).map_err(fail)? {
            None => {
                out.nodes.push(Node { inputs, ..node.clone() });
                NodeId(out.nodes.len() - 1)
            }
            Some(value) => {
                any = true;
                // Neither an output nor a cotangent is there to be read.
                let mut values: Vec<Option<NodeId>> = inputs.into_iter().map(Some).chain([None; 2]).collect();
                append(&mut out, &node.name, reverse.finish(), &mut values)?;
                let lost = || fail(Error::invalid("value", "is none of what was made"));
                values.get(value.number()).copied().flatten().ok_or_else(lost)?
            }
        };
        renamed.push(made);
    }
    let ends = |ends: &mut Vec<(String, NodeId)>| ends.iter_mut().for_each(|(_, id)| *id = renamed[id.0]);
    ends(&mut out.inputs);
    ends(&mut out.outputs);
    Ok(if any { Cow::Owned(out) } else { Cow::Borrowed(graph) })
}

/// Puts the nodes that a rule made into a graph; `values` are what the rule could read, and become what it made too.
pub(super) fn append(graph: &mut Graph, name: &str, made: Vec<Made>, values: &mut Vec<Option<NodeId>>) -> Result<()> {
    for made in made {
        let lost = || Error::invalid(format!("{name}.{}", made.what), "reads what is not there");
        let read = made.inputs.iter().map(|v| values.get(v.number()).copied().flatten().ok_or_else(lost));
        let inputs = read.collect::<Result<Vec<_>>>()?;
        values.push(Some(graph.push_arc(format!("{name}.{}", made.what), made.op.clone(), &inputs)?));
    }
    Ok(())
}
