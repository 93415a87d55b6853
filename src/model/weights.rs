//! Tensors by name, from a safetensors file or made up at random. Every tensor that a family takes from a file is checked
//! for shape and finiteness; `finish` then refuses what nobody took. f16, bf16 and f64 are converted to f32.
use super::random;
use crate::data;
use crate::error::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Weights by name; remembers which tensors were taken.
pub struct Weights {
    source: Source,
    taken: RefCell<BTreeSet<String>>,
    parameters: RefCell<u64>,
}

enum Source {
    File(Stored),
    Random { seed: u64, made: RefCell<BTreeMap<String, Made>> },
}

/// Numbers that random weights may have; more are a slip of the pen in a configuration.
const MOST_NUMBERS: usize = 1 << 30;

/// A safetensors file.
struct Stored {
    path: PathBuf,
    header: Metadata,
    bytes: Vec<u8>,
    /// Where the header ends and the tensors begin.
    data: usize,
}

/// A tensor that was made up.
struct Made {
    shape: Vec<usize>,
    values: Arc<[f32]>,
}

impl Weights {
    /// Opens a safetensors file (f32, f16, bf16 or f64).
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = data::bytes(path)?;
        // The header, and that its tensors are the rest of the file, is checked here once.
        let (data, header) = data::tensors::of_file(&bytes)
            .map_err(|e| Error::file(path, format!("not a whole safetensors file: {e}")))?;
        Ok(Self::of(Source::File(Stored { path: path.to_path_buf(), header, bytes, data })))
    }

    /// No file: whatever is taken is made up from its name, its shape and `seed` (`random::tensor`), in any order.
    /// Tensors of unknown length do not exist, and `has` knows only what was taken before.
    pub fn random(seed: u64) -> Self {
        Self::of(Source::Random { seed, made: Default::default() })
    }

    fn of(source: Source) -> Self {
        Self { source, taken: Default::default(), parameters: Default::default() }
    }

    /// The tensor `name`, which must have this shape and finite values. Its numbers count as parameters.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
        let values = self.take_statistics(name, shape)?;
        *self.parameters.borrow_mut() += values.len() as u64;
        Ok(values)
    }

    /// `take` of numbers that were measured in training, not trained: BatchNorm's running statistics.
    pub fn take_statistics(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
        let values = match &self.source {
            Source::File(file) => file.read(name, shape)?,
            Source::Random { seed, made } => {
                let mut made = made.borrow_mut();
                let numbers = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
                if made.values().fold(numbers, |n, m| n.saturating_add(m.values.len())) > MOST_NUMBERS {
                    let message = format!("shape {shape:?} makes it more than {MOST_NUMBERS} numbers in all");
                    return Err(Error::invalid(format!("random tensor '{name}'"), message));
                }
                let make = || Made { shape: shape.to_vec(), values: random::tensor(*seed, name, shape).into() };
                let tensor = made.entry(name.to_string()).or_insert_with(make);
                if tensor.shape != shape {
                    let message = format!("shape {:?}, expected {shape:?}", tensor.shape);
                    return Err(Error::invalid(format!("random tensor '{name}'"), message));
                }
                tensor.values.clone()
            }
        };
        self.taken.borrow_mut().insert(name.to_string());
        Ok(values)
    }

    /// True if there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::File(file) => file.header.info(name).is_some(),
            Source::Random { made, .. } => made.borrow().contains_key(name),
        }
    }

    /// A tensor of one dimension, whatever its length.
    pub fn take_1d(&self, name: &str) -> Result<Arc<[f32]>> {
        self.take(name, &[self.length(name)?])
    }

    /// `take_1d` of numbers that are no parameters.
    pub fn take_buffer(&self, name: &str) -> Result<Arc<[f32]>> {
        self.take_statistics(name, &[self.length(name)?])
    }

    /// Length of a tensor of one dimension; 0 if there is none, which no tensor's shape is.
    fn length(&self, name: &str) -> Result<usize> {
        match &self.source {
            Source::File(file) => Ok(file.header.info(name).and_then(|t| t.shape.first().copied()).unwrap_or(0)),
            Source::Random { made, .. } => match made.borrow().get(name) {
                Some(tensor) => Ok(tensor.values.len()),
                None => Err(Error::invalid(format!("random tensor '{name}'"), "its length is not known")),
            },
        }
    }

    /// Trained parameters taken so far.
    pub fn parameters(&self) -> u64 {
        *self.parameters.borrow()
    }

    /// An error that names a tensor which nobody took and whose name does not end in one of `ignorable`.
    pub fn finish(&self, ignorable: &[&str]) -> Result<()> {
        let Source::File(file) = &self.source else { return Ok(()) };
        let (names, taken) = (file.header.offset_keys(), self.taken.borrow());
        let unknown = |n: &&String| !taken.contains(*n) && !ignorable.iter().any(|end| n.ends_with(end));
        match names.iter().filter(unknown).min() {
            None => Ok(()),
            Some(name) => Err(Error::file(&file.path, format!("tensor '{name}' is not part of this network"))),
        }
    }

    /// Everything that was made up so far, as a safetensors file in f32.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let Source::Random { made, .. } = &self.source else {
            return Err(Error::invalid("weights", "are a file already, expected random ones"));
        };
        let made = made.borrow();
        let little_endian = |m: &Made| m.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let bytes: Vec<Vec<u8>> = made.values().map(little_endian).collect();
        let fail = |e| Error::invalid("random weights", e);
        let views = made.iter().zip(&bytes).map(|((name, m), bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, m.shape.clone(), bytes).map_err(fail)?))
        });
        safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(fail)
    }
}

impl Stored {
    /// A tensor of this shape, finite.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
        let fail = |m: String| Error::file(&self.path, format!("tensor '{name}': {m}"));
        let info = self.header.info(name).ok_or_else(|| fail(format!("missing, expected shape {shape:?}")))?;
        let TensorInfo { dtype, shape: found, data_offsets: (begin, end) } = info;
        if found != shape {
            return Err(fail(format!("shape {found:?}, expected {shape:?}")));
        }
        let values = to_f32(*dtype, &self.bytes[self.data + begin..self.data + end])
            .ok_or_else(|| fail(format!("type {dtype:?}, expected F32, F16, BF16 or F64")))?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(fail(format!("element {i} is {}, expected finite numbers", values[i])));
        }
        Ok(values.into())
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
