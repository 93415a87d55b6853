//! Operators that pick, repeat and join numbers: slices, gathers, concatenations, paddings, choices between two tensors.
use super::Operator;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::{Call, size};
use crate::onnx::tensor::{Data, MOST_ALONG, Tensor, axis, broadcast, count, places, strides};

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call("Where", &[], choose),
    Operator::call("Gather", &["axis"], gather),
    Operator::call("GatherElements", &["axis"], gather_elements),
    Operator::call("Slice", &["starts", "ends", "axes"], |c| {
        let x = c.input(0)?;
        let (shape, places) = sliced(c, &x.shape)?.numbers(&x.shape);
        Ok(vec![x.at(shape, &places)])
    }),
    Operator::call("Split", &["axis", "split", "num_outputs"], split),
    Operator::call("Concat", &["axis"], concat),
    Operator::call("Expand", &[], |c| {
        let x = c.input(0)?;
        let shape = expanded(c, &x.shape)?;
        c.budget.numbers(&shape)?;
        Ok(vec![x.stretched(&shape)])
    }),
    Operator::call("Tile", &[], tile),
    Operator::call("Pad", &["mode", "pads", "value"], pad),
    Operator::call("OneHot", &["axis"], one_hot),
    Operator::call("Trilu", &["upper"], triangle),
    Operator::call("CumSum", &["exclusive", "reverse"], running),
];

fn choose(call: &Call) -> Result<Vec<Tensor>> {
    let [a, b] = call.together(call.input(1)?, call.input(2)?)?;
    let wanted = call.input(0)?;
    let shape = broadcast(&wanted.shape, &a.shape).ok_or_else(|| {
        Error::invalid("inputs", format!("condition {:?} and {:?} cannot be broadcast", wanted.shape, a.shape))
    })?;
    call.budget.numbers(&shape)?;
    let [wanted, a, b] = [wanted, &a, &b].map(|t| t.stretched(&shape));
    let pick = wanted.bools()?.iter();
    let data = match (&a.data, &b.data) {
        (Data::Float(a), Data::Float(b)) => {
            Data::Float(pick.enumerate().map(|(i, &w)| if w { a[i] } else { b[i] }).collect())
        }
        (Data::Int(a), Data::Int(b)) => {
            Data::Int(pick.enumerate().map(|(i, &w)| if w { a[i] } else { b[i] }).collect())
        }
        (Data::Bool(a), Data::Bool(b)) => {
            Data::Bool(pick.enumerate().map(|(i, &w)| if w { a[i] } else { b[i] }).collect())
        }
        (a, b) => return Err(Error::invalid("inputs", format!("{} and {}, expected one kind", a.kind(), b.kind()))),
    };
    Ok(vec![Tensor { shape, data }])
}

/// An index of a file, counted from the end where it is negative.
fn index(i: i64, n: usize) -> Result<usize> {
    let at = if i < 0 { i.checked_add(n as i64) } else { Some(i) };
    let at = at.and_then(|i| usize::try_from(i).ok()).filter(|i| *i < n);
    at.ok_or_else(|| Error::invalid("indices", format!("{i} of an axis of {n} numbers")))
}

fn gather(call: &Call) -> Result<Vec<Tensor>> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let (shape, picked) = gathered(call, &x.shape, indices)?;
    Ok(vec![x.at(shape, &picked)])
}

/// Shape and places of what `Gather` takes of a tensor of this shape.
pub fn gathered(call: &Call, x: &[usize], indices: &Tensor) -> Result<(Vec<usize>, Vec<usize>)> {
    let axis = call.axis("axis", 0, x.len())?;
    let chosen = indices.ints()?.iter().map(|&i| index(i, x[axis])).collect::<Result<Vec<_>>>()?;
    let shape = [&x[..axis], &indices.shape, &x[axis + 1..]].concat();
    let inner = count(&x[axis + 1..])?;
    let mut picked = Vec::with_capacity(call.budget.numbers(&shape)?);
    for outer in 0..count(&x[..axis])? {
        for &i in &chosen {
            let first = (outer * x[axis] + i) * inner;
            picked.extend(first..first + inner);
        }
    }
    Ok((shape, picked))
}

