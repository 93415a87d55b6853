//! The three verdicts: the rule itself, which errors apply to what, and the same word in CSV, NPZ, manifest, table, JSON and page.
use crate::page::{numbers, table, written};
use crate::run::example;
use ndarray::IxDyn;
use ndarray_npy::NpzReader;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;
use vorticity::measures::{Circulation, MEASURES, find};
use vorticity::report::page::html;
use vorticity::report::stored::read;
use vorticity::run::{Numbers, Part, PartArray, Shard, Table, Verdict, verdicts};
use vorticity::summary::{Results, verdict};

#[test]
fn the_rule() {
    let of = |value: f64, errors: &[f64]| Verdict::of(value, errors.iter().copied());
    assert_eq!(of(3.0, &[1.0, 0.5]), Verdict::Resolved);
    assert_eq!(of(-3.0, &[-1.0, 0.5]), Verdict::Resolved);
    assert_eq!(of(2.9, &[0.5, 1.0]), Verdict::NotResolved);
    assert_eq!(of(1e30, &[1.0, f64::NAN]), Verdict::NotChecked, "however large");
    assert_eq!(of(1.0, &[f64::NAN, 1e30]), Verdict::NotChecked, "whatever the others say");
    assert_eq!(of(1.0, &[0.0, f64::INFINITY]), Verdict::NotResolved);
    // Exactly zero, or no number: nothing stands clear of anything.
    assert_eq!(of(0.0, &[0.0, 0.0]), Verdict::NotResolved);
    assert_eq!(of(f64::NAN, &[0.0]), Verdict::NotResolved);
    assert_eq!(of(f64::INFINITY, &[f64::INFINITY]), Verdict::NotResolved);
    assert_eq!(Verdict::ALL.map(Verdict::word), ["resolved", "not resolved", "not checked"]);
}

/// PROTOCOL's table: the errors that apply to what each measure is about.
#[rustfmt::skip]
const APPLY: &[(&str, &[&str])] = &[
    ("circulation", &["rounding", "quadrature", "arithmetic"]),
    ("curl",        &["arithmetic"]),
    ("asymmetry",   &["nasym_se", "arithmetic"]),
    ("map",         &["nasym_se", "arithmetic"]),
    ("planes",      &["residual", "arithmetic"]),
    ("spectrum",    &["residual", "arithmetic"]),
    ("stein",       &["stein_se", "arithmetic"]),
    ("lid",         &["lid_se", "arithmetic"]),
    ("jacobian",    &["arithmetic"]),
    ("likelihood",  &["probe_se", "grid", "arithmetic"]),
];

fn of(measure: &'static str, value: impl Fn(&str, usize) -> f64) -> Table {
    if measure != "circulation" {
        let mut table = table(measure, value);
        table.facts["differences"] = json!(false);
        return table;
    }
    let mut data = example();
    for column in &mut data.columns {
        column.values = (0..30).map(|i| value(column.name, i)).collect();
    }
    data.table().unwrap()
}

fn every(table: &Table, verdict: Verdict) {
    let found = verdicts(table).unwrap();
    assert!(!found.is_empty() && found.iter().all(|v| *v == verdict), "{}: {found:?}", table.measure);
}

fn small(name: &str, i: usize) -> f64 {
    // Of a circulation the errors have other names.
    if ["rounding", "quadrature"].contains(&name) { 1e-6 } else { numbers(name, i) }
}

#[test]
fn every_error_that_applies_must_be_measured_and_small() {
    for (measure, names) in APPLY {
        let whole = of(measure, small);
        let headline = find(measure).unwrap().info().headline;
        let applying = whole.measure.errors(&whole).unwrap().into_iter().find(|e| e.0 == headline).unwrap().1;
        assert_eq!(applying.iter().map(|e| e.0).collect::<Vec<_>>(), *names, "{measure}");
        every(&whole, Verdict::Resolved);
        for own in *names {
            every(&of(measure, |n, i| if n == *own { f64::NAN } else { small(n, i) }), Verdict::NotChecked);
            every(&of(measure, |n, i| if n == *own { 1e9 } else { small(n, i) }), Verdict::NotResolved);
        }
    }
    // Every measure is here, and what is not the headline's error says nothing of it.
    assert_eq!(MEASURES.iter().map(|m| m.name()).collect::<Vec<_>>(), APPLY.iter().map(|a| a.0).collect::<Vec<_>>());
    every(&of("curl", |n, i| if n == "step" { f64::NAN } else { small(n, i) }), Verdict::Resolved);
}

