//! A drawing as SVG: for the page with the classes of its style sheet, so that it follows from light to dark and to print; for paper
//! with colours and fonts of its own. In: marks. Out: text.
use super::marks::{INDEX, Image, Mark, Pen, Voice, Words};
use super::{Drawing, Theme, colour, font};
use crate::error::Result;
use crate::summary::raster;
use std::fmt::Write;

/// The drawing.
///
/// # Errors
/// A picture that cannot be encoded.
pub fn write(drawing: &Drawing, theme: Theme) -> Result<String> {
    let (width, height) = drawing.size;
    let mut out = Out { theme, text: String::new() };
    let box_of = format!("viewBox=\"0 0 {} {}\"", out.px(width), out.px(height));
    let about = escaped(&drawing.about);
    match theme {
        Theme::Page => {
            let _ = write!(out.text, "<svg class=\"plot\" {box_of} role=\"img\" aria-label=\"{about}\">");
        }
        Theme::Paper => {
            let [w, h] = [width, height].map(|side| out.px(side));
            let _ = write!(
                out.text,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}pt\" height=\"{h}pt\" {box_of} role=\"img\" \
                 aria-label=\"{about}\" font-family=\"{}\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n",
                font::FAMILY
            );
        }
    }
    out.marks(&drawing.marks, 0)?;
    out.text += "</svg>";
    if theme == Theme::Paper {
        out.text.push('\n');
    }
    Ok(out.text)
}

struct Out {
    theme: Theme,
    text: String,
}

impl Out {
    /// A tenth of a pixel, or a hundredth of a point, is enough.
    fn px(&self, value: f64) -> String {
        let text = format!("{value:.*}", if self.theme == Theme::Page { 1 } else { 2 });
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text == "-0" { "0".into() } else { text.into() }
    }

    fn marks(&mut self, marks: &[Mark], series: usize) -> Result<()> {
        for mark in marks {
            match mark {
                Mark::Path { pen, lines, closed } => self.path(*pen, lines, *closed, series),
                Mark::Circle { pen, at, radius } => {
                    let [x, y, r] = [at.0, at.1, *radius].map(|v| self.px(v));
                    let look = self.look(*pen, series);
                    let _ = write!(self.text, "<circle {look} cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>");
                }
                Mark::Words(words) => self.words(words),
                Mark::Image(image) => self.image(image)?,
                Mark::Group { series: own, title, marks } => {
                    let series = own.unwrap_or(series);
                    match (self.theme, own) {
                        (Theme::Page, Some(own)) => _ = write!(self.text, "<g class=\"s{}\">", own % 6),
                        _ => self.text += "<g>",
                    }
                    if self.theme == Theme::Page && !title.is_empty() {
                        let _ = write!(self.text, "<title>{}</title>", escaped(title));
                    }
                    self.marks(marks, series)?;
                    self.text += "</g>";
                }
            }
            if self.theme == Theme::Paper {
                self.text.push('\n');
            }
        }
        Ok(())
    }

    fn path(&mut self, pen: Pen, lines: &[Vec<(f64, f64)>], closed: bool, series: usize) {
        let mut d = String::new();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            for (i, (x, y)) in line.iter().enumerate() {
                let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, self.px(*x), self.px(*y));
            }
            if closed {
                d.push('Z');
            }
        }
        if !d.is_empty() {
            let look = self.look(pen, series);
            let _ = write!(self.text, "<path {look} d=\"{d}\"/>");
        }
    }

    /// The attributes of a pen.
    fn look(&self, pen: Pen, series: usize) -> String {
        if self.theme == Theme::Page {
            return format!("class=\"{}\"", pen.class());
        }
        let paint = pen.paint();
        let own = hex(paint.grey.map_or(colour(series), |level| [level; 3]));
        let mut look = match paint.fill {
            _ if paint.white => "fill=\"#ffffff\"".into(),
            Some(opacity) if opacity < 1.0 => format!("fill=\"{own}\" fill-opacity=\"{opacity}\""),
            Some(_) => format!("fill=\"{own}\""),
            None => "fill=\"none\"".into(),
        };
        if let Some(width) = paint.line {
            let _ = write!(look, " stroke=\"{own}\" stroke-width=\"{width}\"");
            if paint.ink < 1.0 {
                let _ = write!(look, " stroke-opacity=\"{}\"", paint.ink);
            }
            if let Some([dash, gap]) = paint.dashes {
                let _ = write!(look, " stroke-dasharray=\"{dash} {gap}\"");
            }
        }
        look
    }

    fn words(&mut self, words: &Words) {
        let [x, y] = [words.at.0, words.at.1].map(|v| self.px(v));
        let place = match words.upright {
            true => format!("x=\"0\" y=\"0\" transform=\"translate({x} {y}) rotate(-90)\""),
            false => format!("x=\"{x}\" y=\"{y}\""),
        };
        let look = match self.theme {
            Theme::Page => {
                let voice = match words.voice {
                    Voice::Head => "head",
                    Voice::Tick => "tick",
                    Voice::Words | Voice::Said => "words",
                };
                let anchor = ["", " middle", " end"][words.anchor as usize];
                format!("class=\"{voice}{anchor}\"")
            }
            Theme::Paper => {
                let anchor = ["start", "middle", "end"][words.anchor as usize];
                let size = self.px(words.size);
                format!("font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{}\"", hex(words.voice.ink()))
            }
        };
        let _ = write!(self.text, "<text {look} {place}>");
        let shift = self.px(words.size * INDEX[1]);
        let mut below = false;
        for (text, index) in words.parts.iter().filter(|part| !part.0.is_empty()) {
            let text = escaped(text);
            let _ = match (*index, below, self.theme) {
                (true, _, Theme::Page) => write!(self.text, "<tspan class=\"index\" dy=\"{shift}\">{text}</tspan>"),
                (true, _, Theme::Paper) => {
                    let size = self.px(words.size * INDEX[0]);
                    write!(self.text, "<tspan font-size=\"{size}\" dy=\"{shift}\">{text}</tspan>")
                }
                (false, true, _) => write!(self.text, "<tspan dy=\"-{shift}\">{text}</tspan>"),
                (false, false, _) => write!(self.text, "{text}"),
            };
            below = *index;
        }
        self.text += "</text>";
    }

    fn image(&mut self, image: &Image) -> Result<()> {
        let [x, y, w, h] = [image.at.0, image.at.1, image.size.0, image.size.1].map(|v| self.px(v));
        let uri = raster::uri(&image.rgba, image.pixels)?;
        let opacity = if image.opacity < 1.0 { format!(" opacity=\"{}\"", image.opacity) } else { String::new() };
        let _ = write!(
            self.text,
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"{opacity} href=\"{uri}\" \
             style=\"image-rendering:pixelated\" preserveAspectRatio=\"none\"><title>{}</title></image>",
            escaped(&image.about)
        );
        Ok(())
    }
}

impl Voice {
    /// Red, green and blue on paper.
    pub fn ink(self) -> [u8; 3] {
        match self {
            Voice::Head | Voice::Words => [20; 3],
            Voice::Tick | Voice::Said => [45; 3],
        }
    }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text as XML has it; control characters, which it has not, are spaces.
fn escaped(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => found += "&amp;",
            '<' => found += "&lt;",
            '>' => found += "&gt;",
            '"' => found += "&quot;",
            c if c.is_control() || ['\u{fffe}', '\u{ffff}'].contains(&c) => found.push(' '),
            c => found.push(c),
        }
    }
    found
}