fn gather_elements(call: &Call) -> Result<Vec<Tensor>> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    Ok(vec![x.at(indices.shape.clone(), &elements(call, &x.shape, indices)?)])
}

/// Places of what `GatherElements` takes of a tensor of this shape.
pub fn elements(call: &Call, x: &[usize], indices: &Tensor) -> Result<Vec<usize>> {
    let axis = call.axis("axis", 0, x.len())?;
    let fits = x.len() == indices.shape.len()
        && x.iter().zip(&indices.shape).enumerate().all(|(i, (n, m))| i == axis || m <= n);
    if !fits {
        let message = format!("{:?} are no indices along axis {axis} of {x:?}", indices.shape);
        return Err(Error::invalid("indices", message));
    }
    let mut steps = strides(x);
    let step = std::mem::take(&mut steps[axis]);
    let own = places(&indices.shape, &steps, 0);
    indices.ints()?.iter().zip(own).map(|(&i, at)| Ok(at + index(i, x[axis])? * step as usize)).collect()
}

/// What a slice takes along every axis: first, step, how many.
pub struct Slices(pub Vec<(usize, i64, usize)>);

impl Slices {
    /// Shape of what is taken of a tensor of this shape, and places.
    pub fn numbers(&self, x: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let steps = strides(x);
        let first = self.0.iter().zip(&steps).map(|((first, ..), step)| *first as isize * step).sum();
        let shape: Vec<usize> = self.0.iter().map(|s| s.2).collect();
        let along: Vec<isize> = self.0.iter().zip(&steps).map(|((_, by, _), step)| *by as isize * step).collect();
        let places = places(&shape, &along, first);
        (shape, places)
    }
}

