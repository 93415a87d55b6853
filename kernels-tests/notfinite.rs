//! Networks that overflow for some inputs only: their results are marked NaN, counted, left out of every statistic, and traced
//! to the node where that begins; those of all other samples are what they are without them.
use crate::cli::text;
use crate::common::{bounds, choice, noise};
use crate::networks::model;
use crate::weights::{self, Stored};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use vorticity::error::NOT_FINITE;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::Gpu;
use vorticity::report::stored;
use vorticity::sample::{Method, Options, sample};

const D: usize = 144;
/// The sample whose pixels are of the order of 1e4, the others' of 1.
const LOUD: usize = 2;
const NODE: &str = "mid_block.1.branch1.0";

/// A network that is what it was, but for a depthwise convolution whose output is `by` times as large, which the layer behind it
/// takes back: f32 holds it for inputs of order one only. And the images.
fn overflowing(folder: &Path, by: f64) -> String {
    model(folder);
    let path = folder.join("model.safetensors");
    let mut tensors = weights::read(&path);
    for (name, factor) in [("branch1.1.weight", by), ("branch1.1.bias", by), ("branch1.2.module.0.weight", 1.0 / by)] {
        let stored = tensors.get_mut(&format!("mid_block.1.{name}")).unwrap();
        for number in stored.bytes.as_chunks_mut::<4>().0 {
            *number = ((f64::from(f32::from_le_bytes(*number)) * factor) as f32).to_le_bytes();
        }
    }
    weights::write(&path, &tensors);
    let mut images = noise(4 * D, 3);
    images[LOUD * D..(LOUD + 1) * D].iter_mut().for_each(|v| *v *= 1e4);
    let points: Vec<f32> = images[D..].to_vec();
    for (name, n, values) in [("images", 4, &images), ("points", 3, &points)] {
        let stored = Stored::f32(&[n, 1, 12, 12], values);
        weights::write(&folder.join(format!("{name}.safetensors")), &BTreeMap::from([(name.to_string(), stored)]));
    }
    folder.display().to_string()
}

