//! The CIFAR-10 network of the paper: a U-Net of adaptive GroupNorm blocks with linear attention, full attention in the
//! middle. In: the tensor names of simple-latent-diffusion-model. Out: a graph.
use super::blocks::{Geometry, Net, defaults, hyper, sane};
use super::sides::Sides;
use super::{FamilyInfo, Schedule, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::add::Add;
use crate::ops::group_norm::GroupNorm;
use crate::ops::mix::Mix;
use crate::ops::outer::Outer;
use crate::ops::rms_norm::RmsNorm;
use crate::ops::scale::Scale;
use crate::ops::softmax::Softmax;
use crate::ops::softmax_pixels::SoftmaxPixels;
use crate::rows::functions::{Each, Sinusoid};
use crate::rows::{RowId, Rows};
use serde::Deserialize;
use serde::de::IgnoredAny;

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "lucid_unet",
    source: "github.com/juyeopdang/simple-latent-diffusion-model, class Unet",
    ignorable: &[],
    schedule: Some(Schedule::Sigmoid),
    size: "image_size",
    presets: &[("cifar10", CIFAR10), ("cifar10-latent", CIFAR10_LATENT)],
    conditional: None,
    build,
};

/// The paper's, on images of 32x32.
const CIFAR10: &str = include_str!("presets/cifar10.json");

/// The paper's, on latents of 16x16.
const CIFAR10_LATENT: &str = include_str!("presets/cifar10-latent.json");

/// Constructor arguments of the third-party class, and the sides of its images, of which it knows nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    dim: usize,
    #[serde(default)]
    init_dim: Option<usize>,
    #[serde(default)]
    out_dim: Option<usize>,
    #[serde(default)]
    cond_dim: Option<usize>,
    #[serde(default = "multipliers")]
    dim_mults: Vec<usize>,
    #[serde(default = "defaults::size::<3>")]
    channels: usize,
    #[serde(default, rename = "dropout")]
    _dropout: IgnoredAny,
    #[serde(default = "all::<4>")]
    attn_heads: PerStage<usize>,
    #[serde(default = "all::<32>")]
    attn_dim_head: PerStage<usize>,
    #[serde(default)]
    full_attn: Option<PerStage<bool>>,
    #[serde(default = "image_size")]
    image_size: Sides,
}

/// One value for all stages, or one for each.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected a value or a list with one for each entry of dim_mults")]
enum PerStage<T> {
    All(T),
    Each(Vec<T>),
}

fn multipliers() -> Vec<usize> {
    vec![1, 2, 4, 8]
}

const fn all<const N: usize>() -> PerStage<usize> {
    PerStage::All(N)
}

const fn image_size() -> Sides {
    Sides::square(16)
}

const GROUPS: usize = 32;
const EPSILON: f64 = 1e-5;

/// What kind of attention a stage has.
#[derive(Clone, Copy)]
struct Attention {
    full: bool,
    heads: usize,
    /// Features of a head.
    head: usize,
}

/// A hyper-parameter checked: widths of the levels, and attention by entry of `dim_mults`.
struct Plan {
    dims: Vec<usize>,
    full: Vec<bool>,
    heads: Vec<usize>,
    head: Vec<usize>,
}

fn refused<T>(message: String) -> Result<T> {
    Err(Error::invalid("hyper", message))
}

