//! Long runs as a user starts them: several adapters, predicted times, and the rate that the time left comes from.
use crate::cli::{DIGITS, MODEL, short, text};
use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::Path;
use vorticity::cli::text::duration;
use vorticity::session::MovingRate;
use vorticity::session::fleet::facts_of;

/// Exit code, standard output, standard error; not with the tests' adapter, which is named in the arguments.
fn vorticity(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::cargo_bin("vorticity").unwrap().args(arguments).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (output.status.code(), out, error)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn two_devices_write_the_bytes_of_one() {
    let one = std::env::var("VORTICITY_ADAPTER").unwrap_or("0".into());
    let two = format!("{one},{one}");
    let folder = tempfile::tempdir().unwrap();
    let outs = ["one", "two"].map(|n| folder.path().join(n));
    for (out, adapter) in outs.iter().zip([&one, &two]) {
        let more = ["--tile", "3", "--adapter", adapter];
        let (code, printed, error) = vorticity(&[&short("field:tilted", DIGITS, text(out))[..], &more].concat());
        assert_eq!(code, Some(0), "{printed}{error}");
        assert_eq!(printed.contains("2 devices on "), adapter == &two, "{printed}");
    }
    for file in ["circulation.csv", "circulation.npz", "manifest.json", "plots/abs_integral.svg"] {
        let [a, b] = outs.each_ref().map(|out| fs::read(out.join(file)).unwrap());
        assert_eq!(a, b, "{file}");
    }
    let log = json(&outs[1].join("run_log.json"));
    let (devices, tiles) = (log["devices"].as_array().unwrap(), log["tiles"].as_array().unwrap());
    assert!(devices.len() == 2 && devices[0] == devices[1] && devices[0]["tile_lanes"] == 3, "{log}");
    let queries: u64 = tiles.iter().map(|t| t[2].as_u64().unwrap()).sum();
    assert!(queries == 360 && tiles.iter().all(|t| t[3].as_u64() < Some(2)), "{log}");
    assert_eq!(log["failures"], Value::Array(vec![]));

    // One device each, and said so before anything is measured.
    let out = folder.path().join("out");
    for verb in ["curl", "likelihood"] {
        let arguments = [verb, "field:tilted", "--data", DIGITS, "--out", text(&out), "--adapter", &two];
        let (code, _, error) = vorticity(&arguments);
        assert!(code == Some(2) && error.contains("2 adapters; only circulation runs on several"), "{error}");
    }
    assert!(!out.exists());
}

#[test]
fn a_dry_run_predicts_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let adapter = std::env::var("VORTICITY_ADAPTER").map_or(vec![], |a| vec!["--adapter".to_string(), a]);
    let measure = |verb: &'static str, model: &'static str, own: &[&'static str]| {
        let common = [verb, model, "--data", DIGITS, "--dry-run", "--json", "--out", text(&out)];
        let adapter: Vec<&str> = adapter.iter().map(String::as_str).collect();
        let (code, printed, error) = vorticity(&[&common, own, &adapter].concat());
        assert_eq!(code, Some(0), "{error}");
        serde_json::from_str::<Value>(&printed).unwrap()
    };
    let circulation = measure("circulation", "field:tilted", &["--tile", "256"]);
    let curl = measure("curl", MODEL, &["--samples", "4", "--components", "3"]);
    for (document, predicted) in [(&circulation, &circulation["work"]["predicted"]), (&curl, &curl["predicted"])] {
        assert_eq!(document["dry_run"], true);
        let number = |key: &str| predicted[key].as_f64().unwrap();
        // What was timed is real work of more than a second, and the whole is in proportion to it.
        assert!(number("timed_seconds") >= 1.0 && number("timed_evaluations") >= 1.0, "{document}");
        let rate = number("timed_evaluations") / number("timed_seconds");
        assert!((rate / number("evaluations_per_second") - 1.0).abs() < 1e-6);
        let total = document["work"]["most_evaluations"].as_f64().or(document["evaluations"].as_f64()).unwrap();
        assert!(number("seconds") > 0.9 * total / rate && number("seconds_per_check") > 0.0, "{document}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // A run without a place for its results is refused; a dry run needs none.
    let (code, _, error) = vorticity(&["curl", MODEL, "--data", DIGITS]);
    assert!(code == Some(2) && error.contains("--out"), "{error}");
}

#[test]
fn the_rate_is_that_of_the_last_half_minute() {
    let mut rate = MovingRate::default();
    assert_eq!(rate.rate(), None);
    (0..=100).for_each(|i| rate.add(f64::from(i), 10 * i as u64));
    assert_eq!(rate.rate(), Some(10.0));
    // A run that slows down to a tenth: after half a minute nothing of the past is left in it.
    (1..=15).for_each(|i| rate.add(100.0 + f64::from(i), 1000 + i as u64));
    assert!((5.0..6.5).contains(&rate.rate().unwrap()), "{:?}", rate.rate());
    (16..=40).for_each(|i| rate.add(100.0 + f64::from(i), 1000 + i as u64));
    assert_eq!(rate.rate(), Some(1.0));
    // Tiles that take longer than that: the last one.
    let mut slow = MovingRate::default();
    for (seconds, done) in [(0.0, 0), (100.0, 100), (300.0, 400)] {
        slow.add(seconds, done);
    }
    assert_eq!(slow.rate(), Some(1.5));
}

#[test]
fn durations_read_well() {
    let said = [0.24, 59.2, 61.0, 3599.6, 4000.0, 200_000.0].map(duration);
    assert_eq!(said, ["0.2 s", "59.2 s", "1 min 1 s", "1 h 0 min", "1 h 6 min", "2 d 7 h"]);
}

#[test]
fn a_manifest_says_where_adapters_differ() {
    let kind = |name: &str, kernels| (name.to_string(), kernels);
    let one = facts_of(&[kind("A (vulkan, 1.0)", "igemm")]);
    assert_eq!(Value::from(one), serde_json::json!({ "adapter": "A (vulkan, 1.0)", "kernels": "igemm" }));
    let three = facts_of(&[kind("A", "igemm"), kind("B", "cc"), kind("C", "igemm")]);
    assert_eq!((&three["adapter"], &three["kernels"]), (&"A; B; C".into(), &"igemm; cc".into()));
    assert_eq!(three["adapters"][1], serde_json::json!({ "adapter": "B", "kernels": "cc" }));
    assert!(three["agreement"].as_str().unwrap().contains("1e-5 S, not to the bit"), "{three:?}");
}
