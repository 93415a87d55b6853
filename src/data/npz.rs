//! NPZ files (`numpy.savez`): a zip archive of NPY files. In: a source at its start, and the array's name or, where there
//! is only one, nothing. Out: the source at that array, `FILE#array` in messages, and where its values are.
use super::npy;
use super::source::{Layout, Source};
use super::tensors::list as shown;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Bytes of an array that is read at once: lists of names, timesteps, noise levels, components.
const MAX_LIST: u64 = 1 << 24;

pub fn sniff(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
}

pub fn header(source: &mut Source) -> Result<Layout> {
    enter(source)?;
    npy::header(source)
}

/// Moves the source to the array that it names. NumPy's archives are stored, so an array is a range of the file.
fn enter(source: &mut Source) -> Result<()> {
    if source.is_gzipped() {
        return Err(source.error("is a gzipped NPZ file, expected the NPZ file itself"));
    }
    let broken = |e: &dyn std::fmt::Display| source.error(format!("is no whole NPZ file: {e}"));
    let open = || File::open(source.path()).map_err(|e| source.error(format!("cannot be opened: {e}")));
    let mut archive = ZipArchive::new(BufReader::new(open()?)).map_err(|e| broken(&e))?;
    let names: Vec<String> = archive.file_names().map(|n| n.strip_suffix(".npy").unwrap_or(n).to_string()).collect();
    let held = || shown(&names);
    let entries = entries(&mut BufReader::new(open()?), archive.central_directory_start()).map_err(|e| broken(&e))?;
    if entries != names.len() {
        let said = format!("holds {entries} arrays of {} names, expected one of each: {}", names.len(), held());
        return Err(source.error(said));
    }
    let name = match (&source.tensor, &names[..]) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.clone(),
        (None, _) => {
            let said = format!("holds {} arrays, expected one: name it as FILE#array ({})", names.len(), held());
            return Err(source.error(said));
        }
    };
    let Some(index) = archive.index_for_name(&format!("{name}.npy")) else {
        return Err(source.error(format!("has no array '{name}', it holds {}", held())));
    };
    let (at, length) = {
        let entry = archive.by_index_raw(index).map_err(|e| broken(&e))?;
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            let said = format!("array '{name}' is compressed, expected numpy.savez, which does not compress");
            return Err(source.error(said));
        }
        (entry.data_start(), entry.size())
    };
    let held = source.remaining().unwrap_or(0);
    if at.checked_add(length).is_none_or(|end| end > held) {
        let said = format!("is truncated: array '{name}' has {length} bytes from byte {at}, the file {held}");
        return Err(source.error(said));
    }
    let mut file = open()?;
    file.seek(SeekFrom::Start(at)).map_err(|e| broken(&e))?;
    source.narrow(&name, file, length)
}

/// Whether the file at `path` is an NPZ file with an array of that name.
pub fn holds(path: &Path, name: &str) -> Result<bool> {
    let source = Source::open(path, None)?;
    if source.is_gzipped() || !sniff(source.head()) {
        return Ok(false);
    }
    let broken = |e: &dyn std::fmt::Display| source.error(format!("is no whole NPZ file: {e}"));
    let file = File::open(path).map_err(|e| broken(&e))?;
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| broken(&e))?;
    Ok(archive.index_for_name(&format!("{name}.npy")).is_some())
}

/// Entries of the archive's directory, which begins at `start`; of those of one name `ZipArchive` knows the last alone.
fn entries(file: &mut (impl Read + Seek), start: u64) -> std::io::Result<usize> {
    file.seek(SeekFrom::Start(start))?;
    let (mut count, mut head) = (0, [0; 46]);
    while file.by_ref().take(46).read_exact(&mut head).is_ok() && head.starts_with(b"PK\x01\x02") {
        // Lengths of name, extra field and comment.
        let rest = [28, 30, 32].map(|at| i64::from(u16::from_le_bytes([head[at], head[at + 1]])));
        file.seek_relative(rest.iter().sum())?;
        count += 1;
    }
    Ok(count)
}

