//! Operators that make one number of many along axes: sums, means, norms, extremes; and softmax, which divides by a sum.
use super::Operator;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::Call;
use crate::onnx::tensor::{Data, Tensor, axis, count};

const KEEP: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

/// The table.
#[rustfmt::skip]
pub const OPERATORS: &[Operator] = &[
    Operator::call("ReduceSum",       KEEP, |c| reduced(c, sum)),
    Operator::call("ReduceMean",      KEEP, |c| reduced(c, |v| sum(v) * (1.0 / v.len() as f64))),
    Operator::call("ReduceSumSquare", KEEP, |c| reduced(c, squares)),
    Operator::call("ReduceL1",        KEEP, |c| reduced(c, sizes)),
    Operator::call("ReduceL2",        KEEP, |c| reduced(c, norm)),
    Operator::call("ReduceMax",       KEEP, |c| reduced(c, |v| extreme(v, |a, b| a > b))),
    Operator::call("ReduceMin",       KEEP, |c| reduced(c, |v| extreme(v, |a, b| a < b))),
    Operator::call("ReduceProd",      KEEP, |c| reduced(c, |v| v.iter().fold(Dual::constant(1.0), |p, &x| p * x))),
    Operator::call("ReduceLogSum",    KEEP, |c| reduced(c, |v| sum(v).ln())),
    Operator::call("ReduceLogSumExp", KEEP, |c| reduced(c, |v| { let m = extreme(v, |a, b| a > b).v; let m = if m.is_finite() { m } else { 0.0 }; v.iter().map(|&x| (x - Dual::constant(m)).exp()).sum::<Dual>().ln() + Dual::constant(m) })),
    Operator::call("ArgMax", &["axis", "keepdims", "select_last_index"], |c| place(c, |a, b| a > b)),
    Operator::call("ArgMin", &["axis", "keepdims", "select_last_index"], |c| place(c, |a, b| a < b)),
    Operator::call("Softmax", &["axis"], |c| soft(c, softmax)),
    Operator::call("LogSoftmax", &["axis"], |c| soft(c, |x, axis| along(x, axis, log_softmax_of))),
];

fn sum(v: &[Dual]) -> Dual {
    v.iter().copied().sum()
}

/// Of all |x|; at 0 the slope is 0.
pub fn sizes(v: &[Dual]) -> Dual {
    let size = |x: &Dual| if x.v == 0.0 { Dual::default() } else { *x * x.v.signum() };
    v.iter().map(size).sum()
}

fn squares(v: &[Dual]) -> Dual {
    v.iter().map(|&x| x * x).sum()
}

/// |v|; of zeros it has slope 0.
pub fn norm(v: &[Dual]) -> Dual {
    let squares = squares(v);
    if squares.v == 0.0 { Dual::default() } else { squares.sqrt() }
}

/// Of none, what every number is better than.
fn extreme(v: &[Dual], better: fn(f64, f64) -> bool) -> Dual {
    let none = if better(1.0, 0.0) { f64::NEG_INFINITY } else { f64::INFINITY };
    v.iter().copied().reduce(|a, b| if better(b.v, a.v) { b } else { a }).unwrap_or(Dual::constant(none))
}

/// Axes that a node reduces, ascending; none of a node that leaves its input as it is.
pub fn axes(call: &Call, rank: usize) -> Result<Option<Vec<usize>>> {
    let given = call.ints_or(1, "axes")?.unwrap_or_default();
    if given.is_empty() {
        return Ok((!call.flag("noop_with_empty_axes", false)?).then(|| (0..rank).collect()));
    }
    let mut axes = given.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(Some(axes))
}

/// The tensor with these axes last, its numbers in groups; and the shape of the groups.
pub fn grouped(x: &Tensor, axes: &[usize]) -> Result<(Tensor, usize)> {
    let kept = (0..x.shape.len()).filter(|i| !axes.contains(i));
    let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
    let size = count(&axes.iter().map(|&i| x.shape[i]).collect::<Vec<_>>())?;
    Ok((x.permuted(&order), size))
}

