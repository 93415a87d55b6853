//! A drawing as PDF of one page of its size, with text that can be searched and the font in it. In: marks. Out: a file's bytes, the same
//! of the same drawing.
use super::marks::{Anchor, INDEX, Image, Mark, Pen, Voice, Words};
use super::{Drawing, colour, font};
use crate::error::{Error, Result};
use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use std::collections::BTreeMap;
use std::io::Write;

/// A circle's handle: how far the controls of a quarter lie from its ends, in radii.
pub const HANDLE: f64 = 0.552_284_8;
const FONT: Name<'static> = Name(b"F");
const SYSTEM: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
/// Numbers of the objects that every file has; pictures come after them.
const CATALOG: i32 = 1;
const PAGES: i32 = 2;
const PAGE: i32 = 3;
const CONTENT: i32 = 4;
const TYPE0: i32 = 5;
const CID: i32 = 6;
const DESCRIPTOR: i32 = 7;
const FILE: i32 = 8;
const CMAP: i32 = 9;
const INFO: i32 = 10;
const FIRST: i32 = 11;

struct Out<'a> {
    content: Content,
    /// Opacities of areas and lines that are used, in hundredths.
    opacities: BTreeMap<(u8, u8), String>,
    /// Glyphs that are used, and which characters they stand for.
    glyphs: BTreeMap<u16, (char, u16)>,
    images: Vec<&'a Image>,
}

/// The file.
///
/// # Errors
/// A character that the font lacks.
pub fn write(drawing: &Drawing, title: &str) -> Result<Vec<u8>> {
    let mut out = Out { content: Content::new(), opacities: BTreeMap::new(), glyphs: BTreeMap::new(), images: vec![] };
    let (width, height) = (drawing.size.0 as f32, drawing.size.1 as f32);
    out.content.transform([1.0, 0.0, 0.0, -1.0, 0.0, height]);
    out.marks(&drawing.marks, 0)?;
    let mut pdf = Pdf::new();
    pdf.catalog(Ref::new(CATALOG)).pages(Ref::new(PAGES));
    pdf.pages(Ref::new(PAGES)).kids([Ref::new(PAGE)]).count(1);
    pdf.document_info(Ref::new(INFO)).title(TextStr(title)).producer(TextStr("vorticity"));
    let mut page = pdf.page(Ref::new(PAGE));
    page.media_box(Rect::new(0.0, 0.0, width, height)).parent(Ref::new(PAGES)).contents(Ref::new(CONTENT));
    let mut resources = page.resources();
    resources.fonts().pair(FONT, Ref::new(TYPE0));
    let mut images = resources.x_objects();
    for i in 0..out.images.len() {
        images.pair(Name(format!("I{i}").as_bytes()), Ref::new(FIRST + 2 * i as i32));
    }
    images.finish();
    let mut states = resources.ext_g_states();
    for ((area, line), name) in &out.opacities {
        let mut state = states.insert(Name(name.as_bytes())).start::<pdf_writer::writers::ExtGraphicsState>();
        state.non_stroking_alpha(f32::from(*area) / 100.0).stroking_alpha(f32::from(*line) / 100.0);
    }
    states.finish();
    resources.finish();
    page.finish();
    let content = deflated(&out.content.finish())?;
    pdf.stream(Ref::new(CONTENT), &content).filter(Filter::FlateDecode);
    write_font(&mut pdf, &out.glyphs)?;
    for (i, image) in out.images.iter().enumerate() {
        write_image(&mut pdf, FIRST + 2 * i as i32, image)?;
    }
    Ok(pdf.finish())
}

fn deflated(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(vec![], Compression::new(9));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|e| Error::invalid("PDF", e))
}

