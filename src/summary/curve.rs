//! Curves over timesteps with error bars, on a linear axis: for means that may have either sign (Fig. 4b).
//! In: value and error by timestep, of one curve or of several. Out: SVG text. What is not finite is left out.
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
    /// Name, and (value, half length of its bar) by timestep; the name of a single curve is not said.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
    /// Whether the axis reaches as far below zero as above.
    pub even: bool,
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
    let shown = |points: &[(f64, f64)]| -> Vec<(usize, f64, f64)> {
        points.iter().enumerate().filter(|(_, p)| p.0.is_finite()).map(|(t, p)| (t, p.0, p.1)).collect()
    };
    let all: Vec<(usize, f64, f64)> = curve.curves.iter().flat_map(|c| shown(&c.1)).collect();
    let ends = |sign: f64| all.iter().map(move |p| sign * p.1 + if p.2.is_finite() { p.2 } else { 0.0 });
    let [below, above] = [-1.0, 1.0].map(|sign| ends(sign).fold(f64::MIN_POSITIVE, f64::max));
    let [below, above] =
        if curve.even { [below.max(above); 2] } else { [below.max(0.1 * above), above.max(0.1 * below)] };
    let mut chart = ChartBuilder::on(&body)
        .margin_right(30)
        .margin_left(14)
        .margin_bottom(10)
        .x_label_area_size(60)
        .y_label_area_size(92)
        .build_cartesian_2d(x, -1.1 * below..1.1 * above)?;
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
    chart.draw_series([PathElement::new([(-0.6, 0.0), (n.max(1) as f64 - 0.4, 0.0)], GREY.stroke_width(1))])?;
    let mut x = 30;
    for (number, (name, points)) in curve.curves.iter().enumerate() {
        let (colour, points) = (colour(number), shown(points));
        if curve.curves.len() > 1 {
            head.draw(&Circle::new((x + 6, 103), 5, colour.filled()))?;
            head.draw(&Text::new(name.as_str(), (x + 18, 95), (FONT, 15).into_font().color(&INK)))?;
            x += 40 + 8 * name.chars().count() as i32;
        }
        chart.draw_series(points.iter().filter(|p| p.2.is_finite()).map(|&(t, value, bar)| {
            PathElement::new([(t as f64, value - bar), (t as f64, value + bar)], colour.mix(0.6).stroke_width(2))
        }))?;
        chart.draw_series([PathElement::new(
            points.iter().map(|p| (p.0 as f64, p.1)).collect::<Vec<_>>(),
            colour.mix(0.35).stroke_width(1),
        )])?;
        chart.draw_series(points.iter().map(|p| Circle::new((p.0 as f64, p.1), 4, colour.filled())))?;
    }
    drop(chart);
    root.present()?;
    Ok(())
}
