//! Normalisations, wherever their groups lie: over channels of a pixel, over all pixels of some channels.
use super::combine::Kind;
use super::reduce::What;
use super::scale::plain;
use super::{Import, Rule, Seen, Step};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::ops::reduce::axes;
use crate::onnx::tensor::{Tensor, broadcast};
use crate::onnx::view::{Atom, Laid};
use crate::ops::group_norm::GroupNorm;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::pointwise::Pointwise;
use crate::ops::rms_norm::RmsNorm;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("InstanceNormalization", instance),
    ("GroupNormalization", group),
    ("LayerNormalization", |i, s| layer(i, s, true)),
    ("RMSNormalization", |i, s| layer(i, s, false)),
    ("BatchNormalization", batch),
    ("LpNormalization", lp),
    ("MeanVarianceNormalization", mean_variance),
];

/// Gains along an axis, as a tensor that goes with one of this rank.
fn along(values: &[f64], axis: usize, rank: usize) -> Tensor {
    let mut shape = vec![1; rank];
    shape[axis] = values.len();
    Tensor::float(shape, values.iter().map(|&v| Dual::constant(v)).collect())
}

impl Import<'_> {
    /// Every index of axis 1 is normalised over all that is left.
    fn by_axis(&mut self, name: &str, x: &Seen, epsilon: f64) -> Result<Seen> {
        let groups = x.view.shape()[1];
        let x = match self.grouped(x, groups) {
            true => x.clone(),
            false => {
                let x = self.laid(name, x, &[1], None, None)?;
                self.whole(name, &x)?
            }
        };
        let channels = x.view.of.c;
        let node =
            self.push(name.to_string(), GroupNorm { channels, groups, epsilon, scale: plain(channels) }, &[x.node])?;
        Ok(Seen { node, ..x })
    }

    /// Whether axis 1 is what is outermost among the channels.
    fn grouped(&self, x: &Seen, groups: usize) -> bool {
        let c = x.view.of.c;
        let own = &x.view.axes[1];
        let outermost = match own[..] {
            [] => groups == 1,
            [Atom { size, stride }] => size == groups && stride as usize * groups == c,
            _ => false,
        };
        x.view.is_whole() && outermost
    }

    /// Gains and shifts of channels, where they are not 1 and 0.
    fn with_weights_of(&mut self, name: &str, mut y: Seen, gain: &Tensor, shift: Option<&Tensor>) -> Result<Seen> {
        let shape = y.view.shape();
        if let Some(other) =
            [Some(gain), shift].into_iter().flatten().find(|t| broadcast(&shape, &t.shape) != Some(shape.clone()))
        {
            return Err(Error::invalid("scale, bias", format!("{:?} does not fit {shape:?}", other.shape)));
        }
        if gain.floats()?.iter().any(|g| g.v != 1.0) {
            y = self.times_constant(&format!("{name}.gain"), &y, gain)?;
        }
        match shift {
            Some(shift) if shift.floats()?.iter().any(|h| h.v != 0.0) => {
                self.plus_constant(&format!("{name}.shift"), &y, shift, 1.0)
            }
            _ => Ok(y),
        }
    }
}

fn instance(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let (shape, epsilon) = (x.view.shape(), step.call.float("epsilon", 1e-5)?);
    if shape.len() < 3 {
        return Err(Error::invalid("input", format!("{shape:?}: expected three axes or more")));
    }
    // Every channel of a batch is normalised alone.
    let seen = [1, shape[0] * shape[1], shape[2..].iter().product()];
    let seen = if shape[0] == 1 { x } else { import.reshaped(&step.label("batch"), &x, &seen)? };
    let y = import.by_axis(&name, &seen, epsilon)?;
    let y = import.reshaped(&step.label("shape"), &y, &shape)?;
    let per_channel = |i: usize| -> Result<Tensor> {
        let given = super::host::numbers(step.known(i)?);
        match given.len() == shape[1] {
            true => Ok(along(&given, 1, shape.len())),
            false => Err(Error::invalid(step.name(i), format!("{} numbers, expected {}", given.len(), shape[1]))),
        }
    };
    let [gain, shift] = [1, 2].map(per_channel);
    Ok(vec![import.with_weights_of(&name, y, &gain?, Some(&shift?))?])
}

fn group(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let (shape, epsilon) = (x.view.shape(), step.call.float("epsilon", 1e-5)?);
    let groups = crate::onnx::call::size("num_groups", step.call.required("num_groups")?)?;
    let channels = shape.get(1).copied().unwrap_or(0);
    if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
        return Err(Error::invalid("num_groups", format!("{channels} channels do not form {groups} equal groups")));
    }
    let rest: usize = shape[2..].iter().product::<usize>() * channels / groups;
    let seen = import.reshaped(&step.label("groups"), &x, &[1, shape[0] * groups, rest])?;
    let y = import.by_axis(&name, &seen, epsilon)?;
    let y = import.reshaped(&step.label("shape"), &y, &shape)?;
    let per_channel = |i: usize| -> Result<Tensor> {
        let given = super::host::numbers(step.known(i)?);
        // Before version 21 there is a gain per group.
        let each = step.call.opset < 21 && given.len() == groups;
        if !each && given.len() != channels {
            let message = format!("{} numbers, expected {channels}, one a channel", given.len());
            return Err(Error::invalid(step.name(i), message));
        }
        let values: Vec<f64> =
            (0..channels).map(|c| if each { given[c / (channels / groups)] } else { given[c] }).collect();
        Ok(along(&values, 1, shape.len()))
    };
    let (gain, shift) = (per_channel(1)?, per_channel(2)?);
    Ok(vec![import.with_weights_of(&name, y, &gain, Some(&shift))?])
}

