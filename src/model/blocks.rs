//! What networks are built of: layers by the tensor names of their authors, pushed onto a graph. In: weights and a node.
//! Out: the node after it. Shapes come from the graph, so a family file says only what is peculiar to it.
use super::Weights;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::add::Add;
use crate::ops::add_row::AddRow;
use crate::ops::attention_logits::AttentionLogits;
use crate::ops::channels::Channels;
use crate::ops::conv::{Conv, Padding};
use crate::ops::group_norm::GroupNorm;
use crate::ops::mix::Mix;
use crate::ops::resample::Resample;
use crate::ops::scale::Scale;
use crate::ops::silu::Silu;
use crate::ops::softmax::Softmax;
use crate::rows::functions::Linear;
use crate::rows::{RowFunction, RowId};
use crate::shape::Shape;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Sizes beyond this are a damaged file, not a network.
const MAX_SIZE: usize = 1 << 14;

/// A graph that grows, and where its weights come from.
pub(super) struct Net<'a> {
    pub graph: Graph,
    pub weights: &'a Weights,
}

/// A convolution's geometry.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    pub side: usize,
    pub stride: usize,
    pub padding: usize,
    pub trailing: usize,
}

impl Geometry {
    /// Output as large as the input.
    pub const fn same(side: usize) -> Self {
        Self { side, stride: 1, padding: side / 2, trailing: 0 }
    }

    /// Half the size by a 3x3 convolution, zeros only below and to the right.
    pub const HALVE: Self = Self { side: 3, stride: 2, padding: 0, trailing: 1 };
}

/// A family's hyper-parameters.
pub(super) fn hyper<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|e| Error::invalid("hyper", e))
}

/// Refuses sizes that no network has; products of two of them cannot overflow.
pub(super) fn sane(sizes: impl IntoIterator<Item = usize>) -> Result<()> {
    match sizes.into_iter().find(|&n| n == 0 || n > MAX_SIZE) {
        None => Ok(()),
        Some(n) => Err(Error::invalid("hyper", format!("a size of {n}, expected 1..={MAX_SIZE}"))),
    }
}

/// Values of hyper-parameters that a configuration leaves out, for `serde(default = "..")`.
pub(super) mod defaults {
    pub const fn yes() -> bool {
        true
    }

    pub const fn one() -> f64 {
        1.0
    }

    pub const fn size<const N: usize>() -> usize {
        N
    }
}

impl<'a> Net<'a> {
    pub fn new(input: Shape, weights: &'a Weights) -> Self {
        Self { graph: Graph::new(input), weights }
    }

    pub fn channels(&self, x: NodeId) -> usize {
        self.graph.shape(x).c
    }

    /// `name.weight` `[out, in, side, side]` and `name.bias`.
    pub fn conv(&mut self, name: &str, x: NodeId, out: usize, geometry: Geometry) -> Result<NodeId> {
        let (side, channels) = (geometry.side, self.channels(x));
        let weight = self.weights.take(&format!("{name}.weight"), &[out, channels, side, side])?;
        let bias = self.weights.take(&format!("{name}.bias"), &[out])?;
        self.push_conv(name, x, weight, bias, geometry)
    }

    /// A 1x1 convolution that has no bias, `name.weight` `[out, in, 1, 1]`.
    pub fn unbiased(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let weight = self.weights.take(&format!("{name}.weight"), &[out, self.channels(x), 1, 1])?;
        self.push_conv(name, x, weight, vec![0.0; out].into(), Geometry::same(1))
    }

    /// A linear layer at every pixel, `name.weight` `[out, in]`.
    pub fn linear(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let weight = self.weights.take(&format!("{name}.weight"), &[out, self.channels(x)])?;
        let bias = self.weights.take(&format!("{name}.bias"), &[out])?;
        self.push_conv(name, x, weight, bias, Geometry::same(1))
    }

    pub fn push_conv(
        &mut self,
        name: &str,
        x: NodeId,
        weight: Arc<[f32]>,
        bias: Arc<[f32]>,
        Geometry { side, stride, padding, trailing }: Geometry,
    ) -> Result<NodeId> {
        let (in_channels, out_channels) = (self.channels(x), bias.len());
        let padding = Padding::trailing(padding, trailing);
        let op = Conv { in_channels, out_channels, kernel: side, stride, padding, weight, bias };
        self.graph.push(name, op, &[x])
    }

    /// Transposed convolution of stride 2, `name.weight` `[in, out, side, side]`: a convolution, turned around, of x with
    /// zeros between its pixels.
    pub fn transposed(&mut self, name: &str, x: NodeId, out: usize, side: usize, padding: usize) -> Result<NodeId> {
        let channels = self.channels(x);
        let given = self.weights.take(&format!("{name}.weight"), &[channels, out, side, side])?;
        let bias = self.weights.take(&format!("{name}.bias"), &[out])?;
        let taps = side * side;
        let turned = |i: usize| {
            let (o, c, t) = (i / taps / channels, i / taps % channels, i % taps);
            given[(c * out + o) * taps + taps - 1 - t]
        };
        let weight = (0..given.len()).map(turned).collect();
        let spread = self.graph.push(format!("{name}.spread"), Resample::zeros(), &[x])?;
        let padding =
            (side - 1).checked_sub(padding).ok_or_else(|| Error::invalid(name, "more padding than kernel"))?;
        self.push_conv(name, spread, weight, bias, Geometry { side, stride: 1, padding, trailing: 0 })
    }

