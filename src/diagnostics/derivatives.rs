//! A field and its Jacobian-vector products at many points, any number of vectors each: as many at a time as fit.
//! In: points `[N, D]`, their timesteps, and a way to make vector j of a point. Out: s `[N, D]`; each J v, or J v and J'v, is
//! handed on.
use super::numbers::finite;
use crate::error::Result;
use crate::evaluate::{Evaluator, Products, Room};
use crate::field::{self, Field};
use crate::gpu::{Gpu, Memory};
use crate::run::{Progress, Whose};
use std::sync::Arc;

/// Tiles of work in one call, so that one is queued while the other is read back.
const TILES: usize = 2;

pub(crate) struct Derivatives {
    gpu: Gpu,
    field: Arc<dyn Field>,
    evaluator: Evaluator,
    dim: usize,
    /// Whether J'v goes with J v.
    both: bool,
}

impl Derivatives {
    /// Room for `samples` points of `tangents` tangents each, or for what fits.
    pub fn new(
        gpu: &Gpu,
        field: &Arc<dyn Field>,
        timesteps: &[usize],
        samples: usize,
        tangents: usize,
    ) -> Result<Self> {
        let evaluator = field::tangent_evaluator(gpu, field, timesteps, Room { samples, tangents, cotangents: 0 })?;
        Ok(Self { gpu: gpu.clone(), field: field.clone(), evaluator, dim: field.shape().len(), both: false })
    }

    /// Room for `samples` points of `probes` vectors each, or for what fits, with J v and J'v of each, for `run_both`.
    ///
    /// # Errors
    /// A field that has no adjoint.
    pub fn both(gpu: &Gpu, field: &Arc<dyn Field>, timesteps: &[usize], samples: usize, probes: usize) -> Result<Self> {
        let room = Room { samples, tangents: probes, cotangents: probes };
        let evaluator = field::product_evaluator(gpu, field, timesteps, room)?;
        Ok(Self { gpu: gpu.clone(), field: field.clone(), evaluator, dim: field.shape().len(), both: true })
    }

    /// What it takes on the device.
    pub fn memory(&self) -> Memory {
        self.evaluator.memory()
    }

    /// Points that a call should have at least, to keep the device busy.
    pub fn batch(&self) -> usize {
        TILES * self.evaluator.max_samples()
    }

    /// s at every point. `fill(point, j, v)` writes vector j of `count` into v, which is zero; `take(point, j, jv)` gets
    /// J v, in no particular order. What is not finite is NaN as a whole: s of a point, J v along a tangent. The first such point
    /// is looked into.
    pub fn run(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        self.rounds(x, at, count, |point, j, v, _| fill(point, j, v), |point, j, jv, _| take(point, j, jv), progress)
    }

    /// The same with both modes: `take(point, j, jv, jtv)` gets J v and J'v, NaN both where one of them is not finite. Each is
    /// counted as an evaluation.
    pub fn run_both(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
        take: impl FnMut(usize, usize, &[f32], &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        let same = |point: usize, j: usize, v: &mut [f32], u: &mut [f32]| {
            fill(point, j, v);
            u.copy_from_slice(v);
        };
        self.rounds(x, at, count, same, take, progress)
    }

    /// `run_both` with a vector of its own for either mode: `fill(point, j, v, u)` writes both, for J v and J'u.
    pub fn run_pairs(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        fill: impl FnMut(usize, usize, &mut [f32], &mut [f32]),
        take: impl FnMut(usize, usize, &[f32], &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        self.rounds(x, at, count, fill, take, progress)
    }

    fn rounds(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        mut fill: impl FnMut(usize, usize, &mut [f32], &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32], &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        let (d, n, points) = (self.dim, self.evaluator.tangents(), at.samples.len());
        let nan = vec![f32::NAN; d];
        let mut s = vec![];
        for first in (0..count).step_by(n) {
            let now = n.min(count - first);
            let mut v = vec![0f32; points * n * d];
            let mut u = vec![0f32; if self.both { v.len() } else { 0 }];
            let mut known = vec![true; points * n];
            for i in (0..points * n).filter(|i| i % n < now) {
                let [v, u] = [&mut v, &mut u].map(|all| all.get_mut(i * d..(i + 1) * d).unwrap_or_default());
                fill(i / n, first + i % n, v, u);
                // A derivative that is not finite has none itself.
                known[i] = finite(v) && finite(u);
                if !known[i] {
                    v.fill(0.0);
                    u.fill(0.0);
                }
            }
            let Products { y: mut values, jv, jtu } =
                self.evaluator.products_of(x, &v, &u, &vec![at.k; points], at.samples)?;
            for (point, value) in values.chunks_exact_mut(d).enumerate() {
                let rows = point * n..point * n + now;
                let whole = finite(value);
                if !whole {
                    value.fill(f32::NAN);
                }
                for i in rows {
                    let [row, transposed] = [&jv, &jtu].map(|all| all.get(i * d..(i + 1) * d).unwrap_or_default());
                    if !(whole && finite(row)) {
                        let (x, tangent) = (&x[point * d..(point + 1) * d], &v[i * d..(i + 1) * d]);
                        progress.look(&self.gpu, &self.field, x, tangent, at, point);
                        known[i] = false;
                    } else if !finite(transposed) {
                        progress.look_back(at, point);
                        known[i] = false;
                    }
                    let [row, transposed] = if known[i] { [row, transposed] } else { [&nan[..], &nan] };
                    take(point, first + i % n, row, transposed);
                }
            }
            s = values;
            // What a device repeats where not all vectors fit at once is not counted: the run's size is known beforehand.
            let each = if self.both { 2 * now } else { now };
            progress.add((points * (each + usize::from(first == 0))) as u64)?;
        }
        Ok(s)
    }
}
