//! One stage of a check: run, or read back where it is done already. In: a session, a stage, the directory of the check. Out: its
//! table, as the run's own directory has it.
use super::stages::Stage;
use crate::error::Result;
use crate::report::stored;
use crate::run::{RunDir, Table};
use crate::session::{Finished, Found, How, Prepared, Session};
use std::path::Path;

/// What came of a stage.
pub enum Staged {
    /// An earlier process finished it.
    Before(Box<Table>),
    /// This one did.
    Now(Box<Finished>),
}

impl Staged {
    /// Its table.
    ///
    /// # Errors
    /// A part of the samples.
    pub fn table(self) -> Result<Table> {
        match self {
            Staged::Before(table) => Ok(*table),
            Staged::Now(finished) => match finished.found {
                Found::Table(table) => Ok(table),
                Found::Shard(part) => part.finish(),
            },
        }
    }
}

/// Runs a stage in its own directory within `out`, or without one; `run` is told what is ready and runs it under watch. A stage
/// that is there is read and not run.
///
/// # Errors
/// What stands against the run or against reading it back.
pub fn measure(
    session: &Session,
    stage: &Stage,
    out: Option<&Path>,
    command: Vec<String>,
    run: impl FnOnce(&mut Prepared) -> Result<Finished>,
) -> Result<Staged> {
    let own = out.map(|out| out.join(&stage.name));
    if let Some(own) = own.as_ref().filter(|own| own.join("manifest.json").is_file()) {
        return Ok(Staged::Before(Box::new(stored::read(own)?.table)));
    }
    let task = session.task(&stage.settings()?)?;
    let out = own.map(|own| RunDir::create(&own)).transpose()?;
    let mut prepared = session.prepare(task.as_ref(), How { out, command, ..How::default() })?;
    Ok(Staged::Now(Box::new(run(&mut prepared)?)))
}
