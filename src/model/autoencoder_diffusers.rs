//! `AutoencoderKL` and `VQModel` of diffusers: residual blocks with attention where asked for, halved and doubled; the first
//! puts out a distribution, the second latents that are moved to a codebook. In: the class's config.json and tensor names,
//! old and new attention names alike. Out: encoder, decoder and what lies between them.
use super::Weights;
use super::blocks::{Geometry, Net, sane};
use super::halves::{Halves, Info};
use super::latent_space::{Codebook, LatentSpace};
use super::sides::Sides;
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::ops::pointwise::Pointwise;
use crate::ops::resample::Resample;
use crate::shape::Shape;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub(super) const KL: Info = Info {
    name: "autoencoder_kl",
    source: "github.com/huggingface/diffusers, class AutoencoderKL",
    ignorable: &[],
    shapes: |value| Hyper::read(Class::Kl, value)?.shapes(),
    halves: Halves {
        encode: |value, net, x| Hyper::read(Class::Kl, value)?.encode(net, x),
        decode: |value, net, z| Hyper::read(Class::Kl, value)?.decode(net, z),
    },
    space: Some(|value, _| Hyper::read(Class::Kl, value)?.space(None)),
};

pub(super) const VQ: Info = Info {
    name: "vq_model",
    source: "github.com/huggingface/diffusers, class VQModel",
    ignorable: &[],
    shapes: |value| Hyper::read(Class::Vq, value)?.shapes(),
    halves: Halves {
        encode: |value, net, x| Hyper::read(Class::Vq, value)?.encode(net, x),
        decode: |value, net, z| Hyper::read(Class::Vq, value)?.decode(net, z),
    },
    space: Some(|value, weights| Hyper::read(Class::Vq, value)?.space(Some(weights))),
};

/// Classes of diffusers that are known.
pub(super) const CLASSES: [&str; 2] = [Class::Kl.name(), Class::Vq.name()];

/// The family of a class of diffusers, if it is an autoencoder that is known.
pub fn family(class: &str) -> Option<&'static str> {
    CLASSES.iter().position(|c| *c == class).map(|i| [KL.name, VQ.name][i])
}

/// Makes a configuration one for images that have latents of that height and width; what it had for a size.
pub(super) fn give_size(family: &str, hyper: &mut Map<String, Value>, latent: Shape) -> Result<Value> {
    let class = if family == KL.name { Class::Kl } else { Class::Vq };
    let halvings = Hyper::read(class, &Value::Object(hyper.clone()))?.halvings();
    if let Some(names) = hyper.get_mut(DEFAULTS).and_then(Value::as_array_mut) {
        names.retain(|name| name != SIZE);
    }
    let own = hyper.insert(SIZE.into(), json!([latent.h << halvings, latent.w << halvings]));
    Ok(own.unwrap_or(Value::Null))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Kl,
    Vq,
}

impl Class {
    const fn name(self) -> &'static str {
        match self {
            Class::Kl => "AutoencoderKL",
            Class::Vq => "VQModel",
        }
    }

    /// The class's own keys.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Class::Kl => &["shift_factor", "latents_mean", "latents_std", "use_quant_conv", "use_post_quant_conv"],
            Class::Vq => &["num_vq_embeddings", "vq_embed_dim", "norm_type"],
        }
    }

    /// Keys that say nothing about what is computed here: how pipelines call the class.
    const fn idle(self) -> &'static [&'static str] {
        match self {
            Class::Kl => &["force_upcast"],
            // Pipelines that generate the codebook's indices have them looked up; latents are quantised either way.
            Class::Vq => &["force_upcast", "lookup_from_codebook"],
        }
    }
}

/// Height and width of an image.
const SIZE: &str = "sample_size";
/// Keys of both classes.
const KEYS: [&str; 13] = [
    "in_channels",
    "out_channels",
    "down_block_types",
    "up_block_types",
    "block_out_channels",
    "layers_per_block",
    "act_fn",
    "latent_channels",
    "norm_num_groups",
    SIZE,
    "scaling_factor",
    "mid_block_add_attention",
    "_class_name",
];
/// Keys about the file.
const ABOUT: [&str; 3] = ["_diffusers_version", "_name_or_path", DEFAULTS];
/// The keys whose values stand for the class's own defaults, whatever they are.
const DEFAULTS: &str = "_use_default_values";
const EPSILON: f64 = 1e-6;

