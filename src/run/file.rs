//! Files that appear whole or not at all: written under a temporary name beside their place, then renamed. In: a path, and
//! how much there will be. Out: an open file, with the permissions that any new file of the user has; before the work, whether
//! there is room for it.
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use tempfile::{Builder, NamedTempFile};

/// Bytes of a name to which more can be added: 255 is the most that file systems take.
const LONGEST: usize = 200;

/// A new file that `persist` moves to `path`; dropped before, it leaves nothing. A process that is killed leaves it under a
/// name that says what it is: that of `path`, and `.partial` at its end.
pub fn beside(path: &Path) -> Result<NamedTempFile> {
    check_file(path)?;
    let parent = parent(path);
    let mut prefix = path.file_name().unwrap_or_default().to_os_string();
    if prefix.len() > LONGEST {
        prefix = "vorticity".into();
    }
    prefix.push(".");
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less what the umask takes
    builder.tempfile_in(parent).map_err(|e| Error::file(path, e.kind()))
}

/// A file of these bytes, whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = beside(path)?;
    let written = file.as_file_mut().write_all(bytes);
    written.map_err(|e| Error::file(path, format!("cannot be written: {e}; nothing of it was kept")))?;
    place(file, path)
}

/// Gives a file that was written `beside` its name. A file that is mounted there alone takes the contents, since nothing can be
/// renamed onto it.
pub fn place(file: NamedTempFile, path: &Path) -> Result<()> {
    let fail = |e: std::io::Error| Error::file(path, format!("cannot be created: {e}"));
    file.as_file().sync_all().map_err(fail)?;
    let Err(kept) = file.persist(path) else { return Ok(()) };
    if kept.error.kind() == ErrorKind::ResourceBusy && path.is_file() {
        let copied = std::fs::copy(kept.file.path(), path).and_then(|_| File::open(path)?.sync_all());
        return copied.map_err(|e| Error::file(path, format!("cannot be written: {e}")));
    }
    // Whole as it is, it is not thrown away.
    let said = format!("cannot be created: {}", kept.error);
    match kept.file.keep() {
        Ok((_, left)) => Err(Error::file(path, format!("{said}; it is whole, and kept as {}", left.display()))),
        Err(_) => Err(Error::file(path, said)),
    }
}

/// Refuses a place that a new file cannot have: a directory, a device, or one in no directory.
pub fn check_file(path: &Path) -> Result<()> {
    if path.file_name().is_none() || !parent(path).is_dir() {
        return Err(Error::file(path, "is in no directory, expected the name of a new file"));
    }
    match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => Err(Error::file(path, "is a directory, expected the name of a file")),
        Ok(about) if !about.is_file() => Err(Error::file(path, "is no regular file, expected the name of one")),
        _ => Ok(()),
    }
}

/// Refuses a place for a new file or directory whose file system has less than `bytes` left, as far as the system tells.
pub fn check_room(path: &Path, bytes: u64) -> Result<()> {
    let place = if path.is_dir() { path } else { parent(path) };
    match free(place) {
        Some(free) if free < bytes => {
            let said = format!("about {bytes} bytes will be written, its file system has {free} left");
            Err(Error::file(path, format!("{said}: no space left on device")))
        }
        _ => Ok(()),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes that this user may still write to the file system of a directory.
#[cfg(unix)]
fn free(place: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(place).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
