//! One self-contained HTML page from runs: figures, tables with errors, where the numbers come from and how to repeat them.
//! In: run directories as `stored::read` has them, pictures. Out: HTML without scripts, network or foreign fonts; whatever
//! a file says is escaped by the template engine. Colours are CSS variables: light, dark and paper.
mod about;
mod boxes;
mod curves;
mod glance;
mod maps;
mod matrices;
mod planes;
mod plot;
mod tables;

use super::stored::Stored;
use crate::error::{Error, Result};
use crate::measures::MEASURES;
use crate::run::{CLEAR, Figure, MeanOf, Measure, Pictures, SEVERAL};
use crate::summary::results::Mean;
use crate::summary::{BoxStats, Cell, Results};
use crate::summary::{pairs, raster};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use plot::formula;
use std::collections::BTreeSet;

/// A picture to show, as `vorticity sample` writes them.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Below it.
    pub name: String,
    /// The file's bytes.
    pub png: Vec<u8>,
    /// Pixels.
    pub size: (u32, u32),
}

impl Picture {
    /// Checks that the bytes are a PNG image.
    pub fn new(name: String, png: Vec<u8>) -> Result<Self> {
        let reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info();
        let info = reader.map_err(|e| Error::invalid(&name, format!("is not PNG: {e}")))?;
        let size = (info.info().width, info.info().height);
        Ok(Self { name, png, size })
    }
}

/// A run on the page.
struct Run<'a> {
    label: String,
    colour: usize,
    stored: &'a Stored,
    results: Results,
}

impl Run<'_> {
    /// Number of a timestep.
    fn timestep(&self, k: usize) -> Option<usize> {
        self.results.timesteps.iter().position(|(own, _)| *own == k)
    }

    fn sigma(&self, k: usize) -> Option<f64> {
        self.timestep(k).map(|t| self.results.timesteps[t].1)
    }

    /// Number of a path and timestep in C order.
    fn place(&self, path: &str, k: usize) -> Option<usize> {
        let path = self.results.paths.iter().position(|own| own == path)?;
        Some(path * self.results.places() + self.timestep(k)?)
    }

    /// Sizes of a column's values there, with its errors.
    fn sizes(&self, column: &str, path: &str, k: usize) -> Option<Cell> {
        let (statistic, place) = (self.results.statistic(column).ok()?, self.place(path, k)?);
        let sizes: Vec<f64> = statistic.at(place).iter().map(|v| v.abs()).collect();
        Some(Cell { stats: BoxStats::of(&sizes), ..statistic.cell(place) })
    }
}

/// The page. Each run comes with its label; runs of the same label have the same colour, whatever they measure.
///
/// # Errors
/// No runs, or a run whose arrays do not fit its measure.
pub fn html(title: &str, runs: &[(String, Stored)], pictures: &[Picture]) -> Result<String> {
    with_verdict(title, &[], runs, pictures)
}

