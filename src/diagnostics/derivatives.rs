//! A field and its Jacobian-vector products at many points, any number of vectors each: as many at a time as fit.
//! In: points `[N, D]`, their timesteps, and a way to make vector j of a point. Out: s `[N, D]`; each J v, or J'v, or both, is
//! handed on.
use super::numbers::finite;
use super::sides::Sides;
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
    /// Which products are made of a vector.
    made: Made,
}

/// Products of vectors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// J v.
    Forward,
    /// J'v.
    Reverse,
    /// Both, of one vector or of one each.
    Both,
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
        Ok(Self::made(gpu, field, evaluator, Made::Forward))
    }

    /// Room for `samples` points of `count` columns of J each, by tangents, or rows, by cotangents: unit vectors for `run`.
    ///
    /// # Errors
    /// A field that has no tangents, or no adjoint.
    pub fn of_sides(
        gpu: &Gpu,
        field: &Arc<dyn Field>,
        timesteps: &[usize],
        (samples, count): (usize, usize),
        sides: Sides,
    ) -> Result<Self> {
        match sides {
            Sides::Columns => Self::new(gpu, field, timesteps, samples, count),
            Sides::Rows => {
                let room = Room { samples, tangents: 0, cotangents: count };
                let evaluator = field::product_evaluator(gpu, field, timesteps, room)?;
                Ok(Self::made(gpu, field, evaluator, Made::Reverse))
            }
        }
    }

    fn made(gpu: &Gpu, field: &Arc<dyn Field>, evaluator: Evaluator, made: Made) -> Self {
        Self { gpu: gpu.clone(), field: field.clone(), evaluator, dim: field.shape().len(), made }
    }

    /// Room for `samples` points of `probes` vectors each, or for what fits, with J v and J'v of each, for `run_both`.
    ///
    /// # Errors
    /// A field that has no adjoint.
    pub fn both(gpu: &Gpu, field: &Arc<dyn Field>, timesteps: &[usize], samples: usize, probes: usize) -> Result<Self> {
        let room = Room { samples, tangents: probes, cotangents: probes };
        let evaluator = field::product_evaluator(gpu, field, timesteps, room)?;
        Ok(Self::made(gpu, field, evaluator, Made::Both))
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
    /// J v, or J'v where the room is for rows, in no particular order. What is not finite is NaN as a whole: s of a point, a product.
    /// The first such point is looked into.
    pub fn run(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        let back = self.made == Made::Reverse;
        let own = |point: usize, j: usize, v: &mut [f32], u: &mut [f32]| fill(point, j, if back { u } else { v });
        let of = |point: usize, j: usize, jv: &[f32], jtu: &[f32]| take(point, j, if back { jtu } else { jv });
        self.rounds(x, at, count, own, of, progress)
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
        let (d, points) = (self.dim, at.samples.len());
        let n = self.evaluator.tangents().max(self.evaluator.cotangents());
        let [forward, reverse] = [self.made != Made::Reverse, self.made != Made::Forward];
        let nan = vec![f32::NAN; d];
        let mut s = vec![];
        for first in (0..count).step_by(n) {
            let now = n.min(count - first);
            let [mut v, mut u] = [forward, reverse].map(|made| vec![0f32; if made { points * n * d } else { 0 }]);
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
                    let [tangent, row, transposed] =
                        [&v, &jv, &jtu].map(|all| all.get(i * d..(i + 1) * d).unwrap_or_default());
                    if !(whole && finite(row)) {
                        progress.look(&self.gpu, &self.field, &x[point * d..(point + 1) * d], tangent, at, point);
                        known[i] = false;
                    } else if !finite(transposed) {
                        progress.look_back(at, point, if forward { "J v" } else { "the field" });
                        known[i] = false;
                    }
                    let [row, transposed] = if known[i] { [row, transposed] } else { [&nan[..], &nan] };
                    take(point, first + i % n, row, transposed);
                }
            }
            s = values;
            // What a device repeats where not all vectors fit at once is not counted: the run's size is known beforehand.
            let each = if forward && reverse { 2 * now } else { now };
            progress.add((points * (each + usize::from(first == 0))) as u64)?;
        }
        Ok(s)
    }
}
