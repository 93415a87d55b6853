//! A field and its Jacobian-vector products at many points, any number of tangents each: as many at a time as fit.
//! In: points `[N, D]`, their timesteps, and a way to make tangent j of a point. Out: s `[N, D]`; each J v is handed on.
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluator, Room};
use crate::field::{self, Field};
use crate::gpu::{Gpu, Memory};

/// Tiles of work in one call, so that one is queued while the other is read back.
const TILES: usize = 2;

pub(super) struct Derivatives {
    evaluator: Evaluator,
    dim: usize,
}

impl Derivatives {
    /// Room for `samples` points of `tangents` tangents each, or for what fits.
    pub fn new(gpu: &Gpu, field: &dyn Field, timesteps: &[usize], samples: usize, tangents: usize) -> Result<Self> {
        let evaluator = field::tangent_evaluator(gpu, field, timesteps, Room { samples, tangents })?;
        Ok(Self { evaluator, dim: field.shape().len() })
    }

    /// What it takes on the device.
    pub fn memory(&self) -> Memory {
        self.evaluator.memory()
    }

    /// Points that a call should have at least, to keep the device busy.
    pub fn batch(&self) -> usize {
        TILES * self.evaluator.max_samples()
    }

    /// s at every point. `fill(point, j, v)` writes tangent j of `count` into v, which is zero; `take(point, j, jv)` gets
    /// J v, in no particular order.
    pub fn run(
        &mut self,
        x: &[f32],
        ks: &[usize],
        count: usize,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        let (d, n) = (self.dim, self.evaluator.tangents());
        let mut s = vec![];
        for first in (0..count).step_by(n) {
            let now = n.min(count - first);
            let mut v = vec![0f32; ks.len() * n * d];
            for (i, row) in v.chunks_exact_mut(d).enumerate().filter(|(i, _)| i % n < now) {
                fill(i / n, first + i % n, row);
            }
            let (values, jv) = self.evaluator.jvp(x, &v, ks)?;
            finite(&values, ks, d, "value")?;
            finite(&jv, ks, n * d, "derivative")?;
            for (i, row) in jv.chunks_exact(d).enumerate().filter(|(i, _)| i % n < now) {
                take(i / n, first + i % n, row);
            }
            s = values;
            // What a device repeats where not all tangents fit at once is not counted: the run's size is known beforehand.
            progress.add((ks.len() * (now + usize::from(first == 0))) as u64)?;
        }
        Ok(s)
    }
}

/// Refuses NaN and infinity, naming the first point of the call that has one.
pub(super) fn finite(values: &[f32], ks: &[usize], per_point: usize, what: &str) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let (point, value) = (at / per_point, values[at]);
            let place = format!("field at timestep {}, point {point} of the tile", ks[point]);
            Err(Error::invalid(place, format!("{what} {value}, expected finite numbers")))
        }
    }
}

/// Mean and its standard error; NaN for the error of fewer than two values.
pub(super) fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, if values.len() > 1 { (square / (n - 1.0) / n).sqrt() } else { f64::NAN })
}

/// x.y in f64.
pub(super) fn dot(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}
