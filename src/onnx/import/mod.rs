//! A file becomes a graph. What depends on constants alone is folded; what depends on the label and on fixed contexts alone becomes rows,
//! computed on the host in f64 once per timestep; the rest becomes ops. In: a file, and which of its inputs is what. Out: the graph.
//!
//! A tensor of the file that depends on x is a node of the graph and a view of it (`onnx::view`): reshaping, transposing, slicing
//! change the view; an op asks for the axes that it wants as channels and as pixels, and only what no view has is copied.
mod attention;
mod bounds;
mod choose;
mod combine;
mod contract;
mod convolve;
mod each;
mod found;
mod grid;
mod host;
mod join;
mod lay;
mod norm;
mod reduce;
mod resize;
mod scale;
mod sides;
mod space;

use super::budget::Budget;
use super::call::Call;
use super::file::{File, Node};
use super::ops;
use super::tensor::Tensor;
use super::view::View;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::shape::Shape;
use bounds::{tables, viewed};
use host::Host;
pub(super) use host::label_of;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the file cannot say: which input is what.
#[derive(Clone, Debug)]
pub struct Roles {
    /// The input that derivatives are taken by.
    pub x: String,
    /// The input that is told the label, if there is one.
    pub label: Option<String>,
    /// Values of every other input: one, or one for each of several conditions.
    pub contexts: BTreeMap<String, Vec<Tensor>>,
    /// Sizes of x along axes that the file leaves open.
    pub shape: Vec<usize>,
    /// The output that is meant.
    pub output: String,
    /// How many of the output's first channels are meant; all if not said.
    pub channels: Option<usize>,
}

/// A value of the file.
#[derive(Clone, Debug)]
enum Value {
    /// A constant.
    Known(Arc<Tensor>),
    /// A function of the label and of contexts alone: what it is for some, for its shape and kind.
    Told(Arc<Tensor>),
    /// A function of x.
    Seen(Seen),
}

/// A tensor of the graph, seen as the file's.
#[derive(Clone, Debug)]
struct Seen {
    node: NodeId,
    view: View,
}

/// The graph as it grows.
struct Import<'f> {
    file: &'f Arc<File>,
    graph: Graph,
    values: BTreeMap<&'f str, Value>,
    host: Host,
    /// For what is computed of constants and of the label.
    budget: Budget,
    /// For tables of where numbers lie, and for weights that are laid out anew.
    tables: Budget,
    /// Number of the node at work, and of the last that reads each value.
    at: usize,
    last: BTreeMap<&'f str, usize>,
}

/// A node at work: what it reads.
struct Step<'a, 'f> {
    node: &'f Node,
    /// For attributes and for inputs that are known.
    call: Call<'a>,
    /// In order; none of an optional input that is left out.
    inputs: Vec<Option<Value>>,
    /// Names of the inputs.
    names: Vec<&'f str>,
}

impl Step<'_, '_> {
    /// Input i, which must be there.
    fn value(&self, i: usize) -> Result<&Value> {
        self.inputs
            .get(i)
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::invalid("inputs", format!("number {i} is missing")))
    }

    /// Input i, which depends on x.
    fn seen(&self, i: usize) -> Result<&Seen> {
        match self.value(i)? {
            Value::Seen(seen) => Ok(seen),
            _ => Err(Error::invalid(self.name(i), "does not depend on x, which is not supported here")),
        }
    }

    /// Input i, which must be a constant.
    fn known(&self, i: usize) -> Result<&Tensor> {
        match self.value(i)? {
            Value::Known(tensor) => Ok(tensor),
            Value::Told(_) => Err(Error::invalid(self.name(i), "depends on the label, expected a constant")),
            Value::Seen(_) => Err(Error::invalid(self.name(i), "depends on x, expected a constant")),
        }
    }

    /// As messages call input i.
    fn name(&self, i: usize) -> String {
        format!("input '{}'", self.names.get(i).copied().unwrap_or_default())
    }

    /// The node's own name, with an ending.
    fn label(&self, ending: &str) -> String {
        if ending.is_empty() { self.node.name.clone() } else { format!("{}.{ending}", self.node.name) }
    }
}

impl Value {
    /// Its shape in the file.
    fn shape(&self) -> Vec<usize> {
        match self {
            Value::Known(t) | Value::Told(t) => t.shape.clone(),
            Value::Seen(seen) => seen.view.shape(),
        }
    }
}

