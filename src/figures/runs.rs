//! What of runs a figure shows: boxes over timesteps (Figs. 2, 5 and 6), medians and means with their bars (Fig. 4), histograms of pairs
//! (Fig. 3), samples pooled to one box (Figs. 7, 9 and 12). In: runs of one measure, and which column. Out: figures.
use super::boxes::{Boxes, Series};
use super::curves::{Curve, Curves, Point, Strip, Strips};
use super::histogram::{Histogram, Values};
use super::{Content, Figure, Panel, words};
use crate::error::{Error, Result};
use crate::run::{self, CLEAR, Measure, Table, Verdict};
use crate::summary::results::{Mean, Statistic};
use crate::summary::{BoxStats, Cell, Results, evenly, pairs};
use std::collections::BTreeSet;

/// Most histograms of a figure.
const HISTOGRAMS: usize = 12;

/// A run in a figure.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Number of its colour and sign.
    pub colour: usize,
    /// What was measured.
    pub table: &'a Table,
    /// Its statistics.
    pub results: &'a Results,
}

impl Run<'_> {
    /// Number of a timestep.
    pub fn timestep(&self, k: usize) -> Option<usize> {
        self.results.timesteps.iter().position(|(own, _)| *own == k)
    }

    /// Its noise level.
    pub fn sigma(&self, k: usize) -> Option<f64> {
        self.timestep(k).map(|t| self.results.timesteps[t].1)
    }

    /// Number of a path and timestep in C order.
    pub fn place(&self, path: &str, k: usize) -> Option<usize> {
        let path = self.results.paths.iter().position(|own| own == path)?;
        Some(path * self.results.places() + self.timestep(k)?)
    }

    /// Sizes of a column's values there, with its errors.
    pub fn sizes(&self, column: &str, path: &str, k: usize) -> Option<Cell> {
        let (statistic, place) = (self.results.statistic(column).ok()?, self.place(path, k)?);
        let sizes: Vec<f64> = statistic.at(place).iter().map(|v| v.abs()).collect();
        Some(Cell { stats: BoxStats::of(&sizes), ..statistic.cell(place) })
    }
}

/// A column and how it is shown.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// Above the figure.
    pub title: String,
    /// Of the vertical axis.
    pub label: String,
    /// True where boxes are of all pairs of entries of all samples' matrices.
    pub pairs: bool,
    /// True where the sign matters.
    pub signed: bool,
}

impl Column<'static> {
    /// As a figure of the measure has it.
    pub fn of(figure: &run::Figure) -> Self {
        let run::Figure { column, title, label, pairs, signed } = *figure;
        Column { name: column, title: title.into(), label: label.into(), pairs, signed }
    }
}

impl<'a> Column<'a> {
    /// Of any statistic: as the measure's figure of it has it, if there is one.
    pub fn named(measure: &dyn Measure, statistic: &'a Statistic) -> Self {
        let about = statistic.about;
        if let Some(own) = measure.info().figures.iter().find(|f| f.column == about.name) {
            return Column::of(own);
        }
        let unit = words::unit(about.unit);
        let unit = if unit.is_empty() { unit } else { format!("  ({unit})") };
        let label = format!("{}{unit}", about.name);
        Column { name: about.name, title: about.meaning.into(), label, pairs: false, signed: false }
    }
}

/// Every path of the runs, in their order.
pub fn paths<'a>(runs: &[Run<'a>]) -> Vec<&'a str> {
    let mut paths: Vec<&str> = vec![];
    for path in runs.iter().flat_map(|r| &r.results.paths) {
        if !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    paths
}

/// Every timestep of the runs, ascending.
pub fn timesteps(runs: &[Run]) -> Vec<usize> {
    let all = runs.iter().flat_map(|r| r.results.timesteps.iter().map(|t| t.0));
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What the axis of timesteps is called: places are evenly spaced whatever lies between them.
fn below(ks: &[usize]) -> &'static str {
    let even = ks.windows(3).all(|k| k[1].wrapping_sub(k[0]) == k[2].wrapping_sub(k[1]));
    if even { "timestep k" } else { "timestep k (not to scale)" }
}

fn labels(ks: &[usize]) -> Vec<String> {
    ks.iter().map(usize::to_string).collect()
}

fn figure(runs: &[Run], title: &str, panels: Vec<Panel>) -> Figure {
    let names = runs.iter().map(|r| (r.name.to_string(), r.colour)).collect();
    Figure { title: title.into(), about: String::new(), names, panels }
}

