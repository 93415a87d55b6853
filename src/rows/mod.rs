//! Rows of numbers that a network's ops read, one per timestep: functions of its label (the timestep, or sigma) and of
//! contexts, which are the same for all samples or have a value for each of several conditions, as a small graph that the host
//! evaluates in f64, once per timestep and condition. In: functions pushed in order, each on earlier rows. Out: the named rows
//! for a label and a condition. What several rows have in common is one node that they share.
pub mod functions;

use crate::error::{Error, Result};
use std::fmt::Debug;
use std::sync::Arc;

/// A row of a `Rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(usize);

/// A function of rows to a row: one of `functions`, or the caller's own.
pub trait RowFunction: Debug + Send + Sync {
    /// How many numbers it makes of inputs of so many; refuses inputs that it is not defined for.
    fn width(&self, inputs: &[usize]) -> Result<usize>;
    /// The numbers, of inputs that `width` accepts.
    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>>;
    /// What a label must be that is its input; none if any number will do.
    fn told(&self) -> Option<Told> {
        None
    }
}

/// A function that others hold too.
impl<F: RowFunction + ?Sized> RowFunction for Arc<F> {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        (**self).width(inputs)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        (**self).apply(inputs)
    }

    fn told(&self) -> Option<Told> {
        (**self).told()
    }
}

/// What a function takes a label for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A timestep: any whole number, or one of so many.
    Timestep(Option<usize>),
    /// A noise level, sigma.
    NoiseLevel,
    /// A real number that stands for the noise: sigma, its logarithm, a time.
    Number,
}

/// Functions of the label and of contexts, and those of them that ops read, by number.
#[derive(Clone, Debug)]
pub struct Rows {
    /// In order of evaluation; the first is the label.
    nodes: Vec<Node>,
    /// Name and place of what ops read.
    tables: Vec<(String, RowId)>,
}

#[derive(Clone, Debug)]
struct Node {
    made: Made,
    width: usize,
}

#[derive(Clone, Debug)]
enum Made {
    Label,
    /// One for all, or one for each condition.
    Context(String, Vec<Arc<[f64]>>),
    Function(Arc<dyn RowFunction>, Vec<RowId>),
}

/// The label alone.
impl Default for Rows {
    fn default() -> Self {
        Self { nodes: vec![Node { made: Made::Label, width: 1 }], tables: vec![] }
    }
}

impl Rows {
    /// One number: what the network is told at a timestep.
    pub const LABEL: RowId = RowId(0);

    /// Numbers that are the same at every timestep and under every condition, finite, under a name that no other context has.
    pub fn context(&mut self, name: &str, values: &[f64]) -> Result<RowId> {
        self.contexts(name, &[values.to_vec()])
    }

    /// `context` with a value for each condition: one for all, or as many as every other context that has several.
    pub fn contexts(&mut self, name: &str, values: &[Vec<f64>]) -> Result<RowId> {
        if self.place_of(name).is_some() {
            return Err(Error::invalid(format!("context '{name}'"), "is given twice"));
        }
        let values = sound(name, values, self.conditions())?;
        let width = values[0].len();
        Ok(self.push_node(Made::Context(name.into(), values), width))
    }