/// How the operators become ops: a row for each that may depend on x.
type Rule = fn(&mut Import, &Step) -> Result<Vec<Seen>>;

/// The rule of an operator.
fn rule(op: &str) -> Option<Rule> {
    let tables = [
        each::RULES,
        combine::RULES,
        choose::RULES,
        space::RULES,
        join::RULES,
        contract::RULES,
        attention::RULES,
        convolve::RULES,
        norm::RULES,
        reduce::RULES,
        resize::RULES,
    ];
    tables.iter().flat_map(|table| table.iter()).find(|row| row.0 == op).map(|row| row.1)
}

/// Operators that may depend on x.
pub fn supported() -> impl Iterator<Item = &'static str> {
    ops::OPERATORS.iter().flat_map(|table| table.iter()).map(|o| o.name).filter(|name| rule(name).is_some())
}

/// Why an operator is refused where it depends on x; none of one that is taken.
pub fn refusal(op: &str) -> Option<&'static str> {
    rule(op).is_none().then(|| why_not(op))
}

/// What a file became.
pub struct Imported {
    /// With one input, `x`, and one output.
    pub graph: Graph,
    /// `[C, H, W]` of x.
    pub input: Shape,
    /// Of the output.
    pub output: Shape,
}

/// The graph of a file.
pub fn import(file: &Arc<File>, roles: &Roles) -> Result<Imported> {
    let input = input(file, roles)?;
    let mut graph = Graph::new(input);
    let x = graph.input("x")?;
    let made = onto(&mut graph, x, file, roles)?;
    graph.output("output", made)?;
    let output = graph.shape(made);
    Ok(Imported { graph, input, output })
}

/// `[C, H, W]` of x.
pub fn input(file: &File, roles: &Roles) -> Result<Shape> {
    let shape = x_shape(file, roles)?;
    viewed(&shape).map_err(|e| Error::invalid(format!("input '{}'", roles.x), e))?;
    image(&shape).ok_or_else(|| {
        let message = format!("{shape:?}: expected one to three axes beside the batch's");
        Error::invalid(format!("input '{}'", roles.x), message)
    })
}

/// Appends the network of a file to a graph that has its x, of `input`'s shape, as node `x`. Out: what it makes.
pub fn onto(graph: &mut Graph, x: NodeId, file: &Arc<File>, roles: &Roles) -> Result<NodeId> {
    let (shape, input) = (x_shape(file, roles)?, graph.shape(x));
    let host = Host::new(file.clone(), roles, graph.rows.len());
    let (values, last, budget) = (BTreeMap::new(), readers(file), Budget::of(file.bytes));
    let taken = std::mem::take(graph);
    let mut import = Import { file, values, host, graph: taken, budget, tables: tables(), at: 0, last };
    for (name, constant) in &file.constants {
        import.values.insert(name, Value::Known(Arc::new(constant.tensor()?)));
    }
    for port in &file.inputs {
        let value = match (&roles.label, roles.contexts.get(&port.name)) {
            _ if port.name == roles.x => {
                let view = View::of(input, &shape, false).ok_or_else(|| Error::invalid("x", "cannot be seen"))?;
                Value::Seen(Seen { node: x, view })
            }
            (Some(label), _) if *label == port.name => Value::Told(Arc::new(import.host.label_at_first(port)?)),
            (_, Some(given)) => match &given[..] {
                [value] => Value::Known(Arc::new(value.clone())),
                [first, ..] => Value::Told(Arc::new(first.clone())),
                [] => return Err(Error::invalid(format!("input '{}'", port.name), "is given no value")),
            },
            _ => {
                return Err(Error::invalid(
                    format!("input '{}'", port.name),
                    "is neither x, the label nor a condition: say what it is",
                ));
            }
        };
        import.values.insert(&port.name, value);
    }
    for (i, node) in file.nodes.iter().enumerate() {
        import.at = i;
        import.step(i, node).map_err(|e| within(node, e))?;
    }
    let (whole, made) = import.finish(roles)?;
    *graph = whole;
    Ok(made)
}

/// The last node that reads the numbers of each value; nobody does so later than who reads an output.
fn readers(file: &File) -> BTreeMap<&str, usize> {
    let numbers = |node: &&Node| !matches!(node.proto.op_type.as_str(), "Shape" | "Size");
    let nodes = file.nodes.iter().enumerate().filter(|(_, node)| numbers(node));
    let read = nodes.flat_map(|(i, node)| node.proto.input.iter().map(move |name| (name.as_str(), i)));
    read.chain(file.outputs.iter().map(|port| (port.name.as_str(), usize::MAX))).collect()
}

