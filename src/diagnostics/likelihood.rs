//! Likelihood of data by the probability-flow ODE (PROTOCOL, "Sampling and likelihood"; arXiv 2011.13456): along
//! dx/dt = v = -x - s, d ln p / dt = -div v = D + div s, so ln p_0(x_0) = ln p_T(x_T) - integral of (D + div s) dt, p_T = N(0, I).
//! VP only. Heun's rule in the angle phi with tan phi = sigma / a (dt = tan phi dphi), at the table's timesteps, from the
//! first of them, whose noise is taken to be none. bits/dim = -ln p_0 / (D ln 2) + the offset of the data's scaling.
//! In: a field, clean images, options. Out: `run::Table`, columns [sample].
use super::derivatives::Derivatives;
use super::numbers::dot;
use super::points::{Noisy, Pick, Selection};
use super::progress::{At, Progress, wrong};
use super::stein::Divergence;
use crate::data::Images;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::Gpu;
use crate::measures::Likelihood;
use crate::measures::likelihood::Row;
use crate::measures::rows::ROWS;
use crate::paths::normal::uniform;
use crate::paths::philox::{Purpose, Stream};
use crate::run::{Numbers, Part, PartArray, Shard, Table};
use serde_json::json;
use std::f64::consts::{LN_2, TAU};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// What to measure.
#[derive(Clone, Debug)]
pub struct LikelihoodOptions {
    /// The grid, strictly increasing, an odd number of them so that every second one makes the coarser grid.
    pub timesteps: Vec<usize>,
    /// The first this many images.
    pub samples: usize,
    /// Key of probes and dequantisation.
    pub seed: u64,
    /// How div s is found.
    pub divergence: Divergence,
    /// Data are integers 0..=this, scaled to the field's range (255: 8-bit): spread each over its level, and count bits per
    /// level. None: real numbers, whose density is measured as it is.
    pub levels: Option<u32>,
    /// Tangents, spread over noisy samples of the grid's timesteps, that the f64 twin computes again: the arithmetic error. 0
    /// for none.
    pub verified: usize,
}

/// Lanes that a run takes, a sample's value counted once however many tangents fit at a time.
pub fn likelihood_lanes(options: &LikelihoodOptions, dim: usize) -> u64 {
    let steps = options.timesteps.len() - 1;
    let evaluations = 2 * (steps + steps / 2);
    (evaluations * options.samples * (1 + options.divergence.tangents(dim))) as u64
}

/// ln p_0's parts for every sample.
struct Ends {
    /// `[sample]`
    prior: Vec<f64>,
    /// `[sample][tangent]`: each tangent's estimate of the integral.
    integral: Vec<f64>,
}

/// Measures; `observe` is told the lanes that ran and may stop the run.
pub fn likelihood(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    options: &LikelihoodOptions,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    likelihood_part(gpu, field, images, options, Progress::new(observe))?.finish()
}

