//! The points that diagnostics of derivatives look at: x_t = a x_0 + sigma eps of the first samples at every timestep,
//! where all paths start too. In: field, images, seed. Out: points and their noise, made in f64 on the host.
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::paths::philox::{Purpose, Stream};
use crate::paths::{self, Anchor};
use crate::run::{About, Array, Labels, Numbers, Table, TableAxis, TableColumn};
use crate::shape::Shape;
use serde_json::{Value, json};
use std::ops::{ControlFlow, Range};

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

/// Bytes of matrices that a run may hold.
const MATRICES: u64 = 4 << 30;

/// Refuses more matrices of n x n f32 than fit.
pub(super) fn check_matrices(count: usize, n: usize) -> Result<()> {
    let bytes = 4.0 * count as f64 * (n as f64).powi(2);
    if bytes <= MATRICES as f64 {
        return Ok(());
    }
    let most = MATRICES as f64 / 1e9;
    let found = format!("{count} of {n} x {n} are {:.1} GB, at most {most:.1}", bytes / 1e9);
    Err(Error::invalid("matrices", format!("{found}: take fewer samples, timesteps or components")))
}

/// A column: what it says, and its value.
pub(super) type Column<Row> = (About, fn(&Row) -> f64);

/// The columns of rows in the order of the table's places.
pub(super) fn columns<Row>(columns: &[Column<Row>], rows: &[Row]) -> Vec<TableColumn> {
    columns.iter().map(|&(about, value)| TableColumn { about, values: rows.iter().map(value).collect() }).collect()
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

    /// Points in the order of a table's places, at most `size` of one timestep at a time.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = Batch> {
        let samples = self.samples;
        let batch = move |k, first: usize| Batch { k, samples: first..(first + size).min(samples) };
        self.timesteps.iter().flat_map(move |&k| (0..samples).step_by(size).map(move |first| batch(k, first)))
    }

    /// x_t of the samples of a batch, one after the other.
    pub(super) fn points(&self, field: &dyn Field, images: &Images, batch: &Batch) -> Result<Vec<f32>> {
        let mut x = Vec::with_capacity(batch.samples.len() * images.shape.len());
        for sample in batch.samples.clone() {
            x.extend(self.noisy(field, images, sample, batch.k)?.x);
        }
        Ok(x)
    }

    /// Results over [timestep, sample]; `facts` is a JSON object, to which sigma is added.
    pub(super) fn table(
        &self,
        measure: &'static str,
        field: &dyn Field,
        columns: Vec<TableColumn>,
        mut arrays: Vec<Array>,
        mut facts: Value,
    ) -> Result<Table> {
        let noise = self.timesteps.iter().map(|&k| Ok(field.process().noise(k)?.1)).collect::<Result<Vec<f64>>>()?;
        facts["noise"] = json!(noise);
        arrays.insert(0, Array { name: "noise", shape: vec![noise.len()], values: Numbers::F64(noise) });
        let axes = vec![
            TableAxis { name: "timestep", plural: "timesteps", labels: Labels::Numbers(self.timesteps.clone()) },
            TableAxis { name: "sample", plural: "samples", labels: Labels::Count(self.samples) },
        ];
        Ok(Table { measure, schema: 1, axes, columns, arrays, facts })
    }
}

/// Some samples at one timestep.
pub(super) struct Batch {
    pub k: usize,
    pub samples: Range<usize>,
}

impl Batch {
    /// The timestep of every point.
    pub fn ks(&self) -> Vec<usize> {
        vec![self.k; self.samples.len()]
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
