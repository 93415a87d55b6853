//! The CIFAR-10 network of the paper: a U-Net of adaptive GroupNorm blocks with linear attention, full attention in the
//! middle. In: the tensor names of simple-latent-diffusion-model. Out: a graph.
use super::blocks::{Geometry, Net, Time, defaults, hyper, sane};
use super::{FamilyInfo, Schedule, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, RowLayer};
use crate::ops::add::Add;
use crate::ops::group_norm::{GroupNorm, Scale};
use crate::ops::mix::Mix;
use crate::ops::outer::Outer;
use crate::ops::rms_norm::RmsNorm;
use crate::ops::softmax::Softmax;
use crate::ops::softmax_pixels::SoftmaxPixels;
use crate::shape::Shape;
use serde::Deserialize;

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "lucid_unet",
    source: "github.com/juyeopdang/simple-latent-diffusion-model, class Unet",
    ignorable: &[],
    schedule: Some(Schedule::Sigmoid),
    presets: &[("cifar10", CIFAR10), ("cifar10-latent", CIFAR10_LATENT)],
    build,
};

/// The paper's, on images of 32x32.
const CIFAR10: &str = include_str!("presets/cifar10.json");

/// The paper's, on latents of 16x16.
const CIFAR10_LATENT: &str = include_str!("presets/cifar10-latent.json");

/// Constructor arguments of the third-party class, and the side of its images.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    dim: usize,
    dim_mults: Vec<usize>,
    channels: usize,
    #[serde(default = "defaults::size::<4>")]
    attn_heads: usize,
    #[serde(default = "defaults::size::<32>")]
    attn_dim_head: usize,
    #[serde(default = "defaults::size::<16>")]
    image_size: usize,
}

const GROUPS: usize = 32;
const EPSILON: f64 = 1e-5;

struct Builder<'a> {
    net: Net<'a>,
    heads: usize,
    head: usize,
    time: Time,
}

fn build(value: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let h: Hyper = hyper(value)?;
    sane([h.dim, h.channels, h.attn_heads, h.attn_dim_head, h.image_size].into_iter().chain(h.dim_mults.clone()))?;
    let halvings = h.dim_mults.len().saturating_sub(2).min(20); // one stage less than widths, and the last keeps its size
    if h.dim_mults.is_empty() || !h.dim.is_multiple_of(GROUPS) || !h.image_size.is_multiple_of(1 << halvings) {
        let message = format!(
            "dim {} must be divisible by {GROUPS}, image_size {} by 2^{halvings}, dim_mults not empty",
            h.dim, h.image_size
        );
        return Err(Error::invalid("hyper", message));
    }
    let dims: Vec<usize> = std::iter::once(h.dim).chain(h.dim_mults.iter().map(|m| h.dim * m)).collect();
    sane(dims.iter().copied())?;
    // Every stage but the last halves; the first width is that of the first convolution.
    let stages: Vec<(usize, usize)> = dims.windows(2).skip(1).map(|d| (d[0], d[1])).collect();
    let net = Net::new(Shape::new(h.channels, h.image_size, h.image_size), weights);
    let (inner, width) = (4 * h.dim, h.dim);
    let layers = vec![
        RowLayer::Sinusoid { width, divisor: width as f64 / 2.0 - 1.0, cos_first: false },
        net.dense("time_mlp.1", inner, width)?,
        RowLayer::Gelu,
        net.dense("time_mlp.3", inner, inner)?,
    ];
    let time = Time { layers, width: inner };
    let mut b = Builder { net, heads: h.attn_heads, head: h.attn_dim_head, time };

    let input = b.net.graph.input();
    let first = b.net.conv("init_conv", input, dims[1], Geometry::same(7))?;
    let (mut x, mut skips) = (first, vec![]);
    for (i, &(inside, outside)) in stages.iter().enumerate() {
        let name = format!("downs.{i}");
        x = b.block(&format!("{name}.0"), x, inside)?;
        skips.push(x);
        x = b.block(&format!("{name}.1"), x, inside)?;
        x = b.linear_attention(&format!("{name}.2"), x)?;
        skips.push(x);
        x = if i + 1 < stages.len() {
            let halve = Geometry { side: 4, stride: 2, padding: 1, trailing: 0 };
            b.net.conv(&format!("{name}.3.downsample"), x, outside, halve)?
        } else {
            b.net.conv(&format!("{name}.3"), x, outside, Geometry::same(3))?
        };
    }
    let deepest = b.net.channels(x);
    x = b.block("mid_block1", x, deepest)?;
    x = b.attention("mid_attn", x)?;
    x = b.block("mid_block2", x, deepest)?;
    for (i, &(inside, outside)) in stages.iter().rev().enumerate() {
        let name = format!("ups.{i}");
        for half in 0..2 {
            let skip = skips.pop().ok_or_else(|| Error::invalid(&name, "has no skip connection left"))?;
            x = b.net.concat(&format!("{name}.{half}"), x, skip)?;
            x = b.block(&format!("{name}.{half}"), x, outside)?;
        }
        // The list of attention kinds, one too long, is read backwards: only the first stage up has full attention.
        x = if i == 0 { b.attention(&format!("{name}.2"), x)? } else { b.linear_attention(&format!("{name}.2"), x)? };
        x = if i + 1 < stages.len() {
            b.net.transposed(&format!("{name}.3.upsample"), x, inside, 4, 1)?
        } else {
            b.net.conv(&format!("{name}.3"), x, inside, Geometry::same(3))?
        };
    }
    x = b.net.concat("final_res_block", x, first)?;
    x = b.block("final_res_block", x, dims[1])?;
    b.net.conv("final_conv", x, h.channels, Geometry::same(1))?;
    Ok(b.net.graph)
}

