//! Keys of a `UNet2DModel`'s config.json: each is used, known to be without effect, or refused by name. Defaults are those of
//! the class in diffusers 0.42. In: the file's JSON. Out: `Hyper`, checked as far as one key at a time can be.
use super::super::blocks::sane;
use crate::error::{Error, Result};
use crate::shape::Shape;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// What makes the network.
pub(super) struct Hyper {
    pub shape: Shape,
    pub center_input_sample: bool,
    pub time: TimeKind,
    pub time_embedding_dim: usize,
    /// How a class label is embedded, where the network takes one.
    pub class: Option<ClassKind>,
    pub down_block_types: Vec<String>,
    pub up_block_types: Vec<String>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub has_mid: bool,
    pub mid_block_scale_factor: f64,
    pub downsample_padding: usize,
    /// conv, resnet, or what only blocks without attention may ignore.
    pub downsample_type: String,
    pub upsample_type: String,
    pub act: Act,
    pub attention_head_dim: Option<usize>,
    pub norm_num_groups: Option<usize>,
    pub attn_norm_num_groups: Option<usize>,
    pub norm_eps: f64,
    pub add_attention: bool,
    /// default, scale_shift, or what only K blocks may ignore.
    pub resnet_time_scale_shift: String,
}

/// How the label is embedded.
pub(super) enum TimeKind {
    Positional { freq_shift: f64, cos_first: bool },
    Fourier,
    Learned { rows: usize },
}

/// How a class label is embedded; the embedding is added to that of the time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassKind {
    /// A row of a table, one for each class.
    Table { classes: usize },
    /// A number, embedded as the time is.
    Number,
    /// The embedding itself is given.
    Given,
}

/// Activation of the residual blocks. The time embedding and the last layers have SiLU whatever this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Silu,
    Mish,
    Gelu,
    Relu,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Both([usize; 2]),
}

/// Height and width of a sample.
const SIZE: &str = "sample_size";

/// Keys whose values stand for the class's own defaults, whatever they are.
const DEFAULTS: &str = "_use_default_values";

/// Rows of a learned time embedding beyond which a file is damaged.
const MOST_TIMESTEPS: usize = 1 << 20;
/// Rows of a table of classes beyond which a file is damaged.
const MOST_CLASSES: usize = 1 << 20;

/// The keys of a file that nobody has asked for yet.
struct Keys(Map<String, Value>);

impl Keys {
    /// Keys that begin with `_` describe the file and do not reach the class, save `_use_default_values`.
    fn of(value: &Value) -> Result<Self> {
        let Value::Object(map) = value else {
            return Err(refused(format!("found {}, expected an object of keys", brief(value))));
        };
        let mut map = map.clone();
        if let Some(listed) = map.get(DEFAULTS) {
            let names: Vec<String> = read(DEFAULTS, listed.clone())?;
            map.retain(|key, _| !names.contains(key));
        }
        map.retain(|key, _| !key.starts_with('_'));
        Ok(Self(map))
    }

    fn take<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Result<T> {
        self.0.remove(key).map_or(Ok(default), |value| read(key, value))
    }

    fn texts(&mut self, key: &str, default: &[&str]) -> Result<Vec<String>> {
        self.take(key, default.iter().map(|s| s.to_string()).collect())
    }

    /// A name; nothing or an empty one is the default, as for `or` in Python.
    fn name(&mut self, key: &str, default: &str) -> Result<String> {
        let found: Option<String> = self.take(key, None)?;
        Ok(found.filter(|name| !name.is_empty()).unwrap_or_else(|| default.into()))
    }

    /// A finite number.
    fn number(&mut self, key: &str, default: f64) -> Result<f64> {
        let found: f64 = self.take(key, default)?;
        if found.is_finite() { Ok(found) } else { Err(refused(format!("{key} {found}, expected a finite number"))) }
    }

    /// An error if a key is left.
    fn finish(self) -> Result<()> {
        match self.0.iter().next() {
            None => Ok(()),
            Some((key, value)) => {
                Err(refused(format!("unknown key `{key}` ({}): UNet2DModel has no such option", brief(value))))
            }
        }
    }
}

/// What a configuration asks for and cannot have.
pub(super) fn refused(message: impl Display) -> Error {
    Error::invalid("hyper", message)
}

