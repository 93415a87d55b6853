//! A finished run as a directory: it appears whole under its name, or not at all.
//! In: results, a manifest, a log, plots. Out: `OUT/` with MEASURE`.csv`, MEASURE`.npz`, `manifest.json`, `run_log.json` and
//! `plots/`. Layout: docs/FORMATS.md.
mod circulation;
mod csv;
mod exported;
mod manifest;
mod npz;
pub mod schema;
mod table;

pub use circulation::{Circulation, Column, Loops};
pub use exported::{ExportedFile, ExportedLoops, LoopAxes};
pub use npz::write_arrays;
pub use table::{About, Array, Labels, Numbers, Table, TableAxis, TableColumn};

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use tempfile::TempDir;

/// A run directory under construction, in a hidden sibling of its final place.
#[derive(Debug)]
pub struct RunDir {
    out: PathBuf,
    parent: PathBuf,
    temporary: TempDir,
}

impl RunDir {
    /// Fails early: `out` must not exist or be an empty directory, and its parent must be writable.
    pub fn create(out: &Path) -> Result<RunDir> {
        let Some(name) = out.file_name() else {
            return Err(Error::file(out, "does not end in a name, expected a new directory"));
        };
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        check_free(out)?;
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{}.partial-", name.to_string_lossy()))
            .tempdir_in(&parent)
            .map_err(|e| Error::file(&parent, format!("no directory can be made here: {}", cause(&e))))?;
        Ok(RunDir { out: out.to_path_buf(), parent, temporary })
    }

    /// Where it lies until it is finished: paths from here lead to the same places then.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Writes one file, `name` relative to the run directory with '/' between its parts, and syncs it to disk.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let relative = Path::new(name);
        if name.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(Error::invalid("run directory", format!("'{name}' is not a name inside it")));
        }
        let path = self.temporary.path().join(relative);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| Error::file(self.out.join(relative), format!("cannot be written: {e}")))
    }

    /// Moves the directory to its place. If that place was taken meanwhile, the error says where the run was kept.
    pub fn finish(self) -> Result<()> {
        let RunDir { out, parent, temporary } = self;
        let finished = temporary.keep(); // from here on a failure must not throw a whole run away
        let synced = sync_tree(&finished).map_err(|e| Error::file(&finished, format!("cannot be synced: {e}")));
        let moved = synced.and_then(|()| check_free(&out)).and_then(|()| {
            // Renaming onto an empty directory works on Unix only.
            if cfg!(windows) && out.is_dir() {
                fs::remove_dir(&out).map_err(|e| Error::file(&out, format!("cannot be replaced: {e}")))?;
            }
            fs::rename(&finished, &out).map_err(|e| Error::file(&out, format!("cannot be created: {e}")))
        });
        if let Err(e) = moved {
            let kept = format!("the run is complete but could not be moved into place ({e}); it is kept here");
            return Err(Error::file(&finished, kept));
        }
        sync_dir(&parent).map_err(|e| Error::file(&parent, format!("cannot be synced: {e}")))
    }
}

/// Writes the data files, the manifest with their checksums, and the log of volatile facts.
pub fn write_table(dir: &RunDir, table: &Table, manifest: serde_json::Value, log: serde_json::Value) -> Result<()> {
    table.check()?;
    let name = |kind: &str| format!("{}.{kind}", table.measure);
    let files = [(name("csv"), csv::bytes(table)?), (name("npz"), npz::bytes(table)?)];
    let manifest = manifest::bytes(manifest, table, &files)?;
    let log = manifest::pretty("run_log.json", &log)?;
    for (name, bytes) in &files {
        dir.write(name, bytes)?;
    }
    dir.write("manifest.json", &manifest)?;
    dir.write("run_log.json", &log)
}

/// `write_table` of circulation results.
pub fn write_circulation(
    dir: &RunDir,
    data: &Circulation,
    manifest: serde_json::Value,
    log: serde_json::Value,
) -> Result<()> {
    write_table(dir, &data.loops()?.table(), manifest, log)
}

/// A place for a run directory is nothing at all or an empty directory.
fn check_free(out: &Path) -> Result<()> {
    let about = match fs::symlink_metadata(out) {
        Ok(about) => about,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::file(out, format!("cannot be looked at: {e}"))),
    };
    if !about.is_dir() {
        let kind = if about.is_symlink() { "a symbolic link" } else { "a file" };
        return Err(Error::file(out, format!("is {kind}, expected a new or empty directory")));
    }
    let mut entries = fs::read_dir(out).map_err(|e| Error::file(out, format!("cannot be listed: {e}")))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::file(out, "is a directory with files in it, expected a new or empty one")),
    }
}

/// `tempfile` repeats the path in its messages; the kind is enough beside ours.
fn cause(e: &std::io::Error) -> String {
    e.kind().to_string()
}

fn sync_tree(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_dir(dir)
}

/// Makes a directory's entries durable; only Unix can open a directory for that.
fn sync_dir(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
