//! What an op says of its own transpose: from a cotangent u of its output, J'u for each of its inputs, as a few nodes of ops that
//! exist. In: the shapes of its inputs and of its output. Out: nodes, plain data, which `passes::adjoint` puts into a graph.
use super::Op;
use super::affine::Affine;
use super::attention_logits::AttentionLogits;
use super::channels::Channels;
use super::combine::Combine;
use super::filter::{Filter, Taps};
use super::gather::Gather;
use super::mix::Mix;
use super::outer::Outer;
use super::resample::Resample;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::ops::Range;
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

    /// A number times a value; the value itself where that is 1.
    pub fn scaled(&mut self, value: Value, factor: f64) -> Result<Value> {
        if factor == 1.0 {
            return Ok(value);
        }
        self.push("scaled", Affine { gain: factor, table: None, shift: 0.0 }, &[value])
    }

    /// Each channel of a value so many times, one after the other.
    pub fn repeated(&mut self, value: Value, times: usize) -> Result<Value> {
        if times == 1 {
            return Ok(value);
        }
        let map = (0..self.shape(value).c * times).map(|c| (0, c / times)).collect();
        self.push("repeated", Channels::gather(map), &[value])
    }

    /// s times the dot products of the pixels of q with those of k, by head (`ops::attention_logits`).
    pub(super) fn logits(&mut self, what: &'static str, heads: usize, scale: f64, [q, k]: [Value; 2]) -> Result<Value> {
        self.push(what, AttentionLogits { heads, scale }, &[q, k])
    }

    /// Sums of vectors with weights p, by head (`ops::mix`): of channel (h, f) and pixel j of v, or of channel f and pixel (h, j).
    pub(super) fn mixed(&mut self, what: &'static str, mix: (usize, bool), [p, v]: [Value; 2]) -> Result<Value> {
        let (heads, by_row) = mix;
        self.push(what, Mix { heads, by_row }, &[p, v])
    }

    /// Sums over pixels of the products of two values' channels, by head (`ops::outer`), as channel f of b and pixel (h, d) of a.
    pub(super) fn outer(&mut self, what: &'static str, heads: usize, [a, b]: [Value; 2]) -> Result<Value> {
        self.push(what, Outer { heads }, &[a, b])
    }

    /// The same as channel (h, f) and pixel d, of the shape `to`.
    pub(super) fn outer_as(&mut self, what: &'static str, heads: usize, of: [Value; 2], to: Shape) -> Result<Value> {
        let made = self.outer(what, heads, of)?;
        self.push("by channel", Gather::by_channel(heads, self.shape(made), to), &[made])
    }

    /// These channels of a value, in this order; no kernel runs.
    pub fn taken(&mut self, what: &'static str, value: Value, channels: &[usize]) -> Result<Value> {
        if channels.iter().copied().eq(0..self.shape(value).c) {
            return Ok(value);
        }
        self.push(what, Channels::gather(channels.iter().map(|&c| (0, c)).collect()), &[value])
    }

    /// The product of two values, number by number; the second may have one channel for all, or one pixel.
    pub fn product(&mut self, what: &'static str, a: Value, b: Value) -> Result<Value> {
        self.push(what, Combine::Product, &[a, b])
    }

    /// The quotient of two values, in the same way.
    pub fn quotient(&mut self, what: &'static str, a: Value, b: Value) -> Result<Value> {
        self.push(what, Combine::Quotient, &[a, b])
    }

    /// Of a value with `stride - 1` zeros between its pixels these rows and columns, with zeros beyond its last.
    pub(super) fn spread(&mut self, value: Value, stride: usize, places: &[Range<usize>; 2]) -> Result<Value> {
        let s = self.shape(value);
        let all = [s.h, s.w].map(|n| 0..(n - 1) * stride + 1);
        match stride {
            1 if *places == all => Ok(value),
            2 if *places == all => self.push("spread", Resample::zeros(), &[value]),
            _ => {
                let [rows, columns] = [0, 1].map(|i| Taps::spread([s.h, s.w][i], stride, places[i].clone()));
                self.push("spread", Filter { rows, columns }, &[value])
            }
        }
    }

    /// What was made, in order: the first of it is what `values` calls `known`.
    pub(crate) fn finish(self) -> (Vec<Made>, usize) {
        (self.made, self.inputs + 2)
    }
}

impl Value {
    /// Its number: inputs of the op, its output, the cotangent, everything made.
    pub(crate) const fn number(self) -> usize {
        self.0
    }
}
