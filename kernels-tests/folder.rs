//! Folders of PNG files as data: pixels against values written by hand, every colour type, and files that lie.
use flate2::{Compression, Crc, write::ZlibEncoder};
use png::{BitDepth, ColorType, Encoder};
use proptest::prelude::*;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;
use vorticity::data::{Images, load, load_shaped, sha256_bytes};
use vorticity::shape::Shape;

const ALL: usize = usize::MAX;

fn read(folder: &Path, limit: usize) -> Result<Images, String> {
    load(folder.to_str().unwrap(), limit, [-1.0, 1.0]).map_err(|e| e.to_string())
}

/// A PNG of `w` pixels a row, rows as they are in the bytes.
pub fn png(color: ColorType, depth: BitDepth, w: u32, h: u32, data: &[u8]) -> Vec<u8> {
    with(color, depth, w, h, data, |_| {})
}

fn with(
    color: ColorType,
    depth: BitDepth,
    w: u32,
    h: u32,
    data: &[u8],
    edit: impl Fn(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = Encoder::new(&mut bytes, w, h);
    encoder.set_color(color);
    encoder.set_depth(depth);
    edit(&mut encoder);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

fn grey(w: u32, h: u32, data: &[u8]) -> Vec<u8> {
    png(ColorType::Grayscale, BitDepth::Eight, w, h, data)
}

fn rgb(w: u32, h: u32, data: &[u8]) -> Vec<u8> {
    png(ColorType::Rgb, BitDepth::Eight, w, h, data)
}

/// A PNG by hand: header fields and scan lines are whatever the caller says.
fn raw(w: u32, h: u32, [depth, color, interlace]: [u8; 3], lines: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(data);
        [&(data.len() as u32).to_be_bytes()[..], name, data, &crc.sum().to_be_bytes()].concat()
    };
    let header = [&w.to_be_bytes()[..], &h.to_be_bytes(), &[depth, color, 0, 0, interlace]].concat();
    let mut packed = ZlibEncoder::new(vec![], Compression::fast());
    packed.write_all(lines).unwrap();
    let data = packed.finish().unwrap();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", &[])].concat()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// The one image of a folder that holds these bytes, its values as 0..255.
fn one(bytes: &[u8]) -> (Shape, Vec<f64>) {
    let folder = folder(&[("a.png", bytes)]);
    let images = load(folder.path().to_str().unwrap(), ALL, [0.0, 255.0]).unwrap();
    (images.shape, images.values.iter().map(|&v| f64::from(v)).collect())
}

/// A folder whose `b.png` holds these bytes, after a sound `a.png`, is refused by that name in one sentence.
fn refused(bytes: &[u8], words: &[&str]) {
    let folder = folder(&[("a.png", &grey(2, 2, &[1, 2, 3, 4])), ("b.png", bytes)]);
    assert!(read(folder.path(), 1).is_ok(), "the first image is sound");
    let message = read(folder.path(), ALL).expect_err("should be refused");
    for word in words.iter().chain(&["b.png: "]) {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
    assert!(!message.contains('\n') && !message.contains("a.png: "), "{message:?}");
}

#[test]
fn files_are_taken_by_name_and_scaled_like_idx() {
    let (a, b, c) = (grey(3, 1, &[0, 51, 255]), grey(3, 1, &[102, 204, 1]), grey(3, 1, &[9, 8, 7]));
    // By name, byte by byte: 10 comes before 9, and capitals before small letters.
    let folder = folder(&[("9.png", &c), ("10.png", &b), ("0.PNG", &a), (".0.png", b"hidden"), ("labels.csv", b"x")]);
    let images = read(folder.path(), ALL).unwrap();
    assert_eq!((images.shape, images.count), (Shape::new(1, 1, 3), 3));
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 3][..], &[0, 51, 255, 102, 204, 1, 9, 8, 7]].concat();
    let file = folder.path().join("same.idx");
    std::fs::write(&file, idx).unwrap();
    assert_eq!(images.values, load(file.to_str().unwrap(), ALL, [-1.0, 1.0]).unwrap().values);
    assert_eq!(images.values[..4], [-1.0, -0.6, 1.0, -0.2]);

    let two = read(folder.path(), 2).unwrap();
    assert_eq!((two.count, &two.values[..], &two.sha256), (2, &images.values[..6], &images.sha256));
    assert!(read(folder.path(), 4).unwrap_err().contains("holds 3 images, 4 were asked for"));
    let spec = format!("{}#x", folder.path().display());
    assert!(load(&spec, 1, [0.0, 1.0]).unwrap_err().to_string().contains("no named tensors such as '#x'"));
}

#[test]
fn every_colour_type_gives_its_values() {
    assert_eq!(one(&grey(2, 3, &[1, 2, 3, 4, 5, 6])), (Shape::new(1, 3, 2), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    // RGB to one plane per channel.
    let planes = (Shape::new(3, 1, 2), vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(one(&rgb(2, 1, &[1, 2, 3, 4, 5, 6])), planes);
    // Opaque alpha goes; palettes become RGB.
    assert_eq!(one(&png(ColorType::Rgba, BitDepth::Eight, 2, 1, &[1, 2, 3, 255, 4, 5, 6, 255])), planes);
    let palette = |encoder: &mut Encoder<&mut Vec<u8>>| encoder.set_palette(vec![4, 5, 6, 1, 2, 3]);
    assert_eq!(one(&with(ColorType::Indexed, BitDepth::Eight, 2, 1, &[1, 0], palette)), planes);
    assert_eq!(one(&with(ColorType::Indexed, BitDepth::One, 2, 1, &[0b1000_0000], palette)), planes);
    let opaque = png(ColorType::GrayscaleAlpha, BitDepth::Eight, 1, 2, &[7, 255, 8, 255]);
    assert_eq!(one(&opaque), (Shape::new(1, 2, 1), vec![7.0, 8.0]));
    // Fewer bits span the same range; 16 bits are not cut to 8.
    assert_eq!(one(&png(ColorType::Grayscale, BitDepth::Two, 4, 1, &[0b0001_1011])).1, [0.0, 85.0, 170.0, 255.0]);
    let deep = one(&png(ColorType::Grayscale, BitDepth::Sixteen, 3, 1, &[0, 0, 0x12, 0x34, 255, 255])).1;
    assert_eq!(deep, [0.0, f64::from((f64::from(0x1234) / 257.0) as f32), 255.0]);
    let deep = one(&png(ColorType::Rgba, BitDepth::Sixteen, 1, 1, &[1, 1, 2, 2, 3, 3, 255, 255]));
    assert_eq!(deep, (Shape::new(3, 1, 1), vec![1.0, 2.0, 3.0]));
    // Adam7: pixel (0, 0), then (1, 0), then the second row.
    let interlaced = raw(2, 2, [8, 0, 1], &[0, 10, 0, 20, 0, 30, 40]);
    assert_eq!(one(&interlaced), (Shape::new(1, 2, 2), vec![10.0, 20.0, 30.0, 40.0]));
}

#[test]
fn nothing_is_converted_in_silence() {
    refused(&grey(2, 3, &[0; 6]), &["an image of 1x3x2 (channels x height x width), expected 1x2x2 like a.png"]);
    refused(&rgb(2, 2, &[0; 12]), &["3x2x2", "1x2x2 like a.png", "grey and RGB are not converted"]);
    let clear = [1, 255, 2, 255, 3, 254, 4, 255];
    let alpha = png(ColorType::GrayscaleAlpha, BitDepth::Eight, 2, 2, &clear);
    refused(&alpha, &["transparent at row 1, column 0", "expected opaque pixels"]);
    let deep = [1, 1, 255, 255, 2, 2, 255, 254, 3, 3, 255, 255, 4, 4, 255, 255];
    refused(&png(ColorType::GrayscaleAlpha, BitDepth::Sixteen, 2, 2, &deep), &["transparent at row 0, column 1"]);
    // A transparent colour without an alpha channel.
    let key = |encoder: &mut Encoder<&mut Vec<u8>>| encoder.set_trns(vec![0, 9]);
    let keyed = |data: [u8; 4]| with(ColorType::Grayscale, BitDepth::Eight, 2, 2, &data, key);
    refused(&keyed([1, 2, 3, 9]), &["transparent at row 1, column 1"]);
    assert_eq!(one(&keyed([1, 2, 3, 4])).1, [1.0, 2.0, 3.0, 4.0]);
    let frames = |encoder: &mut Encoder<&mut Vec<u8>>| encoder.set_animated(1, 0).unwrap();
    let animated = with(ColorType::Grayscale, BitDepth::Eight, 2, 2, &[0; 4], frames);
    refused(&animated, &["an animation of 1 frames, expected one image"]);
}

#[test]
fn the_shape_is_checked_against_the_model_s() {
    let folder = folder(&[("a.png", &rgb(2, 2, &[0; 12])), ("b.png", b"never looked at")]);
    let spec = folder.path().to_str().unwrap();
    let said = |c| load_shaped(spec, 1, [0.0, 1.0], Some(Shape::new(c, 2, 2))).map_err(|e| e.to_string());
    let message = said(1).unwrap_err();
    for part in ["a.png: is an image of 3x2x2", "expected 1x2x2;", "grey and RGB are not converted"] {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert_eq!(said(3).unwrap().count, 1);
    // Files of other formats say the same.
    let file = folder.path().join("same.idx");
    std::fs::write(&file, [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 5]).unwrap();
    let error = load_shaped(file.to_str().unwrap(), 1, [0.0, 1.0], Some(Shape::new(1, 2, 2))).unwrap_err();
    assert!(error.to_string().contains("same.idx: holds images of 1x1x1"), "{error}");
}

#[test]
fn bad_folders_and_files_are_refused() {
    let empty = TempDir::new().unwrap();
    assert!(read(empty.path(), ALL).unwrap_err().contains("holds no *.png file (0 other entries)"));
    std::fs::write(empty.path().join("a.jpg"), "x").unwrap();
    let message = read(empty.path(), ALL).unwrap_err();
    assert!(message.contains("(1 other entries)") && message.contains(empty.path().to_str().unwrap()), "{message}");
    std::fs::create_dir(empty.path().join("a.png")).unwrap();
    assert!(read(empty.path(), ALL).unwrap_err().contains("a.png: is not a regular file"));

    let sound = grey(2, 2, &[1, 2, 3, 4]);
    refused(b"", &["is not a whole PNG file"]);
    refused(b"\xff\xd8\xff\xe0 a JPEG", &["is not a whole PNG file"]);
    for cut in [8, 20, sound.len() - 12, sound.len() - 20, sound.len() - 1] {
        refused(&sound[..cut], &["is not a whole PNG file"]);
    }
    for at in [17, 30, 45] {
        let mut broken = sound.clone();
        broken[at] ^= 1;
        refused(&broken, &[]);
    }
    refused(&raw(2, 2, [8, 0, 0], &[0, 1, 2]), &["is not a whole PNG file"]); // one row of two
    refused(&raw(2, 2, [8, 3, 0], &[0, 1, 2, 0, 1, 2]), &[]); // no palette
}

#[test]
fn hostile_sizes_cost_nothing() {
    let most = "pixels, expected at most 33554432 in all";
    for (w, h) in [(65535, 65535), (0x7fff_ffff, 0x7fff_ffff), (1, 0x7fff_ffff), (0x7fff_ffff, 1)] {
        refused(&raw(w, h, [16, 6, 0], &[0]), &[&format!("is {w} x {h} {most}")]);
    }
    refused(&raw(0, 2, [8, 0, 0], &[]), &["is not a whole PNG file"]);
    // A size that is allowed, in a folder that gives the shape, and no pixels behind it.
    let folder = folder(&[("a.png", &raw(5792, 5792, [16, 6, 0], &[0]))]);
    assert!(read(folder.path(), 1).unwrap_err().contains("a.png: is not a whole PNG file"));
}

#[test]
fn the_checksum_is_over_names_and_contents() {
    let (a, b) = (grey(1, 1, &[1]), grey(1, 1, &[2]));
    let sum = |files: &[(&str, &[u8])]| read(folder(files).path(), 1).unwrap().sha256;
    let whole = sum(&[("a.png", &a), ("b.png", &b)]);
    // What `sha256sum *.png | sha256sum` prints.
    let lines = format!("{}  a.png\n{}  b.png\n", sha256_bytes(&a), sha256_bytes(&b));
    assert_eq!(whole, sha256_bytes(lines.as_bytes()));
    assert_eq!(whole, sum(&[("b.png", &b), ("a.png", &a), ("notes.txt", b"x")]));
    for other in [
        sum(&[("a.png", &a)]),
        sum(&[("a.png", &b), ("b.png", &a)]),
        sum(&[("a.png", &a), ("c.png", &b)]),
        sum(&[("a.png", &a), ("b.png", &a)]),
    ] {
        assert_ne!(whole, other);
    }
    if cfg!(unix) {
        let folder = folder(&[("a\nb.png", &a)]);
        let message = read(folder.path(), 1).unwrap_err();
        assert!(message.contains("line break") && !message.contains('\n'), "{message:?}");
    }
}

proptest! {
    #[test]
    fn damaged_files_give_an_answer(
        at in 0usize..200, value in any::<u8>(), cut in 0usize..200, color in 0u8..7, depth in 0u8..17, interlace in 0u8..2,
        lines in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = raw(3, 2, [depth, color, interlace], &lines);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(100)));
        let folder = folder(&[("a.png", &bytes)]);
        match read(folder.path(), ALL) {
            Ok(images) => prop_assert_eq!(images.values.len(), images.shape.len()),
            Err(message) => prop_assert!(message.contains("a.png: ") && !message.contains('\n'), "{}", message),
        }
    }
}
