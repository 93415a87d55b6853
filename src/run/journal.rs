//! The journal of an unfinished run: what was measured, record after record, so that the same command goes on where the
//! last one ended. In: a configuration, then records in the order of work. Out: the same records, as far as they are whole.
//! Append-only; each record ends with the first bytes of the SHA-256 of the whole file before it. Layout: docs/FORMATS.md.
use super::difference::difference;
use crate::error::{Error, Result};
use bytemuck::Pod;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a journal begins.
const MAGIC: &[u8] = b"vorticity journal 3\n";
/// Stage of the first record, the configuration.
const CONFIGURATION: u64 = u64::MAX;
/// Stage of what a process says of itself, before the first record of its own.
const PROCESS: u64 = u64::MAX - 1;
/// Bytes of a record's head and of its checksum.
const HEAD: usize = 40;
const CHECKSUM: usize = 8;
/// Records are written at once, so that the end of the process loses none of them; they are forced to the disk this
/// often, which is what a power cut may cost.
const SYNC: Duration = Duration::from_secs(2);

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// The sweep or the like, in order of work.
    stage: u64,
    /// Number of the first point in the stage, and how many there are.
    first: u64,
    count: u64,
    /// Evaluations that it took.
    lanes: u64,
    /// Of the values.
    bytes: u64,
}

impl Head {
    fn read(reader: &mut impl Read) -> std::io::Result<Self> {
        let mut bytes = [0; HEAD];
        reader.read_exact(&mut bytes)?;
        let mut words = bytes.chunks_exact(8).map(|w| u64::from_le_bytes(std::array::from_fn(|i| w[i])));
        let [stage, first, count, lanes, bytes] = std::array::from_fn(|_| words.next().unwrap_or_default());
        Ok(Head { stage, first, count, lanes, bytes })
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.stage, self.first, self.count, self.lanes, self.bytes].iter().flat_map(|w| w.to_le_bytes()).collect()
    }
}

/// A journal, open; one that keeps nothing is `Journal::default()`.
#[derive(Debug, Default)]
pub struct Journal {
    path: PathBuf,
    /// None if nothing is kept.
    file: Option<File>,
    /// Reads the records that were there before, as long as there are any; the next one's head has been read.
    before: Option<(Head, BufReader<File>)>,
    /// Records that `before` still has.
    left: u64,
    /// Of everything that is written.
    hash: Sha256,
    synced: Option<Instant>,
    recorded: u64,
    dropped: u64,
    /// What earlier processes said of themselves, and the evaluations that each recorded.
    processes: Vec<(Value, u64)>,
    /// What this one says, until it has recorded something.
    own: Option<Value>,
}

impl Journal {
    /// Reads what is there, drops what is torn or damaged and all that follows it, and begins a journal where there is
    /// none. One of another configuration is refused, and the difference named.
    pub(super) fn open(path: &Path, mut file: File, configuration: &Value) -> Result<Self> {
        let fail = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
        let length = file.metadata().map_err(fail)?.len();
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        let mut journal = Journal { path: path.to_path_buf(), synced: Some(Instant::now()), ..Journal::default() };
        let mut reader = BufReader::new(file);
        let mut magic = vec![];
        reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(fail)?;
        if !MAGIC.starts_with(&magic) {
            return Err(Error::file(path, "is no journal of this version of vorticity"));
        }
        // Where the whole records end, and where the first one after the configuration begins.
        let (mut end, mut begin, mut other) = (0, 0, None);
        if magic == MAGIC {
            let mut hash = Sha256::new_with_prefix(MAGIC);
            let mut at = MAGIC.len() as u64;
            while let Some((head, values)) = whole(&mut reader, &mut hash, length - at).map_err(fail)? {
                at += (HEAD + CHECKSUM) as u64 + head.bytes;
                if end == 0 {
                    if head.stage != CONFIGURATION {
                        return Err(Error::file(path, "does not begin with a configuration"));
                    }
                    let found: Value = serde_json::from_slice(&values).map_err(|e| Error::file(path, e))?;
                    other = difference(&found, configuration);
                    begin = at;
                } else if head.stage == PROCESS {
                    let process = serde_json::from_slice(&values).map_err(|e| Error::file(path, e))?;
                    journal.processes.push((process, 0));
                } else {
                    journal.left += 1;
                    if let Some((_, lanes)) = journal.processes.last_mut() {
                        *lanes = lanes.saturating_add(head.lanes);
                    }
                    let recorded = journal.recorded.checked_add(head.lanes).filter(|n| *n <= i64::MAX as u64);
                    journal.recorded =
                        recorded.ok_or_else(|| Error::file(path, "counts more evaluations than there are"))?;
                }
                (end, journal.hash) = (at, hash.clone());
            }
        }
        if let Some(difference) = other {
            if journal.left > 0 {
                let said = format!("belongs to another run: {difference}. Remove it or name another --out");
                return Err(Error::file(path, said));
            }
            // Another run that ended before it had measured anything.
            (end, journal.hash) = (0, Sha256::default());
            journal.processes.clear();
        }
        let mut file = reader.into_inner();
        file.set_len(end).map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        journal.dropped = length - end;
        let next = if journal.left > 0 { begin } else { end };
        file.seek(SeekFrom::Start(next)).map_err(fail)?;
        if journal.left > 0 {
            // Handles of one file share its position: records are read first, and only then written.
            let mut before = BufReader::new(file.try_clone().map_err(fail)?);
            journal.before = Some((measured(&mut before).map_err(fail)?, before));
        }
        journal.file = Some(file);
        if end == 0 {
            let text = serde_json::to_vec(configuration).map_err(|e| Error::file(path, e))?;
            journal.raw(MAGIC)?;
            journal.write(CONFIGURATION, 0, 0, 0, &text)?;
            journal.sync()?;
        }
        Ok(journal)
    }

