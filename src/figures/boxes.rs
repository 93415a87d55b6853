//! Box plots: quartiles, whiskers and outliers of samples at each place, a colour and a sign per run. In: `Cell`s. Out: marks. What
//! lies in the tinted band is under three times its error; boxes of medians that are not resolved, or not checked, are hollow.
use super::Panel;
use super::axis::{Axis, places};
use super::frame::{Frame, Scale};
use super::marks::{Anchor, Mark, Pen, Voice, hatch, sign};
use crate::run::CLEAR;
use crate::summary::{BoxStats, Cell, evenly, number};

/// Room for a box, pixels of the page.
const SLOT: f64 = 9.0;
/// Widest half of a box, pixels of the page.
const HALF: f64 = 7.0;
/// Most outliers drawn of a box, evenly chosen, the outermost among them.
const DOTS: usize = 6;
/// Panels whose middles are further apart have scales of their own, decades.
const APART: f64 = 2.0;

/// The boxes of one run.
#[derive(Clone, Debug)]
pub struct Series {
    /// The run's name.
    pub name: String,
    /// Number of its colour and sign.
    pub colour: usize,
    /// Of the sizes of the values, at each place; none where the run has no such place.
    pub cells: Vec<Option<Cell>>,
}

/// Boxes side by side.
#[derive(Clone, Debug)]
pub struct Boxes {
    /// What stands below each place.
    pub places: Vec<String>,
    /// What a place is called before its label, in words: `k = `.
    pub at: &'static str,
    /// True where places follow each other, so that a line from median to median means something.
    pub joined: bool,
    /// What a box is of, as `8 samples`.
    pub of: String,
    /// One colour each.
    pub series: Vec<Series>,
}

impl Boxes {
    /// Every cell that there is.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> + Clone {
        self.series.iter().flat_map(|s| s.cells.iter().flatten())
    }

    /// Its own axis.
    pub(super) fn axis(&self) -> Axis {
        shared(&[self])
    }

    fn median(&self) -> Option<f64> {
        let all = self.cells().filter_map(|c| c.stats.as_ref()).map(|s| s.median).filter(|m| *m > 0.0);
        let all: Vec<f64> = all.map(f64::log10).collect();
        BoxStats::of(&all).map(|s| s.median)
    }

    pub(super) fn draw(&self, frame: &Frame, vertical: &(Axis, bool)) -> Vec<Mark> {
        let unit = frame.look.scale;
        let (x, y) = (frame.across(places(self.places.len()), false), frame.up(vertical));
        // Runs that share no place stand in the middle of their own.
        let beside = |t: usize| self.series.iter().filter(|s| s.cells.get(t).is_some_and(Option::is_some)).count();
        let alone = (0..self.places.len()).all(|t| beside(t) <= 1);
        let count = if alone { 1.0 } else { self.series.len() as f64 };
        let most = (frame.inner() / (SLOT * unit) / count).max(1.0) as usize;
        let step = self.places.len().div_ceil(most).max(1);
        let slot = (x.at(step as f64) - x.at(0.0)).min(frame.inner()) * 0.84 / count;
        let slot = if self.places.len() == 1 { (4.0 * HALF * unit).min(frame.inner() * 0.84 / count) } else { slot };
        let half = (slot * 0.42).clamp(1.0 * unit, HALF * unit);
        let mut inside = vec![];
        let shift = |number: usize| match alone {
            true => 0.0,
            false => (number as f64 - (count - 1.0) / 2.0) * slot.min(2.6 * half),
        };
        for (number, own) in self.series.iter().enumerate() {
            let marks = match self.joined {
                true => band(own, &x, &y),
                false => bands(own, |t| (x.at(t as f64) + shift(number), slot.min(2.6 * half) / 2.0), &y),
            };
            inside.push(Mark::series(own.colour, marks));
        }
        for (number, own) in self.series.iter().enumerate() {
            let centre = |t: usize| x.at(t as f64) + shift(number);
            let known = || own.cells.iter().enumerate().filter_map(|(t, c)| Some((t, c.as_ref()?)));
            let mut marks = vec![];
            if self.joined {
                let medians = known().filter_map(|(t, c)| Some((centre(t), y.at(c.stats.as_ref()?.median))));
                marks.push(Mark::line(Pen::Medians, medians.collect()));
            }
            for (t, cell) in known().filter(|(t, _)| t.is_multiple_of(step)) {
                let Some(stats) = &cell.stats else { continue };
                let title = format!("{}, {}{}: {}", own.name, self.at, self.places[t], said(cell));
                let mut drawn = one(cell, stats, (centre(t), half), |v| y.at(v), own.colour, unit);
                if self.series.len() > 1 {
                    let radius = (half * 0.8).clamp(1.4 * unit, 2.6 * unit);
                    let pen = if cell.clear() { Pen::Point } else { Pen::Faint };
                    drawn.push(sign(own.colour, pen, (centre(t), y.at(stats.median)), radius));
                }
                marks.push(Mark::Group { series: None, title, marks: drawn });
            }
            inside.push(Mark::series(own.colour, marks));
        }
        if !self.cells().any(|c| c.stats.as_ref().is_some_and(|b| b.max > 0.0)) {
            inside.push(Mark::Words(frame.words(Voice::Words, Anchor::Middle, frame.middle(), "no positive values")));
        }
        frame.draw(&x, &y, Some(frame.thinned(&x, &self.places)), inside)
    }

    pub(super) fn told(&self, panel: &Panel) -> String {
        let runs = self.series.iter().map(|s| self.of_series(s)).collect::<Vec<_>>().join(" ");
        let over = if self.joined { " over timesteps" } else { "" };
        let title = if panel.title.is_empty() { String::new() } else { format!(", {}", panel.title) };
        format!("Box plots of {}{over}{title}. {runs}", panel.label)
    }

    /// A series in a sentence: where its medians are smallest and largest.
    fn of_series(&self, series: &Series) -> String {
        let medians = series.cells.iter().zip(&self.places);
        let medians = medians.filter_map(|(c, k)| Some((c.as_ref()?.stats.as_ref()?.median, k)));
        let mut medians: Vec<(f64, &String)> = medians.collect();
        medians.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = self.at;
        match &medians[..] {
            [] => format!("{}: no values.", series.name),
            [(low, from), .., (high, to)] => {
                let (low, high) = (number(*low), number(*high));
                format!("{}: medians from {low} at {at}{from} to {high} at {at}{to}.", series.name)
            }
            [(only, place)] => format!("{}: median {} at {at}{place}.", series.name, number(*only)),
        }
    }
}