/// The page of runs that answer a question together: above them stands what is said of all, a paragraph each.
///
/// # Errors
/// As `html`.
pub fn with_verdict(
    title: &str,
    verdict: &[String],
    runs: &[(String, Stored)],
    pictures: &[Picture],
) -> Result<String> {
    if runs.is_empty() {
        return Err(Error::invalid("report", "no runs, expected at least one run directory"));
    }
    let mut labels: Vec<&str> = vec![];
    let mut shown: Vec<Run> = vec![];
    for (label, stored) in runs {
        let colour = labels.iter().position(|l| l == label).unwrap_or(labels.len());
        if colour == labels.len() {
            labels.push(label);
        }
        let results = Results::of(&stored.table)?;
        let twins = shown.iter().filter(|r| r.results.measure == results.measure && r.colour == colour).count();
        let label = if twins > 0 { format!("{label} ({})", twins + 1) } else { label.clone() };
        shown.push(Run { label, colour, stored, results });
    }
    let mut chapters = vec![];
    for &measure in MEASURES {
        let runs: Vec<&Run> = shown.iter().filter(|r| r.results.measure == measure).collect();
        if !runs.is_empty() {
            chapters.push((measure.name(), measure.info(), chapter(measure, &runs)?));
        }
    }
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { (title) }
                    p.lead { "How far a diffusion model's learned field is from being the gradient it is claimed to be." }
                    ul.legend { @for (i, label) in labels.iter().enumerate() { li { span class={ "key s" (i % 6) } {} (label) } } }
                    nav aria-label="Chapters" {
                        @for (name, info, _) in &chapters { a href={ "#" (name) } { (info.title) } }
                        @if !pictures.is_empty() { a href="#samples" { "Samples" } }
                        a href="#runs" { "Runs and how to repeat them" }
                    }
                }
                main {
                    @if !verdict.is_empty() { section.verdict { h2 { "Verdict" } @for (i, said) in verdict.iter().enumerate() { p class=[(i == 0).then_some("answer")] { (formula(said)) } } } }
                    (glance::table(&shown))
                    @for (name, info, content) in &chapters {
                        section id=(name) { h2 { (info.title) } p.prose { (formula(info.prose)) } (content) }
                    }
                    @if !pictures.is_empty() { section #samples { h2 { "Samples drawn from the models" } div.panels.two { @for p in pictures { (picture(p)) } } } }
                    section #runs { h2 { "Runs and how to repeat them" } @for run in &shown { (about::run(run)) } }
                    section.reading {
                        h2 { "How to read this" }
                        p { "Boxes: quartiles and median over the samples, whiskers to 1.5 interquartile ranges, dots beyond. The tinted band "
                            "reaches up to " (CLEAR) " times the largest error: what lies in it is not resolved, and read as zero within "
                            "the error. Of every statistic to which errors apply one of three things is said. " b { "Resolved: " }
                            "it is at least " (CLEAR) " times its largest error, and every error that applies was measured. "
                            b { "Not resolved" } ", marked ~: every error was measured, and it is less. " b { "Not checked" } ", marked ?: an error that "
                            "applies (-) was not measured, so nothing is established, however large the number. Boxes of the last two are "
                            "hollow and dashed, numbers grey. A statistic without error columns has no error of its own and no mark." }
                        p { "Errors are medians over the samples, in the unit of their statistic: rounding (a Gaussian field, whose circulation "
                            "is zero, on the same points), quadrature (a second rule), arithmetic (repeated in 64 bits), step (of differences), "
                            "_se (standard error over random tangents), grid (a coarser one). x is the unit of the data." }
                    }
                }
                footer { "vorticity " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
    .into_string())
}

