//! A run as a directory: it appears whole under its name, or not at all; until then what was measured is kept beside it.
//! In: a configuration, results, a manifest, a log, plots. Out: while it is unfinished `OUT.partial/` with the journal
//! (or where `place` puts it), then `OUT/` with MEASURE`.csv`, MEASURE`.npz`, `manifest.json`, `run_log.json` and `plots/`.
//! Layout: docs/FORMATS.md.
mod csv;
mod difference;
mod exported;
mod file;
mod journal;
mod manifest;
mod measure;
mod merge;
mod npz;
mod parameters;
mod part;
mod place;
mod progress;
mod rules;
mod shard;
mod stream;
mod table;
mod task;
mod verdict;

pub(crate) use difference::difference;
pub use exported::{ExportedFile, LoopAxes, LoopLayout, LoopRun, LoopWriter, MOST_REPEATED};
pub use file::{beside, check_file, check_room, place, write_file};
pub use journal::Journal;
pub use measure::{
    Axis, Claim, END, Figure, Maps, Matrices, MeanOf, Measure, MeasureInfo, PATH, PLANE, Pairs, Pictures, SAMPLE,
    SEVERAL, TIMESTEP, Taken,
};
pub use merge::{Merged, merge};
pub use parameters::{Kind, Parameter, SAMPLES, SEED, Setting, Settings, TIMESTEPS, parse_timesteps};
pub use part::{Part, PartArray};
pub use progress::Progress;
pub(crate) use progress::{Whose, worst, wrong};
pub use rules::{Applied, At, Errors, Rule};
pub use shard::Shard;
pub use stream::{NpzStream, Promised, npz_bytes, write_arrays};
pub use table::{About, Array, Labels, Numbers, SCHEMA, SIGMA, Table, TableAxis, TableColumn};
pub use task::{Cost, Measured, Ready, Subject, Task};
pub use verdict::{CLEAR, VERDICT, Verdict, verdicts};

use crate::error::{Error, Result};
use place::{Place, check_free};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// In the directory of an unfinished run: the journal, and the run directory as it is written.
const JOURNAL: &str = "journal";
const RUN: &str = "run";

/// How long another process may hold the journal before this one gives up.
const PATIENCE: Duration = Duration::from_secs(2);

/// A run directory under construction, in `OUT.partial` or, where OUT cannot be replaced, within OUT; one process at a time
/// may have it. Dropped unfinished, it stays if its journal has records, and else leaves nothing behind.
#[derive(Debug)]
pub struct RunDir {
    out: PathBuf,
    place: Place,
    /// Locked as long as it is open.
    journal: Option<File>,
    /// Length of a journal without records.
    empty: u64,
    finished: bool,
}

