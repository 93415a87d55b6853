//! `UNet2DModel` of diffusers: the DDPM networks and, with skip blocks and Fourier embedding, NCSN++ as that library has it.
//! In: its config.json and tensor names, old and new attention names alike. Out: a graph.
use super::blocks::{Geometry, Net, Time, defaults, hyper, sane};
use super::{FamilyInfo, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, RowLayer};
use crate::ops::affine::Affine;
use crate::ops::resample::Resample;
use crate::shape::Shape;
use serde::Deserialize;
use std::f64::consts::SQRT_2;

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "unet2d_diffusers",
    source: "github.com/huggingface/diffusers, class UNet2DModel",
    ignorable: &[],
    schedule: None,
    presets: &[("ddpm-celebahq-256", DDPM_CELEBAHQ_256)],
    build,
};

/// The sizes of google/ddpm-celebahq-256.
const DDPM_CELEBAHQ_256: &str = include_str!("presets/ddpm-celebahq-256.json");

/// The same class; golden cases call its NCSN++ configuration so.
pub(super) const NCSNPP: FamilyInfo = FamilyInfo { name: "unet2d_ncsnpp_diffusers", presets: &[], ..FAMILY };

/// Keys of the class's config.json that make the network; the rest is left to the reader of whole directories.
#[derive(Deserialize)]
struct Hyper {
    sample_size: Side,
    in_channels: usize,
    out_channels: usize,
    #[serde(default)]
    center_input_sample: bool,
    #[serde(default = "positional")]
    time_embedding_type: String,
    #[serde(default)]
    freq_shift: f64,
    #[serde(default = "defaults::yes")]
    flip_sin_to_cos: bool,
    down_block_types: Vec<String>,
    up_block_types: Vec<String>,
    block_out_channels: Vec<usize>,
    #[serde(default = "defaults::size::<2>")]
    layers_per_block: usize,
    #[serde(default = "defaults::one")]
    mid_block_scale_factor: f64,
    #[serde(default = "defaults::size::<1>")]
    downsample_padding: usize,
    #[serde(default = "silu")]
    act_fn: String,
    #[serde(default = "defaults::some::<8>")]
    attention_head_dim: Option<usize>,
    #[serde(default = "defaults::some::<32>")]
    norm_num_groups: Option<usize>,
    #[serde(default)]
    attn_norm_num_groups: Option<usize>,
    #[serde(default = "small")]
    norm_eps: f64,
    #[serde(default = "defaults::yes")]
    add_attention: bool,
    #[serde(default)]
    time_embedding_dim: Option<usize>,
    #[serde(default = "middle")]
    mid_block_type: Option<String>,
    #[serde(default = "default")]
    resnet_time_scale_shift: String,
    #[serde(default = "conv")]
    downsample_type: String,
    #[serde(default = "conv")]
    upsample_type: String,
    #[serde(default)]
    class_embed_type: Option<String>,
    #[serde(default)]
    num_class_embeds: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Both([usize; 2]),
}

fn positional() -> String {
    "positional".into()
}

fn middle() -> Option<String> {
    Some("UNetMidBlock2D".into())
}

fn silu() -> String {
    "silu".into()
}

fn default() -> String {
    "default".into()
}

fn conv() -> String {
    "conv".into()
}

const fn small() -> f64 {
    1e-5
}

/// A block's kind, from its name: plain or with pyramids, with or without attention.
#[derive(Clone, Copy)]
struct Kind {
    skip: bool,
    attention: bool,
}

impl Kind {
    fn parse(name: &str, way: &str) -> Result<Self> {
        let kind = |skip, attention| Ok(Self { skip, attention });
        match name.strip_suffix(&format!("{way}Block2D")) {
            Some("") => kind(false, false),
            Some("Attn") => kind(false, true),
            Some("Skip") => kind(true, false),
            Some("AttnSkip") => kind(true, true),
            _ => {
                let known: Vec<_> = ["", "Attn", "Skip", "AttnSkip"].map(|k| format!("{k}{way}Block2D")).into();
                Err(Error::invalid("hyper", format!("block type '{name}' is not one of {}", known.join(", "))))
            }
        }
    }
}

struct Builder<'a> {
    net: Net<'a>,
    h: Hyper,
    time: Time,
}

