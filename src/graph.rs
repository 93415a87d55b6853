//! The network as an SSA graph: append-only, shapes checked as nodes are pushed, no GPU in it.
//! A family in `model/` builds it, the twin interprets it, the planner turns it into a program.
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::ops::input::Input;
use crate::ops::weight_format::{Rounding, WeightFormat};
use crate::shape::Shape;
use std::f64::consts::TAU;
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

/// One layer of the small network that turns a label (`Graph::label`: the timestep, or sigma) into a row of numbers.
/// The first layer gets the label alone.
#[derive(Clone, Debug)]
pub enum RowLayer {
    /// Row `label` of a `[rows, width]` table: a learned time embedding. Labels are whole numbers.
    Lookup {
        /// `[rows, width]`
        table: Arc<[f32]>,
        /// Timesteps that it knows.
        rows: usize,
        /// Numbers in a row.
        width: usize,
    },
    /// sin and cos of label exp(-ln(10000) i / divisor), i = 0..width/2 (arXiv 1706.03762): first all of one, then all
    /// of the other. An odd width ends with a zero.
    Sinusoid {
        /// Numbers in the row.
        width: usize,
        /// Half the width, or one less: authors differ.
        divisor: f64,
        /// cos before sin.
        cos_first: bool,
    },
    /// [sin p, cos p], p = 2 pi W label, or 2 pi W ln label: Gaussian Fourier features (arXiv 2006.10739).
    Fourier {
        /// W
        weights: Arc<[f32]>,
        /// Of the label's logarithm.
        log: bool,
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
    /// y = x (1 + erf(x / sqrt 2)) / 2, the exact GELU.
    Gelu,
    /// y = x tanh(ln(1 + e^x)) (arXiv 1908.08681).
    Mish,
    /// y = max(x, 0).
    Relu,
    /// y = x, or e^x - 1 below 0 (arXiv 1511.07289).
    Elu,
    /// y = x, or x / 5 below 0.
    LeakyRelu,
    /// y_c = w_c (1 + x_c), of twice as many numbers as there are weights: the gain of a norm that the label scales.
    Scaled {
        /// w
        weights: Arc<[f32]>,
    },
    /// y_c = w_c (1 + x_c) + x_{C + c}, C weights: the shift of such a norm, which the label scales and shifts.
    Shifted {
        /// w
        weights: Arc<[f32]>,
    },
    /// y = 1 / x: of the label alone, what an output is scaled by.
    Reciprocal,
}

impl RowLayer {
    /// Whether both are the same function by the same memory.
    fn is(&self, other: &Self) -> bool {
        use RowLayer::*;
        match (self, other) {
            (Lookup { table: a, .. }, Lookup { table: b, .. }) => Arc::ptr_eq(a, b),
            (Sinusoid { width: a, divisor: p, cos_first: s }, Sinusoid { width: b, divisor: q, cos_first: t }) => {
                (a, p, s) == (b, q, t)
            }
            (Fourier { weights: a, log: p }, Fourier { weights: b, log: q }) => Arc::ptr_eq(a, b) && p == q,
            (Linear { weight: a, bias: p, .. }, Linear { weight: b, bias: q, .. }) => {
                Arc::ptr_eq(a, b) && Arc::ptr_eq(p, q)
            }
            (Scaled { weights: a }, Scaled { weights: b }) | (Shifted { weights: a }, Shifted { weights: b }) => {
                Arc::ptr_eq(a, b)
            }
            (Silu, Silu)
            | (Gelu, Gelu)
            | (Mish, Mish)
            | (Relu, Relu)
            | (Elu, Elu)
            | (LeakyRelu, LeakyRelu)
            | (Reciprocal, Reciprocal) => true,
            _ => false,
        }
    }

