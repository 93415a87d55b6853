//! Operators of the ONNX standard, one row each: what attributes it may have, and its values in f64 with a derivative along one
//! tangent. In: a node with its inputs on the host. Out: its outputs. Adding one is a row of a file's table.
mod attention;
pub mod conv;
pub mod einsum;
mod elementwise;
mod norm;
pub mod pool;
pub mod reduce;
pub mod resize;
pub mod select;
pub mod shape;
mod threads;

use super::budget::Budget;
use super::call::Call;
use super::file::{File, Node};
use super::tensor::Tensor;
use crate::dual::Dual;
use crate::error::{Error, Result};

/// An operator.
pub struct Operator {
    /// Its type.
    pub name: &'static str,
    /// Attributes that are read, or known to be without effect here; others are refused.
    pub attributes: &'static [&'static str],
    /// What it computes.
    pub rule: Rule,
}

/// What an operator computes.
#[derive(Clone, Copy)]
pub enum Rule {
    /// A function of each number: its value and its slope.
    Each(fn(f64) -> (f64, f64)),
    /// Whatever else.
    Call(fn(&Call) -> Result<Vec<Tensor>>),
}

impl Operator {
    const fn each(name: &'static str, rule: fn(f64) -> (f64, f64)) -> Self {
        Self { name, attributes: &[], rule: Rule::Each(rule) }
    }

    const fn call(
        name: &'static str,
        attributes: &'static [&'static str],
        rule: fn(&Call) -> Result<Vec<Tensor>>,
    ) -> Self {
        Self { name, attributes, rule: Rule::Call(rule) }
    }
}

/// Every operator, a table per file.
pub const OPERATORS: &[&[Operator]] = &[
    elementwise::OPERATORS,
    select::OPERATORS,
    shape::OPERATORS,
    conv::OPERATORS,
    einsum::OPERATORS,
    attention::OPERATORS,
    norm::OPERATORS,
    reduce::OPERATORS,
    pool::OPERATORS,
    resize::OPERATORS,
];

/// Operators that no network here can have, and what to do about it.
pub const REFUSED: &[(&str, &str)] = &[
    ("If", "control flow is not supported: export one branch, with what it depends on fixed"),
    (
        "Loop",
        "loops are not supported: export with the loop unrolled (torch.onnx.export with dynamo=True, or torch.jit.trace)",
    ),
    ("Scan", "loops are not supported: export with the loop unrolled"),
    ("SequenceMap", "loops are not supported: export with the loop unrolled"),
    ("RandomNormal", "makes the output random, which has no exact Jacobian: export in evaluation mode"),
    ("RandomNormalLike", "makes the output random, which has no exact Jacobian: export in evaluation mode"),
    ("RandomUniform", "makes the output random, which has no exact Jacobian: export in evaluation mode"),
    ("RandomUniformLike", "makes the output random, which has no exact Jacobian: export in evaluation mode"),
    ("Bernoulli", "makes the output random, which has no exact Jacobian: export in evaluation mode"),
    ("Multinomial", "makes the output random, which has no exact Jacobian: export in evaluation mode"),
    ("DynamicQuantizeLinear", "quantised activations have no useful derivative: export the floating-point model"),
    ("QuantizeLinear", "quantised activations have no useful derivative: export the floating-point model"),
    ("ConvInteger", "quantised activations have no useful derivative: export the floating-point model"),
    ("MatMulInteger", "quantised activations have no useful derivative: export the floating-point model"),
    ("QLinearConv", "quantised activations have no useful derivative: export the floating-point model"),
    ("QLinearMatMul", "quantised activations have no useful derivative: export the floating-point model"),
    ("NonZero", "the size of its output depends on values of its input, which is not supported"),
    ("Unique", "the size of its output depends on values of its input, which is not supported"),
    ("Compress", "the size of its output depends on values of its input, which is not supported"),
    ("NonMaxSuppression", "the size of its output depends on values of its input, which is not supported"),
];

/// The operator of a node, whose attributes are all known.
pub fn find(node: &Node) -> Result<&'static Operator> {
    let proto = &node.proto;
    let place = || format!("node '{}'", node.name);
    let name = proto.op_type.as_str();
    if !proto.domain.is_empty() && proto.domain != "ai.onnx" {
        let message = format!("operator {name} of domain '{}' is not one of the ONNX standard's", proto.domain);
        return Err(Error::invalid(place(), message));
    }
    if let Some((_, why)) = REFUSED.iter().find(|row| row.0 == name) {
        return Err(Error::invalid(place(), format!("{name}: {why}")));
    }
    let Some(operator) = OPERATORS.iter().flat_map(|table| table.iter()).find(|o| o.name == name) else {
        let near = nearest(name).map_or(String::new(), |near| format!("; the nearest that is: {near}"));
        return Err(Error::invalid(place(), format!("operator {name} is not supported{near}")));
    };
    match proto.attribute.iter().find(|a| !operator.attributes.contains(&a.name.as_str())) {
        Some(unknown) => {
            let known = match operator.attributes {
                [] => "none".to_string(),
                known => known.join(", "),
            };
            let message = format!("attribute '{}' of {name} is not known, expected {known}", unknown.name);
            Err(Error::invalid(place(), message))
        }
        None => Ok(operator),
    }
}

/// The operator whose name is most like this one, if any is.
fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let alike = |o: &Operator| {
        let own = o.name.to_lowercase();
        let common = own.chars().zip(lower.chars()).take_while(|(a, b)| a == b).count();
        if own.contains(&lower) || lower.contains(&own) { own.len().min(lower.len()) } else { common }
    };
    let best = OPERATORS.iter().flat_map(|table| table.iter()).max_by_key(|o| alike(o))?;
    (alike(best) >= 4).then_some(best.name)
}

/// The outputs of a node on the host.
pub fn evaluate(file: &File, node: &Node, inputs: Vec<Option<&Tensor>>, budget: &Budget) -> Result<Vec<Tensor>> {
    let operator = find(node)?;
    let call = Call { node, opset: file.opset, inputs, budget };
    let made = || {
        budget.multiply(&[call.inputs.iter().flatten().map(|t| t.len()).sum()])?;
        let made = match operator.rule {
            Rule::Each(f) => each(&call, f),
            Rule::Call(f) => f(&call),
        }?;
        for tensor in &made {
            budget.numbers(&tensor.shape)?;
            budget.spend(tensor.len())?;
        }
        Ok(made)
    };
    made().map_err(|e: Error| Error::invalid(format!("node '{}' ({})", node.name, operator.name), e))
}

fn each(call: &Call, f: fn(f64) -> (f64, f64)) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    Ok(vec![mapped(x, f)?])
}

/// A function of each number, by its value and its slope.
fn mapped(x: &Tensor, f: impl Fn(f64) -> (f64, f64)) -> Result<Tensor> {
    let along = |x: &Dual| {
        let (v, slope) = f(x.v);
        // Where nothing moves, no slope matters: it may be infinite.
        Dual::new(v, if x.d == 0.0 { 0.0 } else { x.d * slope })
    };
    Ok(Tensor::float(x.shape.clone(), x.floats()?.iter().map(along).collect()))
}
