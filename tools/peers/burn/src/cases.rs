//! The convolutions of a network, each distinct shape once with how often it comes.
//! In: a model directory, whose graph says what there is. Out: cases with weights that look random.
use crate::Result;
use std::sync::Arc;
use vorticity::graph::{Graph, Node};
use vorticity::model::Model;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::depthwise::Depthwise;
use vorticity::shape::Shape;

/// A convolution with bias, padded by half its kernel on every side.
#[derive(Clone, PartialEq)]
pub struct Case {
    pub input: Shape,
    pub output: Shape,
    /// One filter per channel.
    pub depthwise: bool,
    pub kernel: usize,
    pub stride: usize,
    /// How often the network has it.
    pub count: usize,
}

/// Every convolution of the network, in the order in which they first come.
pub fn of_network(directory: &str) -> Result<Vec<Case>> {
    let graph = Model::open(directory)?.graph;
    let mut cases: Vec<Case> = vec![];
    for node in &graph.nodes {
        let Some(case) = Case::of(&graph, node)? else { continue };
        match cases.iter_mut().find(|c| Case { count: 1, ..(*c).clone() } == case) {
            Some(same) => same.count += 1,
            None => cases.push(case),
        }
    }
    Ok(cases)
}

impl Case {
    /// What a node computes, if it is a convolution.
    fn of(graph: &Graph, node: &Node) -> Result<Option<Self>> {
        let depthwise = match node.op.name() {
            "conv" => false,
            "depthwise" => true,
            _ => return Ok(None),
        };
        let (input, output) = (graph.shape(node.inputs[0]), node.shape);
        let taps = node.op.weights().map_or(9, |w| w.len() / (input.c * output.c));
        let (kernel, stride) = (taps.isqrt(), input.h.div_ceil(output.h));
        let case = Self { input, output, depthwise, kernel, stride, count: 1 };
        let made = case.graph()?;
        if kernel * kernel != taps || made.end_shapes()?[1] != output {
            return Err(format!("'{}' from {input} to {output} is not padded by half its kernel", node.name).into());
        }
        Ok(Some(case))
    }

    pub fn name(&self) -> String {
        let Self { input, output, kernel: k, stride, .. } = self;
        let kind = if self.depthwise { "depthwise " } else { "" };
        let by = if *stride == 1 { String::new() } else { format!(" by {stride}") };
        format!("{kind}{k}x{k} {}->{} at {}x{}{by}", input.c, output.c, input.h, input.w)
    }

    /// Input channels that each filter sees.
    pub fn depth(&self) -> usize {
        if self.depthwise { 1 } else { self.input.c }
    }

    /// `[output, depth, kernel, kernel]`.
    pub fn weight(&self) -> Vec<f32> {
        noise(self.output.c * self.depth() * self.kernel * self.kernel, 1)
    }

    pub fn bias(&self) -> Vec<f32> {
        noise(self.output.c, 2)
    }

    /// The convolution alone, with weights of its own: no kernel's time depends on their values.
    pub fn graph(&self) -> Result<Graph> {
        let (weight, bias): (Arc<[f32]>, Arc<[f32]>) = (self.weight().into(), self.bias().into());
        let (stride, padding) = (self.stride, Padding::all(self.kernel / 2));
        let mut graph = Graph::new(self.input);
        let x = [graph.input("x")?];
        let y = if self.depthwise {
            graph.push("peer", Depthwise { channels: self.input.c, stride, padding, weight, bias }, &x)?
        } else {
            let (in_channels, out_channels, kernel) = (self.input.c, self.output.c, self.kernel);
            let conv = Conv { in_channels, out_channels, kernel, stride, padding, weight, bias };
            graph.push("peer", conv, &x)?
        };
        graph.output("y", y)?;
        Ok(graph)
    }
}

/// Numbers that look random and are the same everywhere, in -1..1.
pub fn noise(n: usize, salt: u64) -> Vec<f32> {
    let mut state = salt;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
