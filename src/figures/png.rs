//! A drawing as PNG of so many dots per inch. In: marks. Out: a file's bytes.
use super::marks::{Anchor, INDEX, Image, Mark, Pen, Voice, Words};
use super::pdf::HANDLE;
use super::{Drawing, colour, font};
use crate::error::{Error, Result};
use tiny_skia::{
    Color, FillRule, FilterQuality, Paint, PathBuilder, Pixmap, PixmapPaint, PremultipliedColorU8, Stroke, StrokeDash,
    Transform,
};
use ttf_parser::OutlineBuilder;

/// Points per inch.
pub const POINTS: f64 = 72.0;
/// Most pixels: what a large poster has.
const MOST: f64 = 1e9;

struct Out {
    pixels: Pixmap,
    /// Points to pixels.
    scale: f32,
}

/// The file.
///
/// # Errors
/// More pixels than a picture may have; a character that the font lacks.
pub fn write(drawing: &Drawing, dpi: f64) -> Result<Vec<u8>> {
    let scale = dpi / POINTS;
    let [width, height] = [drawing.size.0, drawing.size.1].map(|side| (side * scale).round().max(1.0));
    let large = || Error::invalid("dpi", format!("{width} x {height} pixels, expected at most {MOST:e} in all"));
    if width * height > MOST {
        return Err(large());
    }
    let mut pixels = Pixmap::new(width as u32, height as u32).ok_or_else(large)?;
    pixels.fill(Color::WHITE);
    let mut out = Out { pixels, scale: scale as f32 };
    out.marks(&drawing.marks, 0)?;
    encoded(&out.pixels, dpi)
}

/// Opaque pixels as red, green and blue, with the size at which they are printed.
fn encoded(pixels: &Pixmap, dpi: f64) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    let per_metre = (dpi / 0.0254).round() as u32;
    let unit = png::Unit::Meter;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit }));
    let colours: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let written = encoder.write_header().and_then(|mut w| w.write_image_data(&colours));
    written.map_err(|e| Error::invalid("picture", e))?;
    Ok(bytes)
}

impl Out {
    fn marks(&mut self, marks: &[Mark], series: usize) -> Result<()> {
        for mark in marks {
            match mark {
                Mark::Path { pen, lines, closed } => {
                    let mut path = PathBuilder::new();
                    for line in lines {
                        for (i, (x, y)) in line.iter().enumerate() {
                            let (x, y) = (*x as f32, *y as f32);
                            if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                        }
                        if *closed {
                            path.close();
                        }
                    }
                    self.paint(path, *pen, series);
                }
                Mark::Circle { pen, at, radius } => self.paint(circle(*at, *radius), *pen, series),
                Mark::Words(words) => self.words(words)?,
                Mark::Image(image) => self.image(image),
                Mark::Group { series: own, marks, .. } => self.marks(marks, own.unwrap_or(series))?,
            }
        }
        Ok(())
    }

    fn paint(&mut self, path: PathBuilder, pen: Pen, series: usize) {
        let Some(path) = path.finish() else { return }; // of a single point nothing is seen
        let (own, place) = (pen.paint(), Transform::from_scale(self.scale, self.scale));
        let ink = own.grey.map_or(colour(series), |level| [level; 3]);
        let area = if own.white { Some(1.0) } else { own.fill };
        if let Some(opacity) = area {
            let of = if own.white { [255; 3] } else { ink };
            self.pixels.fill_path(&path, &solid(of, opacity), FillRule::Winding, place, None);
        }
        if let Some(width) = own.line {
            let dash = own.dashes.and_then(|d| StrokeDash::new(d.iter().map(|v| *v as f32).collect(), 0.0));
            let stroke = Stroke { width: width as f32, dash, ..Stroke::default() };
            self.pixels.stroke_path(&path, &solid(ink, own.ink), &stroke, place, None);
        }
    }

    fn words(&mut self, words: &Words) -> Result<()> {
        let paint = solid(Voice::ink(words.voice), 1.0);
        let mut along = match words.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -words.width() / 2.0,
            Anchor::End => -words.width(),
        };
        let place = Transform::from_scale(self.scale, self.scale)
            .pre_translate(words.at.0 as f32, words.at.1 as f32)
            .pre_rotate(if words.upright { -90.0 } else { 0.0 });
        let face = font::face()?;
        for (text, index) in &words.parts {
            let (size, below) = if *index { (words.size * INDEX[0], words.size * INDEX[1]) } else { (words.size, 0.0) };
            for (_, glyph, advance) in font::glyphs(text)? {
                let mut outline = Outline { path: PathBuilder::new(), at: (along, below), unit: font::per_unit(size) };
                face.outline_glyph(glyph, &mut outline);
                if let Some(path) = outline.path.finish() {
                    self.pixels.fill_path(&path, &paint, FillRule::Winding, place, None);
                }
                along += f64::from(advance) * font::per_unit(size);
            }
        }
        Ok(())
    }

    fn image(&mut self, image: &Image) {
        let [height, width] = image.pixels;
        let Some(mut own) = Pixmap::new(width as u32, height as u32) else { return }; // of no pixels nothing is seen
        for (pixel, p) in own.pixels_mut().iter_mut().zip(image.rgba.chunks_exact(4)) {
            let opaque = tiny_skia::ColorU8::from_rgba(p[0], p[1], p[2], p[3]).premultiply();
            *pixel = PremultipliedColorU8::from_rgba(opaque.red(), opaque.green(), opaque.blue(), opaque.alpha())
                .unwrap_or(PremultipliedColorU8::TRANSPARENT);
        }
        let place = Transform::from_scale(self.scale, self.scale)
            .pre_translate(image.at.0 as f32, image.at.1 as f32)
            .pre_scale(image.size.0 as f32 / width as f32, image.size.1 as f32 / height as f32);
        let how =
            PixmapPaint { opacity: image.opacity as f32, quality: FilterQuality::Nearest, ..PixmapPaint::default() };
        self.pixels.draw_pixmap(0, 0, own.as_ref(), &how, place, None);
    }
}

fn solid([r, g, b]: [u8; 3], opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, (opacity * 255.0).round() as u8);
    paint
}

fn circle((x, y): (f64, f64), radius: f64) -> PathBuilder {
    let at = |a: f64, b: f64| ((x + a * radius) as f32, (y + b * radius) as f32);
    let mut path = PathBuilder::new();
    let start = at(1.0, 0.0);
    path.move_to(start.0, start.1);
    for (a, b) in [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)] {
        // From (a, b) to (-b, a).
        let (c, d, e) = (at(a - b * HANDLE, b + a * HANDLE), at(-b + a * HANDLE, a + b * HANDLE), at(-b, a));
        path.cubic_to(c.0, c.1, d.0, d.1, e.0, e.1);
    }
    path.close();
    path
}

/// A glyph, moved along the line; the font's y goes up.
struct Outline {
    path: PathBuilder,
    at: (f64, f64),
    unit: f64,
}

impl Outline {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        ((self.at.0 + f64::from(x) * self.unit) as f32, (self.at.1 - f64::from(y) * self.unit) as f32)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, a: f32, b: f32, x: f32, y: f32) {
        let ((a, b), (x, y)) = (self.place(a, b), self.place(x, y));
        self.path.quad_to(a, b, x, y);
    }

    fn curve_to(&mut self, a: f32, b: f32, c: f32, d: f32, x: f32, y: f32) {
        let ((a, b), (c, d), (x, y)) = (self.place(a, b), self.place(c, d), self.place(x, y));
        self.path.cubic_to(a, b, c, d, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