/// Figures and tables of one measure.
fn chapter(measure: &dyn Measure, runs: &[&Run]) -> Result<Markup> {
    let info = measure.info();
    let ks: Vec<usize> = runs
        .iter()
        .flat_map(|r| r.results.timesteps.iter().map(|t| t.0))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut paths: Vec<&str> = vec![];
    for path in runs.iter().flat_map(|r| &r.results.paths) {
        if !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    let labelled: Vec<matrices::Labelled> =
        runs.iter().map(|r| (r.label.as_str(), r.colour, &r.stored.table)).collect();
    let error = |run: usize, k: usize| {
        let cell = info.matrices.and_then(|m| runs[run].sizes(m.difference, "", k));
        cell.map_or(f64::NAN, |c| c.error())
    };
    let matrices = info.matrices.is_some();
    let histograms = if matrices { Some(matrices::histograms(&ks, &labelled, error)?) } else { None };
    let map = |(i, l): (usize, &matrices::Labelled)| matrices::maps(*l, |k| error(i, k));
    let maps = if matrices { labelled.iter().enumerate().map(map).collect::<Result<Vec<_>>>()? } else { vec![] };
    let pictures = runs.iter().map(|run| drawn(run, info.pictures)).collect::<Result<Vec<Markup>>>()?;
    Ok(html! {
        @for picture in &pictures { (picture) }
        @if !info.figures.is_empty() && !ks.is_empty() { p.note { (boxes_say(runs)) } }
        @if info.axes.iter().any(|axis| SEVERAL.contains(axis)) {
            @for figure in info.figures {
                figure {
                    figcaption { (keys(runs)) b { (figure.title) } ", column " (figure.column) }
                    div class={ "panels " (columns(paths.len())) } {
                        @if figure.signed { @for path in &paths { (medians(runs, figure, path, &ks, size(paths.len()))) } }
                        @else { (boxes::draw(&boxes::Figure { label: figure.label, timesteps: &ks, size: size(paths.len()), panels: paths.iter().map(|path| panel(runs, path.to_string(), &ks, |run, k| run.sizes(figure.column, path, k))).collect() })) }
                    }
                }
            }
        } @else if !ks.is_empty() {
            @let count = info.figures.len() + runs.iter().map(|r| r.results.means.len()).max().unwrap_or(0);
            @if count > 0 { figure {
                @if runs.len() > 1 { figcaption { (keys(runs)) "Over timesteps" } }
                div class={ "panels " (["one", "one", "two"].get(count).unwrap_or(&"three")) } {
                    @for mean in runs.first().iter().flat_map(|r| &r.results.means) { (curve(runs, mean, &ks, size(count))) }
                    @for figure in info.figures {
                        @let of = |run: &Run, k: usize| if figure.pairs { all_pairs(run, figure.column, k) } else { run.sizes(figure.column, "", k) };
                        @if figure.signed { (medians(runs, figure, "", &ks, size(count))) }
                        @else { (boxes::draw(&boxes::Figure { label: figure.label, timesteps: &ks, size: size(count), panels: vec![panel(runs, figure.title.to_string(), &ks, of)] })) }
                    }
                }
                @if let Some(MeanOf { caption, .. }) = info.mean.filter(|m| !m.caption.is_empty()) { figcaption { (caption) } }
            } }
        } @else if let Some(name) = info.shown.first() {
            @let strips: Vec<_> = runs.iter().filter_map(|r| Some((r.label.as_str(), r.colour, r.results.statistic(name.0).ok()?.at(0), r.results.means.first()?.points.first().copied()?))).collect();
            figure { div.panels.one { (curves::strips(name.1, size(1), &strips)) } }
        }
        @if let Some(histograms) = &histograms {
            figure {
                figcaption {
                    (keys(runs)) b { "Histograms of " (formula("|J_ab − J_ba|")) } ", all pairs of all samples. The band reaches to " (CLEAR)
                    " times the error; what is below the axis is counted in the first bin, which may be cut off at the top."
                }
                div.panels.four { (histograms) }
            }
        }
        @if !maps.is_empty() {
            figure {
                figcaption {
                    b { "Antisymmetric part (B − B′)/2" } " of the first sample's Jacobian block: row a, column b, components in C order. Entries under "
                    (CLEAR) " times the error are left blank; the colours end at the 99th percentile of the others, map by map."
                }
                @for map in &maps { div.maps { (map) } }
            }
        }
        @for run in runs { @if let Some(told) = run.stored.table.told() { p.marked { b { (run.label) ": " } (told) } } }
        @for path in &paths { @if !ks.is_empty() && !info.shown.is_empty() { (tables::overview(runs, path, &ks, info.shown)) } }
        (tables::means(runs, &ks))
        @for run in runs {
            details { summary { "Every statistic of " (run.label) ", at every timestep" } (tables::everything(run)) }
        }
    })
}

/// Columns of so many panels, as the style has them.
fn columns(count: usize) -> &'static str {
    ["one", "one", "two", "three", "two"].get(count).unwrap_or(&"three")
}

/// Medians with their sign along a path, with three times their errors.
fn medians(runs: &[&Run], figure: &Figure, path: &str, ks: &[usize], size: (f64, f64)) -> Markup {
    let point = |run: &Run, k: usize| -> Option<(f64, f64)> {
        let cell = run.results.statistic(figure.column).ok()?.cell(run.place(path, k)?);
        Some((cell.stats.as_ref()?.median, CLEAR * cell.error()))
    };
    curves::draw(&curves::Figure {
        title: if path.is_empty() { figure.title } else { path },
        label: figure.label,
        timesteps: ks,
        size,
        bars: "three times the largest error",
        curves: runs
            .iter()
            .map(|run| curves::Curve {
                name: &run.label,
                colour: run.colour,
                points: ks.iter().map(|&k| point(run, k)).collect(),
            })
            .collect(),
    })
}

