//! Readers of image files: every format and dtype against values written by hand, and files that lie.
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;
use vorticity::data::{Images, Levels, load, sha256_file};
use vorticity::shape::Shape;

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Scratch(TempDir::new().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn load(&self, bytes: &[u8], limit: usize) -> Result<Images, String> {
        let path = self.file("data.bin", bytes);
        load(path.to_str().unwrap(), limit, [-1.0, 1.0]).map_err(|e| e.to_string())
    }
}

fn load_all(bytes: &[u8]) -> Result<Images, String> {
    Scratch::new().load(bytes, usize::MAX)
}

fn refused(bytes: &[u8], expected: &str) {
    let message = load_all(bytes).expect_err("should be refused");
    assert!(message.contains(expected) && message.contains("data.bin"), "{message:?} does not say {expected:?}");
    assert!(!message.contains('\n'), "one sentence: {message:?}");
}

fn idx(dtype: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, dtype, dims.len() as u8];
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn npy_with(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_with(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), data)
}

fn tensors_with(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// The numbers 0, 1, 2, .. of one image of 1x2x3 after another, in any element type.
fn counting<const N: usize>(images: usize, bytes: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    (0..images * 6).flat_map(|v| bytes(v as f32)).collect()
}

fn assert_counting(images: &Images, count: usize) {
    assert_eq!((images.shape, images.count), (Shape::new(1, 2, 3), count));
    assert_eq!(images.values, (0..count * 6).map(|v| v as f32).collect::<Vec<_>>());
}

#[test]
fn idx_bytes_are_scaled_to_the_range() {
    let scratch = Scratch::new();
    let path = scratch.file("a", &idx(8, &[2, 1, 3], &[0, 51, 255, 102, 204, 1]));
    let images = load(path.to_str().unwrap(), usize::MAX, [-1.0, 1.0]).unwrap();
    assert_eq!((images.shape, images.count), (Shape::new(1, 1, 3), 2));
    let expected = [-1.0, -0.6, 1.0, -0.2, 0.6, (2.0 / 255.0 - 1.0) as f32];
    assert_eq!(images.values, expected);
    let other = load(path.to_str().unwrap(), usize::MAX, [0.0, 1.0]).unwrap();
    assert_eq!(other.values, [0.0, 0.2, 1.0, 0.4, 0.8, (1.0 / 255.0) as f32]);
    assert_ne!(other.values, images.values, "the range must matter");
}

#[test]
fn every_dtype_and_byte_order_reads_the_same_numbers() {
    let f16 = |v| half::f16::from_f32(v).to_le_bytes();
    let bf16 = |v| half::bf16::from_f32(v).to_le_bytes();
    let one = |dtype: &str, data: Vec<u8>| {
        let header = format!(r#"{{"x":{{"dtype":"{dtype}","shape":[3,1,2,3],"data_offsets":[0,{}]}}}}"#, data.len());
        tensors_with(&header, &data)
    };
    let files = [
        idx(0x0d, &[3, 2, 3], &counting(3, f32::to_be_bytes)),
        idx(0x0e, &[3, 1, 2, 3], &counting(3, |v| f64::from(v).to_be_bytes())),
        npy("<f4", "(3, 2, 3)", &counting(3, f32::to_le_bytes)),
        npy(">f4", "(3, 1, 2, 3)", &counting(3, f32::to_be_bytes)),
        npy("<f8", "(3, 2, 3)", &counting(3, |v| f64::from(v).to_le_bytes())),
        npy("<f2", "(3, 2, 3)", &counting(3, f16)),
        one("F16", counting(3, f16)),
        one("BF16", counting(3, bf16)),
        one("F32", counting(3, f32::to_le_bytes)),
        one("F64", counting(3, |v| f64::from(v).to_le_bytes())),
    ];
    for (i, file) in files.iter().enumerate() {
        for bytes in [file.clone(), gz(file)] {
            let scratch = Scratch::new();
            assert_counting(&scratch.load(&bytes, usize::MAX).unwrap_or_else(|e| panic!("file {i}: {e}")), 3);
            assert_counting(&scratch.load(&bytes, 2).unwrap(), 2);
            let message = scratch.load(&bytes, 4).unwrap_err();
            assert!(message.contains("holds 3 images, 4 were asked for"), "{message}");
        }
    }
}

#[test]
fn channels_stay_in_c_order() {
    let data: Vec<u8> = (0..2 * 3 * 5 * 7).map(|v| v as u8).collect();
    let images = load_all(&npy("|u1", "(2, 3, 5, 7)", &data)).unwrap();
    assert_eq!((images.shape, images.count, images.values.len()), (Shape::new(3, 5, 7), 2, 210));
    assert!(images.values.windows(2).all(|v| v[0] < v[1]));
}

#[test]
fn a_tensor_is_selected_by_name() {
    let header = r#"{"__metadata__":{"a":"b"},
        "labels":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
        "x":{"dtype":"U8","shape":[1,1,2],"data_offsets":[8,10]},
        "y":{"dtype":"U8","shape":[1,1,2],"data_offsets":[10,12]}}"#;
    let scratch = Scratch::new();
    let path = scratch.file("set#1.safetensors", &tensors_with(header, &[9, 9, 9, 9, 9, 9, 9, 9, 0, 255, 255, 0]));
    let load = |suffix: &str| load(format!("{}{suffix}", path.display()), usize::MAX, [0.0, 1.0]);
    assert_eq!(load("#x").unwrap().values, [0.0, 1.0]);
    assert_eq!(load("#y").unwrap().values, [1.0, 0.0]);
    let said = |suffix| load(suffix).unwrap_err().to_string();
    assert!(said("").contains("holds 3 tensors, expected one: name it as FILE#tensor (labels, x, y)"), "{}", said(""));
    assert!(said("#z").contains("has no tensor 'z', it holds labels, x, y"), "{}", said("#z"));
    assert!(said("#labels").contains("holds i64 values, expected u8"), "{}", said("#labels"));
}

#[test]
fn the_checksum_is_of_the_bytes_on_disk() {
    let file = idx(8, &[1, 1, 1], &[7]);
    let scratch = Scratch::new();
    let path = scratch.file("abc", b"abc");
    assert_eq!(sha256_file(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let (plain, packed) = (scratch.load(&file, 1).unwrap(), scratch.load(&gz(&file), 1).unwrap());
    assert_eq!(plain.values, packed.values);
    assert_ne!(plain.sha256, packed.sha256);
    assert_eq!(packed.sha256, sha256_file(scratch.0.path().join("data.bin")).unwrap());
}

#[test]
fn non_finite_values_name_their_image() {
    let mut values: Vec<f32> = (0..18).map(|v| v as f32).collect();
    values[13] = f32::NAN;
    let bytes =
        |values: &[f32]| npy("<f4", "(3, 2, 3)", &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    refused(&bytes(&values), "image 2 holds the value NaN");
    assert!(Scratch::new().load(&bytes(&values), 2).is_ok(), "the first two images are sound");
    // Finite in f64, not in f32.
    refused(&idx(0x0e, &[1, 1, 1], &1e300f64.to_be_bytes()), "image 0 holds the value inf");
}

#[test]
fn wrong_shapes_and_dtypes_are_refused() {
    refused(&idx(8, &[3], &[1, 2, 3]), "shape [3], expected [N, D], [N, H, W] or [N, C, H, W]");
    refused(&idx(8, &[1, 1, 1, 1, 1], &[1]), "shape [1, 1, 1, 1, 1], expected");
    refused(&idx(8, &[0, 2, 2], &[]), "shape [0, 2, 2] holds no pixels");
    refused(&idx(0x0b, &[1, 1, 1], &[0, 0]), "holds i16 values, expected u8, u16, f16, bf16, f32 or f64");
    refused(&npy("<i8", "(1, 1, 1)", &[0; 8]), "holds i64 values, expected u8");
    refused(&npy("|O", "(1, 1, 1)", &[0; 8]), "holds dtype '|O', expected u8");
    refused(&npy_with("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 3)}", &[0; 6]), "Fortran order");
    refused(&npy("|u1", "()", &[0]), "shape [], expected");
}

#[test]
fn wrong_lengths_are_refused() {
    let file = idx(8, &[3, 2, 3], &[1; 18]);
    refused(&file[..file.len() - 1], "truncated: the header promises 18 bytes of data, the file holds 17");
    refused(&[&file[..], &[0]].concat(), "has 1 trailing bytes");
    refused(&gz(&file[..file.len() - 1]), "truncated: it ends after byte 16, inside image 0 of 3");
    refused(&gz(&[&file[..], &[0]].concat()), "has trailing bytes after the 34");
    let mut packed = gz(&file);
    packed.truncate(packed.len() - 5);
    assert!(load_all(&packed).is_err(), "a cut gzip stream lacks its checksum");
    assert!(load_all(&gz(&file)).is_ok() && load_all(&file).is_ok(), "the uncut files are sound");
    refused(&file[..7], "truncated: it ends after byte 4, inside the IDX header");
    refused(&npy("|u1", "(1, 1, 1)", &[0])[..30], "ends after 30 bytes, inside the NPY header");
    refused(&tensors_with("{}", &[])[..9], "ends after 9 bytes, inside the safetensors header of 2 bytes");
}

#[test]
fn hostile_headers_cost_nothing() {
    let huge = u32::MAX;
    refused(&idx(8, &[huge, huge, huge], &[0; 64]), "more bytes than any file");
    refused(&idx(8, &[huge, 512, 512], &[0; 64]), "truncated: the header promises 1125899906580480 bytes");
    refused(&gz(&idx(8, &[huge, 512, 512], &[0; 64])), "at most 4294967296 fit");
    refused(&gz(&idx(8, &[1 << 20, 32, 32], &[0; 64])), "truncated: it ends after byte 16, inside image 0 of 1048576");
    refused(&npy("|u1", "(99999999999999999999, 2, 2)", &[0]), "has a bad NPY header");
    refused(&npy("|u1", "(-1, 2, 2)", &[0]), "has a bad NPY header");
    refused(&npy_with(&format!("{}1{}", "(".repeat(4000), ")".repeat(4000)), &[]), "nested brackets");
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend(u32::MAX.to_le_bytes());
    refused(&long, "has an NPY header of 4294967295 bytes, expected at most 10000");
    let mut header = u64::MAX.to_le_bytes().to_vec();
    header.push(b'{');
    refused(&header, "has a safetensors header of 18446744073709551615 bytes");
    let overlap = r#"{"a":{"dtype":"U8","shape":[1,1,4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1,1,4],"data_offsets":[2,6]}}"#;
    refused(&tensors_with(overlap, &[0; 6]), "has a bad safetensors header");
    let wide = format!(r#"{{"a":{{"dtype":"F32","shape":[{0},{0},{0}],"data_offsets":[0,4]}}}}"#, u64::MAX);
    refused(&tensors_with(&wide, &[0; 4]), "has a bad safetensors header");
    refused(&tensors_with(&format!("{{\"a\":{}", "[".repeat(100_000)), &[]), "has a bad safetensors header");
}

#[test]
fn gzip_may_be_padded_and_of_several_members() {
    let file = idx(8, &[2, 1, 3], &[0, 51, 255, 102, 204, 1]);
    let want = load_all(&file).unwrap().values;
    let packed = gz(&file);
    for zeros in [1, 512, 100_000] {
        assert_eq!(
            load_all(&[packed.clone(), vec![0; zeros]].concat()).unwrap().values,
            want,
            "{zeros} zeros behind it"
        );
    }
    let (first, rest) = file.split_at(11);
    assert_eq!(load_all(&[gz(first), gz(rest)].concat()).unwrap().values, want, "two members");
    let behind = "has bytes after the end of its gzip stream";
    refused(&[packed.clone(), b"garbage".to_vec()].concat(), behind);
    refused(&[packed.clone(), vec![0, 0, 7]].concat(), behind);
    refused(&[packed.clone(), vec![0x1f]].concat(), "truncated");
    let mut wrong = packed.clone();
    let checksum = wrong.len() - 6;
    wrong[checksum] ^= 1;
    refused(&wrong, "the gzip stream is damaged");
}

#[test]
fn sixteen_bits_are_scaled_to_the_range() {
    let words: Vec<u8> = [0u16, 65535, 13107].iter().flat_map(|w| w.to_le_bytes()).collect();
    let images = load_all(&npy("<u2", "(1, 1, 3)", &words)).unwrap();
    assert_eq!((images.values, images.levels), (vec![-1.0, 1.0, -0.6], Levels::bits(16)));
    let big: Vec<u8> = [0u16, 65535, 13107].iter().flat_map(|w| w.to_be_bytes()).collect();
    assert_eq!(load_all(&npy(">u2", "(1, 1, 3)", &big)).unwrap().values, [-1.0, 1.0, -0.6]);
}

#[test]
fn other_files_are_refused() {
    refused(b"", "begins with nothing (it is empty)");
    refused(b"\x89PNG\r\n\x1a\n", "PNG is read from folders of *.png");
    refused(&gz(&gz(&idx(8, &[1, 1, 1], &[1]))), "begins with bytes [1f, 8b");
    refused(&[0x1f, 0x8b, 8, 0], "the gzip stream is damaged");
    let scratch = Scratch::new();
    let folder = scratch.0.path().to_str().unwrap();
    assert!(load(folder, 1, [0.0, 1.0]).unwrap_err().to_string().contains("holds no *.png file"));
    let absent = format!("{folder}/absent");
    assert!(load(&absent, 1, [0.0, 1.0]).unwrap_err().to_string().contains("absent: cannot be opened"));
    let path = scratch.file("a", &idx(8, &[1, 1, 1], &[1]));
    let path = path.to_str().unwrap();
    assert!(load(format!("{path}#x"), 1, [0.0, 1.0]).unwrap_err().to_string().contains("no named tensors"));
    assert!(load(path, 1, [1.0, 1.0]).unwrap_err().to_string().contains("data range"));
    assert!(load(path, 1, [0.0, f64::NAN]).unwrap_err().to_string().contains("data range"));
    assert!(load(path, 0, [0.0, 1.0]).unwrap_err().to_string().contains("0 images asked for"));
}

proptest! {
    #[test]
    fn any_bytes_after_a_magic_give_an_answer(
        magic in prop::sample::select(vec![
            &b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', "[..], &b"\x93NUMPY"[..], &b"\x00\x00\x08\x03"[..],
            &b"\x00\x00\x0d\x04"[..], &b"\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\","[..], &b"\x1f\x8b\x08"[..], &b""[..],
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [magic, &tail[..]].concat();
        if let Ok(images) = load_all(&bytes) {
            prop_assert_eq!(images.values.len(), images.count * images.shape.len());
            prop_assert!(images.values.len() <= bytes.len());
        }
    }

    #[test]
    fn npy_headers_of_python_pieces_give_an_answer(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "(", ")", "[", "]", "'descr'", "'shape'", "'fortran_order'", ":", ",", "1", "-", "+", "1e999", "0x",
            "True", "None", "b'a'", "'<f4'", "'''", "\\", "1j", "_",
        ]), 0..60),
    ) {
        let message = load_all(&npy_with(&pieces.join(" "), &[])).unwrap_err();
        prop_assert!(message.contains("NPY header") && !message.contains('\n'), "{}", message);
    }

    #[test]
    fn written_images_read_back(n in 1usize..5, c in 1usize..4, h in 1usize..6, w in 1usize..6, seed in any::<u32>()) {
        let values: Vec<f32> = (0..n * c * h * w).map(|i| (seed.wrapping_mul(i as u32 + 1) as f32).sin()).collect();
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let images = load_all(&npy("<f4", &format!("({n}, {c}, {h}, {w})"), &data)).unwrap();
        prop_assert_eq!((images.count, images.shape), (n, Shape::new(c, h, w)));
        prop_assert_eq!(images.values, values);
    }
}