/// Whether the middles of box plots are so far apart that one scale would hide what is in them.
pub fn apart(all: &[&Boxes]) -> bool {
    let middles = all.iter().filter_map(|b| b.median());
    let (low, high) = middles.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    high - low > APART
}

/// One axis for several box plots. What lies below the box of a median that is not resolved does not stretch it, nor do errors far
/// below everything.
pub fn shared(all: &[&Boxes]) -> Axis {
    let cells = all.iter().flat_map(|b| b.cells());
    let ends = |c: &Cell| {
        let stats = c.stats.iter().flat_map(|b| [b.low, b.q1, b.median, b.q3, b.high].into_iter().chain(dots(b)));
        let least = c.stats.as_ref().filter(|_| !c.clear()).map_or(f64::NEG_INFINITY, |b| b.q1);
        stats.filter(|v| *v >= least).collect::<Vec<_>>()
    };
    let values: Vec<f64> = cells.clone().flat_map(ends).collect();
    let least = values.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let bands = cells.map(|c| CLEAR * c.error()).filter(|e| *e > least * 0.05);
    Axis::decades(values.iter().copied().chain(bands))
}

/// Up to three times the largest error.
fn band(series: &Series, x: &Scale, y: &Scale) -> Vec<Mark> {
    let known = series.cells.iter().enumerate().filter_map(|(t, c)| Some((t, c.as_ref()?.error())));
    let known = known.filter(|(_, error)| *error > 0.0);
    let edge: Vec<(f64, f64)> = known.map(|(t, error)| (x.at(t as f64), y.at(CLEAR * error))).collect();
    let (Some(first), Some(last)) = (edge.first(), edge.last()) else { return vec![] };
    let (from, to) = (x.at(f64::NEG_INFINITY), x.at(f64::INFINITY));
    let edge: Vec<(f64, f64)> =
        [(from, first.1)].into_iter().chain(edge.iter().copied()).chain([(to, last.1)]).collect();
    let floor = y.at(f64::NEG_INFINITY);
    let area = edge.iter().copied().chain([(to, floor), (from, floor)]).collect();
    vec![Mark::area(Pen::Band, area), Mark::line(Pen::Bound, edge)]
}

/// The same of places that do not follow each other, each as wide as its box has room.
fn bands(series: &Series, room: impl Fn(usize) -> (f64, f64), y: &Scale) -> Vec<Mark> {
    let known = series.cells.iter().enumerate().filter_map(|(t, c)| Some((t, c.as_ref()?.error())));
    let mut marks = vec![];
    for (t, error) in known.filter(|(_, error)| *error > 0.0) {
        let ((at, half), edge) = (room(t), y.at(CLEAR * error));
        marks.push(Mark::rectangle(Pen::Band, (at - half, edge), (at + half, y.at(f64::NEG_INFINITY))));
        marks.push(Mark::line(Pen::Bound, vec![(at - half, edge), (at + half, edge)]));
    }
    marks
}

/// One box at a place of half that width.
fn one(
    cell: &Cell,
    b: &BoxStats,
    (at, half): (f64, f64),
    y: impl Fn(f64) -> f64,
    colour: usize,
    unit: f64,
) -> Vec<Mark> {
    let whiskers = vec![vec![(at, y(b.q1)), (at, y(b.low))], vec![(at, y(b.q3)), (at, y(b.high))]];
    let height = (y(b.q1) - y(b.q3)).max(0.6 * unit);
    let corners = ((at - half, y(b.q3)), (at + half, y(b.q3) + height));
    let pen = if cell.clear() { Pen::Box } else { Pen::Hollow };
    let mut marks = vec![Mark::Path { pen: Pen::Whisker, lines: whiskers, closed: false }];
    marks.push(Mark::rectangle(pen, corners.0, corners.1));
    if cell.clear() && half > 2.0 * unit {
        marks.extend(hatch(colour, corners.0, corners.1, 4.5 * unit));
    }
    marks.push(Mark::line(Pen::Median, vec![(at - half, y(b.median)), (at + half, y(b.median))]));
    marks.extend(dots(b).map(|v| Mark::Circle { pen: Pen::Dot, at: (at, y(v)), radius: 1.6 * unit }));
    marks
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

fn dots(b: &BoxStats) -> impl Iterator<Item = f64> + '_ {
    evenly(b.outliers.len(), DOTS).into_iter().map(|i| b.outliers[i])
}