/// What config.json says, with the class's defaults for what it leaves out.
struct Hyper {
    class: Class,
    image: Sides,
    in_channels: usize,
    out_channels: usize,
    /// Whether blocks have attention, on the way down and on the way up.
    attention: [Vec<bool>; 2],
    widths: Vec<usize>,
    layers: usize,
    /// None: SiLU.
    act: Option<Pointwise>,
    /// Channels that the encoder's last convolution and the decoder's first one have in mind.
    channels: usize,
    groups: usize,
    middle_attention: bool,
    /// 1x1 convolutions behind the encoder and before the decoder.
    quant: [bool; 2],
    scaling: f64,
    shift: Option<f64>,
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    /// Vectors of the codebook.
    codes: usize,
    /// Channels of a latent.
    latent: usize,
}

/// The values of a configuration, by key.
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    /// The value of a key, or the class's default where there is none.
    fn get<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T> {
        let by_default =
            self.0.get(DEFAULTS).and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|k| k == key));
        let Some(value) = self.0.get(key).filter(|_| !by_default) else { return Ok(default) };
        serde_json::from_value(value.clone())
            .map_err(|e| Error::invalid(format!("hyper.{key}"), format!("{value}: {e}")))
    }

    /// The same where null means that there is none.
    fn some<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.get(key, None)
    }

    /// Which of these blocks have attention.
    fn blocks(&self, key: &str, plain: &str) -> Result<Vec<bool>> {
        let attention = format!("Attn{plain}");
        let names: Vec<String> = self.get(key, vec![plain.to_string()])?;
        let kind = |name: &String| match name.strip_prefix("UNetRes").unwrap_or(name) {
            found if found == plain => Ok(false),
            found if found == attention => Ok(true),
            found => {
                let message = format!("'{found}' is not one of {plain}, {attention}");
                Err(Error::invalid(format!("hyper.{key}"), message))
            }
        };
        names.iter().map(kind).collect()
    }

    /// An error about the value of a key.
    fn refuse<T>(&self, key: &str, message: &str) -> Result<T> {
        let value = self.0.get(key).unwrap_or(&Value::Null);
        Err(Error::invalid(format!("hyper.{key}"), format!("{value}: {message}")))
    }
}