impl<'a> Out<'a> {
    fn marks(&mut self, marks: &'a [Mark], series: usize) -> Result<()> {
        for mark in marks {
            match mark {
                Mark::Path { pen, lines, closed } => {
                    for line in lines {
                        for (i, (x, y)) in line.iter().enumerate() {
                            let (x, y) = (*x as f32, *y as f32);
                            _ = if i == 0 { self.content.move_to(x, y) } else { self.content.line_to(x, y) };
                        }
                        if *closed {
                            self.content.close_path();
                        }
                    }
                    self.paint(*pen, series);
                }
                Mark::Circle { pen, at, radius } => {
                    self.circle(*at, *radius);
                    self.paint(*pen, series);
                }
                Mark::Words(words) => self.words(words)?,
                Mark::Image(image) => {
                    let (w, h) = (image.size.0 as f32, image.size.1 as f32);
                    self.content.save_state();
                    self.opacity(image.opacity, 1.0);
                    self.content.transform([w, 0.0, 0.0, -h, image.at.0 as f32, image.at.1 as f32 + h]);
                    self.content.x_object(Name(format!("I{}", self.images.len()).as_bytes()));
                    self.content.restore_state();
                    self.images.push(image);
                }
                Mark::Group { series: own, marks, .. } => self.marks(marks, own.unwrap_or(series))?,
            }
        }
        Ok(())
    }

    fn circle(&mut self, (x, y): (f64, f64), radius: f64) {
        let at = |a: f64, b: f64| ((x + a * radius) as f32, (y + b * radius) as f32);
        let start = at(1.0, 0.0);
        self.content.move_to(start.0, start.1);
        for (a, b) in [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)] {
            // From (a, b) to (-b, a).
            let (c, d, e) = (at(a - b * HANDLE, b + a * HANDLE), at(-b + a * HANDLE, a + b * HANDLE), at(-b, a));
            self.content.cubic_to(c.0, c.1, d.0, d.1, e.0, e.1);
        }
        self.content.close_path();
    }

    /// Sets both opacities.
    fn opacity(&mut self, area: f64, line: f64) {
        let key = ((area * 100.0).round() as u8, (line * 100.0).round() as u8);
        let name = self.opacities.entry(key).or_insert_with(|| format!("G{}x{}", key.0, key.1));
        self.content.set_parameters(Name(name.as_bytes()));
    }

    /// Paints the path that was begun.
    fn paint(&mut self, pen: Pen, series: usize) {
        let paint = pen.paint();
        let [r, g, b] = paint.grey.map_or(colour(series), |level| [level; 3]).map(|c| f32::from(c) / 255.0);
        let white = paint.white;
        let [fr, fg, fb] = if white { [1.0; 3] } else { [r, g, b] };
        let area = if white { Some(1.0) } else { paint.fill };
        self.opacity(area.unwrap_or(1.0), paint.ink);
        self.content.set_fill_rgb(fr, fg, fb);
        self.content.set_stroke_rgb(r, g, b);
        self.content.set_line_width(paint.line.unwrap_or(0.0) as f32);
        self.content.set_dash_pattern(paint.dashes.iter().flatten().map(|d| *d as f32), 0.0);
        match (area, paint.line) {
            (Some(_), Some(_)) => self.content.fill_nonzero_and_stroke(),
            (Some(_), None) => self.content.fill_nonzero(),
            (None, Some(_)) => self.content.stroke(),
            (None, None) => self.content.end_path(),
        };
    }

    fn words(&mut self, words: &Words) -> Result<()> {
        let [r, g, b] = Voice::ink(words.voice).map(|c| f32::from(c) / 255.0);
        self.opacity(1.0, 1.0);
        self.content.set_fill_rgb(r, g, b);
        let mut along = match words.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -words.width() / 2.0,
            Anchor::End => -words.width(),
        };
        for (text, index) in &words.parts {
            let (size, below) = if *index { (words.size * INDEX[0], words.size * INDEX[1]) } else { (words.size, 0.0) };
            let mut bytes = vec![];
            for (c, glyph, advance) in font::glyphs(text)? {
                self.glyphs.insert(glyph.0, (c, advance));
                bytes.extend(glyph.0.to_be_bytes());
            }
            let (x, y) = words.at;
            let matrix = match words.upright {
                true => [0.0, -1.0, -1.0, 0.0, (x + below) as f32, (y - along) as f32],
                false => [1.0, 0.0, 0.0, -1.0, (x + along) as f32, (y + below) as f32],
            };
            self.content.begin_text().set_font(FONT, size as f32).set_text_matrix(matrix);
            self.content.show(Str(&bytes)).end_text();
            along += font::width(text, size);
        }
        Ok(())
    }
}

