//! Means over timesteps with error bars, and the values of single samples where there are no timesteps.
//! In: (value, error) by run. Out: inline SVG. A point within its bar of zero is hollow.
use super::plot::{Frame, line, places, px, timestep, timesteps};
use crate::summary::axis::Axis;
use crate::summary::number;
use maud::{Markup, html};

/// One run.
pub struct Curve<'a> {
    /// The run's label.
    pub name: &'a str,
    /// Number of its colour.
    pub colour: usize,
    /// (value, half length of its bar) at each place; none where the run has no such timestep.
    pub points: Vec<Option<(f64, f64)>>,
}

/// A drawing.
pub struct Figure<'a> {
    /// Above it.
    pub title: &'a str,
    /// Of the vertical axis.
    pub label: &'a str,
    /// k, ascending.
    pub timesteps: &'a [usize],
    /// Width and height.
    pub size: (f64, f64),
    /// What the bars are, for who cannot see them.
    pub bars: &'a str,
    /// One colour each.
    pub curves: Vec<Curve<'a>>,
}

/// The drawing: in decades if every value is positive, else on a linear axis with its zero.
pub fn draw(figure: &Figure) -> Markup {
    let ks = figure.timesteps;
    let shown = |c: &Curve| -> Vec<(usize, f64, f64)> {
        let point = |(t, p): (usize, &Option<(f64, f64)>)| p.map(|(v, bar)| (t, v, bar)).filter(|p| p.1.is_finite());
        c.points.iter().enumerate().filter_map(point).collect()
    };
    let all: Vec<(usize, f64, f64)> = figure.curves.iter().flat_map(shown).collect();
    let log = !all.is_empty() && all.iter().all(|p| p.1 > 0.0);
    let reach = |bar: f64| if bar.is_finite() { bar } else { 0.0 };
    let ends = all.iter().flat_map(|p| [p.1 - reach(p.2), p.1, p.1 + reach(p.2)]);
    let least = all.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let axis = if log { Axis::decades(ends.filter(|v| *v > least * 0.1)) } else { Axis::linear(ends.chain([0.0])) };
    let told: Vec<String> = figure.curves.iter().map(|c| told(c.name, ks, &shown(c))).collect();
    let about = format!("{} over timesteps; bars: {}. {}", figure.title, figure.bars, told.join(" "));
    let (width, height) = figure.size;
    let frame = Frame { width, height, title: figure.title, x: timestep(ks), y: figure.label, about };
    let (x, y) = (frame.across(places(ks.len()), false), frame.up(axis, log));
    let count = figure.curves.len().max(1) as f64;
    let slot = ((x.at(1.0) - x.at(0.0)) * 0.5 / count).min(9.0);
    let (from, to) = (x.at(f64::NEG_INFINITY), x.at(f64::INFINITY));
    let inside = html! {
        @if !log { path.zero d=(line(&[(from, y.at(0.0)), (to, y.at(0.0))])) {} }
        @for (i, curve) in figure.curves.iter().enumerate() {
            @let points = shown(curve);
            @let at = |t: usize| x.at(t as f64) + (i as f64 - (count - 1.0) / 2.0) * slot;
            g class={ "s" (curve.colour % 6) } {
                path.medians d=(line(&points.iter().map(|p| (at(p.0), y.at(p.1))).collect::<Vec<_>>())) {}
                @for &(t, value, bar) in &points {
                    g {
                        title { (curve.name) ", k = " (ks[t]) ": " (number(value)) " ± " (number(bar)) }
                        @if bar.is_finite() { path.bar d=(line(&[(at(t), y.at(value - bar)), (at(t), y.at(value + bar))])) {} }
                        circle class=(if value.abs() > bar { "point" } else { "point hollow" }) cx=(px(at(t))) cy=(px(y.at(value))) r="3.4" {}
                    }
                }
            }
        }
        @if all.is_empty() { text.words.middle x=(px(width / 2.0)) y=(px(height / 2.0)) { "no finite values" } }
    };
    frame.draw(&x, &y, Some(timesteps(&x, ks)), inside)
}

fn told(name: &str, ks: &[usize], points: &[(usize, f64, f64)]) -> String {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    match &sorted[..] {
        [] => format!("{name}: no values."),
        [low, .., high] => {
            format!("{name}: from {} at k = {} to {} at k = {}.", number(low.1), ks[low.0], number(high.1), ks[high.0])
        }
        [only] => format!("{name}: {} at k = {}.", number(only.1), ks[only.0]),
    }
}

/// The samples of each run as dots, with mean and standard error beside them: (label, colour, values, mean, error).
pub fn strips(label: &str, size: (f64, f64), runs: &[(&str, usize, &[f64], (f64, f64))]) -> Markup {
    let values = || runs.iter().flat_map(|r| r.2.iter().copied()).filter(|v| v.is_finite());
    let said = |r: &(&str, usize, &[f64], (f64, f64))| {
        format!("{}: mean {} ± {} of {} samples.", r.0, number(r.3.0), number(r.3.1), r.2.len())
    };
    let about = format!("{label} of every sample. {}", runs.iter().map(said).collect::<Vec<_>>().join(" "));
    let frame =
        Frame { width: size.0, height: size.1, title: "every sample; mean ± standard error", x: "", y: label, about };
    let (x, y) = (frame.across(places(runs.len()), false), frame.up(Axis::linear(values()), false));
    let inside = html! {
        @for (i, (name, colour, values, (mean, error))) in runs.iter().enumerate() {
            g class={ "s" (colour % 6) } {
                @for (n, v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                    // A fixed spread to the left, so that equal values can be told apart.
                    circle.dot cx=(px(x.at(i as f64) - 10.0 - (n * 37 % 64) as f64)) cy=(px(y.at(*v))) r="2.6" {
                        title { (name) ", sample " (n) ": " (number(*v)) }
                    }
                }
                @if mean.is_finite() {
                    @let at = x.at(i as f64) + 14.0;
                    @if error.is_finite() { path.bar d=(line(&[(at, y.at(mean - error)), (at, y.at(mean + error))])) {} }
                    circle.point cx=(px(at)) cy=(px(y.at(*mean))) r="4.4" {}
                    text.tick x=(px(at + 10.0)) y=(px(y.at(*mean) + 4.0)) { (number(*mean)) " ± " (number(*error)) }
                }
            }
        }
    };
    let ticks = runs.iter().enumerate().map(|(i, r)| (x.at(i as f64), r.0.to_string())).collect();
    frame.draw(&x, &y, Some(ticks), inside)
}
