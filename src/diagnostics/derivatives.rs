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

    /// Evaluations that a point with so many vectors takes. What a device repeats where not all vectors fit at once is not counted:
    /// the run's size is known beforehand.
    pub fn lanes(&self, count: usize) -> u64 {
        1 + self.each() * count as u64
    }

    /// Products that are made of a vector.
    fn each(&self) -> u64 {
        if self.made == Made::Both { 2 } else { 1 }
    }

    /// s at every point. `fill(point, j, v)` writes vector j of `count` into v, which is zero; `take(point, j, jv)` gets
    /// J v, or J'v where the room is for rows, in no particular order. What is not finite is NaN as a whole: s of a point, a product.
    /// The first such point is looked into.
    pub fn run(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        fill: impl FnMut(usize, usize, &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        let mut all = vec![];
        let take = |(): &mut (), point: usize, j: usize, product: &[f32]| take(point, j, product);
        self.reduce((x, at, count), &(), fill, take, |_, _, (), s| keep(&mut all, s), progress)?;
        Ok(all)
    }

    /// The same whose points are handed on one by one, in their order, as soon as a tile with the last of their products is there:
    /// `take(own, point, j, jv)` adds to what begins as `nothing`, and `done(progress, point, own, s)` gets what that has become, and s.
    /// What was handed on before the observer stops the run is known, whatever the tiles.
    pub fn reduce<T: Clone + Default>(
        &mut self,
        asked: (&[f32], &Whose, usize),
        nothing: &T,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
        mut take: impl FnMut(&mut T, usize, usize, &[f32]),
        done: impl FnMut(&mut Progress, usize, T, &[f32]) -> Result<()>,
        progress: &mut Progress,
    ) -> Result<()> {
        let back = self.made == Made::Reverse;
        let own = |point: usize, j: usize, v: &mut [f32], u: &mut [f32]| fill(point, j, if back { u } else { v });
        let of = |own: &mut T, point: usize, j: usize, jv: &[f32], jtu: &[f32]| {
            take(own, point, j, if back { jtu } else { jv });
        };
        self.rounds(asked, nothing, own, of, done, progress)
    }

    /// `run` with both modes: `take(point, j, jv, jtv)` gets J v and J'v, NaN both where one of them is not finite. Each is
    /// counted as an evaluation.
    pub fn run_both(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        fill: impl FnMut(usize, usize, &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32], &[f32]),
        progress: &mut Progress,
    ) -> Result<Vec<f32>> {
        let mut all = vec![];
        let take = |(): &mut (), point: usize, j: usize, jv: &[f32], jtv: &[f32]| take(point, j, jv, jtv);
        self.reduce_both((x, at, count), &(), fill, take, |_, _, (), s| keep(&mut all, s), progress)?;
        Ok(all)
    }

    /// `reduce` with both modes.
    pub fn reduce_both<T: Clone + Default>(
        &mut self,
        asked: (&[f32], &Whose, usize),
        nothing: &T,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
        take: impl FnMut(&mut T, usize, usize, &[f32], &[f32]),
        done: impl FnMut(&mut Progress, usize, T, &[f32]) -> Result<()>,
        progress: &mut Progress,
    ) -> Result<()> {
        let same = |point: usize, j: usize, v: &mut [f32], u: &mut [f32]| {
            fill(point, j, v);
            u.copy_from_slice(v);
        };
        self.rounds(asked, nothing, same, take, done, progress)
    }

    /// `run_both` with a vector of its own for either mode: `fill(point, j, v, u)` writes both, for J v and J'u.
    pub fn run_pairs(
        &mut self,
        x: &[f32],
        at: &Whose,
        count: usize,
        fill: impl FnMut(usize, usize, &mut [f32], &mut [f32]),
        mut take: impl FnMut(usize, usize, &[f32], &[f32]),
        progress: &mut Progress,
    ) -> Result<()> {
        let take = |(): &mut (), point: usize, j: usize, jv: &[f32], jtu: &[f32]| take(point, j, jv, jtu);
        self.rounds((x, at, count), &(), fill, take, |_, _, (), _| Ok(()), progress)
    }

    fn rounds<T: Clone + Default>(
        &mut self,
        (x, at, count): (&[f32], &Whose, usize),
        nothing: &T,
        mut fill: impl FnMut(usize, usize, &mut [f32], &mut [f32]),
        mut take: impl FnMut(&mut T, usize, usize, &[f32], &[f32]),
        mut done: impl FnMut(&mut Progress, usize, T, &[f32]) -> Result<()>,
        progress: &mut Progress,
    ) -> Result<()> {
        let (d, points, each) = (self.dim, at.samples.len(), self.each());
        let n = self.evaluator.tangents().max(self.evaluator.cotangents());
        let [forward, reverse] = [self.made != Made::Reverse, self.made != Made::Forward];
        let nan = vec![f32::NAN; d];
        let mut own = vec![nothing.clone(); points];
        for first in (0..count).step_by(n) {
            let (now, last) = (n.min(count - first), first + n >= count);
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
            // What is not finite: a point, and of its vectors the one whose J v is not, or none where only J'u is not.
            let mut bad: Vec<(usize, Option<usize>)> = vec![];
            let hand_on = |start: usize, Products { y, jv, jtu }: Products| {
                let tile = y.len() / d;
                for (nth, mut value) in y.chunks_exact(d).map(<[f32]>::to_vec).enumerate() {
                    let point = start + nth;
                    let whole = finite(&value);
                    if !whole {
                        value.fill(f32::NAN);
                    }
                    for j in 0..now {
                        let (i, row) = (point * n + j, nth * n + j);
                        let [row, transposed] =
                            [&jv, &jtu].map(|all| all.get(row * d..(row + 1) * d).unwrap_or_default());
                        if !(whole && finite(row) && finite(transposed)) {
                            bad.push((point, (!(whole && finite(row))).then_some(i)));
                            known[i] = false;
                        }
                        let [row, transposed] = if known[i] { [row, transposed] } else { [&nan[..], &nan] };
                        take(&mut own[point], point, first + j, row, transposed);
                    }
                    if last {
                        done(progress, point, std::mem::take(&mut own[point]), &value)?;
                    }
                }
                progress.add(tile as u64 * (each * now as u64 + u64::from(first == 0)))
            };
            self.evaluator.products_each(x, [&v, &u], &vec![at.k; points], at.samples, hand_on)?;
            for (point, vector) in bad {
                match vector.map(|i| v.get(i * d..(i + 1) * d).unwrap_or_default()) {
                    Some(tangent) => {
                        let own = &x[point * d..(point + 1) * d];
                        progress.look(&self.gpu, &self.field, own, tangent, at, point);
                    }
                    None => progress.look_back(at, point, if forward { "J v" } else { "the field" }),
                }
            }
        }
        Ok(())
    }
}

/// Appends s of a point.
fn keep(all: &mut Vec<f32>, s: &[f32]) -> Result<()> {
    all.extend_from_slice(s);
    Ok(())
}
