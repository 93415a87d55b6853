//! What depends on the label and on fixed contexts alone: nodes of the file that the host computes in f64, once per timestep, however the
//! file computes it. In: names of values, and which of their numbers an op wants. Out: rows of the graph.
use super::Roles;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::budget::Budget;
use crate::onnx::file::{File, Port};
use crate::onnx::ops;
use crate::onnx::tensor::{Data, Tensor};
use crate::rows::{RowFunction, RowId, Rows, Told};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where the numbers of a row come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A constant.
    Known(Arc<Tensor>),
    /// A value of this name that the host computes.
    Told(String),
}

/// What is done to each number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turned {
    /// Nothing.
    AsItIs,
    /// Its sign changes.
    Negated,
    /// 1 over it.
    Inverted,
    /// 1 less it.
    Complement,
}

impl Turned {
    pub(super) fn of(self, v: f64) -> f64 {
        match self {
            Self::AsItIs => v,
            Self::Negated => -v,
            Self::Inverted => 1.0 / v,
            Self::Complement => 1.0 - v,
        }
    }
}

struct Row {
    name: String,
    made: Made,
}

/// What a row is.
enum Made {
    /// These numbers of a value.
    Taken { source: Source, places: Vec<usize>, turned: Turned },
    /// One row times another.
    Product([usize; 2]),
    /// One row plus another.
    Sum([usize; 2]),
}

/// Nodes that the host computes, and rows that are asked of them.
pub(super) struct Host {
    file: Arc<File>,
    roles: Roles,
    /// The node that makes each value.
    makers: BTreeMap<String, usize>,
    /// Values that nodes make of constants alone.
    folded: BTreeMap<String, Arc<Tensor>>,
    rows: Vec<Row>,
    /// Rows that the graph has already.
    before: usize,
}

impl Host {
    pub fn new(file: Arc<File>, roles: &Roles, before: usize) -> Self {
        Self { file, roles: roles.clone(), makers: BTreeMap::new(), folded: BTreeMap::new(), rows: vec![], before }
    }

    /// The input that is told the label, at some label: its shape and kind.
    pub fn label_at_first(&self, port: &Port) -> Result<Tensor> {
        label_of(port, 1.0)
    }

    /// A value is computed by node number `node`.
    pub fn made(&mut self, value: &str, node: usize) {
        self.makers.insert(value.to_string(), node);
    }

    /// A value is a constant, made of others.
    pub fn folded(&mut self, value: &str, tensor: Arc<Tensor>) {
        self.folded.insert(value.to_string(), tensor);
    }

    /// The number of a row of these numbers of a value.
    pub fn row(&mut self, name: String, source: Source, places: Vec<usize>, turned: Turned) -> usize {
        self.push(name, Made::Taken { source, places, turned })
    }

    /// The number of the row that is the product of two, number by number.
    pub fn product(&mut self, name: String, of: [usize; 2]) -> usize {
        self.push(name, Made::Product(of))
    }

    /// The number of the row that is the sum of two.
    pub fn sum(&mut self, name: String, of: [usize; 2]) -> usize {
        self.push(name, Made::Sum(of))
    }

    fn push(&mut self, name: String, made: Made) -> usize {
        self.rows.push(Row { name, made });
        self.before + self.rows.len() - 1
    }

