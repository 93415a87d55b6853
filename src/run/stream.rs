//! An NPZ file that is written while its numbers are made, in any amount: names, types and shapes of all arrays are promised
//! first, so that every array's place in the file is known, and then filled side by side. In: promises, then bytes, array by
//! array in C order. Out: a file that appears whole or not at all, stored, dated 1980-01-01, with 64-bit sizes where needed.
//! Memory: a buffer for each array. Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
use super::npz::header;
use super::table::{Array, Numbers};
use crate::error::{Error, Result};
use flate2::Crc;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes that an array gathers before they are written.
const BUFFER: usize = 1 << 20;
/// Sizes and offsets from here on do not fit in 32 bits.
const LARGE: u64 = u32::MAX as u64;
/// 1980-01-01, as in every other file of the program.
const DATE: u16 = 0x21;

/// An array to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Promised {
    /// Name in the NPZ.
    pub name: &'static str,
    /// NumPy's type descriptor, such as `<f4`.
    pub descr: String,
    /// Bytes of a number.
    pub size: usize,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
}

impl Promised {
    /// Of float32.
    pub fn f32(name: &'static str, shape: &[usize]) -> Self {
        Self { name, descr: "<f4".into(), size: 4, shape: shape.to_vec() }
    }

    /// Of float64.
    pub fn f64(name: &'static str, shape: &[usize]) -> Self {
        Self { name, descr: "<f8".into(), size: 8, shape: shape.to_vec() }
    }

    /// Of int64.
    pub fn i64(name: &'static str, shape: &[usize]) -> Self {
        Self { name, descr: "<i8".into(), size: 8, shape: shape.to_vec() }
    }

    /// Of an array's type and shape.
    pub fn of(array: &Array) -> Self {
        match array.values {
            Numbers::F64(_) => Self::f64(array.name, &array.shape),
            Numbers::F32(_) => Self::f32(array.name, &array.shape),
            Numbers::I64(_) => Self::i64(array.name, &array.shape),
        }
    }

    /// Of unicode of so many characters.
    pub fn text(name: &'static str, width: usize, count: usize) -> Self {
        Self { name, descr: format!("<U{width}"), size: 4 * width, shape: vec![count] }
    }

    /// Bytes of the entry: the head of the NPY file and its numbers. None if no file could hold them.
    fn bytes(&self) -> Option<u64> {
        let head = header(&self.descr, &self.shape).len() as u64;
        self.shape.iter().try_fold(self.size as u64, |n, &d| n.checked_mul(d as u64))?.checked_add(head)
    }

    fn file_name(&self) -> String {
        format!("{}.npy", self.name)
    }
}

/// Arrays that are there already, in a file that appears whole or not at all. Equal arrays give equal bytes.
pub fn write_arrays(path: &Path, arrays: &[Array]) -> Result<()> {
    let mut stream = NpzStream::create(path, &arrays.iter().map(Promised::of).collect::<Vec<_>>())?;
    for (nth, array) in arrays.iter().enumerate() {
        stream.append(nth, &array.values.little_endian())?;
    }
    stream.finish()
}

/// Bytes of a local header, with its field of 64-bit sizes where the entry is large.
fn local_bytes(name: &str, bytes: u64) -> u64 {
    30 + name.len() as u64 + if bytes >= LARGE { 20 } else { 0 }
}

/// Bytes of an entry of the directory.
fn central_bytes(name: &str, bytes: u64, at: u64) -> u64 {
    let extra = if bytes >= LARGE { 16 } else { 0 } + if at >= LARGE { 8 } else { 0 };
    46 + name.len() as u64 + if extra > 0 { 4 + extra } else { 0 }
}

/// Bytes of the whole file, exactly. None if no file could hold them.
pub fn npz_bytes(promised: &[Promised]) -> Option<u64> {
    let (mut at, mut directory) = (0u64, 0);
    for p in promised {
        let (name, bytes) = (p.file_name(), p.bytes()?);
        directory += central_bytes(&name, bytes, at);
        at = at.checked_add(local_bytes(&name, bytes))?.checked_add(bytes)?;
    }
    at.checked_add(directory)?.checked_add(if at >= LARGE { 76 } else { 0 } + 22)
}

struct Entry {
    name: String,
    /// Where its local header is, and where the next bytes go.
    at: u64,
    next: u64,
    /// Of the NPY file, and how many of them are there.
    bytes: u64,
    got: u64,
    crc: Crc,
    buffer: Vec<u8>,
}

/// The file, under its temporary name until it is whole.
pub struct NpzStream {
    path: PathBuf,
    file: NamedTempFile,
    entries: Vec<Entry>,
}

impl NpzStream {
    /// Begins a file; it is `finish` that gives it its name.
    pub fn create(path: &Path, promised: &[Promised]) -> Result<Self> {
        let (mut at, mut entries) = (0u64, vec![]);
        for p in promised {
            let too_large = || Error::file(path, format!("array '{}' has more bytes than any file", p.name));
            let (name, bytes) = (p.file_name(), p.bytes().ok_or_else(too_large)?);
            let next = at + local_bytes(&name, bytes);
            entries.push(Entry { name, at, next, bytes, got: 0, crc: Crc::new(), buffer: vec![] });
            at = next.checked_add(bytes).ok_or_else(too_large)?;
        }
        let mut stream = Self { path: path.into(), file: super::beside(path)?, entries };
        for (nth, p) in promised.iter().enumerate() {
            stream.append(nth, &header(&p.descr, &p.shape))?;
        }
        Ok(stream)
    }

