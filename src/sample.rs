//! Samples of the distribution whose score a field is: the noising process run backwards from noise.
//! In: a field, a method, how many. Out: `[N, D]` f32 and, if asked for, the states on the way. The field runs on the GPU,
//! the updates in f64 on the host. eps = -sigma s and x0 = (x + sigma^2 s) / a are the field's estimates at x.
use crate::error::{Error, Result};
use crate::field::{self, Field, first_not_finite};
use crate::gpu::Gpu;
use crate::paths::normal::normals;
use crate::paths::philox::{Purpose, Stream};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How a step goes from one noise level to the next lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The probability-flow ODE (arXiv 2011.13456; dx/dsigma = -sigma s where a = 1, dx/dt = v on a flow) by Heun's rule in the
    /// angle whose tangent is sigma/a, where its velocity stays bounded: two evaluations a step.
    Ode,
    /// x' = a' x0 + sigma' eps, deterministic (arXiv 2010.02502); x0 is kept in the field's clean range.
    Ddim,
    /// The posterior of x' given x and x0, with its noise (arXiv 2006.11239); x0 is kept in that range.
    Ddpm,
}

/// Name and method; ddim and ddpm are of variance-preserving processes.
pub const METHODS: &[(&str, Method)] = &[("ode", Method::Ode), ("ddim", Method::Ddim), ("ddpm", Method::Ddpm)];

impl Method {
    /// In `METHODS`.
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|m| m.1 == self).map_or("", |m| m.0)
    }
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many samples.
    pub n: usize,
    /// How steps are taken.
    pub method: Method,
    /// Noise levels visited, evenly spread over the process's timesteps; at least 2.
    pub steps: usize,
    /// Key of the noise.
    pub seed: u64,
    /// States kept, evenly spread, the start and the result among them; 0 for none.
    pub keep: usize,
}

/// Samples, and what was on the way to them.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `[N, D]`
    pub x: Vec<f32>,
    /// (timestep k, states `[N, D]`) in the order of sampling; the result has no timestep.
    pub states: Vec<(Option<usize>, Vec<f32>)>,
    /// Numbers of the samples that are not finite: the field was not on their way. The others do not depend on them.
    pub not_finite: Vec<usize>,
    /// Where the first of them stopped being finite, in words.
    pub origin: Option<String>,
}

/// Refuses what cannot be drawn, of a process of so many timesteps with signal.
fn check(field: &dyn Field, options: &Options, t: usize) -> Result<()> {
    field.require_score("sample")?;
    field.process().require_levels("sample")?;
    if options.n == 0 {
        return Err(Error::invalid("samples", "0, expected at least 1"));
    }
    if !(2..=t).contains(&options.steps) {
        return Err(Error::invalid("steps", format!("{}, expected 2..={t}", options.steps)));
    }
    if options.method != Method::Ode {
        field.process().require_vp(&format!("method {} (ode is for every process)", options.method.name()))?;
    }
    Ok(())
}

