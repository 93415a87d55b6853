//! Normalisations: of channels, of groups of them, of layers, by mean squares; and the fixed one that training leaves behind.
use super::Operator;
use super::reduce::{axes, grouped, norm, sizes};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::{Call, size};
use crate::onnx::tensor::{Tensor, count};

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call("InstanceNormalization", &["epsilon"], instance),
    Operator::call("GroupNormalization", &["epsilon", "num_groups", "stash_type"], group),
    Operator::call("LayerNormalization", &["axis", "epsilon", "stash_type"], |c| layer(c, true)),
    Operator::call("RMSNormalization", &["axis", "epsilon", "stash_type"], |c| layer(c, false)),
    Operator::call("BatchNormalization", &["epsilon", "momentum", "spatial", "training_mode"], batch),
    Operator::call("LpNormalization", &["axis", "p"], lp),
    Operator::call("MeanVarianceNormalization", &["axes"], mean_variance),
];

/// (x - mean) / sqrt(var + epsilon) of all of them, or without the mean.
fn normal(v: &[Dual], epsilon: f64, centred: bool) -> Vec<Dual> {
    let per = 1.0 / v.len() as f64;
    let mean = if centred { v.iter().copied().sum::<Dual>() * per } else { Dual::default() };
    let var = v.iter().map(|&x| (x - mean) * (x - mean)).sum::<Dual>() * per;
    let r = Dual::constant(1.0) / (var + Dual::constant(epsilon)).sqrt();
    v.iter().map(|&x| (x - mean) * r).collect()
}

/// y w + b along the channel axis, 1.
fn by_channel(shape: &[usize], values: &[Dual], w: &[Dual], b: &[Dual]) -> Result<Tensor> {
    let (channels, pixels) = (shape[1], count(&shape[2..])?);
    if [w.len(), b.len()] != [channels; 2] {
        return Err(Error::invalid(
            "inputs",
            format!("{} gains and {} shifts for {channels} channels", w.len(), b.len()),
        ));
    }
    let channel = |i: usize| i / pixels.max(1) % channels;
    let scaled = values.iter().enumerate().map(|(i, &v)| v * w[channel(i)] + b[channel(i)]).collect();
    Ok(Tensor::float(shape.to_vec(), scaled))
}

/// A tensor of at least two axes.
fn with_channels<'a>(call: &Call<'a>) -> Result<&'a Tensor> {
    let x = call.input(0)?;
    match x.shape.len() {
        0 | 1 => Err(Error::invalid("input", format!("{:?}, expected two axes or more", x.shape))),
        _ => Ok(x),
    }
}

fn instance(call: &Call) -> Result<Vec<Tensor>> {
    let x = with_channels(call)?;
    let epsilon = call.float("epsilon", 1e-5)?;
    let pixels = count(&x.shape[2..])?.max(1);
    let values: Vec<Dual> = x.floats()?.chunks_exact(pixels).flat_map(|v| normal(v, epsilon, true)).collect();
    Ok(vec![by_channel(&x.shape, &values, call.input(1)?.floats()?, call.input(2)?.floats()?)?])
}

fn group(call: &Call) -> Result<Vec<Tensor>> {
    let x = with_channels(call)?;
    let (epsilon, groups) = (call.float("epsilon", 1e-5)?, size("num_groups", call.required("num_groups")?)?);
    let channels = x.shape[1];
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(Error::invalid("num_groups", format!("{channels} channels do not form {groups} equal groups")));
    }
    let each = count(&[channels / groups, count(&x.shape[2..])?])?.max(1);
    let values: Vec<Dual> = x.floats()?.chunks_exact(each).flat_map(|v| normal(v, epsilon, true)).collect();
    // Before version 21 there is a gain per group.
    let per_channel = |i: usize| -> Result<Vec<Dual>> {
        let given = call.input(i)?.floats()?;
        match call.opset < 21 && given.len() == groups {
            true => Ok((0..channels).map(|c| given[c / (channels / groups)]).collect()),
            false => Ok(given.to_vec()),
        }
    };
    Ok(vec![by_channel(&x.shape, &values, &per_channel(1)?, &per_channel(2)?)?])
}

