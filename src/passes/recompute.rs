//! What the reverse sweep reads of the forward sweep is kept, or made a second time just before it is read. In: the draft of an adjoint
//! graph, and into how many segments its forward sweep is cut. Out: the same function, in which what is made at little cost (norms,
//! activations) is made again from what it was made of; and in all segments but the last so is everything else, from what
//! earlier segments left. A node made again is the same op on the same inputs, so bits are the same.
use super::Draft;
use super::spaces::reverse_begins;
use crate::graph::{Graph, Node, NodeId};
use crate::shape::Shape;

/// Into how many segments a forward sweep is cut, in turn, until the plan fits.
pub(super) const SEGMENTS: [usize; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16];

/// Operations per number of what costs little: less than reading and writing it.
const LITTLE: u64 = 16;

/// The draft with what costs little, and with all segments but the last, made again.
pub(super) fn recompute(Draft { graph, whole, spaces }: &Draft, segments: usize) -> Draft {
    let begin = reverse_begins(graph);
    let ends = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let out = Draft { graph: ends, whole: vec![], spaces: vec![] };
    let little = |i: usize| {
        let node = &graph.nodes[i];
        let shapes: Vec<Shape> = node.inputs.iter().map(|&id| graph.shape(id)).collect();
        !node.inputs.is_empty() && node.op.flops(&shapes, node.shape) <= LITTLE * node.shape.len() as u64
    };
    let little: Vec<bool> = (0..begin).map(little).collect();
    let segment = segments_of(graph, begin, segments, &little);
    let last = segment.iter().copied().max().unwrap_or(0);
    let mut again = Again {
        graph,
        whole,
        segment,
        last,
        out,
        little,
        fresh: vec![None; begin],
        made: vec![None; begin],
        first: vec![],
    };
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut own = node.clone();
        for input in &mut own.inputs {
            *input = if i < begin { again.first[input.0] } else { again.read(input.0) };
        }
        let id = again.out.push(own, whole[i], spaces[i]);
        again.first.push(id);
    }
    again.out
}

/// The segment of each node of the forward sweep, about as many numbers in each; cut nearby where the fewest numbers are read beyond.
/// A rearrangement is wherever it is read.
fn segments_of(graph: &Graph, begin: usize, segments: usize, little: &[bool]) -> Vec<usize> {
    let size = |i: usize| if graph.nodes[i].op.rearranges().is_some() { 0 } else { graph.nodes[i].shape.len() };
    // How many numbers lie before each node, and are read at or behind it, by themselves or as what costs little to make of them.
    let before: Vec<usize> = (0..=begin)
        .scan(0, |sum, i| Some(std::mem::replace(sum, *sum + if i < begin { size(i) } else { 0 })))
        .collect();
    let mut last: Vec<usize> = (0..begin).collect();
    for i in (0..begin).rev() {
        let own = if little[i] { last[i] } else { i };
        graph.nodes[i].inputs.iter().for_each(|id| last[id.0] = last[id.0].max(own));
    }
    let mut crossing = vec![0; begin + 1];
    for i in (0..begin).filter(|i| !little[*i]) {
        crossing[i + 1..=last[i]].iter_mut().for_each(|sum| *sum += size(i));
    }
    let all = before[begin];
    let cut = |number: usize| {
        let target = number * all / segments;
        let near = |at: &usize| before[*at].abs_diff(target) <= all / segments / NEAR;
        (0..=begin).filter(near).min_by_key(|&at| (crossing[at], before[at].abs_diff(target)))
    };
    let cuts: Vec<usize> = (1..segments).filter_map(cut).collect();
    (0..begin).map(|i| cuts.iter().filter(|cut| **cut <= i).count()).collect()
}

/// How far from equal parts a cut may lie, as a part of a segment.
const NEAR: usize = 2;

