//! A field at given points, its derivatives along given directions, by tangents and by central differences with an estimate of
//! their own error, and what given cotangents say of the points. In: points `[N, D]`, directions `[N, K, D]`, cotangents `[N, M, D]`.
//! Out: s, J v, the differences beside them, J'u.
use super::derivatives::Derivatives;
use super::numbers::{finite, largest};
use crate::error::{Error, Result};
use crate::evaluate::{Products, Room};
use crate::field::{self, Field};
use crate::gpu::{Gpu, Measured, Memory};
use crate::run::{Progress, Whose};
use std::ops::ControlFlow;
use std::sync::Arc;

/// What is asked for. Numbers are f32 as on the device, all in C order.
#[derive(Clone, Copy, Debug)]
pub struct Directional<'a> {
    /// `[N, D]`
    pub points: &'a [f32],
    /// Timestep of all points.
    pub timestep: usize,
    /// `[N, K, D]`; empty: values only.
    pub directions: &'a [f32],
    /// `[N, M, D]`; empty: none.
    pub cotangents: &'a [f32],
    /// Of differences: h so that h |v| = step sigma sqrt(D); none: no differences.
    pub step: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// s, `[N, D]`.
    pub values: Vec<f32>,
    /// J v, `[N, K, D]`.
    pub derivatives: Vec<f32>,
    /// J'u, `[N, M, D]`.
    pub transposed: Vec<f32>,
    /// (s(x + h v) - s(x - h v)) / 2h, `[N, K, D]`.
    pub differences: Vec<f32>,
    /// Estimated error of the differences, `[N, K]`: twice the largest change of a component from h to 2h (their h^2 term
    /// changes by three times its size, and rounding by one and a half).
    pub errors: Vec<f64>,
    /// Points where the field, a derivative or a difference is not finite: NaN or an infinity there.
    pub not_finite: usize,
    /// Where the first of them stops being finite, in words.
    pub origin: Option<String>,
    /// What the larger of the plans takes.
    pub memory: Memory,
    /// What was in use while it was there.
    pub measured: Option<Measured>,
}

/// Evaluates. `observe` is told how many evaluations are done, a tangent counted as one.
pub fn directional(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    asked: Directional,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Found> {
    let Directional { points, timestep, directions, cotangents, step } = asked;
    let d = field.shape().len();
    let n = points.len() / d;
    if n == 0 || points.len() % d != 0 {
        let found = format!("{} numbers, expected a multiple of D = {d}, at least one point", points.len());
        return Err(Error::invalid("points", found));
    }
    for (name, values) in [("directions", directions), ("cotangents", cotangents)] {
        if values.len() % points.len() != 0 {
            let found = format!("{} numbers, expected as many for each of the {n} points of {d}", values.len());
            return Err(Error::invalid(name, found));
        }
    }
    for (name, values) in [("point", points), ("direction", directions), ("cotangent", cotangents)] {
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let place = format!("{name} {}, component {}", at / d, at % d);
            return Err(Error::invalid(place, format!("{}, expected a finite number", values[at])));
        }
    }
    if let Some(step) = step.filter(|step| !(*step > 0.0 && step.is_finite())) {
        return Err(Error::invalid("step of differences", format!("{step}, expected a positive number")));
    }
    if let Some(at) = directions.chunks_exact(d).position(|v| v.iter().all(|&v| v == 0.0)) {
        return Err(Error::invalid(format!("direction {at}"), "is zero, expected a direction"));
    }
    let (k, ks) = (directions.len() / points.len(), vec![timestep; n]);
    let mut progress = Progress::new(observe);
    let mut found = Found::default();
    let numbers: Vec<usize> = (0..n).collect();
    let at = Whose { k: timestep, what: "point", samples: &numbers };
    if !cotangents.is_empty() {
        by_cotangents(gpu, field, asked, &mut found, &mut progress)?;
    }
    if k == 0 && cotangents.is_empty() {
        let mut evaluator = field::evaluator(gpu, field, &[timestep], n)?;
        found.memory = evaluator.memory();
        found.values = evaluator.evaluate_of(points, &ks, &numbers)?;
        found.measured = gpu.memory_in_use();
        drop(evaluator); // its memory is needed where something is looked into
        for (point, _) in found.values.chunks_exact(d).enumerate().filter(|(_, s)| !finite(s)) {
            progress.look(gpu, field, &points[point * d..(point + 1) * d], &[], &at, point);
        }
        progress.add(n as u64)?;
        return Ok(found.counted(n, progress));
    }
    if k == 0 {
        return Ok(found.counted(n, progress));
    }
    found.derivatives = vec![0.0; n * k * d];
    let mut derivatives = Derivatives::new(gpu, field, &[timestep], n, k)?;
    let memory = derivatives.memory();
    let larger = memory.device() > found.memory.device();
    found.values = derivatives.run(
        points,
        &at,
        k,
        |point, j, v| v.copy_from_slice(&directions[(point * k + j) * d..][..d]),
        |point, j, jv| found.derivatives[(point * k + j) * d..][..d].copy_from_slice(jv),
        &mut progress,
    )?;
    if larger {
        (found.memory, found.measured) = (memory, gpu.memory_in_use());
    }
    drop(derivatives); // its memory is needed
    if let Some(step) = step {
        by_differences(gpu, field, asked, step, &mut found, &mut progress)?;
    }
    Ok(found.counted(n, progress))
}