impl Hyper {
    fn read(class: Class, value: &Value) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| Error::invalid("hyper", "is no object of keys and values"))?;
        let keys = Keys(map);
        let lists = [&KEYS[..], &ABOUT, class.keys(), class.idle()];
        if let Some(key) = map.keys().find(|k| !lists.iter().any(|l| l.contains(&k.as_str()))) {
            return keys.refuse(
                key,
                &format!("not a known key of {}; what it would change is not known either", class.name()),
            );
        }
        if keys.get("_class_name", class.name().to_string())? != class.name() {
            return keys.refuse("_class_name", &format!("the family is that of {}", class.name()));
        }
        let act = match keys.get("act_fn", "silu".to_string())?.to_lowercase().as_str() {
            "silu" | "swish" => None,
            "relu" => Some(Pointwise::Relu),
            "gelu" => Some(Pointwise::Gelu),
            "mish" => Some(Pointwise::Mish),
            _ => return keys.refuse("act_fn", "not one of silu, swish, mish, gelu, relu"),
        };
        if keys.get("norm_type", "group".to_string())? != "group" {
            return keys.refuse("norm_type", "only group is known");
        }
        let channels = keys.get("latent_channels", if class == Class::Kl { 4 } else { 3 })?;
        let hyper = Self {
            class,
            image: keys.get(SIZE, Sides::square(32))?,
            in_channels: keys.get("in_channels", 3)?,
            out_channels: keys.get("out_channels", 3)?,
            attention: [
                keys.blocks("down_block_types", "DownEncoderBlock2D")?,
                keys.blocks("up_block_types", "UpDecoderBlock2D")?,
            ],
            widths: keys.get("block_out_channels", vec![64])?,
            layers: keys.get("layers_per_block", 1)?,
            act,
            channels,
            groups: keys.get("norm_num_groups", 32)?,
            middle_attention: keys.get("mid_block_add_attention", true)?,
            quant: [keys.get("use_quant_conv", true)?, keys.get("use_post_quant_conv", true)?],
            scaling: keys.get("scaling_factor", 0.18215)?,
            shift: keys.some("shift_factor")?,
            mean: keys.some("latents_mean")?,
            std: keys.some("latents_std")?,
            codes: keys.get("num_vq_embeddings", 256)?,
            latent: keys.some("vq_embed_dim")?.unwrap_or(channels),
        };
        hyper.check()?;
        Ok(hyper)
    }

    fn check(&self) -> Result<()> {
        let sizes = [self.in_channels, self.out_channels, self.layers + 1, self.channels, self.groups, self.latent];
        sane(sizes.into_iter().chain(self.image.both()).chain(self.widths.iter().copied()))?;
        if !(1..=1 << 20).contains(&self.codes) {
            let message = format!("{}, expected 1..={}", self.codes, 1 << 20);
            return Err(Error::invalid("hyper.num_vq_embeddings", message));
        }
        let levels = self.widths.len();
        if levels == 0 || self.attention.iter().any(|a| a.len() != levels) {
            let message = format!("{levels} block_out_channels need as many down_block_types and up_block_types");
            return Err(Error::invalid("hyper", message));
        }
        if self.image.both().iter().any(|side| side >> self.halvings() == 0) {
            let message = format!("{} leaves nothing when it is halved {} times", self.image, self.halvings());
            return Err(Error::invalid("hyper.sample_size", message));
        }
        Ok(())
    }

    fn halvings(&self) -> usize {
        (self.widths.len() - 1).min(20)
    }

    /// Of an image and of a latent. A side that is odd loses a pixel when it is halved.
    fn shapes(&self) -> Result<[Shape; 2]> {
        let [h, w] = self.image.both().map(|side| side >> self.halvings());
        Ok([self.image.shape(self.in_channels), Shape::new(self.latent, h, w)])
    }

    /// (z - mean) scaling_factor / std, or (z - shift_factor) scaling_factor.
    fn space(&self, codebook: Option<&Weights>) -> Result<LatentSpace> {
        let refuse = |message: String| Err(Error::invalid("hyper.latents_mean", message));
        let (shift, std) = match (&self.mean, &self.std, self.shift) {
            (None, None, shift) => (vec![shift.unwrap_or(0.0); self.latent], vec![1.0; self.latent]),
            (Some(mean), Some(std), None) => (mean.clone(), std.clone()),
            (Some(_), Some(_), Some(_)) => return refuse("given with a shift_factor, expected one of them".into()),
            _ => return refuse("latents_mean and latents_std go together, and one of them is missing".into()),
        };
        if [shift.len(), std.len()] != [self.latent; 2] {
            let found = format!("{} and {} numbers of latents_mean and latents_std", shift.len(), std.len());
            return refuse(format!("{found}, expected one for each of {} channels", self.latent));
        }
        let vectors = |weights: &Weights| weights.take("quantize.embedding.weight", &[self.codes, self.latent]);
        let codebook =
            codebook.map(|w| Ok::<_, Error>(Codebook { vectors: vectors(w)?, width: self.latent })).transpose()?;
        let scale = std.iter().map(|std| self.scaling / std).collect();
        LatentSpace { distribution: self.class == Class::Kl, shift, scale, codebook }.checked()
    }

    fn encode(&self, net: &mut Net, x: NodeId) -> Result<NodeId> {
        let mut y = net.conv("encoder.conv_in", x, self.widths[0], Geometry::same(3))?;
        for (level, &width) in self.widths.iter().enumerate() {
            let name = format!("encoder.down_blocks.{level}");
            y = self.level(net, &name, y, width, self.layers, self.attention[0][level])?;
            if level + 1 < self.widths.len() {
                y = net.conv(&format!("{name}.downsamplers.0.conv"), y, width, Geometry::HALVE)?;
            }
        }
        y = self.middle(net, "encoder.mid_block", y)?;
        y = net.norm_silu("encoder.conv_norm_out", y, self.groups, EPSILON)?;
        let (out, latent) = match self.class {
            Class::Kl => (2 * self.channels, 2 * self.latent),
            Class::Vq => (self.channels, self.latent),
        };
        y = net.conv("encoder.conv_out", y, out, Geometry::same(3))?;
        if self.quant[0] { net.conv("quant_conv", y, latent, Geometry::same(1)) } else { Ok(y) }
    }

    fn decode(&self, net: &mut Net, z: NodeId) -> Result<NodeId> {
        let mut y = z;
        if self.quant[1] {
            y = net.conv("post_quant_conv", y, self.channels, Geometry::same(1))?;
        }
        let deepest = self.widths[self.widths.len() - 1];
        y = net.conv("decoder.conv_in", y, deepest, Geometry::same(3))?;
        y = self.middle(net, "decoder.mid_block", y)?;
        for (level, &width) in self.widths.iter().rev().enumerate() {
            let name = format!("decoder.up_blocks.{level}");
            y = self.level(net, &name, y, width, self.layers + 1, self.attention[1][level])?;
            if level + 1 < self.widths.len() {
                let up = format!("{name}.upsamplers.0.conv");
                y = net.resample(&format!("{up}.nearest"), y, Resample::nearest())?;
                y = net.conv(&up, y, width, Geometry::same(3))?;
            }
        }
        y = net.norm_silu("decoder.conv_norm_out", y, self.groups, EPSILON)?;
        net.conv("decoder.conv_out", y, self.out_channels, Geometry::same(3))
    }

    /// The blocks of one size.
    fn level(&self, net: &mut Net, name: &str, x: NodeId, width: usize, layers: usize, attend: bool) -> Result<NodeId> {
        let mut y = x;
        for i in 0..layers {
            y = self.block(net, &format!("{name}.resnets.{i}"), y, width)?;
            if attend {
                y = self.attend(net, &format!("{name}.attentions.{i}"), y)?;
            }
        }
        Ok(y)
    }

    fn middle(&self, net: &mut Net, name: &str, x: NodeId) -> Result<NodeId> {
        let width = net.channels(x);
        let mut y = self.block(net, &format!("{name}.resnets.0"), x, width)?;
        if self.middle_attention {
            y = self.attend(net, &format!("{name}.attentions.0"), y)?;
        }
        self.block(net, &format!("{name}.resnets.1"), y, width)
    }

    /// x + f(x), f of two convolutions.
    fn block(&self, net: &mut Net, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let mut y = self.norm(net, &format!("{name}.norm1"), x)?;
        y = net.conv(&format!("{name}.conv1"), y, out, Geometry::same(3))?;
        y = self.norm(net, &format!("{name}.norm2"), y)?;
        y = net.conv(&format!("{name}.conv2"), y, out, Geometry::same(3))?;
        let straight = net.channels(x) == out;
        let x = if straight { x } else { net.conv(&format!("{name}.conv_shortcut"), x, out, Geometry::same(1))? };
        net.sum(name, x, y, 1.0)
    }

    /// GroupNorm and the activation that the configuration names; where the halves end it is SiLU in any case.
    fn norm(&self, net: &mut Net, name: &str, x: NodeId) -> Result<NodeId> {
        let Some(act) = self.act else { return net.norm_silu(name, x, self.groups, EPSILON) };
        let y = net.group_norm(name, x, self.groups, EPSILON)?;
        net.graph.push(format!("{name}.act"), act, &[y])
    }

    /// x + attention over all pixels, with one head.
    fn attend(&self, net: &mut Net, name: &str, x: NodeId) -> Result<NodeId> {
        let y = net.group_norm(&format!("{name}.group_norm"), x, self.groups, EPSILON)?;
        let y = net.attend(name, y, 1, net.channels(y))?;
        net.sum(name, x, y, 1.0)
    }
}
