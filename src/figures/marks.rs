//! What a drawing is made of: lines, areas, circles, words and pictures, each with a pen. In: places in units of the drawing, which
//! are points (1/72 inch) on paper and pixels on the page. Out: marks, which `svg`, `pdf` and `png` write.
use super::{NEUTRAL, font};

/// What something is drawn as: the page's style sheet has a class for each, `paint` its look on paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pen {
    /// Lines at the labelled ticks.
    Grid,
    /// Lines between them.
    Fine,
    /// Axes and their ticks.
    Axis,
    /// Zero.
    Zero,
    /// From median to median.
    Medians,
    /// Beyond a box.
    Whisker,
    /// A box of a resolved median.
    Box,
    /// A box of any other.
    Hollow,
    /// Lines that fill the boxes of all series but the first.
    Hatch,
    /// Across a box.
    Median,
    /// A value.
    Dot,
    /// What is not resolved.
    Band,
    /// Its edge.
    Bound,
    /// An error bar.
    Bar,
    /// A value beyond its bar.
    Point,
    /// A value within it.
    Faint,
    /// A histogram.
    Bars,
    /// The edge of a picture.
    Edge,
}

/// How a pen paints on paper. Widths are points; colours of a series where `own`, else greys.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Opacity of the area; none is left open.
    pub fill: Option<f64>,
    /// Whether the area is white whatever the opacity.
    pub white: bool,
    /// Width of the line; none is not drawn.
    pub line: Option<f64>,
    /// Opacity of the line.
    pub ink: f64,
    /// Lengths of dashes and gaps.
    pub dashes: Option<[f64; 2]>,
    /// A grey in place of the series' colour.
    pub grey: Option<u8>,
}

impl Pen {
    /// Its class on the page.
    pub fn class(self) -> &'static str {
        match self {
            Pen::Grid => "grid",
            Pen::Fine => "fine",
            Pen::Axis => "axis",
            Pen::Zero => "zero",
            Pen::Medians => "medians",
            Pen::Whisker => "whisker",
            Pen::Box => "box",
            Pen::Hollow => "box hollow",
            Pen::Hatch => "hatch",
            Pen::Median => "median",
            Pen::Dot => "dot",
            Pen::Band => "band",
            Pen::Bound => "bound",
            Pen::Bar => "bar",
            Pen::Point => "point",
            Pen::Faint => "point hollow",
            Pen::Bars => "bars",
            Pen::Edge => "edge",
        }
    }

    /// Its look on paper.
    pub fn paint(self) -> Paint {
        let plain = Paint { fill: None, white: false, line: None, ink: 1.0, dashes: None, grey: None };
        let line = |width: f64| Paint { line: Some(width), ..plain };
        let grey = |width: f64, level: u8| Paint { grey: Some(level), ..line(width) };
        match self {
            Pen::Grid => grey(0.5, 205),
            Pen::Fine => grey(0.5, 236),
            Pen::Axis => grey(0.6, 60),
            Pen::Zero => grey(0.5, 110),
            Pen::Medians => Paint { ink: 0.5, ..line(0.6) },
            Pen::Whisker => line(0.6),
            Pen::Box => Paint { fill: Some(0.32), ..line(0.7) },
            Pen::Hollow => Paint { white: true, dashes: Some([1.5, 1.2]), ..line(0.7) },
            Pen::Hatch => line(0.5),
            Pen::Median => line(1.3),
            Pen::Dot => Paint { fill: Some(0.6), ..plain },
            Pen::Band => Paint { fill: Some(0.10), ..plain },
            Pen::Bound => Paint { ink: 0.85, dashes: Some([3.0, 2.2]), ..line(0.6) },
            Pen::Bar => line(1.0),
            Pen::Point => Paint { fill: Some(1.0), ..line(0.7) },
            Pen::Faint => Paint { white: true, ..line(0.7) },
            Pen::Bars => Paint { fill: Some(0.28), ..line(0.7) },
            Pen::Edge => grey(0.5, 190),
        }
    }
}

/// What words are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Above a figure or a panel.
    Head,
    /// At a tick.
    Tick,
    /// Along an axis.
    Words,
    /// In a legend.
    Said,
}

/// Where words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of their place.
    Start,
    /// On both sides of it.
    Middle,
    /// To the left of it.
    End,
}

/// Words on one line; parts below the line are smaller.
#[derive(Clone, Debug)]
pub struct Words {
    /// Where the line begins, has its middle or ends.
    pub at: (f64, f64),
    /// Which.
    pub anchor: Anchor,
    /// What they are for.
    pub voice: Voice,
    /// Height of the font.
    pub size: f64,
    /// Whether they run upwards.
    pub upright: bool,
    /// What is written, and whether it is an index.
    pub parts: Vec<(String, bool)>,
}

/// An index's share of the height, and how far below the line it stands.
pub const INDEX: [f64; 2] = [0.75, 0.22];

