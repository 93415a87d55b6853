//! An array of numbers of any rank that is read piece by piece, so that it need not fit in memory.
//! In: `FILE.npy`, `FILE.npz#array` or `FILE.safetensors#tensor`, f16 to f64. Out: its shape, then its values as f64.
use super::source::{Dtype, Layout, Source};
use crate::error::{Error, Result};

/// An open array; the values come in C order.
pub struct Array {
    source: Source,
    layout: Layout,
}

impl Array {
    /// Opens and checks the header; a file shorter or longer than its header says is refused.
    pub fn open(spec: &str) -> Result<Self> {
        let (mut source, layout) = super::open(spec)?;
        if layout.dtype == Dtype::U8 {
            return Err(source.error("holds u8 values, expected floating-point numbers"));
        }
        source.begin(&layout, &layout.dims)?;
        Ok(Self { source, layout })
    }

    /// Sizes of the axes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.layout.dims
    }

    /// Fills `out` with the next values, not checked to be finite.
    pub fn read(&mut self, out: &mut Vec<f64>, count: usize) -> Result<()> {
        out.clear();
        self.source.read_values(&self.layout, count, [0.0, 1.0], "the values", |v| out.push(v))
    }

    /// A problem with this array, named as its file.
    pub fn error(&self, message: impl ToString) -> Error {
        self.source.error(message)
    }
}