    /// Puts the rows, and the contexts that they are made of, into the graph, in the order of their numbers.
    pub fn finish(self, rows: &mut Rows) -> Result<()> {
        let told = |row: &'_ Row| match &row.made {
            Made::Taken { source: Source::Told(name), .. } => Some(name.clone()),
            _ => None,
        };
        let wanted: BTreeSet<String> = self.rows.iter().filter_map(told).collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        let told = match wanted.is_empty() {
            true => None,
            false => {
                let program = Program::new(&self, wanted)?;
                let ranges = program.ranges.clone();
                let mut inputs = vec![Rows::LABEL];
                for (name, _) in &program.changing {
                    let values: Vec<Vec<f64>> = self.roles.contexts[name].iter().map(numbers).collect();
                    inputs.push(rows.contexts(&format!("{name} of part {}", self.before), &values)?);
                }
                Some((rows.apply(program, &inputs)?, ranges))
            }
        };
        let (mut made, first): (Vec<RowId>, usize) = (vec![], self.before);
        for Row { name, made: what } in self.rows {
            let row = match (what, &told) {
                (Made::Taken { source: Source::Told(value), places, turned }, Some((all, ranges))) => {
                    let begins = ranges.get(&value).copied().unwrap_or_default();
                    let places = places.iter().map(|p| begins + p).collect();
                    rows.apply(Picked { places, turned }, &[*all])?
                }
                (Made::Taken { source: Source::Told(value), .. }, None) => {
                    return Err(Error::invalid(value, "is not computed"));
                }
                (Made::Taken { source: Source::Known(tensor), places, turned }, _) => {
                    let values = numbers(&tensor);
                    rows.apply(Fixed { values: places.iter().map(|&p| turned.of(values[p])).collect() }, &[])?
                }
                (Made::Product(of), _) => rows.apply(Both(|a, b| a * b), &of.map(|row| made[row - first]))?,
                (Made::Sum(of), _) => rows.apply(Both(|a, b| a + b), &of.map(|row| made[row - first]))?,
            };
            made.push(row);
            rows.push(name, row)?;
        }
        Ok(())
    }
}

/// The numbers of any tensor.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f64> {
    match &tensor.data {
        Data::Float(v) => v.iter().map(|x| x.v).collect(),
        Data::Int(v) => v.iter().map(|&n| n as f64).collect(),
        Data::Bool(v) => v.iter().map(|&b| f64::from(b)).collect(),
    }
}

/// A label as the file's input has it.
pub(in crate::onnx) fn label_of(port: &Port, label: f64) -> Result<Tensor> {
    let shape: Vec<usize> = port.shape.iter().flatten().map(|size| size.clone().unwrap_or(1)).collect();
    if shape.iter().any(|&n| n != 1) {
        return Err(Error::invalid(
            format!("input '{}'", port.name),
            format!("{shape:?}: expected one number, the label"),
        ));
    }
    match port.element {
        Some(element) if !element.is_float() => {
            if label.fract() != 0.0 {
                let message =
                    format!("{label} is no whole number, which input '{}' of type {} wants", port.name, element.name());
                return Err(Error::invalid("timestep", message));
            }
            Ok(Tensor::int(shape, vec![label as i64]))
        }
        _ => Ok(Tensor::float(shape, vec![Dual::constant(label)])),
    }
}

/// The nodes that some values need, in order.
struct Program {
    file: Arc<File>,
    label: Option<Port>,
    /// Contexts that are the same under every condition, and what nodes make of constants.
    known: BTreeMap<String, Tensor>,
    /// Contexts that a condition changes, in the order of the rows that they are given as, each as it is under the first.
    changing: Vec<(String, Tensor)>,
    nodes: Vec<usize>,
    wanted: Vec<String>,
    /// Where the numbers of each value begin.
    ranges: BTreeMap<String, usize>,
    width: usize,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} nodes of {}", self.nodes.len(), self.file.path.display())
    }
}

