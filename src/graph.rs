//! The network as an SSA graph: append-only, shapes checked as nodes are pushed, no GPU in it.
//! A family in `model/` builds it, the twin interprets it, the planner turns it into a program.
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::ops::input::Input;
use crate::ops::weight_format::{Rounding, WeightFormat};
use crate::rows::Rows;
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

/// A network: nodes, each of which reads some before it, and which of them are its inputs and outputs, by name.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// In order of evaluation.
    pub nodes: Vec<Node>,
    /// Names and nodes of what the network is given (`ops::input`).
    pub inputs: Vec<(String, NodeId)>,
    /// Names and nodes of what it makes. Others may read them too.
    pub outputs: Vec<(String, NodeId)>,
    /// Functions of the label and of fixed contexts that ops read.
    pub rows: Rows,
    /// The number that the network is told at timestep k; none: k itself.
    pub labels: Option<Vec<f64>>,
    /// How the device holds its weights.
    pub held: WeightFormat,
    /// True if its convolutions are to be computed as they are written, to the last digit that f32 gives, and not by a faster
    /// scheme that rounds more.
    pub direct: bool,
}

impl Graph {
    /// A graph of one input, `x`, and no output yet.
    pub fn new(x: Shape) -> Self {
        let mut graph = Self::default();
        graph.add_input("x".into(), x);
        graph
    }

    fn add_input(&mut self, name: String, shape: Shape) -> NodeId {
        let (op, id) = (Arc::new(Input { port: self.inputs.len() }), NodeId(self.nodes.len()));
        self.nodes.push(Node { name: name.clone(), op, inputs: vec![], shape });
        self.inputs.push((name, id));
        id
    }

    /// One more input. Names are distinct, and shapes are not empty.
    pub fn push_input(&mut self, name: impl Into<String>, shape: Shape) -> Result<NodeId> {
        let name = free(name.into(), "input", &self.inputs)?;
        if shape.is_empty() {
            return Err(Error::invalid(format!("input '{name}'"), format!("is empty: {shape}")));
        }
        Ok(self.add_input(name, shape))
    }

    /// The input of that name.
    pub fn input(&self, name: &str) -> Result<NodeId> {
        let found = self.inputs.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
        found.ok_or_else(|| {
            Error::invalid(format!("input '{name}'"), format!("is none of the network's: {}", names(&self.inputs)))
        })
    }

    /// From now on what this node makes is an output. Names are distinct.
    pub fn output(&mut self, name: impl Into<String>, node: NodeId) -> Result<()> {
        let name = free(name.into(), "output", &self.outputs)?;
        self.outputs.push((name, node));
        Ok(())
    }

    /// The input and the output of a network that has one of each; others are an error.
    pub fn ends(&self) -> Result<[NodeId; 2]> {
        match (&self.inputs[..], &self.outputs[..]) {
            (&[(_, input)], &[(_, output)]) => Ok([input, output]),
            (inputs, outputs) => {
                let message = format!(
                    "has the inputs {} and the outputs {}, expected one of each",
                    names(inputs),
                    names(outputs)
                );
                Err(Error::invalid("network", message))
            }
        }
    }

    /// Shapes of the input and of the output of a network that has one of each.
    pub fn end_shapes(&self) -> Result<[Shape; 2]> {
        Ok(self.ends()?.map(|id| self.shape(id)))
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

    /// Puts a node behind another one, from now on read in its place by all others, and shown in its place as an output; an
    /// input stays one. It must not change the shape.
    pub fn push_behind(&mut self, node: NodeId, name: impl Into<String>, op: impl Op + 'static) -> Result<()> {
        let (name, shape, own) = (name.into(), self.shape(node), NodeId(node.0 + 1));
        let found = op.shape(&[shape]).map_err(|e| Error::invalid(format!("{name} ({})", op.name()), e))?;
        if found != shape {
            return Err(Error::invalid(format!("{name} ({})", op.name()), format!("makes {found} of {shape}")));
        }
        let moved = |id: &mut NodeId| id.0 += usize::from(*id >= node);
        self.nodes.iter_mut().flat_map(|n| &mut n.inputs).for_each(moved);
        self.outputs.iter_mut().for_each(|(_, id)| moved(id));
        self.inputs.iter_mut().for_each(|(_, id)| id.0 += usize::from(*id > node));
        self.nodes.insert(own.0, Node { name, op: Arc::new(op), inputs: vec![node], shape });
        Ok(())
    }

    /// What the network is told at timestep `k`.
    pub fn label(&self, k: usize) -> Result<f64> {
        let Some(labels) = &self.labels else { return Ok(k as f64) };
        let last = labels.len().saturating_sub(1);
        let missing = || Error::invalid("timestep", format!("{k} is outside the process's 0..={last}"));
        labels.get(k).copied().ok_or_else(missing)
    }

    /// Every row that ops read at timestep `k` and under a condition, in the order of `rows`.
    pub fn rows_at(&self, k: usize, condition: usize) -> Result<Vec<Vec<f64>>> {
        self.rows.at(self.label(k)?, condition)
    }

    /// From now on the device holds the weights as f16; what that does to them. The twin keeps them as they are. A weight
    /// beyond 65504 is an error that names its node, and changes nothing.
    pub fn hold_f16(&mut self) -> Result<Rounding> {
        let mut rounding = Rounding::default();
        for node in &self.nodes {
            let added = node.op.weights().map_or(Ok(()), |weights| rounding.add(weights));
            added.map_err(|e| Error::invalid(format!("weights of '{}'", node.name), e))?;
        }
        self.held = WeightFormat::F16;
        Ok(rounding)
    }

    /// Floating-point operations of one evaluation (2 per multiply-add), time rows not counted.
    pub fn flops(&self) -> u64 {
        let node = |n: &Node| n.op.flops(&n.inputs.iter().map(|&i| self.shape(i)).collect::<Vec<_>>(), n.shape);
        self.nodes.iter().map(node).sum()
    }
}

/// A name that none of the others has.
fn free(name: String, what: &str, others: &[(String, NodeId)]) -> Result<String> {
    match others.iter().any(|(other, _)| *other == name) {
        true => Err(Error::invalid(format!("{what} '{name}'"), "comes twice, expected distinct names")),
        false => Ok(name),
    }
}

/// In a message.
fn names(ends: &[(String, NodeId)]) -> String {
    if ends.is_empty() {
        return "none".into();
    }
    ends.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}
