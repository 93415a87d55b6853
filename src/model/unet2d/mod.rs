//! `UNet2DModel` of diffusers with every option and block that the class can run: the DDPM networks, NCSN++ as that library
//! has it, k-diffusion's blocks. In: its config.json and tensor names, old and new attention names alike. Out: a graph.
mod config;
mod down;
mod layers;
mod up;

use super::blocks::{Geometry, Net};
use super::{Conditional, FamilyInfo, Wanted, Weights};
use crate::error::Result;
use crate::graph::{Graph, NodeId};
use crate::ops::affine::Affine;
use crate::ops::resample::Resample;
use crate::rows::functions::{Each, Fourier, Lookup, Reciprocal, Sinusoid, Sum};
use crate::rows::{RowId, Rows};
use config::{Act, ClassKind, Hyper, TimeKind, refused};
pub(super) use config::{give_size, is_sizeless};
use layers::Resnet;
use std::sync::Arc;

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "unet2d_diffusers",
    source: "github.com/huggingface/diffusers, class UNet2DModel",
    // A second name of time_proj.weight in checkpoints of early versions, which the class does not read.
    ignorable: &["time_proj.W"],
    schedule: None,
    size: "sample_size",
    presets: &[("ddpm-celebahq-256", DDPM_CELEBAHQ_256)],
    conditional: Some(Conditional { wanted: conditions, onto }),
    build,
};

/// The sizes of google/ddpm-celebahq-256.
const DDPM_CELEBAHQ_256: &str = include_str!("../presets/ddpm-celebahq-256.json");

/// The same class; golden cases call its NCSN++ configuration so.
pub(super) const NCSNPP: FamilyInfo = FamilyInfo { name: "unet2d_ncsnpp_diffusers", presets: &[], ..FAMILY };

/// What the class calls its condition.
const CLASS: &str = "class_labels";

/// Channels that the class's pyramids have, whatever its configuration says.
const PYRAMID: usize = 3;

struct Builder<'a> {
    net: Net<'a>,
    h: Hyper,
    /// Of the names of its contexts.
    prefix: &'static str,
    /// The embedding that K blocks see.
    raw: RowId,
    /// The embedding behind an activation, as all other blocks see it.
    told: RowId,
    /// What the blocks on the way down leave for the way up; none where a block leaves nothing in its place.
    skips: Vec<Option<NodeId>>,
    /// The image at the size of the block (on the way down), or the sum of what blocks show of theirs (on the way up).
    pyramid: Option<NodeId>,
}

/// What sets apart the blocks that the class knows by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Convolutions between sizes, or residual blocks where attention is and the configuration asks for them.
    Plain,
    /// Residual blocks between sizes.
    Resnet,
    /// A pyramid of images beside it; groups of its own, everything divided by the root of 2.
    Skip,
    /// k-diffusion's: norms that the time embedding scales and shifts, groups of 32 channels, filters between sizes.
    K,
}

/// A block's kind, from its name.
#[derive(Clone, Copy)]
struct Kind {
    body: Body,
    attention: bool,
}

impl Kind {
    /// `way` is Down or Up. Names of early configurations begin with `UNetRes`.
    fn parse(name: &str, way: &str) -> Result<Self> {
        let known = [
            ("", Body::Plain, false),
            ("Attn", Body::Plain, true),
            ("Resnet", Body::Resnet, false),
            ("Skip", Body::Skip, false),
            ("AttnSkip", Body::Skip, true),
            ("K", Body::K, false),
            ("KCrossAttn", Body::K, true),
        ];
        let called = |&(prefix, ..): &(&str, Body, bool)| match prefix {
            "Resnet" => format!("Resnet{way}sampleBlock2D"),
            _ => format!("{prefix}{way}Block2D"),
        };
        let bare = name.strip_prefix("UNetRes").unwrap_or(name);
        if let Some(&(_, body, attention)) = known.iter().find(|kind| called(kind) == bare) {
            return Ok(Self { body, attention });
        }
        let why = match bare {
            "DownEncoderBlock2D" | "AttnDownEncoderBlock2D" | "UpDecoderBlock2D" | "AttnUpDecoderBlock2D" => {
                "has no skip connections, and UNet2DModel cannot run it".to_string()
            }
            _ if bare.contains("CrossAttn") => "attends to a text, of which UNet2DModel knows nothing".to_string(),
            _ => format!("is not one of {}", known.iter().map(called).collect::<Vec<_>>().join(", ")),
        };
        Err(refused(format!("block type '{name}' {why}")))
    }
}