/// Runs the process backwards. `observe` is told the evaluations done and may stop it.
pub fn sample(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    options: &Options,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Samples> {
    // x_0 does not follow from the score of pure noise: a process that ends in it is begun one timestep earlier.
    let (n, d, t) = (options.n, field.shape().len(), field.process().last_with_signal() + 1);
    check(field.as_ref(), options, t)?;
    let ks: Vec<usize> =
        (0..options.steps).map(|i| (i * (t - 1) + (options.steps - 1) / 2) / (options.steps - 1)).collect();
    let numbers: Vec<usize> = (0..n).collect();
    let mut evaluator = field::evaluator(gpu, field, &ks, n)?;
    let (mut done, mut origin) = (0, None);
    let mut score = |x: &[f64], k: usize| -> Result<Vec<f64>> {
        let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let s = evaluator.evaluate_of(&x, &vec![k; n], &numbers)?;
        let bad = s.chunks_exact(d).position(|s| s.iter().any(|v| !v.is_finite()));
        if let Some(i) = bad.filter(|_| origin.is_none()) {
            let place = format!("sample {i}, timestep {k}");
            origin = Some(first_not_finite(gpu, field, &x[i * d..(i + 1) * d], &[], (k, i), &place));
        }
        done += n as u64;
        if observe(done).is_break() { Err(Error::Interrupted) } else { Ok(s.into_iter().map(f64::from).collect()) }
    };
    let noise = |draw: u32| -> Vec<f64> {
        let stream = |sample| Stream { seed: options.seed, purpose: Purpose::Sample, draw, sample, k: 0 };
        (0..n as u32).flat_map(|sample| normals(&stream(sample), d)).collect()
    };

    let kept: Vec<usize> = match options.keep {
        0 | 1 => vec![],
        keep => (0..keep - 1).map(|i| (options.steps - 1) * (keep - 1 - i) / (keep - 1)).collect(),
    };
    let single = |x: &[f64]| x.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let scale = field.process().prior_scale();
    let mut x: Vec<f64> = noise(0).into_iter().map(|z| z * scale).collect();
    let mut states = vec![];
    for i in (0..options.steps).rev() {
        let k = ks[i];
        if kept.contains(&i) {
            states.push((Some(k), single(&x)));
        }
        let (a, sigma) = field.process().noise(k)?;
        let (next_a, next_sigma) = if i > 0 { field.process().noise(ks[i - 1])? } else { (1.0, 0.0) };
        let s = score(&x, k)?;
        let (now, next) = ((a, sigma), (next_a, next_sigma));
        if options.method == Method::Ode {
            let again = |x: &[f64]| if i > 0 { score(x, ks[i - 1]).map(Some) } else { Ok(None) };
            x = heun(&x, &s, now, next, again)?;
        } else {
            let fresh = options.method == Method::Ddpm && i > 0;
            let fresh = if fresh { noise((options.steps - i) as u32) } else { vec![] };
            denoise(&mut x, &s, now, next, field.clean_range(), &fresh);
        }
    }
    let x = single(&x);
    if !kept.is_empty() {
        states.push((None, x.clone()));
    }
    let not_finite = (0..n).filter(|i| x[i * d..(i + 1) * d].iter().any(|v| !v.is_finite())).collect();
    Ok(Samples { x, states, not_finite, origin })
}

/// With c = |(a, sigma)| and tan phi = sigma/a, x/c = x0 cos phi + eps sin phi: its derivative by phi.
fn velocity(x: &[f64], s: &[f64], (a, sigma): (f64, f64)) -> Vec<f64> {
    let c = a.hypot(sigma);
    let one = |(x, s): (&f64, &f64)| -sigma * (a * s + (x + sigma * sigma * s) / a) / c;
    x.iter().zip(s).map(one).collect()
}

/// A step of the flow from one (a, sigma) to the next; `again` is the score there, none where the flow ends.
fn heun(
    x: &[f64],
    s: &[f64],
    now: (f64, f64),
    next: (f64, f64),
    again: impl FnOnce(&[f64]) -> Result<Option<Vec<f64>>>,
) -> Result<Vec<f64>> {
    let (c, next_c) = (now.0.hypot(now.1), next.0.hypot(next.1));
    let turn = next.1.atan2(next.0) - now.1.atan2(now.0);
    let go = |v: &[f64]| -> Vec<f64> { x.iter().zip(v).map(|(x, v)| next_c * (x / c + turn * v)).collect() };
    let first = velocity(x, s, now);
    let ahead = go(&first);
    let Some(there) = again(&ahead)? else { return Ok(ahead) };
    let second = velocity(&ahead, &there, next);
    Ok(go(&first.iter().zip(&second).map(|(p, q)| 0.5 * (p + q)).collect::<Vec<_>>()))
}

/// A step of ddim, or with fresh noise of ddpm, from one (a, sigma) to the next; x0 is kept in the range.
fn denoise(
    x: &mut [f64],
    s: &[f64],
    (a, sigma): (f64, f64),
    (next_a, next_sigma): (f64, f64),
    [low, high]: [f64; 2],
    fresh: &[f64],
) {
    for (j, x) in x.iter_mut().enumerate() {
        let x0 = ((*x + sigma * sigma * s[j]) / a).clamp(low, high);
        *x = if fresh.is_empty() {
            next_a * x0 + next_sigma * (*x - a * x0) / sigma
        } else {
            // x_t given x_t' has scale r = a/a' and variance v = sigma^2 - r^2 sigma'^2.
            let r = a / next_a;
            let v = sigma * sigma - r * r * next_sigma * next_sigma;
            let mean = (next_a * v * x0 + r * next_sigma * next_sigma * *x) / (sigma * sigma);
            mean + (v.max(0.0)).sqrt() * next_sigma / sigma * fresh[j]
        };
    }
}
