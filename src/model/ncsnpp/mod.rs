//! NCSN++ of score_sde (arXiv 2011.13456), the paper's CelebA-HQ network: BigGAN or DDPM residual blocks, FIR resampling,
//! input and output pyramids. In: the tensor names of score_sde_pytorch, `all_modules.N` in order. Out: a graph.
mod config;
mod layers;

use super::blocks::{Geometry, Net};
use super::{FamilyInfo, Weights};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::affine::Affine;
use config::{Combine, Hyper, Input, Output};
use layers::{Builder, Resize};

pub(super) const FAMILY: FamilyInfo = FamilyInfo {
    name: "ncsnpp",
    source: "github.com/yang-song/score_sde_pytorch, class NCSNpp",
    ignorable: &["sigmas"],
    schedule: None,
    size: "image_size",
    presets: &[("celebahq-256", CELEBAHQ_256), ("celebahq-64", CELEBAHQ_64)],
    conditional: None,
    build,
};

/// The paper's: configs/ve/celebahq_256_ncsnpp_continuous.py of score_sde.
const CELEBAHQ_256: &str = include_str!("../presets/celebahq-256.json");

/// The same at a quarter of the side, two levels fewer.
const CELEBAHQ_64: &str = include_str!("../presets/celebahq-64.json");

fn build(value: &serde_json::Value, weights: &Weights) -> Result<Graph> {
    let h = Hyper::read(value)?;
    let net = Net::new(h.image_size.shape(h.num_channels), weights);
    let mut b = Builder { net, h, next: 0, time: None };
    b.network()?;
    Ok(b.net.graph)
}

impl Builder<'_> {
    fn network(&mut self) -> Result<()> {
        self.embed()?;
        let mut x = self.net.graph.input("x")?;
        if !self.h.centered {
            x = self.net.graph.push("centered", Affine { gain: 2.0, table: None, shift: -1.0 }, &[x])?;
        }
        let mut skips = vec![];
        let mut y = self.down(x, &mut skips)?;
        let deepest = self.net.channels(y);
        y = self.block(y, deepest)?;
        y = self.attention(y)?;
        y = self.block(y, deepest)?;
        y = self.up(y, &mut skips)?;
        if self.h.scale_by_sigma {
            let row = self.sigma()?;
            let table = Some(self.net.graph.rows.push("1 / sigma", row)?);
            y = self.net.graph.push("over sigma", Affine { gain: 1.0, table, shift: 0.0 }, &[y])?;
        }
        self.net.graph.output("y", y)
    }

    fn down(&mut self, x: NodeId, skips: &mut Vec<NodeId>) -> Result<NodeId> {
        let (nf, levels) = (self.h.nf, self.h.ch_mult.len());
        let name = self.module();
        let mut input = x;
        let mut y = self.net.conv(&name, x, nf, Geometry::same(3))?;
        skips.push(y);
        for level in 0..levels {
            for _ in 0..self.h.num_res_blocks {
                y = self.block(y, nf * self.h.ch_mult[level])?;
                y = self.perhaps_attention(y)?;
                skips.push(y);
            }
            if level + 1 == levels {
                break;
            }
            y = self.resized(y, Resize::Half)?;
            match self.h.progressive_input {
                Input::InputSkip => {
                    input = self.plain("input pyramid", input, Resize::Half)?;
                    y = self.combined(input, y)?;
                }
                Input::Residual => {
                    let width = self.net.channels(y);
                    input = self.resampled(input, width, Resize::Half)?;
                    y = self.join(&format!("all_modules.{}", self.next - 1), input, y)?;
                    input = y;
                }
                Input::None => {}
            }
            skips.push(y);
        }
        Ok(y)
    }

    /// A level of the input pyramid, as wide as y, and y.
    fn combined(&mut self, input: NodeId, y: NodeId) -> Result<NodeId> {
        let name = format!("{}.Conv_0", self.module());
        let width = self.net.channels(y);
        let shown = self.net.conv(&name, input, width, Geometry::same(1))?;
        match self.h.progressive_combine {
            Combine::Sum => self.net.sum(&name, shown, y, 1.0),
            Combine::Cat => self.net.concat(&name, shown, y),
        }
    }

    fn up(&mut self, mut y: NodeId, skips: &mut Vec<NodeId>) -> Result<NodeId> {
        let (nf, levels) = (self.h.nf, self.h.ch_mult.len());
        let mut pyramid: Option<NodeId> = None;
        for level in (0..levels).rev() {
            for _ in 0..=self.h.num_res_blocks {
                let skip = skips.pop().ok_or_else(|| Error::invalid("ncsnpp", "no skip connection left"))?;
                let both = self.net.concat(&format!("all_modules.{}", self.next), y, skip)?;
                y = self.block(both, nf * self.h.ch_mult[level])?;
            }
            y = self.perhaps_attention(y)?;
            match (self.h.progressive, pyramid) {
                (Output::OutputSkip, before) => {
                    let shown = self.out(y, self.h.num_channels)?;
                    pyramid = Some(match before {
                        None => shown,
                        Some(before) => {
                            let up = self.plain("output pyramid", before, Resize::Twice)?;
                            self.net.sum("output pyramid", up, shown, 1.0)?
                        }
                    });
                }
                // Without a level above nobody reads the pyramid.
                (Output::Residual, None) if levels == 1 => self.unused_out(self.net.channels(y))?,
                (Output::Residual, None) => pyramid = Some(self.out(y, self.net.channels(y))?),
                (Output::Residual, Some(before)) => {
                    let width = self.net.channels(y);
                    let up = self.resampled(before, width, Resize::Twice)?;
                    y = self.join(&format!("all_modules.{}", self.next - 1), up, y)?;
                    pyramid = Some(y);
                }
                (Output::None, _) => {}
            }
            if level > 0 {
                y = self.resized(y, Resize::Twice)?;
            }
        }
        match pyramid {
            Some(pyramid) if self.h.progressive == Output::OutputSkip => Ok(pyramid),
            _ => self.out(y, self.h.num_channels),
        }
    }
}
