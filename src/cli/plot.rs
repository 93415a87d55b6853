//! `vorticity plot`: a figure for a paper from run directories, as SVG, PDF or PNG at the size at which it is printed.
use super::output::Output;
use crate::error::{Error, Result};
use crate::figures::asked::{self, Asked, Shown};
use crate::figures::runs::Run;
use crate::figures::sheet::{MOST, Paper};
use crate::figures::{Theme, pdf, png, svg};
use crate::report::stored::{self, Stored};
use crate::run::{check_file, parse_timesteps, write_file};
use crate::summary::Results;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Draw finished runs as a figure for a paper, SVG, PDF or PNG, at the size at which it is printed.
///
/// Runs of one measure stand side by side in one panel, each with a colour and a sign of its own. Every path has a panel, with a
/// scale of its own where one for all would hide what is in it. The legend says what dashes, bands and hollow boxes mean. The font is
/// in the file of a PDF; no text is smaller than 7 points.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Run directories, all of one measure
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Column, as in the run's CSV [default: what the run is about]
    #[arg(long)]
    pub column: Option<String>,
    /// Path, plane or end, whole or up to its '?'; may be given several times [default: all, a panel each]
    #[arg(long)]
    pub path: Vec<String>,
    /// Timesteps k: FIRST..END:STEP or a list [default: all]
    #[arg(long)]
    pub timesteps: Option<String>,
    /// What is drawn [default: what suits the column]
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// One box per run and path, of all samples at all timesteps
    #[arg(long)]
    pub pooled: bool,
    /// Width with its unit: in, cm, mm or pt
    #[arg(long, default_value = "3.25in")]
    pub width: String,
    /// Height with its unit [default: what suits the width]
    #[arg(long)]
    pub height: Option<String>,
    /// Format [default: by the ending of --out]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Dots per inch of PNG [default: 300]
    #[arg(long)]
    pub dpi: Option<f64>,
    /// No title above the figure: the paper has a caption
    #[arg(long)]
    pub no_title: bool,
    /// What the runs are called, comma-separated, in their order [default: names of the directories]
    #[arg(long, value_delimiter = ',')]
    pub names: Vec<String>,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Box plots of sizes over timesteps
    Boxes,
    /// Medians with their signs and three times their errors
    Medians,
    /// Means over the samples with three standard errors
    Means,
    /// Every sample, of measures without timesteps
    Samples,
    /// Histograms of the differences of pairs
    Histograms,
    /// Maps, or planes as pairs of pictures
    Pictures,
}

impl Kind {
    fn asked(self) -> asked::Kind {
        match self {
            Kind::Boxes => asked::Kind::Boxes,
            Kind::Medians => asked::Kind::Medians,
            Kind::Means => asked::Kind::Means,
            Kind::Samples => asked::Kind::Samples,
            Kind::Histograms => asked::Kind::Histograms,
            Kind::Pictures => asked::Kind::Pictures,
        }
    }
}

/// What a figure is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines and text; the reader's own fonts
    Svg,
    /// Lines and text, with the font
    Pdf,
    /// Pixels
    Png,
}

/// Endings and the formats that they stand for.
const FORMATS: [(&str, Format); 3] = [("svg", Format::Svg), ("pdf", Format::Pdf), ("png", Format::Png)];

/// Points per unit.
const UNITS: [(&str, f64); 4] = [("in", 72.0), ("cm", 72.0 / 2.54), ("mm", 72.0 / 25.4), ("pt", 1.0)];

/// Dots per inch that are taken.
const DPI: [f64; 2] = [30.0, 2400.0];

