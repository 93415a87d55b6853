//! Weights in a file beside the model (`external_data`). In: where a tensor says that its bytes are. Out: the bytes. Nothing
//! outside the model's folder is opened, and no more is read than the tensor's shape asks for.
use super::proto::TensorProto;
use crate::data;
use crate::error::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The files beside a model, and how much was read of each.
pub(super) struct Beside<'a> {
    model: &'a Path,
    read: BTreeMap<PathBuf, u64>,
}

impl<'a> Beside<'a> {
    /// Of the model at `model`.
    pub fn of(model: &'a Path) -> Self {
        Self { model, read: BTreeMap::new() }
    }

    /// Bytes that were read, of all files.
    pub fn bytes(&self) -> usize {
        self.read.values().sum::<u64>() as usize
    }

    /// The `wanted` bytes of a tensor. Of a file no more is read than it has: many tensors of the same bytes would fill the memory.
    pub fn read(&mut self, tensor: &TensorProto, wanted: u64) -> Result<Bytes> {
        let (place, location, range) = found(self.model, tensor, wanted)?;
        let fail = |e: std::io::Error| Error::invalid("external data", format!("{location}: {e}"));
        let mut file = File::open(&place).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        if range.1 > size.into() {
            let message = format!("wants bytes {}..{} of {location}, which has {size}", range.0, range.1);
            return Err(Error::invalid("external data", message));
        }
        let read = self.read.entry(place).or_default();
        *read += wanted;
        if *read > size {
            let message = format!("with it {read} bytes are wanted of {location}, which has {size}: tensors overlap");
            return Err(Error::invalid("external data", message));
        }
        file.seek(SeekFrom::Start(range.0)).map_err(fail)?;
        let mut bytes = vec![0; wanted as usize];
        file.read_exact(&mut bytes).map_err(fail)?;
        Ok(bytes.into())
    }
}

/// The file that has a tensor's bytes, what the model calls it, and which bytes they are.
fn found<'t>(model: &Path, tensor: &'t TensorProto, wanted: u64) -> Result<(PathBuf, &'t str, (u64, u128))> {
    let key = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = key("location").ok_or_else(|| Error::invalid("external data", "says no location"))?;
    let number = |name: &str| -> Result<Option<u64>> {
        let invalid = |text: &str| Error::invalid("external data", format!("{name} '{text}' is no number of bytes"));
        key(name).map(|text| text.parse().map_err(|_| invalid(text))).transpose()
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(wanted));
    if length != wanted {
        let message = format!("says {length} bytes, its shape and type take {wanted}");
        return Err(Error::invalid("external data", message));
    }
    Ok((inside(model, location)?, location, (offset, u128::from(offset) + u128::from(wanted))))
}

/// The file that `location` names, which must lie in the model's folder, links followed.
fn inside(model: &Path, location: &str) -> Result<PathBuf> {
    let refused =
        || Error::invalid("external data", format!("location '{location}' leaves the model's folder: refused"));
    let relative = Path::new(location);
    if relative.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(refused());
    }
    let folder = model.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = folder.join(relative);
    if !place.exists() {
        return Err(missing(model, location));
    }
    if !data::lies_in(folder, &place) {
        return Err(refused());
    }
    if !place.is_file() {
        return Err(missing(model, location));
    }
    Ok(place)
}

fn missing(model: &Path, location: &str) -> Error {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    let message = format!(
        "its bytes are in '{location}', which is not beside {name}: copy it there, or export with external_data=False"
    );
    Error::invalid("external data", message)
}
