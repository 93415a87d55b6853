//! Figures of runs: what is drawn, and how it is laid out and written. In: runs of one measure. Out: figures as SVG for the page, and as
//! SVG, PDF and PNG for paper at the size at which they are printed. The page, the plots of run directories and `vorticity plot` all
//! draw with this.
pub mod asked;
pub mod axis;
pub mod boxes;
pub mod curves;
pub mod font;
mod frame;
pub mod histogram;
mod legend;
pub mod marks;
pub mod pdf;
pub mod pictures;
pub mod plots;
pub mod png;
pub mod runs;
pub mod sheet;
pub mod svg;
pub mod words;

use axis::Axis;
use boxes::Boxes;
use curves::{Curves, Strips};
use frame::Frame;
use histogram::Histogram;
use marks::Mark;

/// Where a figure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// The HTML page: its style sheet colours it, and its units are pixels.
    Page,
    /// Paper, white: a file of its own, whose units are points.
    Paper,
}

/// Sizes of what is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// For whom.
    pub theme: Theme,
    /// Height of the font at ticks and in legends.
    pub tick: f64,
    /// Along axes.
    pub words: f64,
    /// Above a panel.
    pub head: f64,
    /// Of dots, boxes and the space between them, as a share of the page's.
    pub scale: f64,
}

/// The page's.
pub const PAGE: Look = Look { theme: Theme::Page, tick: 11.5, words: 12.0, head: 13.0, scale: 1.0 };
/// Paper's: nothing is under 7 points, which are legible in print.
pub const PAPER: Look = Look { theme: Theme::Paper, tick: 7.0, words: 8.0, head: 8.0, scale: 0.6 };

/// Okabe and Ito's colours, told apart by every common kind of colour vision; series beyond them begin again.
const COLOURS: [[u8; 3]; 6] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233]];

/// The number of no series: what signs mean for all of them is drawn in grey, with circles and without hatching.
pub const NEUTRAL: usize = usize::MAX;

/// Red, green and blue of a series on paper.
pub fn colour(series: usize) -> [u8; 3] {
    if series == NEUTRAL { [90; 3] } else { COLOURS[series % COLOURS.len()] }
}

/// Marks and their extent.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Width and height, in points or pixels.
    pub size: (f64, f64),
    /// What a person who cannot see it is told.
    pub about: String,
    /// From the lowest to the uppermost.
    pub marks: Vec<Mark>,
}

/// A figure: one panel or several.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Above it.
    pub title: String,
    /// A line on model and data below the title; empty for none.
    pub about: String,
    /// Names of the runs and numbers of their colours; the name of a single one is not said.
    pub names: Vec<(String, usize)>,
    /// Side by side.
    pub panels: Vec<Panel>,
}

/// One pair of axes and what lies between them.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Above it; may be empty.
    pub title: String,
    /// Of the vertical axis.
    pub label: String,
    /// Of the horizontal axis; may be empty.
    pub below: String,
    /// What is drawn.
    pub content: Content,
}

/// What is drawn in a panel.
#[derive(Clone, Debug)]
pub enum Content {
    /// Box plots.
    Boxes(Boxes),
    /// Points with bars.
    Curves(Curves),
    /// Every sample.
    Strips(Strips),
    /// Shares of values by size.
    Histogram(Histogram),
}

impl Content {
    /// The vertical axis, and whether it is in decades.
    fn vertical(&self) -> (Axis, bool) {
        match self {
            Content::Boxes(own) => (own.axis(), true),
            Content::Curves(own) => own.axis(),
            Content::Strips(own) => (own.axis(), false),
            Content::Histogram(own) => (own.axis(), false),
        }
    }

    fn draw(&self, frame: &Frame, vertical: &(Axis, bool)) -> Vec<Mark> {
        match self {
            Content::Boxes(own) => own.draw(frame, vertical),
            Content::Curves(own) => own.draw(frame, vertical),
            Content::Strips(own) => own.draw(frame, vertical),
            Content::Histogram(own) => own.draw(frame, vertical),
        }
    }

    /// In words, for a person who cannot see it.
    fn told(&self, panel: &Panel) -> String {
        match self {
            Content::Boxes(own) => own.told(panel),
            Content::Curves(own) => own.told(panel),
            Content::Strips(own) => own.told(panel),
            Content::Histogram(own) => own.told(panel),
        }
    }
}

impl Figure {
    /// The vertical axis of every panel, and whether they have scales of their own: so have box plots whose middles are more than two
    /// decades apart, since one scale for all would hide what is in them.
    pub(crate) fn axes(&self) -> (Vec<(Axis, bool)>, bool) {
        let boxes: Vec<&Boxes> = self
            .panels
            .iter()
            .filter_map(|p| if let Content::Boxes(own) = &p.content { Some(own) } else { None })
            .collect();
        if boxes.len() == self.panels.len() && !boxes::apart(&boxes) {
            return (vec![(boxes::shared(&boxes), true); boxes.len()], false);
        }
        (self.panels.iter().map(|p| p.content.vertical()).collect(), boxes.len() > 1)
    }

    /// Every panel as a drawing of its own, of this size: what the page puts side by side as there is room.
    pub fn apart(&self, look: &Look, size: (f64, f64)) -> Vec<Drawing> {
        let (axes, _) = self.axes();
        let frames: Vec<Frame> = self.panels.iter().map(|panel| Frame::of(look, panel, (0.0, 0.0), size)).collect();
        let left = frames.iter().zip(&axes).map(|(f, a)| f.wanted(a)).fold(0.0, f64::max);
        let each = self.panels.iter().zip(frames).zip(&axes);
        each.map(|((panel, frame), axis)| Drawing {
            size,
            about: panel.content.told(panel),
            marks: panel.content.draw(&Frame { left, ..frame }, axis),
        })
        .collect()
    }
}
