//! Curves over timesteps with error bars, on a linear axis: for means that may have either sign (Fig. 4b).
//! In: value and error by timestep. Out: SVG text. What is not finite is left out.
use super::axis::Axis;
use super::boxplot::{FONT, GREY, INK, SIZE, colour};
use crate::error::{Error, Result};
use plotters::prelude::*;

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve<'a> {
    /// Above the plot.
    pub title: &'a str,
    /// A line on model and data below the title.
    pub about: &'a str,
    /// What the bars are.
    pub bars: &'a str,
    /// Of the vertical axis.
    pub label: &'a str,
    /// k, in the order of the points.
    pub timesteps: &'a [usize],
    /// (value, half length of its bar) by timestep.
    pub points: Vec<(f64, f64)>,
}

/// Most labelled ticks of the x axis.
const TICKS: usize = 25;

/// The plot as SVG.
pub fn svg(curve: &Curve) -> Result<String> {
    let mut text = String::new();
    draw(curve, &mut text)
        .map_err(|e| Error::invalid(format!("plot '{}'", curve.title), format!("cannot be drawn: {e}")))?;
    Ok(text)
}

fn draw(curve: &Curve, out: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(112);
    head.draw(&Text::new(curve.title, (30, 16), (FONT, 28).into_font().style(FontStyle::Bold).color(&INK)))?;
    head.draw(&Text::new(curve.about, (30, 52), (FONT, 17).into_font().color(&GREY)))?;
    head.draw(&Text::new(curve.bars, (30, 76), (FONT, 15).into_font().color(&GREY)))?;

    let n = curve.timesteps.len();
    let major = (0..n).step_by(n.div_ceil(TICKS).max(1)).map(|t| t as f64).collect();
    let x = Axis { low: -0.6, high: n.max(1) as f64 - 0.4, major, minor: vec![] };
    let shown = || curve.points.iter().enumerate().filter(|(_, p)| p.0.is_finite());
    let reach =
        shown().map(|(_, p)| p.0.abs() + if p.1.is_finite() { p.1 } else { 0.0 }).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(&body)
        .margin_right(30)
        .margin_left(14)
        .margin_bottom(10)
        .x_label_area_size(60)
        .y_label_area_size(92)
        .build_cartesian_2d(x, -1.1 * reach..1.1 * reach)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(RGBColor(215, 215, 215))
        .light_line_style(RGBColor(243, 243, 243))
        .axis_style(GREY)
        .label_style((FONT, 16).into_font().color(&INK))
        .axis_desc_style((FONT, 20).into_font().color(&INK))
        .x_desc("timestep k")
        .y_desc(curve.label)
        .x_label_formatter(&|x| curve.timesteps.get(x.round() as usize).map_or(String::new(), |k| k.to_string()))
        .y_label_formatter(&|y| super::stats::number(*y))
        .draw()?;
    let (colour, ends) = (colour(0), [(-0.6, 0.0), (n.max(1) as f64 - 0.4, 0.0)]);
    chart.draw_series([PathElement::new(ends, GREY.stroke_width(1))])?;
    chart.draw_series(shown().filter(|(_, p)| p.1.is_finite()).map(|(t, &(value, bar))| {
        PathElement::new([(t as f64, value - bar), (t as f64, value + bar)], colour.mix(0.6).stroke_width(2))
    }))?;
    chart.draw_series([PathElement::new(
        shown().map(|(t, p)| (t as f64, p.0)).collect::<Vec<_>>(),
        colour.mix(0.35).stroke_width(1),
    )])?;
    chart.draw_series(shown().map(|(t, p)| Circle::new((t as f64, p.0), 4, colour.filled())))?;
    drop(chart);
    root.present()?;
    Ok(())
}