impl Program {
    fn new(host: &Host, wanted: Vec<String>) -> Result<Self> {
        let file = host.file.clone();
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<&str> = wanted.iter().map(String::as_str).collect();
        while let Some(value) = open.pop() {
            if let Some(&node) = host.makers.get(value).filter(|node| needed.insert(**node)) {
                open.extend(file.nodes[node].proto.input.iter().map(String::as_str));
            }
        }
        let label = host.roles.label.as_ref().and_then(|name| file.inputs.iter().find(|p| p.name == *name)).cloned();
        let (mut known, mut changing) = (BTreeMap::new(), vec![]);
        for (name, values) in &host.roles.contexts {
            match &values[..] {
                [value] => drop(known.insert(name.clone(), value.clone())),
                [first, ..] => changing.push((name.clone(), first.clone())),
                [] => {}
            }
        }
        let read = |node: &usize| file.nodes[*node].proto.input.iter();
        let folded =
            needed.iter().flat_map(read).filter_map(|name| Some((name.clone(), (**host.folded.get(name)?).clone())));
        known.extend(folded);
        let nodes = needed.into_iter().collect();
        let mut program = Self { file, label, known, changing, nodes, wanted, ranges: BTreeMap::new(), width: 0 };
        let first: Vec<Vec<f64>> = program.changing.iter().map(|(_, value)| numbers(value)).collect();
        let first: Vec<&[f64]> = [&[1.0][..]].into_iter().chain(first.iter().map(|row| &row[..])).collect();
        let values = program.values(&first)?;
        for (name, tensor) in program.wanted.clone().into_iter().zip(values) {
            program.ranges.insert(name, program.width);
            program.width += tensor.len();
        }
        Ok(program)
    }

    /// The wanted values for a label and for contexts, each a row.
    fn values(&self, given: &[&[f64]]) -> Result<Vec<Tensor>> {
        let mut known: BTreeMap<&str, Tensor> = self.known.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        if let Some(port) = &self.label {
            known.insert(&port.name, label_of(port, given[0][0])?);
        }
        known
            .extend(self.changing.iter().zip(&given[1..]).map(|((name, value), row)| (name.as_str(), value.with(row))));
        let budget = Budget::of(self.file.bytes);
        for &i in &self.nodes {
            let node = &self.file.nodes[i];
            let mut stored: Vec<Option<Tensor>> = vec![];
            for name in &node.proto.input {
                let own = if known.contains_key(name.as_str()) { None } else { self.file.constants.get(name) };
                stored.push(own.map(|c| c.tensor()).transpose()?);
            }
            let given =
                node.proto.input.iter().zip(&stored).map(|(name, own)| own.as_ref().or(known.get(name.as_str())));
            let made = ops::evaluate(&self.file, node, given.collect(), &budget)?;
            known.extend(node.proto.output.iter().map(String::as_str).zip(made));
        }
        let value =
            |name: &String| known.get(name.as_str()).cloned().ok_or_else(|| Error::invalid(name, "is not computed"));
        self.wanted.iter().map(value).collect()
    }
}

impl RowFunction for Program {
    fn width(&self, _: &[usize]) -> Result<usize> {
        Ok(self.width)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(self.values(inputs)?.iter().flat_map(numbers).collect())
    }

    fn told(&self) -> Option<Told> {
        let whole = self.label.as_ref().and_then(|p| p.element).is_some_and(|e| !e.is_float());
        whole.then_some(Told::Timestep(None))
    }
}

/// Some numbers of a row.
#[derive(Debug)]
struct Picked {
    places: Vec<usize>,
    turned: Turned,
}

impl RowFunction for Picked {
    fn width(&self, _: &[usize]) -> Result<usize> {
        Ok(self.places.len())
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(self.places.iter().map(|&p| self.turned.of(inputs[0][p])).collect())
    }
}

/// Numbers that are the same at every label.
#[derive(Debug)]
struct Fixed {
    values: Vec<f64>,
}

impl RowFunction for Fixed {
    fn width(&self, _: &[usize]) -> Result<usize> {
        Ok(self.values.len())
    }

    fn apply(&self, _: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(self.values.clone())
    }
}

/// A number of each of two rows.
#[derive(Debug)]
struct Both(fn(f64, f64) -> f64);

impl RowFunction for Both {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        match inputs {
            [a, b] if a == b => Ok(*a),
            _ => Err(Error::invalid("row function", format!("rows of {inputs:?} numbers, expected two of as many"))),
        }
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(inputs[0].iter().zip(inputs[1]).map(|(&a, &b)| (self.0)(a, b)).collect())
    }
}
