//! Pictures of numbers as PNG inside SVG and HTML. In: colours, row by row. Out: data URIs.
use crate::error::{Error, Result};
use base64::{Engine, prelude::BASE64_STANDARD};

/// A file's bytes, to stand where an address may.
pub fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png))
}

/// Red, green, blue and opacity of `[H, W]` pixels.
pub fn uri(rgba: &[u8], [height, width]: [usize; 2]) -> Result<String> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    let written = encoder.write_header().and_then(|mut w| w.write_image_data(rgba));
    written.map_err(|e| Error::invalid("picture", e))?;
    Ok(data_uri(&bytes))
}
