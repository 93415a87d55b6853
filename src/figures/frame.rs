//! Frames of panels: scales, grid, ticks and labels. In: axes and what lies between them. Out: marks.
use super::axis::{Axis, decade_label, short};
use super::marks::{Anchor, Mark, Pen, Voice, Words};
use super::{Look, Panel, font, words};

/// Most fine lines of the grid: more are a grey area.
const MOST_FINE: usize = 24;

/// From values to places.
pub struct Scale {
    axis: Axis,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// Where a value lies. What has no place on the axis lies on its edge.
    pub fn at(&self, value: f64) -> f64 {
        let place = match self.log {
            true if value > 0.0 => value.log10(),
            true => self.axis.low,
            false => value,
        };
        let place = if place.is_nan() { self.axis.low } else { place.clamp(self.axis.low, self.axis.high) };
        let share = (place - self.axis.low) / (self.axis.high - self.axis.low);
        self.from + if share.is_finite() { share } else { 0.0 } * (self.to - self.from)
    }

    fn tick(&self, place: f64) -> f64 {
        self.at(if self.log { 10f64.powf(place) } else { place })
    }

    /// Major ticks with their labels, thinned until labels stand clear of each other.
    fn labels(&self, room: impl Fn(&str) -> f64) -> Vec<(f64, String)> {
        let mut chosen: Vec<(f64, String)> = vec![];
        let round = |place: f64| (place - place.round()).abs() < 1e-9;
        // Powers of ten go first.
        let (first, rest): (Vec<f64>, Vec<f64>) = self.axis.major.iter().partition(|p| !self.log || round(**p));
        let digits = !rest.is_empty();
        for place in first.into_iter().chain(rest) {
            let label = match self.log {
                // Among other digits a power of ten is written as they are.
                true if digits && (-2.0..=3.0).contains(&place.round()) => short(10f64.powf(place)),
                true => decade_label(place),
                false => short(place),
            };
            let at = self.tick(place);
            let clear = |(other, own): &(f64, String)| (other - at).abs() >= (room(own) + room(&label)) / 2.0;
            if chosen.iter().all(clear) {
                chosen.push((at, label));
            }
        }
        chosen
    }
}

/// A panel's place and its words.
#[derive(Clone)]
pub struct Frame<'a> {
    pub look: &'a Look,
    /// Upper left corner.
    pub at: (f64, f64),
    /// Width and height.
    pub size: (f64, f64),
    /// Above it.
    pub title: &'a str,
    /// Below the horizontal axis.
    pub below: &'a str,
    /// Beside the vertical axis.
    pub label: &'a str,
    /// Space for the vertical axis.
    pub left: f64,
}

impl<'a> Frame<'a> {
    /// Of a panel, without space for its vertical axis yet.
    pub fn of(look: &'a Look, panel: &'a Panel, at: (f64, f64), size: (f64, f64)) -> Self {
        Frame { look, at, size, title: &panel.title, below: &panel.below, label: &panel.label, left: 0.0 }
    }

    fn top(&self) -> f64 {
        self.at.1 + if self.title.is_empty() { 0.7 * self.look.tick } else { 1.75 * self.look.head }
    }

    fn bottom(&self) -> f64 {
        let words = if self.below.is_empty() { 0.2 } else { 1.6 };
        self.at.1 + self.size.1 - 4.0 * self.look.scale - 1.25 * self.look.tick - words * self.look.words
    }

    fn right(&self) -> f64 {
        self.at.0 + self.size.0 - 10.0 * self.look.scale
    }

    /// Length of the horizontal axis.
    pub fn inner(&self) -> f64 {
        self.right() - self.at.0 - self.left
    }

    /// Length of the vertical axis.
    pub fn height(&self) -> f64 {
        self.bottom() - self.top()
    }

    /// The middle.
    pub fn middle(&self) -> (f64, f64) {
        ((self.at.0 + self.left + self.right()) / 2.0, (self.top() + self.bottom()) / 2.0)
    }

    /// The horizontal scale.
    pub fn across(&self, axis: Axis, log: bool) -> Scale {
        Scale { axis, log, from: self.at.0 + self.left, to: self.right() }
    }

    /// The vertical scale.
    pub fn up(&self, (axis, log): &(Axis, bool)) -> Scale {
        Scale { axis: axis.clone(), log: *log, from: self.bottom(), to: self.top() }
    }

