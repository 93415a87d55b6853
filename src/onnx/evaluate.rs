//! The f64 interpreter of a file: every node on the host, values and a derivative along one tangent. In: tensors for the inputs.
//! Out: the outputs. It is what folds constants, computes what depends on the label alone, and what an imported graph is held
//! against.
use super::budget::Budget;
use super::file::File;
use super::ops;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

impl File {
    /// The outputs, in order, for inputs by name.
    pub fn evaluate(&self, inputs: BTreeMap<&str, Tensor>) -> Result<Vec<Tensor>> {
        self.evaluate_within(inputs, &Budget::interpreting())
    }

    /// The same with no more than this budget, which is spent.
    pub fn evaluate_within(&self, inputs: BTreeMap<&str, Tensor>, budget: &Budget) -> Result<Vec<Tensor>> {
        let mut known: BTreeMap<&str, Tensor> = BTreeMap::new();
        for port in &self.inputs {
            let Some((name, given)) = inputs.get_key_value(port.name.as_str()) else {
                return Err(Error::invalid(format!("input '{}'", port.name), "is not given"));
            };
            known.insert(name, given.clone());
        }
        let last = self.last_readers();
        for (i, node) in self.nodes.iter().enumerate() {
            let mut constants: Vec<Option<Tensor>> = vec![];
            for name in &node.proto.input {
                let stored = if known.contains_key(name.as_str()) { None } else { self.constants.get(name) };
                constants.push(stored.map(|c| c.tensor()).transpose()?);
            }
            let given =
                node.proto.input.iter().zip(&constants).map(|(name, own)| own.as_ref().or(known.get(name.as_str())));
            let made = ops::evaluate(self, node, given.collect(), budget)?;
            for name in node.proto.input.iter().filter(|name| last.get(name.as_str()) == Some(&i)) {
                known.remove(name.as_str());
            }
            for (name, tensor) in node.proto.output.iter().zip(made).filter(|(name, _)| !name.is_empty()) {
                known.insert(name, tensor);
            }
        }
        let output = |name: &str| match (known.get(name), self.constants.get(name)) {
            (Some(t), _) => Ok(t.clone()),
            (None, Some(c)) => c.tensor(),
            (None, None) => Err(Error::invalid(format!("output '{name}'"), "is not made")),
        };
        self.outputs.iter().map(|port| output(&port.name)).collect()
    }

    /// The node that reads each value last; none of outputs, which stay.
    fn last_readers(&self) -> BTreeMap<&str, usize> {
        let mut last = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            last.extend(node.proto.input.iter().map(|name| (name.as_str(), i)));
        }
        for port in &self.outputs {
            last.remove(port.name.as_str());
        }
        last
    }
}