/// Reads the runs and writes the figure; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    if !args.names.is_empty() && args.names.len() != args.runs.len() {
        let found = format!("{} names for {} runs", args.names.len(), args.runs.len());
        return Err(Error::invalid("--names", found));
    }
    check_file(&args.out)?;
    let format = format(&args.out, args.format)?;
    let dpi = dpi(args.dpi, format)?;
    let height = args.height.as_deref().map(|text| points("--height", text)).transpose()?;
    let paper = Paper { width: points("--width", &args.width)?, height, title: !args.no_title };
    let asked = Asked {
        column: args.column.clone(),
        paths: args.path.clone(),
        timesteps: args.timesteps.as_deref().map(parse_timesteps).transpose()?,
        kind: args.kind.map(Kind::asked),
        pooled: args.pooled,
    };
    let stored = args.runs.iter().map(|dir| stored::read(dir)).collect::<Result<Vec<Stored>>>()?;
    let results = stored.iter().map(|s| Results::of(&s.table)).collect::<Result<Vec<_>>>()?;
    let names = names(args, &stored);
    let each = names.iter().zip(&stored).zip(&results).enumerate();
    let runs: Vec<Run> =
        each.map(|(colour, ((name, own), results))| Run { name, colour, table: &own.table, results }).collect();
    let Shown { drawing, title, column, kind } = asked::draw(&runs, &asked, &paper)?;
    let bytes = match format {
        Format::Svg => svg::write(&drawing, Theme::Paper)?.into_bytes(),
        Format::Pdf => pdf::write(&drawing, &title)?,
        Format::Png => png::write(&drawing, dpi)?,
    };
    write_file(&args.out, &bytes)?;
    let out = args.out.display().to_string();
    let (width, height) = drawing.size;
    let of = column.as_deref().map_or(String::new(), |column| format!(" of {column}"));
    let count = if runs.len() == 1 { "1 run".into() } else { format!("{} runs", runs.len()) };
    let inches = format!("{:.2} x {:.2} inches", width / 72.0, height / 72.0);
    args.output.say(&format!("{}{of}, {count}, {inches}: {out}\n", kind.name()))?;
    args.output.document("plot", || {
        json!({
            "out": out, "bytes": bytes.len(), "measure": results[0].measure.name(), "kind": kind.name(), "column": column,
            "title": title, "width": width, "height": height, "runs": names,
        })
    })?;
    Ok(0)
}

/// What the runs are called, each otherwise.
fn names(args: &Args, stored: &[Stored]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for (i, own) in stored.iter().enumerate() {
        let name = args.names.get(i).unwrap_or(&own.name);
        let free = |n: &usize| !names.contains(&numbered(name, *n));
        let number = (1..).find(free).unwrap_or(1);
        names.push(numbered(name, number));
    }
    names
}

fn numbered(name: &str, n: usize) -> String {
    if n == 1 { name.into() } else { format!("{name} ({n})") }
}

/// By the ending of the file, which must not say another than is asked for.
fn format(out: &Path, asked: Option<Format>) -> Result<Format> {
    let ending = out.extension().map(|e| e.to_string_lossy().to_lowercase());
    let known = ending.as_deref().and_then(|e| FORMATS.iter().find(|f| f.0 == e));
    match (asked, known) {
        (Some(format), Some((ending, other))) if format != *other => {
            Err(Error::file(out, format!("has the ending of {ending}, --format says another")))
        }
        (Some(format), _) => Ok(format),
        (None, Some((_, format))) => Ok(*format),
        (None, None) => Err(Error::file(out, "does not end in .svg, .pdf or .png: name it so, or give --format")),
    }
}

/// Dots per inch, which PNG alone has.
fn dpi(asked: Option<f64>, format: Format) -> Result<f64> {
    match asked {
        None => Ok(300.0),
        Some(_) if format != Format::Png => Err(Error::invalid("--dpi", "is of PNG: SVG and PDF have no dots")),
        Some(dpi) if (DPI[0]..=DPI[1]).contains(&dpi) => Ok(dpi),
        Some(dpi) => Err(Error::invalid("--dpi", format!("{dpi}, expected {} to {}", DPI[0], DPI[1]))),
    }
}

/// A length with its unit, in points.
fn points(name: &str, text: &str) -> Result<f64> {
    let units = "expected a number with its unit: 3.25in, 8cm, 80mm or 234pt";
    let unit = UNITS.iter().find_map(|(unit, points)| Some((text.trim().strip_suffix(unit)?, points)));
    let length = unit.and_then(|(number, points)| Some(number.trim().parse::<f64>().ok()? * points));
    match length {
        Some(length) if length > 0.0 && length <= MOST => Ok(length),
        Some(length) if length.is_finite() => {
            Err(Error::invalid(name, format!("'{text}' is not between 0 and {} inches", MOST / 72.0)))
        }
        _ => Err(Error::invalid(name, format!("'{text}', {units}"))),
    }
}
