//! Histograms of sizes, such as of |J_ab - J_ba| of all pairs (Fig. 3), all of a figure on the same axes. In: values by run and place.
//! Out: marks. The band reaches to three times the error.
use super::Panel;
use super::axis::Axis;
use super::frame::Frame;
use super::marks::{Mark, Pen, sign};
use crate::run::CLEAR;

/// Bins of a histogram.
const BINS: usize = 40;
/// Most decades of a histogram: what is smaller is in its first bin.
const DECADES: f64 = 8.0;

/// The values of one run at one place.
#[derive(Clone, Debug)]
pub struct Values {
    /// The run's name.
    pub name: String,
    /// Number of its colour and sign.
    pub colour: usize,
    /// None where the run has no such place.
    pub values: Option<Vec<f64>>,
    /// Of one of them; NaN if unknown.
    pub error: f64,
}

/// Bars of one run.
#[derive(Clone, Debug)]
struct Bars {
    name: String,
    colour: usize,
    count: usize,
    zeros: usize,
    error: f64,
    shares: Vec<f64>,
}

/// A histogram, one colour per run.
#[derive(Clone, Debug)]
pub struct Histogram {
    place: String,
    low: f64,
    high: f64,
    most: f64,
    runs: Vec<Bars>,
}

impl Histogram {
    /// Of values by place, each with its name, on the same axes.
    pub fn all(places: &[(String, Vec<Values>)]) -> Vec<Self> {
        let all = || places.iter().flat_map(|p| &p.1).filter_map(|v| v.values.as_ref()).flatten().copied();
        let positive = || all().filter(|v| v.is_finite() && *v > 0.0);
        let high = positive().fold(0.0, f64::max).max(f64::MIN_POSITIVE).log10();
        let low = positive().fold(f64::INFINITY, f64::min).log10().max(high - DECADES).min(high - 0.5) - 0.1;
        let high = high + 0.1;
        let width = (high - low) / BINS as f64;
        let bin = |v: f64| (((v.log10() - low) / width).floor().max(0.0) as usize).min(BINS - 1);
        let bars = |own: &Values| {
            let values = own.values.as_ref()?;
            let mut shares = vec![0.0; BINS];
            values.iter().filter(|v| **v > 0.0 && v.is_finite()).for_each(|&v| shares[bin(v)] += 1.0);
            shares.iter_mut().for_each(|share| *share /= values.len().max(1) as f64);
            let zeros = values.iter().filter(|v| **v == 0.0).count();
            let (name, colour, error) = (own.name.clone(), own.colour, own.error);
            Some(Bars { name, colour, count: values.len(), zeros, error, shares })
        };
        let of = |(place, runs): &(String, Vec<Values>)| (place.clone(), runs.iter().filter_map(bars).collect());
        let found: Vec<(String, Vec<Bars>)> = places.iter().map(of).collect();
        // What is below the axis is in the first bin and does not stretch the other axis.
        let most = found.iter().flat_map(|f| &f.1).flat_map(|b| &b.shares[1..]).copied().fold(0.05, f64::max);
        found.into_iter().map(|(place, runs)| Histogram { place, low, high, most, runs }).collect()
    }

    pub(super) fn axis(&self) -> Axis {
        Axis { low: 0.0, ..Axis::linear([0.0, self.most].into_iter()) }
    }

    pub(super) fn draw(&self, frame: &Frame, vertical: &(Axis, bool)) -> Vec<Mark> {
        let (low, high) = (self.low, self.high);
        let decades = Axis::decades([10f64.powf(low), 10f64.powf(high)].into_iter());
        let (x, y) = (frame.across(Axis { low, high, ..decades }, true), frame.up(vertical));
        let edge = |b: usize| x.at(10f64.powf(low + (high - low) / BINS as f64 * b as f64));
        let (floor, top) = (y.at(0.0), y.at(self.most));
        let (mut inside, mut bars) = (vec![], vec![]);
        for own in &self.runs {
            let bound = CLEAR * own.error;
            if bound > 0.0 && bound.log10() > low {
                let band = Mark::rectangle(Pen::Band, (edge(0), top), (x.at(bound), floor));
                let bound = Mark::line(Pen::Bound, vec![(x.at(bound), top), (x.at(bound), floor)]);
                inside.push(Mark::series(own.colour, vec![band, bound]));
            }
            let step = |(b, share): (usize, &f64)| [(edge(b), y.at(*share)), (edge(b + 1), y.at(*share))];
            let mut outline = vec![(edge(0), floor)];
            outline.extend(own.shares.iter().enumerate().flat_map(step));
            outline.push((edge(BINS), floor));
            let mut marks = vec![Mark::area(Pen::Bars, outline)];
            let peak = (0..BINS).max_by(|a, b| own.shares[*a].total_cmp(&own.shares[*b]));
            if let Some(peak) = peak.filter(|_| self.runs.len() > 1) {
                let at = ((edge(peak) + edge(peak + 1)) / 2.0, y.at(own.shares[peak].min(self.most)));
                marks.push(sign(own.colour, Pen::Point, at, 2.8 * frame.look.scale));
            }
            let title = format!("{}, {}: {} values, {} of them 0", own.name, self.place, own.count, own.zeros);
            bars.push(Mark::series(own.colour, vec![Mark::Group { series: None, title, marks }]));
        }
        inside.extend(bars);
        frame.draw(&x, &y, None, inside)
    }

    pub(super) fn told(&self, panel: &Panel) -> String {
        let runs: Vec<String> = self.runs.iter().map(|r| format!("{}: {} values", r.name, r.count)).collect();
        format!("Histogram of {} at {}. {}", panel.below, self.place, runs.join("; "))
    }

    /// Whether an error is known of any run.
    pub(super) fn banded(&self) -> bool {
        self.runs.iter().any(|r| r.error > 0.0)
    }
}
