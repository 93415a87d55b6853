//! A figure on paper: title, panels in rows, one legend below them. In: a figure and the size at which it is printed. Out: a drawing
//! in points.
use super::marks::{Anchor, Mark, Voice, Words};
use super::{Content, Drawing, Figure, Frame, PAPER, legend, words};
use crate::error::{Error, Result};

/// Least width of a panel of boxes or points, and of a histogram, points.
const NARROWEST: [f64; 2] = [150.0, 104.0];
/// Least height of a panel, and least length of its axes.
const LEAST: [f64; 2] = [62.0, 24.0];
/// Between two panels.
const GAP: f64 = 6.0;
/// Around the figure: a line at its edge is whole.
pub const MARGIN: f64 = 2.0;
/// Largest side, points: 200 inches, which is PDF's.
pub const MOST: f64 = 14_400.0;

/// How it is printed.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// Points.
    pub width: f64,
    /// Points; else what suits the width.
    pub height: Option<f64>,
    /// Whether it has its title.
    pub title: bool,
}

/// Words in lines.
pub struct Head {
    /// What they are drawn by.
    pub marks: Vec<Mark>,
    /// Of all lines.
    pub height: f64,
}

/// The figure.
///
/// # Errors
/// A width or a height in which it cannot be drawn.
pub fn draw(figure: &Figure, paper: &Paper) -> Result<Drawing> {
    let (look, width) = (&PAPER, paper.width - 2.0 * MARGIN);
    let least = figure.panels.iter().map(|p| NARROWEST[usize::from(matches!(p.content, Content::Histogram(_)))]);
    let least = least.fold(0.0, f64::max);
    let count = figure.panels.len().max(1);
    let most = (((width + GAP) / (least + GAP)) as usize).clamp(1, count);
    let rows = count.div_ceil(most);
    let columns = count.div_ceil(rows);
    let wide = (width - GAP * (columns - 1) as f64) / columns as f64;
    let head = head(figure, paper, width);
    let (_, below) = legend::draw(figure, look, (0.0, 0.0), width);
    let around = head.height + below + 2.0 * MARGIN + if below > 0.0 { GAP } else { 0.0 };
    let share = if count == 1 { 0.62 } else { 0.56 };
    let high = match paper.height {
        Some(height) => (height - around - GAP * (rows - 1) as f64) / rows as f64,
        None => (share * wide).clamp(96.0, 230.0),
    };
    if high < LEAST[0] {
        let needed = around + GAP * (rows - 1) as f64 + LEAST[0] * rows as f64;
        return Err(Error::invalid(
            "height",
            format!("{rows} rows of panels and the words need at least {needed:.0}pt"),
        ));
    }
    let (axes, _) = figure.axes();
    let place = |i: usize| {
        let (row, column) = ((i / columns) as f64, (i % columns) as f64);
        (MARGIN + column * (wide + GAP), MARGIN + head.height + row * (high + GAP))
    };
    let frames = figure.panels.iter().enumerate().map(|(i, panel)| {
        let frame = Frame::of(look, panel, place(i), (wide, high));
        // The words along the axes are said once where they would be the same.
        let same = |other: usize| figure.panels.get(other).is_some_and(|p| p.label == panel.label);
        let label = if i % columns > 0 && same(i - 1) { "" } else { frame.label };
        let below = figure.panels.get(i + columns).is_some_and(|p| p.below == panel.below);
        Frame { label, below: if below { "" } else { frame.below }, ..frame }
    });
    let frames: Vec<Frame> = frames.collect();
    let mut marks = head.marks;
    for (i, (panel, frame)) in figure.panels.iter().zip(&frames).enumerate() {
        // Axes below each other begin at one place.
        let column = (i % columns..count).step_by(columns);
        let left = column.map(|j| frames[j].wanted(&axes[j])).fold(0.0, f64::max);
        let frame = Frame { left, ..frame.clone() };
        if frame.inner() < LEAST[1] || frame.height() < LEAST[1] {
            return Err(Error::invalid("width", format!("{:.0}pt leaves no room for the axes", paper.width)));
        }
        marks.extend(panel.content.draw(&frame, &axes[i]));
    }
    let bottom = MARGIN + head.height + rows as f64 * (high + GAP);
    let (said, _) = legend::draw(figure, look, (MARGIN, bottom), width);
    marks.extend(said);
    let height = paper.height.unwrap_or(around + rows as f64 * high + GAP * (rows - 1) as f64);
    let told: Vec<String> = figure.panels.iter().map(|p| p.content.told(p)).collect();
    Ok(Drawing { size: (paper.width, height), about: told.join(" "), marks })
}

/// Title and line on the run.
pub fn head(figure: &Figure, paper: &Paper, width: f64) -> Head {
    let mut own = Head { marks: vec![], height: 0.0 };
    if paper.title {
        own.say(&figure.title, Voice::Head, 9.0, width);
    }
    own.say(&figure.about, Voice::Said, PAPER.tick, width);
    if own.height > 0.0 {
        own.height += 2.0;
    }
    own
}

impl Head {
    fn say(&mut self, text: &str, voice: Voice, size: f64, width: f64) {
        if text.is_empty() {
            return;
        }
        for line in legend::wrapped(text, size, width) {
            let at = (MARGIN, MARGIN + self.height + size);
            // A title is ours, with formulas; a line on a run is its own.
            let parts = if voice == Voice::Head { words::parts(&line) } else { vec![(line, false)] };
            self.marks.push(Mark::Words(Words { at, anchor: Anchor::Start, voice, size, upright: false, parts }));
            self.height += 1.3 * size;
        }
    }
}
