//! A file as the second opinion of the graph that was imported from it: the file's own nodes in f64, with a derivative along one
//! tangent. In: a point, a label, a condition. Out: the numbers of the output that are meant. Nothing of the importer's is used, so
//! that a pattern wrongly found shows.
use super::file::File;
use super::import::{Roles, label_of, x_shape};
use super::tensor::{Data, Tensor};
use crate::dual::Dual;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file and what it is told.
#[derive(Clone, Debug)]
pub struct Reference {
    file: Arc<File>,
    roles: Roles,
    /// Of x, the batch of one among them.
    shape: Vec<usize>,
    /// Place of the output among the file's.
    output: usize,
}

impl Reference {
    /// Of a file with these roles, which must be those that it was imported with.
    ///
    /// # Errors
    /// Names that the file does not have.
    pub fn new(file: Arc<File>, roles: Roles) -> Result<Self> {
        let shape = x_shape(&file, &roles)?;
        let output = file.outputs.iter().position(|port| port.name == roles.output);
        let output = output.ok_or_else(|| Error::invalid(format!("output '{}'", roles.output), "is not there"))?;
        Ok(Self { file, roles, shape, output })
    }

    /// The output at `x`, flat as the file has it, for a label and under a condition, counted from 0.
    ///
    /// # Errors
    /// What a node does not accept, such as a label beyond a table.
    pub fn evaluate(&self, x: &[Dual], label: f64, condition: usize) -> Result<Vec<Dual>> {
        let mut given: BTreeMap<&str, Tensor> = BTreeMap::new();
        for port in &self.file.inputs {
            let value = match self.roles.contexts.get(&port.name) {
                _ if port.name == self.roles.x => Tensor::float(self.shape.clone(), x.to_vec()),
                _ if self.roles.label.as_ref() == Some(&port.name) => label_of(port, label)?,
                Some(values) if !values.is_empty() => values[condition % values.len()].clone(),
                _ => return Err(Error::invalid(format!("input '{}'", port.name), "is not given")),
            };
            given.insert(&port.name, value);
        }
        let made = self.file.evaluate(given)?.swap_remove(self.output);
        let Data::Float(values) = made.data else {
            return Err(Error::invalid(format!("output '{}'", self.roles.output), "holds no real numbers"));
        };
        let each = values.len() / made.shape.get(1).copied().unwrap_or(1).max(1);
        Ok(match self.roles.channels {
            Some(count) => values[..(count * each).min(values.len())].to_vec(),
            None => values,
        })
    }
}
