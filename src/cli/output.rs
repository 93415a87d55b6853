//! How a verb reports, the same for all of them: text for people, one JSON document (`--json`), or nothing (`--quiet`).
//! In: both forms of the report. Out: standard output; the progress bar goes to standard error. Keys: docs/FORMATS.md.
use super::text::show;
use crate::error::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::time::Duration;

/// Version of the documents' layout; changes when a key's meaning does or a key goes.
pub const SCHEMA: u32 = 3;

/// What `vorticity --help` says about it, once for all verbs.
pub const HELP: &str = "\
Every verb that measures or lists takes --json, which prints one JSON document to standard output and nothing else \
there (keys: docs/FORMATS.md), and --quiet, which shows neither table nor progress, only errors. Files are written all \
the same.";

/// How a verb reports.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Print one JSON document to standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
    /// No table and no progress bar, only errors; files are written all the same
    #[arg(long)]
    pub quiet: bool,
}

impl Output {
    /// Something for people to read.
    pub fn say(&self, text: &str) -> Result<()> {
        if self.json || self.quiet { Ok(()) } else { show(text) }
    }

    /// The document of a verb, a JSON object, if that was asked for. Numbers that are not finite become null.
    pub fn document(&self, verb: &str, report: impl FnOnce() -> Value) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut document = json!({ "schema": SCHEMA, "verb": verb });
        if let (Value::Object(document), Value::Object(report)) = (&mut document, report()) {
            document.extend(report);
        }
        show(&format!("{document:#}\n"))
    }

    /// A bar over so many evaluations; its message, rate and time left, is the caller's.
    pub fn progress(&self, total: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        let style = "{bar:30} {percent:>3}%  {msg}, {elapsed} elapsed";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }
}
