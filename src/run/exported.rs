//! The closed loops themselves as an NPZ file: midpoints, steps and nodes, for networks that run elsewhere, and the way
//! back. In: loops from the path shaders. Out: a file that appears whole or not at all; read again, segment by segment.
//! Layout: docs/FORMATS.md.
use super::npz::{Text, stored, words};
use crate::data::{Array, npz};
use crate::error::{Error, Result};
use crate::shape::Shape;
use ndarray::{ArrayView1, ArrayViewD};
use ndarray_npy::NpzWriter;
use std::io::BufWriter;
use std::path::Path;

/// What the axes of exported loops stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopAxes {
    /// Names of the paths.
    pub paths: Vec<String>,
    /// The network's 0-based indices k.
    pub timesteps: Vec<usize>,
    /// Factor of the clean image per timestep.
    pub a: Vec<f64>,
    /// Standard deviation of the noise per timestep.
    pub sigma: Vec<f64>,
    /// Images, from the first of the data file.
    pub samples: usize,
    /// N, segments of a loop.
    pub segments: usize,
    /// `[C, H, W]` of a point.
    pub shape: Shape,
}

impl LoopAxes {
    /// `[path, timestep, sample, segment, C, H, W]`.
    pub fn dims(&self) -> [usize; 7] {
        let Shape { c, h, w } = self.shape;
        [self.paths.len(), self.timesteps.len(), self.samples, self.segments, c, h, w]
    }

    /// Where number i of an array with these axes stands, in words.
    pub fn place(&self, i: usize) -> String {
        let (d, Shape { h, w, .. }) = (self.shape.len(), self.shape);
        let (segment, sample) = (i / d % self.segments, i / d / self.segments % self.samples);
        let loops = i / d / self.segments / self.samples;
        let (path, timestep) = (loops / self.timesteps.len(), loops % self.timesteps.len());
        let (channel, row, column) = (i % d / (h * w), i % (h * w) / w, i % w);
        format!(
            "path {}, timestep {}, sample {sample}, segment {segment}, channel {channel}, row {row}, column {column}",
            self.paths[path], self.timesteps[timestep]
        )
    }
}

/// Loops in memory.
#[derive(Clone, Debug)]
pub struct ExportedLoops {
    /// What the axes stand for.
    pub axes: LoopAxes,
    /// Midpoints of the segments, `[path, timestep, sample, segment, C, H, W]` in C order, unit of the data.
    pub midpoints: Vec<f32>,
    /// Steps from each node to the next, in the same order and unit.
    pub steps: Vec<f32>,
}

impl ExportedLoops {
    /// Nodes p_i = m_i - d_i/2, rounded once to f32; the last node of a loop is its first and is not repeated.
    pub fn nodes(&self) -> Vec<f32> {
        let node = |(&m, &d): (&f32, &f32)| (f64::from(m) - 0.5 * f64::from(d)) as f32;
        self.midpoints.iter().zip(&self.steps).map(node).collect()
    }

    /// Writes the NPZ file. Equal loops give equal bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |name: &str, e: &dyn std::fmt::Display| Error::file(path, format!("array '{name}': {e}"));
        let file = super::beside(path)?;
        let mut npz = NpzWriter::new_with_options(BufWriter::new(file), stored(Some(self.midpoints.len())));
        let (axes, dims) = (&self.axes, self.axes.dims());
        let timesteps: Vec<i64> = axes.timesteps.iter().map(|&k| k as i64).collect();
        npz.add_array("paths", &Text { shape: &[axes.paths.len()], words: &words(&axes.paths) }).map_err(|e| failed("paths", &e))?;
        npz.add_array("timesteps", &*ArrayView1::from(&timesteps)).map_err(|e| failed("timesteps", &e))?;
        npz.add_array("a", &*ArrayView1::from(&axes.a)).map_err(|e| failed("a", &e))?;
        npz.add_array("sigma", &*ArrayView1::from(&axes.sigma)).map_err(|e| failed("sigma", &e))?;
        for (name, values) in [("midpoints", &self.midpoints), ("steps", &self.steps), ("points", &self.nodes())] {
            let array = ArrayViewD::from_shape(&dims[..], values).map_err(|e| failed(name, &e))?;
            npz.add_array(name, &*array).map_err(|e| failed(name, &e))?;
        }
        let written = npz.finish().map_err(|e| failed("points", &e))?;
        let file = written.into_inner().map_err(|e| failed("points", e.error()))?;
        file.as_file().sync_all().map_err(|e| Error::file(path, e))?;
        file.persist(path).map_err(|e| Error::file(path, format!("cannot be created: {}", e.error)))?;
        Ok(())
    }
}

/// An NPZ file of loops, open at its first segment.
pub struct ExportedFile {
    /// What the axes stand for.
    pub axes: LoopAxes,
    /// Midpoints, in C order.
    pub midpoints: Array,
    /// Steps, in C order.
    pub steps: Array,
}

impl ExportedFile {
    /// Opens a file that `ExportedLoops::write` wrote; arrays that do not fit together are refused.
    pub fn open(path: &Path) -> Result<Self> {
        let array = |name: &str| Array::open(&format!("{}#{name}", path.display()));
        let (midpoints, steps) = (array("midpoints")?, array("steps")?);
        let &[p, t, samples, segments, c, h, w] = midpoints.dims() else {
            let said = format!("has shape {:?}, expected [path, timestep, sample, segment, C, H, W]", midpoints.dims());
            return Err(midpoints.error(said));
        };
        if midpoints.dims().contains(&0) {
            return Err(midpoints.error(format!("has shape {:?}, which holds no loops", midpoints.dims())));
        }
        if steps.dims() != midpoints.dims() {
            return Err(steps.error(format!("has shape {:?}, the midpoints {:?}", steps.dims(), midpoints.dims())));
        }
        let axes = LoopAxes {
            paths: npz::names(path, "paths")?,
            timesteps: npz::counts(path, "timesteps")?,
            a: npz::numbers(path, "a")?,
            sigma: npz::numbers(path, "sigma")?,
            samples,
            segments,
            shape: Shape::new(c, h, w),
        };
        let lists = [("paths", axes.paths.len(), p), ("timesteps", axes.timesteps.len(), t)];
        for (name, found, expected) in lists.into_iter().chain([("a", axes.a.len(), t), ("sigma", axes.sigma.len(), t)])
        {
            if found != expected {
                let said = format!("array '{name}' has {found} elements, the midpoints have {expected} of these");
                return Err(Error::file(path, said));
            }
        }
        Ok(Self { axes, midpoints, steps })
    }
}