/// What a box is of.
fn of(runs: &[Run], column: &Column) -> String {
    let counts: BTreeSet<usize> = runs.iter().map(|r| r.results.samples).collect();
    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
    let plural = if counts == ["1"] { "" } else { "s" };
    format!("{}{} sample{plural}", if column.pairs { "all pairs of " } else { "" }, counts.join(" or "))
}

/// A box, or where the column has a sign its median with three times its error, at each timestep, a panel per path.
pub fn over_timesteps(runs: &[Run], column: &Column, paths: &[&str], ks: &[usize]) -> Figure {
    let panel = |path: &&str| {
        let content = if column.signed { medians(runs, column, path, ks) } else { boxes(runs, column, path, ks) };
        Panel { title: path.to_string(), label: column.label.clone(), below: below(ks).into(), content }
    };
    // A run without paths has an empty panel.
    let paths = if paths.is_empty() { &[""][..] } else { paths };
    figure(runs, &column.title, paths.iter().map(panel).collect())
}

fn boxes(runs: &[Run], column: &Column, path: &str, ks: &[usize]) -> Content {
    let cell = |run: &Run, k: usize| match column.pairs {
        true => all_pairs(run, column.name, k),
        false => run.sizes(column.name, path, k),
    };
    let series = |run: &Run| Series {
        name: run.name.into(),
        colour: run.colour,
        cells: ks.iter().map(|&k| cell(run, k)).collect(),
    };
    let series = runs.iter().map(series).collect();
    Content::Boxes(Boxes { places: labels(ks), at: "k = ", joined: true, of: of(runs, column), series })
}

fn medians(runs: &[Run], column: &Column, path: &str, ks: &[usize]) -> Content {
    let point = |run: &Run, k: usize| -> Option<Point> {
        let cell = run.results.statistic(column.name).ok()?.cell(run.place(path, k)?);
        let verdict = cell.of_median().unwrap_or(Verdict::Resolved);
        Some(Point { value: cell.stats.as_ref()?.median, bar: CLEAR * cell.error(), verdict })
    };
    curves(runs, ks, ["medians over the samples", "three times the largest error"], point)
}

