//! The verbs of derivatives as a user runs them: run directories that open and repeat byte for byte, documents, plots,
//! and refusals that leave nothing behind.
use crate::cli::{DIGITS, MODEL, refused, text, vorticity};
use serde_json::Value;
use std::fs;
use std::path::Path;
use vorticity::measures::MEASURES;
use vorticity::run::Axis;

/// Own flags and plots of every verb, on a closed form.
const VERBS: [(&str, &[&str], &[&str]); 9] = [
    ("curl", &["--timesteps", "400,900", "--components", "5"], &["asymmetry", "raw_asymmetry"]),
    ("asymmetry", &["--timesteps", "400,900", "--probes", "3"], &["nasym"]),
    ("map", &["--timesteps", "400,900", "--probes", "3"], &["nasym", "map"]),
    (
        "planes",
        &["--timesteps", "400,900", "--planes", "3", "--steps", "5", "--probes", "2"],
        &["omega", "share", "planes"],
    ),
    ("spectrum", &["--timesteps", "400,900", "--ends", "1", "--steps", "5"], &["value", "denoiser"]),
    ("stein", &["--timesteps", "400,900", "--probes", "3"], &["error_norm", "stein"]),
    ("lid", &["--timesteps", "400,900", "--probes", "3"], &["lid"]),
    ("jacobian", &["--timesteps", "400"], &[]),
    ("likelihood", &["--timesteps", "0..901:150", "--probes", "2"], &[]),
];

fn arguments<'a>(verb: &'a str, own: &[&'a str], out: &'a Path) -> Vec<&'a str> {
    let field = ["field:tilted?omega=0.5", "--data", DIGITS, "--samples", "2", "--seed", "3", "--out", text(out)];
    [&[verb][..], &field, own].concat()
}