/// The pictures of a run, of measures that have such.
fn drawn(run: &Run, pictures: Option<Pictures>) -> Result<Markup> {
    match pictures {
        None => Ok(html! {}),
        Some(Pictures::Maps(maps)) => maps::draw((&run.label, run.colour, &run.stored.table), &maps),
        Some(Pictures::Pairs(pairs)) => planes::draw((&run.label, run.colour, &run.stored.table), &pairs),
    }
}

/// The runs' colours beside a figure's caption, so that it can be read alone.
fn keys(runs: &[&Run]) -> Markup {
    html! { @if runs.len() > 1 { span.keys { @for run in runs { span { span class={ "key s" (run.colour % 6) } {} (run.label) } } } } }
}

/// How the box plots of a chapter are read.
fn boxes_say(runs: &[&Run]) -> String {
    let counts: BTreeSet<usize> = runs.iter().map(|r| r.results.samples).collect();
    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
    format!(
        "Boxes: median and quartiles over {} samples, whiskers to 1.5 interquartile ranges. Tinted band: up to {CLEAR} times \
         the largest error. Hollow: the median is not resolved (it lies in the band) or not checked.",
        counts.join(" or ")
    )
}

fn panel<'a>(
    runs: &'a [&Run],
    title: String,
    ks: &[usize],
    cell: impl Fn(&Run, usize) -> Option<Cell>,
) -> boxes::Panel<'a> {
    let series = runs.iter().map(|run| boxes::Series {
        name: &run.label,
        colour: run.colour,
        cells: ks.iter().map(|&k| cell(run, k)).collect(),
    });
    boxes::Panel { title, series: series.collect() }
}

/// All pairs of all samples at a timestep, with the error of a difference.
fn all_pairs(run: &Run, column: &str, k: usize) -> Option<Cell> {
    let stats = BoxStats::of(&pairs::pairs(&run.stored.table, run.timestep(k)?).ok()?);
    Some(Cell { stats, ..run.sizes(column, "", k)? })
}

/// A mean over timesteps, if its measure says so in units of sigma^-2.
fn curve(runs: &[&Run], mean: &Mean, ks: &[usize], size: (f64, f64)) -> Markup {
    let scaled = runs.first().and_then(|r| r.results.measure.info().mean).is_some_and(|m| m.scaled);
    let point = |run: &Run, k: usize| -> Option<(f64, f64)> {
        let own = run.results.means.iter().find(|m| m.name == mean.name)?;
        let &(value, error) = own.points.get(run.timestep(k)?)?;
        let unit = if scaled { run.sigma(k)?.powi(2) } else { 1.0 };
        Some((value * unit, CLEAR * error * unit))
    };
    let curves = runs.iter().map(|run| curves::Curve {
        name: &run.label,
        colour: run.colour,
        points: ks.iter().map(|&k| point(run, k)).collect(),
    });
    let label = format!("{}{}", if scaled { "σ² × " } else { "" }, mean.name);
    let figure = curves::Figure {
        title: mean.name,
        label: &label,
        timesteps: ks,
        size,
        bars: "three standard errors",
        curves: curves.collect(),
    };
    curves::draw(&figure)
}

/// Of a panel among so many.
fn size(count: usize) -> (f64, f64) {
    match count {
        0 | 1 => (1120.0, 360.0),
        2 | 4 => (554.0, 330.0),
        _ => (366.0, 300.0),
    }
}

fn picture(picture: &Picture) -> Markup {
    let (width, height) = picture.size;
    html! { figure {
        img.samples src=(raster::data_uri(&picture.png)) width=(width) height=(height) alt={ "Samples drawn from the model: " (picture.name) };
        figcaption { (picture.name) }
    } }
}
