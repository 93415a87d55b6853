//! One self-contained HTML page from runs: figures, tables with errors, where the numbers come from and how to repeat them.
//! In: run directories as `stored::read` has them, pictures. Out: HTML without scripts, network or foreign fonts; whatever
//! a file says is escaped by the template engine. Colours are CSS variables: light, dark and paper.
mod about;
mod glance;
mod maps;
mod matrices;
mod planes;
mod tables;
mod words;

use super::stored::Stored;
use crate::error::{Error, Result};
use crate::figures::runs::{self, Column};
use crate::figures::{Figure, PAGE, Theme, svg};
use crate::measures::MEASURES;
use crate::run::{CLEAR, MeanOf, Measure, Pictures, SEVERAL};
use crate::summary::Results;
use crate::summary::raster;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeSet;
use words::formula;

/// Width and height of a histogram, and of a panel on a narrow screen, pixels.
const HISTOGRAM: (f64, f64) = (272.0, 190.0);
const NARROW: (f64, f64) = (372.0, 280.0);

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
    /// As figures have it.
    fn drawn(&self) -> runs::Run<'_> {
        runs::Run { name: &self.label, colour: self.colour, table: &self.stored.table, results: &self.results }
    }

    /// Number of a timestep.
    fn timestep(&self, k: usize) -> Option<usize> {
        self.drawn().timestep(k)
    }

    fn sigma(&self, k: usize) -> Option<f64> {
        self.drawn().sigma(k)
    }

    /// Number of a path and timestep in C order.
    fn place(&self, path: &str, k: usize) -> Option<usize> {
        self.drawn().place(path, k)
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
    let drawn: Vec<runs::Run> = runs.iter().map(|r| r.drawn()).collect();
    let (paths, ks) = (runs::paths(&drawn), runs::timesteps(&drawn));
    let pictures = runs.iter().map(|run| pictures_of(run, info.pictures)).collect::<Result<Vec<Markup>>>()?;
    let matrices = if info.matrices.is_some() {
        of_matrices(runs, &drawn, &ks)?
    } else {
        html! {}
    };
    Ok(html! {
        @for picture in &pictures { (picture) }
        @if !info.figures.is_empty() && !ks.is_empty() { p.note { (boxes_say(runs)) } }
        (figures(measure, runs, &drawn)?)
        (matrices)
        @for run in runs { @if let Some(told) = run.stored.table.told() { p.marked { b { (run.label) ": " } (told) } } }
        @for path in &paths { @if !ks.is_empty() && !info.shown.is_empty() { (tables::overview(runs, path, &ks, info.shown)) } }
        (tables::means(runs, &ks))
        @for run in runs {
            details { summary { "Every statistic of " (run.label) ", at every timestep" } (tables::everything(run)) }
        }
    })
}

/// The figures of a measure: those of its columns and its mean over timesteps, or every sample where it has none.
fn figures(measure: &dyn Measure, runs: &[&Run], drawn: &[runs::Run]) -> Result<Markup> {
    let (info, paths, ks) = (measure.info(), runs::paths(drawn), runs::timesteps(drawn));
    let over = |figure| runs::over_timesteps(drawn, &Column::of(figure), &paths, &ks);
    if ks.is_empty() {
        let column = runs.first().and_then(|r| r.results.statistic(info.headline).ok());
        let Some(column) = column.map(|own| Column::named(measure, own)) else { return Ok(html! {}) };
        let mut figure = runs::strips(drawn, &column);
        figure.panels.iter_mut().for_each(|p| p.title = "every sample; mean ± standard error".into());
        return Ok(html! { figure { div.panels.one { (panels(&figure, 1)?) } } });
    }
    if info.axes.iter().any(|axis| SEVERAL.contains(axis)) {
        return Ok(html! {
            @for own in info.figures {
                @let figure = over(own);
                figure {
                    figcaption { (keys(runs)) b { (own.title) } ", column " (own.column) @if figure.axes().1 { ". Every panel has a scale of its own" } }
                    div class={ "panels " (columns(paths.len())) } { (panels(&figure, paths.len())?) }
                }
            }
        });
    }
    let means = runs.first().map_or(&[][..], |r| &r.results.means);
    let mut all: Vec<Figure> = means.iter().map(|mean| runs::mean(drawn, mean, &ks)).collect();
    all.extend(info.figures.iter().map(over));
    for figure in &mut all {
        // Side by side, each says what it is.
        let title = figure.title.clone();
        figure.panels.iter_mut().for_each(|p| p.title = title.clone());
    }
    Ok(html! { @if !all.is_empty() { figure {
        @if runs.len() > 1 { figcaption { (keys(runs)) "Over timesteps" } }
        div class={ "panels " (["one", "one", "two"].get(all.len()).unwrap_or(&"three")) } {
            @for figure in &all { (panels(figure, all.len())?) }
        }
        @if let Some(MeanOf { caption, .. }) = info.mean.filter(|m| !m.caption.is_empty()) { figcaption { (caption) } }
    } } })
}

/// Histograms of the differences of entries, and maps of the antisymmetric part.
fn of_matrices(runs: &[&Run], drawn: &[runs::Run], ks: &[usize]) -> Result<Markup> {
    let error = |run: &runs::Run, k: usize| {
        let cell = run.results.measure.info().matrices.and_then(|m| run.sizes(m.difference, "", k));
        cell.map_or(f64::NAN, |c| c.error())
    };
    let map = |run: &runs::Run| matrices::maps((run.name, run.colour, run.table), |k| error(run, k));
    let maps = drawn.iter().map(map).collect::<Result<Vec<_>>>()?;
    let histograms = runs::histograms(drawn, ks)?;
    Ok(html! {
        figure {
            figcaption {
                (keys(runs)) b { "Histograms of " (formula("|J_ab − J_ba|")) } ", all pairs of all samples. The band reaches to " (CLEAR)
                " times the error; what is below the axis is counted in the first bin, which may be cut off at the top."
            }
            div.panels.four { @for drawing in histograms.apart(&PAGE, HISTOGRAM) { (PreEscaped(svg::write(&drawing, Theme::Page)?)) } }
        }
        figure {
            figcaption {
                b { "Antisymmetric part (B − B′)/2" } " of the first sample's Jacobian block: row a, column b, components in C order. Entries under "
                (CLEAR) " times the error are left blank; the colours end at the 99th percentile of the others, map by map."
            }
            @for map in &maps { div.maps { (map) } }
        }
    })
}

/// Columns of so many panels, as the style has them.
fn columns(count: usize) -> &'static str {
    ["one", "one", "two", "three", "two"].get(count).unwrap_or(&"three")
}

/// The panels of a figure, of which there are so many in a row of the page; wide ones twice, the second time for narrow screens.
fn panels(figure: &Figure, count: usize) -> Result<Markup> {
    let size = size(count);
    let write = |size| figure.apart(&PAGE, size).iter().map(|d| svg::write(d, Theme::Page)).collect::<Result<Vec<_>>>();
    let wide = write(size)?;
    if size.0 <= NARROW.0 {
        return Ok(html! { @for svg in &wide { (PreEscaped(svg)) } });
    }
    let narrow = write(NARROW)?;
    Ok(html! { @for (wide, narrow) in wide.iter().zip(&narrow) {
        div.broad { (PreEscaped(wide)) } div.narrow { (PreEscaped(narrow)) }
    } })
}

/// The pictures of a run, of measures that have such.
fn pictures_of(run: &Run, pictures: Option<Pictures>) -> Result<Markup> {
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
