//! What an op says of its own transpose: from a cotangent u of its output, J'u for each of its inputs, as a few nodes of ops that
//! exist. In: the shapes of its inputs and of its output. Out: nodes, plain data, which `passes::adjoint` puts into a graph.
use super::Op;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Something that a rule can read: an input of its op, the op's output, the cotangent, or what the rule made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

/// A node that a rule made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it is, for its name.
    pub what: &'static str,
    /// What it computes.
    pub op: Arc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<Value>,
}

/// What one input of an op gets of a cotangent.
#[derive(Clone, Debug, PartialEq)]
pub enum Share {
    /// Nothing: the output does not depend on it, or only in steps.
    Nothing,
    /// Of the input's shape.
    Whole(Value),
    /// Channel i is for the input's channel of that number; the others get nothing. Each comes once.
    Channels(Value, Vec<usize>),
}

/// The rule of one node, as it grows. Everything made must be linear in the cotangent.
#[derive(Debug)]
pub struct Reverse {
    inputs: usize,
    /// Of the op's inputs, its output, the cotangent, and everything made.
    shapes: Vec<Shape>,
    made: Vec<Made>,
}

impl Reverse {
    /// Of an op with these inputs and this output.
    pub fn new(inputs: &[Shape], output: Shape) -> Self {
        let shapes = inputs.iter().copied().chain([output, output]).collect();
        Self { inputs: inputs.len(), shapes, made: vec![] }
    }

    /// How many inputs the op has.
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Input i of the op.
    pub fn input(&self, i: usize) -> Value {
        assert!(i < self.inputs, "input {i} of {}", self.inputs);
        Value(i)
    }

    /// What the op made of its inputs.
    pub fn output(&self) -> Value {
        Value(self.inputs)
    }

    /// u, of the output's shape.
    pub fn cotangent(&self) -> Value {
        Value(self.inputs + 1)
    }

    /// `[C, H, W]`
    pub fn shape(&self, value: Value) -> Shape {
        self.shapes[value.0]
    }

    /// One more node; the shape rule of its op is checked.
    pub fn push(&mut self, what: &'static str, op: impl Op, inputs: &[Value]) -> Result<Value> {
        let shapes: Vec<Shape> = inputs.iter().map(|v| self.shape(*v)).collect();
        let shape = op.shape(&shapes).map_err(|e| Error::invalid(format!("adjoint's {what} ({})", op.name()), e))?;
        self.made.push(Made { what, op: Arc::new(op), inputs: inputs.to_vec() });
        self.shapes.push(shape);
        Ok(Value(self.shapes.len() - 1))
    }

    /// What was made, in order; its values are numbered behind the cotangent.
    pub(crate) fn finish(self) -> Vec<Made> {
        self.made
    }
}

impl Value {
    /// Its number: inputs of the op, its output, the cotangent, everything made.
    pub(crate) const fn number(self) -> usize {
        self.0
    }
}
