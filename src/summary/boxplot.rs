//! Box plots per timestep, one colour per series, as in Figs. 2, 5 and 6 of the paper, with the largest error beneath.
//! In: the statistics and their errors. Out: SVG text. Zeros and NaN have no place on a log axis: see `Frame::log`.
use super::axis::{Axis, decade_label};
use super::results::Cell;
use super::stats::{BoxStats, evenly};
use crate::error::{Error, Result};
use crate::run::Verdict;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What is drawn of one series at one timestep.
#[derive(Clone, Debug, PartialEq)]
pub struct Boxed {
    /// None if there is no finite value.
    pub stats: Option<BoxStats>,
    /// The largest error of the values that is known; NaN if none is.
    pub error: f64,
    /// What may be said of the median; none if no errors apply to it.
    pub verdict: Option<Verdict>,
}

impl Boxed {
    /// As a cell has it.
    pub fn of(cell: &Cell) -> Self {
        Self { stats: cell.stats.clone(), error: cell.error(), verdict: cell.of_median() }
    }

    /// Whether nothing speaks against the median.
    fn clear(&self) -> bool {
        self.verdict.is_none_or(|v| v == Verdict::Resolved)
    }
}

/// Boxes of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// By timestep.
    pub boxes: Vec<Boxed>,
}

/// A plot of positive values over timesteps.
#[derive(Clone, Debug)]
pub struct Figure<'a> {
    /// Above the plot.
    pub title: &'a str,
    /// A line on model and data below the title.
    pub about: &'a str,
    /// Of the vertical axis.
    pub label: &'a str,
    /// k, in the order of the boxes.
    pub timesteps: &'a [usize],
    /// What a box is of, as `8 samples`.
    pub of: String,
    /// One colour each.
    pub series: Vec<Series>,
}

/// Okabe and Ito's colours, told apart by every common kind of colour vision; series beyond them begin again.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GREY: RGBColor = RGBColor(120, 120, 120);
pub(super) const SIZE: (u32, u32) = (1200, 720);
pub(super) const FONT: &str = "Helvetica, Arial, sans-serif";
/// Most boxes per series; the line of medians goes through every timestep all the same.
const BOXES: usize = 25;
/// Most outlier dots per box, evenly chosen, the outermost among them.
const DOTS: usize = 6;

/// The plot as SVG.
pub fn svg(figure: &Figure) -> Result<String> {
    let mut text = String::new();
    Frame::new(figure)
        .draw(&mut text)
        .map_err(|e| Error::invalid(format!("plot '{}'", figure.title), format!("cannot be drawn: {e}")))?;
    Ok(text)
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

struct Frame<'a> {
    figure: &'a Figure<'a>,
    /// Timesteps by index, so that uneven lists do not overlap.
    x: Axis,
    y: Axis,
    /// Timesteps with a box.
    boxed: Vec<usize>,
}

impl<'a> Frame<'a> {
    fn new(figure: &'a Figure<'a>) -> Self {
        let n = figure.timesteps.len();
        let step = n.div_ceil(BOXES).max(1);
        let boxed: Vec<usize> = (0..n).step_by(step).collect();
        let margin = 0.6 * step as f64;
        let major = boxed.iter().map(|&t| t as f64).collect();
        let x = Axis { low: -margin, high: n.max(1) as f64 - 1.0 + margin, major, minor: Vec::new() };
        let shown = figure.series.iter().flat_map(|s| &s.boxes).flat_map(|s| {
            let ends = s.stats.iter().flat_map(|b| [b.low, b.median, b.high].into_iter().chain(dots(b)));
            ends.chain([s.error])
        });
        Frame { figure, x, y: Axis::decades(shown), boxed }
    }

    /// Height of a value: decades, kept on the axis. What is not positive lies on the lower edge.
    fn log(&self, value: f64) -> f64 {
        if value > 0.0 { value.log10().clamp(self.y.low, self.y.high) } else { self.y.low }
    }

    fn draw(&self, out: &mut String) -> Drawn {
        let Figure { title, about, label, timesteps, .. } = *self.figure;
        let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(132);
        head.draw(&Text::new(title, (30, 16), (FONT, 28).into_font().style(FontStyle::Bold).color(&INK)))?;
        head.draw(&Text::new(about.to_string(), (30, 52), (FONT, 17).into_font().color(&GREY)))?;
        self.legend(&head)?;

        let even = timesteps.windows(3).all(|k| k[1].wrapping_sub(k[0]) == k[2].wrapping_sub(k[1]));
        let x_label = if even { "timestep k" } else { "timestep k (not to scale)" };
        let mut chart: Chart = ChartBuilder::on(&body)
            .margin_right(30)
            .margin_left(14)
            .margin_bottom(10)
            .x_label_area_size(60)
            .y_label_area_size(92)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let tick = (FONT, 16).into_font().color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(RGBColor(215, 215, 215))
            .light_line_style(RGBColor(243, 243, 243))
            .axis_style(GREY)
            .label_style(tick)
            .axis_desc_style((FONT, 20).into_font().color(&INK))
            .x_desc(x_label)
            .y_desc(label)
            .x_label_formatter(&|x| timesteps.get(x.round() as usize).map_or(String::new(), |k| k.to_string()))
            .y_label_formatter(&|y| decade_label(*y))
            .draw()?;
        for number in 0..self.figure.series.len() {
            self.draw_error(&mut chart, number)?;
        }
        for number in 0..self.figure.series.len() {
            self.draw_boxes(&mut chart, number)?;
        }
        let mut all = self.figure.series.iter().flat_map(|s| &s.boxes);
        if !all.any(|s| s.stats.as_ref().is_some_and(|b| b.max > 0.0)) {
            let place = ((self.x.low + self.x.high) / 2.0, (self.y.low + self.y.high) / 2.0);
            let style = (FONT, 18).into_font().color(&GREY).pos(Pos::new(HPos::Center, VPos::Center));
            chart.draw_series([Text::new("no positive values: nothing to show on a log axis", place, style)])?;
        }
        drop(chart);
        root.present()?;
        Ok(())
    }