fn reduced(call: &Call, f: fn(&[Dual]) -> Dual) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let Some(axes) = axes(call, x.shape.len())? else { return Ok(vec![x.clone()]) };
    let back = match x.data {
        Data::Float(_) => None,
        Data::Int(_) => Some(7),
        Data::Bool(_) => Some(9),
    };
    let x = if back.is_some() { &super::elementwise::cast(x, 1)?[0] } else { x };
    let (ordered, size) = grouped(x, &axes)?;
    let shape = shape_without(&x.shape, &axes, call.flag("keepdims", true)?);
    let values = match size {
        0 => vec![f(&[]); call.budget.numbers(&shape)?],
        n => ordered.floats()?.chunks_exact(n).map(f).collect(),
    };
    let made = Tensor::float(shape, values);
    match back {
        // Of none, the extremes of truth values are the infinite ones.
        Some(9) => Ok(vec![Tensor::bool(made.shape.clone(), made.floats()?.iter().map(|x| x.v > 0.0).collect())]),
        Some(kind) => super::elementwise::cast(&made, kind),
        None => Ok(vec![made]),
    }
}

/// The shape without these axes, or with one number along each.
pub fn shape_without(x: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    (0..x.len()).filter(|i| keep || !axes.contains(i)).map(|i| if axes.contains(&i) { 1 } else { x[i] }).collect()
}

/// Where the extreme number along an axis is; no number, and so without a derivative.
fn place(call: &Call, better: fn(f64, f64) -> bool) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let along = [call.axis("axis", 0, x.shape.len())?];
    let last = call.flag("select_last_index", false)?;
    let float = super::elementwise::cast(x, 1)?;
    let (ordered, size) = grouped(&float[0], &along)?;
    if size == 0 {
        return Err(Error::invalid("input", format!("{:?} has no numbers along axis {}", x.shape, along[0])));
    }
    let first = |v: &[Dual]| {
        let wins = |a: usize, b: usize| better(v[b].v, v[a].v) || last && v[b].v == v[a].v;
        (1..v.len()).fold(0, |a, b| if wins(a, b) { b } else { a }) as i64
    };
    let places = ordered.floats()?.chunks_exact(size).map(first).collect();
    Ok(vec![Tensor::int(shape_without(&x.shape, &along, call.flag("keepdims", true)?), places)])
}

/// Before version 13 all axes from the given one on are one.
fn soft(call: &Call, f: fn(&Tensor, usize) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    if call.opset >= 13 {
        return Ok(vec![f(x, call.axis("axis", -1, x.shape.len())?)?]);
    }
    let axis = call.axis("axis", 1, x.shape.len())?;
    let flat = x.reshaped([count(&x.shape[..axis])?, count(&x.shape[axis..])?]);
    Ok(vec![f(&flat, 1)?.reshaped(x.shape.clone())])
}

/// A function of all numbers along an axis.
pub fn along(x: &Tensor, axis: usize, f: fn(&[Dual]) -> Vec<Dual>) -> Result<Tensor> {
    let (ordered, size) = grouped(x, &[axis])?;
    let values: Vec<Dual> = ordered.floats()?.chunks_exact(size.max(1)).flat_map(f).collect();
    // The axis goes back to its place.
    let rank = x.shape.len();
    let back: Vec<usize> = (0..rank)
        .map(|i| {
            if i == axis {
                rank - 1
            } else if i < axis {
                i
            } else {
                i - 1
            }
        })
        .collect();
    Ok(Tensor::float(ordered.shape, values).permuted(&back))
}

/// e^x over the sum of all along an axis.
pub fn softmax(x: &Tensor, axis: usize) -> Result<Tensor> {
    along(x, axis, |v| {
        let most = Dual::constant(extreme(v, |a, b| a > b).v);
        let powers: Vec<Dual> = v.iter().map(|&x| (x - most).exp()).collect();
        let sum = sum(&powers);
        powers.into_iter().map(|p| p / sum).collect()
    })
}

fn log_softmax_of(v: &[Dual]) -> Vec<Dual> {
    let most = Dual::constant(extreme(v, |a, b| a > b).v);
    let sum = v.iter().map(|&x| (x - most).exp()).sum::<Dual>().ln() + most;
    v.iter().map(|&x| x - sum).collect()
}
