//! The bytes of a data file, plain or gzipped, and the one loop that turns them into f32 images.
//! In: a path, then a `Layout` that a format found in its header. Out: values; memory grows with what is really there,
//! not with what a header claims.
use super::unpacked::Unpacked;
use super::{Levels, check_size};
use crate::error::{Error, Result};
use crate::shape::Shape;
use half::{bf16, f16};
use std::fs::{File, Metadata};
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

/// Bytes that are looked at to tell the formats apart.
const HEAD: usize = 16;
/// Bytes decoded at a time: a multiple of every element size.
const CHUNK: usize = 1 << 16;

/// Element types of arrays; images have none of the whole numbers beyond u16.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dtype {
    U8,
    U16,
    I32,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Dtype {
    /// What every refusal of another type says.
    pub const EXPECTED: &'static str = "expected u8, u16, f16, bf16, f32 or f64";

    pub fn name(self) -> &'static str {
        match self {
            Dtype::U8 => "u8",
            Dtype::U16 => "u16",
            Dtype::I32 => "i32",
            Dtype::I64 => "i64",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }

    fn size(self) -> usize {
        match self {
            Dtype::U8 => 1,
            Dtype::U16 | Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::I32 | Dtype::F32 => 4,
            Dtype::I64 | Dtype::F64 => 8,
        }
    }

    /// Whether values of this type are whole numbers that are no levels of an image.
    pub fn counts(self) -> bool {
        matches!(self, Dtype::I32 | Dtype::I64)
    }

    /// What values of this type are, in images.
    pub fn levels(self) -> Levels {
        match self {
            Dtype::U8 => Levels::bits(8),
            Dtype::U16 => Levels::bits(16),
            Dtype::I32 | Dtype::I64 | Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => Levels::Real,
        }
    }
}

/// Where a header says that the images lie, counted from the end of the header.
pub struct Layout {
    pub dims: Vec<usize>,
    pub dtype: Dtype,
    pub big_endian: bool,
    /// Bytes between the header and the images.
    pub before: u64,
    /// Bytes between the images and the end of the file.
    pub after: u64,
}

/// A file being read from its start, seen through gzip where it is gzipped.
pub struct Source {
    path: PathBuf,
    /// The tensor that the user named.
    pub tensor: Option<String>,
    reader: Box<dyn Read>,
    head: Vec<u8>,
    position: u64,
    /// Bytes in all; unknown behind gzip.
    length: Option<u64>,
}