fn check(h: &Hyper) -> Result<Shape> {
    let (height, width) = match h.sample_size {
        Side::One(side) => (side, side),
        Side::Both([height, width]) => (height, width),
    };
    let sizes = [height, width, h.in_channels, h.out_channels, h.layers_per_block];
    sane(sizes.into_iter().chain(h.block_out_channels.iter().copied()))?;
    let refuse = |message: String| Err(Error::invalid("hyper", message));
    let levels = h.block_out_channels.len();
    if levels == 0 || [h.down_block_types.len(), h.up_block_types.len()] != [levels; 2] {
        return refuse(format!("{levels} block_out_channels need as many down_block_types and up_block_types"));
    }
    if h.class_embed_type.is_some() || h.num_class_embeds.is_some() {
        return refuse(
            "conditioned on class labels, which is not supported: a field here is a function of x and t".into(),
        );
    }
    if h.in_channels != h.out_channels {
        return refuse("in_channels and out_channels differ: the output is not a vector field".into());
    }
    for (name, found, known) in [
        ("act_fn", &h.act_fn, "silu"),
        ("resnet_time_scale_shift", &h.resnet_time_scale_shift, "default"),
        ("downsample_type", &h.downsample_type, "conv"),
        ("upsample_type", &h.upsample_type, "conv"),
    ] {
        if found != known && !(name == "act_fn" && found == "swish") {
            return refuse(format!("{name} '{found}', only '{known}' is known"));
        }
    }
    if h.downsample_padding > 1 {
        return refuse(format!("downsample_padding {}, only 0 and 1 are known", h.downsample_padding));
    }
    if !(h.mid_block_scale_factor.is_normal() && h.norm_eps.is_finite() && h.norm_eps > 0.0) {
        return refuse("mid_block_scale_factor and norm_eps must be finite and not zero".into());
    }
    if h.mid_block_type != middle() {
        return refuse(format!("mid_block_type {:?}, only UNetMidBlock2D is known", h.mid_block_type));
    }
    let halvings = (levels - 1).min(20);
    if !(height.is_multiple_of(1 << halvings) && width.is_multiple_of(1 << halvings)) {
        return refuse(format!("sample_size {height}x{width} must be divisible by 2^{halvings}"));
    }
    Ok(Shape::new(h.in_channels, height, width))
}

fn build(value: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let h: Hyper = hyper(value)?;
    let shape = check(&h)?;
    let mut b = Builder { net: Net::new(shape, weights), h, time: Time { layers: vec![], width: 0 } };
    b.network()?;
    Ok(b.net.graph)
}