/// Exit code and what was said.
fn ran(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vorticity"));
    command.args(arguments);
    if let (Ok(adapter), false) = (std::env::var("VORTICITY_ADAPTER"), ["merge", "report"].contains(&arguments[0])) {
        command.args(["--adapter", &adapter]);
    }
    let output = command.output().unwrap();
    (output.status.code(), [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat())
}

#[test]
fn loops_are_marked_counted_and_traced() {
    let folder = tempfile::tempdir().unwrap();
    let (model, at) = (overflowing(folder.path(), 1e36), |name: &str| folder.path().join(name));
    let images = at("images.safetensors");
    let out = at("out");
    #[rustfmt::skip]
    let measure = [
        "circulation", &model, "--data", text(&images), "--paths", "rotation", "--timesteps", "0,3", "--samples", "4",
        "--quadrature-check", "1", "--verify-fraction", "0.2", "--points",
    ];
    let (code, said) = ran(&[&measure[..], &["6", "--out", text(&out)]].concat());
    assert_eq!(code, Some(NOT_FINITE), "{said}");
    let marked = "2 of 8 results are not finite: marked NaN, and left out of every statistic: \
                  path rotation, timestep 0, sample 2; path rotation, timestep 3, sample 2";
    assert_eq!(said.matches(marked).count(), 2, "table and warning: {said}");
    let origin = format!("first appeared in `{NODE}` (depthwise) at sample 2, timestep 0, path rotation, segment 0");
    assert!(said.contains(&origin), "{said}");
    let run = stored::read(&out).unwrap();
    let numbers = |name: &str| run.table.column(name).unwrap().values.clone();
    assert_eq!(run.table.marked(), [LOUD, 4 + LOUD]);
    for name in ["integral", "abs_terms", "score_norm_sum", "authors", "quadrature", "arithmetic", "integral_over_abs"]
    {
        let nan: Vec<usize> = (0..8).filter(|&i| !numbers(name)[i].is_finite()).collect();
        assert_eq!(nan, [LOUD, 4 + LOUD], "{name}");
    }
    assert!(numbers("length").iter().chain(&numbers("arithmetic")[..2]).all(|v| *v > 0.0));
    assert_eq!((&run.manifest["circulation"]["not_finite"], &run.log["not_finite"]["results"]), (&2.into(), &2.into()));
    assert!(run.log["not_finite"]["first"].as_str().unwrap().ends_with(&origin), "{}", run.log);
    // The page says so, and how many values each statistic is of.
    let page = at("page.html");
    let (code, said) = ran(&["report", text(&out), "--out", text(&page)]);
    assert_eq!(code, Some(0), "{said}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains(marked) && page.contains("1 not finite") && page.contains("3 of 4"), "the page is silent");
    assert!(fs::read_to_string(out.join("plots/abs_integral.svg")).unwrap().contains("2 not finite, left out"));
    // In shards, adaptively and in other tiles it is the same; shards tell what they saw, and merged it is counted.
    let shards = [at("one"), at("two")];
    for (i, (shard, expected)) in shards.iter().zip([NOT_FINITE, 0]).enumerate() {
        let number = format!("{}/2", i + 1);
        let (code, said) =
            ran(&[&measure[..], &["6", "--shard", &number, "--tile", "5", "--out", text(shard)]].concat());
        assert_eq!(code, Some(expected), "{said}");
    }
    let merged = at("merged");
    let (code, said) = ran(&["merge", text(&shards[0]), text(&shards[1]), "--out", text(&merged), "--json"]);
    assert!(code == Some(NOT_FINITE) && said.contains("\"left_out\": 1") && said.contains("\"results\": 2"), "{said}");
    crate::resume::same(&merged, &out);
    let adaptive = at("adaptive");
    let (code, said) = ran(&[&measure[..], &["200", "--quadrature", "adaptive", "--out", text(&adaptive)]].concat());
    assert!(code == Some(NOT_FINITE) && said.contains(&format!("`{NODE}`")) && said.contains("node 0"), "{said}");
    let spent = &stored::read(&adaptive).unwrap().table.column("evaluations").unwrap().values.clone();
    assert_eq!([spent[LOUD], spent[4 + LOUD]], [16.0; 2], "further levels were taken of what is not finite");
}

#[test]
fn every_other_measure_marks_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let model = overflowing(folder.path(), 1e36);
    let images = folder.path().join("images.safetensors");
    for (measure, more) in [
        ("curl", &["--timesteps", "0", "--components", "3", "--method", "both"][..]),
        ("asymmetry", &["--timesteps", "0", "--probes", "2"]),
        ("map", &["--timesteps", "0", "--probes", "2"]),
        ("planes", &["--timesteps", "0", "--planes", "1", "--steps", "3"]),
        ("stein", &["--timesteps", "0", "--probes", "2"]),
        ("lid", &["--timesteps", "0", "--probes", "2"]),
        ("likelihood", &["--timesteps", "0,1,3", "--probes", "2", "--continuous"]),
    ] {
        let out = folder.path().join(measure);
        let arguments = [measure, &model, "--data", text(&images), "--samples", "3", "--out", text(&out)];
        let (code, said) = ran(&[&arguments[..], more].concat());
        assert_eq!(code, Some(NOT_FINITE), "{measure}: {said}");
        assert!(said.contains(&format!("first appeared in `{NODE}` (depthwise) at sample 2, timestep 0")), "{said}");
        let run = stored::read(&out).unwrap();
        assert_eq!(run.table.marked(), [LOUD], "{measure}");
        assert_eq!(run.manifest[measure]["not_finite"], 1);
        // What one sample is does not touch the others: every column that they have is finite, but for methods' that did not run.
        let finite = |v: &&f64| v.is_finite();
        for column in run.table.columns.iter().filter(|c| c.values.iter().any(|v| v.is_finite())) {
            assert!(column.values.iter().filter(finite).count() >= LOUD, "{measure} {}", column.about.name);
        }
        let facts = &run.table.facts;
        assert!(measure != "likelihood" || facts["mean_bits_per_dim"].as_f64().is_some_and(f64::is_finite), "{facts}");
    }
}

#[test]
fn points_and_samples_are_counted_and_traced() {
    let folder = tempfile::tempdir().unwrap();
    let model = overflowing(folder.path(), 1e36);
    let (points, out) = (folder.path().join("points.safetensors"), folder.path().join("s.npz"));
    let arguments = ["evaluate", &model, "--points", text(&points), "--timestep", "3", "--out", text(&out), "--json"];
    let (code, said) = ran(&arguments);
    assert!(code == Some(NOT_FINITE) && out.exists(), "{said}");
    assert!(said.contains("1 of 3 points have values or derivatives that are not finite"), "{said}");
    let origin = format!("first appeared in `{NODE}` (depthwise) at point 1, timestep 3");
    assert_eq!(said.matches(&origin).count(), 2, "document and warning: {said}");
    let document: Value = serde_json::from_str(said.split("warning:").next().unwrap()).unwrap();
    assert_eq!(document["not_finite"]["results"], 1);

    // Nothing fits: every sample is drawn all the same, and none is.
    let model = overflowing(folder.path(), 2e38);
    let field = field::open(&model, None, ScoreScale::Definition).unwrap();
    let options = Options { n: 2, method: Method::Ddim, steps: 4, seed: 1, keep: 0 };
    let _turn = crate::common::gpu(); // software adapters use every core
    let gpu = Gpu::open_within(&choice(), bounds()).unwrap();
    let drawn = sample(&gpu, &field, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(drawn.not_finite, [0, 1]);
    assert!(drawn.origin.is_some_and(|o| o.contains(&format!("`{NODE}` (depthwise) at sample "))), "not traced");
}
