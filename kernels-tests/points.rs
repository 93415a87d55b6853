//! `vorticity evaluate`: values, tangents and differences at given points are the library's, bit for bit; differences lie
//! within their own error estimate; what cannot be evaluated is refused and leaves nothing.
use crate::cli::{refused, text, vorticity};
use crate::common::{gpu, noise};
use ndarray::Array as Numbers;
use ndarray_npy::{NpzReader, write_npy};
use std::fs::File;
use std::path::Path;
use vorticity::evaluate::Room;
use vorticity::field::{self, ScoreScale};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/funnel");

fn save(path: &Path, shape: &[usize], values: &[f32]) {
    write_npy(path, &Numbers::from_shape_vec(shape, values.to_vec()).unwrap()).unwrap();
}

#[test]
fn points_of_ones_own_give_what_the_library_gives() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (n, k, d) = (3, 2, 64);
    let (x, v) = (noise(n * d, 1), noise(n * k * d, 2));
    save(&at("x.npy"), &[n, 1, 8, 8], &x);
    save(&at("v.npy"), &[n, k, 1, 8, 8], &v);
    let output = {
        let _alone = gpu();
        let files = ["--points", text(&at("x.npy")), "--directions", text(&at("v.npy")), "--out", text(&at("y.npz"))]
            .map(String::from);
        let more = ["--timestep", "401", "--differences", "--memory", "1GiB", "--json"];
        vorticity(&["evaluate", MODEL]).args(files).args(more).output().unwrap()
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said["points"].as_u64(), said["directions"].as_u64()), (Some(3), Some(2)));
    assert!(said["device_bytes"].as_u64().unwrap() > 3_000_000, "{said}");
    let over = said["difference_over_error"].as_f64().unwrap();
    assert!(over > 0.0 && over <= 1.0, "{said}");

    let mut npz = NpzReader::new(File::open(at("y.npz")).unwrap()).unwrap();
    let mut array = |name: &str| -> ndarray::ArrayD<f32> { npz.by_name(name).unwrap() };
    let (s, jvp, differences) = (array("s"), array("jvp"), array("differences"));
    assert_eq!((s.shape(), jvp.shape()), (&[n, 1, 8, 8][..], &[n, k, 1, 8, 8][..]));
    let gpu = gpu();
    let field = field::open(MODEL, None, ScoreScale::Definition).unwrap();
    let room = Room { samples: n, tangents: k, cotangents: 0 };
    let (y, jv) = field::tangent_evaluator(&gpu, &field, &[401], room).unwrap().jvp(&x, &v, &[401; 3]).unwrap();
    assert!(s.iter().eq(&y) && jvp.iter().eq(&jv));
    let gap = differences.iter().zip(&jv).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    let most = jv.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(gap > 0.0 && gap < 1e-2 * most, "{gap} of {most}");
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let x = noise(2 * 64, 1);
    save(&at("x.npy"), &[2, 1, 8, 8], &x);
    save(&at("flat.npy"), &[2, 64], &x);
    save(&at("one.npy"), &[1, 1, 8, 8], &x[..64]);
    save(&at("zero.npy"), &[2, 1, 8, 8], &[0.0; 128]);
    let _alone = gpu();
    let out = at("y.npz");
    for (points, more, words) in [
        ("flat.npy", vec![], "expected [N, C, H, W]"),
        ("x.npy", vec!["--directions", "one.npy"], "directions for 2 points"),
        ("x.npy", vec!["--cotangents", "one.npy"], "cotangents for 2 points"),
        ("x.npy", vec!["--directions", "zero.npy"], "direction 0"),
        ("x.npy", vec!["--directions", "x.npy", "--differences", "0"], "step of differences"),
        ("x.npy", vec!["--memory", "much"], "'much' is no number of bytes"),
        ("x.npy", vec!["--binding", "1000"], "1000 bytes, expected 1048576"),
    ] {
        let files: Vec<String> =
            more.iter().map(|m| if m.ends_with("npy") { text(&at(m)).to_string() } else { m.to_string() }).collect();
        let points = at(points);
        let head = ["evaluate", MODEL, "--timestep", "401", "--points", text(&points), "--out", text(&out)];
        let all: Vec<&str> = head.into_iter().chain(files.iter().map(String::as_str)).collect();
        refused(&all, 2, &[words], &out);
    }
    let points = at("x.npy");
    let late = ["evaluate", MODEL, "--timestep", "1000", "--points", text(&points), "--out", text(&out)];
    refused(&late, 2, &["1000"], &out);
}
