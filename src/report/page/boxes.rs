//! Box plots over timesteps: one panel per path or quantity, one colour per run, all panels of a figure on one scale.
//! In: `Cell`s. Out: inline SVG. What lies in the tinted band is under three times its error; boxes of medians that are not
//! resolved, or not checked, are hollow.
use super::plot::{Frame, line, places, px, timestep, timesteps};
use crate::run::CLEAR;
use crate::summary::Cell;
use crate::summary::axis::Axis;
use crate::summary::{evenly, number};
use maud::{Markup, html};

/// Room for a box, pixels.
const SLOT: f64 = 9.0;
/// Widest half of a box, pixels.
const HALF: f64 = 7.0;
/// Most outliers drawn of a box, evenly chosen, the outermost among them.
const DOTS: usize = 6;

/// The boxes of one run.
pub struct Series<'a> {
    /// The run's label.
    pub name: &'a str,
    /// Number of its colour.
    pub colour: usize,
    /// Of the sizes of the values, at each place of the panel; none where the run has no such timestep.
    pub cells: Vec<Option<Cell>>,
}

/// A drawing.
pub struct Panel<'a> {
    /// Above it.
    pub title: String,
    /// One colour each.
    pub series: Vec<Series<'a>>,
}

/// Panels with one vertical axis.
pub struct Figure<'a> {
    /// Of the vertical axis.
    pub label: &'a str,
    /// k, ascending.
    pub timesteps: &'a [usize],
    /// Width and height of a panel.
    pub size: (f64, f64),
    /// Side by side.
    pub panels: Vec<Panel<'a>>,
}

/// Every panel.
pub fn draw(figure: &Figure) -> Markup {
    let cells = figure.panels.iter().flat_map(|p| &p.series).flat_map(|s| s.cells.iter().flatten());
    // What lies below the box of a median that is not resolved does not stretch the axis, nor do errors far below everything.
    let ends = |c: &Cell| {
        let stats = c.stats.iter().flat_map(|b| [b.low, b.q1, b.median, b.q3, b.high].into_iter().chain(dots(b)));
        let least = c.stats.as_ref().filter(|_| !c.clear()).map_or(f64::NEG_INFINITY, |b| b.q1);
        stats.filter(|v| *v >= least).collect::<Vec<_>>()
    };
    let values: Vec<f64> = cells.clone().flat_map(ends).collect();
    let least = values.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let bands = cells.map(|c| CLEAR * c.error()).filter(|e| *e > least * 0.05);
    let axis = Axis::decades(values.iter().copied().chain(bands));
    html! { @for panel in &figure.panels { (one(figure, panel, axis.clone())) } }
}

