//! What data are, levels of a depth or real numbers, and what follows for bits per dimension; and data that are of no range
//! that the network knows.
use crate::cli::{text, vorticity};
use crate::data::npy;
use crate::folder::png;
use crate::networks;
use png::{BitDepth, ColorType};
use std::fs;
use std::path::Path;

/// The likelihood of N(0, I) on `data` of 4x4 pixels, on five timesteps: bits per dimension of the first image, its offset and what was printed.
fn likelihood(folder: &Path, data: &Path, more: &[&str]) -> Result<(f64, f64, String), String> {
    let out = folder.join("run");
    let _ = fs::remove_dir_all(&out);
    let fixed = ["likelihood", "field:gaussian", "--data", text(data), "--samples", "1", "--timesteps", "0..801:200"];
    let output = vorticity(&[&fixed[..], &["--out", text(&out)], more].concat()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(error);
    }
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let bits = read("likelihood.csv").lines().nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    let offset = manifest["likelihood"]["offset_bits"].as_f64().unwrap();
    Ok((bits, offset, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// -log2 of the width of a level in [-1, 1].
fn offset(most: f64) -> f64 {
    (most / 2.0).log2()
}

#[test]
fn bits_are_counted_by_what_the_data_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (bytes, words) = (|i: usize| (i * 37 % 256) as u8, |i: usize| (i * 9973 % 65536) as u16);
    let of = |f: &dyn Fn(usize) -> Vec<u8>| (0..16).flat_map(f).collect::<Vec<u8>>();
    let floats = |f: &dyn Fn(usize) -> f32| of(&|i| f(i).to_le_bytes().to_vec());
    let u8s = file("u8.npy", &npy("|u1", "(1, 4, 4)", &of(&|i| vec![bytes(i)])));
    let u16s = file("u16.npy", &npy("<u2", "(1, 4, 4)", &of(&|i| words(i).to_le_bytes().to_vec())));
    let scaled = file("scaled.npy", &npy("<f4", "(1, 4, 4)", &floats(&|i| f32::from(bytes(i)) / 127.5 - 1.0)));
    let reals = file("reals.npy", &npy("<f4", "(1, 4, 4)", &floats(&|i| (i as f32 * 1.7).sin())));

    let (eight, found, said) = likelihood(folder.path(), &u8s, &[]).unwrap();
    assert!(
        (found - offset(255.0)).abs() < 1e-12 && said.contains("the data are 8-bit levels (what the data hold)"),
        "{said}"
    );
    let (sixteen, found, said) = likelihood(folder.path(), &u16s, &[]).unwrap();
    assert!((found - offset(65535.0)).abs() < 1e-12 && said.contains("16-bit levels"), "{said}");
    assert!(sixteen - eight > 7.0, "a level of 16 bits takes 8 bits more than one of 8 of much the same picture");
    let (bits, found, said) = likelihood(folder.path(), &scaled, &[]).unwrap();
    assert!((found - offset(255.0)).abs() < 1e-12 && said.contains("8-bit levels (every value is one)"), "{said}");
    assert!((bits - eight).abs() < 1e-6, "{bits} {eight}");
    let (plain, found, said) = likelihood(folder.path(), &scaled, &["--continuous"]).unwrap();
    assert!(
        found == 0.0 && (bits - plain - offset(255.0)).abs() < 0.02 && said.contains("real numbers (--levels)"),
        "{said}"
    );
    // Real numbers: -ln N(x; 0, I) / (D ln 2), as the flow of N(0, I) stands still.
    let (bits, found, said) = likelihood(folder.path(), &reals, &[]).unwrap();
    let square: f64 = (0..16).map(|i| f64::from((i as f32 * 1.7).sin()).powi(2)).sum();
    let want = (square / 16.0 + std::f64::consts::TAU.ln()) / 2.0 / std::f64::consts::LN_2;
    assert!(
        found == 0.0 && (bits - want).abs() < 1e-3 && said.contains("real numbers (what the data hold)"),
        "{bits} {want}"
    );
    let error = likelihood(folder.path(), &reals, &["--levels", "8-bit"]).unwrap_err();
    assert!(
        error.contains("--levels: the data are real numbers, some between the levels")
            && error.contains("expected 8-bit levels"),
        "{error}"
    );
}

#[test]
fn pictures_of_several_depths_have_no_bits() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    let write =
        |name: &str, depth, data: &[u8]| fs::write(pictures.join(name), png(ColorType::Grayscale, depth, 4, 4, data));
    write("a.png", BitDepth::Sixteen, &[7; 32]).unwrap();
    write("b.png", BitDepth::Eight, &[7; 16]).unwrap();
    let (_, found, _) = likelihood(folder.path(), &pictures, &[]).unwrap();
    assert!((found - offset(65535.0)).abs() < 1e-12, "the first alone has 16 bits");
    let two = ["--samples", "2"];
    let error = vorticity(&["likelihood", "field:gaussian", "--data", text(&pictures), "--timesteps", "0,1,2"])
        .args(two)
        .args(["--out", text(&folder.path().join("out"))])
        .output()
        .unwrap()
        .stderr;
    let error = String::from_utf8_lossy(&error).into_owned();
    assert!(error.contains("--data: are pictures of several depths, expected one"), "{error}");
    write("a.png", BitDepth::One, &[0xa0, 0x50, 0xf0, 0x00]).unwrap();
    let (_, found, said) = likelihood(folder.path(), &pictures, &[]).unwrap();
    assert!((found - offset(1.0)).abs() < 1e-12 && said.contains("1-bit levels"), "{said}");
}

#[test]
fn data_of_another_range_are_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    networks::model(folder.path());
    let model = folder.path();
    let says = |name: &str, f: &dyn Fn(usize) -> f32, more: &[&str]| {
        let shape = vorticity::model::Model::open(model).unwrap().shape();
        let data: Vec<u8> = (0..shape.len()).flat_map(|i| f(i).to_le_bytes()).collect();
        let path = model.join(name);
        fs::write(&path, npy("<f4", &format!("(1, {}, {}, {})", shape.c, shape.h, shape.w), &data)).unwrap();
        let fixed =
            ["circulation", text(model), "--data", text(&path), "--timesteps", "1", "--samples", "1", "--points", "20"];
        let output = vorticity(&[&fixed[..], &["--paths", "rotation", "--dry-run", "--out", "x"], more].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let bright = says("bright.npy", &|i| 4.0 * i as f32, &[]);
    assert!(
        bright.contains("bright.npy: the values go from 0 to") && bright.contains("data range is [-1.0, 1.0]"),
        "{bright}"
    );
    assert!(says("half.npy", &|i| (i % 7) as f32 / 7.0, &[]).contains("all of them lie in one half"));
    assert!(!says("right.npy", &|i| (i as f32).sin(), &[]).contains("data range"));
    assert!(!says("quiet.npy", &|i| 4.0 * i as f32, &["--quiet"]).contains("data range"));
}
