//! Weights held as f16: every specialisation of the convolutions against the f64 twin of rounded weights, as tightly as
//! with f32; what rounding does, counted by hand; and the verbs, which print and record it.
use crate::common::{families, gpu, noise};
use std::sync::Arc;
use vorticity::graph::Graph;
use vorticity::ops::Case;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::silu::Silu;
use vorticity::selftest::{self, OP};
use vorticity::shape::Shape;

/// Channels in and out, kernel, stride, padding, height, width, SiLU: whole and cut into chunks, plain, padded, with one
/// block and with pairs of blocks on the store.
const CONVS: [(usize, usize, usize, usize, usize, usize, usize, bool); 11] = [
    (5, 7, 1, 1, 0, 3, 5, false),
    (20, 36, 1, 1, 0, 7, 5, true),
    (132, 16, 1, 1, 0, 5, 3, true),
    (64, 64, 1, 1, 0, 6, 3, true),
    (5, 6, 1, 2, 0, 5, 4, false),
    (4, 3, 1, 1, 1, 2, 3, true),
    (1, 6, 3, 1, 1, 6, 5, true),
    (34, 9, 3, 1, 1, 5, 6, false),
    (6, 10, 3, 2, 1, 7, 9, true),
    (3, 5, 4, 2, 1, 10, 6, false),
    (40, 36, 3, 1, 1, 5, 7, false),
];

fn round(w: f32) -> f32 {
    half::f16::from_f32(w).to_f32()
}

/// A convolution with these weights, as f16 on the device.
fn held(
    (ci, co, kernel, stride, padding, h, w, silu): (usize, usize, usize, usize, usize, usize, usize, bool),
    weight: Vec<f32>,
) -> Graph {
    let (weight, bias) = (weight.into(), noise(co, 8).into());
    let op = Conv { in_channels: ci, out_channels: co, kernel, stride, padding: Padding::all(padding), weight, bias };
    let case = Case { name: "conv", op: Arc::new(op), inputs: vec![Shape::new(ci, h, w)], row: None };
    let mut graph = selftest::graph_of(&case).unwrap();
    if silu {
        let [_, y] = graph.ends().unwrap();
        graph.outputs[0].1 = graph.push("silu", Silu, &[y]).unwrap();
    }
    graph.hold_f16().unwrap();
    graph
}

#[test]
fn every_kernel_matches_the_twin_of_rounded_weights() {
    let gpu = gpu();
    for conv in CONVS {
        let exact = noise(conv.0 * conv.1 * conv.2 * conv.2, 3);
        let rounded: Vec<f32> = exact.iter().map(|&w| round(w)).collect();
        for family in families(&gpu) {
            let error = selftest::compare(&gpu, &held(conv, rounded.clone()), family).unwrap();
            assert!(error <= OP, "{conv:?} {family:?}: {error:e}");
            // The twin keeps weights as they are: against those the rounding shows, up to 2^-11 of a weight.
            let error = selftest::compare(&gpu, &held(conv, exact.clone()), family).unwrap();
            assert!((2e-5..1e-3).contains(&error), "{conv:?} {family:?}: {error:e}");
        }
    }
}

/// Subnormal numbers of f16 are read as what they are.
#[test]
fn small_weights_are_not_lost() {
    let gpu = gpu();
    let weight: Vec<f32> = noise(20 * 12, 3).iter().map(|w| round(w * 6e-5)).collect();
    assert!(weight.iter().any(|w| *w != 0.0 && w.abs() < 1e-5));
    // The bias would hide them in values; tangents have none.
    let mut graph = held((20, 12, 1, 1, 0, 3, 5, false), weight);
    assert!(graph.hold_f16().unwrap().subnormal > 200);
    for family in families(&gpu) {
        let error = selftest::compare(&gpu, &graph, family).unwrap();
        assert!(error <= OP, "{family:?}: {error:e}");
    }
}

