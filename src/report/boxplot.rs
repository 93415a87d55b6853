//! Box plots per timestep, one colour per path, as in Figs. 2, 5 and 6 of the paper, with the largest error beneath.
//! In: checked loops, a line about the run. Out: SVG text. Zeros and NaN have no place on a log axis: see `Frame::log`.
use super::axis::{Axis, decade_label};
use super::{Summary, evenly};
use crate::error::{Error, Result};
use crate::run::Loops;
use crate::run::schema::column;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One figure: which column of the schema it shows, and how it calls it.
pub struct Plot {
    /// Place in the run directory.
    pub file: &'static str,
    /// Name in `run::schema::COLUMNS`.
    pub column: &'static str,
    /// Above the plot.
    pub title: &'static str,
    /// Of the vertical axis.
    pub label: &'static str,
}

/// Every plot of a run.
#[rustfmt::skip]
pub const PLOTS: &[Plot] = &[
    Plot { file: "plots/abs_integral.svg",           column: "abs_integral",           title: "Circulation of the learned field",             label: "|Γ| = |∮ s·dx|  (nat)" },
    Plot { file: "plots/integral_over_norm_sum.svg", column: "integral_over_norm_sum", title: "Circulation relative to the flow −x",          label: "|Γ| / ∮|x||dx|  (nat / x²)" },
    Plot { file: "plots/integral_over_length.svg",   column: "integral_over_length",   title: "Circulation per unit of path length",          label: "|Γ| / ∮|dx|  (nat / x)" },
    Plot { file: "plots/integral_over_abs.svg",      column: "integral_over_abs",      title: "Share of the field's work that does not cancel", label: "|Γ| / ∮|s·dx|  (scale-free)" },
];

/// Okabe and Ito's colours, told apart by every common kind of colour vision; paths beyond them begin again.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(120, 120, 120);
const SIZE: (u32, u32) = (1200, 720);
const FONT: &str = "Helvetica, Arial, sans-serif";
/// Most boxes per path; the line of medians goes through every timestep all the same.
const BOXES: usize = 25;
/// Most outlier dots per box, evenly chosen, the outermost among them.
const DOTS: usize = 6;

/// Every plot of the table, as (name in the run directory, SVG).
pub fn all(loops: &Loops, about: &str) -> Result<Vec<(&'static str, String)>> {
    PLOTS.iter().map(|plot| Ok((plot.file, svg(loops, plot, about)?))).collect()
}

/// One plot; `about` is a line on model and data below the title.
pub fn svg(loops: &Loops, plot: &Plot, about: &str) -> Result<String> {
    let column = column(plot.column).ok_or_else(|| Error::invalid(plot.file, "its column is not in the schema"))?;
    let data = loops.data();
    let summaries: Vec<Vec<Summary>> = (0..data.paths.len())
        .map(|p| (0..data.timesteps.len()).map(|t| Summary::of(loops, column, p, t)).collect())
        .collect();
    let mut text = String::new();
    Frame::new(loops, &summaries)
        .draw(&mut text, plot, about)
        .map_err(|e| Error::invalid(plot.file, format!("cannot be drawn: {e}")))?;
    Ok(text)
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

struct Frame<'a> {
    loops: &'a Loops<'a>,
    /// `[path][timestep]`.
    summaries: &'a [Vec<Summary>],
    /// Timesteps by index, so that uneven lists do not overlap.
    x: Axis,
    y: Axis,
    /// Timesteps with a box.
    boxed: Vec<usize>,
}

impl<'a> Frame<'a> {
    fn new(loops: &'a Loops<'a>, summaries: &'a [Vec<Summary>]) -> Self {
        let n = loops.data().timesteps.len();
        let step = n.div_ceil(BOXES).max(1);
        let boxed: Vec<usize> = (0..n).step_by(step).collect();
        let margin = 0.6 * step as f64;
        let major = boxed.iter().map(|&t| t as f64).collect();
        let x = Axis { low: -margin, high: n.max(1) as f64 - 1.0 + margin, major, minor: Vec::new() };
        let shown = summaries.iter().flatten().flat_map(|s| {
            let ends = s.stats.iter().flat_map(|b| [b.low, b.median, b.high].into_iter().chain(dots(b)));
            ends.chain([s.error()])
        });
        Frame { loops, summaries, x, y: Axis::decades(shown), boxed }
    }

    /// Height of a value: decades, kept on the axis. What is not positive lies on the lower edge.
    fn log(&self, value: f64) -> f64 {
        if value > 0.0 { value.log10().clamp(self.y.low, self.y.high) } else { self.y.low }
    }

