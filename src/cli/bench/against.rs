//! Two documents of `vorticity bench`, an earlier one and this one: ratios of times, quantity by quantity, and which of them
//! are beyond the noise. In: JSON. Out: what differs besides, rows, text.
use super::super::text::table;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Facts that times depend on; where they differ, ratios say little about the program.
const FACTS: [&str; 9] =
    ["program", "adapter", "kernels", "variants", "weights_sha256", "weights_held", "tangents", "accuracy", "points"];

/// Rounds from which a range says something of the noise.
const ENOUGH: usize = 3;

/// Versions of documents that are read: in the second nothing of a bench has changed.
const SCHEMAS: [u32; 2] = [2, super::super::output::SCHEMA];

/// A quantity that both have; smaller is better.
pub(super) struct Row {
    quantity: String,
    old: f64,
    new: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Slower,
    Faster,
    Noise,
    /// Too few rounds, or measured once.
    Unknown,
}

impl Verdict {
    /// Of the times of all rounds.
    fn of(old: &[f64], new: &[f64]) -> Self {
        let low = |t: &[f64]| t.iter().copied().fold(f64::INFINITY, f64::min);
        let high = |t: &[f64]| t.iter().copied().fold(0.0, f64::max);
        match () {
            _ if old.len().min(new.len()) < ENOUGH => Verdict::Unknown,
            _ if low(new) > high(old) => Verdict::Slower,
            _ if high(new) < low(old) => Verdict::Faster,
            _ => Verdict::Noise,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Noise => "within noise",
            Verdict::Unknown => "",
        }
    }
}

/// Reads an earlier document.
pub(super) fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    let document: Value = serde_json::from_str(&text).map_err(|e| Error::file(path, e))?;
    let (verb, schema) = (&document["verb"], &document["schema"]);
    if verb != "bench" || !SCHEMAS.iter().any(|s| schema == s) {
        let expected =
            format!("expected what `vorticity bench --json` prints, schema {} or {}", SCHEMAS[0], SCHEMAS[1]);
        return Err(Error::file(path, format!("verb {verb}, schema {schema}; {expected}")));
    }
    Ok(document)
}

/// What was timed in the document, by name, with its times.
fn quantities(document: &Value) -> Vec<(String, Vec<f64>)> {
    let all = |seconds: &Value| -> Vec<f64> {
        seconds["all"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value.as_str().unwrap_or("?").to_string();
    let mut found = vec![];
    for (key, of) in
        [("multiply_add", "1/s"), ("gemm", "1/s"), ("bandwidth", "1/s"), ("dispatch", "s"), ("submission", "s")]
    {
        if let Some(value) = document["ceilings"][key].as_f64().filter(|v| *v > 0.0) {
            found.push((format!("ceiling: {key}"), vec![if of == "s" { value } else { 1.0 / value }]));
        }
    }
    for cost in list(&document["costs"]) {
        // Tiles of another size cost something else.
        let what = format!("{}, per {}, tile {}", name(&cost["what"]), name(&cost["per"]), cost["tile"]);
        for op in list(&cost["ops"]) {
            found.push((format!("{what}: {}", name(&op["op"])), all(&op["seconds_per_evaluation"])));
        }
        found.push((what, all(&cost["seconds"])));
    }
    found.retain(|(_, times)| !times.is_empty());
    found
}

/// Facts in which they differ, and every quantity that both have.
pub(super) fn compare(old: &Value, new: &Value) -> (Vec<String>, Vec<Row>) {
    let differs =
        |key: &&str| (old[*key] != new[*key]).then(|| format!("{key}: {} then, {} now", old[*key], new[*key]));
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let before = quantities(old);
    let row = |(quantity, times): (String, Vec<f64>)| {
        let (_, then) = before.iter().find(|(name, _)| *name == quantity)?;
        Some(Row { old: median(then), new: median(&times), verdict: Verdict::of(then, &times), quantity })
    };
    (FACTS.iter().filter_map(differs).collect(), quantities(new).into_iter().filter_map(row).collect())
}

/// For people: the ratios, what to mind, and what became slower.
pub(super) fn text(path: &Path, differs: &[String], rows: &[Row]) -> String {
    let cells = |r: &Row| {
        let ratio = format!("{:.3}", r.new / r.old);
        [r.quantity.clone(), format!("{:.3e}", r.old), format!("{:.3e}", r.new), ratio, r.verdict.name().into()]
    };
    let headings = [("seconds, median", false), ("then", true), ("now", true), ("now/then", true), ("", false)];
    let minded: String = differs.iter().map(|d| format!("mind: {d}\n")).collect();
    let slower: Vec<&str> = rows.iter().filter(|r| r.verdict == Verdict::Slower).map(|r| r.quantity.as_str()).collect();
    let sentence = match (rows.is_empty(), slower.is_empty()) {
        (true, _) => "nothing that both have in a tile of the same size".into(),
        (_, true) => "nothing became slower beyond the noise of the rounds".into(),
        _ => format!("slower, every round than every one then: {}", slower.join("; ")),
    };
    let rows = table(headings, &rows.iter().map(cells).collect::<Vec<_>>());
    format!("against {}\n{minded}{rows}{sentence}\n", path.display())
}

/// For programs.
pub(super) fn json(path: &Path, differs: &[String], rows: &[Row]) -> Value {
    let row = |r: &Row| {
        let verdict = (r.verdict != Verdict::Unknown).then_some(r.verdict.name());
        json!({ "quantity": r.quantity, "then": r.old, "now": r.new, "ratio": r.new / r.old, "verdict": verdict })
    };
    json!({ "file": path.display().to_string(), "differs": differs, "rows": rows.iter().map(row).collect::<Vec<_>>() })
}
