//! Differences of two runs: a known one is covered, a run differs from itself by nothing, runs of different kinds are refused.
use crate::page::{numbers, table, written};
use crate::run::{Column, Example, example};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use vorticity::cli::{compare as verb, output::Output};
use vorticity::measures::circulation::measured;
use vorticity::report::compare::{CompareOptions, Comparison, compare, csv, rows, text};
use vorticity::report::stored::{Stored, read};
use vorticity::run::Verdict;

fn options() -> CompareOptions {
    CompareOptions { resamples: 1000, seed: 7, columns: vec![] }
}

fn facts(seed: u64) -> Value {
    json!({ "data": { "sha256": "same" }, "seed": seed, "adapter": format!("number {seed}") })
}

/// 40 timesteps, 60 samples of Gamma: 5 + shift plus noise of standard deviation 1 that belongs to the seed.
fn synthetic(dir: &Path, seed: u64, shift: f64, errors: f64) -> Stored {
    let (timesteps, samples): (Vec<usize>, usize) = ((0..40).collect(), 60);
    let places = timesteps.len() * samples;
    // The sum of twelve uniform numbers, less six.
    let uniform = crate::page::uniform(12 * places, seed);
    let gamma: Vec<f64> = uniform.chunks(12).map(|u| u.iter().sum::<f64>() - 1.0 + shift).collect();
    let column = |name: &'static str| Column {
        name,
        values: match name {
            "integral" => gamma.clone(),
            "rounding" | "quadrature" | "arithmetic" => vec![errors; places],
            _ => vec![2.0; places],
        },
    };
    let data = Example {
        paths: vec!["rotation".into()],
        sigma: vec![0.5; timesteps.len()],
        timesteps,
        samples,
        points: 10,
        columns: measured().map(column).collect(),
    };
    read(&written(dir, &data.table().unwrap(), facts(seed))).unwrap()
}

fn of<'a>(c: &'a Comparison, column: &str) -> Vec<&'a vorticity::report::compare::Difference> {
    c.differences.iter().filter(|d| d.column == column).collect()
}

#[test]
fn a_run_differs_from_itself_by_nothing() {
    let scratch = TempDir::new().unwrap();
    let mut dirs = vec![written(&scratch.path().join("c"), &example().table().unwrap(), facts(1))];
    for measure in ["curl", "asymmetry", "map", "stein", "lid", "jacobian", "likelihood"] {
        dirs.push(written(&scratch.path().join(measure), &table(measure, numbers), facts(1)));
    }
    for dir in dirs {
        let run = read(&dir).unwrap();
        let same = compare([&run, &run], &options()).unwrap();
        assert!(same.paired && same.because == "same data, seed and samples" && same.facts.is_empty());
        assert!(same.left_out.is_empty() && !same.differences.is_empty());
        for d in &same.differences {
            assert_eq!((d.difference, d.values[0]), ([0.0; 3], d.values[1]), "{} {}", same.measure, d.column);
            assert!(!d.excludes_zero() && d.verdict() != Some(Verdict::Resolved));
        }
        assert_eq!(rows(&same).len(), same.differences.len());
    }
}

#[test]
fn intervals_cover_a_known_difference() {
    let scratch = TempDir::new().unwrap();
    let only = CompareOptions { columns: vec!["abs_integral".into()], ..options() };
    let run = |name: &str, seed, shift| synthetic(&scratch.path().join(name), seed, shift, 1e-6);
    let (a, shifted, other) = (run("a", 1, 0.0), run("shifted", 1, 0.25), run("other", 2, 0.25));
    // The same samples, each larger by a quarter: known exactly.
    let paired = compare([&a, &shifted], &only).unwrap();
    for d in of(&paired, "abs_integral") {
        assert!(
            d.difference.iter().all(|v| (v - 0.25).abs() < 1e-9)
                && d.excludes_zero()
                && d.verdict() == Some(Verdict::Resolved),
            "{d:?}"
        );
    }
    // Other samples: the median of 60 is uncertain by 0.16, so about 38 of 40 intervals hold 0.25.
    let unpaired = compare([&a, &other], &only).unwrap();
    assert!(!unpaired.paired && unpaired.because.contains("seeds"), "{}", unpaired.because);
    let all = of(&unpaired, "abs_integral");
    let covered = all.iter().filter(|d| d.difference[1] <= 0.25 && 0.25 <= d.difference[2]).count();
    let width: f64 = all.iter().map(|d| d.difference[2] - d.difference[1]).sum::<f64>() / all.len() as f64;
    assert!(all.len() == 40 && covered >= 34, "{covered} of 40");
    // 2 * 1.96 * sqrt(2) * 1.2533 / sqrt(60) = 0.90 for the median of normal samples.
    assert!((0.7..1.1).contains(&width), "{width}");
    // 2.0 is 7.6 standard errors of the difference away.
    let beyond = all.iter().filter(|d| d.difference[1] <= 2.0 && 2.0 <= d.difference[2]).count();
    assert_eq!(beyond, 0, "a wrong difference is not covered");
    // The other way round, and from another seed of the bootstrap.
    let back = compare([&other, &a], &only).unwrap();
    assert!(of(&back, "abs_integral").iter().zip(&all).all(|(b, f)| b.difference[0] == -f.difference[0]));
    let again = compare([&a, &other], &only).unwrap();
    assert_eq!(csv(&again).unwrap(), csv(&unpaired).unwrap(), "equal runs, equal intervals");
    let reseeded = compare([&a, &other], &CompareOptions { seed: 8, ..only.clone() }).unwrap();
    assert_ne!(csv(&reseeded).unwrap(), csv(&unpaired).unwrap());
}