impl Source {
    pub fn open(path: &Path, tensor: Option<String>) -> Result<Self> {
        let (file, about) = open_file(path)?;
        let bad = |e: std::io::Error| Error::file(path, format!("cannot be opened: {e}"));
        let (head, reader) = peek(BufReader::new(file)).map_err(bad)?;
        let mut source = Source { path: path.into(), tensor, reader, head, position: 0, length: Some(about.len()) };
        if source.head.starts_with(&[0x1f, 0x8b]) {
            let unpacked = Unpacked::of(std::mem::replace(&mut source.reader, Box::new(std::io::empty())));
            let broken = |e: std::io::Error| match e.kind() {
                std::io::ErrorKind::InvalidData => Error::file(path, e),
                _ => Error::file(path, format!("the gzip stream is damaged: {e}")),
            };
            (source.head, source.reader) = peek(unpacked).map_err(broken)?;
            source.length = None;
        }
        Ok(source)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_gzipped(&self) -> bool {
        self.length.is_none()
    }

    /// Bytes between here and the end; unknown behind gzip.
    pub fn remaining(&self) -> Option<u64> {
        self.length.map(|l| l.saturating_sub(self.position))
    }

    /// Becomes the `length` bytes of `file` from where it stands: the part of an archive that is called `name`.
    pub fn narrow(&mut self, name: &str, file: File, length: u64) -> Result<()> {
        self.path.as_mut_os_string().push(format!("#{name}"));
        self.tensor = None;
        (self.position, self.length) = (0, Some(length));
        let broken = |e| Error::file(&self.path, format!("cannot be read: {e}"));
        (self.head, self.reader) = peek(BufReader::new(file).take(length)).map_err(broken)?;
        Ok(())
    }

    /// The first bytes, at most 16, behind gzip.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The first bytes as a person reads them in a message.
    pub fn head_text(&self) -> String {
        match self.head.len() {
            0 => "nothing (it is empty)".into(),
            n => format!("bytes {:02x?}", &self.head[..n.min(8)]),
        }
    }

    pub fn error(&self, message: impl ToString) -> Error {
        Error::file(&self.path, message)
    }

    /// Fills `buffer`; `what` names the part of the file for the message of a truncated one.
    pub fn read_exact(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        self.reader.read_exact(buffer).map_err(|e| self.read_error(e, what))?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    /// Reads `length` bytes without trusting `length` for an allocation.
    pub fn read_vec(&mut self, length: u64, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let got = self.reader.by_ref().take(length).read_to_end(&mut bytes).map_err(|e| self.read_error(e, what))?;
        self.position += got as u64;
        if (got as u64) < length {
            return Err(self.error(format!("ends after {} bytes, inside {what} of {length} bytes", self.position)));
        }
        Ok(bytes)
    }

    fn skip(&mut self, length: u64, what: &str) -> Result<()> {
        let copied = std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())
            .map_err(|e| self.read_error(e, what))?;
        self.position += copied;
        match copied == length {
            true => Ok(()),
            false => Err(self.error(format!("ends after {} bytes, inside {what}", self.position))),
        }
    }

    fn read_error(&self, e: std::io::Error, what: &str) -> Error {
        match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                self.error(format!("is truncated: it ends after byte {}, inside {what}", self.position))
            }
            std::io::ErrorKind::InvalidData => self.error(e),
            _ => self.error(format!("cannot be read in {what}: {e}")),
        }
    }

    /// Refuses a plain file whose length is not what its header says, before anything is allocated.
    fn check_length(&self, expected: u64) -> Result<()> {
        match self.remaining() {
            Some(left) if left < expected => {
                let said = format!("is truncated: the header promises {expected} bytes of data, the file holds {left}");
                Err(self.error(said))
            }
            Some(left) if left > expected => Err(self.error(format!(
                "has {} trailing bytes: the header promises {expected} bytes of data, the file holds {left}",
                left - expected
            ))),
            _ => Ok(()),
        }
    }

    /// Checks the length that a header with axes `dims` promises and goes to the first value.
    pub fn begin(&mut self, layout: &Layout, dims: &[usize]) -> Result<()> {
        // Axes of no size must not hide others whose product overflows.
        let product = dims.iter().try_fold(layout.dtype.size() as u64, |p, &d| p.checked_mul(d.max(1) as u64));
        let product = product.map(|bytes| if dims.contains(&0) { 0 } else { bytes });
        let whole = product.and_then(|bytes| bytes.checked_add(layout.before)?.checked_add(layout.after));
        let Some(whole) = whole else {
            return Err(self.error(format!("shape {:?} has more bytes than any file", layout.dims)));
        };
        self.check_length(whole)?;
        self.skip(layout.before, "the tensors before it")
    }

    /// Hands the next `count` values to `put`, integers as they lie in `range`; `what` is the part of the file.
    pub fn read_values(
        &mut self,
        layout: &Layout,
        count: usize,
        range: [f64; 2],
        what: &str,
        mut put: impl FnMut(f64),
    ) -> Result<()> {
        let size = layout.dtype.size();
        let mut chunk = vec![0; CHUNK.min(count.saturating_mul(size))];
        let mut left = count;
        while left > 0 {
            let n = left.min(CHUNK / size);
            let bytes = &mut chunk[..n * size];
            self.read_exact(bytes, what)?;
            decode(layout, range, bytes, &mut put);
            left -= n;
        }
        Ok(())
    }

    /// Behind gzip the end is only known by looking; this also makes the decoder compare its checksum.
    fn check_end(&mut self) -> Result<()> {
        let mut one = [0];
        loop {
            return match self.reader.read(&mut one) {
                Ok(0) => Ok(()),
                Ok(_) => {
                    Err(self.error(format!("has trailing bytes after the {} that its header promises", self.position)))
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => Err(self.read_error(e, "its end")),
            };
        }
    }
}

/// Opens a regular file and nothing else.
pub fn open_file(path: &Path) -> Result<(File, Metadata)> {
    let bad = |e: std::io::Error| Error::file(path, format!("cannot be opened: {e}"));
    let about = std::fs::metadata(path).map_err(bad)?;
    if !about.is_file() {
        return Err(Error::file(path, "is not a regular file")); // asked before opening: opening a pipe waits
    }
    Ok((File::open(path).map_err(bad)?, about))
}