/// The beginning of a value, for messages.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { text.chars().take(40).chain("..".chars()).collect() }
}

fn read<T: DeserializeOwned>(key: &str, value: Value) -> Result<T> {
    let found = brief(&value);
    serde_json::from_value(value).map_err(|e| refused(format!("{key} {found}: {e}")))
}

/// Whether the configuration leaves the size of a sample open.
pub(in crate::model) fn is_sizeless(hyper: &Value) -> bool {
    let listed = |names: &Vec<Value>| names.iter().any(|name| name == SIZE);
    hyper.get(SIZE).is_none_or(Value::is_null) || hyper.get(DEFAULTS).and_then(Value::as_array).is_some_and(listed)
}

/// Puts the size of a sample of this shape into a configuration that leaves it open.
pub(in crate::model) fn give_size(hyper: &mut Value, shape: Shape) -> Result<()> {
    let channels = hyper.get("in_channels").and_then(Value::as_u64).unwrap_or(3);
    if channels != shape.c as u64 {
        return Err(refused(format!("in_channels {channels}: the network has no samples of {shape}")));
    }
    if let Some(names) = hyper.get_mut(DEFAULTS).and_then(Value::as_array_mut) {
        names.retain(|name| name != SIZE);
    }
    if let Some(keys) = hyper.as_object_mut() {
        keys.insert(SIZE.into(), json!([shape.h, shape.w]));
    }
    Ok(())
}

impl Hyper {
    pub fn read(value: &Value) -> Result<Self> {
        let mut keys = Keys::of(value)?;
        let widths: Vec<usize> = keys.take("block_out_channels", vec![224, 448, 672, 896])?;
        let downs = ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"];
        let ups = ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"];
        let down_block_types = keys.texts("down_block_types", &downs)?;
        let up_block_types = keys.texts("up_block_types", &ups)?;
        let levels = widths.len();
        if levels == 0 || [down_block_types.len(), up_block_types.len()] != [levels; 2] {
            let message = format!("{levels} block_out_channels need as many down_block_types and up_block_types");
            return Err(refused(message));
        }
        sane(widths.iter().copied()).map_err(|e| refused(format!("block_out_channels: {e}")))?;
        let inner: Option<usize> = keys.take("time_embedding_dim", None)?;
        let h = Self {
            shape: shape(&mut keys)?,
            center_input_sample: keys.take("center_input_sample", false)?,
            time: time(&mut keys, widths[0])?,
            time_embedding_dim: inner.filter(|&n| n > 0).unwrap_or(4 * widths[0]),
            down_block_types,
            up_block_types,
            layers_per_block: keys.take("layers_per_block", 2)?,
            has_mid: middle(&mut keys)?,
            mid_block_scale_factor: keys.number("mid_block_scale_factor", 1.0)?,
            downsample_padding: keys.take("downsample_padding", 1)?,
            downsample_type: keys.name("downsample_type", "conv")?,
            upsample_type: keys.name("upsample_type", "conv")?,
            class: class(&mut keys)?,
            act: act(&mut keys)?,
            attention_head_dim: keys.take("attention_head_dim", Some(8))?,
            norm_num_groups: keys.take("norm_num_groups", Some(32))?,
            attn_norm_num_groups: keys.take("attn_norm_num_groups", None)?,
            norm_eps: keys.number("norm_eps", 1e-5)?,
            add_attention: keys.take("add_attention", true)?,
            resnet_time_scale_shift: keys.take("resnet_time_scale_shift", "default".to_string())?,
            block_out_channels: widths,
        };
        without_effect(&mut keys)?;
        keys.finish()?;
        h.check()?;
        Ok(h)
    }

    fn check(&self) -> Result<()> {
        let most = self.downsample_padding.max(self.layers_per_block);
        sane([self.time_embedding_dim, most.max(1)])?;
        if self.norm_eps < 0.0 {
            return Err(refused(format!("norm_eps {}, expected 0 or more", self.norm_eps)));
        }
        let scale = self.mid_block_scale_factor;
        if !((1.0 / scale) as f32).is_normal() {
            return Err(refused(format!("mid_block_scale_factor {scale}, which cannot divide f32 numbers")));
        }
        Ok(())
    }
}

