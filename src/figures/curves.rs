//! Points over timesteps with bars, as in Fig. 4, and the values of single samples where there are no timesteps. In: (value, bar) by
//! run. Out: marks. A point that is not resolved, or not checked, is hollow.
use super::Panel;
use super::axis::{Axis, places};
use super::frame::Frame;
use super::marks::{Anchor, Mark, Pen, Voice, sign};
use crate::run::Verdict;
use crate::summary::number;

/// A value over the samples.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Where it is.
    pub value: f64,
    /// Half length of its bar; NaN if unknown.
    pub bar: f64,
    /// What may be said of it.
    pub verdict: Verdict,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The run's name.
    pub name: String,
    /// Number of its colour and sign.
    pub colour: usize,
    /// At each place; none where the run has no such timestep.
    pub points: Vec<Option<Point>>,
}

/// Points of several runs.
#[derive(Clone, Debug)]
pub struct Curves {
    /// What stands below each place.
    pub places: Vec<String>,
    /// What the points are.
    pub points: &'static str,
    /// What the bars are.
    pub bars: &'static str,
    /// One colour each.
    pub curves: Vec<Curve>,
}

impl Curve {
    /// What is finite, and where.
    pub fn shown(&self) -> Vec<(usize, Point)> {
        let point = |(t, p): (usize, &Option<Point>)| p.filter(|p| p.value.is_finite()).map(|p| (t, p));
        self.points.iter().enumerate().filter_map(point).collect()
    }
}

impl Curves {
    /// In decades if every value is positive, else linear with its zero.
    pub(super) fn axis(&self) -> (Axis, bool) {
        let all: Vec<Point> = self.curves.iter().flat_map(Curve::shown).map(|p| p.1).collect();
        let log = !all.is_empty() && all.iter().all(|p| p.value > 0.0);
        let reach = |bar: f64| if bar.is_finite() { bar } else { 0.0 };
        let ends = all.iter().flat_map(|p| [p.value - reach(p.bar), p.value, p.value + reach(p.bar)]);
        let least = all.iter().map(|p| p.value).fold(f64::INFINITY, f64::min);
        match log {
            true => (Axis::decades(ends.filter(|v| *v > least * 0.1)), true),
            false => (Axis::linear(ends.chain([0.0])), false),
        }
    }

    pub(super) fn draw(&self, frame: &Frame, vertical: &(Axis, bool)) -> Vec<Mark> {
        let unit = frame.look.scale;
        let (x, y) = (frame.across(places(self.places.len()), false), frame.up(vertical));
        let count = self.curves.len().max(1) as f64;
        let slot = ((x.at(1.0) - x.at(0.0)) * 0.5 / count).min(9.0 * unit);
        let (from, to) = (x.at(f64::NEG_INFINITY), x.at(f64::INFINITY));
        let mut inside = vec![];
        if !vertical.1 {
            inside.push(Mark::line(Pen::Zero, vec![(from, y.at(0.0)), (to, y.at(0.0))]));
        }
        for (i, curve) in self.curves.iter().enumerate() {
            let points = curve.shown();
            let at = |t: usize| x.at(t as f64) + (i as f64 - (count - 1.0) / 2.0) * slot;
            let mut marks = vec![Mark::line(Pen::Medians, points.iter().map(|p| (at(p.0), y.at(p.1.value))).collect())];
            for &(t, Point { value, bar, verdict }) in &points {
                let title = format!(
                    "{}, k = {}: {} ± {}, {}",
                    curve.name,
                    self.places[t],
                    number(value),
                    number(bar),
                    verdict.word()
                );
                let mut drawn = vec![];
                if bar.is_finite() {
                    drawn.push(Mark::line(Pen::Bar, vec![(at(t), y.at(value - bar)), (at(t), y.at(value + bar))]));
                }
                let pen = if verdict == Verdict::Resolved { Pen::Point } else { Pen::Faint };
                drawn.push(sign(curve.colour, pen, (at(t), y.at(value)), 3.4 * unit));
                marks.push(Mark::Group { series: None, title, marks: drawn });
            }
            inside.push(Mark::series(curve.colour, marks));
        }
        if self.curves.iter().all(|c| c.shown().is_empty()) {
            inside.push(Mark::Words(frame.words(Voice::Words, Anchor::Middle, frame.middle(), "no finite values")));
        }
        frame.draw(&x, &y, Some(frame.thinned(&x, &self.places)), inside)
    }