/// Longest text that is read at once: configurations, manifests, logs.
const MOST_TEXT: u64 = 1 << 26;

/// All bytes of a regular file.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let (mut file, about) = open_file(path)?;
    let bad = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
    let mut bytes = Vec::new();
    let room = usize::try_from(about.len()).ok().and_then(|length| bytes.try_reserve_exact(length).ok());
    room.ok_or_else(|| Error::file(path, format!("has {} bytes, which do not fit in memory", about.len())))?;
    file.read_to_end(&mut bytes).map_err(bad)?;
    Ok(bytes)
}

/// A regular file of text, such as JSON, of at most 64 MiB.
pub fn text(path: &Path) -> Result<String> {
    let length = open_file(path)?.1.len();
    if length > MOST_TEXT {
        return Err(Error::file(path, format!("has {length} bytes, expected text of at most {MOST_TEXT}")));
    }
    String::from_utf8(bytes(path)?).map_err(|e| Error::file(path, format!("is not text: {e}")))
}

fn peek(mut reader: impl Read + 'static) -> std::io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut head = Vec::with_capacity(HEAD);
    reader.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(reader))))
}

/// Reads the first `count` of the `held` images; integers go linearly to `range`, computed in f64.
pub fn read_images(
    source: &mut Source,
    layout: &Layout,
    shape: Shape,
    held: usize,
    count: usize,
    range: [f64; 2],
) -> Result<Vec<f32>> {
    source.begin(layout, &[held, shape.c, shape.h, shape.w])?;
    let per_image = shape.len(); // cannot overflow: the product above did not
    let total = check_size(count, shape).map_err(|e| source.error(e))?;
    let no_memory = |source: &Source| source.error(format!("{count} images of {shape} do not fit in memory"));
    let mut values: Vec<f32> = Vec::new();
    if source.length.is_some() {
        values.try_reserve_exact(total).map_err(|_| no_memory(source))?; // the file really is that long
    }
    while values.len() < total {
        let n = (total - values.len()).min(CHUNK / layout.dtype.size());
        let start = values.len();
        values.try_reserve(n).map_err(|_| no_memory(source))?;
        let what = format!("image {} of {held} or a later one", start / per_image);
        source.read_values(layout, n, range, &what, |v| values.push(v as f32))?;
        if let Some(bad) = values[start..].iter().position(|v| !v.is_finite()) {
            let (image, value) = ((start + bad) / per_image, values[start + bad]);
            return Err(
                source.error(format!("image {image} holds the value {value} (as f32), expected finite numbers"))
            );
        }
    }
    if count == held && source.length.is_none() {
        source.skip(layout.after, "the tensors after the images")?;
        source.check_end()?;
    }
    Ok(values)
}

fn decode(layout: &Layout, range: [f64; 2], bytes: &[u8], put: &mut impl FnMut(f64)) {
    // Little-endian bytes of one element, whatever the file's order.
    fn each<const N: usize>(big: bool, bytes: &[u8], put: &mut impl FnMut(f64), value: impl Fn([u8; N]) -> f64) {
        bytes.as_chunks::<N>().0.iter().for_each(|&element| {
            let mut element = element;
            if big {
                element.reverse();
            }
            put(value(element))
        });
    }
    let big = layout.big_endian;
    match layout.dtype {
        Dtype::U8 => bytes.iter().for_each(|&v| put(scaled(v.into(), u8::MAX.into(), range).into())),
        Dtype::U16 => each(big, bytes, put, |b| scaled(u16::from_le_bytes(b).into(), u16::MAX.into(), range).into()),
        Dtype::I32 => each(big, bytes, put, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::I64 => each(big, bytes, put, |b| i64::from_le_bytes(b) as f64),
        Dtype::F16 => each(big, bytes, put, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::Bf16 => each(big, bytes, put, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::F32 => each(big, bytes, put, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(big, bytes, put, f64::from_le_bytes),
    }
}

/// An integer of 0..=most as a number of the range, computed in f64.
pub fn scaled(value: f64, most: f64, [low, high]: [f64; 2]) -> f32 {
    (value / most * (high - low) + low) as f32
}
