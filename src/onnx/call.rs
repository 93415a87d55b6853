//! A node with its inputs, as operators see it: attributes by name and type, inputs that must be there, defaults. In: a node of
//! a file. Out: what it asks for, or an error that names the attribute or the input.
use super::budget::Budget;
use super::file::Node;
use super::proto::{AttributeProto, TensorProto};
use super::tensor::{MOST_ALONG, Tensor, axis, broadcast};
use crate::error::{Error, Result};

/// A node whose inputs are known.
pub struct Call<'a> {
    /// Its own part of the file.
    pub node: &'a Node,
    /// Version of the operators.
    pub opset: i64,
    /// In order; none of an optional one that is left out.
    pub inputs: Vec<Option<&'a Tensor>>,
    /// What may be computed.
    pub budget: &'a Budget,
}

/// Types of attributes by their numbers.
const TYPES: [&str; 15] = [
    "nothing",
    "a float",
    "an integer",
    "text",
    "a tensor",
    "a graph",
    "floats",
    "integers",
    "texts",
    "tensors",
    "graphs",
    "a sparse tensor",
    "sparse tensors",
    "a type",
    "types",
];

impl<'a> Call<'a> {
    /// Two tensors, stretched to one shape.
    pub fn together(&self, a: &Tensor, b: &Tensor) -> Result<[Tensor; 2]> {
        let shape = broadcast(&a.shape, &b.shape).ok_or_else(|| {
            Error::invalid("inputs", format!("shapes {:?} and {:?} cannot be broadcast", a.shape, b.shape))
        })?;
        self.budget.numbers(&shape)?;
        Ok([a.stretched(&shape), b.stretched(&shape)])
    }

    /// Input i, which must be there.
    pub fn input(&self, i: usize) -> Result<&'a Tensor> {
        self.optional(i).ok_or_else(|| {
            let found = self.inputs.iter().flatten().count();
            Error::invalid("inputs", format!("{found} given, number {i}, counted from 0, is missing"))
        })
    }

    /// Input i, if it is there.
    pub fn optional(&self, i: usize) -> Option<&'a Tensor> {
        self.inputs.get(i).copied().flatten()
    }

    /// Integers that newer versions have as input i, and older ones as an attribute; none if neither is there.
    pub fn ints_or(&self, i: usize, name: &str) -> Result<Option<Vec<i64>>> {
        match self.optional(i) {
            Some(given) => Ok(Some(given.ints()?.to_vec())),
            None => self.ints(name),
        }
    }

    fn attribute(&self, name: &str, number: i32) -> Result<Option<&'a AttributeProto>> {
        let Some(found) = self.node.proto.attribute.iter().find(|a| a.name == name) else { return Ok(None) };
        let kind = |n: i32| TYPES.get(n as usize).copied().unwrap_or("of an unknown type");
        if !found.ref_attr_name.is_empty() {
            return Err(Error::invalid("attribute", format!("{name} refers to a function's, and there is none")));
        }
        match found.r#type {
            t if t == number => Ok(Some(found)),
            t => Err(Error::invalid("attribute", format!("{name} is {}, expected {}", kind(t), kind(number)))),
        }
    }

    /// A float; f32, as files have it.
    pub fn float(&self, name: &str, default: f32) -> Result<f64> {
        Ok(f64::from(self.attribute(name, 1)?.map_or(default, |a| a.f)))
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.attribute(name, 2)?.map_or(default, |a| a.i))
    }

    /// An integer that must be there.
    pub fn required(&self, name: &str) -> Result<i64> {
        let found = self.attribute(name, 2)?.map(|a| a.i);
        found.ok_or_else(|| Error::invalid("attribute", format!("{name} is missing")))
    }

    /// A switch.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name, default.into())? != 0)
    }

    /// Text.
    pub fn text(&self, name: &str, default: &str) -> Result<String> {
        let Some(found) = self.attribute(name, 3)? else { return Ok(default.into()) };
        let invalid = |_| Error::invalid("attribute", format!("{name} is no Unicode text"));
        String::from_utf8(found.s.to_vec()).map_err(invalid)
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Result<Option<TensorProto>> {
        Ok(self.attribute(name, 4)?.and_then(|a| a.t.as_deref().cloned()))
    }

    /// Floats.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>> {
        Ok(self.attribute(name, 6)?.map(|a| a.floats.clone()))
    }

    /// Integers.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.attribute(name, 7)?.map(|a| a.ints.clone()))
    }

    /// Integers that are sizes or counts, as many as expected; the default, so often, if they are not there.
    pub fn sizes(&self, name: &str, default: usize, expected: usize) -> Result<Vec<usize>> {
        let Some(found) = self.ints(name)? else { return Ok(vec![default; expected]) };
        if found.len() != expected {
            let message = format!("{name} has {} numbers, expected {expected}", found.len());
            return Err(Error::invalid("attribute", message));
        }
        found.iter().map(|&n| size(name, n)).collect()
    }

    /// An attribute that names an axis of a tensor of this rank.
    pub fn axis(&self, name: &str, default: i64, rank: usize) -> Result<usize> {
        axis(self.int(name, default)?, rank)
    }

    /// Outputs that somebody may read.
    pub fn outputs(&self) -> usize {
        self.node.proto.output.iter().rposition(|o| !o.is_empty()).map_or(0, |last| last + 1)
    }

    /// Refuses values of a text attribute but these.
    pub fn one_of(&self, name: &str, default: &str, known: &[&str]) -> Result<String> {
        let found = self.text(name, default)?;
        match known.contains(&found.as_str()) {
            true => Ok(found),
            false => {
                Err(Error::invalid("attribute", format!("{name} is '{found}', expected one of {}", known.join(", "))))
            }
        }
    }

    /// Refuses another value than this one.
    pub fn only(&self, name: &str, value: i64) -> Result<()> {
        match self.int(name, value)? {
            found if found == value => Ok(()),
            found => Err(Error::invalid("attribute", format!("{name} = {found} is not supported, expected {value}"))),
        }
    }
}

/// A number of a file that is a size.
pub fn size(name: &str, n: i64) -> Result<usize> {
    let size = usize::try_from(n).ok().filter(|n| *n <= MOST_ALONG);
    size.ok_or_else(|| Error::invalid(name, format!("{n}, expected a number of 0 to {MOST_ALONG}")))
}