    pub(super) fn told(&self, panel: &Panel) -> String {
        let told: Vec<String> = self.curves.iter().map(|c| self.of_curve(c)).collect();
        let title = if panel.title.is_empty() { &panel.label } else { &panel.title };
        format!("{title} over timesteps; bars: {}. {}", self.bars, told.join(" "))
    }

    fn of_curve(&self, curve: &Curve) -> String {
        let mut sorted = curve.shown();
        sorted.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
        let (name, place) =
            (&curve.name, |p: &(usize, Point)| format!("{} at k = {}", number(p.1.value), self.places[p.0]));
        match &sorted[..] {
            [] => format!("{name}: no values."),
            [low, .., high] => format!("{name}: from {} to {}.", place(low), place(high)),
            [only] => format!("{name}: {}.", place(only)),
        }
    }
}

/// The samples of one run.
#[derive(Clone, Debug)]
pub struct Strip {
    /// The run's name.
    pub name: String,
    /// Number of its colour and sign.
    pub colour: usize,
    /// Every sample.
    pub values: Vec<f64>,
    /// Mean and standard error.
    pub mean: (f64, f64),
}

/// The samples of each run as dots, with mean and standard error beside them.
#[derive(Clone, Debug)]
pub struct Strips(pub Vec<Strip>);

impl Strips {
    pub(super) fn axis(&self) -> Axis {
        Axis::linear(self.0.iter().flat_map(|r| r.values.iter().copied()).filter(|v| v.is_finite()))
    }

    pub(super) fn draw(&self, frame: &Frame, vertical: &(Axis, bool)) -> Vec<Mark> {
        let unit = frame.look.scale;
        let (x, y) = (frame.across(places(self.0.len()), false), frame.up(vertical));
        let mut inside = vec![];
        for (i, Strip { name, colour, values, mean: (mean, error) }) in self.0.iter().enumerate() {
            let mut marks = vec![];
            for (n, v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                // A fixed spread to the left, so that equal values can be told apart.
                let at = (x.at(i as f64) - unit * (10.0 + (n * 37 % 64) as f64), y.at(*v));
                let title = format!("{name}, sample {n}: {}", number(*v));
                let marks_of = vec![Mark::Circle { pen: Pen::Dot, at, radius: 2.6 * unit }];
                marks.push(Mark::Group { series: None, title, marks: marks_of });
            }
            if mean.is_finite() {
                let at = x.at(i as f64) + 14.0 * unit;
                if error.is_finite() {
                    marks.push(Mark::line(Pen::Bar, vec![(at, y.at(mean - error)), (at, y.at(mean + error))]));
                }
                marks.push(sign(*colour, Pen::Point, (at, y.at(*mean)), 4.4 * unit));
                let said = format!("{} ± {}", number(*mean), number(*error));
                let place = (at + 10.0 * unit, y.at(*mean) + 0.36 * frame.look.tick);
                marks.push(Mark::Words(frame.words(Voice::Tick, Anchor::Start, place, &said)));
            }
            inside.push(Mark::series(*colour, marks));
        }
        let ticks = self.0.iter().enumerate().map(|(i, r)| (x.at(i as f64), r.name.clone())).collect();
        frame.draw(&x, &y, Some(ticks), inside)
    }

    pub(super) fn told(&self, panel: &Panel) -> String {
        let said = |r: &Strip| {
            let (mean, error) = (number(r.mean.0), number(r.mean.1));
            format!("{}: mean {mean} ± {error} of {} samples.", r.name, r.values.len())
        };
        format!("{} of every sample. {}", panel.label, self.0.iter().map(said).collect::<Vec<_>>().join(" "))
    }
}