    /// Puts other values in the place of those of a context, as many numbers each.
    pub fn give(&mut self, name: &str, values: &[Vec<f64>]) -> Result<()> {
        let fail = |message: String| Err(Error::invalid(format!("context '{name}'"), message));
        let Some(place) = self.place_of(name) else { return fail("is none of the network's".into()) };
        let (width, others) = (self.nodes[place].width, self.conditions_but(Some(place)));
        let values = sound(name, values, others)?;
        if values[0].len() != width {
            return fail(format!("has {} numbers, expected {width}", values[0].len()));
        }
        self.nodes[place].made = Made::Context(name.into(), values);
        Ok(())
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| matches!(&node.made, Made::Context(other, _) if other == name))
    }

    /// Conditions that rows are made for: 1 where no context has several values.
    pub fn conditions(&self) -> usize {
        self.conditions_but(None)
    }

    /// The same without one of the nodes.
    fn conditions_but(&self, left_out: Option<usize>) -> usize {
        let others = self.nodes.iter().enumerate().filter(|(i, _)| Some(*i) != left_out);
        let counts = others.map(|(_, node)| if let Made::Context(_, values) = &node.made { values.len() } else { 1 });
        counts.max().unwrap_or(1)
    }

    /// A function of earlier rows; its width rule is checked here.
    pub fn apply(&mut self, function: impl RowFunction + 'static, inputs: &[RowId]) -> Result<RowId> {
        let widths = inputs.iter().map(|&row| self.width(row)).collect::<Result<Vec<_>>>()?;
        let width = function.width(&widths)?;
        Ok(self.push_node(Made::Function(Arc::new(function), inputs.to_vec()), width))
    }

    /// Makes a row one that ops read, under a name for messages; ops refer to it by the number returned.
    pub fn push(&mut self, name: impl Into<String>, row: RowId) -> Result<usize> {
        self.width(row)?;
        self.tables.push((name.into(), row));
        Ok(self.tables.len() - 1)
    }

    /// Numbers in a row.
    pub fn width(&self, row: RowId) -> Result<usize> {
        let missing = || Error::invalid("rows", format!("number {} is not below {}", row.0, self.nodes.len()));
        self.nodes.get(row.0).map(|node| node.width).ok_or_else(missing)
    }

    /// How many rows ops read.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// True if ops read none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The rows that ops read, in order, for a label and a condition, counted from 0; finite. Each function is evaluated once, and
    /// only if one of them needs it.
    pub fn at(&self, label: f64, condition: usize) -> Result<Vec<Vec<f64>>> {
        let conditions = self.conditions();
        if condition >= conditions {
            return Err(Error::invalid("condition", format!("{condition}, there are {conditions}")));
        }
        let needed = self.needed(&self.tables.iter().map(|(_, row)| *row).collect::<Vec<_>>());
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.nodes.len());
        for (node, needed) in self.nodes.iter().zip(needed) {
            values.push(match &node.made {
                _ if !needed => vec![],
                Made::Label => vec![label],
                Made::Context(_, values) => values[condition % values.len()].to_vec(),
                Made::Function(function, inputs) => {
                    let inputs: Vec<&[f64]> = inputs.iter().map(|row| &values[row.0][..]).collect();
                    let y = function.apply(&inputs)?;
                    if y.len() != node.width {
                        let found = format!("{} numbers, its width rule says {}", y.len(), node.width);
                        return Err(Error::invalid(format!("row function {function:?}"), found));
                    }
                    y
                }
            });
        }
        let finite = |(name, row): &(String, RowId)| {
            let row = values[row.0].clone();
            match row.iter().position(|v| !v.is_finite()) {
                None => Ok(row),
                Some(i) => {
                    let found = format!("element {i} is {}, expected a finite number", row[i]);
                    Err(Error::invalid(format!("time row '{name}' at {label}"), found))
                }
            }
        };
        self.tables.iter().map(finite).collect()
    }

    /// What reads the label itself: the name of each row that ops read, and every such function that it is made of.
    pub fn of_label(&self) -> impl Iterator<Item = (&str, &dyn RowFunction)> {
        self.tables.iter().flat_map(|(name, row)| {
            let readers = self.nodes.iter().zip(self.needed(&[*row])).filter_map(|(node, needed)| match &node.made {
                Made::Function(function, inputs) if needed && inputs.contains(&Self::LABEL) => Some(function.as_ref()),
                _ => None,
            });
            readers.map(|function| (name.as_str(), function))
        })
    }

    fn push_node(&mut self, made: Made, width: usize) -> RowId {
        self.nodes.push(Node { made, width });
        RowId(self.nodes.len() - 1)
    }

    /// Which nodes these rows are made of.
    fn needed(&self, rows: &[RowId]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        rows.iter().for_each(|row| needed[row.0] = true);
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if let (true, Made::Function(_, inputs)) = (needed[i], &node.made) {
                inputs.iter().for_each(|row| needed[row.0] = true);
            }
        }
        needed
    }
}

/// The values of a context: at least one, of one width, finite, one for all conditions or one for each of those known.
fn sound(name: &str, values: &[Vec<f64>], known: usize) -> Result<Vec<Arc<[f64]>>> {
    let fail = |message: String| Err(Error::invalid(format!("context '{name}'"), message));
    let Some(first) = values.first() else { return fail("has no value".into()) };
    for (condition, row) in values.iter().enumerate() {
        if row.len() != first.len() {
            return fail(format!("{} numbers under condition {condition}, {} under 0", row.len(), first.len()));
        }
        if let Some(i) = row.iter().position(|v| !v.is_finite()) {
            return fail(format!("element {i} is {}, expected a finite number", row[i]));
        }
    }
    if known > 1 && values.len() > 1 && values.len() != known {
        return fail(format!("has values for {} conditions, others for {known}", values.len()));
    }
    Ok(values.iter().map(|row| row[..].into()).collect())
}