    /// Below the title: the colours, the error's line, what the boxes are.
    fn legend(&self, head: &DrawingArea<SVGBackend, plotters::coord::Shift>) -> Drawn {
        let style = (FONT, 17).into_font().color(&INK);
        let mut x = 30;
        for (number, Series { name, .. }) in self.figure.series.iter().enumerate() {
            let colour = colour(number);
            head.draw(&Rectangle::new([(x, 105), (x + 15, 120)], colour.mix(0.45).filled()))?;
            head.draw(&Rectangle::new([(x, 105), (x + 15, 120)], colour.stroke_width(2)))?;
            head.draw(&Text::new(name.clone(), (x + 23, 103), style.clone()))?;
            x += 52 + 9 * name.chars().count() as i32;
        }
        for dash in 0..3 {
            head.draw(&PathElement::new([(x + 12 * dash, 112), (x + 12 * dash + 7, 112)], GREY.stroke_width(2)))?;
        }
        head.draw(&Text::new("largest error (median; dot: whose)", (x + 42, 103), style))?;
        let said = |verdict: Verdict| {
            self.boxed.iter().any(|&t| self.figure.series.iter().any(|s| s.boxes[t].verdict == Some(verdict)))
        };
        let hollow: Vec<&str> =
            [Verdict::NotResolved, Verdict::NotChecked].into_iter().filter(|v| said(*v)).map(Verdict::word).collect();
        let hollow = if hollow.is_empty() { String::new() } else { format!("; hollow: {}", hollow.join(" or ")) };
        let all = self.figure.series.iter().flat_map(|s| &s.boxes);
        let left_out = match all.filter_map(|b| b.stats.as_ref()).map(|b| b.skipped).sum::<usize>() {
            0 => String::new(),
            n => format!("; {n} not finite, left out"),
        };
        let boxes = format!(
            "boxes: quartiles of {} at {} of {} timesteps; whiskers: 1.5 IQR{hollow}{left_out}",
            self.figure.of,
            self.boxed.len(),
            self.figure.timesteps.len()
        );
        head.draw(&Text::new(boxes, (30, 76), (FONT, 15).into_font().color(&GREY)))?;
        Ok(())
    }

    fn draw_error(&self, chart: &mut Chart, number: usize) -> Drawn {
        let known = self.figure.series[number].boxes.iter().enumerate().filter(|(_, s)| s.error > 0.0);
        let mut line: Vec<(f64, f64)> = known.map(|(t, s)| (t as f64, self.log(s.error))).collect();
        if let (Some(&(_, first)), Some(&(_, last))) = (line.first(), line.last()) {
            line.insert(0, (self.x.low, first));
            line.push((self.x.high, last));
            chart.draw_series([DashedPathElement::new(line, 7, 5, GREY.stroke_width(1))])?;
            chart.draw_series([Circle::new((self.x.low, first), 4, colour(number).filled())])?;
        }
        Ok(())
    }

    fn draw_boxes(&self, chart: &mut Chart, number: usize) -> Drawn {
        let (colour, count) = (colour(number), self.figure.series.len() as f64);
        let step = if self.boxed.len() > 1 { self.boxed[1] as f64 } else { 1.0 };
        let slot = step * 0.78 / count;
        // A run of few timesteps gets slim boxes too: at most 3 % of the width.
        let half = (slot * 0.40).min((self.x.high - self.x.low) * 0.015);
        let centre = |t: usize| t as f64 + (number as f64 - (count - 1.0) / 2.0) * slot;
        let boxes = &self.figure.series[number].boxes;
        let medians =
            boxes.iter().enumerate().filter_map(|(t, s)| Some((centre(t), self.log(s.stats.as_ref()?.median))));
        chart.draw_series([PathElement::new(medians.collect::<Vec<_>>(), colour.mix(0.35).stroke_width(1))])?;
        for &t in &self.boxed {
            let Some(b) = &boxes[t].stats else { continue };
            let (x, y) = (centre(t), |v| self.log(v));
            let line = |points: Vec<(f64, f64)>, width| PathElement::new(points, colour.stroke_width(width));
            for (from, to) in [(b.q1, b.low), (b.q3, b.high)] {
                chart.draw_series([
                    line(vec![(x, y(from)), (x, y(to))], 1),
                    line(vec![(x - half * 0.5, y(to)), (x + half * 0.5, y(to))], 1),
                ])?;
            }
            let corners = [(x - half, y(b.q1)), (x + half, y(b.q3))];
            chart.draw_series([Rectangle::new(corners, WHITE.filled())])?;
            if boxes[t].clear() {
                chart.draw_series([Rectangle::new(corners, colour.mix(0.45).filled())])?;
            }
            chart.draw_series([Rectangle::new(corners, colour.stroke_width(1))])?;
            chart.draw_series([line(vec![(x - half, y(b.median)), (x + half, y(b.median))], 3)])?;
            chart.draw_series(dots(b).map(|v| Circle::new((x, y(v)), 2, colour.mix(0.5).filled())))?;
        }
        Ok(())
    }
}

pub(super) fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

fn dots(b: &BoxStats) -> impl Iterator<Item = f64> + '_ {
    evenly(b.outliers.len(), DOTS).into_iter().map(|i| b.outliers[i])
}