fn one(figure: &Figure, panel: &Panel, axis: Axis) -> Markup {
    let ks = figure.timesteps;
    let (width, height) = figure.size;
    let runs = panel.series.iter().map(|s| told(s, ks)).collect::<Vec<_>>().join(" ");
    let about = format!("Box plots of {} over timesteps, {}. {runs}", figure.label, panel.title);
    let frame = Frame { width, height, title: &panel.title, x: timestep(ks), y: figure.label, about };
    let (x, y) = (frame.across(places(ks.len()), false), frame.up(axis, true));
    let count = panel.series.len().max(1) as f64;
    let most = (frame.inner() / SLOT / count).max(1.0) as usize;
    let step = ks.len().div_ceil(most).max(1);
    let slot = (x.at(step as f64) - x.at(0.0)).min(frame.inner()) * 0.84 / count;
    let slot = if ks.len() == 1 { 4.0 * HALF } else { slot };
    let half = (slot * 0.42).clamp(1.0, HALF);
    let empty = !panel
        .series
        .iter()
        .flat_map(|s| s.cells.iter().flatten())
        .any(|c| c.stats.as_ref().is_some_and(|b| b.max > 0.0));
    let inside = html! {
        @for (number, series) in panel.series.iter().enumerate() {
            @let shift = (number as f64 - (count - 1.0) / 2.0) * slot.min(2.6 * half);
            @let centre = |t: usize| x.at(t as f64) + shift;
            @let known = || series.cells.iter().enumerate().filter_map(|(t, c)| Some((t, c.as_ref()?)));
            @let band: Vec<(f64, f64)> = known().filter(|(_, c)| c.error() > 0.0).map(|(t, c)| (x.at(t as f64), y.at(CLEAR * c.error()))).collect();
            g class={ "s" (series.colour % 6) } {
                @if let (Some(first), Some(last)) = (band.first(), band.last()) {
                    @let (from, to) = (x.at(f64::NEG_INFINITY), x.at(f64::INFINITY));
                    @let edge: Vec<(f64, f64)> = [(from, first.1)].into_iter().chain(band.iter().copied()).chain([(to, last.1)]).collect();
                    @let floor = y.at(0.0);
                    path.band d={ (line(&edge)) "L" (px(to)) " " (px(floor)) "L" (px(from)) " " (px(floor)) "Z" } {}
                    path.bound d=(line(&edge)) {}
                }
                path.medians d=(line(&known().filter_map(|(t, c)| Some((centre(t), y.at(c.stats.as_ref()?.median)))).collect::<Vec<_>>())) {}
                @for (t, cell) in known().filter(|(t, _)| t.is_multiple_of(step)) {
                    @if let Some(b) = &cell.stats {
                        @let at = centre(t);
                        @let box_height = (y.at(b.q1) - y.at(b.q3)).max(0.6);
                        g {
                            title { (series.name) ", k = " (ks[t]) ": " (said(cell)) }
                            path.whisker d={ (line(&[(at, y.at(b.q1)), (at, y.at(b.low))])) (line(&[(at, y.at(b.q3)), (at, y.at(b.high))])) } {}
                            rect class=(if cell.clear() { "box" } else { "box hollow" }) x=(px(at - half)) y=(px(y.at(b.q3))) width=(px(2.0 * half)) height=(px(box_height)) {}
                            path.median d=(line(&[(at - half, y.at(b.median)), (at + half, y.at(b.median))])) {}
                            @for v in dots(b) { circle.dot cx=(px(at)) cy=(px(y.at(v))) r="1.6" {} }
                        }
                    }
                }
            }
        }
        @if empty { text.words.middle x=(px(width / 2.0)) y=(px(height / 2.0)) { "no positive values" } }
    };
    frame.draw(&x, &y, Some(timesteps(&x, ks)), inside)
}

/// A cell in words.
pub fn said(cell: &Cell) -> String {
    let Some(b) = &cell.stats else { return "no finite value".into() };
    let error =
        if cell.error().is_nan() { "error not known".into() } else { format!("error {}", number(cell.error())) };
    let mark = cell.of_median().map_or(String::new(), |v| format!(", {}", v.word()));
    let left_out = if b.skipped > 0 { format!(", {} not finite", b.skipped) } else { String::new() };
    format!("median {}, quartiles {} to {}, {error}{mark}{left_out}", number(b.median), number(b.q1), number(b.q3))
}

/// A series in a sentence: where its medians are smallest and largest.
fn told(series: &Series, ks: &[usize]) -> String {
    let medians = series.cells.iter().zip(ks).filter_map(|(c, k)| Some((c.as_ref()?.stats.as_ref()?.median, k)));
    let mut medians: Vec<(f64, &usize)> = medians.collect();
    medians.sort_by(|a, b| a.0.total_cmp(&b.0));
    match &medians[..] {
        [] => format!("{}: no values.", series.name),
        [(low, at), .., (high, to)] => {
            format!("{}: medians from {} at k = {at} to {} at k = {to}.", series.name, number(*low), number(*high))
        }
        [(only, at)] => format!("{}: median {} at k = {at}.", series.name, number(*only)),
    }
}

fn dots(b: &crate::summary::BoxStats) -> impl Iterator<Item = f64> + '_ {
    evenly(b.outliers.len(), DOTS).into_iter().map(|i| b.outliers[i])
}