    fn draw(&self, out: &mut String, plot: &Plot, about: &str) -> Drawn {
        let data = self.loops.data();
        let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(132);
        head.draw(&Text::new(plot.title, (30, 16), (FONT, 28).into_font().style(FontStyle::Bold).color(&INK)))?;
        head.draw(&Text::new(about.to_string(), (30, 52), (FONT, 17).into_font().color(&GREY)))?;
        self.legend(&head)?;

        let even = data.timesteps.windows(3).all(|k| k[1].wrapping_sub(k[0]) == k[2].wrapping_sub(k[1]));
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
            .y_desc(plot.label)
            .x_label_formatter(&|x| data.timesteps.get(x.round() as usize).map_or(String::new(), |k| k.to_string()))
            .y_label_formatter(&|y| decade_label(*y))
            .draw()?;
        for path in 0..self.summaries.len() {
            self.draw_error(&mut chart, path)?;
        }
        for path in 0..self.summaries.len() {
            self.draw_path(&mut chart, path)?;
        }
        if !self.summaries.iter().flatten().any(|s| s.stats.as_ref().is_some_and(|b| b.max > 0.0)) {
            let place = ((self.x.low + self.x.high) / 2.0, (self.y.low + self.y.high) / 2.0);
            let style = (FONT, 18).into_font().color(&GREY).pos(Pos::new(HPos::Center, VPos::Center));
            chart.draw_series([Text::new("no positive values: nothing to show on a log axis", place, style)])?;
        }
        drop(chart);
        root.present()?;
        Ok(())
    }

    /// Below the title: the paths' colours, the error's line, what the boxes are.
    fn legend(&self, head: &DrawingArea<SVGBackend, plotters::coord::Shift>) -> Drawn {
        let data = self.loops.data();
        let style = (FONT, 17).into_font().color(&INK);
        let mut x = 30;
        for (p, path) in data.paths.iter().enumerate() {
            let colour = colour(p);
            head.draw(&Rectangle::new([(x, 105), (x + 15, 120)], colour.mix(0.45).filled()))?;
            head.draw(&Rectangle::new([(x, 105), (x + 15, 120)], colour.stroke_width(2)))?;
            head.draw(&Text::new(path.clone(), (x + 23, 103), style.clone()))?;
            x += 52 + 9 * path.chars().count() as i32;
        }
        for dash in 0..3 {
            head.draw(&PathElement::new([(x + 12 * dash, 112), (x + 12 * dash + 7, 112)], GREY.stroke_width(2)))?;
        }
        head.draw(&Text::new("largest error (median; dot: its path)", (x + 42, 103), style))?;
        let hollow = if self.boxed.iter().any(|&t| self.summaries.iter().any(|s| !clear(&s[t]))) {
            "; hollow: under 3× its error"
        } else {
            ""
        };
        let boxes = format!(
            "boxes: quartiles of {} samples at {} of {} timesteps; whiskers: 1.5 IQR{hollow}",
            data.samples,
            self.boxed.len(),
            data.timesteps.len()
        );
        head.draw(&Text::new(boxes, (30, 76), (FONT, 15).into_font().color(&GREY)))?;
        Ok(())
    }

    fn draw_error(&self, chart: &mut Chart, path: usize) -> Drawn {
        let known = self.summaries[path].iter().enumerate().filter(|(_, s)| s.error() > 0.0);
        let mut line: Vec<(f64, f64)> = known.map(|(t, s)| (t as f64, self.log(s.error()))).collect();
        if let (Some(&(_, first)), Some(&(_, last))) = (line.first(), line.last()) {
            line.insert(0, (self.x.low, first));
            line.push((self.x.high, last));
            chart.draw_series([DashedPathElement::new(line, 7, 5, GREY.stroke_width(1))])?;
            chart.draw_series([Circle::new((self.x.low, first), 4, colour(path).filled())])?;
        }
        Ok(())
    }

    fn draw_path(&self, chart: &mut Chart, path: usize) -> Drawn {
        let (colour, paths) = (colour(path), self.summaries.len() as f64);
        let step = if self.boxed.len() > 1 { self.boxed[1] as f64 } else { 1.0 };
        let slot = step * 0.78 / paths;
        // A run of few timesteps gets slim boxes too: at most 3 % of the width.
        let half = (slot * 0.40).min((self.x.high - self.x.low) * 0.015);
        let centre = |t: usize| t as f64 + (path as f64 - (paths - 1.0) / 2.0) * slot;
        let summaries = &self.summaries[path];
        let medians =
            summaries.iter().enumerate().filter_map(|(t, s)| Some((centre(t), self.log(s.stats.as_ref()?.median))));
        chart.draw_series([PathElement::new(medians.collect::<Vec<_>>(), colour.mix(0.35).stroke_width(1))])?;
        for &t in &self.boxed {
            let Some(b) = &summaries[t].stats else { continue };
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
            if clear(&summaries[t]) {
                chart.draw_series([Rectangle::new(corners, colour.mix(0.45).filled())])?;
            }
            chart.draw_series([Rectangle::new(corners, colour.stroke_width(1))])?;
            chart.draw_series([line(vec![(x - half, y(b.median)), (x + half, y(b.median))], 3)])?;
            chart.draw_series(dots(b).map(|v| Circle::new((x, y(v)), 2, colour.mix(0.5).filled())))?;
        }
        Ok(())
    }
}

fn colour(path: usize) -> RGBColor {
    COLOURS[path % COLOURS.len()]
}

/// Whether the median stands clear of its error.
fn clear(summary: &Summary) -> bool {
    summary.stats.as_ref().is_none_or(|b| summary.resolves(b.median))
}

fn dots(b: &super::BoxStats) -> impl Iterator<Item = f64> + '_ {
    evenly(b.outliers.len(), DOTS).into_iter().map(|i| b.outliers[i])
}
