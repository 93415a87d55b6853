//! Image data sets: IDX, NPY, NPZ and safetensors files, also gzipped, told apart by their first bytes, and folders of PNG.
//! In: `FILE`, `FILE#tensor` or `DIR`, how many images, the range of integer data. Out: `[N, C, H, W]` f32 on the host, and a
//! checksum.
mod array;
mod folder;
mod idx;
mod levels;
mod memory;
mod npy;
pub(crate) mod npz;
mod source;
pub(crate) mod tensors;
mod unpacked;

pub use array::Array;
pub use levels::{Levels, misfit};

use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::spec::Spec;
use sha2::{Digest, Sha256};
use source::{Layout, Source};
pub(crate) use source::{bytes, text};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A file format: how to recognise it, and how to find the images in it.
pub struct Format {
    /// What messages call it.
    pub name: &'static str,
    /// Usual file names, for messages; detection goes by the first bytes alone.
    pub files: &'static str,
    sniff: fn(&[u8]) -> bool,
    header: fn(&mut Source) -> Result<Layout>,
}

/// Every file format that `load` reads. Each may also be gzipped. The most specific magic comes first.
pub const FORMATS: &[Format] = &[
    Format { name: "NPY", files: "*.npy", sniff: npy::sniff, header: npy::header },
    Format { name: "safetensors", files: "*.safetensors", sniff: tensors::sniff, header: tensors::header },
    Format { name: "NPZ", files: "*.npz", sniff: npz::sniff, header: npz::header },
    Format { name: "IDX", files: "*-idx3-ubyte", sniff: idx::sniff, header: idx::header },
];

/// Most values that one call may load: 2^32 f32 are 16 GiB.
const MAX_VALUES: u64 = 1 << 32;

/// Images of one data set, host side.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// `[C, H, W]` of one image.
    pub shape: Shape,
    /// N, number of images.
    pub count: usize,
    /// `[N, C, H, W]` in C order.
    pub values: Vec<f32>,
    /// What they were in the file.
    pub levels: Levels,
    /// Of the file's bytes as they lie on disk; of a folder, over the names and contents of its files in order; of samples
    /// that were drawn (`field::open_data`) or that a program holds, of the numbers' little-endian bytes.
    pub sha256: String,
}

/// Reads the first `limit` images (`usize::MAX`: all) of an IDX, NPY, NPZ or safetensors file or of a folder of PNG files.
///
/// 8-bit data are scaled from 0..255 to `range`, 16-bit data from 0..65535; floating-point data are taken as they are.
/// `FILE#tensor` selects a tensor of a safetensors or NPZ file that holds several.
pub fn load(spec: impl Into<Spec>, limit: usize, range: [f64; 2]) -> Result<Images> {
    load_shaped(spec, limit, range, None)
}

/// Like `load`; images of another shape than `expected` are refused, by the name of their file, before they are read.
pub fn load_shaped(spec: impl Into<Spec>, limit: usize, range: [f64; 2], expected: Option<Shape>) -> Result<Images> {
    let spec = &spec.into();
    check_range(range)?;
    if limit == 0 {
        return Err(Error::invalid("data", "0 images asked for, at least 1 expected"));
    }
    let (path, tensor) = spec.tensor();
    if path.is_dir() {
        return match tensor {
            None => folder::read(&path, limit, range, expected),
            Some(tensor) => {
                Err(Error::file(path, format!("is a folder, which has no named tensors such as '#{tensor}'")))
            }
        };
    }
    let (mut source, layout) = open(&path, tensor)?;
    let (held, shape) = images_in(&layout, &source)?;
    if let Some(expected) = expected.filter(|e| *e != shape) {
        let found = format!("holds images of {shape} (channels x height x width), expected {expected}");
        return Err(source.error(found));
    }
    let count = check_count(held, limit).map_err(|e| source.error(e))?;
    let values = source::read_images(&mut source, &layout, shape, held, count, range)?;
    Ok(Images { shape, count, values, levels: layout.dtype.levels(), sha256: sha256_spec(spec)? })
}

/// How many images a file or a folder holds, by its header; no picture is decoded.
pub fn held(spec: impl Into<Spec>) -> Result<usize> {
    let (path, tensor) = spec.into().tensor();
    if path.is_dir() {
        return folder::held(&path);
    }
    let (source, layout) = open(&path, tensor)?;
    images_in(&layout, &source).map(|(held, _)| held)
}

