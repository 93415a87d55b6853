//! Files that appear whole or not at all: written under a temporary name beside their place, then renamed. In: a path.
//! Out: an open file, with the permissions that any new file of the user has.
use crate::error::{Error, Result};
use std::path::Path;
use tempfile::{Builder, NamedTempFile};

/// A new file that `persist` moves to `path`; dropped before, it leaves nothing.
pub fn beside(path: &Path) -> Result<NamedTempFile> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less what the umask takes
    builder.tempfile_in(parent).map_err(|e| Error::file(path, e.kind()))
}
