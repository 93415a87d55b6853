//! Sums of products over named axes: Einsum, and MatMul and Gemm, which are two of its kinds.
use super::Operator;
use super::threads::parts;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::budget::Budget;
use crate::onnx::call::Call;
use crate::onnx::tensor::{Tensor, broadcast, places, strides};
use std::collections::BTreeMap;

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call("Einsum", &["equation"], einsum),
    Operator::call("MatMul", &[], |c| Ok(vec![matmul(c.budget, c.input(0)?, c.input(1)?)?])),
    Operator::call("Gemm", &["alpha", "beta", "transA", "transB"], gemm),
];

/// An equation: one letter per axis.
#[derive(Debug, PartialEq)]
pub struct Equation {
    /// Of every operand.
    pub operands: Vec<Vec<char>>,
    /// Of the result.
    pub result: Vec<char>,
}

impl Equation {
    /// Of the attribute's text, for operands of these ranks. An ellipsis becomes letters of its own.
    pub fn parse(text: &str, ranks: &[usize]) -> Result<Self> {
        let invalid = |message: String| Error::invalid("equation", format!("'{text}' {message}"));
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (given, result) = match plain.split_once("->") {
            Some((given, result)) => (given, Some(result)),
            None => (plain.as_str(), None),
        };
        let operands: Vec<&str> = given.split(',').collect();
        if operands.len() != ranks.len() {
            return Err(invalid(format!("names {} operands, {} are given", operands.len(), ranks.len())));
        }
        let letters = |term: &str| term.replace("...", "").chars().count();
        let open = operands
            .iter()
            .zip(ranks)
            .filter(|(term, _)| term.contains("..."))
            .map(|(term, &rank)| rank.checked_sub(letters(term)));
        let widest = open.clone().flatten().max().unwrap_or(0);
        // Letters that nobody writes.
        let hidden =
            |n: usize| (widest - n..widest).filter_map(|i| char::from_u32(0xE000 + i as u32)).collect::<Vec<_>>();
        let read = |term: &str, rest: usize| -> Result<Vec<char>> {
            let expanded = term.replacen("...", &hidden(rest).iter().collect::<String>(), 1);
            match expanded.chars().find(|c| !c.is_ascii_alphabetic() && !('\u{E000}'..'\u{F000}').contains(c)) {
                Some(c) => Err(invalid(format!("has '{c}', expected letters"))),
                None => Ok(expanded.chars().collect()),
            }
        };
        let mut read_operands = vec![];
        for (term, &rank) in operands.iter().zip(ranks) {
            let rest = if term.contains("...") { rank.checked_sub(letters(term)) } else { Some(0) };
            let axes = rest.map(|rest| read(term, rest)).transpose()?;
            read_operands.push(
                axes.filter(|axes| axes.len() == rank)
                    .ok_or_else(|| invalid(format!("names other axes than the {rank} of an operand")))?,
            );
        }
        let result = match result {
            Some(result) => read(result, if result.contains("...") { widest } else { 0 })?,
            None => {
                // Letters that come once, in the alphabet's order, behind those of the ellipsis.
                let mut seen = BTreeMap::new();
                read_operands.iter().flatten().for_each(|c| *seen.entry(*c).or_insert(0) += 1);
                let (own, others): (Vec<char>, Vec<char>) = seen.keys().partition(|c| !c.is_ascii());
                own.into_iter().chain(others.into_iter().filter(|c| seen[c] == 1)).collect()
            }
        };
        for (i, c) in result.iter().enumerate() {
            if result[..i].contains(c) {
                return Err(invalid(format!("has '{c}' twice in its result")));
            }
            if !read_operands.iter().any(|axes| axes.contains(c)) {
                return Err(invalid(format!("has '{c}' in its result, which is in no operand")));
            }
        }
        Ok(Self { operands: read_operands, result })
    }
}

/// Numbers of a result that a thread makes at a time.
const PART: usize = 256;