/// A short array of the NPZ file at `path`, as it lies.
struct List {
    source: Source,
    shape: Vec<usize>,
    /// What NumPy calls its type.
    descr: String,
    /// Bytes of each.
    elements: Vec<Vec<u8>>,
}

/// An array of one axis.
fn list(path: &Path, name: &str) -> Result<(Source, String, Vec<Vec<u8>>)> {
    let List { source, shape, descr, elements } = short(path, name)?;
    match shape[..] {
        [_] => Ok((source, descr, elements)),
        _ => Err(source.error(format!("has shape {shape:?}, expected one axis"))),
    }
}

fn short(path: &Path, name: &str) -> Result<List> {
    let mut source = Source::open(path, Some(name.to_string()))?;
    if !sniff(source.head()) {
        return Err(source.error(format!("begins with {}, expected an NPZ file", source.head_text())));
    }
    enter(&mut source)?;
    let header = npy::parse(&mut source)?;
    let descr = header.type_descriptor.as_string().cloned().unwrap_or_default();
    let shape = header.shape;
    let Some(count) = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) else {
        return Err(source.error(format!("has shape {shape:?}, more elements than any file holds")));
    };
    let bytes = source.remaining().unwrap_or(0);
    if bytes > MAX_LIST || count == 0 || !bytes.is_multiple_of(count as u64) {
        let said = format!("holds {count} elements in {bytes} bytes, expected 1 or more in at most {MAX_LIST}");
        return Err(source.error(said));
    }
    let values = source.read_vec(bytes, "its values")?;
    let size = values.len() / count;
    let elements = values.chunks_exact(size.max(1)).map(<[u8]>::to_vec).collect();
    Ok(List { source, shape, descr, elements })
}

/// Names: NumPy's fixed-width unicode, `<U..`.
pub fn names(path: &Path, name: &str) -> Result<Vec<String>> {
    let (source, descr, elements) = list(path, name)?;
    let text = |element: &Vec<u8>| {
        let words = element.as_chunks::<4>().0.iter().map(|&w| u32::from_le_bytes(w));
        let sound = |w| char::from_u32(w).filter(|c| !c.is_control());
        words.take_while(|&w| w != 0).map(sound).collect::<Option<String>>()
    };
    let names = descr.starts_with("<U").then(|| elements.iter().map(text).collect::<Option<Vec<_>>>()).flatten();
    names.ok_or_else(|| source.error(format!("holds dtype '{descr}', expected printable unicode ('<U..')")))
}

/// Counts: int64, none negative.
pub fn counts(path: &Path, name: &str) -> Result<Vec<usize>> {
    let (shape, counts) = counted(path, name)?;
    match shape[..] {
        [_] => Ok(counts),
        _ => Err(Error::file(path, format!("array '{name}' has shape {shape:?}, expected one axis"))),
    }
}

/// Counts of any rank, C order, with their shape.
pub fn counted(path: &Path, name: &str) -> Result<(Vec<usize>, Vec<usize>)> {
    let List { source, shape, descr, elements } = short(path, name)?;
    let count = |e: &Vec<u8>| usize::try_from(i64::from_le_bytes(e[..].try_into().ok()?)).ok();
    let counts = (descr == "<i8").then(|| elements.iter().map(count).collect::<Option<Vec<_>>>()).flatten();
    let counts =
        counts.ok_or_else(|| source.error(format!("holds dtype '{descr}', expected int64 ('<i8') numbers from 0")))?;
    Ok((shape, counts))
}

/// Finite numbers: float64.
pub fn numbers(path: &Path, name: &str) -> Result<Vec<f64>> {
    let (source, descr, elements) = list(path, name)?;
    let number = |e: &Vec<u8>| Some(f64::from_le_bytes(e[..].try_into().ok()?)).filter(|v| v.is_finite());
    let numbers = (descr == "<f8").then(|| elements.iter().map(number).collect::<Option<Vec<_>>>()).flatten();
    numbers.ok_or_else(|| source.error(format!("holds dtype '{descr}', expected finite float64 ('<f8') numbers")))
}
