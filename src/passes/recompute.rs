//! What the reverse sweep reads of the forward sweep is kept, or made a second time just before it is read. In: the draft of an adjoint
//! graph, and into how many segments its forward sweep is cut. Out: the same function, in which the nodes of every segment but the
//! last are made again, from what earlier segments left, for whoever reads them in the reverse sweep. A node made again is
//! the same op on the same inputs, so bits are the same; each is made at most twice, and what is not read twice is not.
use super::Draft;
use super::spaces::reverse_begins;
use crate::graph::{Graph, NodeId};
use crate::shape::Shape;

/// Into how many segments a forward sweep is cut, in turn, until the plan fits.
pub(super) const SEGMENTS: [usize; 8] = [2, 3, 4, 6, 8, 12, 16, 24];

/// The draft with the nodes of all segments but the last made again.
pub(super) fn recompute(Draft { graph, whole, spaces }: &Draft, segments: usize) -> Draft {
    let begin = reverse_begins(graph);
    let segment = segments_of(graph, begin, segments);
    let ends = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let out = Draft { graph: ends, whole: vec![], spaces: vec![] };
    let mut again = Again { graph, whole, segment, last: segments - 1, out, made: vec![None; begin], first: vec![] };
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

/// The segment of each node of the forward sweep, about as many numbers in each. A rearrangement is wherever it is read.
fn segments_of(graph: &Graph, begin: usize, segments: usize) -> Vec<usize> {
    let size = |i: usize| if graph.nodes[i].op.rearranges().is_some() { 0 } else { graph.nodes[i].shape.len() };
    let all: usize = (0..begin).map(size).sum();
    let mut before = 0;
    let of = |i| {
        let own = before * segments / all.max(1);
        before += size(i);
        own.min(segments - 1)
    };
    (0..begin).map(of).collect()
}

/// The draft as it grows.
struct Again<'a> {
    graph: &'a Graph,
    whole: &'a [Shape],
    segment: Vec<usize>,
    last: usize,
    out: Draft,
    /// What each node of the forward sweep is the second time.
    made: Vec<Option<NodeId>>,
    /// What each node is the first time.
    first: Vec<NodeId>,
}

impl Again<'_> {
    /// What a node of the reverse sweep reads of node i.
    fn read(&mut self, i: usize) -> NodeId {
        match self.segment.get(i) {
            Some(&own) if own < self.last => self.second(i, own),
            _ => self.first[i],
        }
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
        for j in (0..=i).filter(|j| needed[*j]) {
            let node = &self.graph.nodes[j];
            if self.segment[j] != segment || self.made[j].is_some() || node.inputs.is_empty() {
                continue;
            }
            let mut own = node.clone();
            for input in &mut own.inputs {
                *input = match self.made[input.0] {
                    Some(made) if self.segment[input.0] == segment => made,
                    _ => self.first[input.0],
                };
            }
            let space = self.out.spaces[self.first[j].0];
            self.made[j] = Some(self.out.push(own, self.whole[j], space));
        }
        self.made[i].unwrap_or(self.first[i])
    }
}