fn curves(
    runs: &[Run],
    ks: &[usize],
    [points, bars]: [&'static str; 2],
    point: impl Fn(&Run, usize) -> Option<Point>,
) -> Content {
    let curve = |run: &Run| Curve {
        name: run.name.into(),
        colour: run.colour,
        points: ks.iter().map(|&k| point(run, k)).collect(),
    };
    Content::Curves(Curves { places: labels(ks), points, bars, curves: runs.iter().map(curve).collect() })
}

/// All pairs of all samples at a timestep, with the error of a difference.
fn all_pairs(run: &Run, column: &str, k: usize) -> Option<Cell> {
    let stats = BoxStats::of(&pairs::pairs(run.table, run.timestep(k)?).ok()?);
    Some(Cell { stats, ..run.sizes(column, "", k)? })
}

/// A mean over the samples with three standard errors; if its measure says so in units of sigma^-2.
pub fn mean(runs: &[Run], mean: &Mean, ks: &[usize]) -> Figure {
    let scaled = runs.first().and_then(|r| r.results.measure.info().mean).is_some_and(|m| m.scaled);
    let point = |run: &Run, k: usize| -> Option<Point> {
        let own = run.results.means.iter().find(|m| m.name == mean.name)?;
        let place = run.timestep(k)?;
        let &(value, error) = own.points.get(place)?;
        let unit = if scaled { run.sigma(k)?.powi(2) } else { 1.0 };
        Some(Point { value: value * unit, bar: CLEAR * error * unit, verdict: own.verdict(place) })
    };
    let content = curves(runs, ks, ["means over the samples", "three standard errors"], point);
    let unit = if scaled { String::new() } else { words::unit(mean.unit) };
    let unit = if unit.is_empty() { unit } else { format!("  ({unit})") };
    let label = format!("{}{}{unit}", if scaled { "σ² × " } else { "" }, mean.name);
    figure(runs, mean.name, vec![Panel { title: String::new(), label, below: below(ks).into(), content }])
}

/// Every sample, with their mean, of measures without timesteps.
pub fn strips(runs: &[Run], column: &Column) -> Figure {
    let strip = |run: &Run| {
        let values = run.results.statistic(column.name).ok()?.at(0).to_vec();
        let mean = run.results.means.first()?.points.first().copied()?;
        Some(Strip { name: run.name.into(), colour: run.colour, values, mean })
    };
    let content = Content::Strips(Strips(runs.iter().filter_map(strip).collect()));
    let (title, label) = (String::new(), column.label.clone());
    figure(runs, &column.title, vec![Panel { title, label, below: String::new(), content }])
}

/// Histograms of |J_ab - J_ba| of all pairs of all samples at up to twelve timesteps.
///
/// # Errors
/// A measure without matrices, or matrices that do not fit.
pub fn histograms(runs: &[Run], ks: &[usize]) -> Result<Figure> {
    let Some(own) = runs.first().and_then(|r| r.results.measure.info().matrices) else {
        return Err(Error::invalid("kind", "histograms are of Jacobians, which this measure does not keep"));
    };
    let values = |run: &Run, k: usize| -> Result<Values> {
        let values = run.timestep(k).map(|t| pairs::pairs(run.table, t)).transpose()?;
        let error = run.sizes(own.difference, "", k).map_or(f64::NAN, |c| c.error());
        Ok(Values { name: run.name.into(), colour: run.colour, values, error })
    };
    let chosen = evenly(ks.len(), HISTOGRAMS).into_iter().map(|i| ks[i]);
    let place = |k: usize| -> Result<(String, Vec<Values>)> {
        Ok((format!("k = {k}"), runs.iter().map(|run| values(run, k)).collect::<Result<_>>()?))
    };
    let places = chosen.map(place).collect::<Result<Vec<_>>>()?;
    let panels = places.iter().zip(Histogram::all(&places)).map(|((title, _), content)| Panel {
        title: title.clone(),
        label: "share of pairs".into(),
        below: "|J_ab − J_ba|  (nat/x²)".into(),
        content: Content::Histogram(content),
    });
    let panels = panels.collect();
    Ok(figure(runs, "Differences of all pairs of all samples", panels))
}

/// One box per path and run: all samples of all these timesteps together. Without paths one box per run.
pub fn pooled(runs: &[Run], column: &Column, paths: &[&str], ks: &[usize]) -> Figure {
    let named = paths.iter().any(|p| !p.is_empty());
    let cells = |run: &Run| paths.iter().map(|path| whole(run, column, path, ks)).collect::<Vec<_>>();
    let (places, series): (Vec<String>, Vec<Series>) = match named {
        true => {
            let series = |run: &Run| Series { name: run.name.into(), colour: run.colour, cells: cells(run) };
            (paths.iter().map(|p| p.to_string()).collect(), runs.iter().map(series).collect())
        }
        // Each run has a place of its own.
        false => {
            let series = |(i, run): (usize, &Run)| {
                let own = (0..runs.len()).map(|j| if i == j { cells(run).pop().flatten() } else { None });
                Series { name: run.name.into(), colour: run.colour, cells: own.collect() }
            };
            (runs.iter().map(|r| r.name.to_string()).collect(), runs.iter().enumerate().map(series).collect())
        }
    };
    let pooled = if ks.is_empty() { String::new() } else { format!(" at {} timesteps, pooled", ks.len()) };
    let of = of(runs, column) + &pooled;
    let content = Content::Boxes(Boxes { places, at: "", joined: false, of, series });
    let (title, label) = (String::new(), column.label.clone());
    figure(runs, &column.title, vec![Panel { title, label, below: String::new(), content }])
}

/// All samples of a path at all these timesteps.
fn whole(run: &Run, column: &Column, path: &str, ks: &[usize]) -> Option<Cell> {
    let statistic = run.results.statistic(column.name).ok()?;
    let number = run.results.paths.iter().position(|own| own == path)?;
    let places: Vec<usize> = match run.results.timesteps.is_empty() {
        true => vec![number * run.results.places()],
        false => ks.iter().filter_map(|&k| run.place(path, k)).collect(),
    };
    let samples = run.results.samples;
    let all = |own: &[f64]| -> Vec<f64> {
        places.iter().flat_map(|p| own[p * samples..(p + 1) * samples].iter().map(|v| v.abs())).collect()
    };
    let cell = Cell::of(&all(&statistic.values), statistic.errors.iter().map(|(_, sizes)| all(sizes)));
    if !column.pairs {
        return Some(cell);
    }
    let pairs = ks.iter().filter_map(|&k| pairs::pairs(run.table, run.timestep(k)?).ok());
    Some(Cell { stats: BoxStats::of(&pairs.flatten().collect::<Vec<_>>()), ..cell })
}