/// `likelihood` of a shard, going on where its journal ends, up to what shards have in common.
pub fn likelihood_part(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    options: &LikelihoodOptions,
    mut progress: Progress,
) -> Result<Part> {
    let (d, shard) = (field.shape().len(), progress.shard);
    super::points::check(images, field.shape(), options.samples, &options.timesteps)?;
    shard.check(options.samples)?;
    let samples = shard.count(options.samples);
    options.divergence.check()?;
    let n = options.timesteps.len();
    if n < 3 || n.is_multiple_of(2) {
        let message = format!("{n} of them, expected an odd number from 3 on: every second one is a grid too");
        return Err(Error::invalid("timesteps", message));
    }
    field.process().require_vp("likelihood")?;
    if field.autoencoder().is_some() {
        return Err(Error::invalid(
            "likelihood",
            "is of images; this network works on latents, which are not quantised",
        ));
    }
    options.timesteps.iter().try_for_each(|&k| field.process().require_signal(k, "the flow's velocity"))?;
    let angle = |k: usize| field.process().noise(k).map(|(a, sigma)| sigma.atan2(a));
    let grid: Vec<(usize, f64)> = options.timesteps.iter().map(|&k| Ok((k, angle(k)?))).collect::<Result<_>>()?;
    let level = level(options.levels, field.data_range())?;
    let x0: Vec<f64> = (0..samples).flat_map(|i| start(options.seed, images, shard.sample(i), level)).collect();

    let count = options.divergence.tangents(d);
    let mut derivatives = Derivatives::new(gpu, field, &options.timesteps, samples, count)?;
    let coarse: Vec<(usize, f64)> = grid.iter().copied().step_by(2).collect();
    let flow = Flow { options, shard, count, d, x0 };
    let fine = flow.run(&mut derivatives, &grid, &mut progress)?;
    let coarse = flow.run(&mut derivatives, &coarse, &mut progress)?;

    let (to_bits, offset) = (1.0 / (d as f64 * LN_2), level.map_or(0.0, |width| -width.log2()));
    // Of the flow: dt = tan phi dphi.
    let time = (grid[0].1.cos() / grid[n - 1].1.cos()).ln();
    let nats = |flow: &Ends, sample: usize| {
        let (integral, se) = options.divergence.of_products(&flow.integral[sample * count..(sample + 1) * count]);
        (flow.prior[sample], integral, se)
    };
    let rows: Vec<Row> = (0..samples)
        .map(|sample| {
            let (prior, integral, se) = nats(&fine, sample);
            let (other_prior, other, _) = nats(&coarse, sample);
            Row {
                bits: offset - (prior - integral) * to_bits,
                nats: prior - integral,
                prior,
                flow: integral,
                probes: se * to_bits,
                grid: ((prior - integral) - (other_prior - other)).abs() * to_bits,
                size: (d as f64 * time + integral.abs()) * to_bits,
                arithmetic: f64::NAN,
            }
        })
        .collect();
    let worst = worst(field, images, options, &mut derivatives, &mut progress)?;
    let shape = vec![samples, size_of::<Row>() / size_of::<f64>()];
    let values = Numbers::F64(bytemuck::cast_slice(&rows).to_vec());
    Ok(Part {
        measure: &Likelihood,
        shard,
        samples: options.samples,
        facts: json!({
            "timesteps": options.timesteps,
            "divergence": options.divergence.name(),
            "offset_bits": offset,
            "dequantised": level.is_some(),
            "levels": options.levels.map(|most| u64::from(most) + 1),
        }),
        arrays: vec![PartArray { name: ROWS.into(), shape, axis: Some(0), values }],
        worst,
        origin: progress.origin,
    })
}

/// The largest relative difference of a v.J v from the f64 twin's, at noisy samples of the grid's timesteps: the flow passes
/// where these lie.
fn worst(
    field: &Arc<dyn Field>,
    images: &Images,
    options: &LikelihoodOptions,
    derivatives: &mut Derivatives,
    progress: &mut Progress,
) -> Result<f64> {
    let (d, count) = (images.shape.len(), options.divergence.tangents(images.shape.len()));
    let LikelihoodOptions { timesteps, samples, seed, .. } = options.clone();
    let selection = Selection { timesteps, samples, seed };
    let picks = selection.picks(progress.shard, options.verified);
    progress.worst(options.verified, &picks, |&Pick { k, sample, share, .. }| {
        let pick = (share * count as f64) as usize;
        let tangent = |j: usize| -> Vec<f32> {
            match options.divergence {
                Divergence::Hutchinson(_) => selection.probe(sample, k, j, d),
                Divergence::Exact => (0..d).map(|i| f32::from(i == j)).collect(),
            }
        };
        let Noisy { x, .. } = selection.noisy(field.as_ref(), images, sample, k)?;
        let (v, mut got) = (tangent(pick), f64::NAN);
        // As much as the flow has at a time, so that it is the flow's arithmetic; not counted among its evaluations.
        let mut uncounted = |_| ControlFlow::Continue(());
        derivatives.run(
            &x,
            &At { k, what: "sample", samples: &[sample] },
            count,
            |_, j, v| v.copy_from_slice(&tangent(j)),
            |_, j, jv| {
                if j == pick {
                    got = dot(&v, jv);
                }
            },
            &mut Progress::new(&mut uncounted),
        )?;
        let twin: f64 = field.twin(&Dual::along(&x, &v), k)?.iter().zip(&v).map(|(y, &v)| y.d * f64::from(v)).sum();
        Ok((got - twin).abs() / twin.abs().max(f64::MIN_POSITIVE))
    })
}