/// Sums of products, `[result]` of operands with these letters.
pub fn summed(budget: &Budget, equation: &Equation, operands: &[&Tensor]) -> Result<Tensor> {
    let mut sizes: BTreeMap<char, usize> = BTreeMap::new();
    for (axes, t) in equation.operands.iter().zip(operands) {
        for (c, &n) in axes.iter().zip(&t.shape) {
            match sizes.insert(*c, n) {
                Some(m) if m != n && m != 1 && n != 1 => {
                    return Err(Error::invalid(
                        "inputs",
                        format!("axis '{c}' has {m} numbers in one and {n} in another"),
                    ));
                }
                Some(m) => drop(sizes.insert(*c, if m == 1 { n } else { m })),
                None => {}
            }
        }
    }
    let shape: Vec<usize> = equation.result.iter().filter_map(|c| sizes.get(c).copied()).collect();
    let inner: Vec<(char, usize)> =
        sizes.iter().filter(|(c, _)| !equation.result.contains(c)).map(|(c, n)| (*c, *n)).collect();
    let inner_shape: Vec<usize> = inner.iter().map(|i| i.1).collect();
    let (total, terms) = (budget.numbers(&shape)?, budget.numbers(&inner_shape)?);
    budget.multiply(&[total, terms, operands.len()])?;
    // Of every operand, where the numbers of a result begin, and how far from there those of each term are.
    let mut found = vec![];
    for (axes, t) in equation.operands.iter().zip(operands) {
        let steps = strides(&t.shape);
        let step = |c: char| -> isize {
            axes.iter().zip(&steps).zip(&t.shape).filter(|((a, _), n)| **a == c && **n > 1).map(|((_, s), _)| s).sum()
        };
        let outer: Vec<isize> = equation.result.iter().map(|&c| step(c)).collect();
        let within: Vec<isize> = inner.iter().map(|i| step(i.0)).collect();
        found.push((t.floats()?, places(&shape, &outer, 0), places(&inner_shape, &within, 0)));
    }
    let value = |i: usize| -> Dual {
        match &found[..] {
            [(a, a0, at), (b, b0, bt)] => {
                let (a, b) = (&a[a0[i]..], &b[b0[i]..]);
                at.iter().zip(bt).map(|(&p, &q)| a[p] * b[q]).sum()
            }
            all => {
                let term =
                    |t: usize| all.iter().map(|(x, x0, xt)| x[x0[i] + xt[t]]).fold(Dual::constant(1.0), |p, v| p * v);
                (0..terms).map(term).sum()
            }
        }
    };
    let products = total.saturating_mul(terms);
    let made = parts(total.div_ceil(PART), products, |p| (p * PART..total.min((p + 1) * PART)).map(value).collect());
    Ok(Tensor::float(shape, made))
}

fn einsum(call: &Call) -> Result<Vec<Tensor>> {
    let operands = (0..call.inputs.len()).map(|i| call.input(i)).collect::<Result<Vec<_>>>()?;
    let ranks: Vec<usize> = operands.iter().map(|t| t.shape.len()).collect();
    Ok(vec![summed(call.budget, &Equation::parse(&call.text("equation", "")?, &ranks)?, &operands)?])
}

/// NumPy's product of matrices, whose outer axes are stretched to one shape.
pub fn matmul(budget: &Budget, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let wrong = || Error::invalid("inputs", format!("{:?} and {:?} cannot be multiplied", a.shape, b.shape));
    if a.shape.is_empty() || b.shape.is_empty() {
        return Err(wrong());
    }
    let rows = if a.shape.len() == 1 { a.reshaped([1, a.len()]) } else { a.clone() };
    let columns = if b.shape.len() == 1 { b.reshaped([b.len(), 1]) } else { b.clone() };
    let (ra, rb) = (rows.shape.len(), columns.shape.len());
    if rows.shape[ra - 1] != columns.shape[rb - 2] {
        return Err(wrong());
    }
    let outer = broadcast(&rows.shape[..ra - 2], &columns.shape[..rb - 2]).ok_or_else(wrong)?;
    let letter = |i: usize| char::from_u32(0xE000 + i as u32).unwrap_or('a');
    let of = |rank: usize, last: [char; 2]| -> Vec<char> {
        (0..outer.len()).skip(outer.len() + 2 - rank).map(letter).chain(last).collect()
    };
    let equation =
        Equation { operands: vec![of(ra, ['i', 'k']), of(rb, ['k', 'j'])], result: of(outer.len() + 2, ['i', 'j']) };
    let mut shape = outer.clone();
    if a.shape.len() > 1 {
        shape.push(a.shape[ra - 2]);
    }
    if b.shape.len() > 1 {
        shape.push(b.shape[rb - 1]);
    }
    Ok(summed(budget, &equation, &[&rows, &columns])?.reshaped(shape))
}

/// alpha A B + beta C.
fn gemm(call: &Call) -> Result<Vec<Tensor>> {
    let matrix = |i: usize, name: &str| -> Result<Tensor> {
        let t = call.input(i)?;
        match t.shape.len() {
            2 if call.flag(name, false)? => Ok(t.permuted(&[1, 0])),
            2 => Ok(t.clone()),
            rank => Err(Error::invalid("inputs", format!("{rank} axes, expected matrices"))),
        }
    };
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    let product = matmul(call.budget, &matrix(0, "transA")?, &matrix(1, "transB")?)?;
    let mut values: Vec<Dual> = product.floats()?.iter().map(|&v| v * alpha).collect();
    if let Some(c) = call.optional(2) {
        let shape = broadcast(&product.shape, &c.shape).filter(|s| *s == product.shape);
        let shape = shape
            .ok_or_else(|| Error::invalid("C", format!("{:?} cannot be stretched to {:?}", c.shape, product.shape)))?;
        let c = c.stretched(&shape);
        values.iter_mut().zip(c.floats()?).for_each(|(v, &c)| *v += c * beta);
    }
    Ok(vec![Tensor::float(product.shape, values)])
}