    /// The next bytes of the array of that number among the promises.
    pub fn append(&mut self, nth: usize, bytes: &[u8]) -> Result<()> {
        let entry = &mut self.entries[nth];
        entry.got += bytes.len() as u64;
        if entry.got > entry.bytes {
            let said = format!("'{}' gets {} bytes, {} were promised", entry.name, entry.got, entry.bytes);
            return Err(Error::file(&self.path, said));
        }
        entry.crc.update(bytes);
        entry.buffer.extend_from_slice(bytes);
        if entry.buffer.len() >= BUFFER { self.flush(nth) } else { Ok(()) }
    }

    fn flush(&mut self, nth: usize) -> Result<()> {
        let entry = &mut self.entries[nth];
        let (at, bytes) = (entry.next, std::mem::take(&mut entry.buffer));
        entry.next += bytes.len() as u64;
        self.write(at, &bytes)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut file = self.file.as_file();
        let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes));
        written.map_err(|e| Error::file(&self.path, format!("cannot be written: {e}; nothing of it was kept")))
    }

    /// Writes heads and directory, syncs, and gives the file its name. Refuses a file that lacks what was promised.
    pub fn finish(mut self) -> Result<()> {
        let (mut directory, mut end) = (vec![], 0);
        for nth in 0..self.entries.len() {
            self.flush(nth)?;
            let entry = &self.entries[nth];
            if entry.got != entry.bytes {
                let said = format!("'{}' got {} bytes, {} were promised", entry.name, entry.got, entry.bytes);
                return Err(Error::file(&self.path, said));
            }
            let (at, head) = (entry.at, entry.local());
            entry.central(&mut directory);
            end = entry.next;
            self.write(at, &head)?;
        }
        let tail = tail(self.entries.len(), end, directory.len() as u64);
        directory.extend(tail);
        self.write(end, &directory)?;
        super::place(self.file, &self.path)
    }
}

impl Entry {
    /// Version, flags, method, time, date, checksum and both sizes: what both of its heads have.
    fn common(&self, out: &mut Vec<u8>) {
        let large = self.bytes >= LARGE;
        for word in [if large { 45u16 } else { 20 }, 0, 0, 0, DATE] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.crc.sum().to_le_bytes());
        let size = if large { u32::MAX } else { self.bytes as u32 };
        out.extend([size, size].iter().flat_map(|s| s.to_le_bytes()));
        out.extend((self.name.len() as u16).to_le_bytes());
    }

    fn local(&self) -> Vec<u8> {
        let mut out = b"PK\x03\x04".to_vec();
        self.common(&mut out);
        let extra: Vec<u64> = if self.bytes >= LARGE { vec![self.bytes, self.bytes] } else { vec![] };
        out.extend(field_bytes(&extra).to_le_bytes());
        out.extend(self.name.as_bytes());
        field(&extra, &mut out);
        out
    }

    fn central(&self, out: &mut Vec<u8>) {
        out.extend(b"PK\x01\x02");
        out.extend(45u16.to_le_bytes());
        self.common(out);
        let mut extra: Vec<u64> = if self.bytes >= LARGE { vec![self.bytes, self.bytes] } else { vec![] };
        extra.extend((self.at >= LARGE).then_some(self.at));
        out.extend(field_bytes(&extra).to_le_bytes());
        // Comment, disk, attributes: none.
        out.extend([0; 10]);
        let at = if self.at >= LARGE { u32::MAX } else { self.at as u32 };
        out.extend(at.to_le_bytes());
        out.extend(self.name.as_bytes());
        field(&extra, out);
    }
}

/// Bytes of the field of 64-bit numbers, with its head.
fn field_bytes(numbers: &[u64]) -> u16 {
    if numbers.is_empty() { 0 } else { 4 + 8 * numbers.len() as u16 }
}

fn field(numbers: &[u64], out: &mut Vec<u8>) {
    if !numbers.is_empty() {
        out.extend(1u16.to_le_bytes());
        out.extend((8 * numbers.len() as u16).to_le_bytes());
        out.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
    }
}

/// What follows the directory, which begins at `start`.
fn tail(entries: usize, start: u64, bytes: u64) -> Vec<u8> {
    let mut out = vec![];
    let count = entries as u64;
    if start >= LARGE {
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        out.extend([45u16, 45].iter().flat_map(|v| v.to_le_bytes()));
        out.extend([0u32, 0].iter().flat_map(|v| v.to_le_bytes()));
        out.extend([count, count, bytes, start].iter().flat_map(|v| v.to_le_bytes()));
        out.extend(b"PK\x06\x07");
        out.extend(0u32.to_le_bytes());
        out.extend((start + bytes).to_le_bytes());
        out.extend(1u32.to_le_bytes());
    }
    out.extend(b"PK\x05\x06");
    out.extend([0u16, 0, entries as u16, entries as u16].iter().flat_map(|v| v.to_le_bytes()));
    let start = if start >= LARGE { u32::MAX } else { start as u32 };
    out.extend([bytes as u32, start].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(0u16.to_le_bytes());
    out
}
