//! An array of numbers of any rank that is read piece by piece, so that it need not fit in memory.
//! In: `FILE.npy`, `FILE.npz#array` or `FILE.safetensors#tensor`, f16 to f64, or where they may be any numbers integers too. Out: its shape, then its values as f64.
use super::Levels;
use super::source::{Layout, Source};
use crate::error::{Error, Result};
use crate::spec::Spec;
use std::path::Path;

/// Most values read at once from behind gzip, 1 GiB as f64.
const MOST_UNPACKED: usize = 1 << 27;

/// An open array; the values come in C order.
pub struct Array {
    source: Source,
    layout: Layout,
}

impl Array {
    /// Opens and checks the header; a file shorter or longer than its header says is refused.
    pub fn open(spec: impl Into<Spec>) -> Result<Self> {
        let (path, tensor) = spec.into().tensor();
        Self::part(&path, tensor)
    }

    /// The array `name` of a file of several.
    pub fn of(path: &Path, name: &str) -> Result<Self> {
        Self::part(path, Some(name.to_string()))
    }

    /// `open` of whole numbers too, which are taken as they are.
    pub fn numbers(spec: impl Into<Spec>) -> Result<Self> {
        let (path, tensor) = spec.into().tensor();
        Self::any(&path, tensor)
    }

    fn part(path: &Path, tensor: Option<String>) -> Result<Self> {
        let array = Self::any(path, tensor)?;
        let dtype = array.layout.dtype;
        if dtype.counts() || dtype.levels() != Levels::Real {
            let found = format!("holds {} values, expected floating-point numbers", dtype.name());
            return Err(array.source.error(found));
        }
        Ok(array)
    }

    fn any(path: &Path, tensor: Option<String>) -> Result<Self> {
        let (mut source, layout) = super::open(path, tensor)?;
        source.begin(&layout, &layout.dims)?;
        Ok(Self { source, layout })
    }

    /// Sizes of the axes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.layout.dims
    }

    /// The name of the values' type in the file, such as f32.
    pub fn kind(&self) -> &'static str {
        self.layout.dtype.name()
    }

    /// Fills `out` with the next values, not checked to be finite. Of a gzipped file, which may promise anything, at most
    /// 2^27 at a time.
    pub fn read(&mut self, out: &mut Vec<f64>, count: usize) -> Result<()> {
        out.clear();
        if !self.source.is_gzipped() {
            let room = out.try_reserve(count); // the file really is that long
            room.map_err(|_| self.source.error(format!("has {count} values, which do not fit in memory")))?;
        } else if count > MOST_UNPACKED {
            let said = format!("promises {count} values behind gzip, expected at most {MOST_UNPACKED}: unpack it");
            return Err(self.source.error(said));
        }
        let most = self.layout.dtype.levels().most().map_or(1.0, f64::from);
        self.source.read_values(&self.layout, count, [0.0, most], "the values", |v| out.push(v))
    }

    /// A problem with this array, named as its file.
    pub fn error(&self, message: impl ToString) -> Error {
        self.source.error(message)
    }
}