#[test]
fn the_step_counts_where_j_is_of_differences() {
    let with = |differences: bool, step: f64| {
        let mut table = of("curl", |n, i| if n == "step" { step } else { small(n, i) });
        table.facts["differences"] = json!(differences);
        verdicts(&table).unwrap()[0]
    };
    assert_eq!((with(true, 1e9), with(false, 1e9)), (Verdict::NotResolved, Verdict::Resolved));
    assert_eq!((with(true, f64::NAN), with(true, 1e-9)), (Verdict::NotChecked, Verdict::Resolved));
}

#[test]
fn errors_are_in_the_unit_of_their_statistic() {
    let table = of("jacobian", |n, _| match n {
        "nasym" => 0.25,
        "fro2" => 100.0,
        "arithmetic" => 0.5,
        _ => 1.0,
    });
    let found = table.measure.errors(&table).unwrap();
    let error = |name: &str| found.iter().find(|e| e.0 == name).unwrap().1[0].1[0];
    // D = 4: an entry is off by 0.5, a difference by 1, all of them together by 4, beside |J| = 10.
    assert_eq!((error("asymmetry_max"), error("trace"), error("fro2")), (1.0, 2.0, 40.0));
    assert_eq!(error("nasym"), 4.0 * 0.5 / 10.0 + 16.0 / 400.0);
    let results = Results::of(&table).unwrap();
    assert!(results.statistic("error").is_err() && results.statistic("nasym").unwrap().errors.len() == 1);
}

fn column(path: &Path, name: &str) -> Vec<String> {
    let mut table = csv::Reader::from_path(path).unwrap();
    let at = table.headers().unwrap().iter().position(|h| h == name).unwrap();
    table.records().map(|r| r.unwrap()[at].to_string()).collect()
}

#[test]
fn the_word_is_the_same_in_every_file() {
    let scratch = TempDir::new().unwrap();
    for (measure, names) in APPLY {
        for (word, value) in [("resolved", 1e-9), ("not resolved", 1e9), ("not checked", f64::NAN)] {
            let own = names[names.len() - 1];
            let table = of(measure, |n, i| if n == own { value } else { small(n, i) });
            let dir = written(&scratch.path().join(format!("{measure} {word}")), &table, json!({}));
            let words = column(&dir.join(format!("{measure}.csv")), "verdict");
            assert!(words.iter().all(|w| w == word), "{measure}: {words:?}");
            let manifest: Value = serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
            assert_eq!(manifest[*measure]["verdicts"][word], words.len(), "{measure}");
            let page = html("t", &[("run".into(), read(&dir).unwrap())], &[]).unwrap();
            let marked = [("~", "not resolved"), ("?", "not checked")]
                .map(|(mark, w)| (page.contains(&format!(">{mark}")), w == word));
            if *measure != "likelihood" && *measure != "stein" {
                assert!(marked.iter().all(|(found, expected)| found == expected), "{measure} {word}: {marked:?}");
            }
        }
    }
}

#[test]
fn the_npz_has_the_words() {
    let scratch = TempDir::new().unwrap();
    let table = of("circulation", |n, i| if n == "quadrature" && i < 5 { f64::NAN } else { small(n, i) });
    let dir = written(&scratch.path().join("run"), &table, json!({}));
    let bytes = fs::read(dir.join("circulation.npz")).unwrap();
    let wide: Vec<u8> = "not checked".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    assert_eq!(bytes.windows(wide.len()).filter(|w| *w == wide).count(), 5);
    let mut npz = NpzReader::new(File::open(dir.join("circulation.npz")).unwrap()).unwrap();
    assert!(npz.names().unwrap().iter().any(|n| n.starts_with("verdict")));
    let quadrature = npz.by_name::<ndarray::OwnedRepr<f64>, IxDyn>("quadrature").unwrap();
    assert_eq!(quadrature.iter().filter(|v| v.is_nan()).count(), 5);
}

#[test]
fn tables_and_documents_say_not_checked() {
    let table = of("circulation", |n, i| if n == "quadrature" { f64::NAN } else { small(n, i) });
    let said = table.measure.text(&table).unwrap();
    assert!(
        said.contains("was not checked at all 3") && !said.contains("circulates") && !said.contains("resolved at"),
        "{said}"
    );
    assert!(
        table.measure.rows(&table).unwrap().iter().all(|row| row["abs_integral"]["median"]["verdict"] == "not checked")
    );
    let found = verdict::rows(&table).unwrap();
    assert_eq!((&found[0]["resolved"], &found[0]["not_checked"]), (&json!([]), &json!([1, 11, 991])));
    assert!(found[0]["words"].as_str().unwrap().contains("because quadrature was not measured"), "{found:?}");
    let asymmetry = of("asymmetry", |n, i| if n == "arithmetic" { f64::NAN } else { small(n, i) });
    let said = asymmetry.measure.text(&asymmetry).unwrap();
    assert!(said.contains("nasym was not checked at all 3 timesteps") && said.contains(" ?"), "{said}");
    let rows = asymmetry.measure.rows(&asymmetry).unwrap();
    assert!(rows.iter().all(|r| r["nasym"]["verdict"] == "not checked"), "{rows:?}");
}

