//! The arrays of a table or of a shard for NumPy, stored uncompressed and with a fixed date: equal results give equal bytes.
//! In: a checked table. Out: the bytes of the NPZ; opens with `allow_pickle=False`. And a shard's arrays, read back.
use super::table::{Labels, Numbers, Table};
use super::verdict::{VERDICT, verdicts};
use crate::data;
use crate::error::{Error, Result};
use ndarray::{ArrayViewD, IxDyn};
use ndarray_npy::{NpzWriter, WritableElement, WriteNpyError, WriteNpyExt};
use std::io::{Cursor, Seek, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime};

pub fn bytes(table: &Table) -> Result<Vec<u8>> {
    let shape = table.shape();
    let largest = table.arrays.iter().map(|a| a.shape.iter().product()).chain([shape.iter().product::<usize>()]).max();
    let mut npz = NpzWriter::new_with_options(Cursor::new(Vec::new()), stored(largest));
    let failed =
        |name: &str, e: &dyn std::fmt::Display| Error::invalid(format!("{}.npz, array '{name}'", table.measure), e);
    for axis in &table.axes {
        let name = axis.plural;
        match &axis.labels {
            Labels::Text(names) => npz
                .add_array(name, &Text { shape: &[names.len()], words: &words(names) })
                .map_err(|e| failed(name, &e))?,
            Labels::Numbers(numbers) => {
                let numbers: Vec<i64> = numbers.iter().map(|&k| k as i64).collect();
                add(&mut npz, name, &[numbers.len()], &numbers).map_err(|e| failed(name, &e))?;
            }
            Labels::Count(_) => {}
        }
    }
    for array in &table.arrays {
        numbers(&mut npz, array.name, &array.shape, &array.values).map_err(|e| failed(array.name, &e))?;
    }
    for column in &table.columns {
        let name = column.about.name;
        add(&mut npz, name, &shape, &column.values).map_err(|e| failed(name, &e))?;
    }
    if let Some(verdicts) = verdicts(table) {
        let words: Vec<&str> = verdicts.iter().map(|v| v.word()).collect();
        let name = VERDICT.name;
        npz.add_array(name, &Text { shape: &shape, words: &words }).map_err(|e| failed(name, &e))?;
    }
    Ok(npz.finish().map_err(|e| failed("last", &e))?.into_inner())
}

/// The date is set because zip takes the time of day if any crate of the program turns on its `time` feature.
pub(super) fn stored(largest: Option<usize>) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(largest > Some(1 << 28)) // entries beyond 2 GiB
}

/// The bytes of an NPZ of these arrays: name, shape, values. `file` is for messages.
pub fn of_arrays<'a>(
    file: &str,
    arrays: impl Iterator<Item = (&'a str, &'a [usize], &'a Numbers)> + Clone,
) -> Result<Vec<u8>> {
    let mut npz = NpzWriter::new_with_options(
        Cursor::new(Vec::new()),
        stored(arrays.clone().map(|a| a.1.iter().product()).max()),
    );
    for (name, shape, values) in arrays {
        let failed = |e: String| Error::invalid(format!("{file}, array '{name}'"), e);
        numbers(&mut npz, name, shape, values).map_err(failed)?;
    }
    Ok(npz.finish().map_err(|e| Error::invalid(file, e))?.into_inner())
}

/// An array of this name and type of the NPZ at `path`, and its shape, no axis of which is empty.
pub fn read(path: &Path, name: &str, kind: &str) -> Result<(Vec<usize>, Numbers)> {
    if kind == "i64" {
        let (shape, counts) = data::npz::counted(path, name)?;
        let signed = counts.into_iter().map(|n| n as i64); // they were int64 in the file
        return Ok((shape, Numbers::I64(signed.collect())));
    }
    let mut array = data::Array::of(path, name)?;
    let shape = array.dims().to_vec();
    if kind != array.kind() || shape.contains(&0) {
        let found = format!("is {} of shape {shape:?}, expected {kind}, of f64, f32 and i64, not empty", array.kind());
        return Err(array.error(found));
    }
    let mut values = vec![];
    array.read(&mut values, shape.iter().product())?;
    match kind {
        "f64" => Ok((shape, Numbers::F64(values))),
        "f32" => Ok((shape, Numbers::F32(values.into_iter().map(|v| v as f32).collect()))),
        _ => Err(array.error(format!("is {kind}, expected f64, f32 or i64"))),
    }
}

fn numbers<W: Write + Seek>(
    npz: &mut NpzWriter<W>,
    name: &str,
    shape: &[usize],
    values: &Numbers,
) -> std::result::Result<(), String> {
    match values {
        Numbers::F64(values) => add(npz, name, shape, values),
        Numbers::F32(values) => add(npz, name, shape, values),
        Numbers::I64(values) => add(npz, name, shape, values),
    }
}

fn add<W: Write + Seek, T: WritableElement>(
    npz: &mut NpzWriter<W>,
    name: &str,
    shape: &[usize],
    values: &[T],
) -> std::result::Result<(), String> {
    let array = ArrayViewD::from_shape(IxDyn(shape), values).map_err(|e| e.to_string())?;
    npz.add_array(name, &*array).map_err(|e| e.to_string())
}

/// An array of NumPy's fixed-width unicode dtype, which `ndarray-npy` has no element for.
pub(super) struct Text<'a> {
    /// Sizes of its axes.
    pub shape: &'a [usize],
    /// C order.
    pub words: &'a [&'a str],
}

/// Names as words.
pub(super) fn words(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

impl Text<'_> {
    /// Characters of the longest word, at least 1.
    pub fn width(words: &[&str]) -> usize {
        words.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1)
    }

    /// The words' characters, four bytes each, padded with zeros to one width.
    pub fn bytes(words: &[&str]) -> Vec<u8> {
        let width = Self::width(words);
        let padded =
            |text: &&str| text.chars().map(u32::from).chain(std::iter::repeat(0)).take(width).collect::<Vec<_>>();
        words.iter().flat_map(padded).flat_map(u32::to_le_bytes).collect()
    }
}

impl WriteNpyExt for Text<'_> {
    fn write_npy<W: Write>(&self, mut writer: W) -> std::result::Result<(), WriteNpyError> {
        writer.write_all(&header(&format!("<U{}", Self::width(self.words)), self.shape))?;
        writer.write_all(&Self::bytes(self.words))?;
        Ok(writer.flush()?)
    }
}

/// The head of an NPY file, version 1.0: 10 bytes, a dictionary, and padding so that the data start at a multiple of 64.
pub(super) fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes()); // a type and a few numbers: a few dozen bytes
    bytes.extend(text.as_bytes());
    bytes.resize(10 + length - 1, b' ');
    bytes.push(b'\n');
    bytes
}