impl Hyper {
    fn plan(&self) -> Result<Plan> {
        let levels = self.dim_mults.len();
        let optional = [self.init_dim, self.out_dim].into_iter().flatten();
        sane([self.dim, self.channels].into_iter().chain(self.image_size.both()).chain(optional))?;
        sane(self.dim_mults.iter().copied())?;
        let dims: Vec<usize> = self.dim_mults.iter().map(|m| self.dim * m).collect();
        sane(dims.iter().copied())?;
        let Some(&first) = dims.first() else {
            return refused("dim_mults [], expected a number for each level".into());
        };
        if let Some(width) = dims.iter().find(|width| !width.is_multiple_of(GROUPS)) {
            let dim = self.dim;
            return refused(format!("dim {dim}: a level of {width} channels, which must be divisible by {GROUPS}"));
        }
        // Half of the width, less one, divides the frequencies of the time embedding.
        if self.dim < 4 {
            return refused(format!("dim {}, expected 4 or more: the time embedding has no fewer", self.dim));
        }
        let init = self.init_dim.unwrap_or(self.dim);
        if init != first {
            return refused(format!("init_dim {init}, expected {first}, dim times the first of dim_mults"));
        }
        if let Some(n) = self.cond_dim {
            return refused(format!("cond_dim {n}: networks with a condition are not supported"));
        }
        let full = match &self.full_attn {
            None | Some(PerStage::All(false)) => (1..=levels).map(|i| i == levels).collect(),
            Some(PerStage::Each(none)) if none.is_empty() => (1..=levels).map(|i| i == levels).collect(),
            Some(PerStage::All(true)) => vec![true; levels],
            Some(PerStage::Each(each)) if each.len() == levels => each.clone(),
            Some(PerStage::Each(each)) => {
                return refused(format!("full_attn of {} values, expected {levels}", each.len()));
            }
        };
        let (heads, head) =
            (each("attn_heads", &self.attn_heads, levels)?, each("attn_dim_head", &self.attn_dim_head, levels)?);
        self.image_size.halve(levels.saturating_sub(2))?; // one stage less than levels, and the last keeps its size
        Ok(Plan { dims, full, heads, head })
    }
}

/// One number for each stage, and for the middle, which has the last of them; a list may be longer or shorter by those that
/// nobody reads.
fn each(key: &str, given: &PerStage<usize>, levels: usize) -> Result<Vec<usize>> {
    let list = match given {
        PerStage::All(n) => vec![*n; levels],
        PerStage::Each(list) => list.clone(),
    };
    sane(list.iter().copied())?;
    let least = levels.saturating_sub(1).max(1);
    if list.len() < least {
        return refused(format!("{key} of {} values, expected {levels}", list.len()));
    }
    Ok(list)
}

impl Plan {
    /// Going down, stage i has entry i of each list.
    fn down(&self, i: usize) -> Attention {
        Attention { full: self.full[i], heads: self.heads[i], head: self.head[i] }
    }

    /// Going up, lists are read backwards from their last entry, whatever their length.
    fn up(&self, i: usize) -> Attention {
        let (full, heads, head) = (&self.full, &self.heads, &self.head);
        let last = |length: usize| length - 1 - i;
        Attention { full: full[last(full.len())], heads: heads[last(heads.len())], head: head[last(head.len())] }
    }

    /// The middle always has full attention.
    fn middle(&self) -> Attention {
        Attention { full: true, ..self.up(0) }
    }
}

struct Builder<'a> {
    net: Net<'a>,
    /// The embedding of the label that all blocks see.
    time: RowId,
}

fn build(value: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let h: Hyper = hyper(value)?;
    let plan = h.plan()?;
    let mut net = Net::new(h.image_size.shape(h.channels), weights);
    let (inner, width) = (4 * h.dim, h.dim);
    let sines = Sinusoid { width, divisor: (width / 2) as f64 - 1.0, cos_first: false };
    let mut time = net.apply(sines, Rows::LABEL)?;
    time = net.apply_dense("time_mlp.1", inner, time)?;
    time = net.apply(Each::GELU, time)?;
    time = net.apply_dense("time_mlp.3", inner, time)?;
    let mut b = Builder { net, time };
    let input = b.net.graph.input("x")?;
    let first = b.net.conv("init_conv", input, plan.dims[0], Geometry::same(7))?;
    let mut skips = vec![];
    let mut x = b.down(&plan, first, &mut skips)?;
    let deepest = b.net.channels(x);
    x = b.block("mid_block1", x, deepest)?;
    x = b.attention("mid_attn", x, plan.middle())?;
    x = b.block("mid_block2", x, deepest)?;
    x = b.up(&plan, x, &mut skips)?;
    x = b.net.concat("final_res_block", x, first)?;
    x = b.block("final_res_block", x, plan.dims[0])?;
    x = b.net.conv("final_conv", x, h.out_dim.unwrap_or(h.channels), Geometry::same(1))?;
    b.net.graph.output("y", x)?;
    Ok(b.net.graph)
}

