//! `vorticity paths export` and `vorticity integrate` as a user runs them.
use assert_cmd::Command;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, NpzWriter};
use std::fs::{self, File};
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
    // 3 paths, 2 timesteps, 2 samples, 20 segments of 784 components: midpoints, steps and two Gauss points of each, f32.
    let words = ["240 segments of 1x28x28", "480 Gauss points, 8 to be repeated", "3.0 MB"];
    assert!(code == 0 && words.iter().all(|w| out.contains(w)), "{out}{error}");
    assert_eq!(vorticity(folder, CASE).0, 2, "an existing file is left alone");

    // The midpoints themselves are the scores of a growing Gaussian: a gradient field, no circulation.
    let run = "integrate loops.npz#midpoints --exported loops.npz --out run";
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

/// Scores of a rotor at points, s_i = x_{i+1} - x_{i-1}, cyclic, of every 784 numbers.
fn rotor(points: &[f32]) -> Vec<f64> {
    let of = |x: &[f32]| -> Vec<f64> {
        let at = |i: usize| f64::from(x[i % 784]);
        (0..784).map(|i| at(i + 1) - at(i + 783)).collect()
    };
    points.chunks(784).flat_map(of).collect()
}

/// Hands the rotor's scores back in one NPZ, all that the file asks for.
fn answer(loops: &Path, scores: &Path, only: bool) {
    let mut file = NpzReader::new(File::open(loops).unwrap()).unwrap();
    let names = file.names().unwrap();
    let mut npz = NpzWriter::new(File::create(scores).unwrap());
    for (from, to) in [("midpoints", "scores"), ("gauss", "gauss_scores"), ("repeat_points", "float64_scores")] {
        if !names.iter().any(|n| n.trim_end_matches(".npy") == from) || only && to != "scores" {
            continue;
        }
        let points = file.by_name::<OwnedRepr<f32>, IxDyn>(from).unwrap();
        let (dims, values) = (points.raw_dim(), rotor(points.as_slice().unwrap()));
        let scores = ArrayD::from_shape_vec(dims, values).unwrap();
        match to {
            // Sums of two f32 need not be numbers of f32.
            "float64_scores" => npz.add_array(to, &scores).unwrap(),
            _ => npz.add_array(to, &scores.mapv(|s| s as f32)).unwrap(),
        }
    }
    npz.finish().unwrap();
}

#[test]
fn shards_of_an_export_are_one_run() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let ran = |arguments: &str| {
        let (code, out, error) = vorticity(folder, arguments);
        assert_eq!(code, 0, "{arguments}: {out}{error}");
        out
    };
    let case =
        "paths export field:gaussian --data DIGITS --timesteps 400,900 --samples 5 --points 20 --quadrature-check 0.3";
    let dry = ran(&format!("{case} --out whole.npz --dry-run --json"));
    ran(&format!("{case} --out whole.npz"));
    let dry: serde_json::Value = serde_json::from_str(&dry).unwrap();
    assert_eq!(dry["bytes"], fs::metadata(folder.join("whole.npz")).unwrap().len());
    assert_eq!((&dry["gauss_points"], &dry["repeated"]), (&480.into(), &8.into()));
    answer(&folder.join("whole.npz"), &folder.join("whole-scores.npz"), false);
    let out = ran("integrate whole-scores.npz --exported whole.npz --out whole");
    assert!(out.contains("On rotation loops the field circulates") && !out.contains("not checked"), "{out}");
    let out = ran("integrate whole-scores.npz#scores --exported whole.npz --out bare");
    assert!(out.contains("because quadrature and arithmetic were not measured"), "{out}");
    // Two samples are checked: the third shard has none, and the scores of its loops no more than themselves.
    for i in 1..=3 {
        ran(&format!("{case} --shard {i}/3 --out part{i}.npz"));
        answer(&folder.join(format!("part{i}.npz")), &folder.join(format!("scores{i}.npz")), false);
        let out = ran(&format!("integrate scores{i}.npz --exported part{i}.npz --out shard{i}"));
        assert!(out.contains(&format!("shard {i}/3: the results are those of all 3 merged")), "{out}");
    }
    let out = ran("merge shard3 shard1 shard2 --out merged");
    assert!(out.contains("On rotation loops the field circulates"), "{out}");
    for file in ["circulation.csv", "circulation.npz", "plots/abs_integral.svg"] {
        let [a, b] = ["whole", "merged"].map(|run| fs::read(folder.join(run).join(file)).unwrap());
        assert!(a == b, "{file} of the merged run is another");
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("merged/manifest.json")).unwrap()).unwrap();
    let sources = manifest["sources"].as_array().unwrap();
    let sha256 = vorticity::data::sha256_file(folder.join("part2.npz")).unwrap();
    assert_eq!((sources.len(), &sources[1]["exported"]["sha256"]), (3, &sha256.into()));
    // Compared, they are of the same loops and differ by nothing.
    let out = ran("compare whole merged --resamples 20");
    assert!(out.contains("paired (scores at the same exported loops)") && out.contains("* 0 of"), "{out}");
    // Shards of other loops do not go together.
    ran(&format!("{case} --seed 3 --shard 2/3 --out foreign.npz"));
    answer(&folder.join("foreign.npz"), &folder.join("scores2.npz"), true);
    ran("integrate scores2.npz --exported foreign.npz --out foreign");
    let (code, _, error) = vorticity(folder, "merge shard1 foreign shard3 --out mixed");
    assert!(code == 2 && error.contains("seed: found 3, expected 0"), "{error}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let refused = |arguments: &str, words: &[&str]| {
        let (code, _, error) = vorticity(scratch.path(), arguments);
        assert!(code == 2 && words.iter().all(|w| error.contains(w)), "{arguments}: {code}, {error}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{arguments} left something behind");
    };
    refused("integrate s.npy --exported l.npz --data DIGITS --out run", &["--data"]);
    refused("integrate field:gaussian s.npy --exported l.npz --out run", &["s.npy"]);
    refused("integrate s.npy --exported l.npz --seed 1 --out run", &["--seed"]);
    refused("integrate s.npy --out run", &["--exported"]);
    refused("integrate s.npy --exported l.npz", &["--out"]);
    refused("integrate --exported l.npz --out run", &["SCORES"]);
    refused("circulation --out run", &["MODEL", "--data"]);
    refused("integrate s.npy --exported l.npz --out run", &["l.npz"]);
    // As the verb was called before.
    let now = "vorticity integrate s.npy --exported l.npz --gauss-scores g.npy --out run";
    refused("circulation --scores s.npy --exported l.npz --gauss-scores g.npy --out run", &[now]);
    refused(
        "circulation --exported l.npz --scores=s.npy --out run",
        &["vorticity integrate s.npy --exported l.npz --out run"],
    );
    refused("circulation --scores", &["vorticity integrate SCORES"]);
    refused("paths export field:gaussian --data DIGITS --samples 8 --out loops.npz", &["4 GiB", "fewer samples"]);
    refused(&CASE.replace("loops.npz", "no/such/place.npz"), &["place.npz"]);
    refused(&CASE.replace("20", "21"), &["projection", "21"]);
}