impl Found {
    /// Counts what is not finite of `n` points.
    fn counted(mut self, n: usize, progress: Progress) -> Self {
        let per_point = |all: &[f32], i: usize| finite(&all[i * (all.len() / n)..(i + 1) * (all.len() / n)]);
        let all = [&self.values, &self.derivatives, &self.differences, &self.transposed];
        self.not_finite = (0..n).filter(|&i| !all.iter().all(|numbers| per_point(numbers, i))).count();
        self.origin = progress.origin;
        self
    }
}

/// J'u of as many cotangents of every point at a time as fit.
fn by_cotangents(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    Directional { points, timestep, cotangents, .. }: Directional,
    found: &mut Found,
    progress: &mut Progress,
) -> Result<()> {
    let d = field.shape().len();
    let (n, m) = (points.len() / d, cotangents.len() / points.len());
    let room = Room { samples: n, tangents: 0, cotangents: m };
    let mut evaluator = field::product_evaluator(gpu, field, &[timestep], room)?;
    found.memory = evaluator.memory();
    found.transposed = vec![0.0; cotangents.len()];
    let (fit, numbers): (_, Vec<usize>) = (evaluator.cotangents(), (0..n).collect());
    for first in (0..m).step_by(fit) {
        let now = fit.min(m - first);
        let mut u = vec![0f32; n * fit * d];
        let rows = |point: usize| (point * m + first) * d..(point * m + first + now) * d;
        for (point, row) in u.chunks_exact_mut(fit * d).enumerate() {
            row[..now * d].copy_from_slice(&cotangents[rows(point)]);
        }
        let Products { y, jtu, .. } = evaluator.products_of(points, &[], &u, &vec![timestep; n], &numbers)?;
        for (point, row) in jtu.chunks_exact(fit * d).enumerate() {
            found.transposed[rows(point)].copy_from_slice(&row[..now * d]);
        }
        found.values = y;
        progress.add((n * (now + usize::from(first == 0))) as u64)?;
    }
    found.measured = gpu.memory_in_use();
    drop(evaluator); // its memory is needed where something is looked into
    let at = Whose { k: timestep, what: "point", samples: &numbers };
    for (point, x) in points.chunks_exact(d).enumerate() {
        let own = &found.transposed[point * m * d..(point + 1) * m * d];
        if !(finite(&found.values[point * d..(point + 1) * d]) && finite(own)) {
            progress.look(gpu, field, x, &[], &at, point);
        }
    }
    Ok(())
}

fn by_differences(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    Directional { points, timestep, directions, .. }: Directional,
    step: f64,
    found: &mut Found,
    progress: &mut Progress,
) -> Result<()> {
    let d = field.shape().len();
    let k = directions.len() / points.len();
    let sigma = field.process().noise(timestep)?.1;
    let mut evaluator = field::evaluator(gpu, field, &[timestep], 4)?;
    let memory = evaluator.memory();
    let larger = memory.device() > found.memory.device();
    for (i, v) in directions.chunks_exact(d).enumerate() {
        let x = &points[i / k * d..][..d];
        let norm = v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let h = step * sigma * (d as f64).sqrt() / norm;
        let ends = [h, -h, 2.0 * h, -2.0 * h]
            .map(|h| x.iter().zip(v).map(|(&x, &v)| (f64::from(x) + h * f64::from(v)) as f32).collect::<Vec<f32>>());
        let s = evaluator.evaluate_of(&ends.concat(), &[timestep; 4], &[i / k; 4])?;
        if let Some(bad) = s.chunks_exact(d).position(|s| !finite(s)) {
            let at = Whose { k: timestep, what: "point", samples: &[i / k] };
            progress.look(gpu, field, &ends[bad], &[], &at, 0);
        }
        progress.add(4)?;
        let difference = |pair: usize, c: usize, h: f64| {
            (f64::from(s[2 * pair * d + c]) - f64::from(s[(2 * pair + 1) * d + c])) / (2.0 * h)
        };
        let mut change = 0f64;
        for c in 0..d {
            let near = difference(0, c, h);
            change = largest([change, (near - difference(1, c, 2.0 * h)).abs()].into_iter());
            found.differences.push(near as f32);
        }
        found.errors.push(2.0 * change);
    }
    if larger {
        (found.memory, found.measured) = (memory, gpu.memory_in_use());
    }
    Ok(())
}