impl Builder<'_> {
    fn network(&mut self) -> Result<()> {
        let widths = self.h.block_out_channels.clone();
        let fourier = self.embed(widths[0])?;
        let mut x = self.net.graph.input();
        if self.h.center_input_sample {
            x = self.net.graph.push("centered", Affine { gain: 2.0, table: None, shift: -1.0 }, &[x])?;
        }
        let mut input = x;
        let mut y = self.net.conv("conv_in", x, widths[0], Geometry::same(3))?;
        let mut skips = vec![y];
        for (i, &width) in widths.iter().enumerate() {
            let kind = Kind::parse(&self.h.down_block_types[i], "Down")?;
            (y, input) = self.down(i, kind, y, input, width, i + 1 == widths.len(), &mut skips)?;
        }
        y = self.middle(y)?;
        let mut pyramid: Option<NodeId> = None;
        for (i, &width) in widths.iter().rev().enumerate() {
            let kind = Kind::parse(&self.h.up_block_types[i], "Up")?;
            (y, pyramid) = self.up(i, kind, y, pyramid, width, i + 1 == widths.len(), &mut skips)?;
        }
        y = self.norm_silu("conv_norm_out", y, widths[0] / 4, false)?;
        y = self.net.conv("conv_out", y, self.h.out_channels, Geometry::same(3))?;
        if let Some(pyramid) = pyramid {
            y = self.net.sum("pyramid", y, pyramid, 1.0)?;
        }
        if fourier {
            let table = Some(self.net.row("1 / sigma", 1, vec![RowLayer::Reciprocal]));
            self.net.graph.push("over sigma", Affine { gain: 1.0, table, shift: 0.0 }, &[y])?;
        }
        Ok(())
    }

    /// SiLU of the embedding of the timestep, which is all that blocks see of it; true if it embeds noise levels.
    fn embed(&mut self, width: usize) -> Result<bool> {
        let (first, input, fourier) = match self.h.time_embedding_type.as_str() {
            "fourier" => {
                let weights = self.net.weights.take("time_proj.weight", &[width])?;
                (RowLayer::Fourier { weights, log: true }, 2 * width, true)
            }
            "positional" => {
                let divisor = (width / 2) as f64 - self.h.freq_shift;
                (RowLayer::Sinusoid { width, divisor, cos_first: self.h.flip_sin_to_cos }, width, false)
            }
            other => {
                let message = format!("time_embedding_type '{other}' is not one of positional, fourier");
                return Err(Error::invalid("hyper", message));
            }
        };
        let inner = self.h.time_embedding_dim.unwrap_or(4 * width);
        sane([inner])?;
        let layers = vec![
            first,
            self.net.dense("time_embedding.linear_1", inner, input)?,
            RowLayer::Silu,
            self.net.dense("time_embedding.linear_2", inner, inner)?,
            RowLayer::Silu,
        ];
        self.time = Time { layers, width: inner };
        Ok(fourier)
    }

    /// GroupNorm of so many groups unless the configuration says how many, then SiLU. Blocks with pyramids do not listen
    /// to the configuration.
    fn norm_silu(&mut self, name: &str, x: NodeId, groups: usize, skip: bool) -> Result<NodeId> {
        let own = groups.clamp(1, 32);
        let groups = if skip { own } else { self.h.norm_num_groups.unwrap_or(own) };
        self.net.norm_silu(name, x, groups, self.h.norm_eps)
    }

    #[allow(clippy::too_many_arguments)]
    fn down(
        &mut self,
        i: usize,
        kind: Kind,
        mut x: NodeId,
        mut input: NodeId,
        width: usize,
        last: bool,
        skips: &mut Vec<NodeId>,
    ) -> Result<(NodeId, NodeId)> {
        let name = format!("down_blocks.{i}");
        for layer in 0..self.h.layers_per_block {
            x = self.resnet(&format!("{name}.resnets.{layer}"), x, width, None, kind.skip)?;
            if kind.attention {
                x = self.attention(&format!("{name}.attentions.{layer}"), x, kind.skip)?;
            }
            skips.push(x);
        }
        if last {
            return Ok((x, input));
        }
        if kind.skip {
            x = self.resnet(&format!("{name}.resnet_down"), x, width, Some(Resample::fir_down()), true)?;
            input = self.net.resample(&format!("{name}.pyramid"), input, Resample::fir_down())?;
            let shown = self.net.conv(&format!("{name}.skip_conv"), input, width, Geometry::same(1))?;
            x = self.net.sum(&name, shown, x, 1.0)?;
        } else {
            let geometry = match self.h.downsample_padding {
                0 => Geometry::HALVE,
                padding => Geometry { side: 3, stride: 2, padding, trailing: 0 },
            };
            x = self.net.conv(&format!("{name}.downsamplers.0.conv"), x, width, geometry)?;
        }
        skips.push(x);
        Ok((x, input))
    }

    fn middle(&mut self, x: NodeId) -> Result<NodeId> {
        let (width, scale) = (self.net.channels(x), self.h.mid_block_scale_factor);
        let scaled = |b: &mut Self, name: &str, x| b.resnet_scaled(name, x, width, None, (scale, false), width / 4);
        let mut y = scaled(self, "mid_block.resnets.0", x)?;
        if self.h.add_attention {
            let groups = self.h.attn_norm_num_groups.or(self.h.norm_num_groups).unwrap_or((width / 4).clamp(1, 32));
            y = self.attention_scaled("mid_block.attentions.0", y, groups, scale)?;
        }
        scaled(self, "mid_block.resnets.1", y)
    }

    #[allow(clippy::too_many_arguments)]
    fn up(
        &mut self,
        i: usize,
        kind: Kind,
        mut x: NodeId,
        mut pyramid: Option<NodeId>,
        width: usize,
        last: bool,
        skips: &mut Vec<NodeId>,
    ) -> Result<(NodeId, Option<NodeId>)> {
        let name = format!("up_blocks.{i}");
        for layer in 0..=self.h.layers_per_block {
            let resnet = format!("{name}.resnets.{layer}");
            let skip = skips.pop().ok_or_else(|| Error::invalid(&name, "has no skip connection left"))?;
            let (own, other) = (self.net.channels(x), self.net.channels(skip));
            x = self.net.concat(&resnet, x, skip)?;
            // The class quarters only the skip connection's channels in blocks with attention and pyramids.
            let groups = if kind.skip && kind.attention { own + other / 4 } else { (own + other) / 4 };
            let scale = if kind.skip { SQRT_2 } else { 1.0 };
            x = self.resnet_scaled(&resnet, x, width, None, (scale, kind.skip), groups)?;
            if kind.attention && !kind.skip {
                x = self.attention(&format!("{name}.attentions.{layer}"), x, false)?;
            }
        }
        if !kind.skip {
            if !last {
                let up = format!("{name}.upsamplers.0.conv");
                x = self.net.resample(&format!("{up}.nearest"), x, Resample::nearest())?;
                x = self.net.conv(&up, x, width, Geometry::same(3))?;
            }
            return Ok((x, pyramid));
        }
        if kind.attention {
            x = self.attention(&format!("{name}.attentions.0"), x, true)?;
        }
        if let Some(before) = pyramid {
            pyramid = Some(self.net.resample(&format!("{name}.pyramid"), before, Resample::fir_up())?);
        }
        if !last {
            let y = self.net.norm_silu(&format!("{name}.skip_norm"), x, (width / 4).clamp(1, 32), self.h.norm_eps)?;
            let shown = self.net.conv(&format!("{name}.skip_conv"), y, self.h.out_channels, Geometry::same(3))?;
            pyramid = Some(match pyramid {
                None => shown,
                Some(before) => self.net.sum(&name, before, shown, 1.0)?,
            });
            x = self.resnet(&format!("{name}.resnet_up"), x, width, Some(Resample::fir_up()), true)?;
        }
        Ok((x, pyramid))
    }

    fn resnet(&mut self, name: &str, x: NodeId, out: usize, resize: Option<Resample>, skip: bool) -> Result<NodeId> {
        let groups = self.net.channels(x) / 4;
        self.resnet_scaled(name, x, out, resize, (if skip { SQRT_2 } else { 1.0 }, skip), groups)
    }

    /// (x + f(x)) / scale, f of two convolutions; `resize` acts on both. `skip`: of a block with pyramids.
    fn resnet_scaled(
        &mut self,
        name: &str,
        mut x: NodeId,
        out: usize,
        resize: Option<Resample>,
        (scale, skip): (f64, bool),
        groups: usize,
    ) -> Result<NodeId> {
        let mut y = self.norm_silu(&format!("{name}.norm1"), x, groups, skip)?;
        let resized = resize.is_some();
        if let Some(op) = resize {
            y = self.net.resample(&format!("{name}.resized"), y, op.clone())?;
            x = self.net.resample(&format!("{name}.shortcut"), x, op)?;
        }
        y = self.net.conv(&format!("{name}.conv1"), y, out, Geometry::same(3))?;
        y = self.net.add_time(&format!("{name}.time_emb_proj"), y, &self.time)?;
        y = self.norm_silu(&format!("{name}.norm2"), y, out / 4, skip)?;
        y = self.net.conv(&format!("{name}.conv2"), y, out, Geometry::same(3))?;
        if resized || self.net.channels(x) != out {
            x = self.net.conv(&format!("{name}.conv_shortcut"), x, out, Geometry::same(1))?;
        }
        self.net.sum(name, x, y, 1.0 / scale)
    }

    fn attention(&mut self, name: &str, x: NodeId, skip: bool) -> Result<NodeId> {
        let groups = if skip { 32 } else { self.h.norm_num_groups.unwrap_or(32) };
        self.attention_scaled(name, x, groups, if skip { SQRT_2 } else { 1.0 })
    }

    fn attention_scaled(&mut self, name: &str, x: NodeId, groups: usize, scale: f64) -> Result<NodeId> {
        let width = self.net.channels(x);
        let heads = width / self.h.attention_head_dim.unwrap_or(width).max(1);
        let y = self.net.group_norm(&format!("{name}.group_norm"), x, groups, self.h.norm_eps)?;
        self.net.attend(name, x, y, heads, 1.0 / scale)
    }
}
