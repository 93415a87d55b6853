//! Residual blocks and attention of `UNet2DModel`, by the options that reach them.
use super::Builder;
use super::config::{Act, refused};
use crate::error::Result;
use crate::graph::NodeId;
use crate::model::blocks::Geometry;
use crate::ops::group_norm::GroupNorm;
use crate::ops::pointwise::Pointwise;
use crate::ops::resample::Resample;
use crate::ops::scale::Scale;
use crate::rows::RowId;
use crate::rows::functions::{Scaled, Shifted};
use std::sync::Arc;

/// (x + f(x)) / scale, f of two convolutions.
pub(super) struct Resnet<'a> {
    pub name: &'a str,
    /// Channels that the class expects.
    pub from: usize,
    pub to: usize,
    /// Of the first and the second norm.
    pub groups: [usize; 2],
    pub scale: f64,
    /// Acts on x and in f.
    pub resize: Option<Resample>,
    /// A 1x1 convolution of x even where channels agree.
    pub shortcut: bool,
}

/// GroupNorm with weights of its own and a scale and a shift that the time embedding makes of them.
struct Modulated<'a> {
    name: &'a str,
    groups: usize,
    epsilon: f64,
    /// The layer that makes both of the embedding.
    projection: &'a str,
    weights: [Arc<[f32]>; 2],
}

impl<'a> Resnet<'a> {
    pub fn new(name: &'a str, from: usize, to: usize, groups: [usize; 2]) -> Self {
        Self { name, from, to, groups, scale: 1.0, resize: None, shortcut: false }
    }
}

