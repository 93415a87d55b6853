//! Gains and shifts of channels, fixed or functions of the label: the norm, the convolution or the sum before them takes them in where it
//! can; else they are a step of their own. In: a node, and numbers for its channels. Out: the node that is scaled.
use super::Import;
use super::host::{Source, Turned};
use crate::dual::Dual;
use crate::error::Result;
use crate::graph::NodeId;
use crate::onnx::tensor::Tensor;
use crate::ops::add::Add;
use crate::ops::add_row::AddRow;
use crate::ops::affine::Affine;
use crate::ops::attention_logits::AttentionLogits;
use crate::ops::conv::Conv;
use crate::ops::depthwise::Depthwise;
use crate::ops::group_norm::GroupNorm;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::modulate::Modulate;
use crate::ops::rms_norm::RmsNorm;
use crate::ops::scale::Scale;
use crate::ops::softmax::Softmax;
use std::sync::Arc;

/// A number for each channel.
#[derive(Clone, Debug)]
pub(super) enum Factor {
    /// The same at every label.
    Fixed(Vec<f64>),
    /// A row of the host's.
    Row(usize),
}

impl Factor {
    /// The same for all channels.
    pub(super) fn all(v: f64, channels: usize) -> Self {
        Self::Fixed(vec![v; channels])
    }

    /// The number, if it is the same for all channels and labels.
    fn one(&self) -> Option<f64> {
        match self {
            Self::Fixed(all) => all.first().copied().filter(|first| all.iter().all(|v| v == first)),
            Self::Row(_) => None,
        }
    }

    fn is(&self, v: f64) -> bool {
        self.one() == Some(v)
    }

    /// The numbers, if f32 holds each of them exactly: the twin is as exact as the file.
    fn exact(&self) -> Option<Arc<[f32]>> {
        match self {
            Self::Fixed(all) => all.iter().map(|&v| Some(v as f32).filter(|f| f64::from(*f) == v)).collect(),
            Self::Row(_) => None,
        }
    }

    /// Of two that are fixed.
    fn of(&self, other: &Self, f: fn(f64, f64) -> f64) -> Option<Self> {
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => Some(Self::Fixed(a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect())),
            _ => None,
        }
    }
}

/// Ones and zeros.
pub(super) fn plain(channels: usize) -> Scale {
    Scale::Fixed { gain: vec![1.0; channels].into(), shift: vec![0.0; channels].into() }
}

/// As an op has them.
fn own(scale: &Scale, channels: usize) -> [Factor; 2] {
    let fixed = |v: &[f32]| Factor::Fixed(v.iter().map(|&v| f64::from(v)).collect());
    match scale {
        Scale::Fixed { gain, shift } => [fixed(gain), fixed(shift)],
        &Scale::Rows { gain, shift } => [Factor::Row(gain), shift.map_or(Factor::all(0.0, channels), Factor::Row)],
    }
}