#[test]
fn errors_larger_than_the_difference_are_marked() {
    let scratch = TempDir::new().unwrap();
    let a = synthetic(&scratch.path().join("a"), 1, 0.0, 0.2);
    let b = synthetic(&scratch.path().join("b"), 1, 0.25, 0.2);
    let both =
        compare([&a, &b], &CompareOptions { columns: vec!["abs_integral".into(), "length".into()], ..options() })
            .unwrap();
    for d in of(&both, "abs_integral") {
        assert!(
            d.excludes_zero() && d.verdict() == Some(Verdict::NotResolved) && (d.error.unwrap() - 0.4).abs() < 1e-12,
            "{d:?}"
        );
    }
    assert!(of(&both, "length").iter().all(|d| d.error.is_none() && d.verdict().is_none()));
    let said = text(&both, ["a", "b"]);
    assert_eq!(said.lines().filter(|l| l.ends_with(" *~")).count(), 40, "{said}");
    assert!(said.contains("paired (same data, seed and samples), 1000 resamples, 95 % intervals"));
    assert!(
        said.contains("* 40 of 80 intervals leave out zero.")
            && said.contains("errors of A and B together: 40 not resolved.")
            && said.lines().all(|l| l.chars().count() < 110)
    );
    let table = String::from_utf8(csv(&both).unwrap()).unwrap();
    assert_eq!(table.lines().count(), 81);
    assert!(
        table.starts_with("path,timestep,column,statistic,unit,a,b,difference,low,high,errors,excludes_zero,verdict\n")
    );
    assert_eq!(table.lines().filter(|l| l.ends_with(",not resolved")).count(), 40);
    let row = rows(&both).remove(0);
    assert_eq!(row["verdict"], "not resolved");
    assert_eq!(
        (&row["excludes_zero"], &row["path"], &row["statistic"]),
        (&json!(true), &json!("rotation"), &json!("median"))
    );
}

#[test]
fn an_error_that_one_run_did_not_measure_is_not_checked() {
    let scratch = TempDir::new().unwrap();
    let a = synthetic(&scratch.path().join("a"), 1, 0.0, 1e-6);
    let b = synthetic(&scratch.path().join("b"), 1, 0.25, f64::NAN);
    let only = CompareOptions { columns: vec!["abs_integral".into()], ..options() };
    for pair in [[&a, &b], [&b, &a]] {
        let found = compare(pair, &only).unwrap();
        assert!(found.differences.iter().all(|d| d.excludes_zero() && d.verdict() == Some(Verdict::NotChecked)));
        let said = text(&found, ["a", "b"]);
        assert!(said.contains("40 not checked") && said.lines().filter(|l| l.ends_with(" *?")).count() == 40, "{said}");
        assert!(rows(&found).iter().all(|row| row["verdict"] == "not checked"));
        assert!(String::from_utf8(csv(&found).unwrap()).unwrap().lines().skip(1).all(|l| l.ends_with(",not checked")));
    }
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let scratch = TempDir::new().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let dirs = [
        written(&at("stein"), &table("stein", numbers), facts(1)),
        written(&at("curl"), &table("curl", numbers), facts(1)),
    ];
    let args = |a: &Path, b: &Path| verb::Args {
        a: a.into(),
        b: b.into(),
        columns: vec![],
        resamples: 50,
        seed: 0,
        csv: Some(at("out.csv")),
        output: Output { json: false, quiet: true },
    };
    let error = verb::run(&args(&dirs[0], &dirs[1])).unwrap_err();
    let words = "stein is a run of stein, curl one of curl; expected two runs of the same measure";
    assert!(error.exit_code() == 2 && error.to_string().contains(words), "{error}");
    assert!(!at("out.csv").exists());
    assert_eq!(verb::run(&args(&dirs[0], &dirs[0])).unwrap(), 0);
    assert!(at("out.csv").exists());

    let run = read(&dirs[0]).unwrap();
    let refused = |options: CompareOptions| compare([&run, &run], &options).unwrap_err().to_string();
    assert!(refused(CompareOptions { resamples: 1, ..options() }).contains("expected 2 to"));
    let unknown = refused(CompareOptions { columns: vec!["nasym".into()], ..options() });
    assert!(unknown.contains("no statistic 'nasym', it has error_norm, stein"), "{unknown}");
    let mut later = table("stein", numbers);
    later.axes[0].labels = vorticity::run::Labels::Numbers(vec![2, 12, 992]);
    let later = read(&written(&at("later"), &later, facts(1))).unwrap();
    let nothing = compare([&run, &later], &options()).unwrap_err().to_string();
    assert!(nothing.contains("no path and timestep in common"), "{nothing}");
    let mut partly = table("stein", numbers);
    partly.axes[0].labels = vorticity::run::Labels::Numbers(vec![1, 12, 992]);
    let partly = read(&written(&at("partly"), &partly, facts(2))).unwrap();
    let some = compare([&run, &partly], &options()).unwrap();
    assert_eq!(some.left_out, ["only stein has 2 of its 3 timesteps", "only partly has 2 of its 3 timesteps"]);
    assert!(some.facts.iter().any(|f| f == &("seed".into(), "1".into(), "2".into())), "{:?}", some.facts);
}
