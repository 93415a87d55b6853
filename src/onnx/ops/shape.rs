//! Operators that make shapes and constants, and those that see the same numbers in another shape or order.
use super::Operator;
use crate::error::{Error, Result};
use crate::onnx::call::{Call, size};
use crate::onnx::stored::Constant;
use crate::onnx::tensor::{Data, MOST_ALONG, Tensor, axis, count};

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call("Constant", &["value", "value_float", "value_floats", "value_int", "value_ints"], constant),
    Operator::call("ConstantOfShape", &["value"], constant_of_shape),
    Operator::call("Shape", &["start", "end"], shape),
    Operator::call("Size", &[], |c| Ok(vec![Tensor::int([], vec![c.input(0)?.len() as i64])])),
    Operator::call("Reshape", &["allowzero", "shape"], reshape),
    Operator::call("Flatten", &["axis"], flatten),
    Operator::call("Transpose", &["perm"], |c| {
        let x = c.input(0)?;
        Ok(vec![x.permuted(&order(c, x.shape.len())?)])
    }),
    Operator::call("Squeeze", &["axes"], |c| {
        let x = c.input(0)?;
        Ok(vec![x.reshaped(squeezed(c, &x.shape)?)])
    }),
    Operator::call("Unsqueeze", &["axes"], |c| {
        let x = c.input(0)?;
        Ok(vec![x.reshaped(unsqueezed(c, &x.shape)?)])
    }),
    Operator::call("Range", &["stash_type"], range),
    Operator::call("DepthToSpace", &["blocksize", "mode"], depth_to_space),
    Operator::call("SpaceToDepth", &["blocksize", "mode"], space_to_depth),
    Operator::call("EyeLike", &["dtype", "k"], eye),
];

fn constant(call: &Call) -> Result<Vec<Tensor>> {
    if let Some(tensor) = call.tensor("value")? {
        if tensor.data_location == 1 {
            return Err(Error::invalid("value", "its bytes are in another file, which only initializers may have"));
        }
        return Ok(vec![Constant::of(tensor)?.tensor()?]);
    }
    let floats = |v: &[f32]| v.iter().map(|&v| crate::dual::Dual::constant(f64::from(v))).collect();
    let has = |name: &str| call.node.proto.attribute.iter().any(|a| a.name == name);
    if has("value_float") {
        return Ok(vec![Tensor::number(call.float("value_float", 0.0)?)]);
    }
    if has("value_int") {
        return Ok(vec![Tensor::int([], vec![call.int("value_int", 0)?])]);
    }
    if let Some(v) = call.floats("value_floats")? {
        return Ok(vec![Tensor::float([v.len()], floats(&v))]);
    }
    match call.ints("value_ints")? {
        Some(v) => Ok(vec![Tensor::int([v.len()], v)]),
        None => Err(Error::invalid("attribute", "value is missing")),
    }
}

fn constant_of_shape(call: &Call) -> Result<Vec<Tensor>> {
    let shape = sizes(call.input(0)?.ints()?)?;
    let n = call.budget.numbers(&shape)?;
    let value = match call.tensor("value")? {
        Some(tensor) => Constant::of(tensor)?.tensor()?,
        None => Tensor::number(0.0),
    };
    if value.len() != 1 {
        return Err(Error::invalid("value", format!("has {} numbers, expected 1", value.len())));
    }
    Ok(vec![value.at(shape, &vec![0; n])])
}

/// Sizes along axes.
fn sizes(values: &[i64]) -> Result<Vec<usize>> {
    values.iter().map(|&n| size("shape", n)).collect()
}

fn shape(call: &Call) -> Result<Vec<Tensor>> {
    let shape = &call.input(0)?.shape;
    Ok(vec![shape_of(call, shape)?])
}

