//! Tensors by name, from safetensors files or made up at random. Every tensor that a family takes from a file is checked
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
    Files(Stored),
    Random { seed: u64, made: RefCell<BTreeMap<String, Made>> },
}

/// Numbers that random weights may have; more are a slip of the pen in a configuration.
const MOST_NUMBERS: usize = 1 << 30;

/// Prefixes that wrappers give to the names of all tensors: torch.compile and DataParallel.
const WRAPPERS: [&str; 2] = ["_orig_mod.", "module."];

/// Where weights lie: one safetensors file, or shards and an index that says which tensors each of them has.
#[derive(Clone, Debug)]
pub struct Files {
    /// What messages call all of it: the file, or the index.
    path: PathBuf,
    /// By file, the tensors that the index puts there; none of a file that stands alone.
    shards: Vec<(PathBuf, Option<BTreeSet<String>>)>,
}

impl Files {
    /// A file that has all tensors.
    pub fn one(path: PathBuf) -> Self {
        Self { shards: vec![(path.clone(), None)], path }
    }

    /// Files that make one model together, the one that names the others first.
    pub(super) fn parts(all: Vec<PathBuf>) -> Self {
        Self {
            path: all.first().cloned().unwrap_or_default(),
            shards: all.into_iter().map(|file| (file, None)).collect(),
        }
    }

    /// The files of an index, and the tensors that each must have.
    pub(super) fn sharded(index: PathBuf, tensors: BTreeMap<PathBuf, BTreeSet<String>>) -> Self {
        Self { path: index, shards: tensors.into_iter().map(|(file, names)| (file, Some(names))).collect() }
    }

    /// What it is called: the file, or how many shards the index has.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match self.shards[..] {
            [(_, None)] => name.into_owned(),
            _ => format!("{} shards of {name}", self.shards.len()),
        }
    }

    /// SHA-256 of the file; of shards that of the lines that sha256sum prints of them, in the order of their names.
    pub fn sha256(&self) -> Result<String> {
        if let [(file, None)] = &self.shards[..] {
            return data::sha256_file(file);
        }
        let mut lines = String::new();
        for (file, _) in &self.shards {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            lines += &format!("{}  {name}\n", data::sha256_file(file)?);
        }
        Ok(data::sha256_bytes(lines.as_bytes()))
    }
}

/// Safetensors files, read.
struct Stored {
    path: PathBuf,
    files: Vec<File>,
    /// Where each tensor lies, by the name that it is asked for.
    tensors: BTreeMap<String, Place>,
    /// What was taken off the front of every name.
    prefix: String,
}

/// A safetensors file.
struct File {
    path: PathBuf,
    header: Metadata,
    bytes: Vec<u8>,
    /// Where the header ends and the tensors begin.
    data: usize,
}

/// A tensor in a file.
struct Place {
    file: usize,
    info: TensorInfo,
}

/// A tensor that was made up.
struct Made {
    shape: Vec<usize>,
    values: Arc<[f32]>,
}