impl Import<'_> {
    /// gain x + shift, by channel.
    pub(super) fn scaled(&mut self, name: &str, x: NodeId, gain: Factor, shift: Factor) -> Result<NodeId> {
        if gain.is(1.0) && shift.is(0.0) {
            return Ok(x);
        }
        if let Some(node) = self.taken_in(name, x, &gain, &shift)? {
            return Ok(node);
        }
        self.step_of(name, x, gain, shift)
    }

    /// The same of a number for all channels.
    pub(super) fn scaled_by(&mut self, name: &str, x: NodeId, gain: f64, shift: f64) -> Result<NodeId> {
        let channels = self.graph.shape(x).c;
        self.scaled(name, x, Factor::all(gain, channels), Factor::all(shift, channels))
    }

    /// By the op that makes x, if that can.
    fn taken_in(&mut self, name: &str, x: NodeId, gain: &Factor, shift: &Factor) -> Result<Option<NodeId>> {
        let of = self.graph.nodes[x.0].clone();
        let (op, inputs) = (&of.op, &of.inputs[..]);
        let before = match (op.downcast::<Modulate>(), op.downcast::<Affine>()) {
            (Some(modulate), _) => Some(own(&modulate.scale, of.shape.c)),
            (_, Some(&Affine { gain, table: None, shift })) => Some([gain, shift].map(|v| Factor::all(v, of.shape.c))),
            _ => None,
        };
        if let Some(before) = before {
            let [gain, shift] = self.both(name, before, gain, shift);
            return self.step_of(name, inputs[0], gain, shift).map(Some);
        }
        if let Some(norm) = op.downcast::<GroupNorm>() {
            let scale = self.composed(name, own(&norm.scale, of.shape.c), gain, shift)?;
            return self.push(name.into(), GroupNorm { scale, ..norm.clone() }, inputs).map(Some);
        }
        if let Some(norm) = op.downcast::<LayerNorm>() {
            let scale = self.composed(name, own(&norm.scale, of.shape.c), gain, shift)?;
            return self.push(name.into(), LayerNorm { scale, ..norm.clone() }, inputs).map(Some);
        }
        if let Some(norm) = op.downcast::<RmsNorm>().filter(|_| shift.is(0.0))
            && let Some(Factor::Fixed(gain)) = Factor::Fixed(norm.gain.to_vec()).of(gain, |a, b| a * b)
        {
            return self.push(name.into(), RmsNorm { gain: gain.into() }, inputs).map(Some);
        }
        // A norm of two scales is two norms, which take in what follows each; all else that others read too is made once.
        if self.is_shared(x) {
            return Ok(None);
        }
        if let Some(conv) = op.downcast::<Conv>().filter(|_| gain.is(1.0))
            && let own = Factor::Fixed(conv.bias.iter().map(|&b| f64::from(b)).collect())
            && let Some(bias) = own.of(shift, |a, b| a + b).and_then(|b| b.exact())
        {
            return self.push(name.into(), Conv { bias, ..conv.clone() }, inputs).map(Some);
        }
        let Some(by) = gain.one().filter(|_| shift.is(0.0)) else { return Ok(None) };
        if let Some(add) = op.downcast::<Add>() {
            return self.push(name.into(), Add { scales: add.scales.map(|s| s * by) }, inputs).map(Some);
        }
        if let Some(&AttentionLogits { heads, scale }) = op.downcast() {
            return self.push(name.into(), AttentionLogits { heads, scale: scale * by }, inputs).map(Some);
        }
        if let Some(softmax) = op.downcast::<Softmax>() {
            return self.push(name.into(), Softmax { scale: softmax.scale * by, ..softmax.clone() }, inputs).map(Some);
        }
        Ok(None)
    }

    /// A convolution with gains and shifts of what it makes, rounded to f32; none if the node is no convolution, or others read it.
    pub(super) fn in_weights(&mut self, name: &str, x: NodeId, gain: &[f64], shift: &[f64]) -> Result<Option<NodeId>> {
        if self.is_shared(x) {
            return Ok(None);
        }
        let of = self.graph.nodes[x.0].clone();
        let weights = |own: &[f32]| -> Arc<[f32]> {
            let each = own.len() / gain.len();
            own.iter().enumerate().map(|(i, &w)| (f64::from(w) * gain[i / each]) as f32).collect()
        };
        let biases = |own: &[f32]| -> Arc<[f32]> {
            own.iter().zip(gain.iter().zip(shift)).map(|(&b, (g, h))| (f64::from(b) * g + h) as f32).collect()
        };
        if let Some(conv) = of.op.downcast::<Conv>() {
            let op = Conv { weight: weights(&conv.weight), bias: biases(&conv.bias), ..conv.clone() };
            return self.push(name.into(), op, &of.inputs).map(Some);
        }
        if let Some(conv) = of.op.downcast::<Depthwise>() {
            let op = Depthwise { weight: weights(&conv.weight), bias: biases(&conv.bias), ..conv.clone() };
            return self.push(name.into(), op, &of.inputs).map(Some);
        }
        Ok(None)
    }

    /// A step that does nothing else.
    fn step_of(&mut self, name: &str, x: NodeId, gain: Factor, shift: Factor) -> Result<NodeId> {
        let channels = self.graph.shape(x).c;
        match (gain.one(), shift.one(), &shift) {
            (Some(1.0), Some(0.0), _) => Ok(x),
            (Some(gain), Some(shift), _) => self.push(name.into(), Affine { gain, table: None, shift }, &[x]),
            (Some(1.0), _, &Factor::Row(table)) => self.push(name.into(), AddRow { table, width: channels }, &[x]),
            _ => {
                let scale = self.scale(name, gain, shift);
                self.push(name.into(), Modulate { channels, scale }, &[x])
            }
        }
    }

    /// What is scaled by one and then by the other, as an op has it.
    fn composed(&mut self, name: &str, before: [Factor; 2], gain: &Factor, shift: &Factor) -> Result<Scale> {
        let [gain, shift] = self.both(name, before, gain, shift);
        Ok(self.scale(name, gain, shift))
    }

    /// g (a x + b) + h.
    fn both(&mut self, name: &str, [a, b]: [Factor; 2], g: &Factor, h: &Factor) -> [Factor; 2] {
        let gain = self.product(name, a, g.clone());
        let shift = self.product(name, b, g.clone());
        [gain, self.sum(name, shift, h.clone())]
    }

    fn product(&mut self, name: &str, a: Factor, b: Factor) -> Factor {
        match a.of(&b, |a, b| a * b) {
            Some(fixed) => fixed,
            None if a.is(1.0) || b.is(0.0) => b,
            None if b.is(1.0) || a.is(0.0) => a,
            None => {
                let rows = [self.row_of(name, a), self.row_of(name, b)];
                Factor::Row(self.host.product(format!("{name}.gain"), rows))
            }
        }
    }

    fn sum(&mut self, name: &str, a: Factor, b: Factor) -> Factor {
        match a.of(&b, |a, b| a + b) {
            Some(fixed) => fixed,
            None if a.is(0.0) => b,
            None if b.is(0.0) => a,
            None => {
                let rows = [self.row_of(name, a), self.row_of(name, b)];
                Factor::Row(self.host.sum(format!("{name}.shift"), rows))
            }
        }
    }

    fn scale(&mut self, name: &str, gain: Factor, shift: Factor) -> Scale {
        match (gain.exact(), shift.exact()) {
            (Some(gain), Some(shift)) => Scale::Fixed { gain, shift },
            _ => {
                let shift = (!shift.is(0.0)).then(|| self.row_of(name, shift));
                Scale::Rows { gain: self.row_of(name, gain), shift }
            }
        }
    }

    fn row_of(&mut self, name: &str, factor: Factor) -> usize {
        match factor {
            Factor::Row(row) => row,
            Factor::Fixed(values) => {
                let n = values.len();
                let tensor = Tensor::float([n], values.into_iter().map(Dual::constant).collect());
                self.host.row(name.into(), Source::Known(Arc::new(tensor)), (0..n).collect(), Turned::AsItIs)
            }
        }
    }
}