/// `[C, H, W]`: a field needs as many channels out as in.
fn shape(keys: &mut Keys) -> Result<Shape> {
    let [c, out] = [keys.take("in_channels", 3)?, keys.take("out_channels", 3)?];
    let (h, w) = match keys.take(SIZE, None)? {
        Some(Side::One(side)) => (side, side),
        Some(Side::Both([h, w])) => (h, w),
        None => {
            let message =
                "sample_size is null, the class's default: it has to be given, as --shape CxHxW or in config.json";
            return Err(refused(message));
        }
    };
    sane([c, out]).map_err(|e| refused(format!("in_channels and out_channels: {e}")))?;
    sane([h, w]).map_err(|e| refused(format!("sample_size: {e}")))?;
    if c != out {
        let message = format!("in_channels {c} and out_channels {out} differ: the output is not a vector field");
        return Err(refused(message));
    }
    Ok(Shape::new(c, h, w))
}

fn time(keys: &mut Keys, width: usize) -> Result<TimeKind> {
    let kind: String = keys.take("time_embedding_type", "positional".into())?;
    let freq_shift = keys.number("freq_shift", 0.0)?;
    let cos_first = keys.take("flip_sin_to_cos", true)?;
    let rows: Option<usize> = keys.take("num_train_timesteps", None)?;
    match kind.as_str() {
        "positional" if width > 1 && (width / 2) as f64 == freq_shift => {
            let message =
                format!("freq_shift {freq_shift} is half of block_out_channels[0]: the embedding divides by zero");
            Err(refused(message))
        }
        "positional" => Ok(TimeKind::Positional { freq_shift, cos_first }),
        "fourier" => Ok(TimeKind::Fourier),
        "learned" => match rows {
            Some(rows) if (1..=MOST_TIMESTEPS).contains(&rows) => Ok(TimeKind::Learned { rows }),
            found => {
                let found = found.map_or("null".into(), |n| n.to_string());
                let message = format!("num_train_timesteps {found}: a learned embedding has 1..={MOST_TIMESTEPS} rows");
                Err(refused(message))
            }
        },
        other => {
            let message = format!("time_embedding_type '{other}' is not one of positional, fourier, learned");
            Err(refused(message))
        }
    }
}

fn middle(keys: &mut Keys) -> Result<bool> {
    match keys.take("mid_block_type", Some("UNetMidBlock2D".to_string()))?.as_deref() {
        None => Ok(false),
        Some("UNetMidBlock2D") => Ok(true),
        Some(other) => {
            Err(refused(format!("mid_block_type '{other}', only UNetMidBlock2D is known, and null for none")))
        }
    }
}

fn act(keys: &mut Keys) -> Result<Act> {
    let name: String = keys.take("act_fn", "silu".into())?;
    Ok(match name.to_lowercase().as_str() {
        "silu" | "swish" => Act::Silu,
        "mish" => Act::Mish,
        "gelu" => Act::Gelu,
        "relu" => Act::Relu,
        _ => return Err(refused(format!("act_fn '{name}' is not one of silu, swish, mish, gelu, relu"))),
    })
}

/// Of the options in the order that the class looks at them.
fn class(keys: &mut Keys) -> Result<Option<ClassKind>> {
    let (kind, classes): (Option<String>, Option<usize>) =
        (keys.take("class_embed_type", None)?, keys.take("num_class_embeds", None)?);
    match (kind.as_deref(), classes) {
        (None, None) => Ok(None),
        (None, Some(classes)) if (1..=MOST_CLASSES).contains(&classes) => Ok(Some(ClassKind::Table { classes })),
        (None, Some(found)) => Err(refused(format!("num_class_embeds {found}, expected 1..={MOST_CLASSES} classes"))),
        (Some("timestep"), _) => Ok(Some(ClassKind::Number)),
        (Some("identity"), _) => Ok(Some(ClassKind::Given)),
        (Some(other), _) => {
            Err(refused(format!("class_embed_type '{other}' is not one of timestep, identity, and null for a table")))
        }
    }
}

/// Keys that do nothing here: `dropout` acts in training only.
fn without_effect(keys: &mut Keys) -> Result<()> {
    let dropout: f64 = keys.take("dropout", 0.0)?;
    if !(0.0..=1.0).contains(&dropout) {
        return Err(refused(format!("dropout {dropout}, expected a probability")));
    }
    Ok(())
}
