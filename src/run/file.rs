//! Files that appear whole or not at all: written under a temporary name beside their place, then renamed. In: a path.
//! Out: an open file, with the permissions that any new file of the user has.
use crate::error::{Error, Result};
use std::path::Path;
use tempfile::{Builder, NamedTempFile};

/// Bytes of a name to which more can be added: 255 is the most that file systems take.
const LONGEST: usize = 200;

/// A new file that `persist` moves to `path`; dropped before, it leaves nothing. A process that is killed leaves it under a
/// name that says what it is: that of `path`, and `.partial` at its end.
pub fn beside(path: &Path) -> Result<NamedTempFile> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
