//! The network as an SSA graph: append-only, shapes checked as nodes are pushed, no GPU in it.
//! A family in `model/` builds it, the twin interprets it, the planner turns it into a program.
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::shape::Shape;
use std::sync::Arc;

/// Index into `Graph::nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// One op of the network.
#[derive(Clone, Debug)]
pub struct Node {
    /// As in the third-party source, for messages.
    pub name: String,
    /// What it computes.
    pub op: Arc<dyn Op>,
    /// Nodes that it reads, all before it.
    pub inputs: Vec<NodeId>,
    /// `[C, H, W]` of its output.
    pub shape: Shape,
}

/// One layer of the small network that turns a timestep into a row of numbers.
#[derive(Clone, Debug)]
pub enum RowLayer {
    /// Row `k` of a `[rows, width]` table: a learned time embedding.
    Lookup {
        /// `[rows, width]`
        table: Arc<[f32]>,
        /// Timesteps that it knows.
        rows: usize,
        /// Numbers in a row.
        width: usize,
    },
    /// y = W x + b, W `[out, in]`.
    Linear {
        /// W
        weight: Arc<[f32]>,
        /// b
        bias: Arc<[f32]>,
        /// Numbers in x.
        input: usize,
    },
    /// y = x / (1 + e^-x).
    Silu,
}

/// A function of the timestep alone, evaluated on the host in f64 once per distinct timestep.
#[derive(Clone, Debug)]
pub struct RowTable {
    /// As in the third-party source, for messages.
    pub name: String,
    /// Numbers in a row.
    pub width: usize,
    /// Applied in order, from the timestep to the row.
    pub layers: Vec<RowLayer>,
}

impl RowTable {
    /// The row for timestep `k`, f64.
    pub fn evaluate(&self, k: usize) -> Result<Vec<f64>> {
        let mut x: Vec<f64> = Vec::new();
        for layer in &self.layers {
            x = match layer {
                RowLayer::Lookup { table, rows, width } => {
                    if k >= *rows {
                        let last = rows.saturating_sub(1);
                        return Err(Error::invalid("timestep", format!("{k} is outside the network's 0..={last}")));
                    }
                    table[k * width..(k + 1) * width].iter().map(|&v| v as f64).collect()
                }
                RowLayer::Linear { weight, bias, input } => weight
                    .chunks_exact(*input)
                    .zip(bias.iter())
                    .map(|(w, &b)| b as f64 + w.iter().zip(&x).map(|(&w, x)| w as f64 * x).sum::<f64>())
                    .collect(),
                RowLayer::Silu => x.iter().map(|&v| v / (1.0 + (-v).exp())).collect(),
            };
        }
        Ok(x)
    }
}

/// Node 0 is the input; the last node pushed is the output.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// In order of evaluation; node 0 is the input.
    pub nodes: Vec<Node>,
    /// Functions of the timestep that nodes add.
    pub rows: Vec<RowTable>,
}

impl Graph {
    /// A graph whose input has the given shape.
    pub fn new(input: Shape) -> Self {
        let op = Arc::new(crate::ops::input::Input);
        Self { nodes: vec![Node { name: "input".into(), op, inputs: vec![], shape: input }], rows: vec![] }
    }

    /// The network's input.
    pub const fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// The last node, the network's output.
    pub fn output(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// Shape of a node's output.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id.0].shape
    }

    /// Appends a node; its op's shape rule is checked here, and the error names the node.
    pub fn push(&mut self, name: impl Into<String>, op: impl Op + 'static, inputs: &[NodeId]) -> Result<NodeId> {
        self.push_arc(name, Arc::new(op), inputs)
    }

    /// `push` of an op that is shared already.
    pub fn push_arc(&mut self, name: impl Into<String>, op: Arc<dyn Op>, inputs: &[NodeId]) -> Result<NodeId> {
        let name = name.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.shape(i)).collect();
        let shape = op.shape(&shapes).map_err(|e| Error::invalid(format!("{name} ({})", op.name()), e))?;
        if shape.is_empty() {
            return Err(Error::invalid(format!("{name} ({})", op.name()), format!("empty output {shape}")));
        }
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Adds a function of the timestep; ops refer to it by the index returned.
    pub fn push_row(&mut self, row: RowTable) -> usize {
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// Floating-point operations of one evaluation (2 per multiply-add), time rows not counted.
    pub fn flops(&self) -> u64 {
        let node = |n: &Node| n.op.flops(&n.inputs.iter().map(|&i| self.shape(i)).collect::<Vec<_>>(), n.shape);
        self.nodes.iter().map(node).sum()
    }
}
