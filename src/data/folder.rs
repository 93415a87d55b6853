//! Folders of PNG files: one image each, in the order of their names (byte by byte); hidden files and other endings are
//! passed over. In: a folder. Out: images scaled like those of an 8-bit file, and a checksum. Stored values count as they
//! are: gamma and colour profiles are not applied, grey and RGB are not converted. Reference: <https://www.w3.org/TR/png-3/>.
use super::source::{open_file, scaled};
use super::{Images, Levels, check_count, check_size, hex, sha256_file};
use crate::error::{Error, Result};
use crate::shape::Shape;
use png::{ColorType, Decoder, DecodingError, Limits, Transformations};
use sha2::{Digest, Sha256};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Largest picture, 5792 x 5792: a small file can promise any size.
const MOST_PIXELS: usize = 1 << 25;
/// Four samples of two bytes.
const MOST_BYTES: usize = 8 * MOST_PIXELS;

/// The first `limit` pictures of a folder, all of the shape `expected`, or of the first one's.
pub fn read(folder: &Path, limit: usize, range: [f64; 2], expected: Option<Shape>) -> Result<Images> {
    let files = list(folder)?;
    let count = check_count(files.len(), limit).map_err(|e| Error::file(folder, e))?;
    let mut values = Vec::new();
    let mut shape = expected;
    let mut levels: Option<Levels> = None;
    for file in &files[..count] {
        let check = |found: Shape| {
            let wanted = *shape.get_or_insert(found);
            if found != wanted {
                let like = if expected.is_none() { format!(" like {}", name(&files[0])) } else { String::new() };
                let hint = if found.c == wanted.c { "" } else { "; grey and RGB are not converted into each other" };
                return Err(format!(
                    "is an image of {found} (channels x height x width), expected {wanted}{like}{hint}"
                ));
            }
            check_size(count, found).map(|_| ())
        };
        let own = append(file, range, check, &mut values)?;
        levels = Some(levels.map_or(own, |others| own.beside(others)));
    }
    let shape = shape.ok_or_else(|| Error::file(folder, "holds no images"))?;
    Ok(Images { shape, count, values, levels: levels.unwrap_or_default(), sha256: checksum(&files)? })
}

/// How many pictures a folder holds.
pub fn held(folder: &Path) -> Result<usize> {
    list(folder).map(|files| files.len())
}

/// The PNG files of a folder, in order.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let bad = |e: std::io::Error| Error::file(folder, format!("cannot be listed: {e}"));
    let (mut files, mut others) = (vec![], 0);
    for entry in std::fs::read_dir(folder).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) && !hidden {
            true => files.push(path),
            false => others += 1,
        }
    }
    if files.is_empty() {
        return Err(Error::file(
            folder,
            format!("holds no *.png file ({others} other entries), expected one per image"),
        ));
    }
    // Names are lines of the checksum, and messages are one line.
    if let Some(file) = files.iter().find(|f| f.as_os_str().as_encoded_bytes().contains(&b'\n')) {
        return Err(Error::invalid(format!("{file:?}"), "has a line break in its name, expected none"));
    }
    files.sort();
    Ok(files)
}

/// SHA-256 of the lines that `sha256sum` prints of the files in order: checksum, two spaces, name.
fn checksum(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        hash.update(sha256_file(file)?);
        hash.update(b"  ");
        hash.update(name);
        hash.update(b"\n");
    }
    Ok(hex(&hash.finalize()))
}

/// Decodes one picture to the end of `values`, once `check` has accepted the shape that its header promises; its levels.
fn append(
    path: &Path,
    range: [f64; 2],
    check: impl FnOnce(Shape) -> Result<(), String>,
    values: &mut Vec<f32>,
) -> Result<Levels> {
    let fail = |message: String| Error::file(path, message);
    let bad = |e: DecodingError| fail(format!("is not a whole PNG file: {e}"));
    let (file, _) = open_file(path)?;
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), Limits { bytes: MOST_BYTES });
    decoder.set_transformations(Transformations::EXPAND); // palettes, transparent colours, less than 8 bits
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);

    let header = decoder.read_header_info().map_err(bad)?;
    let (w, h) = (header.width as usize, header.height as usize);
    let c = match header.color_type {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => 1,
        ColorType::Rgb | ColorType::Rgba | ColorType::Indexed => 3,
    };
    if w.saturating_mul(h) > MOST_PIXELS {
        return Err(fail(format!("is {w} x {h} pixels, expected at most {MOST_PIXELS} in all")));
    }
    check(Shape::new(c, h, w)).map_err(fail)?;
    // The colours of a palette have 8 bits, however many their numbers have.
    let indexed = header.color_type == ColorType::Indexed;
    let levels = Levels::bits(if indexed { 8 } else { header.bit_depth as u32 });

    let mut reader = decoder.read_info().map_err(bad)?;
    if let Some(animation) = reader.info().animation_control() {
        return Err(fail(format!("is an animation of {} frames, expected one image", animation.num_frames)));
    }
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut bytes).map_err(bad)?;
    reader.finish().map_err(bad)?;

    let samples = frame.color_type.samples();
    let size = if frame.bit_depth == png::BitDepth::Sixteen { 2 } else { 1 };
    let pixels = || bytes[..frame.buffer_size()].chunks_exact(samples * size);
    if samples > c {
        let clear = pixels().position(|p| p[c * size..].iter().any(|&alpha| alpha != 0xff));
        if let Some(at) = clear {
            let place = format!("row {}, column {}", at / w, at % w);
            return Err(fail(format!("is transparent at {place}, expected opaque pixels: put it on a background")));
        }
    }
    values.try_reserve(c * w * h).map_err(|_| fail("does not fit in memory with those before it".into()))?;
    for first in (0..c).map(|channel| channel * size) {
        values.extend(pixels().map(|p| match size {
            1 => scaled(p[first].into(), u8::MAX.into(), range),
            _ => scaled(u16::from_be_bytes([p[first], p[first + 1]]).into(), u16::MAX.into(), range),
        }));
    }
    Ok(levels)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