#[test]
fn run_directories_open_and_repeat() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(VERBS.len(), MEASURES.len() - 1, "a row for every measure but circulation");
    for ((verb, own, plots), measure) in VERBS.into_iter().zip(&MEASURES[1..]) {
        assert_eq!(verb, measure.name());
        let [first, again] = ["first", "again"].map(|n| folder.path().join(format!("{verb}-{n}")));
        let printed = vorticity(&arguments(verb, own, &first)).output().unwrap();
        let report = String::from_utf8(printed.stdout).unwrap();
        assert!(printed.status.success(), "{verb}: {}", String::from_utf8_lossy(&printed.stderr));
        assert!(report.contains("adapter") && report.contains("written to"), "{report}");

        let json = [&arguments(verb, own, &again)[..], &["--json"]].concat();
        let document: Value = serde_json::from_slice(&vorticity(&json).output().unwrap().stdout).unwrap();
        assert_eq!((&document["verb"], &document["out"]), (&verb.into(), &text(&again).into()), "{document}");
        assert!(document["evaluations"].as_u64() > Some(0), "{document}");
        let timesteps = own[1].split(',').count();
        let several = if ["planes", "spectrum"].contains(&verb) { 3 } else { 1 };
        assert_eq!(
            document["table"].as_array().unwrap().len(),
            if verb == "likelihood" { 2 } else { several * timesteps }
        );

        let data = ["csv", "npz"].map(|kind| format!("{verb}.{kind}"));
        let drawn = plots.iter().map(|p| format!("plots/{p}.svg"));
        for file in data.into_iter().chain(drawn).chain(["manifest.json".into()]) {
            let [a, b] = [&first, &again].map(|out| fs::read(out.join(&file)).unwrap());
            assert!(a == b && !a.is_empty(), "{file} is not the same twice");
            assert!(!file.ends_with("svg") || String::from_utf8(a).unwrap().trim_end().ends_with("</svg>"));
        }
        let csv = fs::read_to_string(first.join(format!("{verb}.csv"))).unwrap();
        let names: Vec<&str> = measure.columns().iter().map(|c| c.name).chain(["verdict"]).collect();
        let beside = |a: &Axis| [a.name].into_iter().chain((a.name == "timestep").then_some("sigma"));
        let axes: Vec<&str> = measure.info().axes.iter().flat_map(beside).collect();
        assert_eq!(csv.lines().next().unwrap(), format!("{},{}", axes.join(","), names.join(",")));
        let manifest: Value = serde_json::from_slice(&fs::read(first.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["measure"], verb);
        assert_eq!(manifest[verb]["columns"].as_array().unwrap().len(), names.len(), "{manifest}");
        assert!(manifest["files"][format!("{verb}.npz")]["sha256"].is_string());
    }
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let with = |verb: &'static str, own: &[&'static str]| -> Vec<String> {
        [&[verb, "field:tilted", "--data", DIGITS, "--samples", "2", "--out", text(&out)], own]
            .concat()
            .into_iter()
            .map(String::from)
            .collect()
    };
    for (arguments, words) in [
        (with("curl", &["--components", "785"]), &["components: 785", "2..=784"][..]),
        (with("curl", &["--step", "0", "--method", "fd"]), &["step: 0 sigma"]),
        (with("curl", &["--timesteps", "1000"]), &["1000 is outside 0..=999"]),
        (with("curl", &["--shape", "1x27x28"]), &["1x27x28"]),
        (with("asymmetry", &["--probes", "some"]), &["'some' is neither a number nor all"]),
        (with("asymmetry", &["--probes", "1"]), &["probes: 1, expected at least 2"]),
        (with("asymmetry", &["--estimator", "half"]), &["'half'", "--estimator"]),
        (with("map", &["--probes", "1"]), &["probes: 1, expected at least 2"]),
        (with("lid", &["--probes", "1"]), &["probes: 1, expected at least 2"]),
        (with("planes", &["--planes", "393"]), &["planes: 393, expected 1..=392, half of the D = 784 components"]),
        (with("planes", &["--steps", "1"]), &["steps: 1, expected at least 4"]),
        (with("spectrum", &["--ends", "0"]), &["ends: 0, expected 1..=392"]),
        (with("spectrum", &["--tolerance", "2"]), &["tolerance: 2, expected more than 0 and less than 1"]),
        (with("stein", &["--reference", "field:none"]), &["'none' is not a known field"]),
        (with("likelihood", &["--timesteps", "0,100,200,300"]), &["4 of them, expected an odd number"]),
        (with("likelihood", &["--timesteps", "5"]), &["expected at least 3"]),
    ] {
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 2, words, &out);
    }
    let shape = ["jacobian", "field:rotor", "--data", DIGITS, "--samples", "256", "--out", text(&out)];
    refused(&shape, 2, &["2560 of 784 x 784 are 6.3 GB, at most 4.3"], &out);
    // Every component of every sample at every timestep: refused before anything is allocated.
    let whole = ["curl", "field:rotor", "--data", DIGITS, "--timesteps", "0..1000", "--components", "784"];
    refused(&[&whole[..], &["--out", text(&out)]].concat(), 2, &["256000 of 784 x 784 are 629.4 GB"], &out);
    // Billions of evaluations are days on anything; the prediction takes a few seconds.
    let maps = ["map", "field:rotor", "--shape", "3x512x512", "--data", "data:gaussian", "--samples", "2"];
    let maps = [&maps[..], &["--timesteps", "0..1000", "--out", text(&out)]].concat();
    refused(&maps, 2, &["8000 of 786432 numbers are 25.2 GB"], &out);
    let long = ["asymmetry", MODEL, "--data", DIGITS, "--timesteps", "0..1000", "--probes", "4000", "--quiet"];
    refused(&[&long[..], &["--out", text(&out)]].concat(), 2, &["run time: ", "predicted; give --yes"], &out);
}

/// The network's own tangents, through the program: a column per component and errors far below them.
#[test]
fn curl_of_the_shipped_network() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [
        "curl",
        MODEL,
        "--data",
        DIGITS,
        "--samples",
        "1",
        "--timesteps",
        "501",
        "--components",
        "6",
        "--verify",
        "2",
        "--method",
        "both",
        "--json",
        "--out",
        text(&out),
    ];
    let document: Value = serde_json::from_slice(&vorticity(&arguments).output().unwrap().stdout).unwrap();
    let row = &document["table"][0];
    let value = |column: &str| row[column]["median"].as_f64().unwrap();
    assert!(value("arithmetic") < 1e-3 * value("entry_rms"), "{row}");
    assert!(value("method_gap") > value("arithmetic") && value("method_gap") <= value("step"), "{row}");
    // eps = -sigma s: the raw output's asymmetry is sigma times the score's.
    assert!((value("raw_asymmetry") / value("asymmetry") / row["sigma"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{row}");
}
