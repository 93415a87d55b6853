//! Reverse mode as a graph: f: x -> y becomes (x, u) -> (y, J'u), of ordinary nodes, by the rule that each op has in its file
//! (`Op::adjoint`). In: a graph, one of its outputs, some of its inputs. Out: the same graph with an input more, the cotangent u of
//! that output, and an output more for each of those inputs. What it makes is a graph like others: it has tangents, and an adjoint.
use super::parts::{append, parts};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::add::Add;
use crate::ops::channels::Channels;
use crate::ops::gather::{Gather, NOWHERE, Taken};
use crate::ops::reverse::{Reverse, Share, Value};
use crate::shape::Shape;
use std::collections::BTreeMap;

/// Name of the input that holds the cotangent of an output, or of the output that holds what an input gets of it.
pub fn cotangent_of(name: &str) -> String {
    format!("cotangent of {name}")
}

/// The graph of a network with one input and one output, and its cotangents: `x`, u -> `y`, J'u.
///
/// # Errors
/// Other ends; an op that has no adjoint.
pub fn adjoint(graph: &Graph) -> Result<Graph> {
    graph.ends()?;
    adjoint_of(graph, &graph.outputs[0].0, &[&graph.inputs[0].0])
}

/// The graph and the cotangents of these inputs from one of this output (`cotangent_of` names them).
///
/// # Errors
/// A name that is none of the graph's ends; an op that has no adjoint.
pub fn adjoint_of(graph: &Graph, output: &str, inputs: &[&str]) -> Result<Graph> {
    let graph = &*parts(graph)?;
    let unknown = || Error::invalid(format!("output '{output}'"), "is none of the network's");
    let from = graph.outputs.iter().find(|(name, _)| name == output).map(|(_, id)| *id).ok_or_else(unknown)?;
    let to = inputs.iter().map(|name| graph.input(name)).collect::<Result<Vec<_>>>()?;
    let mut out = graph.clone();
    let u = out.push_input(cotangent_of(output), graph.shape(from))?;
    let needed = dependent(graph, &to);
    let mut shares: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
    shares.entry(from.0).or_default().push(Part { node: u, channels: None });
    for i in (0..graph.nodes.len()).rev().filter(|i| needed[*i] && !to.contains(&NodeId(*i))) {
        let Some(parts) = shares.remove(&i) else { continue };
        let node = &graph.nodes[i];
        let name = format!("{}'", node.name);
        let cotangent = sum(&mut out, &name, node.shape, &parts)?;
        let read: Vec<Shape> = node.inputs.iter().map(|&id| graph.shape(id)).collect();
        let mut reverse = Reverse::new(&read, node.shape);
        let fail = |e: Error| Error::invalid(format!("adjoint of {} ({})", node.name, node.op.name()), e);
        let gets = node.op.adjoint(&mut reverse).map_err(fail)?;
        let read = node.inputs.iter().copied().chain([NodeId(i), cotangent]);
        let mut values: Vec<Option<NodeId>> = read.map(Some).collect();
        append(&mut out, &name, reverse.finish(), &mut values)?;
        let made = |value: Value| values[value.number()].ok_or_else(|| fail(Error::invalid("share", "was not made")));
        for (&NodeId(input), share) in node.inputs.iter().zip(gets).filter(|(id, _)| needed[id.0]) {
            let part = match share {
                Share::Nothing => continue,
                Share::Whole(value) => Part { node: made(value)?, channels: None },
                Share::Channels(value, channels) => Part { node: made(value)?, channels: Some(channels) },
            };
            shares.entry(input).or_default().push(part);
        }
    }
    for (id, name) in to.iter().zip(inputs) {
        let parts = shares.remove(&id.0).unwrap_or_default();
        let name = cotangent_of(name);
        let node = match parts.is_empty() {
            true => zeros(&mut out, &name, u, graph.shape(*id))?,
            false => sum(&mut out, &name, graph.shape(*id), &parts)?,
        };
        out.output(name, node)?;
    }
    Ok(out)
}

/// Nodes that depend on one of these.
fn dependent(graph: &Graph, on: &[NodeId]) -> Vec<bool> {
    let mut depends = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        depends[i] = on.contains(&NodeId(i)) || node.inputs.iter().any(|id| depends[id.0]);
    }
    depends
}

/// A part of a cotangent: of all channels, or channel i of the one of that number.
struct Part {
    node: NodeId,
    channels: Option<Vec<usize>>,
}

impl Part {
    /// Its channel that is for channel c.
    fn place(&self, c: usize) -> Option<usize> {
        match &self.channels {
            None => Some(c),
            Some(channels) => channels.iter().position(|own| *own == c),
        }
    }
}

/// The sum of the parts, of at least one. Channels that the same parts have are summed together, and nothing else is touched.
fn sum(graph: &mut Graph, name: &str, shape: Shape, parts: &[Part]) -> Result<NodeId> {
    if let [Part { node, channels: None }] = parts {
        return Ok(*node);
    }
    let places: Vec<Vec<Option<usize>>> =
        parts.iter().map(|part| (0..shape.c).map(|c| part.place(c)).collect()).collect();
    // Channels by the parts that have them.
    let mut classes: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for c in 0..shape.c {
        let who = places.iter().enumerate().filter(|(_, own)| own[c].is_some()).map(|(p, _)| p).collect();
        classes.entry(who).or_default().push(c);
    }
    let (mut from, mut map) = (vec![], vec![(0, 0); shape.c]);
    for (who, channels) in &classes {
        let view = |graph: &mut Graph, p: usize| -> Result<NodeId> {
            let own: Vec<(usize, usize)> = channels.iter().filter_map(|&c| Some((0, places[p][c]?))).collect();
            let all = own.len() == graph.shape(parts[p].node).c && own.iter().enumerate().all(|(i, o)| i == o.1);
            match all {
                true => Ok(parts[p].node),
                false => graph.push(format!("{name}.part"), Channels::gather(own), &[parts[p].node]),
            }
        };
        let Some((&first, others)) = who.split_first() else {
            let blank = Shape { c: channels.len(), ..shape };
            let node = zeros(graph, &format!("{name}.nothing"), parts[0].node, blank)?;
            channels.iter().enumerate().for_each(|(i, &c)| map[c] = (from.len(), i));
            from.push(node);
            continue;
        };
        let mut total = view(graph, first)?;
        for &p in others {
            let next = view(graph, p)?;
            total = graph.push(format!("{name}.sum"), Add { scales: [1.0, 1.0] }, &[total, next])?;
        }
        channels.iter().enumerate().for_each(|(i, &c)| map[c] = (from.len(), i));
        from.push(total);
    }
    match &from[..] {
        [only] if map.iter().enumerate().all(|(c, at)| *at == (0, c)) => Ok(*only),
        _ => graph.push(format!("{name}.joined"), Channels::gather(map), &from),
    }
}

/// Zeros that are as linear in the cotangent as everything else: `like` is anything that depends on it.
fn zeros(graph: &mut Graph, name: &str, like: NodeId, shape: Shape) -> Result<NodeId> {
    let taken = Taken { pixels: vec![NOWHERE; shape.pixels()].into(), channels: vec![NOWHERE; shape.c].into() };
    graph.push(name, Gather { shape, taken: vec![taken], fill: 0.0 }, &[like])
}