impl Builder<'_> {
    /// Every stage but the last halves.
    fn down(&mut self, plan: &Plan, mut x: NodeId, skips: &mut Vec<NodeId>) -> Result<NodeId> {
        let last = plan.dims.len().saturating_sub(2);
        for (i, pair) in plan.dims.windows(2).enumerate() {
            let name = format!("downs.{i}");
            x = self.block(&format!("{name}.0"), x, pair[0])?;
            skips.push(x);
            x = self.block(&format!("{name}.1"), x, pair[0])?;
            x = self.attention(&format!("{name}.2"), x, plan.down(i))?;
            skips.push(x);
            x = if i < last {
                let halve = Geometry { side: 4, stride: 2, padding: 1, trailing: 0 };
                self.net.conv(&format!("{name}.3.downsample"), x, pair[1], halve)?
            } else {
                self.net.conv(&format!("{name}.3"), x, pair[1], Geometry::same(3))?
            };
        }
        Ok(x)
    }

    fn up(&mut self, plan: &Plan, mut x: NodeId, skips: &mut Vec<NodeId>) -> Result<NodeId> {
        let last = plan.dims.len().saturating_sub(2);
        for (i, pair) in plan.dims.windows(2).rev().enumerate() {
            let name = format!("ups.{i}");
            for half in 0..2 {
                let skip = skips.pop().ok_or_else(|| Error::invalid(&name, "has no skip connection left"))?;
                x = self.net.concat(&format!("{name}.{half}"), x, skip)?;
                x = self.block(&format!("{name}.{half}"), x, pair[1])?;
            }
            x = self.attention(&format!("{name}.2"), x, plan.up(i))?;
            x = if i < last {
                self.net.transposed(&format!("{name}.3.upsample"), x, pair[0], 4, 1)?
            } else {
                self.net.conv(&format!("{name}.3"), x, pair[0], Geometry::same(3))?
            };
        }
        Ok(x)
    }

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
        self.net.graph.push(format!("{name}.sum"), Add { scales: [f64::from(scale), 1.0] }, &[y, shortcut])
    }

    /// silu(conv(g(t) norm(x) + h(t))).
    fn half(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let channels = self.net.channels(x);
        let mut row = |part: &str| self.net.dense_row(&format!("{name}.norm.{part}"), self.time, channels);
        let scale = Scale::Rows { gain: row("gamma_proj")?, shift: Some(row("beta_proj")?) };
        let norm = GroupNorm { channels, groups: GROUPS, epsilon: EPSILON, scale };
        let y = self.net.graph.push(format!("{name}.norm"), norm, &[x])?;
        let y = self.net.conv(&format!("{name}.proj"), y, out, Geometry::same(3))?;
        self.net.silu(name, y)
    }

    /// Attention of a stage, added to its input.
    fn attention(&mut self, name: &str, x: NodeId, at: Attention) -> Result<NodeId> {
        let qkv = self.net.thirds(&format!("{name}.to_qkv"), x, at.heads * at.head)?;
        if !at.full {
            return self.linear_attention(name, x, qkv, at);
        }
        let channels = self.net.channels(x);
        let y = self.net.attention(name, qkv, at.heads)?;
        let y = self.net.conv(&format!("{name}.to_out"), y, channels, Geometry::same(1))?;
        self.net.sum(name, y, x, 1.0)
    }

    /// Keys as weights over pixels, queries as weights over features: cost linear in pixels (arXiv 1812.01243).
    fn linear_attention(&mut self, name: &str, x: NodeId, [q, k, v]: [NodeId; 3], at: Attention) -> Result<NodeId> {
        let (channels, heads) = (self.net.channels(x), at.heads);
        let scale = f64::from((at.head as f64).sqrt().recip() as f32);
        let graph = &mut self.net.graph;
        let q = graph.push(format!("{name}.queries"), Softmax { heads, scale }, &[q])?;
        let k = graph.push(format!("{name}.keys"), SoftmaxPixels, &[k])?;
        let context = graph.push(format!("{name}.context"), Outer { heads }, &[k, v])?;
        let y = graph.push(format!("{name}.mix"), Mix { heads, by_row: true }, &[q, context])?;
        let y = self.net.conv(&format!("{name}.to_out.0"), y, channels, Geometry::same(1))?;
        let root = (channels as f64).sqrt();
        let gain = self.net.weights.take(&format!("{name}.to_out.1.g"), &[1, channels, 1, 1])?;
        let gain = gain.iter().map(|&g| f64::from(g) * root).collect();
        let y = self.net.graph.push(format!("{name}.to_out.1"), RmsNorm { gain }, &[y])?;
        self.net.sum(name, y, x, 1.0)
    }
}
