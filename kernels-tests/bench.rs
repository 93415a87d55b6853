//! `vorticity bench`: every cost has the evaluations that its definition says, times and shares that fit together, and an
//! earlier document shows what became slower, and only that.
use crate::cli::{refused, text};
use crate::common::gpu;
use crate::output::document;
use serde_json::Value;
use std::fs;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/funnel");

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Every time of a document, multiplied.
fn scaled(document: &Value, factor: f64) -> Value {
    fn scale(value: &mut Value, factor: f64) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    match value {
                        Value::Array(all) if key == "all" => {
                            all.iter_mut().for_each(|v| *v = (number(v) * factor).into())
                        }
                        value => scale(value, factor),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|v| scale(v, factor)),
            _ => {}
        }
    }
    let mut copy = document["costs"].clone();
    scale(&mut copy, factor);
    let mut all = document.clone();
    all["costs"] = copy;
    all
}

#[test]
fn costs_are_of_what_they_say_and_earlier_ones_are_compared() {
    let _alone = gpu();
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.json");
    let what = [
        "bench",
        MODEL,
        "--tile",
        "6",
        "--rounds",
        "3",
        "--tangents",
        "2",
        "--cotangents",
        "3",
        "--points",
        "40",
        "--accuracy",
        "0.01",
    ];
    let (code, first) =
        document(&[&what[..], &["--what", "forward,tangents,cotangents,differences,circulation"]].concat());
    assert_eq!(code, Some(0));
    let costs = first["costs"].as_array().unwrap();
    let names: Vec<&str> = costs.iter().map(|c| c["what"].as_str().unwrap()).collect();
    assert_eq!(names, ["forward", "tangents", "cotangents", "differences", "circulation", "midpoints"]);
    let evaluations: Vec<f64> = costs.iter().map(|c| number(&c["evaluations"])).collect();
    // Few directions are all differenced with a second step for the error: 2 ends each.
    assert_eq!(evaluations[..4], [1.0, 3.0, 4.0, 4.0]);
    assert!(evaluations[4] >= 4.0 && evaluations[4] <= 40.0, "{}", costs[4]);
    assert_eq!(evaluations[5], 40.0);
    for cost in costs {
        let [best, median, worst] = ["best", "median", "worst"].map(|key| number(&cost["seconds"][key]));
        assert!(0.0 < best && best <= median && median <= worst, "{cost}");
        assert_eq!(cost["seconds"]["all"].as_array().unwrap().len(), 3);
    }
    // The reverse sweep computes the transpose of everything that the forward sweep does, which some of it reads again.
    let cotangents = &costs[2];
    let operations = &cotangents["operations_over_forward"];
    let [one, further] = ["one", "further"].map(|key| number(&operations[key]));
    assert!(one > 1.9 && one < 4.0 && further > 0.9 && further < one - 0.9, "{operations}");
    for key in ["over_forward", "one_over_forward", "further_over_forward"] {
        let [best, median, worst] = ["best", "median", "worst"].map(|at| number(&cotangents[key][at]));
        assert!(best <= median && median <= worst, "{cotangents}");
    }
    for cost in &costs[..3] {
        let ops = cost["ops"].as_array().unwrap();
        let sum = |key: &str| -> f64 { ops.iter().map(|op| number(&op[key])).sum() };
        assert!((sum("share") - 1.0).abs() < 1e-9, "{cost}");
        // The ops are all of the plan: what they compute is what one evaluation computes.
        let lanes = number(&cost["evaluations"]);
        assert!((sum("flops") / (number(&cost["flops"]) / lanes) - 1.0).abs() < 1e-6, "{cost}");
        for op in ops {
            let works = number(&op["bytes"]) > 0.0;
            assert_eq!(op["of_ceiling"].as_f64().is_some_and(|share| share > 0.0), works, "{op}");
        }
        assert!(ops.iter().any(|op| op["bound"] == "memory"), "{cost}");
    }
    let parts: f64 =
        ["model", "adapter", "plan", "compile", "first_run"].map(|key| number(&first["start"][key])).iter().sum();
    assert!((parts - number(&first["start"]["seconds"])).abs() < 1e-9, "{}", first["start"]);

    // A thousand times faster then, on another adapter; beside it what is as it was.
    let mut then = scaled(&first, 1e-3);
    then["adapter"] = "another".into();
    fs::write(&old, then.to_string()).unwrap();
    let (_, second) = document(&[&what[..], &["--compare", text(&old)]].concat());
    let compared = &second["compared"];
    assert_eq!(compared["differs"].as_array().unwrap().len(), 1, "{compared}");
    assert!(compared["differs"][0].as_str().unwrap().starts_with("adapter: \"another\" then"), "{compared}");
    let rows = compared["rows"].as_array().unwrap();
    let row =
        |name: &str| rows.iter().find(|r| r["quantity"] == name).unwrap_or_else(|| panic!("{name} in {compared}"));
    let forward = row("forward, per evaluation, tile 6");
    assert_eq!(forward["verdict"], "slower", "{forward}");
    assert!(number(&forward["ratio"]) > 10.0, "{forward}");
    assert_eq!(row("ceiling: bandwidth")["verdict"], Value::Null);
    assert!(rows.iter().all(|r| !r["quantity"].as_str().unwrap().starts_with("tangents")), "not timed now: {compared}");

    for (content, words) in [
        ("{}", "expected what `vorticity bench --json` prints"),
        ("[1, 2", "EOF"),
        ("{\"verb\": \"curl\", \"schema\": 2}", "verb \"curl\""),
    ] {
        fs::write(&old, content).unwrap();
        refused(&["bench", MODEL, "--compare", text(&old)], 2, &["old.json", words], &folder.path().join("none"));
    }
}