impl Weights {
    /// Opens a safetensors file (f32, f16, bf16 or f64).
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_files(&Files::one(path.to_path_buf()))
    }

    /// Opens all files of a network's weights; what an index says of its shards must be so. A prefix that torch.compile or
    /// DataParallel put before every name is taken off.
    pub fn open_files(files: &Files) -> Result<Self> {
        Ok(Self::of(Source::Files(Stored::open(files)?)))
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
            Source::Files(files) => files.read(name, shape)?,
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
            Source::Files(files) => files.tensors.contains_key(name),
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
            Source::Files(files) => {
                Ok(files.tensors.get(name).and_then(|t| t.info.shape.first().copied()).unwrap_or(0))
            }
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
        let Source::Files(files) = &self.source else { return Ok(()) };
        let taken = self.taken.borrow();
        let unknown = |n: &&String| !taken.contains(*n) && !ignorable.iter().any(|end| n.ends_with(end));
        match files.tensors.keys().find(unknown) {
            None => Ok(()),
            Some(name) => {
                let message = format!("tensor '{}{name}' is not part of this network", files.prefix);
                Err(Error::file(files.path_of(name), message))
            }
        }
    }

    /// Types of the tensors, and what was taken off their names, in words.
    pub fn describe(&self) -> String {
        let Source::Files(files) = &self.source else { return "random".into() };
        let kinds: BTreeSet<String> = files.tensors.values().map(|t| format!("{:?}", t.info.dtype)).collect();
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(" and ");
        match files.prefix.as_str() {
            "" => kinds,
            prefix => format!("{kinds}, without the prefix '{prefix}' of every tensor's name"),
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

impl File {
    fn open(path: &Path) -> Result<Self> {
        let bytes = data::bytes(path)?;
        data::not_a_pointer(path, &bytes)?;
        // The header, and that its tensors are the rest of the file, is checked here once.
        let (data, header) = data::tensors::of_file(&bytes)
            .map_err(|e| Error::file(path, format!("not a whole safetensors file: {e}")))?;
        Ok(Self { path: path.to_path_buf(), header, bytes, data })
    }
}

impl Stored {
    fn open(Files { path, shards }: &Files) -> Result<Self> {
        let (mut files, mut tensors) = (vec![], BTreeMap::new());
        for (at, promised) in shards {
            let file = File::open(at)?;
            let fail = |name: &str, m: &str| Err(Error::file(at, format!("tensor '{name}': {m} {}", path.display())));
            let names = file.header.offset_keys();
            if let Some(name) = promised.iter().flatten().find(|n| file.header.info(n).is_none()) {
                return fail(name, "is not there, although it should be according to");
            }
            for name in names {
                if promised.as_ref().is_some_and(|p| !p.contains(&name)) {
                    return fail(&name, "should not be there according to");
                }
                if let Some(info) = file.header.info(&name) {
                    tensors.insert(name, Place { file: files.len(), info: info.clone() });
                }
            }
            files.push(file);
        }
        let mut prefix = String::new();
        while let Some(more) =
            WRAPPERS.iter().find(|w| !tensors.is_empty() && tensors.keys().all(|n| n.starts_with(**w)))
        {
            prefix += more;
            tensors = tensors.into_iter().map(|(n, place)| (n[more.len()..].to_string(), place)).collect();
        }
        Ok(Self { path: path.clone(), files, tensors, prefix })
    }

    fn path_of(&self, name: &str) -> &Path {
        self.tensors.get(name).map_or(&self.path, |place| &self.files[place.file].path)
    }

    /// A tensor of this shape, finite.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>> {
        let fail = |m: String| Error::file(self.path_of(name), format!("tensor '{name}': {m}"));
        let Some(Place { file, info: TensorInfo { dtype, shape: found, data_offsets: (begin, end) } }) =
            self.tensors.get(name)
        else {
            let wrapped = self.tensors.keys().find(|n| n.ends_with(name) && unwrapped(n) == unwrapped(name));
            let hint =
                wrapped.map_or(String::new(), |w| format!("; '{w}' is there, but not every name has that prefix"));
            return Err(fail(format!("missing, expected shape {shape:?}{hint}")));
        };
        if found != shape {
            return Err(fail(format!("shape {found:?}, expected {shape:?}")));
        }
        let File { data, bytes, .. } = &self.files[*file];
        let values = to_f32(*dtype, &bytes[data + begin..data + end])
            .ok_or_else(|| fail(format!("type {dtype:?}, expected F32, F16, BF16 or F64")))?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(fail(format!("element {i} is {}, expected finite numbers", values[i])));
        }
        Ok(values.into())
    }
}

/// A tensor's name without what wrappers put before it.
fn unwrapped(name: &str) -> &str {
    WRAPPERS.iter().find_map(|w| name.strip_prefix(w)).map_or(name, unwrapped)
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
