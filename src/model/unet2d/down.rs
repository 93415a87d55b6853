//! Blocks on the way down of `UNet2DModel`: what each type makes of the options, and what it leaves for the way up.
use super::config::refused;
use super::layers::Resnet;
use super::{Body, Builder, Kind, PYRAMID};
use crate::error::Result;
use crate::graph::NodeId;
use crate::model::blocks::Geometry;
use crate::ops::resample::Resample;
use std::f64::consts::SQRT_2;

impl Builder<'_> {
    pub fn down(&mut self, i: usize, x: NodeId) -> Result<NodeId> {
        let kind = Kind::parse(&self.h.down_block_types[i], "Down")?;
        let widths = &self.h.block_out_channels;
        let (from, to, last) = (widths[i.saturating_sub(1)], widths[i], i + 1 == widths.len());
        let name = format!("down_blocks.{i}");
        match kind.body {
            Body::Skip => self.skip_down(&name, kind, x, [from, to], last),
            Body::K => self.k_down(&name, kind, x, [from, to], last),
            Body::Plain | Body::Resnet => self.plain_down(&name, kind, x, [from, to], last),
        }
    }

    fn plain_down(
        &mut self,
        name: &str,
        kind: Kind,
        mut x: NodeId,
        [from, to]: [usize; 2],
        last: bool,
    ) -> Result<NodeId> {
        let groups = self.groups(name)?;
        for layer in 0..self.h.layers_per_block {
            let from = if layer == 0 { from } else { to };
            x = self.resnet(Resnet::new(&format!("{name}.resnets.{layer}"), from, to, [groups; 2]), x)?;
            if kind.attention {
                x = self.attention(&format!("{name}.attentions.{layer}"), x, Some(groups), 1.0)?;
            }
            self.skips.push(Some(x));
        }
        if last {
            return Ok(x);
        }
        let sampler = format!("{name}.downsamplers.0");
        // Blocks without attention do not listen to downsample_type.
        let by_resnet = match (kind.body, self.h.downsample_type.as_str()) {
            (Body::Resnet, _) => true,
            (_, _) if !kind.attention => false,
            (_, "conv") => false,
            (_, "resnet") => true,
            (_, other) => {
                return Err(refused(format!("downsample_type '{other}' of {name} is not one of conv, resnet")));
            }
        };
        x = if by_resnet {
            let resize = Some(Resample::average());
            self.resnet(Resnet { resize, ..Resnet::new(&sampler, to, to, [groups; 2]) }, x)?
        } else {
            self.expect(&sampler, x, to)?;
            let geometry = match self.h.downsample_padding {
                0 => Geometry::HALVE,
                padding => Geometry { side: 3, stride: 2, padding, trailing: 0 },
            };
            self.net.conv(&format!("{sampler}.conv"), x, to, geometry)?
        };
        self.skips.push(Some(x));
        Ok(x)
    }

    fn skip_down(
        &mut self,
        name: &str,
        kind: Kind,
        mut x: NodeId,
        [from, to]: [usize; 2],
        last: bool,
    ) -> Result<NodeId> {
        let own = |channels: usize| (channels / 4).min(32);
        for layer in 0..self.h.layers_per_block {
            let from = if layer == 0 { from } else { to };
            let resnet = format!("{name}.resnets.{layer}");
            let resnet = Resnet { scale: SQRT_2, ..Resnet::new(&resnet, from, to, [own(from), own(to)]) };
            x = self.resnet(resnet, x)?;
            if kind.attention {
                x = self.attention(&format!("{name}.attentions.{layer}"), x, Some(32), SQRT_2)?;
            }
            self.skips.push(Some(x));
        }
        if last {
            return Ok(x);
        }
        let resize = Some(Resample::fir_down());
        let resnet = format!("{name}.resnet_down");
        let resnet = Resnet { scale: SQRT_2, resize, shortcut: true, ..Resnet::new(&resnet, to, to, [own(to); 2]) };
        x = self.resnet(resnet, x)?;
        if let Some(image) = self.pyramid {
            self.of_pyramid(name)?;
            let image = self.net.resample(&format!("{name}.pyramid"), image, Resample::fir_down())?;
            self.pyramid = Some(image);
            let shown = self.net.conv(&format!("{name}.skip_conv"), image, to, Geometry::same(1))?;
            x = self.net.sum(name, shown, x, 1.0)?;
        }
        self.skips.push(Some(x));
        Ok(x)
    }

    /// An error unless the images have the channels that pyramids are made for.
    pub fn of_pyramid(&self, name: &str) -> Result<()> {
        let channels = self.h.shape.c;
        if channels == PYRAMID {
            return Ok(());
        }
        Err(refused(format!(
            "in_channels {channels}: the pyramid of {name}, a Skip block, has {PYRAMID} channels always"
        )))
    }

    fn k_down(&mut self, name: &str, kind: Kind, mut x: NodeId, [from, to]: [usize; 2], last: bool) -> Result<NodeId> {
        for layer in 0..self.h.layers_per_block {
            let from = if layer == 0 { from } else { to };
            x = self.k_resnet(&format!("{name}.resnets.{layer}"), x, from, [to; 2], [from / 32, to / 32])?;
            if kind.attention {
                x = self.k_attention(&format!("{name}.attentions.{layer}"), x, to, last)?;
            }
            // The last with attention leaves nothing in its place: the first on the way up expects that.
            self.skips.push((!(kind.attention && last)).then_some(x));
        }
        if last { Ok(x) } else { self.net.resample(&format!("{name}.downsamplers.0"), x, Resample::reflected_down()) }
    }
}