impl RunDir {
    /// Fails early: `out` must not exist or be an empty directory, and it or its parent must be writable. The directory of
    /// the unfinished run is made, or taken over from a process that ended.
    pub fn create(out: &Path) -> Result<RunDir> {
        let place = Place::make(out)?;
        let path = place.partial.join(JOURNAL);
        if !path.is_file() && check_free(&place.partial, &[]).is_err() {
            let said = "is in the way: it is not the directory of an unfinished run, which has a journal";
            return Err(Error::file(&place.partial, said));
        }
        let fail = |e: std::io::Error| Error::file(&path, format!("cannot be opened: {e}"));
        let journal = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let journal = journal.map_err(fail)?;
        lock(&journal, &path)?;
        let dir = RunDir { out: out.into(), place, journal: Some(journal), empty: 0, finished: false };
        // What a process was writing when it ended is written again.
        match fs::remove_dir_all(dir.finished_at()) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(Error::file(dir.finished_at(), format!("cannot be removed: {e}")))
            }
            _ => Ok(dir),
        }
    }

    /// The run directory as it is written.
    fn finished_at(&self) -> PathBuf {
        self.place.partial.join(RUN)
    }

    /// `create`, for what has no journal: the directory of an unfinished run is refused and stays as it is.
    pub fn fresh(out: &Path) -> Result<RunDir> {
        let dir = Self::create(out)?;
        match dir.kept() {
            Some(place) => {
                let said =
                    "holds an unfinished run, whose own command goes on from there: remove it or name another --out";
                Err(Error::file(place, said))
            }
            None => Ok(dir),
        }
    }

    /// The journal of this configuration, with what earlier processes recorded; another configuration's is refused.
    pub fn journal(&mut self, configuration: &serde_json::Value) -> Result<Journal> {
        let place = self.place.partial.join(JOURNAL);
        let Some(file) = &self.journal else { return Err(Error::file(place, "is closed")) };
        let fail = |e: std::io::Error| Error::file(&place, format!("cannot be read: {e}"));
        let journal = Journal::open(&place, file.try_clone().map_err(fail)?, configuration)?;
        if !journal.has_records() {
            self.empty = file.metadata().map_err(fail)?.len();
        }
        Ok(journal)
    }

    /// Refuses to begin where the file system has less than `bytes` left.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        check_room(&self.place.partial, bytes)
    }

    /// Where records are kept, if there are any.
    pub fn kept(&self) -> Option<&Path> {
        // Where nobody can say, it is not thrown away.
        let length = self.journal.as_ref().map_or(0, |f| f.metadata().map_or(u64::MAX, |about| about.len()));
        (length > self.empty).then_some(self.place.partial.as_path())
    }

    /// A directory beside the one to come, or itself: paths from here that begin with `..` lead where they will lead from
    /// there.
    pub fn path(&self) -> &Path {
        if self.place.inside { &self.out } else { &self.place.partial }
    }

    /// Writes one file, `name` relative to the run directory with '/' between its parts, and syncs it to disk.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let relative = Path::new(name);
        if name.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(Error::invalid("run directory", format!("'{name}' is not a name inside it")));
        }
        let path = self.finished_at().join(relative);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| Error::file(self.out.join(relative), format!("cannot be written: {e}")))
    }

    /// Moves the directory to its place. If that place was taken meanwhile, the error says where the run was kept.
    pub fn finish(mut self) -> Result<()> {
        self.finished = true; // from here on a failure must not throw a whole run away
        let (out, finished) = (&self.out, self.finished_at());
        let synced = sync_tree(&finished).map_err(|e| Error::file(&finished, format!("cannot be synced: {e}")));
        if let Err(e) = synced.and_then(|()| self.place.publish(&finished, out)) {
            let kept = format!("the run is complete but could not be moved into place ({e}); it is kept here");
            return Err(Error::file(&finished, kept));
        }
        let Place { parent, partial, .. } = &self.place;
        sync_dir(parent).map_err(|e| Error::file(parent, format!("cannot be synced: {e}")))?;
        self.journal = None;
        let said = |e: std::io::Error| format!("cannot be removed: {e}; the run itself is complete");
        fs::remove_dir_all(partial).map_err(|e| Error::file(partial, said(e)))
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.finished && self.kept().is_none() {
            self.journal = None; // Windows removes no open files
            let _ = fs::remove_dir_all(&self.place.partial); // what stays of it is in nobody's way: the next run takes it over
        }
    }
}

/// The data files of a table, by their names.
fn table_files(table: &Table) -> Result<[(String, Vec<u8>); 2]> {
    table.check()?;
    let name = |kind: &str| format!("{}.{kind}", table.measure);
    Ok([(name("csv"), csv::bytes(table)?), (name("npz"), npz::bytes(table)?)])
}

/// The bytes of the manifest that `write_table` writes.
pub fn table_manifest(table: &Table, manifest: &serde_json::Value) -> Result<Vec<u8>> {
    manifest::bytes(manifest.clone(), table, &table_files(table)?)
}

/// Writes the data files, the manifest with their checksums, and the log of volatile facts.
pub fn write_table(dir: &RunDir, table: &Table, manifest: serde_json::Value, log: serde_json::Value) -> Result<()> {
    let files = table_files(table)?;
    let manifest = manifest::bytes(manifest, table, &files)?;
    let log = manifest::pretty("run_log.json", &log)?;
    for (name, bytes) in &files {
        dir.write(name, bytes)?;
    }
    dir.write("manifest.json", &manifest)?;
    dir.write("run_log.json", &log)
}

/// Locks the journal as long as it is open. A process that was killed may take a moment until it lets go.
fn lock(journal: &File, place: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match journal.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 40),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::file(place, "is in use: another process is at work on this run"));
            }
            // Some file systems have no locks; two processes at once are then the user's to avoid.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(e)) => return Err(Error::file(place, format!("cannot be locked: {e}"))),
        }
    }
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