/// Refuses what is no range of data.
pub(crate) fn check_range([low, high]: [f64; 2]) -> Result<()> {
    if low.is_finite() && high.is_finite() && low < high {
        return Ok(());
    }
    Err(Error::invalid("data range", format!("[{low}, {high}] is not two finite numbers, the lower first")))
}

/// A file by its first bytes, read up to the values, and where they lie.
fn open(path: &Path, tensor: Option<String>) -> Result<(Source, Layout)> {
    let mut source = Source::open(path, tensor)?;
    let format = FORMATS.iter().find(|f| (f.sniff)(source.head())).ok_or_else(|| {
        let known: Vec<String> = FORMATS.iter().map(|f| format!("{} ({})", f.name, f.files)).collect();
        let (found, known) = (source.head_text(), known.join(", "));
        source.error(format!("begins with {found}, which is none of {known}; PNG is read from folders of *.png"))
    })?;
    let layout = (format.header)(&mut source)?;
    Ok((source, layout))
}

/// SHA-256 of the file of `FILE` or `FILE#tensor`.
pub fn sha256_spec(spec: impl Into<Spec>) -> Result<String> {
    sha256_file(spec.into().tensor().0)
}

/// How many images to read of those held, or what to say if there are fewer than asked for.
pub(crate) fn check_count(held: usize, limit: usize) -> Result<usize, String> {
    match limit {
        usize::MAX => Ok(held),
        limit if limit <= held => Ok(limit),
        _ => Err(format!("holds {held} images, {limit} were asked for")),
    }
}

/// Values of so many images, or what to say if they are too many.
pub(crate) fn check_size(count: usize, shape: Shape) -> Result<usize, String> {
    match (shape.len() as u64).saturating_mul(count as u64) {
        total if total <= MAX_VALUES => Ok(total as usize),
        total => Err(format!(
            "{count} images of {shape} are {total} values; at most {MAX_VALUES} fit, so ask for fewer images"
        )),
    }
}

/// SHA-256 of a file's bytes, in lower-case hexadecimal.
pub fn sha256_file(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|e| Error::file(path, format!("cannot be opened: {e}")))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => hash.update(&chunk[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::file(path, format!("cannot be read: {e}"))),
        }
    }
}

/// SHA-256 of bytes in memory, in lower-case hexadecimal.
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Number and shape of the images that a header promises, refused if no file could keep the promise.
fn images_in(layout: &Layout, source: &Source) -> Result<(usize, Shape)> {
    if layout.dtype.counts() {
        return Err(source.error(format!("holds {} values, {}", layout.dtype.name(), source::Dtype::EXPECTED)));
    }
    let (held, shape) = match layout.dims[..] {
        [n, d] => (n, Shape::new(d, 1, 1)),
        [n, h, w] => (n, Shape::new(1, h, w)),
        [n, c, h, w] => (n, Shape::new(c, h, w)),
        _ => {
            let found = format!("shape {:?}, expected [N, D], [N, H, W] or [N, C, H, W]", layout.dims);
            return Err(source.error(found));
        }
    };
    if layout.dims.contains(&0) {
        return Err(source.error(format!("shape {:?} holds no pixels", layout.dims)));
    }
    Ok((held, shape))
}

/// How a file of Git LFS begins where the file itself was not fetched.
const POINTER: &str = "version https://git-lfs.github.com/spec/";

/// Refuses what Git LFS leaves in the place of a file.
pub(crate) fn not_a_pointer(file: &Path, bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(POINTER.as_bytes()) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let size = text.lines().find_map(|l| l.strip_prefix("size ")).unwrap_or("unknown").trim().to_string();
    let found = format!("is a pointer of Git LFS to a file of {size} bytes, which was not fetched: run 'git lfs pull'");
    Err(Error::file(file, found))
}

/// How caches of the Hugging Face hub call the folder that holds a model with all of its revisions, whose files are links.
pub(crate) const HUB_ENTRY: &str = "models--";

/// Whether a file lies in a folder, links followed; where the folder is a revision in a cache of the hub, in the same model's
/// entry.
pub(crate) fn lies_in(folder: &Path, file: &Path) -> bool {
    let (Ok(folder), Ok(file)) = (folder.canonicalize(), file.canonicalize()) else { return false };
    let is_entry = |path: &&Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(HUB_ENTRY));
    file.starts_with(folder.ancestors().find(is_entry).unwrap_or(&folder))
}
