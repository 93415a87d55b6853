//! Where a run is kept until it is whole: in `OUT.partial` beside OUT, which one rename makes OUT; or in OUT itself where OUT
//! is a directory that nothing can be renamed onto, a mount point or one in a directory that may not be written.
//! In: OUT. Out: that place, made; and the moves that make the run appear.
use crate::data;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What OUT's own name is followed by.
const PARTIAL: &str = ".partial";
/// The unfinished run within OUT.
const INSIDE: &str = ".vorticity.partial";
/// What a file system keeps in its root for itself.
const LOST: &str = "lost+found";
/// Bytes of a file's name, at most, on most file systems.
const LONGEST: usize = 255;
/// File of a run directory that appears last: who finds it finds the others.
const LAST: &str = "manifest.json";

/// Where a run is until it is whole.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory of the unfinished run.
    pub partial: PathBuf,
    /// The directory that `partial` and OUT, or what will be in OUT, lie in.
    pub parent: PathBuf,
    /// True if `partial` lies in OUT.
    pub inside: bool,
}

impl Place {
    /// The place for a run that is to be `out`, made if it is not there.
    ///
    /// # Errors
    /// `out` has no name of its own or is taken, or nothing can be made there.
    pub fn make(out: &Path) -> Result<Self> {
        let Some(name) = out.file_name() else {
            return Err(Error::file(out, "does not end in a name, expected a new directory"));
        };
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let within = Self { partial: out.join(INSIDE), parent: out.to_path_buf(), inside: true };
        let there = fs::symlink_metadata(out).is_ok_and(|about| about.is_dir());
        let place = if there && is_mount(out) {
            within
        } else {
            let beside = Self { partial: parent.join(partial_name(name)), parent, inside: false };
            beside.check_free(out)?;
            match fs::create_dir(&beside.partial) {
                Err(e) if there && [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem].contains(&e.kind()) => {
                    within
                }
                made => {
                    beside.made(made)?;
                    return Ok(beside);
                }
            }
        };
        place.check_free(out)?;
        place.made(fs::create_dir(&place.partial))?;
        Ok(place)
    }

    fn made(&self, made: std::io::Result<()>) -> Result<()> {
        match made {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                Err(Error::file(&self.parent, format!("no directory can be made here: {e}")))
            }
            _ => Ok(()),
        }
    }

    /// A place for a run is nothing at all or an empty directory; the unfinished run itself is in nobody's way.
    pub fn check_free(&self, out: &Path) -> Result<()> {
        let ignored: &[&str] = if self.inside { &[INSIDE, LOST] } else { &[] };
        check_free(out, ignored)
    }

    /// Makes what is in `finished`, a directory in `partial`, appear as `out`.
    pub fn publish(&self, finished: &Path, out: &Path) -> Result<()> {
        self.check_free(out)?;
        let fail = |e: std::io::Error| Error::file(out, format!("cannot be created: {e}"));
        if !self.inside {
            // Renaming onto an empty directory works on Unix only.
            if cfg!(windows) && out.is_dir() {
                fs::remove_dir(out).map_err(|e| Error::file(out, format!("cannot be replaced: {e}")))?;
            }
            return fs::rename(finished, out).map_err(fail);
        }
        let mut names: Vec<OsString> = vec![];
        for entry in fs::read_dir(finished).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort_by_key(|name| name == LAST);
        names.iter().try_for_each(|name| fs::rename(finished.join(name), out.join(name))).map_err(fail)
    }
}

/// Nothing at all, or a directory that holds nothing but `ignored`.
pub(super) fn check_free(out: &Path, ignored: &[&str]) -> Result<()> {
    let about = match fs::symlink_metadata(out) {
        Ok(about) => about,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::file(out, format!("cannot be looked at: {e}"))),
    };
    if !about.is_dir() {
        let kind = if about.is_symlink() { "a symbolic link" } else { "a file" };
        return Err(Error::file(out, format!("is {kind}, expected a new or empty directory")));
    }
    let fail = |e: std::io::Error| Error::file(out, format!("cannot be listed: {e}"));
    for entry in fs::read_dir(out).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        if !ignored.iter().any(|known| name == *known) {
            return Err(Error::file(out, "is a directory with files in it, expected a new or empty one"));
        }
    }
    Ok(())
}

/// `name.partial`, or where that is too long for a file system the name's beginning and its checksum's.
fn partial_name(name: &std::ffi::OsStr) -> OsString {
    let mut partial = name.to_os_string();
    partial.push(PARTIAL);
    if partial.len() <= LONGEST {
        return partial;
    }
    let sum = &data::sha256_bytes(name.as_encoded_bytes())[..8];
    let mut begin = String::new();
    for c in name.to_string_lossy().chars() {
        if begin.len() + c.len_utf8() + sum.len() + 1 + PARTIAL.len() > LONGEST {
            break;
        }
        begin.push(c);
    }
    format!("{begin}-{sum}{PARTIAL}").into()
}

/// True if another file system, or another part of one, is mounted at this directory.
fn is_mount(directory: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        if let Ok(about) = statx(CWD, directory, AtFlags::empty(), StatxFlags::empty())
            && about.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        {
            return about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
        device(directory) != device(&directory.join(".."))
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_have_a_place() {
        assert_eq!(partial_name("run".as_ref()), "run.partial");
        let long = "é".repeat(127);
        let partial = partial_name(long.as_ref());
        assert!(partial.len() <= LONGEST && partial.to_string_lossy().ends_with(PARTIAL), "{partial:?}");
        assert_ne!(partial, partial_name(format!("{}e", "é".repeat(126)).as_ref()));
    }
    /// What a mount point gets: the files one by one, into a directory that has what a file system keeps in its root.
    #[test]
    fn a_run_can_appear_inside_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let place = Place { partial: out.join(INSIDE), parent: out.clone(), inside: true };
        let finished = place.partial.join("run");
        fs::create_dir_all(finished.join("plots")).unwrap();
        fs::create_dir(out.join(LOST)).unwrap();
        for name in [LAST, "circulation.csv", "plots/a.svg"] {
            fs::write(finished.join(name), name).unwrap();
        }
        place.publish(&finished, &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("plots/a.svg")).unwrap(), "plots/a.svg");
        assert!(out.join(LAST).is_file() && out.join("circulation.csv").is_file());
        let error = place.publish(&finished, &out).unwrap_err().to_string();
        assert!(error.contains("is a directory with files in it"), "{error}");
        assert!(!is_mount(&out) && is_mount(Path::new("/")), "the root is mounted, a folder in a folder is not");
    }
}
