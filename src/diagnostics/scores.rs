//! Circulation of scores that were evaluated elsewhere, at exported midpoints. In: an NPZ of loops and an array of
//! scores of the same shape. Out: `run::Circulation`; sums on the host in f64, one segment in memory at a time.
use super::sums::{Dots, Sums};
use crate::data::Array;
use crate::error::{Error, Result};
use crate::run::{Circulation, Column, ExportedFile, LoopAxes};
use std::ops::ControlFlow;

/// Integrates `scores`, `[path, timestep, sample, segment, C, H, W]`, along `loops`. Nothing is known of how the scores
/// were computed, so the quadrature and arithmetic errors are NaN; rounding is that of the exported points.
/// `observe` is told the segments done and may stop.
pub fn integrate(
    loops: ExportedFile,
    mut scores: Array,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Circulation> {
    let ExportedFile { axes, mut midpoints, mut steps } = loops;
    if scores.dims() != axes.dims() {
        let said = format!("has shape {:?}, the midpoints have {:?}", scores.dims(), axes.dims());
        return Err(scores.error(said));
    }
    let (d, t, n) = (axes.shape.len(), axes.timesteps.len(), axes.samples);
    let mut sums = vec![Sums::default(); axes.paths.len() * t * n];
    let [mut s, mut m, mut step] = [const { Vec::new() }; 3];
    for (place, sums) in sums.iter_mut().enumerate() {
        let (a, sigma) = (axes.a[place / n % t], axes.sigma[place / n % t]);
        for segment in place * axes.segments..(place + 1) * axes.segments {
            scores.read(&mut s, d)?;
            midpoints.read(&mut m, d)?;
            steps.read(&mut step, d)?;
            let dots = Dots::of(&s, &m, &step);
            if !dots.is_finite() {
                for (array, values) in [(&scores, &s), (&midpoints, &m), (&steps, &step)] {
                    finite(array, values, segment, &axes)?;
                }
                return Err(scores.error(format!("has scores too large to square at {}", axes.place(segment * d))));
            }
            sums.add(&dots, 1.0, a * a + sigma * sigma);
            sums.evaluations += 1.0;
            if observe(segment as u64 + 1).is_break() {
                return Err(Error::Interrupted);
            }
        }
    }
    let column =
        |&(name, value): &(&'static str, fn(&Sums) -> f64)| Column { name, values: sums.iter().map(value).collect() };
    let mut columns: Vec<Column> = Sums::COLUMNS.iter().map(column).collect();
    columns.extend(["quadrature", "arithmetic"].map(|name| Column { name, values: vec![f64::NAN; sums.len()] }));
    Ok(Circulation {
        paths: axes.paths,
        timesteps: axes.timesteps,
        noise: axes.sigma,
        samples: axes.samples,
        points: axes.segments,
        columns,
    })
}

/// Refuses a segment's values that are not finite, by place.
fn finite(array: &Array, values: &[f64], segment: usize, axes: &LoopAxes) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => {
            let place = axes.place(segment * values.len() + i);
            Err(array.error(format!("holds {} at {place}, expected finite numbers", values[i])))
        }
    }
}