/// Sizes of x; the batch's is 1.
pub(super) fn x_shape(file: &File, roles: &Roles) -> Result<Vec<usize>> {
    let place = || format!("input '{}'", roles.x);
    let port = file.inputs.iter().find(|p| p.name == roles.x).ok_or_else(|| {
        let names: Vec<&str> = file.inputs.iter().map(|p| p.name.as_str()).collect();
        Error::invalid(place(), format!("is not there, expected one of {}", names.join(", ")))
    })?;
    if let Some(whole) = port.element.filter(|e| !e.is_float()) {
        return Err(Error::invalid(place(), format!("is of type {}, expected floating-point numbers", whole.name())));
    }
    let shape = port.shape.as_ref().ok_or_else(|| Error::invalid(place(), "says no shape"))?;
    let mut open = roles.shape.iter();
    let size = |(i, size): (usize, &Result<usize, String>)| match size {
        Ok(n) if i > 0 || *n == 1 => Ok(*n),
        Ok(n) => Err(Error::invalid(place(), format!("a batch of {n}: export with a batch of 1, or an open one"))),
        Err(_) if i == 0 => Ok(1),
        Err(name) => open
            .next()
            .copied()
            .ok_or_else(|| Error::invalid(place(), format!("axis {i} ('{name}') is open: give its size"))),
    };
    shape.iter().enumerate().map(size).collect()
}

/// `[1, D]`, `[1, S, E]` and `[1, C, H, W]` as an image whose numbers are in the same order; tokens are the rows of one channel.
pub(super) fn image(shape: &[usize]) -> Option<Shape> {
    match *shape {
        [1, d] => Some(Shape::new(d, 1, 1)),
        [1, s, e] => Some(Shape::new(1, s, e)),
        [1, c, h, w] => Some(Shape::new(c, h, w)),
        _ => None,
    }
}

/// An error, with the node at which it was found.
fn within(node: &Node, error: Error) -> Error {
    match &error {
        Error::Invalid { place, .. } if place.starts_with("node '") => error,
        _ => Error::invalid(format!("node '{}' ({})", node.name, node.proto.op_type), error),
    }
}

impl<'f> Import<'f> {
    fn step(&mut self, number: usize, node: &'f Node) -> Result<()> {
        ops::find(node)?;
        let names: Vec<&'f str> = node.proto.input.iter().map(String::as_str).collect();
        let mut inputs: Vec<Option<Value>> = names.iter().map(|name| self.values.get(name).cloned()).collect();
        if let ("CastLike", Some(Some(like @ Value::Seen(_)))) = (node.proto.op_type.as_str(), inputs.get_mut(1)) {
            // Of the second the type alone matters.
            *like = Value::Known(Arc::new(Tensor::float([0], vec![])));
        }
        let all = |kind: fn(&Value) -> bool| inputs.iter().flatten().all(kind);
        let outputs = node.proto.output.iter();
        if all(|v| matches!(v, Value::Known(_))) || node.proto.op_type == "Shape" || node.proto.op_type == "Size" {
            for (name, tensor) in outputs.zip(self.folded(node, &inputs)?) {
                let tensor = Arc::new(tensor);
                self.host.folded(name, tensor.clone());
                self.values.insert(name, Value::Known(tensor));
            }
            return Ok(());
        }
        if all(|v| !matches!(v, Value::Seen(_))) {
            let given = inputs.iter().map(|v| match v {
                Some(Value::Known(t) | Value::Told(t)) => Some(&**t),
                _ => None,
            });
            for (name, tensor) in outputs.zip(ops::evaluate(self.file, node, given.collect(), &self.budget)?) {
                self.host.made(name, number);
                self.values.insert(name, Value::Told(Arc::new(tensor)));
            }
            return Ok(());
        }
        let op = node.proto.op_type.as_str();
        let rule = rule(op)
            .ok_or_else(|| format!("{op} of something that depends on x {}", why_not(op)))
            .map_err(|message| Error::invalid(format!("node '{}'", node.name), message))?;
        let known: Vec<Option<Arc<Tensor>>> =
            inputs.iter().map(|v| if let Some(Value::Known(t)) = v { Some(t.clone()) } else { None }).collect();
        let budget = Budget::of(self.file.bytes);
        let known = known.iter().map(|t| t.as_deref()).collect();
        let call = Call { node, opset: self.file.opset, inputs: known, budget: &budget };
        let made = rule(self, &Step { node, call, inputs: inputs.clone(), names })?;
        for (name, seen) in outputs.zip(made) {
            viewed(&seen.view.shape())?;
            self.values.insert(name, Value::Seen(seen));
        }
        Ok(())
    }