    /// What this process says of itself, a JSON object, which is recorded before the first record of its own.
    pub fn begin(&mut self, process: Value) {
        self.own = Some(process);
    }

    /// What earlier processes said of themselves, and the evaluations that each recorded.
    pub fn processes(&self) -> &[(Value, u64)] {
        &self.processes
    }

    /// Evaluations that earlier processes have recorded.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Whether earlier processes have recorded anything.
    pub fn has_records(&self) -> bool {
        self.left > 0
    }

    /// Bytes of torn or damaged records that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next record of an earlier process: count, evaluations and values; none if it is of another stage, or if there
    /// are no more. It must begin with the point `first`, as the order of work is always the same.
    pub fn next<T: Pod>(&mut self, stage: u64, first: u64) -> Result<Option<(u64, u64, Vec<T>)>> {
        match &self.before {
            Some((head, _)) if head.stage == stage && head.first != first => {
                let found = format!("holds point {} of stage {stage} where point {first} was expected", head.first);
                Err(Error::file(&self.path, found))
            }
            _ => Ok(self.next_of_any(stage)?.map(|(_, count, lanes, values)| (count, lanes, values))),
        }
    }

    /// `next` of a stage whose records come in any order: its first point besides.
    pub(super) fn next_of_any<T: Pod>(&mut self, stage: u64) -> Result<Option<(u64, u64, u64, Vec<T>)>> {
        let (head, before) = match &mut self.before {
            Some((head, before)) if head.stage == stage => (head, before),
            _ => return Ok(None),
        };
        if !head.bytes.is_multiple_of(size_of::<T>() as u64) {
            let found = format!("holds {} bytes of point {}, no whole numbers", head.bytes, head.first);
            return Err(Error::file(&self.path, found));
        }
        let fail = |e: std::io::Error| Error::file(&self.path, format!("cannot be read: {e}"));
        let mut values = vec![0; head.bytes as usize];
        before.read_exact(&mut values).map_err(fail)?;
        before.read_exact(&mut [0; CHECKSUM]).map_err(fail)?;
        let found = (head.first, head.count, head.lanes, bytemuck::pod_collect_to_vec(&values));
        self.left -= 1;
        if self.left > 0 {
            *head = measured(before).map_err(fail)?;
        } else {
            self.before = None;
            if let Some(file) = &mut self.file {
                file.seek(SeekFrom::End(0)).map_err(fail)?;
            }
        }
        Ok(Some(found))
    }

    /// Records points that took so many evaluations; they must come in the order of work.
    pub fn append<T: Pod>(&mut self, stage: u64, first: u64, count: u64, lanes: u64, values: &[T]) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        if self.left > 0 {
            let found = format!("holds {} records that no point of this run belongs to", self.left);
            return Err(Error::file(&self.path, found));
        }
        if let Some(process) = self.own.take() {
            let text = serde_json::to_vec(&process).map_err(|e| Error::file(&self.path, e))?;
            self.write(PROCESS, 0, 0, 0, &text)?;
        }
        self.write(stage, first, count, lanes, bytemuck::cast_slice(values))?;
        match self.synced {
            Some(last) if last.elapsed() < SYNC => Ok(()),
            _ => self.sync(),
        }
    }

    fn write(&mut self, stage: u64, first: u64, count: u64, lanes: u64, values: &[u8]) -> Result<()> {
        let mut record = Head { stage, first, count, lanes, bytes: values.len() as u64 }.to_bytes();
        record.extend_from_slice(values);
        record.extend_from_slice(&checksum(self.hash.clone().chain_update(&record)));
        self.raw(&record)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(|e| Error::file(&self.path, format!("cannot be written: {e}")))
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = Some(Instant::now());
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().map_err(|e| Error::file(&self.path, format!("cannot be synced: {e}")))
    }
}

fn checksum(hash: Sha256) -> [u8; CHECKSUM] {
    let digest = hash.finalize();
    std::array::from_fn(|i| digest[i])
}

/// The head of the next record of what was measured; what processes say of themselves is passed over.
fn measured(reader: &mut (impl Read + Seek)) -> std::io::Result<Head> {
    loop {
        let head = Head::read(reader)?;
        if head.stage != PROCESS {
            return Ok(head);
        }
        reader.seek(SeekFrom::Current((head.bytes + CHECKSUM as u64) as i64))?;
    }
}

/// The next record, if it is whole, and `hash` moved past it. `left` bytes remain in the file.
fn whole(reader: &mut impl Read, hash: &mut Sha256, left: u64) -> std::io::Result<Option<(Head, Vec<u8>)>> {
    let frame = (HEAD + CHECKSUM) as u64;
    if left < frame {
        return Ok(None);
    }
    let head = Head::read(reader)?;
    if head.bytes > left - frame {
        return Ok(None);
    }
    let (mut values, mut sum) = (vec![0; head.bytes as usize], [0; CHECKSUM]);
    reader.read_exact(&mut values)?;
    reader.read_exact(&mut sum)?;
    hash.update(head.to_bytes());
    hash.update(&values);
    let right = checksum(hash.clone()) == sum;
    hash.update(sum);
    Ok(right.then_some((head, values)))
}