fn layer(import: &mut Import, step: &Step, centred: bool) -> Result<Vec<Seen>> {
    if step.call.outputs() > 1 {
        return Err(Error::invalid("outputs", "mean and deviation are not supported"));
    }
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let shape = x.view.shape();
    let (first, epsilon) = (step.call.axis("axis", -1, shape.len())?, step.call.float("epsilon", 1e-5)?);
    let axes: Vec<usize> = (first..shape.len()).collect();
    let all = shape[..first].iter().all(|&n| n == 1);
    let y = if all && centred && axes.len() > 1 {
        // Everything is one group, wherever it lies.
        let x = import.whole(&name, &x)?;
        let channels = x.view.of.c;
        let node =
            import.push(name.clone(), GroupNorm { channels, groups: 1, epsilon, scale: plain(channels) }, &[x.node])?;
        Seen { node, ..x }
    } else {
        let x = import.laid(&name, &x, &axes, None, None)?;
        let channels = x.view.of.c;
        let node =
            import.push(name.clone(), LayerNorm { channels, epsilon, centred, scale: plain(channels) }, &[x.node])?;
        Seen { node, ..x }
    };
    let shift = if step.inputs.get(2).is_some_and(Option::is_some) { Some(step.known(2)?) } else { None };
    Ok(vec![import.with_weights_of(&name, y, step.known(1)?, shift)?])
}

fn batch(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    if step.call.flag("training_mode", false)? || step.call.outputs() > 1 {
        return Err(Error::invalid("training_mode", "is on: export after model.eval()"));
    }
    step.call.only("spatial", 1)?;
    let (x, name, epsilon) = (step.seen(0)?.clone(), step.label(""), step.call.float("epsilon", 1e-5)?);
    let [w, b, mean, var] = [1, 2, 3, 4].map(|i| step.known(i).map(super::host::numbers));
    let (w, b, mean, var) = (w?, b?, mean?, var?);
    let rank = x.view.axes.len();
    if rank < 2 || [w.len(), b.len(), mean.len(), var.len()] != [x.view.shape()[1]; 4] {
        let message = format!("scale, bias, mean and variance are not of the channels of {:?}", x.view.shape());
        return Err(Error::invalid("inputs", message));
    }
    let gain: Vec<f64> = w.iter().zip(&var).map(|(w, v)| w / (v + epsilon).sqrt()).collect();
    let shift: Vec<f64> = b.iter().zip(&gain).zip(&mean).map(|((b, g), m)| b - m * g).collect();
    // Behind a convolution it becomes part of that, rounded to f32, as exporters do it.
    if x.view.laid(&[1], None) == Laid::AsItIs
        && let Some(node) = import.in_weights(&name, x.node, &gain, &shift)?
    {
        return Ok(vec![Seen { node, ..x }]);
    }
    Ok(vec![import.with_weights_of(&name, x, &along(&gain, 1, rank), Some(&along(&shift, 1, rank)))?])
}

fn lp(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let axis = step.call.axis("axis", -1, x.view.axes.len())?;
    match step.call.int("p", 2)? {
        1 => {
            let sizes = import.over(&step.label("sizes"), &x, &[axis], true, What::Sizes)?;
            let sizes = import.function(&step.label("size"), &sizes, Pointwise::Clip([1e-12, f32::MAX]))?;
            return Ok(vec![import.of_two(&name, &x, &sizes, Kind::Quotient)?]);
        }
        2 => {}
        p => return Err(Error::invalid("p", format!("{p}, expected 1 or 2"))),
    }
    let x = import.laid(&name, &x, &[axis], None, None)?;
    let gain = vec![1.0; x.view.of.c].into();
    let node = import.push(name, RmsNorm { gain }, &[x.node])?;
    Ok(vec![Seen { node, ..x }])
}

/// (x - mean) / sqrt(var + 1e-9) over some axes.
fn mean_variance(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, rank) = (step.seen(0)?.clone(), step.seen(0)?.view.axes.len());
    let along = match step.call.ints("axes")? {
        None if rank == 4 => vec![0, 2, 3],
        _ => axes(&step.call, rank)?.unwrap_or_default(),
    };
    let mean = import.over(&step.label("mean"), &x, &along, true, What::Mean)?;
    let centred = import.of_two(&step.label("centred"), &x, &mean, Kind::Sum([1.0, -1.0]))?;
    let squares = import.of_two(&step.label("squares"), &centred, &centred, Kind::Product)?;
    let variance = import.over(&step.label("variance"), &squares, &along, true, What::Mean)?;
    let above = import.affine(&step.label("above"), &variance, 1.0, 1e-9)?;
    let deviation = import.function(&step.label("deviation"), &above, Pointwise::Sqrt)?;
    Ok(vec![import.of_two(&step.label(""), &centred, &deviation, Kind::Quotient)?])
}
