//! The font of figures: a part of DejaVu Sans that the program carries, so that a machine without fonts draws the same. In: words.
//! Out: how wide they are, and what they look like.
use crate::error::{Error, Result};
use std::sync::LazyLock;
use ttf_parser::{Face, GlyphId};

/// The file: Latin, Greek, Cyrillic, indices, and the signs of formulas.
pub const FILE: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-part.ttf");

/// The name by which a reader's own programs may have it, and what is like it.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Arial, sans-serif";

static FACE: LazyLock<Option<Face<'static>>> = LazyLock::new(|| Face::parse(FILE, 0).ok());

/// The font, read.
///
/// # Errors
/// None: the file is the program's own, and a test reads it.
pub fn face() -> Result<&'static Face<'static>> {
    FACE.as_ref().ok_or_else(|| Error::invalid("font", "the program's own cannot be read"))
}

/// Units of the font to a height.
pub fn per_unit(size: f64) -> f64 {
    size / FACE.as_ref().map_or(2048.0, |face| f64::from(face.units_per_em()))
}

/// How wide a text is at this height; a character that the font lacks counts as a wide one.
pub fn width(text: &str, size: f64) -> f64 {
    let Some(face) = FACE.as_ref() else { return 0.6 * size * text.chars().count() as f64 };
    let advance = |c: char| face.glyph_index(c).and_then(|glyph| face.glyph_hor_advance(glyph)).unwrap_or(2048);
    text.chars().map(|c| f64::from(advance(c))).sum::<f64>() * per_unit(size)
}

/// The glyphs of a text and how far each moves the next one, in units of the font.
///
/// # Errors
/// A character that the font lacks.
pub fn glyphs(text: &str) -> Result<Vec<(char, GlyphId, u16)>> {
    let face = face()?;
    let glyph = |c: char| {
        let found = face.glyph_index(c).and_then(|glyph| Some((c, glyph, face.glyph_hor_advance(glyph)?)));
        let lacking = format!("the character '{c}' is not in the font of PDF and PNG figures; SVG can have it");
        found.ok_or_else(|| Error::invalid(format!("'{text}'"), lacking))
    };
    text.chars().map(glyph).collect()
}