    fn rows(&self, y: &Scale) -> Vec<(f64, String)> {
        y.labels(|_| 1.45 * self.look.tick)
    }

    /// Space that the vertical axis wants.
    pub fn wanted(&self, vertical: &(Axis, bool)) -> f64 {
        let widths = self.rows(&self.up(vertical)).into_iter().map(|(_, label)| font::width(&label, self.look.tick));
        let label = if self.label.is_empty() { 0.0 } else { 1.45 * self.look.words };
        label + widths.fold(0.0, f64::max) + 9.0 * self.look.scale
    }

    /// Words on a line; formulas have their indices below it.
    pub fn words(&self, voice: Voice, anchor: Anchor, at: (f64, f64), text: &str) -> Words {
        let size = match voice {
            Voice::Head => self.look.head,
            Voice::Words => self.look.words,
            Voice::Tick | Voice::Said => self.look.tick,
        };
        let parts = if voice == Voice::Words { words::parts(text) } else { vec![(text.to_string(), false)] };
        Words { at, anchor, voice, size, upright: false, parts }
    }

    /// The panel with what is inside. `ticks` are labels of the horizontal axis in place of its own.
    pub fn draw(&self, x: &Scale, y: &Scale, ticks: Option<Vec<(f64, String)>>, inside: Vec<Mark>) -> Vec<Mark> {
        let (look, unit) = (self.look, self.look.scale);
        let (left, right, top, bottom) = (self.at.0 + self.left, self.right(), self.top(), self.bottom());
        let level = |at: f64| vec![(left, at), (right, at)];
        let rows = self.rows(y);
        let fine = if y.axis.minor.len() > MOST_FINE { &[][..] } else { &y.axis.minor };
        let columns = ticks.unwrap_or_else(|| x.labels(|label| font::width(label, look.tick) + look.tick));
        let lines = |pen: Pen, lines: Vec<Vec<(f64, f64)>>| Mark::Path { pen, lines, closed: false };
        let mut marks = vec![
            lines(Pen::Fine, fine.iter().map(|&m| level(y.tick(m))).collect()),
            lines(Pen::Grid, rows.iter().map(|r| level(r.0)).collect()),
        ];
        marks.extend(inside);
        let upright = columns.iter().map(|c| vec![(c.0, bottom), (c.0, bottom + 4.0 * unit)]);
        marks.push(lines(
            Pen::Axis,
            [vec![(left, top), (left, bottom), (right, bottom)]].into_iter().chain(upright).collect(),
        ));
        let mut say = |voice, anchor, at, text: &str, upright| {
            if !text.is_empty() {
                marks.push(Mark::Words(Words { upright, ..self.words(voice, anchor, at, text) }));
            }
        };
        for (at, label) in &rows {
            say(Voice::Tick, Anchor::End, (left - 5.0 * unit, at + 0.36 * look.tick), label, false);
        }
        let below = bottom + 4.0 * unit + 1.1 * look.tick;
        for (at, label) in &columns {
            say(Voice::Tick, Anchor::Middle, (*at, below), label, false);
        }
        say(Voice::Head, Anchor::Start, (left, self.at.1 + 1.15 * look.head), self.title, false);
        let (middle, half) = self.middle();
        say(Voice::Words, Anchor::Middle, (middle, below + 1.4 * look.words), self.below, false);
        say(Voice::Words, Anchor::Middle, (self.at.0 + look.words, half), self.label, true);
        marks
    }

    /// Labels at 0, 1, ..: every one, or every second, third, .. until they stand clear of each other.
    pub fn thinned(&self, x: &Scale, labels: &[String]) -> Vec<(f64, String)> {
        let gap = 0.6 * self.look.tick;
        let half = |place: usize| font::width(&labels[place], self.look.tick) / 2.0;
        let clear = |stride: &usize| {
            (0..labels.len())
                .step_by(*stride)
                .zip((0..labels.len()).step_by(*stride).skip(1))
                .all(|(a, b)| x.at(a as f64) + half(a) + gap <= x.at(b as f64) - half(b))
        };
        let stride = (1..labels.len()).find(clear).unwrap_or(labels.len().max(1));
        (0..labels.len()).step_by(stride).map(|place| (x.at(place as f64), labels[place].clone())).collect()
    }
}