    /// GroupNorm with `name.weight` and `name.bias`.
    pub fn group_norm(&mut self, name: &str, x: NodeId, groups: usize, epsilon: f64) -> Result<NodeId> {
        let channels = self.channels(x);
        let gain = self.weights.take(&format!("{name}.weight"), &[channels])?;
        let shift = self.weights.take(&format!("{name}.bias"), &[channels])?;
        let scale = Scale::Fixed { gain, shift };
        self.graph.push(name, GroupNorm { channels, groups, epsilon, scale }, &[x])
    }

    pub fn silu(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.graph.push(format!("{name}.silu"), Silu, &[x])
    }

    /// GroupNorm, then SiLU.
    pub fn norm_silu(&mut self, name: &str, x: NodeId, groups: usize, epsilon: f64) -> Result<NodeId> {
        let y = self.group_norm(name, x, groups, epsilon)?;
        self.silu(name, y)
    }

    /// scale (x + z).
    pub fn sum(&mut self, name: &str, x: NodeId, z: NodeId, scale: f64) -> Result<NodeId> {
        self.graph.push(format!("{name}.sum"), Add { scales: [f64::from(scale as f32); 2] }, &[x, z])
    }

    pub fn concat(&mut self, name: &str, x: NodeId, z: NodeId) -> Result<NodeId> {
        let widths = [self.channels(x), self.channels(z)];
        self.graph.push(format!("{name}.concat"), Channels::concat(&widths), &[x, z])
    }

    pub fn resample(&mut self, name: &str, x: NodeId, op: Resample) -> Result<NodeId> {
        self.graph.push(name, op, &[x])
    }

    /// softmax(q k / sqrt(features of a head)) v, by head (arXiv 1706.03762).
    pub fn attention(&mut self, name: &str, [q, k, v]: [NodeId; 3], heads: usize) -> Result<NodeId> {
        let scale = (self.channels(q) as f64 / heads.max(1) as f64).sqrt().recip() as f32;
        let logits = self.graph.push(
            format!("{name}.attention_logits"),
            AttentionLogits { heads, scale: f64::from(scale) },
            &[q, k],
        )?;
        let weights = self.graph.push(format!("{name}.softmax"), Softmax { heads, scale: 1.0 }, &[logits])?;
        self.graph.push(format!("{name}.mix"), Mix { heads, by_row: false }, &[weights, v])
    }

    /// Attention with `inner` channels in so many heads, and a layer back to as many as x has: the layers of diffusers,
    /// `name.to_q`, `to_k`, `to_v` and `to_out.0`, or by the older names that published checkpoints have.
    pub fn attend(&mut self, name: &str, x: NodeId, heads: usize, inner: usize) -> Result<NodeId> {
        let width = self.channels(x);
        let old = self.weights.has(&format!("{name}.query.weight"));
        let names = if old { ["query", "key", "value", "proj_attn"] } else { ["to_q", "to_k", "to_v", "to_out.0"] };
        let [q, k, v, out] = names.map(|part| format!("{name}.{part}"));
        let qkv = [self.linear(&q, x, inner)?, self.linear(&k, x, inner)?, self.linear(&v, x, inner)?];
        let y = self.attention(name, qkv, heads)?;
        self.linear(&out, y, width)
    }

    /// q, k and v of `third` channels each, by one 1x1 convolution without bias, `name.weight` `[3 third, in, 1, 1]`.
    pub fn thirds(&mut self, name: &str, x: NodeId, third: usize) -> Result<[NodeId; 3]> {
        let channels = self.channels(x);
        let weight = self.weights.take(&format!("{name}.weight"), &[3 * third, channels, 1, 1])?;
        let mut conv = |weight: &[f32]| {
            self.push_conv(name, x, weight.into(), vec![0.0; weight.len() / channels].into(), Geometry::same(1))
        };
        if !third.is_multiple_of(4) {
            // Products of channels are of blocks of four, which no two of the thirds may share.
            let part = |i| &weight[i * third * channels..(i + 1) * third * channels];
            return Ok([conv(part(0))?, conv(part(1))?, conv(part(2))?]);
        }
        let all = conv(&weight)?;
        let mut part = |i| self.graph.push(format!("{name}.split"), Channels::range(i * third, third), &[all]);
        Ok([part(0)?, part(1)?, part(2)?])
    }

    /// A linear layer of a time row, `name.weight` `[out, input]`.
    pub fn dense(&self, name: &str, out: usize, input: usize) -> Result<Linear> {
        let weight = self.weights.take(&format!("{name}.weight"), &[out, input])?;
        let bias = self.weights.take(&format!("{name}.bias"), &[out])?;
        Ok(Linear { weight, bias, input })
    }

    /// A function of earlier rows.
    pub fn apply(&mut self, function: impl RowFunction + 'static, input: RowId) -> Result<RowId> {
        self.graph.rows.apply(function, &[input])
    }

    /// A linear function of a row, `name.weight` `[out, width]`.
    pub fn apply_dense(&mut self, name: &str, out: usize, input: RowId) -> Result<RowId> {
        let dense = self.dense(name, out, self.graph.rows.width(input)?)?;
        self.apply(dense, input)
    }

    /// The same as a row that ops read.
    pub fn dense_row(&mut self, name: &str, time: RowId, out: usize) -> Result<usize> {
        let row = self.apply_dense(name, out, time)?;
        self.graph.rows.push(name, row)
    }

    /// x plus such a function, one number per channel.
    pub fn add_time(&mut self, name: &str, x: NodeId, time: RowId) -> Result<NodeId> {
        let width = self.channels(x);
        let table = self.dense_row(name, time, width)?;
        self.graph.push(name, AddRow { table, width }, &[x])
    }
}
