//! Weights in a file beside the model (`external_data`). In: where a tensor says that its bytes are. Out: the bytes. Nothing
//! outside the model's folder is opened, and no more is read than the tensor's shape asks for.
use super::proto::TensorProto;
use crate::error::{Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The `wanted` bytes of a tensor of the model at `model`.
pub(super) fn read(model: &Path, tensor: &TensorProto, wanted: u64) -> Result<Bytes> {
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
    let place = inside(model, location)?;
    let fail = |e: std::io::Error| Error::invalid("external data", format!("{location}: {e}"));
    let mut file = File::open(place).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    let end = offset.checked_add(wanted).filter(|end| *end <= size);
    if end.is_none() {
        let end = u128::from(offset) + u128::from(wanted);
        return Err(Error::invalid(
            "external data",
            format!("wants bytes {offset}..{end} of {location}, which has {size}"),
        ));
    }
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut bytes = vec![0; wanted as usize];
    file.read_exact(&mut bytes).map_err(fail)?;
    Ok(bytes.into())
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
    let found = |path: &Path| path.canonicalize().map_err(|_| missing(model, location));
    let (place, folder) = (found(&place)?, found(folder)?);
    if !place.starts_with(&folder) {
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