/// What `Slice` takes of a tensor of this shape.
pub fn sliced(call: &Call, x: &[usize]) -> Result<Slices> {
    let missing = |name: &str| Error::invalid(name, "is missing");
    let starts = call.ints_or(1, "starts")?.ok_or_else(|| missing("starts"))?;
    let ends = call.ints_or(2, "ends")?.ok_or_else(|| missing("ends"))?;
    let axes = call.ints_or(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = match call.optional(4) {
        Some(steps) => steps.ints()?.to_vec(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        let message =
            format!("{} starts, {} ends, {} axes and {} steps", starts.len(), ends.len(), axes.len(), steps.len());
        return Err(Error::invalid("inputs", message));
    }
    let mut taken: Vec<(usize, i64, usize)> = x.iter().map(|&n| (0, 1, n)).collect();
    for (((&start, &end), &along), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let along = axis(along, x.len())?;
        let n = x[along] as i64;
        if step == 0 {
            return Err(Error::invalid("steps", "0, expected another number"));
        }
        let at = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
        let (least, most) = if step > 0 { (0, n) } else { (-1, n - 1) };
        let (first, behind) = (at(start).clamp(least.max(0), most.max(0)), at(end).clamp(least, most));
        let length = if step > 0 { behind - first } else { first - behind };
        let count = (length.max(0) as u64).div_ceil(step.unsigned_abs()) as usize;
        // A step that is not taken may be any number.
        taken[along] = (first as usize, if count > 1 { step } else { step.signum() }, count);
    }
    Ok(Slices(taken))
}

/// Sizes of the parts along the axis.
pub fn parts(call: &Call, x: &[usize]) -> Result<(usize, Vec<usize>)> {
    let axis = call.axis("axis", 0, x.len())?;
    let outputs = call.node.proto.output.len();
    let sizes = match call.ints_or(1, "split")? {
        Some(given) => given.iter().map(|&n| size("split", n)).collect::<Result<Vec<_>>>()?,
        None => {
            let count = size("num_outputs", call.int("num_outputs", outputs as i64)?)?;
            if count != outputs {
                return Err(Error::invalid("num_outputs", format!("{count}, the node has {outputs} outputs")));
            }
            let each = x[axis].div_ceil(count.max(1));
            (0..count).map(|i| each.min(x[axis].saturating_sub(i * each))).collect()
        }
    };
    if sizes.len() != outputs || sizes.iter().sum::<usize>() != x[axis] {
        let message = format!("{} numbers in parts of {sizes:?} for {outputs} outputs", x[axis]);
        return Err(Error::invalid("split", message));
    }
    Ok((axis, sizes))
}

fn split(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let (axis, sizes) = parts(call, &x.shape)?;
    let mut first = 0;
    let part = |&n: &usize| {
        let taken = (0..x.shape.len()).map(|i| if i == axis { (first, 1, n) } else { (0, 1, x.shape[i]) }).collect();
        first += n;
        let (shape, places) = Slices(taken).numbers(&x.shape);
        x.at(shape, &places)
    };
    Ok(sizes.iter().map(part).collect())
}

fn concat(call: &Call) -> Result<Vec<Tensor>> {
    let all = (0..call.inputs.len()).map(|i| call.input(i)).collect::<Result<Vec<_>>>()?;
    let Some(first) = all.first() else { return Err(Error::invalid("inputs", "none given")) };
    let axis = axis(call.required("axis")?, first.shape.len())?;
    let alike = |t: &Tensor| {
        t.shape.len() == first.shape.len() && (0..t.shape.len()).all(|i| i == axis || t.shape[i] == first.shape[i])
    };
    if let Some(other) = all.iter().find(|t| !alike(t)) {
        let message = format!("{:?} and {:?} cannot be joined along axis {axis}", first.shape, other.shape);
        return Err(Error::invalid("inputs", message));
    }
    let mut shape = first.shape.clone();
    shape[axis] = all.iter().map(|t| t.shape[axis]).sum();
    let total = call.budget.numbers(&shape)?;
    let (outer, kinds) = (count(&shape[..axis])?, all.iter().map(|t| t.data.kind()).collect::<Vec<_>>());
    if let Some(other) = kinds.iter().find(|k| **k != kinds[0]) {
        return Err(Error::invalid("inputs", format!("{} and {other}, expected one kind", kinds[0])));
    }
    // All numbers behind each other, then in their order.
    let data = match &first.data {
        Data::Float(_) => Data::Float(all.iter().map(|t| t.floats()).collect::<Result<Vec<_>>>()?.concat()),
        Data::Int(_) => Data::Int(all.iter().map(|t| t.ints()).collect::<Result<Vec<_>>>()?.concat()),
        Data::Bool(_) => Data::Bool(all.iter().map(|t| t.bools()).collect::<Result<Vec<_>>>()?.concat()),
    };
    let mut order = Vec::with_capacity(total);
    for o in 0..outer {
        let mut before = 0;
        for t in &all {
            let run = t.len() / outer.max(1);
            order.extend(before + o * run..before + (o + 1) * run);
            before += t.len();
        }
    }
    let joined = Tensor { shape: vec![order.len()], data };
    Ok(vec![joined.at(shape, &order)])
}

/// The shape that `Expand` stretches a tensor of this one to.
pub fn expanded(call: &Call, x: &[usize]) -> Result<Vec<usize>> {
    let asked = call.input(1)?.ints()?.iter().map(|&n| size("shape", n)).collect::<Result<Vec<_>>>()?;
    let shape = broadcast(x, &asked)
        .ok_or_else(|| Error::invalid("shape", format!("{x:?} cannot be stretched to {asked:?}")))?;
    count(&shape)?;
    Ok(shape)
}

fn tile(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let repeats = call.input(1)?.ints()?.iter().map(|&n| size("repeats", n)).collect::<Result<Vec<_>>>()?;
    if repeats.len() != x.shape.len() {
        let message = format!("{} numbers for {} axes", repeats.len(), x.shape.len());
        return Err(Error::invalid("repeats", message));
    }
    // Axis by axis as two: the copies, then the numbers.
    let (steps, zipped) = (strides(&x.shape), x.shape.iter().zip(&repeats));
    let shape: Vec<usize> = zipped.clone().flat_map(|(&n, &r)| [r, n]).collect();
    let along: Vec<isize> = steps.iter().flat_map(|&s| [0, s]).collect();
    let whole: Vec<usize> = zipped.map(|(n, r)| n * r).collect();
    call.budget.numbers(&whole)?;
    Ok(vec![x.at(whole, &places(&shape, &along, 0))])
}

/// What is put before and behind every axis.
pub fn pads(call: &Call, rank: usize) -> Result<Vec<[i64; 2]>> {
    let given = call.ints_or(1, "pads")?.ok_or_else(|| Error::invalid("pads", "is missing"))?;
    let axes = match call.optional(3) {
        Some(axes) => axes.ints()?.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        let message = format!("has {} numbers, {} axes want {}", given.len(), axes.len(), 2 * axes.len());
        return Err(Error::invalid("pads", message));
    }
    let mut pads = vec![[0; 2]; rank];
    axes.iter().enumerate().for_each(|(i, &a)| pads[a] = [given[i], given[i + axes.len()]]);
    match pads.iter().flatten().find(|n| n.unsigned_abs() > MOST_ALONG as u64) {
        Some(wide) => Err(Error::invalid("pads", format!("{wide}, expected at most {MOST_ALONG}"))),
        None => Ok(pads),
    }
}

/// The shape that pads make of this one.
pub fn padded(x: &[usize], pads: &[[i64; 2]]) -> Result<Vec<usize>> {
    let along = |(&n, &[before, behind]): (&usize, &[i64; 2])| {
        let wrong = || Error::invalid("pads", format!("{before} and {behind} around an axis of {n} numbers"));
        usize::try_from(n as i64 + before + behind).map_err(|_| wrong())
    };
    x.iter().zip(pads).map(along).collect()
}

fn pad(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let pads = pads(call, x.shape.len())?;
    let mode = call.one_of("mode", "constant", &["constant", "edge", "reflect", "wrap"])?;
    let shape = padded(&x.shape, &pads)?;
    let (total, steps) = (call.budget.numbers(&shape)?, strides(&x.shape));
    // Along every axis the place that each number of the result is taken from; none for a constant.
    let along = |((&n, &size), &[before, _]): ((&usize, &usize), &[i64; 2])| {
        (0..size as i64).map(|i| source(i - before, n as i64, &mode)).collect()
    };
    let taken: Vec<Vec<Option<usize>>> = x.shape.iter().zip(&shape).zip(&pads).map(along).collect();
    let mut from = vec![Some(0usize)];
    for (axis, step) in taken.iter().zip(&steps) {
        let next = |at: Option<usize>, i: &Option<usize>| Some(at? + (*i)? * *step as usize);
        from = from.iter().flat_map(|&at| axis.iter().map(move |i| next(at, i))).collect();
    }
    debug_assert_eq!(from.len(), total);
    let data = match &x.data {
        Data::Float(v) => {
            let own = || call.float("value", 0.0).map(Dual::constant);
            let fill = call.optional(2).map_or_else(own, Tensor::moving)?;
            Data::Float(from.iter().map(|at| at.map_or(fill, |i| v[i])).collect())
        }
        Data::Int(v) => {
            let fill = call.optional(2).map_or(Ok(0.0), Tensor::one)? as i64;
            Data::Int(from.iter().map(|at| at.map_or(fill, |i| v[i])).collect())
        }
        Data::Bool(v) => Data::Bool(from.iter().map(|at| at.is_some_and(|i| v[i])).collect()),
    };
    Ok(vec![Tensor { shape, data }])
}

/// The place in an axis of n numbers that place i beside or in it is taken from.
pub fn source(i: i64, n: i64, mode: &str) -> Option<usize> {
    let at = match mode {
        _ if (0..n).contains(&i) => i,
        "constant" => return None,
        _ if n == 0 => return None,
        "edge" => i.clamp(0, n - 1),
        "wrap" => i.rem_euclid(n),
        _ if n == 1 => 0,
        _ => {
            let at = i.rem_euclid(2 * (n - 1));
            at.min(2 * (n - 1) - at)
        }
    };
    usize::try_from(at).ok()
}

fn one_hot(call: &Call) -> Result<Vec<Tensor>> {
    let (indices, depth, values) = (call.input(0)?, call.input(1)?.one()?, call.input(2)?);
    let rank = indices.shape.len() + 1;
    let (axis, depth) = (call.axis("axis", -1, rank)?, depth as i64);
    let n = size("depth", depth)?;
    let wanted: Vec<i64> = match &indices.data {
        Data::Int(v) => v.clone(),
        _ => indices.floats()?.iter().map(|x| x.v as i64).collect(),
    };
    let (outer, inner) = (count(&indices.shape[..axis])?, count(&indices.shape[axis..])?);
    let mut shape = indices.shape.clone();
    shape.insert(axis, n);
    call.budget.numbers(&shape)?;
    let hot = |at: usize| {
        let (o, rest) = (at / (n * inner), at % (n * inner));
        let i = wanted[o * inner + rest % inner];
        usize::from((if i < 0 { i + depth } else { i }) == (rest / inner) as i64)
    };
    let picks: Vec<usize> = (0..outer * n * inner).map(hot).collect();
    match values.len() {
        2 => Ok(vec![values.at(shape, &picks)]),
        found => Err(Error::invalid("values", format!("{found} numbers, expected 2: off and on"))),
    }
}

fn triangle(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let &[.., rows, columns] = &x.shape[..] else {
        return Err(Error::invalid("input", format!("of shape {:?}, expected two axes or more", x.shape)));
    };
    let (k, upper) = (call.optional(1).map_or(Ok(0.0), Tensor::one)? as i64, call.flag("upper", true)?);
    let kept = |i: usize| {
        let (row, column) = ((i / columns % rows) as i64, (i % columns) as i64);
        if upper { column - row >= k } else { column - row <= k }
    };
    let data = match &x.data {
        Data::Float(v) => {
            Data::Float(v.iter().enumerate().map(|(i, &v)| if kept(i) { v } else { Dual::default() }).collect())
        }
        Data::Int(v) => Data::Int(v.iter().enumerate().map(|(i, &v)| if kept(i) { v } else { 0 }).collect()),
        Data::Bool(v) => Data::Bool(v.iter().enumerate().map(|(i, &v)| v && kept(i)).collect()),
    };
    Ok(vec![Tensor { shape: x.shape.clone(), data }])
}

/// Sums along an axis of all numbers so far.
fn running(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let along = axis(call.input(1)?.one()? as i64, x.shape.len())?;
    let (exclusive, reverse) = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    let (n, inner) = (x.shape[along], count(&x.shape[along + 1..])?);
    let mut values = match &x.data {
        Data::Int(v) => v.iter().map(|&n| Dual::constant(n as f64)).collect(),
        _ => x.floats()?.to_vec(),
    };
    for first in (0..x.len()).filter(|at| at / inner % n == 0) {
        let mut sum = Dual::default();
        for i in 0..n {
            let at = first + inner * if reverse { n - 1 - i } else { i };
            let next = sum + values[at];
            values[at] = if exclusive { sum } else { next };
            sum = next;
        }
    }
    let summed = Tensor::float(x.shape.clone(), values);
    match x.data {
        Data::Int(_) => super::elementwise::cast(&summed, 7),
        _ => Ok(vec![summed]),
    }
}