impl Words {
    /// How long they are.
    pub fn width(&self) -> f64 {
        let part = |(text, index): &(String, bool)| font::width(text, self.size * if *index { INDEX[0] } else { 1.0 });
        self.parts.iter().map(part).sum()
    }
}

/// A picture of pixels.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its upper left corner.
    pub at: (f64, f64),
    /// Width and height in the drawing.
    pub size: (f64, f64),
    /// Rows and columns.
    pub pixels: [usize; 2],
    /// Red, green, blue and opacity, row by row.
    pub rgba: Vec<u8>,
    /// Between none and one.
    pub opacity: f64,
    /// In words, for a person who cannot see it.
    pub about: String,
}

/// One thing in a drawing; later ones lie over earlier ones.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Lines, each from point to point; closed ones are areas.
    Path {
        /// How.
        pen: Pen,
        /// Where.
        lines: Vec<Vec<(f64, f64)>>,
        /// Whether each ends where it begins.
        closed: bool,
    },
    /// A circle.
    Circle {
        /// How.
        pen: Pen,
        /// Where.
        at: (f64, f64),
        /// How large.
        radius: f64,
    },
    /// Words.
    Words(Words),
    /// A picture.
    Image(Image),
    /// Marks of one series, or with a title that appears beneath a pointer.
    Group {
        /// Number of its colour.
        series: Option<usize>,
        /// On the page.
        title: String,
        /// What is in it.
        marks: Vec<Mark>,
    },
}

impl Mark {
    /// A polyline.
    pub fn line(pen: Pen, points: Vec<(f64, f64)>) -> Self {
        Mark::Path { pen, lines: vec![points], closed: false }
    }

    /// An area.
    pub fn area(pen: Pen, points: Vec<(f64, f64)>) -> Self {
        Mark::Path { pen, lines: vec![points], closed: true }
    }

    /// A rectangle between two corners.
    pub fn rectangle(pen: Pen, (left, top): (f64, f64), (right, bottom): (f64, f64)) -> Self {
        Mark::area(pen, vec![(left, top), (right, top), (right, bottom), (left, bottom)])
    }

    /// Marks of a series.
    pub fn series(series: usize, marks: Vec<Mark>) -> Self {
        Mark::Group { series: Some(series), title: String::new(), marks }
    }
}

/// The sign of a series, by which its medians and points are told from others' without colour: a circle, a square, a triangle, a
/// diamond, a triangle that points down, a cross; round again after them.
pub fn sign(series: usize, pen: Pen, (x, y): (f64, f64), r: f64) -> Mark {
    let area = |points: &[(f64, f64)]| Mark::area(pen, points.iter().map(|(a, b)| (x + a * r, y + b * r)).collect());
    match series % 6 {
        _ if series == NEUTRAL => Mark::Circle { pen, at: (x, y), radius: r },
        0 => Mark::Circle { pen, at: (x, y), radius: r },
        1 => area(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => area(&[(0.0, -1.2), (1.1, 0.85), (-1.1, 0.85)]),
        3 => area(&[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)]),
        4 => area(&[(0.0, 1.2), (1.1, -0.85), (-1.1, -0.85)]),
        _ => {
            let (a, b) = (0.4, 1.15);
            area(&[
                (-a, -b),
                (a, -b),
                (a, -a),
                (b, -a),
                (b, a),
                (a, a),
                (a, b),
                (-a, b),
                (-a, a),
                (-b, a),
                (-b, -a),
                (-a, -a),
            ])
        }
    }
}

/// Lines that fill a box of a series; none of the first, which is plain. `apart` is how far they are from each other.
pub fn hatch(series: usize, (left, top): (f64, f64), (right, bottom): (f64, f64), apart: f64) -> Vec<Mark> {
    let (width, height) = (right - left, bottom - top);
    if width <= 0.0 || height <= 0.0 || series.is_multiple_of(6) || series == NEUTRAL {
        return vec![];
    }
    let mut lines = vec![];
    // Lines x + y = c, cut at the box; those that fall are mirrored.
    let mut slanted = |mirrored: bool| {
        let apart = apart * std::f64::consts::SQRT_2;
        let mut c = apart / 2.0;
        while c < width + height {
            let (from, to) = ((c.min(width), c - c.min(width)), (c - c.min(height), c.min(height)));
            let place = |(x, y): (f64, f64)| (left + if mirrored { width - x } else { x }, top + y);
            lines.push(vec![place(from), place(to)]);
            c += apart;
        }
    };
    match series % 6 {
        1 => slanted(false),
        2 => slanted(true),
        3 => {
            slanted(false);
            slanted(true);
        }
        4 => {
            let count = (height / apart).floor() as usize;
            let level = |i: usize| top + (i as f64 + 0.5) * height / count.max(1) as f64;
            lines.extend((0..count.max(1)).map(|i| vec![(left, level(i)), (right, level(i))]));
        }
        _ => lines.push(vec![((left + right) / 2.0, top), ((left + right) / 2.0, bottom)]),
    }
    vec![Mark::Path { pen: Pen::Hatch, lines, closed: false }]
}
