//! Frames of the page's plots: scales, grid, ticks and labels as inline SVG. In: axes and what lies between them. Out: markup
//! whose colours are all CSS variables, so that it follows the page from light to dark and to paper.
use crate::summary::axis::{Axis, decade_label};
use crate::summary::number;
use maud::{Markup, html};
use std::fmt::Write;

/// Space for the title.
const TOP: f64 = 28.0;
/// Space for the horizontal axis.
const BOTTOM: f64 = 42.0;
/// Space for the vertical axis.
const LEFT: f64 = 62.0;
/// Space on the right.
const RIGHT: f64 = 10.0;
/// Closest that two labels may stand side by side, pixels.
const BESIDE: f64 = 30.0;
/// Closest that two labels may stand one above the other, pixels.
const ABOVE: f64 = 17.0;
/// Most fine lines of the grid: more are a grey area.
const MOST_FINE: usize = 24;

/// From values to pixels.
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
    fn labels(&self, apart: f64) -> Vec<(f64, String)> {
        let mut chosen: Vec<(f64, String)> = vec![];
        let round = |place: f64| (place - place.round()).abs() < 1e-9;
        // Powers of ten go first.
        let (first, rest): (Vec<f64>, Vec<f64>) = self.axis.major.iter().partition(|p| !self.log || round(**p));
        for place in first.into_iter().chain(rest) {
            let at = self.tick(place);
            if chosen.iter().all(|(other, _)| (other - at).abs() >= apart) {
                chosen.push((at, if self.log { decade_label(place) } else { short(place) }));
            }
        }
        chosen
    }
}

/// A plot's place and its words.
pub struct Frame<'a> {
    /// In units of the drawing.
    pub width: f64,
    /// In units of the drawing.
    pub height: f64,
    /// Above it.
    pub title: &'a str,
    /// Below the horizontal axis.
    pub x: &'a str,
    /// Beside the vertical axis.
    pub y: &'a str,
    /// What a person who cannot see it is told.
    pub about: String,
}

impl Frame<'_> {
    /// Length of the horizontal axis.
    pub fn inner(&self) -> f64 {
        self.width - LEFT - RIGHT
    }

    /// The horizontal scale.
    pub fn across(&self, axis: Axis, log: bool) -> Scale {
        Scale { axis, log, from: LEFT, to: self.width - RIGHT }
    }

    /// The vertical scale.
    pub fn up(&self, axis: Axis, log: bool) -> Scale {
        Scale { axis, log, from: self.height - BOTTOM, to: TOP }
    }

    /// The drawing. `ticks` are labels of the horizontal axis in place of its own.
    pub fn draw(&self, x: &Scale, y: &Scale, ticks: Option<Vec<(f64, String)>>, inside: Markup) -> Markup {
        let (left, right, top, bottom) = (LEFT, self.width - RIGHT, TOP, self.height - BOTTOM);
        let level = |d: String, at: f64| d + &line(&[(left, at), (right, at)]);
        let upright = |d: String, at: f64| d + &line(&[(at, bottom), (at, bottom + 4.0)]);
        let rows = y.labels(ABOVE);
        let fine = if y.axis.minor.len() > MOST_FINE { &[][..] } else { &y.axis.minor };
        let columns = ticks.unwrap_or_else(|| x.labels(BESIDE));
        let (middle, half) = ((left + right) / 2.0, (top + bottom) / 2.0);
        html! {
            svg.plot viewBox={ "0 0 " (px(self.width)) " " (px(self.height)) } role="img" aria-label=(self.about) {
                path.fine d=(fine.iter().map(|&m| y.tick(m)).fold(String::new(), level)) {}
                path.grid d=(rows.iter().map(|r| r.0).fold(String::new(), level)) {}
                (inside)
                path.axis d={ (line(&[(left, top), (left, bottom), (right, bottom)])) (columns.iter().map(|c| c.0).fold(String::new(), upright)) } {}
                @for (at, label) in &rows { text.tick.end x=(px(left - 6.0)) y=(px(at + 4.0)) { (label) } }
                @for (at, label) in &columns { text.tick.middle x=(px(*at)) y=(px(bottom + 17.0)) { (label) } }
                text.head x=(px(left)) y="17" { (self.title) }
                text.words.middle x=(px(middle)) y=(px(self.height - 6.0)) { (drawn(self.x)) }
                text.words.middle x="0" y="0" transform={ "translate(13 " (px(half)) ") rotate(-90)" } { (drawn(self.y)) }
            }
        }
    }
}

/// What the axis of timesteps is called: places are evenly spaced whatever lies between them.
pub fn timestep(ks: &[usize]) -> &'static str {
    let even = ks.windows(3).all(|k| k[1].wrapping_sub(k[0]) == k[2].wrapping_sub(k[1]));
    if even { "timestep k" } else { "timestep k (not to scale)" }
}

/// Labels for timesteps by their number, thinned.
pub fn timesteps(x: &Scale, ks: &[usize]) -> Vec<(f64, String)> {
    let mut chosen: Vec<(f64, String)> = vec![];
    for (t, k) in ks.iter().enumerate() {
        let at = x.at(t as f64);
        if chosen.last().is_none_or(|(other, _)| at - other >= BESIDE) {
            chosen.push((at, k.to_string()));
        }
    }
    chosen
}

/// The axis of `n` places at 0, 1, ..
pub fn places(n: usize) -> Axis {
    Axis { low: -0.6, high: n.max(1) as f64 - 0.4, major: vec![], minor: vec![] }
}

/// A round number without the zeros at its end.
fn short(value: f64) -> String {
    let text = number(value);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// A formula in parts: what stands on the line, and the index after it. Only letters that stand alone have an index (J_ab).
fn indices(text: &str) -> Vec<(&str, &str)> {
    let mut parts = vec![];
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest[from..].find('_').map(|i| i + from) {
        let mut before = rest[..at].chars().rev();
        let alone = before.next().is_some_and(char::is_alphabetic) && !before.next().is_some_and(char::is_alphanumeric);
        let index = &rest[at + 1..];
        let length = index.find(|c: char| !c.is_alphanumeric()).unwrap_or(index.len());
        if alone && length > 0 {
            parts.push((&rest[..at], &index[..length]));
            (rest, from) = (&index[length..], 0);
        } else {
            from = at + 1;
        }
    }
    parts.push((rest, ""));
    parts
}

/// A formula of ours with its indices set below the line.
pub fn formula(text: &str) -> Markup {
    html! { @for (line, index) in indices(text) { (line) @if !index.is_empty() { sub { (index) } } } }
}

/// The same within a drawing.
fn drawn(text: &str) -> Markup {
    html! { @for (i, (line, index)) in indices(text).into_iter().enumerate() {
        @if i > 0 && !line.is_empty() { tspan dy="-3" { (line) } } @else { (line) }
        @if !index.is_empty() { tspan.index dy="3" { (index) } }
    } }
}

/// A unit as it is written: nat/x² for nat/x^2, nothing for pure numbers.
pub fn unit(unit: &str) -> String {
    if unit == "1" { String::new() } else { unit.replace("^2", "²").replace("^4", "⁴") }
}

/// A tenth of a pixel is enough.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// Path data of a polyline.
pub fn line(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, px(*x), px(*y));
    }
    d
}
