//! The paper's MNIST network: a U-Net of ShuffleNet-v2 units (arXiv 1807.11164) with a learned time table.
//! In: the tensor names of bot66/MNISTDiffusion. Out: a graph. BatchNorm is folded into its convolution here, in f64.
use super::sides::Sides;
use super::{FamilyInfo, Schedule, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::{
    add_row::AddRow,
    channels::Channels,
    conv::{Conv, Padding},
    depthwise::Depthwise,
    silu::Silu,
    upsample::Upsample,
};
use crate::rows::functions::{Each, Linear, Lookup};
use crate::rows::{RowId, Rows};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "mnist_shuffle_unet",
    source: "github.com/bot66/MNISTDiffusion, class Unet",
    ignorable: &["num_batches_tracked"],
    schedule: Some(Schedule::Cosine),
    size: "image_size",
    presets: &[("mnist", MNIST)],
    conditional: None,
    build,
};

/// The paper's, for images of 28x28.
const MNIST: &str = include_str!("presets/mnist.json");

/// Constructor arguments of the third-party class.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    timesteps: usize,
    time_embedding_dim: usize,
    in_channels: usize,
    out_channels: usize,
    base_dim: usize,
    dim_mults: Vec<usize>,
    image_size: Sides,
}

/// BatchNorm's epsilon (PyTorch's default).
const BN_EPS: f64 = 1e-5;
/// Sizes beyond these are a damaged file, not a network.
const MAX_CHANNELS: usize = 1 << 14;

struct Builder<'a> {
    graph: Graph,
    weights: &'a Weights,
    /// The shared time table.
    embedding: RowId,
    time_dim: usize,
}

fn build(hyper: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let h: Hyper = serde_json::from_value(hyper.clone()).map_err(|e| Error::invalid("hyper", e))?;
    let dims: Vec<usize> =
        std::iter::once(h.base_dim).chain(h.dim_mults.iter().map(|m| h.base_dim.saturating_mul(*m))).collect();
    let [height, width] = h.image_size.both();
    let sizes = [h.timesteps, h.time_embedding_dim, h.in_channels, h.out_channels, height, width];
    if dims.len() < 2 || dims.iter().chain(&sizes).any(|&d| d == 0 || d > MAX_CHANNELS) {
        return Err(Error::invalid("hyper", format!("{hyper}: every size must be in 1..={MAX_CHANNELS}")));
    }
    // Units halve their channels twice; at other widths the third-party class fails in its first forward pass. So it does
    // where a side is odd before it is halved: what is doubled again does not meet what was kept.
    if !h.base_dim.is_multiple_of(4) {
        return Err(Error::invalid("hyper", format!("base_dim {} must be divisible by 4", h.base_dim)));
    }
    h.image_size.halve(h.dim_mults.len())?;
    let table = weights.take("time_embedding.weight", &[h.timesteps, h.time_embedding_dim])?;
    let mut graph = Graph::new(h.image_size.shape(h.in_channels));
    let lookup = Lookup { table, rows: h.timesteps, width: h.time_embedding_dim };
    let embedding = graph.rows.apply(lookup, &[Rows::LABEL])?;
    let mut b = Builder { graph, weights, embedding, time_dim: h.time_embedding_dim };

    let input = b.graph.input("x")?;
    let mut x = b.conv_bn_silu("init_conv", input, h.base_dim, 3)?;
    let mut skips = vec![];
    for (i, pair) in dims.windows(2).enumerate() {
        let (name, half) = (format!("encoder_blocks.{i}"), pair[1] / 2);
        let skip = b.units(&format!("{name}.conv0"), x, 3, half)?;
        let timed = b.time(&format!("{name}.time_mlp"), skip, pair[1])?;
        x = b.down_unit(&format!("{name}.conv1"), timed, pair[1])?;
        skips.push(skip);
    }
    x = b.units("mid_block", x, 2, dims[dims.len() - 1] / 2)?;
    for (i, pair) in dims.windows(2).rev().enumerate() {
        let name = format!("decoder_blocks.{i}");
        let up = b.graph.push(format!("{name}.upsample"), Upsample::default(), &[x])?;
        let skip = skips.remove(skips.len() - 1);
        let widths = [b.graph.shape(up).c, b.graph.shape(skip).c];
        x = b.graph.push(format!("{name}.concat"), Channels::concat(&widths), &[up, skip])?;
        x = b.units(&format!("{name}.conv0"), x, 3, pair[1] / 2)?;
        x = b.time(&format!("{name}.time_mlp"), x, pair[1])?;
        x = b.unit(&format!("{name}.conv1"), x, pair[0] / 2)?;
    }
    let c = h.base_dim / 2;
    let weight = weights.take("final_conv.weight", &[h.out_channels, c, 1, 1])?;
    let bias = weights.take("final_conv.bias", &[h.out_channels])?;
    x = b.push_conv("final_conv", x, weight, bias, h.out_channels, 1)?;
    b.graph.output("y", x)?;
    Ok(b.graph)
}