/// The draft as it grows.
struct Again<'a> {
    graph: &'a Graph,
    whole: &'a [Shape],
    segment: Vec<usize>,
    last: usize,
    out: Draft,
    /// Which nodes of the forward sweep cost little.
    little: Vec<bool>,
    /// What those are where the reverse sweep reads them.
    fresh: Vec<Option<NodeId>>,
    /// What each node of the forward sweep is the second time.
    made: Vec<Option<NodeId>>,
    /// What each node is the first time.
    first: Vec<NodeId>,
}

impl Again<'_> {
    /// What a node of the reverse sweep reads of node i.
    fn read(&mut self, i: usize) -> NodeId {
        let Some(&own) = self.segment.get(i) else { return self.first[i] };
        if !self.little[i] {
            return self.value(i, own);
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        let found = self.cheap(i, own, &mut fresh);
        self.fresh = fresh;
        found
    }

    /// Node i, which costs more, for a node of segment `reader`: what an earlier segment left is kept for later ones, and no reason
    /// to make that segment again as yet.
    fn value(&mut self, i: usize, reader: usize) -> NodeId {
        let own = self.segment[i];
        if own < reader || own == self.last { self.first[i] } else { self.second(i, own) }
    }

    /// Node i, which costs little, made of others as a node of segment `reader` reads it; `fresh`: what was made so before.
    fn cheap(&mut self, i: usize, reader: usize, fresh: &mut [Option<NodeId>]) -> NodeId {
        let mut needed = vec![false; i + 1];
        needed[i] = true;
        for j in (0..=i).rev().filter(|j| self.little[*j]) {
            if needed[j] && fresh[j].is_none() {
                self.graph.nodes[j].inputs.iter().for_each(|id| needed[id.0] = true);
            }
        }
        for j in (0..=i).filter(|j| needed[*j]) {
            if !self.little[j] || fresh[j].is_some() {
                continue;
            }
            let mut own = self.graph.nodes[j].clone();
            for input in &mut own.inputs {
                *input = match fresh[input.0] {
                    Some(fresh) => fresh,
                    None => self.value(input.0, reader),
                };
            }
            fresh[j] = Some(self.copy(j, own));
        }
        fresh[i].unwrap_or(self.first[i])
    }

    /// Pushes node j once more, with other inputs.
    fn copy(&mut self, j: usize, node: Node) -> NodeId {
        let space = self.out.spaces[self.first[j].0];
        self.out.push(node, self.whole[j], space)
    }

    /// Node i a second time, made of what its own segment makes a second time and of what earlier ones left.
    fn second(&mut self, i: usize, segment: usize) -> NodeId {
        let node = &self.graph.nodes[i];
        // An input lies outside; nobody makes it.
        if self.segment[i] != segment || node.inputs.is_empty() {
            return self.first[i];
        }
        if let Some(made) = self.made[i] {
            return made;
        }
        // In order, so that what was made is in order too, without recursion as deep as the network.
        let mut needed = vec![false; i + 1];
        needed[i] = true;
        for j in (0..=i).rev() {
            if needed[j] && self.segment[j] == segment && self.made[j].is_none() {
                self.graph.nodes[j].inputs.iter().for_each(|id| needed[id.0] = true);
            }
        }
        // What costs little is not kept from earlier segments either.
        let mut fresh = vec![None; i + 1];
        for j in (0..=i).filter(|j| needed[*j]) {
            let node = &self.graph.nodes[j];
            if self.segment[j] != segment || self.made[j].is_some() || node.inputs.is_empty() {
                continue;
            }
            let mut own = node.clone();
            for input in &mut own.inputs {
                *input = match self.made[input.0] {
                    Some(made) if self.segment[input.0] == segment => made,
                    _ if self.little[input.0] => self.cheap(input.0, segment, &mut fresh),
                    _ => self.first[input.0],
                };
            }
            self.made[j] = Some(self.copy(j, own));
        }
        self.made[i].unwrap_or(self.first[i])
    }
}
