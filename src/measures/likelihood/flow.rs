//! The probability-flow ODE from data to noise, with the integral of its divergence: Heun's rule in the angle phi with
//! `tan phi = sigma / a`, `dt = tan phi dphi`. The flow is that of `y = x / c`, `c = hypot(a, sigma)`: whatever the process, y is
//! variance preserving, `y = x_0 cos phi + eps sin phi`, and its score is `c s(c y)`. In: starts, a grid of timesteps. Out: ln p_T
//! and the integral, of every sample.
use crate::data::Images;
use crate::diagnostics::{Derivatives, Divergence, Selection, dot};
use crate::error::{Error, Result};
use crate::model::Process;
use crate::paths::normal::uniform;
use crate::paths::philox::{Purpose, Stream};
use crate::run::{Progress, Shard, Whose, wrong};
use std::f64::consts::TAU;
use std::ops::Range;

/// ln p_0's parts for every sample.
pub(super) struct Ends {
    /// `[sample]`
    pub prior: Vec<f64>,
    /// `[sample][tangent]`: each tangent's estimate of the integral.
    pub integral: Vec<f64>,
}

/// Width of a level in the data range, if there are levels.
pub(super) fn level(levels: Option<u32>, [low, high]: [f64; 2]) -> Result<Option<f64>> {
    match levels {
        Some(0) => Err(Error::invalid("levels", "integers 0..=0, expected at least two levels")),
        most => Ok(most.map(|most| (high - low) / f64::from(most))),
    }
}

/// A clean image, its levels spread uniformly over their width, centred.
pub(super) fn start(seed: u64, images: &Images, sample: usize, level: Option<f64>) -> Vec<f64> {
    let d = images.shape.len();
    let clean = images.values[sample * d..(sample + 1) * d].iter().map(|&v| f64::from(v));
    let Some(level) = level else {
        return clean.collect();
    };
    let stream = Stream { seed, purpose: Purpose::Dequantise, draw: 0, sample: sample as u32, k: 0 };
    let words = (0..d.div_ceil(4) as u32).flat_map(|block| stream.block(block));
    clean.zip(words).map(|(v, word)| v + (uniform(word) - 0.5) * level).collect()
}

/// A place on the grid.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// Timestep.
    pub k: usize,
    /// phi.
    pub angle: f64,
    /// c.
    pub scale: f64,
}

impl Node {
    pub fn of(process: &Process, k: usize) -> Result<Self> {
        let (a, sigma) = process.noise(k)?;
        Ok(Self { k, angle: sigma.atan2(a), scale: a.hypot(sigma) })
    }
}

/// The samples of a shard on their way from data to noise.
pub(super) struct Flow<'a> {
    pub selection: &'a Selection,
    pub divergence: Divergence,
    pub shard: Shard,
    /// Tangents per sample.
    pub count: usize,
    pub d: usize,
    /// `[sample][D]`
    pub x0: Vec<f64>,
}

impl Flow<'_> {
    /// All samples along one grid; every step of a batch is recorded.
    pub fn run(&self, derivatives: &mut Derivatives, grid: &[Node], progress: &mut Progress) -> Result<Ends> {
        let Flow { count, d, .. } = *self;
        let samples = self.x0.len() / d;
        let (mut prior, mut integral) = (vec![], vec![]);
        progress.begin();
        let mut first = 0;
        while first < samples {
            let mut size = derivatives.batch().min(samples - first);
            // y of all samples, then each tangent's estimate of the integral.
            let mut state = [self.x0[first * d..(first + size) * d].to_vec(), vec![0.0; size * count]].concat();
            for (step, ends) in grid.windows(2).enumerate() {
                let key = first * grid.len() + step;
                if let Some((recorded, values)) = progress.record(key)? {
                    if first + recorded > samples || values.len() != recorded * (d + count) {
                        return Err(wrong(key, recorded as u64, values.len(), &format!("{} of each", d + count)));
                    }
                    (size, state) = (recorded, values);
                    continue;
                }
                self.step(derivatives, first..first + size, ends, &mut state, progress)?;
                progress.keep(key, size, &state)?;
            }
            let (x, sums) = state.split_at(size * d);
            prior.extend(x.chunks_exact(d).map(|x| {
                let square: f64 = x.iter().map(|v| v * v).sum();
                -0.5 * (square + d as f64 * TAU.ln())
            }));
            integral.extend_from_slice(sums);
            first += size;
        }
        Ok(Ends { prior, integral })
    }

    /// One step of Heun's rule.
    fn step(
        &self,
        derivatives: &mut Derivatives,
        batch: Range<usize>,
        ends: &[Node],
        state: &mut [f64],
        progress: &mut Progress,
    ) -> Result<()> {
        let Flow { selection, divergence, shard, count, d, .. } = *self;
        // The same tangents all along a trajectory.
        let tangent = |point: usize, j: usize| {
            let sample = shard.sample(batch.start + point);
            divergence.tangent(d, j, || selection.probe(sample, 0, j, d))
        };
        let samples: Vec<usize> = batch.clone().map(|i| shard.sample(i)).collect();
        // What a tangent says of the identity: every sign vector gives D, every unit vector 1.
        let identity = if divergence == Divergence::Exact { 1.0 } else { d as f64 };
        // dy / dphi and d integral / dphi.
        let mut slope = |y: &[f64], Node { k, angle, scale }: Node| -> Result<(Vec<f64>, Vec<f64>)> {
            let at: Vec<f32> = y.iter().map(|&v| (scale * v) as f32).collect();
            let tan = angle.tan();
            let mut change = vec![0f64; batch.len() * count];
            let s = derivatives.run(
                &at,
                &Whose { k, what: "sample", samples: &samples },
                count,
                |point, j, v| v.copy_from_slice(&tangent(point, j)),
                |point, j, jv| {
                    change[point * count + j] = tan * (identity + scale * scale * dot(&tangent(point, j), jv));
                },
                progress,
            )?;
            Ok((y.iter().zip(&s).map(|(y, &s)| -tan * (y + scale * f64::from(s))).collect(), change))
        };
        let turn = ends[1].angle - ends[0].angle;
        let (y, integral) = state.split_at_mut(batch.len() * d);
        let (v0, g0) = slope(y, ends[0])?;
        let ahead: Vec<f64> = y.iter().zip(&v0).map(|(y, v)| y + turn * v).collect();
        let (v1, g1) = slope(&ahead, ends[1])?;
        y.iter_mut().zip(v0.iter().zip(&v1)).for_each(|(y, (p, q))| *y += 0.5 * turn * (p + q));
        integral.iter_mut().zip(g0.iter().zip(&g1)).for_each(|(sum, (p, q))| *sum += 0.5 * turn * (p + q));
        Ok(())
    }
}
