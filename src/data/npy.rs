//! NPY files (`numpy.save`): a magic, a short Python dictionary with dtype, order and shape, then the values.
//! In: a source at its start. Out: where and what the images are. Reference: numpy.lib.format.
use super::source::{Dtype, Layout, Source};
use crate::error::Result;
use ndarray_npy::npy::header::Header;

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself refuses longer headers.
const MAX_HEADER: usize = 10_000;
/// The dictionary and its shape need two; the parser below recurses on them, so a file must not choose the depth.
const MAX_BRACKETS: usize = 4;

pub fn sniff(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

pub fn header(source: &mut Source) -> Result<Layout> {
    let header = parse(source)?;
    let descr = header.type_descriptor.as_string().map_or("", |s| s.as_str());
    let dtype = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "u1" => Dtype::U8,
        "u2" => Dtype::U16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        _ => {
            // NumPy has no name for bfloat16: what a library registers as one is written as bytes without a meaning.
            let hint = if descr.ends_with("V2") { "; bfloat16 is saved like this: save it as float32" } else { "" };
            let found = format!("holds dtype {}, {}{hint}", header.type_descriptor, Dtype::EXPECTED);
            return Err(source.error(found));
        }
    };
    Ok(Layout { dims: header.shape, dtype, big_endian: descr.starts_with('>'), before: 0, after: 0 })
}

/// The dictionary; C order is granted.
pub fn parse(source: &mut Source) -> Result<Header> {
    if let Some(tensor) = &source.tensor {
        return Err(source.error(format!("is an NPY file, which has no named tensors such as '#{tensor}'")));
    }
    let mut bytes = vec![0; MAGIC.len() + 2];
    source.read_exact(&mut bytes, "the NPY header")?;
    let mut length = vec![0; if bytes[MAGIC.len()] == 1 { 2 } else { 4 }];
    source.read_exact(&mut length, "the NPY header")?;
    bytes.extend(&length);
    let length = length.iter().rev().fold(0, |sum, &b| sum << 8 | usize::from(b));
    if length > MAX_HEADER {
        return Err(source.error(format!("has an NPY header of {length} bytes, expected at most {MAX_HEADER}")));
    }
    let text = source.read_vec(length as u64, "the NPY header")?;
    if text.iter().filter(|b| b"([{".contains(b)).count() > MAX_BRACKETS {
        return Err(
            source.error("has nested brackets in its NPY header, expected {'descr': .., 'shape': (N, C, H, W)}")
        );
    }
    bytes.extend(text);
    let header = Header::from_reader(&mut &bytes[..]).map_err(|e| {
        let cause = e.to_string(); // of a syntax error only the first line is prose
        source.error(format!("has a bad NPY header: {}", cause.lines().next().unwrap_or_default().trim()))
    })?;

    if header.layout.is_fortran() {
        return Err(source.error("is in Fortran order, expected C order: save numpy.ascontiguousarray(array)"));
    }
    Ok(header)
}