impl Builder<'_> {
    /// The configured activation.
    pub fn act(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let op = match self.h.act {
            Act::Silu => return self.net.silu(name, x),
            Act::Mish => Pointwise::Mish,
            Act::Gelu => Pointwise::Gelu,
            Act::Relu => Pointwise::Relu,
        };
        self.net.graph.push(format!("{name}.act"), op, &[x])
    }

    /// An error unless a block finds the channels that the class made it for.
    pub fn expect(&self, name: &str, x: NodeId, channels: usize) -> Result<()> {
        let found = self.net.channels(x);
        if found == channels {
            return Ok(());
        }
        let message =
            format!("{name} is made for {channels} channels and gets {found}: these block types do not go together");
        Err(refused(format!("block_out_channels: {message}")))
    }

    pub fn resnet(&mut self, r: Resnet, mut x: NodeId) -> Result<NodeId> {
        self.expect(r.name, x, r.from)?;
        let part = |part: &str| format!("{}.{part}", r.name);
        let mut y = self.net.group_norm(&part("norm1"), x, r.groups[0], self.h.norm_eps)?;
        y = self.act(&part("norm1"), y)?;
        if let Some(op) = &r.resize {
            y = self.net.resample(&part("resized"), y, op.clone())?;
            x = self.net.resample(&part("shortcut"), x, op.clone())?;
        }
        y = self.net.conv(&part("conv1"), y, r.to, Geometry::same(3))?;
        y = self.tell(r.name, y, r.groups[1])?;
        y = self.act(&part("norm2"), y)?;
        y = self.net.conv(&part("conv2"), y, r.to, Geometry::same(3))?;
        if r.shortcut || r.from != r.to {
            x = self.net.conv(&part("conv_shortcut"), x, r.to, Geometry::same(1))?;
        }
        self.net.sum(r.name, x, y, 1.0 / r.scale)
    }

    /// The second norm of a residual block, and the time embedding, added before it or scaling and shifting behind it.
    fn tell(&mut self, name: &str, x: NodeId, groups: usize) -> Result<NodeId> {
        let (told, norm) = (self.told, format!("{name}.norm2"));
        let projection = format!("{name}.time_emb_proj");
        match self.h.resnet_time_scale_shift.as_str() {
            "default" => {
                let y = self.net.add_time(&projection, x, told)?;
                self.net.group_norm(&norm, y, groups, self.h.norm_eps)
            }
            "scale_shift" => {
                let width = self.net.channels(x);
                let gain = self.net.weights.take(&format!("{norm}.weight"), &[width])?;
                let shift = self.net.weights.take(&format!("{norm}.bias"), &[width])?;
                let (groups, epsilon) = (groups, self.h.norm_eps);
                let norm = Modulated { name: &norm, groups, epsilon, projection: &projection, weights: [gain, shift] };
                self.modulated(norm, x, told)
            }
            other => {
                let message = format!("resnet_time_scale_shift '{other}' of {name} is not one of default, scale_shift");
                Err(refused(message))
            }
        }
    }

    /// GroupNorm, then y (1 + scale) + shift, both linear functions of the time embedding: one layer of twice the channels.
    fn modulated(&mut self, norm: Modulated, x: NodeId, time: RowId) -> Result<NodeId> {
        let Modulated { name, groups, epsilon, projection, weights: [gain, shift] } = norm;
        let channels = self.net.channels(x);
        let both = self.net.apply_dense(projection, 2 * channels, time)?;
        let (gain, shift) =
            (self.net.apply(Scaled { weights: gain }, both)?, self.net.apply(Shifted { weights: shift }, both)?);
        let gain = self.net.graph.rows.push(format!("{projection}.scale"), gain)?;
        let shift = self.net.graph.rows.push(format!("{projection}.shift"), shift)?;
        let scale = Scale::Rows { gain, shift: Some(shift) };
        self.net.graph.push(name, GroupNorm { channels, groups, epsilon, scale }, &[x])
    }

    /// The norm of K blocks, which has no weights but those that the time embedding goes through.
    pub fn adaptive(&mut self, name: &str, x: NodeId, groups: usize, epsilon: f64) -> Result<NodeId> {
        let (channels, time) = (self.net.channels(x), self.raw);
        let (weights, projection) =
            ([vec![1.0; channels].into(), vec![0.0; channels].into()], format!("{name}.linear"));
        self.modulated(Modulated { name, groups, epsilon, projection: &projection, weights }, x, time)
    }

    /// A residual block of k-diffusion; `to` are the channels of its two convolutions.
    pub fn k_resnet(
        &mut self,
        name: &str,
        x: NodeId,
        from: usize,
        to: [usize; 2],
        groups: [usize; 2],
    ) -> Result<NodeId> {
        self.expect(name, x, from)?;
        let (part, epsilon) = (|part: &str| format!("{name}.{part}"), self.h.norm_eps);
        let mut y = self.adaptive(&part("norm1"), x, groups[0], epsilon)?;
        y = self.act(&part("norm1"), y)?;
        y = self.net.conv(&part("conv1"), y, to[0], Geometry::same(3))?;
        y = self.adaptive(&part("norm2"), y, groups[1], epsilon)?;
        y = self.act(&part("norm2"), y)?;
        y = self.net.conv(&part("conv2"), y, to[1], Geometry::same(3))?;
        let x =
            if from == to[1] { self.ordered(name, x)? } else { self.net.unbiased(&part("conv_shortcut"), x, to[1])? };
        self.net.sum(name, x, y, 1.0)
    }

    /// x with its channels one after the other in memory, where it is several tensors: sums want both sides alike.
    fn ordered(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        if self.net.graph.nodes[x.0].op.rearranges().is_none() {
            return Ok(x);
        }
        let channels = self.net.channels(x);
        let one = |i: usize| f32::from(i / channels == i % channels);
        let weight = (0..channels * channels).map(one).collect();
        self.net.push_conv(&format!("{name}.ordered"), x, weight, vec![0.0; channels].into(), Geometry::same(1))
    }

    /// Attention of k-diffusion's blocks: to the pixels, and again where a text would be. Without one that is to the pixels
    /// too, and the norm of the text has nothing to do. `own` are the block's channels, a head's size if none is configured.
    pub fn k_attention(&mut self, name: &str, mut x: NodeId, own: usize, alone: bool) -> Result<NodeId> {
        let width = self.net.channels(x);
        let (groups, size) = ((width / 32).max(1), self.h.attention_head_dim.unwrap_or(own));
        if alone {
            let y = self.adaptive(&format!("{name}.norm1"), x, groups, 1e-5)?;
            let y = self.attend(&format!("{name}.attn1"), y, size)?;
            x = self.net.sum(&format!("{name}.attn1"), y, x, 1.0)?;
        }
        let y = self.adaptive(&format!("{name}.norm2"), x, groups, 1e-5)?;
        for part in ["weight", "bias"] {
            self.net.weights.take(&format!("{name}.attn2.norm_cross.{part}"), &[width])?;
        }
        let y = self.attend(&format!("{name}.attn2"), y, size)?;
        self.net.sum(&format!("{name}.attn2"), y, x, 1.0)
    }

    /// (x + attention(norm(x))) / scale.
    pub fn attention(&mut self, name: &str, x: NodeId, groups: Option<usize>, scale: f64) -> Result<NodeId> {
        let width = self.net.channels(x);
        let y = match groups {
            Some(groups) => self.net.group_norm(&format!("{name}.group_norm"), x, groups, self.h.norm_eps)?,
            None => x,
        };
        let y = self.attend(name, y, self.h.attention_head_dim.unwrap_or(width))?;
        self.net.sum(name, x, y, 1.0 / scale)
    }

    /// As many heads of that size as fit into the channels; what does not fill one is left out.
    fn attend(&mut self, name: &str, x: NodeId, size: usize) -> Result<NodeId> {
        let width = self.net.channels(x);
        let heads = width.checked_div(size).unwrap_or(0);
        if heads == 0 {
            let message =
                format!("attention_head_dim {size}: {name} has {width} channels, which do not hold a head of it");
            return Err(refused(message));
        }
        self.net.attend(name, x, heads, heads * size)
    }
}
