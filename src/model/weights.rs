//! A safetensors file read by name. Every tensor that a family takes is checked for shape and finiteness; `finish` then
//! refuses what nobody took. f16, bf16 and f64 are converted to f32.
use crate::error::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open weights file; remembers which tensors were taken.
pub struct Weights {
    path: PathBuf,
    bytes: Vec<u8>,
    taken: RefCell<BTreeSet<String>>,
    parameters: RefCell<u64>,
}

impl Weights {
    /// Opens a safetensors file (f32, f16, bf16 or f64).
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        // The header, and that every tensor lies inside the file, is checked here once.
        SafeTensors::deserialize(&bytes)
            .map_err(|e| Error::file(path, format!("not a whole safetensors file: {e}")))?;
        Ok(Self { path: path.to_path_buf(), bytes, taken: Default::default(), parameters: Default::default() })
    }

    fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| Error::file(&self.path, e))
    }

    /// The tensor `name`, which must have this shape and finite values. Its numbers count as parameters.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
        let values = self.take_statistics(name, shape)?;
        *self.parameters.borrow_mut() += values.len() as u64;
        Ok(values)
    }

    /// `take` of numbers that were measured in training, not trained: BatchNorm's running statistics.
    pub fn take_statistics(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
        let fail = |m: String| Error::file(&self.path, format!("tensor '{name}': {m}"));
        let tensors = self.tensors()?;
        let tensor = tensors.tensor(name).map_err(|_| fail(format!("missing, expected shape {shape:?}")))?;
        if tensor.shape() != shape {
            return Err(fail(format!("shape {:?}, expected {shape:?}", tensor.shape())));
        }
        let values = to_f32(tensor.dtype(), tensor.data())
            .ok_or_else(|| fail(format!("type {:?}, expected F32, F16, BF16 or F64", tensor.dtype())))?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(fail(format!("element {i} is {}, expected finite numbers", values[i])));
        }
        self.taken.borrow_mut().insert(name.to_string());
        Ok(values.into())
    }

    /// A vector of one number per channel; zeros where the layer has none.
    pub fn take_or_zeros(&self, name: &str, length: usize) -> Result<Arc<[f32]>> {
        if self.has(name) { self.take(name, &[length]) } else { Ok(vec![0.0; length].into()) }
    }

    /// True if there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors().is_ok_and(|t| t.tensor(name).is_ok())
    }

    /// A tensor of one dimension, whatever its length.
    pub fn take_1d(&self, name: &str) -> Result<Arc<[f32]>> {
        let tensors = self.tensors()?;
        let length = tensors.tensor(name).map_or(0, |t| t.shape().first().copied().unwrap_or(0));
        self.take(name, &[length])
    }

    /// Trained parameters taken so far.
    pub fn parameters(&self) -> u64 {
        *self.parameters.borrow()
    }

    /// An error that names a tensor which nobody took and whose name does not end in one of `ignorable`.
    pub fn finish(&self, ignorable: &[&str]) -> Result<()> {
        let (tensors, taken) = (self.tensors()?, self.taken.borrow());
        let mut names = tensors.names();
        names.sort_unstable();
        let unknown = |n: &&str| !taken.contains(*n) && !ignorable.iter().any(|end| n.ends_with(end));
        match names.into_iter().find(unknown) {
            None => Ok(()),
            Some(name) => Err(Error::file(&self.path, format!("tensor '{name}' is not part of this network"))),
        }
    }
}

/// Little-endian numbers of a safetensors file as f32, or nothing if they are not floating-point.
pub fn to_f32(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(data: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|c| convert(*c)).collect()
    }
    Some(match dtype {
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F64 => each(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => each(data, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(data, |b| half::bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    })
}