impl Builder<'_> {
    /// Convolution weights `[out, in, k, k]` and bias with the BatchNorm at `norm` folded in:
    /// w' = g w / sqrt(var + eps), b' = g (b - mean) / sqrt(var + eps) + beta.
    fn folded(&self, conv: &str, norm: &str, shape: [usize; 4]) -> Result<(Arc<[f32]>, Arc<[f32]>)> {
        let out = shape[0];
        let take = |name: String| self.weights.take(&name, &[out]);
        let weight = self.weights.take(&format!("{conv}.weight"), &shape)?;
        let bias = take(format!("{conv}.bias"))?;
        let (gain, shift) = (take(format!("{norm}.weight"))?, take(format!("{norm}.bias"))?);
        let measured = |name: &str| self.weights.take_statistics(&format!("{norm}.{name}"), &[out]);
        let (mean, var) = (measured("running_mean")?, measured("running_var")?);
        let mut scales = Vec::with_capacity(out);
        for (i, &v) in var.iter().enumerate() {
            if v < 0.0 {
                return Err(Error::invalid(
                    format!("tensor '{norm}.running_var'"),
                    format!("element {i} is {v}, negative"),
                ));
            }
            scales.push(gain[i] as f64 / (v as f64 + BN_EPS).sqrt());
        }
        let per = weight.len() / out;
        let folded = weight.iter().enumerate().map(|(i, &w)| (w as f64 * scales[i / per]) as f32).collect();
        let moved = (0..out).map(|i| ((bias[i] as f64 - mean[i] as f64) * scales[i] + shift[i] as f64) as f32);
        Ok((folded, moved.collect()))
    }

    fn push_conv(
        &mut self,
        name: &str,
        x: NodeId,
        weight: Arc<[f32]>,
        bias: Arc<[f32]>,
        out: usize,
        kernel: usize,
    ) -> Result<NodeId> {
        let in_channels = self.graph.shape(x).c;
        let padding = Padding::all(kernel / 2);
        let op = Conv { in_channels, out_channels: out, kernel, stride: 1, padding, weight, bias };
        self.graph.push(name, op, &[x])
    }

    /// `module.0` convolution, `module.1` BatchNorm, SiLU.
    fn conv_bn_silu(&mut self, name: &str, x: NodeId, out: usize, kernel: usize) -> Result<NodeId> {
        let shape = [out, self.graph.shape(x).c, kernel, kernel];
        let (weight, bias) = self.folded(&format!("{name}.module.0"), &format!("{name}.module.1"), shape)?;
        let y = self.push_conv(name, x, weight, bias, out, kernel)?;
        self.graph.push(format!("{name}.silu"), Silu, &[y])
    }

    /// Depthwise 3x3 and the BatchNorm behind it; no activation.
    fn depthwise_bn(&mut self, conv: &str, norm: &str, x: NodeId, stride: usize) -> Result<NodeId> {
        let channels = self.graph.shape(x).c;
        let (weight, bias) = self.folded(conv, norm, [channels, 1, 3, 3])?;
        self.graph.push(conv, Depthwise { channels, stride, padding: Padding::all(1), weight, bias }, &[x])
    }

    /// Both branches on `a` and `b`, concatenated and shuffled over two groups.
    fn branches(
        &mut self,
        name: &str,
        a: NodeId,
        b: NodeId,
        inner: usize,
        out: usize,
        stride: usize,
    ) -> Result<NodeId> {
        let [one, two] = ["branch1", "branch2"].map(|branch| format!("{name}.{branch}"));
        let left = self.depthwise_bn(&format!("{one}.0"), &format!("{one}.1"), a, stride)?;
        let left = self.conv_bn_silu(&format!("{one}.2"), left, out / 2, 1)?;
        let right = self.conv_bn_silu(&format!("{two}.0"), b, inner, 1)?;
        let right = self.depthwise_bn(&format!("{two}.1"), &format!("{two}.2"), right, stride)?;
        let right = self.conv_bn_silu(&format!("{two}.3"), right, out / 2, 1)?;
        let widths = [self.graph.shape(left).c, self.graph.shape(right).c];
        let both = self.graph.push(format!("{name}.concat"), Channels::concat(&widths), &[left, right])?;
        self.graph.push(format!("{name}.shuffle"), Channels::shuffle(widths[0] + widths[1], 2)?, &[both])
    }

    /// ShuffleNet-v2 unit: each half of the channels goes through one branch.
    fn unit(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let c = self.graph.shape(x).c;
        let halves = [0, 1].map(|part| Channels::half(c, part));
        let [a, b] = halves.map(|half| half.and_then(|op| self.graph.push(format!("{name}.split"), op, &[x])));
        self.branches(name, a?, b?, c / 2, out, 1)
    }

    /// Down-sampling unit: all channels go through both branches, stride 2.
    fn down_unit(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        self.branches(name, x, x, out / 2, out, 2)
    }

    /// `plain` units that keep the width, then one to `out` channels.
    fn units(&mut self, name: &str, mut x: NodeId, plain: usize, out: usize) -> Result<NodeId> {
        let c = self.graph.shape(x).c;
        for i in 0..=plain {
            x = self.unit(&format!("{name}.{i}"), x, if i == plain { out } else { c })?;
        }
        Ok(x)
    }

    /// silu(x + MLP(time table row)), hidden width `hidden`.
    fn time(&mut self, name: &str, x: NodeId, hidden: usize) -> Result<NodeId> {
        let width = hidden / 2;
        let linear = |layer: usize, out: usize, input: usize| -> Result<Linear> {
            let weight = self.weights.take(&format!("{name}.mlp.{layer}.weight"), &[out, input])?;
            let bias = self.weights.take(&format!("{name}.mlp.{layer}.bias"), &[out])?;
            Ok(Linear { weight, bias, input })
        };
        let (first, second, rows) =
            (linear(0, hidden, self.time_dim)?, linear(2, width, hidden)?, &mut self.graph.rows);
        let mut row = rows.apply(first, &[self.embedding])?;
        row = rows.apply(Each::SILU, &[row])?;
        row = rows.apply(second, &[row])?;
        let table = rows.push(name, row)?;
        let y = self.graph.push(name, AddRow { table, width }, &[x])?;
        self.graph.push(format!("{name}.silu"), Silu, &[y])
    }
}