#[test]
fn rounding_is_counted() {
    let conv = (2, 4, 1, 1, 0, 2, 3, false);
    // 1 + 2^-11 lies halfway and goes down to 1; 3e-5 and -6e-8 are subnormal; 2^-25 and less become zero, 0 is zero.
    let weight = vec![1.0, 1.0 + 2f32.powi(-11), -65504.0, 3e-5, -6e-8, 2f32.powi(-25), -1e-9, 0.0];
    let mut graph = held(conv, weight);
    let found = graph.hold_f16().unwrap();
    assert_eq!((found.weights, found.subnormal, found.zero), (8, 2, 2));
    let want = 2f64.powi(-11) / (1.0 + 2f64.powi(-11));
    assert!((found.relative - want).abs() < 1e-12, "{}", found.relative);
    let words = found.describe();
    assert!(words.contains("8 as f16") && words.contains("4.88e-4") && words.ends_with("2 become subnormal, 2 zero"));

    let mut beyond = vec![0.5; 8];
    beyond[6] = 65505.0;
    let op = Conv {
        in_channels: 2,
        out_channels: 4,
        kernel: 1,
        stride: 1,
        padding: Padding::all(0),
        weight: beyond.into(),
        bias: vec![0.0; 4].into(),
    };
    let mut graph = Graph::new(Shape::new(2, 2, 3));
    graph.push("mid.conv1", op, &[graph.input("x").unwrap()]).unwrap();
    let error = graph.hold_f16().unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let error = error.to_string();
    assert!(error.contains("weights of 'mid.conv1'") && error.contains("element 6 is 65505"), "{error}");
    assert_eq!(graph.held, Default::default());
}

#[cfg(feature = "cli")]
mod verbs {
    use crate::cli::{refused, text, vorticity};
    use crate::networks::model;
    use serde_json::Value;
    use std::fs;

    /// The f64 twin keeps the weights, so `arithmetic` has their rounding in it; runs in f32 say nothing of it.
    #[test]
    fn runs_print_and_record_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("model")).unwrap();
        model(&at("model"));
        let inspect = |weights: &str| -> Value {
            let output = vorticity(&["inspect", text(&at("model")), "--weights", weights, "--json"]).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let (plain, half) = (inspect("f32"), inspect("f16"));
        let bytes = |document: &Value| document["weight_bytes"].as_u64().unwrap() as f64;
        assert!(bytes(&half) < 0.85 * bytes(&plain), "{} {}", bytes(&half), bytes(&plain));
        assert!(plain["weights_held"].is_null() && half["weights_held"]["format"] == "f16");

        let run = |out: &str, weights: &str| -> (String, Value, Vec<f64>) {
            let (model, data, out) = (at("model"), "data:gaussian", at(out));
            let line = ["circulation", text(&model), "--data", data, "--timesteps", "2,5", "--samples", "2"];
            let more = ["--points", "10", "--paths", "rotation", "--weights", weights, "--out", text(&out)];
            let output = vorticity(&[&line[..], &more[..]].concat()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let manifest = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
            let table = fs::read_to_string(out.join("circulation.csv")).unwrap();
            let column = table.lines().next().unwrap().split(',').position(|c| c == "arithmetic").unwrap();
            let of = |line: &str| line.split(',').nth(column).unwrap().parse::<f64>().unwrap();
            (String::from_utf8(output.stdout).unwrap(), manifest, table.lines().skip(1).map(of).collect())
        };
        let (said, manifest, exact) = run("f32", "f32");
        assert!(!said.contains("as f16") && manifest["field"].get("weights_held").is_none());
        let (said, manifest, rounded) = run("f16", "f16");
        assert!(said.contains("as f16, rounded by up to 4."), "{said}");
        let relative = manifest["field"]["weights_held"]["largest_relative_rounding"].as_f64().unwrap();
        assert!((4e-4..=2f64.powi(-11)).contains(&relative), "{relative}");
        exact.iter().zip(&rounded).for_each(|(e, r)| assert!(*r > 20.0 * e, "{r} against {e}"));

        let out = at("closed");
        let closed = ["sample", "field:gaussian", "--shape", "1x2x2", "--weights", "f16", "--out", text(&out)];
        refused(&closed, 2, &["field:gaussian", "no weights to hold as f16"], &out);
    }
}
