//! The arrays of a run for NumPy, stored uncompressed and with a fixed date: equal results give equal bytes.
//! In: checked loops. Out: the bytes of `circulation.npz`; opens with `allow_pickle=False`.
use super::circulation::Loops;
use crate::error::{Error, Result};
use ndarray::{ArrayView1, ArrayView3};
use ndarray_npy::{NpzWriter, WriteNpyError, WriteNpyExt};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime};

pub fn bytes(loops: &Loops) -> Result<Vec<u8>> {
    let data = loops.data();
    let shape = (data.paths.len(), data.timesteps.len(), data.samples);
    // The date is set here because zip takes the time of day if any crate of the program turns on its `time` feature.
    let stored = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(loops.len() > 1 << 28); // entries beyond 2 GiB
    let mut npz = NpzWriter::new_with_options(Cursor::new(Vec::new()), stored);
    let timesteps: Vec<i64> = data.timesteps.iter().map(|&k| k as i64).collect();
    let failed = |name: &str, e: &dyn std::fmt::Display| Error::invalid(format!("circulation.npz, array '{name}'"), e);

    npz.add_array("paths", &Text(&data.paths)).map_err(|e| failed("paths", &e))?;
    npz.add_array("timesteps", &*ArrayView1::from(&timesteps)).map_err(|e| failed("timesteps", &e))?;
    npz.add_array("noise", &*ArrayView1::from(&data.noise)).map_err(|e| failed("noise", &e))?;
    for (name, values) in loops.columns() {
        let array = ArrayView3::from_shape(shape, &values).map_err(|e| failed(name, &e))?;
        npz.add_array(name, &*array).map_err(|e| failed(name, &e))?;
    }
    Ok(npz.finish().map_err(|e| failed("last", &e))?.into_inner())
}

/// A 1-D array of NumPy's fixed-width unicode dtype, which `ndarray-npy` has no element for.
pub(super) struct Text<'a>(pub &'a [String]);

impl WriteNpyExt for Text<'_> {
    fn write_npy<W: Write>(&self, mut writer: W) -> std::result::Result<(), WriteNpyError> {
        let width = self.0.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1);
        let mut header = format!("{{'descr': '<U{width}', 'fortran_order': False, 'shape': ({},), }}", self.0.len());
        // Version 1.0: 10 bytes before the dictionary, then padding so that the data start at a multiple of 64.
        let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
        header += &" ".repeat(length - header.len() - 1);
        header.push('\n');
        writer.write_all(b"\x93NUMPY\x01\x00")?;
        writer.write_all(&(length as u16).to_le_bytes())?; // width and count are two numbers: a few dozen bytes
        writer.write_all(header.as_bytes())?;
        for text in self.0 {
            let padded = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(width);
            for character in padded {
                writer.write_all(&character.to_le_bytes())?;
            }
        }
        Ok(writer.flush()?)
    }
}