/// Means have the errors that apply to what they are of, besides their standard error.
#[test]
fn means_are_checked_as_their_samples_are() {
    let verdict = |measure: &'static str, arithmetic: f64| {
        // Samples alike, so that the standard error is small.
        let value = |n: &str, _: usize| match n {
            "arithmetic" => arithmetic,
            "trace2" => 1.0,
            n if n.ends_with("_se") || n == "grid" => 1e-9,
            _ => 2.0,
        };
        Results::of(&of(measure, value)).unwrap().means[0].verdict(0)
    };
    for measure in ["asymmetry", "stein", "lid", "likelihood"] {
        let found = [1e-9, 1e9, f64::NAN].map(|a| verdict(measure, a));
        assert_eq!(found, [Verdict::Resolved, Verdict::NotResolved, Verdict::NotChecked], "{measure}");
    }
}

/// A part of one path and timestep: (Gamma, S, quadrature) of each loop.
fn quadrature(loops: &[[f64; 3]]) -> Vec<f64> {
    // Gamma, L, M, S, R, authors, rounding, quadrature, evaluations.
    let sums = loops.iter().flat_map(|[gamma, s, error]| [*gamma, 1.0, 1.0, *s, *s, 0.0, 0.0, *error, 1.0]);
    let array = PartArray {
        name: "sums".into(),
        shape: vec![1, loops.len(), 1, 9],
        axis: Some(1),
        values: Numbers::F64(sums.collect()),
    };
    let checked = loops.iter().filter(|l| !l[2].is_nan()).count();
    let facts = json!({
        "paths": ["rotation"], "timesteps": [5], "sigma": [0.5], "points": 10, "checked": checked,
    });
    let (samples, shard) = (loops.len(), Shard::WHOLE);
    let part = Part { measure: &Circulation, shard, samples, facts, arrays: vec![array], worst: 0.0, origin: None };
    part.finish().unwrap().column("quadrature").unwrap().values.clone()
}

#[test]
fn loops_that_were_not_checked_take_errors_to_their_own_scale() {
    let nan = f64::NAN;
    // Two loops checked, 1e-2 and 3e-2 of S: further ones 8 times the larger, each of its own S.
    let found = quadrature(&[[1.0, 10.0, 0.1], [1.0, 100.0, 3.0], [1.0, 1000.0, nan], [1.0, 1.0, nan]]);
    // A checked one keeps its own error, but not less than the median of the two in units of S.
    let expected = [0.2, 3.0, 8.0 * 0.03 * 1000.0, 8.0 * 0.03];
    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12 * e), "{found:?}");
    // The more were checked the less is added; from 99 on nothing.
    let many: Vec<[f64; 3]> = (0..100).map(|_| [1.0, 10.0, 0.1]).chain([[1.0, 50.0, nan]]).collect();
    assert!((quadrature(&many)[100] - 0.5).abs() < 1e-12);
    let one = quadrature(&[[1.0, 10.0, 0.1], [1.0, 10.0, nan]]);
    assert!(one[1] > 1.2, "one loop says little of others: {one:?}");
    assert!(quadrature(&[[1.0, 1.0, nan], [2.0, 1.0, nan]]).iter().all(|e| e.is_nan()));
    // A loop that is not finite has no error.
    let marked = quadrature(&[[1.0, 10.0, 0.1], [nan, nan, nan], [1.0, 10.0, 0.3]]);
    assert!(marked[1].is_nan() && (marked[0] - 0.2).abs() < 1e-12, "{marked:?}");
}

/// A gradient's differences are normal about zero: of many draws of ten loops, two of them checked, hardly a median is resolved.
#[test]
fn chance_resolves_nothing() {
    let uniform = crate::page::uniform(12 * 10 * 2000, 5);
    let normal: Vec<f64> = uniform.chunks(12).map(|u| u.iter().sum::<f64>() - 6.0).collect();
    let mut resolved = 0;
    for ten in normal.chunks(10) {
        let loops: Vec<[f64; 3]> =
            ten.iter().enumerate().map(|(i, z)| [*z, 100.0, if i < 2 { 1.5 * z.abs() } else { f64::NAN }]).collect();
        let errors = quadrature(&loops);
        let median = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            0.5 * (values[4] + values[5])
        };
        let gamma = median(&mut ten.iter().map(|z| z.abs()).collect());
        resolved += u32::from(Verdict::of(gamma, [median(&mut errors.clone())]) == Verdict::Resolved);
    }
    assert!(resolved <= 2, "{resolved} of 2000");
}