fn layer(call: &Call, centred: bool) -> Result<Vec<Tensor>> {
    if call.outputs() > 1 {
        return Err(Error::invalid("outputs", "mean and deviation are not supported"));
    }
    let x = call.input(0)?;
    let (epsilon, first) = (call.float("epsilon", 1e-5)?, call.axis("axis", -1, x.shape.len())?);
    let each = count(&x.shape[first..])?.max(1);
    let values: Vec<Dual> = x.floats()?.chunks_exact(each).flat_map(|v| normal(v, epsilon, centred)).collect();
    let y = Tensor::float(x.shape.clone(), values);
    let fits = |t: &Tensor, name: &str| -> Result<Tensor> {
        match crate::onnx::tensor::broadcast(&x.shape, &t.shape) {
            Some(shape) if shape == x.shape => Ok(t.stretched(&shape)),
            _ => Err(Error::invalid(name, format!("{:?} cannot be stretched to {:?}", t.shape, x.shape))),
        }
    };
    let gain = fits(call.input(1)?, "scale")?;
    let mut scaled: Vec<Dual> = y.floats()?.iter().zip(gain.floats()?).map(|(&v, &g)| v * g).collect();
    if let Some(shift) = call.optional(2) {
        scaled.iter_mut().zip(fits(shift, "bias")?.floats()?).for_each(|(v, &h)| *v += h);
    }
    Ok(vec![Tensor::float(x.shape.clone(), scaled)])
}

fn batch(call: &Call) -> Result<Vec<Tensor>> {
    if call.flag("training_mode", false)? || call.outputs() > 1 {
        return Err(Error::invalid("training_mode", "is on: export after model.eval()"));
    }
    call.only("spatial", 1)?;
    let x = with_channels(call)?;
    let epsilon = call.float("epsilon", 1e-5)?;
    let [w, b, mean, var] = [1, 2, 3, 4].map(|i| call.input(i).and_then(|t| t.floats()));
    let (w, b, mean, var) = (w?, b?, mean?, var?);
    if [mean.len(), var.len(), w.len(), b.len()] != [x.shape[1]; 4] {
        return Err(Error::invalid(
            "inputs",
            format!("scale, bias, mean and variance are not of {} channels", x.shape[1]),
        ));
    }
    let gain: Vec<Dual> = w.iter().zip(var).map(|(&w, &v)| w / (v + Dual::constant(epsilon)).sqrt()).collect();
    let shift: Vec<Dual> = b.iter().zip(&gain).zip(mean).map(|((&b, &g), &m)| b - m * g).collect();
    Ok(vec![by_channel(&x.shape, x.floats()?, &gain, &shift)?])
}

/// x / |x| along an axis.
fn lp(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let axis = call.axis("axis", -1, x.shape.len())?;
    let f = match call.int("p", 2)? {
        1 => |v: &[Dual]| over(v, sizes(v)),
        2 => |v: &[Dual]| over(v, norm(v)),
        p => return Err(Error::invalid("p", format!("{p}, expected 1 or 2"))),
    };
    Ok(vec![super::reduce::along(x, axis, f)?])
}

/// All over one number, which is at least 1e-12, as PyTorch has it: zeros stay zeros.
fn over(v: &[Dual], size: Dual) -> Vec<Dual> {
    let size = if size.v > 1e-12 { size } else { Dual::constant(1e-12) };
    v.iter().map(|&x| x / size).collect()
}

fn mean_variance(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let along = match call.ints("axes")? {
        None if x.shape.len() == 4 => vec![0, 2, 3],
        _ => axes(call, x.shape.len())?.unwrap_or_default(),
    };
    let (ordered, size) = grouped(x, &along)?;
    let values: Vec<Dual> = ordered.floats()?.chunks_exact(size.max(1)).flat_map(|v| normal(v, 1e-9, true)).collect();
    let order: Vec<usize> = (0..x.shape.len()).filter(|i| !along.contains(i)).chain(along.iter().copied()).collect();
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &o)| back[o] = i);
    Ok(vec![Tensor::float(ordered.shape, values).permuted(&back)])
}
