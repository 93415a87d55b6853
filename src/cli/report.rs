//! `vorticity report`: one HTML page from run directories.
use super::output::Output;
use crate::error::{Error, Result};
use crate::report::page::{self, Picture};
use crate::report::stored;
use crate::run::{check_file, write_file};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Put finished runs on one HTML page that needs nothing else: figures, tables with errors, how to repeat them.
///
/// Runs of any measure; several of the same one are shown side by side. The page has no scripts and loads nothing.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Run directories
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// HTML file to write
    #[arg(long, value_name = "HTML")]
    pub out: PathBuf,
    /// What the runs are called on the page, comma-separated, in their order; runs of one name have one colour [default:
    /// names of the directories]
    #[arg(long, value_delimiter = ',')]
    pub names: Vec<String>,
    /// Title of the page
    #[arg(long, default_value = TITLE)]
    pub title: String,
    /// PNG file of samples to put into the page, as `vorticity sample` writes them; may be given several times
    #[arg(long, value_name = "PNG")]
    pub samples: Vec<PathBuf>,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// What a page is called that is called nothing else.
pub const TITLE: &str = "How far from a gradient?";

/// Largest picture that is put into a page, bytes.
const MOST_PICTURE: u64 = 1 << 26;

/// Reads the runs and writes the page; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    if !args.names.is_empty() && args.names.len() != args.runs.len() {
        let found = format!("{} names for {} runs", args.names.len(), args.runs.len());
        return Err(Error::invalid("--names", found));
    }
    check_file(&args.out)?;
    let mut runs = vec![];
    for (i, dir) in args.runs.iter().enumerate() {
        let stored = stored::read(dir)?;
        runs.push((args.names.get(i).unwrap_or(&stored.name).clone(), stored));
    }
    let pictures = args.samples.iter().map(|path| picture(path)).collect::<Result<Vec<_>>>()?;
    let html = page::html(&args.title, &runs, &pictures)?;
    write_file(&args.out, html.as_bytes())?;
    let out = args.out.display().to_string();
    args.output.say(&format!("runs: {}, on one page of {} bytes: {out}\n", runs.len(), html.len()))?;
    args.output.document("report", || {
        let run =
            |(name, stored): &(String, stored::Stored)| json!({ "name": name, "measure": stored.table.measure.name() });
        json!({ "out": out, "bytes": html.len(), "runs": runs.iter().map(run).collect::<Vec<_>>() })
    })?;
    Ok(0)
}

fn picture(path: &Path) -> Result<Picture> {
    let bad = |e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
    let about = std::fs::metadata(path).map_err(bad)?;
    if !about.is_file() || about.len() > MOST_PICTURE {
        return Err(Error::file(path, format!("is no regular file of at most {MOST_PICTURE} bytes")));
    }
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Picture::new(name, std::fs::read(path).map_err(bad)?)
}