/// The class label, where the network takes one.
fn conditions(value: &serde_json::Value) -> Result<Vec<Wanted>> {
    let h = Hyper::read(value)?;
    let wanted = |shape, whole, below| Wanted { name: CLASS.into(), shape, whole, below };
    Ok(h.class
        .map(|class| match class {
            ClassKind::Table { classes } => wanted(vec![Some(1)], true, Some(classes)),
            ClassKind::Number => wanted(vec![Some(1)], false, None),
            ClassKind::Given => wanted(vec![Some(1), Some(h.time_embedding_dim)], false, None),
        })
        .into_iter()
        .collect())
}

fn build(value: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let mut graph = Graph::new(Hyper::read(value)?.shape);
    let y = onto(value, weights, &mut graph, "")?;
    graph.output("y", y)?;
    Ok(graph)
}

fn onto(value: &serde_json::Value, weights: &Weights, graph: &mut Graph, prefix: &'static str) -> Result<NodeId> {
    let h = Hyper::read(value)?;
    for (types, way) in [(&h.down_block_types, "Down"), (&h.up_block_types, "Up")] {
        types.iter().try_for_each(|name| Kind::parse(name, way).map(drop))?;
    }
    let net = Net { graph: std::mem::take(graph), weights };
    let mut b = Builder { net, h, prefix, raw: Rows::LABEL, told: Rows::LABEL, skips: vec![], pyramid: None };
    let y = b.network()?;
    *graph = b.net.graph;
    Ok(y)
}