impl Builder<'_> {
    /// Two halves, and the block's input times a learned scale beside them.
    fn block(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let y = self.half(&format!("{name}.block1"), x, out)?;
        let y = self.half(&format!("{name}.block2"), y, out)?;
        let scale = self.net.weights.take(&format!("{name}.residual_scale"), &[])?[0];
        let shortcut = if self.net.channels(x) == out {
            x
        } else {
            self.net.conv(&format!("{name}.res_conv"), x, out, Geometry::same(1))?
        };
        self.net.graph.push(format!("{name}.sum"), Add { scales: [scale, 1.0] }, &[y, shortcut])
    }

    /// silu(conv(g(t) norm(x) + h(t))).
    fn half(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let channels = self.net.channels(x);
        let mut row = |part: &str| self.net.dense_row(&format!("{name}.norm.{part}"), &self.time, channels);
        let scale = Scale::Rows { gain: row("gamma_proj")?, shift: row("beta_proj")? };
        let norm = GroupNorm { channels, groups: GROUPS, epsilon: EPSILON, scale, silu: false, band: None };
        let y = self.net.graph.push(format!("{name}.norm"), norm, &[x])?;
        let y = self.net.conv(&format!("{name}.proj"), y, out, Geometry::same(3))?;
        self.net.silu(name, y)
    }

    fn qkv(&mut self, name: &str, x: NodeId) -> Result<[NodeId; 3]> {
        self.net.thirds(&format!("{name}.to_qkv"), x, self.heads * self.head)
    }

    fn attention(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let (qkv, channels) = (self.qkv(name, x)?, self.net.channels(x));
        let y = self.net.attention(name, qkv, self.heads)?;
        let y = self.net.conv(&format!("{name}.to_out"), y, channels, Geometry::same(1))?;
        self.net.sum(name, y, x, 1.0)
    }

    /// Keys as weights over pixels, queries as weights over features: cost linear in pixels (arXiv 1812.01243).
    fn linear_attention(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let ([q, k, v], channels, heads) = (self.qkv(name, x)?, self.net.channels(x), self.heads);
        let scale = (self.head as f64).sqrt().recip() as f32;
        let graph = &mut self.net.graph;
        let q = graph.push(format!("{name}.queries"), Softmax { heads, scale }, &[q])?;
        let k = graph.push(format!("{name}.keys"), SoftmaxPixels, &[k])?;
        let context = graph.push(format!("{name}.context"), Outer { heads }, &[k, v])?;
        let y = graph.push(format!("{name}.mix"), Mix { heads, by_row: true }, &[q, context])?;
        let y = self.net.conv(&format!("{name}.to_out.0"), y, channels, Geometry::same(1))?;
        let root = (channels as f64).sqrt();
        let gain = self.net.weights.take(&format!("{name}.to_out.1.g"), &[1, channels, 1, 1])?;
        let gain = gain.iter().map(|&g| (f64::from(g) * root) as f32).collect();
        let y = self.net.graph.push(format!("{name}.to_out.1"), RmsNorm { gain }, &[y])?;
        self.net.sum(name, y, x, 1.0)
    }
}
