//! Blocks on the way up of `UNet2DModel`: what each type makes of the options, and of what the way down left.
use super::config::refused;
use super::layers::Resnet;
use super::{Body, Builder, Kind};
use crate::error::Result;
use crate::graph::NodeId;
use crate::model::blocks::Geometry;
use crate::ops::resample::Resample;
use std::f64::consts::SQRT_2;

/// Channels of a block: what the block before puts out, what this one does, and the next.
#[derive(Clone, Copy)]
struct Widths {
    before: usize,
    own: usize,
    next: usize,
}

impl Builder<'_> {
    pub fn up(&mut self, i: usize, x: NodeId) -> Result<NodeId> {
        let kind = Kind::parse(&self.h.up_block_types[i], "Up")?;
        let width = |i: usize| self.h.block_out_channels.iter().rev().nth(i).copied();
        let own = width(i).unwrap_or(0);
        let widths =
            Widths { before: width(i.saturating_sub(1)).unwrap_or(own), own, next: width(i + 1).unwrap_or(own) };
        let last = width(i + 1).is_none();
        let name = format!("up_blocks.{i}");
        match kind.body {
            Body::Skip => self.skip_up(&name, kind, x, widths, last),
            Body::K => self.k_up(&name, kind, x, widths, last),
            Body::Plain | Body::Resnet => self.plain_up(&name, kind, x, widths, last),
        }
    }

    /// The last skips, as many as a block has residual blocks; the last of them comes first.
    fn taken(&mut self, name: &str, count: usize) -> Result<Vec<Option<NodeId>>> {
        let Some(first) = self.skips.len().checked_sub(count) else {
            let message = format!("{name} takes {count} skip connections, {} are left", self.skips.len());
            return Err(refused(format!("up_block_types: {message}: these block types do not go together")));
        };
        Ok(self.skips.split_off(first).into_iter().rev().collect())
    }

    /// x beside a skip connection, which must be as large.
    fn beside(&mut self, name: &str, x: NodeId, skip: Option<NodeId>) -> Result<NodeId> {
        let Some(skip) = skip else {
            return Err(refused(format!("up_block_types: {name} finds no skip connection where it needs one")));
        };
        let size = |id| {
            let s = self.net.graph.shape(id);
            (s.h, s.w)
        };
        let ((h, w), (sh, sw), whole) = (size(x), size(skip), self.h.shape);
        if (h, w) != (sh, sw) {
            let message = format!(
                "sample_size {}x{}: {name} has {h}x{w} pixels and its skip connection {sh}x{sw}. Every halving wants even \
                 sides, a downsample_padding (here {}) of 0 or 1, and block types that go together",
                whole.h, whole.w, self.h.downsample_padding
            );
            return Err(refused(message));
        }
        self.net.concat(name, x, skip)
    }

    fn plain_up(&mut self, name: &str, kind: Kind, mut x: NodeId, widths: Widths, last: bool) -> Result<NodeId> {
        let (groups, count) = (self.groups(name)?, self.h.layers_per_block + 1);
        let Widths { before, own, next } = widths;
        for (layer, skip) in self.taken(name, count)?.into_iter().enumerate() {
            let resnet = format!("{name}.resnets.{layer}");
            let from = if layer == 0 { before } else { own } + if layer + 1 == count { next } else { own };
            x = self.beside(&resnet, x, skip)?;
            x = self.resnet(Resnet::new(&resnet, from, own, [groups; 2]), x)?;
            if kind.attention {
                x = self.attention(&format!("{name}.attentions.{layer}"), x, Some(groups), 1.0)?;
            }
        }
        if last {
            return Ok(x);
        }
        let sampler = format!("{name}.upsamplers.0");
        // Blocks without attention do not listen to upsample_type.
        let by_resnet = match (kind.body, self.h.upsample_type.as_str()) {
            (Body::Resnet, _) => true,
            (_, _) if !kind.attention => false,
            (_, "conv") => false,
            (_, "resnet") => true,
            (_, other) => return Err(refused(format!("upsample_type '{other}' of {name} is not one of conv, resnet"))),
        };
        if by_resnet {
            let resize = Some(Resample::nearest());
            return self.resnet(Resnet { resize, ..Resnet::new(&sampler, own, own, [groups; 2]) }, x);
        }
        let conv = format!("{sampler}.conv");
        x = self.net.resample(&format!("{conv}.nearest"), x, Resample::nearest())?;
        self.net.conv(&conv, x, own, Geometry::same(3))
    }

    fn skip_up(&mut self, name: &str, kind: Kind, mut x: NodeId, widths: Widths, last: bool) -> Result<NodeId> {
        let count = self.h.layers_per_block + 1;
        let Widths { before, own, next } = widths;
        let groups = |channels: usize| (channels / 4).min(32);
        for (layer, skip) in self.taken(name, count)?.into_iter().enumerate() {
            let resnet = format!("{name}.resnets.{layer}");
            let (x_side, skip_side) =
                (if layer == 0 { before } else { own }, if layer + 1 == count { next } else { own });
            x = self.beside(&resnet, x, skip)?;
            // The class quarters only the skip connection's channels in blocks with attention.
            let first = if kind.attention { (x_side + skip_side / 4).min(32) } else { groups(x_side + skip_side) };
            let resnet = Resnet::new(&resnet, x_side + skip_side, own, [first, groups(own)]);
            x = self.resnet(Resnet { scale: SQRT_2, ..resnet }, x)?;
        }
        if kind.attention {
            x = self.attention(&format!("{name}.attentions.0"), x, Some(32), SQRT_2)?;
        }
        if let Some(before) = self.pyramid {
            self.pyramid = Some(self.net.resample(&format!("{name}.pyramid"), before, Resample::fir_up())?);
        }
        if last {
            return Ok(x);
        }
        self.of_pyramid(name)?;
        let y = self.net.norm_silu(&format!("{name}.skip_norm"), x, groups(own), self.h.norm_eps)?;
        let shown = self.net.conv(&format!("{name}.skip_conv"), y, self.h.shape.c, Geometry::same(3))?;
        self.pyramid = Some(match self.pyramid {
            None => shown,
            Some(before) => self.net.sum(name, before, shown, 1.0)?,
        });
        let (resize, up) = (Some(Resample::fir_up()), format!("{name}.resnet_up"));
        let resnet = Resnet::new(&up, own, own, [groups(own); 2]);
        self.resnet(Resnet { scale: SQRT_2, resize, shortcut: true, ..resnet }, x)
    }

    /// Takes as many skips as it has residual blocks, and sees the last alone.
    fn k_up(&mut self, name: &str, kind: Kind, mut x: NodeId, widths: Widths, last: bool) -> Result<NodeId> {
        let (Widths { own, next, .. }, count) = (widths, self.h.layers_per_block);
        if count == 0 {
            return Err(refused(format!("layers_per_block 0: {name}, a K block, would be empty")));
        }
        let first = kind.attention && next == own && own == self.h.time_embedding_dim;
        let narrows = !kind.attention || next != own;
        // The first of those with attention expects that nothing was left for it.
        if let Some(skip) = self.taken(name, count)?[0] {
            x = self.beside(name, x, Some(skip))?;
        }
        for layer in 0..count {
            let from = if layer == 0 && !first { 2 * own } else { own };
            let ends = narrows && layer + 1 == count;
            let to = if ends { next } else { own };
            let middle = if kind.attention { own } else { to };
            let resnet = format!("{name}.resnets.{layer}");
            x = self.k_resnet(&resnet, x, from, [middle, to], [from / 32, own / 32])?;
            if kind.attention {
                x = self.k_attention(&format!("{name}.attentions.{layer}"), x, own, first)?;
            }
        }
        if last { Ok(x) } else { self.net.resample(&format!("{name}.upsamplers.0"), x, Resample::reflected_up()) }
    }
}