impl Builder<'_> {
    fn network(&mut self) -> Result<NodeId> {
        let widths = self.h.block_out_channels.clone();
        self.embed(widths[0])?;
        let mut x = self.net.graph.input("x")?;
        if self.h.center_input_sample {
            x = self.net.graph.push("centered", Affine { gain: 2.0, table: None, shift: -1.0 }, &[x])?;
        }
        // The class centers what its pyramids begin with, too.
        self.pyramid = Some(x);
        let mut y = self.net.conv("conv_in", x, widths[0], Geometry::same(3))?;
        self.skips.push(Some(y));
        for i in 0..widths.len() {
            y = self.down(i, y)?;
        }
        if self.h.has_mid {
            y = self.middle(y)?;
        }
        self.pyramid = None;
        for i in 0..widths.len() {
            y = self.up(i, y)?;
        }
        let groups = self.h.norm_num_groups.unwrap_or((widths[0] / 4).min(32));
        y = self.net.norm_silu("conv_norm_out", y, groups, self.h.norm_eps)?;
        y = self.net.conv("conv_out", y, self.h.shape.c, Geometry::same(3))?;
        y = self.shown(y)?;
        if matches!(self.h.time, TimeKind::Fourier) {
            let row = self.net.apply(Reciprocal, Rows::LABEL)?;
            let table = Some(self.net.graph.rows.push("1 / sigma", row)?);
            y = self.net.graph.push("over sigma", Affine { gain: 1.0, table, shift: 0.0 }, &[y])?;
        }
        Ok(y)
    }

    /// The output and the pyramid. One pixel of the latter counts for all, as PyTorch adds it.
    fn shown(&mut self, y: NodeId) -> Result<NodeId> {
        let Some(mut pyramid) = self.pyramid else { return Ok(y) };
        let (want, mut found) = (self.net.graph.shape(y), self.net.graph.shape(pyramid));
        if found.pixels() == 1 && want.h == want.w && want.h.is_power_of_two() {
            while found.h < want.h {
                pyramid = self.net.resample("pyramid.nearest", pyramid, Resample::nearest())?;
                found = self.net.graph.shape(pyramid);
            }
        }
        if found != want {
            let message = format!("up_block_types: the pyramid of Skip blocks ends as {found}, the output is {want}");
            return Err(refused(message));
        }
        self.net.sum("pyramid", y, pyramid, 1.0)
    }

    /// The embedding of the time, and that of a class added to it.
    fn embed(&mut self, width: usize) -> Result<()> {
        let learned = match self.h.time {
            TimeKind::Fourier => Some(self.net.weights.take("time_proj.weight", &[width])?),
            TimeKind::Positional { .. } => None,
            TimeKind::Learned { rows } => Some(self.net.weights.take("time_proj.weight", &[rows, width])?),
        };
        let learned = learned.unwrap_or_default();
        let act = match self.h.act {
            Act::Silu => Each::SILU,
            Act::Mish => Each::MISH,
            Act::Gelu => Each::GELU,
            Act::Relu => Each::RELU,
        };
        let projected = self.projected(&learned, width, Rows::LABEL)?;
        self.raw = self.perceptron("time_embedding", projected)?;
        if let Some(class) = self.h.class {
            let own = self.class(class, &learned, width)?;
            self.raw = self.net.graph.rows.apply(Sum, &[self.raw, own])?;
        }
        self.told = self.net.apply(act, self.raw)?;
        Ok(())
    }

    /// A number as so many, by what was learned for it, if anything was.
    fn projected(&mut self, learned: &Arc<[f32]>, width: usize, number: RowId) -> Result<RowId> {
        match self.h.time {
            TimeKind::Fourier => self.net.apply(Fourier { weights: learned.clone(), log: true }, number),
            TimeKind::Positional { freq_shift, cos_first } => {
                let divisor = (width / 2) as f64 - freq_shift;
                self.net.apply(Sinusoid { width, divisor, cos_first }, number)
            }
            TimeKind::Learned { rows } => self.net.apply(Lookup { table: learned.clone(), rows, width }, number),
        }
    }

    /// Two layers with an activation between them.
    fn perceptron(&mut self, name: &str, input: RowId) -> Result<RowId> {
        let inner = self.h.time_embedding_dim;
        let hidden = self.net.apply_dense(&format!("{name}.linear_1"), inner, input)?;
        let hidden = self.net.apply(Each::SILU, hidden)?;
        self.net.apply_dense(&format!("{name}.linear_2"), inner, hidden)
    }

    /// The embedding of a class, whose label is zeros until it is given.
    fn class(&mut self, kind: ClassKind, learned: &Arc<[f32]>, width: usize) -> Result<RowId> {
        let inner = self.h.time_embedding_dim;
        let zeros = vec![0.0; if kind == ClassKind::Given { inner } else { 1 }];
        let label = self.net.graph.rows.context(&format!("{}{CLASS}", self.prefix), &zeros)?;
        match kind {
            ClassKind::Table { classes } => {
                let table = self.net.weights.take("class_embedding.weight", &[classes, inner])?;
                self.net.apply(Lookup { table, rows: classes, width: inner }, label)
            }
            ClassKind::Number => {
                let projected = self.projected(learned, width, label)?;
                self.perceptron("class_embedding", projected)
            }
            ClassKind::Given => Ok(label),
        }
    }

    fn middle(&mut self, x: NodeId) -> Result<NodeId> {
        let (width, scale) = (self.net.channels(x), self.h.mid_block_scale_factor);
        let groups = self.h.norm_num_groups.unwrap_or((width / 4).min(32));
        let resnet = |name| Resnet { scale, ..Resnet::new(name, width, width, [groups; 2]) };
        let mut y = self.resnet(resnet("mid_block.resnets.0"), x)?;
        if self.h.add_attention {
            // Without a number of its own its norm goes with the older of the two ways to tell the time.
            let same = (self.h.resnet_time_scale_shift == "default").then_some(groups);
            let groups = self.h.attn_norm_num_groups.or(same);
            y = self.attention("mid_block.attentions.0", y, groups, scale)?;
        }
        self.resnet(resnet("mid_block.resnets.1"), y)
    }

    /// Groups of blocks that take the configuration's number.
    fn groups(&self, block: &str) -> Result<usize> {
        let message =
            || format!("norm_num_groups is null, but {block} needs a number: only Skip and K blocks have their own");
        self.h.norm_num_groups.ok_or_else(|| refused(message()))
    }
}