/// Width of a level in the data range, if there are levels.
fn level(levels: Option<u32>, [low, high]: [f64; 2]) -> Result<Option<f64>> {
    match levels {
        Some(0) => Err(Error::invalid("levels", "integers 0..=0, expected at least two levels")),
        most => Ok(most.map(|most| (high - low) / f64::from(most))),
    }
}

/// A clean image, its levels spread uniformly over their width, centred.
fn start(seed: u64, images: &Images, sample: usize, level: Option<f64>) -> Vec<f64> {
    let d = images.shape.len();
    let clean = images.values[sample * d..(sample + 1) * d].iter().map(|&v| f64::from(v));
    let Some(level) = level else {
        return clean.collect();
    };
    let stream = Stream { seed, purpose: Purpose::Dequantise, draw: 0, sample: sample as u32, k: 0 };
    let words = (0..d.div_ceil(4) as u32).flat_map(|block| stream.block(block));
    clean.zip(words).map(|(v, word)| v + (uniform(word) - 0.5) * level).collect()
}

/// The samples of a shard on their way from data to noise.
struct Flow<'a> {
    options: &'a LikelihoodOptions,
    shard: Shard,
    /// Tangents per sample.
    count: usize,
    d: usize,
    /// `[sample][D]`
    x0: Vec<f64>,
}

impl Flow<'_> {
    /// All samples along one grid; every step of a batch is recorded.
    fn run(&self, derivatives: &mut Derivatives, grid: &[(usize, f64)], progress: &mut Progress) -> Result<Ends> {
        let Flow { count, d, .. } = *self;
        let samples = self.x0.len() / d;
        let (mut prior, mut integral) = (vec![], vec![]);
        progress.begin();
        let mut first = 0;
        while first < samples {
            let mut size = derivatives.batch().min(samples - first);
            // x of all samples, then each tangent's estimate of the integral.
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
        ends: &[(usize, f64)],
        state: &mut [f64],
        progress: &mut Progress,
    ) -> Result<()> {
        let Flow { options, shard, count, d, .. } = *self;
        let tangent = |point: usize, j: usize| match options.divergence {
            // The same tangents all along a trajectory.
            Divergence::Hutchinson(_) => {
                let (seed, draw, sample) = (options.seed, j as u32, shard.sample(batch.start + point) as u32);
                Stream { seed, purpose: Purpose::Probe, draw, sample, k: 0 }.signs(d)
            }
            Divergence::Exact => (0..d).map(|i| f32::from(i == j)).collect(),
        };
        let samples: Vec<usize> = batch.clone().map(|i| shard.sample(i)).collect();
        // What a tangent says of the identity: every sign vector gives D, every unit vector 1.
        let identity = if options.divergence == Divergence::Exact { 1.0 } else { d as f64 };
        // dx / dphi and d integral / dphi.
        let mut slope = |x: &[f64], (k, phi): (usize, f64)| -> Result<(Vec<f64>, Vec<f64>)> {
            let at: Vec<f32> = x.iter().map(|&v| v as f32).collect();
            let mut change = vec![0f64; batch.len() * count];
            let s = derivatives.run(
                &at,
                &At { k, what: "sample", samples: &samples },
                count,
                |point, j, v| v.copy_from_slice(&tangent(point, j)),
                |point, j, jv| {
                    change[point * count + j] = phi.tan() * (identity + dot(&tangent(point, j), jv));
                },
                progress,
            )?;
            Ok((x.iter().zip(&s).map(|(x, &s)| -phi.tan() * (x + f64::from(s))).collect(), change))
        };
        let turn = ends[1].1 - ends[0].1;
        let (x, integral) = state.split_at_mut(batch.len() * d);
        let (v0, g0) = slope(x, ends[0])?;
        let ahead: Vec<f64> = x.iter().zip(&v0).map(|(x, v)| x + turn * v).collect();
        let (v1, g1) = slope(&ahead, ends[1])?;
        x.iter_mut().zip(v0.iter().zip(&v1)).for_each(|(x, (p, q))| *x += 0.5 * turn * (p + q));
        integral.iter_mut().zip(g0.iter().zip(&g1)).for_each(|(sum, (p, q))| *sum += 0.5 * turn * (p + q));
        Ok(())
    }
}
