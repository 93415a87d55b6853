//! What an NCSN++ is built of: residual blocks of BigGAN or DDPM, resampling by means, neighbours or filters, attention, and
//! the embedding of the noise level. In: a builder whose next module is numbered. Out: the builder, one module or more on.
use super::super::blocks::{Geometry, Net};
use super::config::{Block, Embedding, Hyper, Nonlinearity};
use crate::error::Result;
use crate::graph::NodeId;
use crate::ops::pointwise::Pointwise;
use crate::ops::resample::Resample;
use crate::rows::functions::{Each, Fourier, Lookup, Reciprocal, Sinusoid};
use crate::rows::{RowId, Rows};
use std::f64::consts::FRAC_1_SQRT_2;

pub(super) const EPSILON: f64 = 1e-6;

/// Groups of a norm over so many channels.
fn groups(channels: usize) -> usize {
    (channels / 4).clamp(1, 32)
}

pub(super) struct Builder<'a> {
    pub net: Net<'a>,
    pub h: Hyper,
    /// Number of the next of `all_modules`.
    pub next: usize,
    /// What blocks see of the noise level; none where `conditional` is false.
    pub time: Option<RowId>,
}

/// A change of size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    Half,
    Twice,
}

impl Builder<'_> {
    pub fn module(&mut self) -> String {
        self.next += 1;
        format!("all_modules.{}", self.next - 1)
    }

    /// The embedding of the noise level. What the class makes of it and does not use is checked and dropped.
    pub fn embed(&mut self) -> Result<()> {
        let nf = self.h.nf;
        let mut row = match self.h.embedding_type {
            Embedding::Fourier => {
                let weights = self.net.weights.take(&format!("{}.W", self.module()), &[nf])?;
                self.net.apply(Fourier { weights, log: true }, Rows::LABEL)?
            }
            Embedding::Positional => {
                let sines = Sinusoid { width: nf, divisor: (nf / 2) as f64 - 1.0, cos_first: false };
                self.net.apply(sines, Rows::LABEL)?
            }
        };
        if self.h.conditional {
            let act = self.row_act();
            for name in [self.module(), self.module()] {
                row = self.net.apply_dense(&name, 4 * nf, row)?;
                row = self.net.apply(act, row)?;
            }
            self.time = Some(row);
        }
        Ok(())
    }

    fn row_act(&self) -> Each {
        match self.h.nonlinearity {
            Nonlinearity::Elu => Each::ELU,
            Nonlinearity::Relu => Each::RELU,
            Nonlinearity::Lrelu => Each::LEAKY_RELU,
            Nonlinearity::Swish => Each::SILU,
        }
    }

    /// A row of the noise level that the output is divided by: the label itself, or, of a positional embedding, the one that
    /// the label numbers.
    pub fn sigma(&mut self) -> Result<RowId> {
        if self.h.embedding_type == Embedding::Fourier {
            return self.net.apply(Reciprocal, Rows::LABEL);
        }
        let stored = self.net.weights.has("sigmas");
        let table = if stored { self.net.weights.take_buffer("sigmas")? } else { self.h.sigmas()?.into() };
        let sigma = self.net.apply(Lookup { rows: table.len(), table, width: 1 }, Rows::LABEL)?;
        self.net.apply(Reciprocal, sigma)
    }

    /// A sum with what was there before, over the root of two where the configuration rescales.
    pub fn join(&mut self, name: &str, x: NodeId, z: NodeId) -> Result<NodeId> {
        let scale = if self.h.skip_rescale { FRAC_1_SQRT_2 } else { 1.0 };
        self.net.sum(name, x, z, scale)
    }

    /// Half or twice the size without weights.
    pub fn plain(&mut self, name: &str, x: NodeId, resize: Resize) -> Result<NodeId> {
        let op = match (resize, self.h.fir) {
            (Resize::Half, true) => Resample::filter_down(&self.h.fir_kernel)?,
            (Resize::Half, false) => Resample::average(),
            (Resize::Twice, true) => Resample::filter_up(&self.h.fir_kernel)?,
            (Resize::Twice, false) => Resample::nearest(),
        };
        self.net.resample(name, x, op)
    }

    /// Half or twice the size with a 3x3 convolution. (Twice the size by a filter and a convolution never gets here: the class
    /// cannot run it.)
    pub fn resampled(&mut self, x: NodeId, out: usize, resize: Resize) -> Result<NodeId> {
        let module = self.module();
        let name = format!("{module}.Conv_0");
        match (resize, self.h.fir) {
            (Resize::Half, true) => {
                let name = format!("{module}.Conv2d_0");
                let blurred = self.net.resample(&format!("{name}.fir"), x, Resample::blur(&self.h.fir_kernel)?)?;
                self.net.conv(&name, blurred, out, Geometry { side: 3, stride: 2, padding: 0, trailing: 0 })
            }
            (Resize::Half, false) => self.net.conv(&name, x, out, Geometry::HALVE),
            (Resize::Twice, _) => {
                let spread = self.plain(&format!("{name}.nearest"), x, Resize::Twice)?;
                self.net.conv(&name, spread, out, Geometry::same(3))
            }
        }
    }

    fn act(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let Some(op) = self.h.nonlinearity.op() else { return self.net.silu(name, x) };
        let kind = match op {
            Pointwise::Elu(_) => "elu",
            Pointwise::LeakyRelu(_) => "lrelu",
            _ => "relu",
        };
        self.net.graph.push(format!("{name}.{kind}"), op, &[x])
    }

    fn norm_act(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let y = self.net.group_norm(name, x, groups(self.net.channels(x)), EPSILON)?;
        self.act(name, y)
    }

    /// A norm, the activation and a 3x3 convolution.
    pub fn out(&mut self, x: NodeId, channels: usize) -> Result<NodeId> {
        let name = self.module();
        let y = self.norm_act(&name, x)?;
        let name = self.module();
        self.net.conv(&name, y, channels, Geometry::same(3))
    }

    /// The weights of `out`, of which nothing comes.
    pub fn unused_out(&mut self, width: usize) -> Result<()> {
        let norm = self.module();
        let conv = self.module();
        for (name, shape) in [
            (format!("{norm}.weight"), vec![width]),
            (format!("{norm}.bias"), vec![width]),
            (format!("{conv}.weight"), vec![width, width, 3, 3]),
            (format!("{conv}.bias"), vec![width]),
        ] {
            self.net.weights.take(&name, &shape)?;
        }
        Ok(())
    }

    pub fn block(&mut self, x: NodeId, out: usize) -> Result<NodeId> {
        self.residual(x, out, None)
    }

    /// Half or twice the size: by a residual block, or as blocks of DDPM do it.
    pub fn resized(&mut self, x: NodeId, resize: Resize) -> Result<NodeId> {
        let channels = self.net.channels(x);
        if self.h.resblock_type == Block::Biggan {
            return self.residual(x, channels, Some(resize));
        }
        if self.h.resamp_with_conv {
            return self.resampled(x, channels, resize);
        }
        let name = self.module();
        self.plain(&name, x, resize)
    }

    /// x + f(x), f of two convolutions; both resized.
    fn residual(&mut self, x: NodeId, out: usize, resize: Option<Resize>) -> Result<NodeId> {
        let name = self.module();
        let channels = self.net.channels(x);
        let (mut x, mut y) = (x, self.norm_act(&format!("{name}.GroupNorm_0"), x)?);
        if let Some(resize) = resize {
            y = self.plain(&format!("{name}.resized"), y, resize)?;
            x = self.plain(&format!("{name}.shortcut.resized"), x, resize)?;
        }
        y = self.net.conv(&format!("{name}.Conv_0"), y, out, Geometry::same(3))?;
        let dense = format!("{name}.Dense_0");
        match self.time {
            Some(time) => y = self.net.add_time(&dense, y, time)?,
            // Blocks have this layer even where they are told nothing.
            None => drop(self.net.dense(&dense, out, 4 * self.h.nf)?),
        }
        y = self.norm_act(&format!("{name}.GroupNorm_1"), y)?;
        y = self.net.conv(&format!("{name}.Conv_1"), y, out, Geometry::same(3))?;
        x = match self.h.resblock_type {
            Block::Biggan if channels != out || resize.is_some() => {
                self.net.conv(&format!("{name}.Conv_2"), x, out, Geometry::same(1))?
            }
            Block::Ddpm if channels != out => self.nin(&format!("{name}.NIN_0"), x, out)?,
            _ => x,
        };
        self.join(&name, x, y)
    }

    /// Attention where an image is as wide as the configuration says.
    pub fn perhaps_attention(&mut self, x: NodeId) -> Result<NodeId> {
        if self.h.attn_resolutions.contains(&self.net.graph.shape(x).w) { self.attention(x) } else { Ok(x) }
    }

    pub fn attention(&mut self, x: NodeId) -> Result<NodeId> {
        let name = self.module();
        let channels = self.net.channels(x);
        let y = self.net.group_norm(&format!("{name}.GroupNorm_0"), x, groups(channels), EPSILON)?;
        let [q, k, v] = [0, 1, 2].map(|i| self.nin(&format!("{name}.NIN_{i}"), y, channels));
        let y = self.net.attention(&name, [q?, k?, v?], 1)?;
        let y = self.nin(&format!("{name}.NIN_3"), y, channels)?;
        self.join(&name, x, y)
    }

    /// A linear layer at every pixel, `W` `[in, out]` and `b`.
    fn nin(&mut self, name: &str, x: NodeId, out: usize) -> Result<NodeId> {
        let channels = self.net.channels(x);
        let given = self.net.weights.take(&format!("{name}.W"), &[channels, out])?;
        let bias = self.net.weights.take(&format!("{name}.b"), &[out])?;
        let weight = (0..given.len()).map(|i| given[i % channels * out + i / channels]).collect();
        self.net.push_conv(name, x, weight, bias, Geometry::same(1))
    }
}