fn write_font(pdf: &mut Pdf, glyphs: &BTreeMap<u16, (char, u16)>) -> Result<()> {
    let face = font::face()?;
    let base = Name(b"DejaVuSans");
    let mut whole = pdf.type0_font(Ref::new(TYPE0));
    whole.base_font(base).encoding_predefined(Name(b"Identity-H"));
    whole.descendant_font(Ref::new(CID)).to_unicode(Ref::new(CMAP));
    whole.finish();
    let thousandths = |units: i32| (font::per_unit(1000.0) * f64::from(units)) as f32;
    let mut cid = pdf.cid_font(Ref::new(CID));
    cid.subtype(CidFontType::Type2).base_font(base).system_info(SYSTEM).font_descriptor(Ref::new(DESCRIPTOR));
    cid.default_width(thousandths(1024)).cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = cid.widths();
    for (glyph, (_, advance)) in glyphs {
        widths.consecutive(*glyph, [thousandths(i32::from(*advance))]);
    }
    widths.finish();
    cid.finish();
    let extent = face.global_bounding_box();
    let extent = [extent.x_min, extent.y_min, extent.x_max, extent.y_max].map(|v| thousandths(i32::from(v)));
    let height = i32::from(face.capital_height().unwrap_or(face.ascender()));
    let mut about = pdf.font_descriptor(Ref::new(DESCRIPTOR));
    about.name(base).flags(FontFlags::SYMBOLIC).bbox(Rect::new(extent[0], extent[1], extent[2], extent[3]));
    about.italic_angle(0.0).ascent(thousandths(i32::from(face.ascender())));
    about.descent(thousandths(i32::from(face.descender()))).cap_height(thousandths(height)).stem_v(80.0);
    about.font_file2(Ref::new(FILE));
    about.finish();
    let file = deflated(font::FILE)?;
    let mut stream = pdf.stream(Ref::new(FILE), &file);
    stream.filter(Filter::FlateDecode).pair(Name(b"Length1"), font::FILE.len() as i32);
    stream.finish();
    let mut cmap = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
    glyphs.iter().for_each(|(glyph, (c, _))| cmap.pair(*glyph, *c));
    let bytes = cmap.finish();
    pdf.cmap(Ref::new(CMAP), &bytes);
    Ok(())
}

/// Colours, and opacities in a picture of their own.
fn write_image(pdf: &mut Pdf, first: i32, image: &Image) -> Result<()> {
    let [height, width] = image.pixels.map(|side| side as i32);
    let (colours, opacities): (Vec<_>, Vec<_>) = image.rgba.chunks_exact(4).map(|p| ([p[0], p[1], p[2]], p[3])).unzip();
    let colours = deflated(&colours.concat())?;
    let mut picture = pdf.image_xobject(Ref::new(first), &colours);
    picture.width(width).height(height).bits_per_component(8).filter(Filter::FlateDecode);
    picture.color_space().device_rgb();
    picture.s_mask(Ref::new(first + 1));
    picture.finish();
    let opacities = deflated(&opacities)?;
    let mut mask = pdf.image_xobject(Ref::new(first + 1), &opacities);
    mask.width(width).height(height).bits_per_component(8).filter(Filter::FlateDecode);
    mask.color_space().device_gray();
    mask.finish();
    Ok(())
}