    /// Constants of constants; and shapes, which are always known.
    fn folded(&self, node: &Node, inputs: &[Option<Value>]) -> Result<Vec<Tensor>> {
        let shaped = |v: &Value| match v {
            Value::Known(t) | Value::Told(t) => t.clone(),
            Value::Seen(seen) => Arc::new(Tensor::bool(seen.view.shape(), vec![])),
        };
        let given: Vec<Option<Arc<Tensor>>> = inputs.iter().map(|v| v.as_ref().map(shaped)).collect();
        if node.proto.op_type == "Size" {
            let n = given.first().and_then(Option::as_ref).map_or(1, |t| t.shape.iter().product::<usize>());
            return Ok(vec![Tensor::int([], vec![n as i64])]);
        }
        ops::evaluate(self.file, node, given.iter().map(|t| t.as_deref()).collect(), &self.budget)
    }

    /// Whether a later node reads this one of the graph, too.
    fn is_shared(&self, node: NodeId) -> bool {
        let later = |name: &&str| self.last.get(*name).is_some_and(|last| *last > self.at);
        let seen = self.values.iter().filter(|(_, v)| matches!(v, Value::Seen(seen) if seen.node == node));
        seen.map(|(name, _)| name).any(later)
    }

    /// Appends an op of one input or several.
    fn push(&mut self, name: String, op: impl crate::ops::Op + 'static, inputs: &[NodeId]) -> Result<NodeId> {
        let node = self.graph.push(name, op, inputs)?;
        let Shape { c, h, w } = self.graph.shape(node);
        viewed(&[c, h, w])?;
        viewed(&[h.saturating_mul(w)])?;
        Ok(node)
    }

    fn finish(mut self, roles: &Roles) -> Result<(Graph, NodeId)> {
        let place = || format!("output '{}'", roles.output);
        let seen = match self.values.get(roles.output.as_str()).cloned() {
            Some(Value::Seen(seen)) => seen,
            Some(_) => return Err(Error::invalid(place(), "does not depend on x")),
            None => return Err(Error::invalid(place(), "is not there")),
        };
        let seen = self.taken(roles, seen)?;
        let shape = seen.view.shape();
        let fail = || Error::invalid(place(), format!("{shape:?}: expected a batch of one and one to three axes"));
        let output = image(&shape).ok_or_else(fail)?;
        // Flat outputs are in the file's order: channels before rows and columns.
        let (channels, order): (Vec<usize>, Vec<usize>) = match shape.len() {
            2 => (vec![1], vec![0]),
            3 => (vec![0], vec![1, 2]),
            _ => (vec![1], vec![0, 2, 3]),
        };
        let laid = self.laid("output", &seen, &channels, Some(&order), Some((output.h, output.w)))?;
        self.host.finish(&mut self.graph.rows)?;
        Ok((self.graph, laid.node))
    }
}

impl Import<'_> {
    /// The channels of the output that are meant.
    fn taken(&self, roles: &Roles, seen: Seen) -> Result<Seen> {
        let Some(count) = roles.channels else { return Ok(seen) };
        let shape = seen.view.shape();
        let fail = |message: String| Error::invalid(format!("output '{}'", roles.output), message);
        let axis = 1;
        match shape.get(axis) {
            Some(&whole) if (1..=whole).contains(&count) => {
                let view = seen.view.sliced(axis, 0, 1, count);
                Ok(Seen { view: view.ok_or_else(|| fail(format!("its first {count} channels lie apart")))?, ..seen })
            }
            _ => {
                Err(fail(format!("{shape:?}: {count} channels are asked for, expected at most as many as axis 1 has")))
            }
        }
    }
}

/// Why an operator has no rule.
fn why_not(op: &str) -> &'static str {
    match op {
        "ArgMax" | "ArgMin" => "has no derivative",
        "Floor" | "Ceil" | "Round" | "Sign" | "Mod" | "Equal" | "And" | "Or" | "Xor" | "Not" | "IsNaN" => {
            "has no useful derivative"
        }
        "Shape" | "Size" | "Constant" => "is a constant whatever x is",
        _ => "is not supported",
    }
}
