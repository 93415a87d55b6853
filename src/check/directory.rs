//! The directory of a check: the plan, a run directory for every stage, the verdict, the page. In: a path. Out: what is there already;
//! files that appear whole.
use super::plan::{PLAN, Plan};
use super::verdict::Found;
use crate::error::{Error, Result};
use crate::run::write_file;
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Beside the plan and the runs.
const VERDICT: &str = "verdict.json";
const PAGE: &str = "page.html";
/// Version of `verdict.json`'s layout.
const SCHEMA: u32 = 1;

/// Such a directory, which may still have to be made.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A new one, an empty one, or that of a check that has begun.
    ///
    /// # Errors
    /// One with anything else in it.
    pub fn of(path: &Path) -> Result<Self> {
        let directory = Directory(path.into());
        if directory.plan().is_some() {
            return Ok(directory);
        }
        let others = match fs::read_dir(path) {
            Ok(entries) => entries.count(),
            Err(e) if e.kind() == ErrorKind::NotFound => 0,
            Err(e) => return Err(Error::file(path, format!("cannot be read: {e}"))),
        };
        match others {
            0 => Ok(directory),
            _ => {
                let said = format!("is not empty and has no {PLAN}: name a new directory, or that of a check");
                Err(Error::file(path, said))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The plan of a check that has begun.
    pub fn plan(&self) -> Option<PathBuf> {
        Some(self.0.join(PLAN)).filter(|plan| plan.is_file())
    }

    /// The page.
    pub fn page(&self) -> PathBuf {
        self.0.join(PAGE)
    }

    /// Makes the directory and writes the plan down, unless it is there.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn begin(&self, plan: &Plan) -> Result<()> {
        if self.plan().is_some() {
            return Ok(());
        }
        fs::create_dir_all(&self.0).map_err(|e| Error::file(&self.0, format!("cannot be created: {e}")))?;
        write_file(&self.0.join(PLAN), &plan.bytes()?)
    }

    /// Writes the verdict for programs, and the page, on which the field is called `name`.
    ///
    /// # Errors
    /// What cannot be written; stages that cannot be read back.
    pub fn end(&self, name: &str, plan: &Plan, found: &Found) -> Result<()> {
        let mut verdict = json!({ "schema": SCHEMA, "program": plan.program, "left_out": plan.left_out });
        if let (Some(verdict), Some(own)) = (verdict.as_object_mut(), found.json().as_object()) {
            verdict.extend(own.clone());
        }
        write_file(&self.0.join(VERDICT), format!("{verdict:#}\n").as_bytes())?;
        self.drawn(name, plan, found)
    }

    #[cfg(feature = "cli")]
    fn drawn(&self, name: &str, plan: &Plan, found: &Found) -> Result<()> {
        use crate::report::{page, stored};
        let label = |stage: &str| if stage == "brownian" { format!("{name}, brownian") } else { name.to_string() };
        let run = |stage: &super::stages::Stage| Ok((label(&stage.name), stored::read(&self.0.join(&stage.name))?));
        let runs = plan.stages.iter().map(run).collect::<Result<Vec<_>>>()?;
        let title = format!("Is {name} a gradient?");
        write_file(&self.page(), page::with_verdict(&title, &found.sentences, &runs, &[])?.as_bytes())
    }

    /// Without the command line's crates there is nothing that draws.
    #[cfg(not(feature = "cli"))]
    fn drawn(&self, _: &str, _: &Plan, _: &Found) -> Result<()> {
        Ok(())
    }
}