/// What `Shape` says of a tensor of this shape.
pub fn shape_of(call: &Call, shape: &[usize]) -> Result<Tensor> {
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| -> Result<usize> {
        let at = call.int(name, default)?;
        Ok((if at < 0 { at + rank } else { at }).clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let part: Vec<i64> = shape.get(start..end).unwrap_or_default().iter().map(|&n| n as i64).collect();
    Ok(Tensor::int([part.len()], part))
}

fn reshape(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    Ok(vec![x.reshaped(reshaped(call, &x.shape)?)])
}

/// The shape that `Reshape` gives a tensor of this one.
pub fn reshaped(call: &Call, from: &[usize]) -> Result<Vec<usize>> {
    let asked = call.ints_or(1, "shape")?.ok_or_else(|| Error::invalid("shape", "is missing"))?;
    let kept = !call.flag("allowzero", false)?;
    let mut open = None;
    let mut shape = Vec::with_capacity(asked.len());
    for (i, &n) in asked.iter().enumerate() {
        shape.push(match n {
            0 if kept => *from
                .get(i)
                .ok_or_else(|| Error::invalid("shape", format!("{asked:?}: 0 keeps an axis that {from:?} lacks")))?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            n => size("shape", n)?,
        });
    }
    let (all, rest) = (count(from)?, count(&shape)?);
    if let Some(i) = open {
        shape[i] = all.checked_div(rest).unwrap_or(0);
    }
    match count(&shape)? == all {
        true => Ok(shape),
        false => Err(Error::invalid("shape", format!("{from:?} cannot be seen as {asked:?}"))),
    }
}

fn flatten(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    Ok(vec![x.reshaped(flattened(call, &x.shape)?)])
}

/// The shape that `Flatten` gives a tensor of this one.
pub fn flattened(call: &Call, from: &[usize]) -> Result<Vec<usize>> {
    let at = match call.int("axis", 1)? {
        at if at == from.len() as i64 => from.len(),
        at => axis(at, from.len())?,
    };
    Ok(vec![count(&from[..at])?, count(&from[at..])?])
}

/// The order of axes that `Transpose` asks for.
pub fn order(call: &Call, rank: usize) -> Result<Vec<usize>> {
    let Some(perm) = call.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let order = perm.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    match sorted.into_iter().eq(0..rank) {
        true => Ok(order),
        false => Err(Error::invalid("perm", format!("{perm:?} is no order of {rank} axes"))),
    }
}

/// The shape without axes of one.
pub fn squeezed(call: &Call, from: &[usize]) -> Result<Vec<usize>> {
    let gone: Vec<usize> = match call.ints_or(1, "axes")? {
        Some(axes) => axes.iter().map(|&a| axis(a, from.len())).collect::<Result<_>>()?,
        None => (0..from.len()).filter(|&i| from[i] == 1).collect(),
    };
    if let Some(&wide) = gone.iter().find(|&&i| from[i] != 1) {
        return Err(Error::invalid("axes", format!("axis {wide} of {from:?} is not of one number")));
    }
    Ok((0..from.len()).filter(|i| !gone.contains(i)).map(|i| from[i]).collect())
}

/// The shape with axes of one besides.
pub fn unsqueezed(call: &Call, from: &[usize]) -> Result<Vec<usize>> {
    let axes = call.ints_or(1, "axes")?.ok_or_else(|| Error::invalid("axes", "is missing"))?;
    let rank = from.len() + axes.len();
    let mut new = axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>>>()?;
    new.sort_unstable();
    if new.windows(2).any(|w| w[0] == w[1]) {
        return Err(Error::invalid("axes", format!("{axes:?} names an axis twice")));
    }
    let mut shape = from.to_vec();
    new.into_iter().for_each(|at| shape.insert(at, 1));
    Ok(shape)
}

fn range(call: &Call) -> Result<Vec<Tensor>> {
    let (start, limit, delta) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (first, by) = (start.moving()?, delta.moving()?);
    let (a, b, step) = (first.v, limit.moving()?.v, by.v);
    let n = ((b - a) / step).ceil().max(0.0);
    if n.is_nan() || n > MOST_ALONG as f64 {
        return Err(Error::invalid("inputs", format!("{a} to {b} by {step} is no range of numbers that fit")));
    }
    let n = call.budget.numbers(&[n as usize])?;
    Ok(vec![match start.data {
        Data::Int(_) => Tensor::int([n], (0..n).map(|i| (a + i as f64 * step) as i64).collect()),
        _ => Tensor::float([n], (0..n).map(|i| first + by * i as f64).collect()),
    }])
}

/// The steps of `DepthToSpace`: a shape of six axes, their order, and the shape of the result.
pub fn deep(call: &Call, x: &[usize]) -> Result<([usize; 6], [usize; 6], [usize; 4])> {
    let b = block(call)?;
    let &[n, c, h, w] = x else { return Err(of_images(x)) };
    if !c.is_multiple_of(b * b) {
        return Err(Error::invalid("input", format!("{c} channels are no blocks of {b} x {b}")));
    }
    let rest = c / (b * b);
    let (seen, order) = match call.one_of("mode", "DCR", &["DCR", "CRD"])?.as_str() {
        "CRD" => ([n, rest, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        _ => ([n, b, b, rest, h, w], [0, 3, 4, 1, 5, 2]),
    };
    Ok((seen, order, [n, rest, h * b, w * b]))
}

/// The same of `SpaceToDepth`.
pub fn flat(call: &Call, x: &[usize]) -> Result<([usize; 6], [usize; 6], [usize; 4])> {
    let b = block(call)?;
    let &[n, c, h, w] = x else { return Err(of_images(x)) };
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return Err(Error::invalid("input", format!("{h} x {w} pixels are no blocks of {b} x {b}")));
    }
    let order = match call.one_of("mode", "DCR", &["DCR", "CRD"])?.as_str() {
        "CRD" => [0, 1, 3, 5, 2, 4],
        _ => [0, 3, 5, 1, 2, 4],
    };
    Ok(([n, c, h / b, b, w / b, b], order, [n, c * b * b, h / b, w / b]))
}

fn block(call: &Call) -> Result<usize> {
    match size("blocksize", call.required("blocksize")?)? {
        0 => Err(Error::invalid("blocksize", "0, expected 1 or more")),
        b => Ok(b),
    }
}

fn of_images(shape: &[usize]) -> Error {
    Error::invalid("input", format!("of shape {shape:?}, expected four axes"))
}

fn depth_to_space(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let (seen, order, shape) = deep(call, &x.shape)?;
    Ok(vec![x.reshaped(seen).permuted(&order).reshaped(shape)])
}

fn space_to_depth(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let (seen, order, shape) = flat(call, &x.shape)?;
    Ok(vec![x.reshaped(seen).permuted(&order).reshaped(shape)])
}

fn eye(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let &[rows, columns] = &x.shape[..] else {
        return Err(Error::invalid("input", format!("of shape {:?}, expected two axes", x.shape)));
    };
    let k = call.int("k", 0)?;
    let values = (0..rows * columns).map(|i| i64::from((i % columns) as i64 - (i / columns) as i64 == k)).collect();
    let ones = Tensor::int([rows, columns], values);
    let default = if matches!(x.data, Data::Float(_)) { 1 } else { 7 };
    super::elementwise::cast(&ones, call.int("dtype", default)?)
}
