//! The points that diagnostics of derivatives look at: x_t = a x_0 + sigma eps of the first samples at every timestep,
//! where all paths start too. In: field, images, seed. Out: points and their noise, made in f64 on the host.
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::paths::philox::{Purpose, Stream};
use crate::paths::{self, Anchor};
use crate::shape::Shape;
use std::ops::ControlFlow;

/// Where a diagnostic looks.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Strictly increasing.
    pub timesteps: Vec<usize>,
    /// The first this many images.
    pub samples: usize,
    /// Key of all randomness.
    pub seed: u64,
}

/// Refuses what does not fit the data or the field's shape.
pub(super) fn check(images: &Images, shape: Shape, samples: usize, timesteps: &[usize]) -> Result<()> {
    if images.shape != shape {
        let found = images.shape;
        return Err(Error::invalid("data", format!("images are {found}, the field takes {shape}")));
    }
    if samples == 0 || samples > images.count {
        return Err(Error::invalid("samples", format!("{samples}, expected 1..={}", images.count)));
    }
    if timesteps.is_empty() || !timesteps.is_sorted_by(|a, b| a < b) {
        return Err(Error::invalid("timesteps", "expected at least one, strictly increasing"));
    }
    Ok(())
}

/// x_t and the noise that made it.
pub(super) struct Noisy {
    pub x: Vec<f32>,
    pub eps: Vec<f64>,
}

impl Selection {
    pub(super) fn check(&self, field: &dyn Field, images: &Images) -> Result<()> {
        check(images, field.shape(), self.samples, &self.timesteps)?;
        self.timesteps.iter().try_for_each(|&k| field.process().noise(k).map(drop))
    }

    /// x_t of one sample.
    pub(super) fn noisy(&self, field: &dyn Field, images: &Images, sample: usize, k: usize) -> Result<Noisy> {
        let (a, sigma) = field.process().noise(k)?;
        let d = images.shape.len();
        let anchor = Anchor {
            seed: self.seed,
            sample: sample as u32,
            k: k as u32,
            a,
            sigma,
            bridge_scale: field.process().bridge_scale(k),
            x0: &images.values[sample * d..(sample + 1) * d],
            segments: 2,
            arcs: 2,
            nodes: &[],
        };
        let x = paths::start(&anchor).into_iter().map(|v| v as f32).collect();
        Ok(Noisy { x, eps: paths::eps(&anchor, 0) })
    }

    /// Random tangent number `probe`, components +1 or -1.
    pub(super) fn probe(&self, sample: usize, k: usize, probe: usize, dim: usize) -> Vec<f32> {
        let (seed, draw) = (self.seed, probe as u32);
        Stream { seed, purpose: Purpose::Probe, draw, sample: sample as u32, k: k as u32 }.signs(dim)
    }

    /// `count` different components of `dim`, chosen at random, the same at every timestep.
    pub(super) fn components(&self, sample: usize, dim: usize, count: usize) -> Vec<usize> {
        let stream = Stream { seed: self.seed, purpose: Purpose::Components, draw: 0, sample: sample as u32, k: 0 };
        stream.permutation(dim, count).into_iter().rev().take(count).map(|i| i as usize).collect()
    }

    /// sigma of every timestep.
    pub(super) fn noise(&self, field: &dyn Field) -> Result<Vec<f64>> {
        self.timesteps.iter().map(|&k| field.process().noise(k).map(|n| n.1)).collect()
    }
}

/// Counts the lanes that ran, tells the observer, and stops where it says so.
pub(super) struct Progress<'a> {
    pub done: u64,
    pub observe: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
}

impl Progress<'_> {
    pub fn add(&mut self, lanes: u64) -> Result<()> {
        self.done += lanes;
        if (self.observe)(self.done).is_break() { Err(Error::Interrupted) } else { Ok(()) }
    }
}
