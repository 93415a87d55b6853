//! `vorticity paths export` and `vorticity circulation --scores` as a user runs them.
use assert_cmd::Command;
use std::fs;
use std::path::Path;

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/mnist-test-256-idx3-ubyte.gz");

/// Runs in `folder`; exit code, standard output, standard error.
fn vorticity(folder: &Path, arguments: &str) -> (i32, String, String) {
    let arguments: Vec<_> = arguments.split_whitespace().map(|a| if a == "DIGITS" { DIGITS } else { a }).collect();
    let mut command = Command::cargo_bin("vorticity").unwrap();
    command.current_dir(folder).args(&arguments);
    if let Ok(adapter) = std::env::var("VORTICITY_ADAPTER")
        && arguments[0] == "paths"
    {
        command.args(["--adapter", &adapter]);
    }
    let output = command.output().unwrap();
    let [out, error] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).into_owned());
    (output.status.code().unwrap(), out, error)
}

const CASE: &str =
    "paths export field:gaussian --data DIGITS --timesteps 400,900 --samples 2 --points 20 --out loops.npz";

#[test]
fn loops_go_out_and_scores_come_back() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let (code, out, error) = vorticity(folder, CASE);
    // 3 paths, 2 timesteps, 2 samples, 20 segments of 784 components, three arrays of f32.
    assert!(code == 0 && out.contains("240 segments of 1x28x28") && out.contains("2.3 MB"), "{out}{error}");
    assert_eq!(vorticity(folder, CASE).0, 2, "an existing file is left alone");

    // The midpoints themselves are the scores of a growing Gaussian: a gradient field, no circulation.
    let run = "circulation --scores loops.npz#midpoints --exported loops.npz --out run";
    let (code, out, error) = vorticity(folder, run);
    assert!(code == 0 && out.contains("brownian"), "{out}{error}");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("run/manifest.json")).unwrap()).unwrap();
    let sha256 = vorticity::data::sha256_file(folder.join("loops.npz")).unwrap();
    assert_eq!(
        (&manifest["field"]["sha256"], &manifest["exported"]["sha256"]),
        (&sha256.clone().into(), &sha256.into())
    );
    assert!(manifest["field"]["evaluated"].as_str().unwrap().starts_with("elsewhere"));
    let mut table = csv::Reader::from_path(folder.join("run/circulation.csv")).unwrap();
    let header = table.headers().unwrap().clone();
    let cell = |row: &csv::StringRecord, name: &str| -> f64 {
        row[header.iter().position(|h| h == name).unwrap()].parse().unwrap()
    };
    let rows: Vec<_> = table.records().map(|r| r.unwrap()).collect();
    assert_eq!(rows.len(), 12);
    for row in &rows {
        assert!(cell(row, "integral").abs() < 1e-6 * cell(row, "norm_sum"), "{row:?}");
        assert!(cell(row, "quadrature").is_nan() && cell(row, "arithmetic").is_nan(), "{row:?}");
    }
    assert!(folder.join("run/plots/abs_integral.svg").exists());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let refused = |arguments: &str, words: &[&str]| {
        let (code, _, error) = vorticity(scratch.path(), arguments);
        assert!(code == 2 && words.iter().all(|w| error.contains(w)), "{arguments}: {code}, {error}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{arguments} left something behind");
    };
    refused("circulation --scores s.npy --exported l.npz --data DIGITS --out run", &["--scores", "--data"]);
    refused("circulation field:gaussian --scores s.npy --exported l.npz --out run", &["--scores", "MODEL"]);
    refused("circulation --scores s.npy --exported l.npz --seed 1 --out run", &["--scores", "--seed"]);
    refused("circulation --scores s.npy --out run", &["--exported"]);
    refused("circulation --scores s.npy --exported l.npz", &["--out"]);
    refused("circulation --exported l.npz --out run", &["--scores"]);
    refused("circulation --out run", &["MODEL", "--data"]);
    refused("circulation --scores s.npy --exported l.npz --out run", &["l.npz"]);
    refused("paths export field:gaussian --data DIGITS --samples 8 --out loops.npz", &["4 GiB", "fewer samples"]);
    refused(&CASE.replace("loops.npz", "no/such/place.npz"), &["place.npz"]);
    refused(&CASE.replace("20", "21"), &["projection", "21"]);
}
