//! Points over timesteps with bars, as in Fig. 4, and the values of single samples where there are no timesteps. In: (value, bar) by
//! run. Out: marks. A point within its bar of zero is hollow.
use super::Panel;
use super::axis::{Axis, places};
use super::frame::Frame;
use super::marks::{Anchor, Mark, Pen, Voice, sign};
use crate::summary::number;

/// One run.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The run's name.
    pub name: String,
    /// Number of its colour and sign.
    pub colour: usize,
    /// (value, half length of its bar) at each place; none where the run has no such timestep.
    pub points: Vec<Option<(f64, f64)>>,
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
    /// (place, value, bar) of what is finite.
    pub fn shown(&self) -> Vec<(usize, f64, f64)> {
        let point = |(t, p): (usize, &Option<(f64, f64)>)| p.map(|(v, bar)| (t, v, bar)).filter(|p| p.1.is_finite());
        self.points.iter().enumerate().filter_map(point).collect()
    }
}

impl Curves {
    /// In decades if every value is positive, else linear with its zero.
    pub(super) fn axis(&self) -> (Axis, bool) {
        let all: Vec<(usize, f64, f64)> = self.curves.iter().flat_map(Curve::shown).collect();
        let log = !all.is_empty() && all.iter().all(|p| p.1 > 0.0);
        let reach = |bar: f64| if bar.is_finite() { bar } else { 0.0 };
        let ends = all.iter().flat_map(|p| [p.1 - reach(p.2), p.1, p.1 + reach(p.2)]);
        let least = all.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
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
            let mut marks = vec![Mark::line(Pen::Medians, points.iter().map(|p| (at(p.0), y.at(p.1))).collect())];
            for &(t, value, bar) in &points {
                let title = format!("{}, k = {}: {} ± {}", curve.name, self.places[t], number(value), number(bar));
                let mut drawn = vec![];
                if bar.is_finite() {
                    drawn.push(Mark::line(Pen::Bar, vec![(at(t), y.at(value - bar)), (at(t), y.at(value + bar))]));
                }
                let pen = if value.abs() > bar { Pen::Point } else { Pen::Faint };
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
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (name, place) =
            (&curve.name, |p: &(usize, f64, f64)| format!("{} at k = {}", number(p.1), self.places[p.0]));
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