    /// The layer's output in f64.
    fn apply(&self, x: &[f64]) -> Result<Vec<f64>> {
        let label = x.first().copied().unwrap_or(f64::NAN);
        let each = |f: fn(Dual) -> Dual| x.iter().map(|&v| f(Dual::constant(v)).v).collect();
        let waves = |phases: &[f64], [first, second]: [fn(f64) -> f64; 2]| -> Vec<f64> {
            phases.iter().map(|&p| first(p)).chain(phases.iter().map(|&p| second(p))).collect()
        };
        Ok(match self {
            RowLayer::Lookup { table, rows, width } => {
                let last = rows.saturating_sub(1);
                if !(0.0..*rows as f64).contains(&label) {
                    let message = format!("{label} is outside the network's 0..={last}");
                    return Err(Error::invalid("timestep", message));
                }
                if label.fract() != 0.0 {
                    let message = format!("{label} is no row of the network's time table, expected one of 0..={last}");
                    return Err(Error::invalid("timestep", message));
                }
                let k = label as usize;
                table[k * width..(k + 1) * width].iter().map(|&v| v as f64).collect()
            }
            RowLayer::Sinusoid { width, divisor, cos_first } => {
                let phase = |i: usize| label * (-10_000f64.ln() * i as f64 / divisor).exp();
                let phases: Vec<f64> = (0..width / 2).map(phase).collect();
                let mut row = waves(&phases, if *cos_first { [f64::cos, f64::sin] } else { [f64::sin, f64::cos] });
                row.resize(*width, 0.0);
                row
            }
            RowLayer::Fourier { weights, log } => {
                let label = if *log { label.ln() } else { label };
                let phases: Vec<f64> = weights.iter().map(|&w| label * w as f64 * TAU).collect();
                waves(&phases, [f64::sin, f64::cos])
            }
            RowLayer::Linear { weight, bias, input } => weight
                .chunks_exact(*input)
                .zip(bias.iter())
                .map(|(w, &b)| b as f64 + w.iter().zip(x).map(|(&w, x)| w as f64 * x).sum::<f64>())
                .collect(),
            RowLayer::Silu => each(Dual::silu),
            RowLayer::Gelu => each(Dual::gelu),
            RowLayer::Mish => each(Dual::mish),
            RowLayer::Relu => each(Dual::relu),
            RowLayer::Elu => each(Dual::elu),
            RowLayer::LeakyRelu => each(Dual::leaky_relu),
            RowLayer::Scaled { weights } => weights.iter().zip(x).map(|(&w, x)| f64::from(w) * (1.0 + x)).collect(),
            RowLayer::Shifted { weights } => {
                let shifts = x.iter().skip(weights.len());
                weights.iter().zip(x).zip(shifts).map(|((&w, x), shift)| f64::from(w) * (1.0 + x) + shift).collect()
            }
            RowLayer::Reciprocal => x.iter().map(|v| 1.0 / v).collect(),
        })
    }
}

/// A function of the label alone, evaluated on the host in f64 once per distinct timestep.
#[derive(Clone, Debug)]
pub struct RowTable {
    /// As in the third-party source, for messages.
    pub name: String,
    /// Numbers in a row.
    pub width: usize,
    /// Applied in order, from the label to the row.
    pub layers: Vec<RowLayer>,
}

impl RowTable {
    /// The row for a label, f64; finite.
    pub fn evaluate(&self, label: f64) -> Result<Vec<f64>> {
        self.finite(label, self.layers.iter().try_fold(vec![label], |x, layer| layer.apply(&x))?)
    }

    fn finite(&self, label: f64, row: Vec<f64>) -> Result<Vec<f64>> {
        if let Some(i) = row.iter().position(|v| !v.is_finite()) {
            let place = format!("time row '{}' at {label}", self.name);
            return Err(Error::invalid(place, format!("element {i} is {}, expected a finite number", row[i])));
        }
        Ok(row)
    }
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
    /// Functions of the label that nodes add.
    pub rows: Vec<RowTable>,
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

    /// Adds a function of the label; ops refer to it by the index returned.
    pub fn push_row(&mut self, row: RowTable) -> usize {
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// What the network is told at timestep `k`.
    pub fn label(&self, k: usize) -> Result<f64> {
        let Some(labels) = &self.labels else { return Ok(k as f64) };
        let last = labels.len().saturating_sub(1);
        let missing = || Error::invalid("timestep", format!("{k} is outside the process's 0..={last}"));
        labels.get(k).copied().ok_or_else(missing)
    }

    /// Every time row at timestep `k`, in the order of `rows`. Layers that a table begins with like the one before it are
    /// not evaluated again: as a rule one embedding serves all.
    pub fn rows_at(&self, k: usize) -> Result<Vec<Vec<f64>>> {
        let label = [self.label(k)?];
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut done: Vec<(&RowLayer, Vec<f64>)> = vec![];
        for table in &self.rows {
            let shared = done.iter().zip(&table.layers).take_while(|((before, _), layer)| before.is(layer)).count();
            done.truncate(shared);
            for layer in &table.layers[shared..] {
                let y = layer.apply(done.last().map_or(&label[..], |(_, x)| x))?;
                done.push((layer, y));
            }
            rows.push(table.finite(label[0], done.last().map_or(label.to_vec(), |(_, x)| x.clone()))?);
        }
        Ok(rows)
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
