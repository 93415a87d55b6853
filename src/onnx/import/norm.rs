//! Normalisations, wherever their groups lie: over channels of a pixel, over all pixels of some channels.
use super::scale::plain;
use super::{Import, Rule, Seen, Step};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::tensor::Tensor;
use crate::onnx::view::{Atom, Laid};
use crate::ops::group_norm::GroupNorm;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::rms_norm::RmsNorm;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("InstanceNormalization", instance),
    ("GroupNormalization", group),
    ("LayerNormalization", |i, s| layer(i, s, true)),
    ("RMSNormalization", |i, s| layer(i, s, false)),
    ("BatchNormalization", batch),
    ("LpNormalization", lp),
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
    if shape.len() < 3 || shape[0] != 1 {
        return Err(Error::invalid("input", format!("{shape:?}: expected a batch of one and two axes or more")));
    }
    let y = import.by_axis(&name, &x, epsilon)?;
    let [gain, shift] = [1, 2].map(|i| step.known(i).map(|t| along(&super::host::numbers(t), 1, shape.len())));
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
    let seen = x.view.reshaped(&[1, groups, rest]).ok_or_else(|| Error::invalid("input", "cannot be grouped"))?;
    let y = import.by_axis(&name, &Seen { view: seen, node: x.node }, epsilon)?;
    let view = y.view.reshaped(&shape).ok_or_else(|| Error::invalid("result", "cannot be seen"))?;
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
    Ok(vec![import.with_weights_of(&name, Seen { view, node: y.node }, &gain, Some(&shift))?])
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
    let gain: Vec<f64> = w.iter().zip(&var).map(|(w, v)| w / (v + epsilon).sqrt()).collect();
    let shift: Vec<f64> = b.iter().zip(&gain).zip(&mean).map(|((b, g), m)| b - m * g).collect();
    let rank = x.view.axes.len();
    if rank < 2 {
        return Err(Error::invalid("input", "expected two axes or more"));
    }
    // Behind a convolution it becomes part of that, rounded to f32, as exporters do it.
    if x.view.laid(&[1], None) == Laid::AsItIs
        && let Some(node) = import.in_weights(&name, x.node, &gain, &shift)?
    {
        return Ok(vec![Seen { node, ..x }]);
    }
    Ok(vec![import.with_weights_of(&name, x, &along(&gain, 1, rank), Some(&along(&shift, 1, rank)))?])
}

fn lp(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    step.call.only("p", 2)?;
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let axis = step.call.axis("axis", -1, x.view.axes.len())?;
    let x = import.laid(&name, &x, &[axis], None, None)?;
    let gain = vec![1.0; x.view.of.c].into();
    let node = import.push(name, RmsNorm { gain }, &[x.node])?;
    Ok(vec![Seen { node, ..x }])
}
