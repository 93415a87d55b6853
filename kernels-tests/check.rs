//! `vorticity check`: what a budget buys, that a plan is followed byte for byte, and that verdicts are right where the truth is known.
use crate::cli::{DIGITS, text, vorticity};
use serde_json::Value;
use std::fs;
use std::path::Path;
use vorticity::check::{LEVELS, Pace, Paces, Plan, SAMPLES, Sizes, There, levels};

fn paces(each: f64) -> Paces {
    let pace = |share: f64| Pace { each: share * each, besides: 0.1 * each };
    Paces {
        rotation: Some(pace(1.0)),
        projection: Some(pace(2.0)),
        brownian: None,
        asymmetry: Some(pace(1.0)),
        planes: Some(pace(0.5)),
    }
}

/// What a budget buys of so many noise levels and images, where nothing is chosen already.
fn sizes(budget: f64, paces: &Paces, steps: usize, held: usize) -> Sizes {
    Sizes::of(budget, paces, There { timed: steps.min(LEVELS), fixed: false, held, samples: None })
}

#[test]
fn what_is_asked_for_is_measured_and_the_rest_follows_from_the_time() {
    let all = paces(1.0);
    for (budget, samples) in [(0.0, 5), (40.0, 5), (400.0, 5), (400.0, 200)] {
        let there = There { timed: 3, fixed: true, held: 256, samples: Some(samples) };
        let found = Sizes::of(budget, &all, there);
        assert_eq!((found.samples, found.levels), (samples, 3), "{budget}: {found:?}");
        assert!(found.asymmetry.is_none_or(|(n, _)| n <= samples), "{budget}: {found:?}");
    }
    let fixed = |samples| Sizes::of(40.0, &all, There { timed: LEVELS, fixed: false, held: 256, samples });
    assert!(fixed(Some(200)).levels < fixed(None).levels, "more samples than there is time for cost noise levels");
    let jacobian = Paces { rotation: None, projection: None, ..all };
    let found = Sizes::of(0.0, &jacobian, There { timed: 3, fixed: true, held: 256, samples: Some(5) });
    assert_eq!((found.samples, found.asymmetry), (5, Some((5, 16))), "without loops the Jacobian has them: {found:?}");
}

#[test]
fn more_time_buys_no_less_and_never_more_than_it_has() {
    let all = paces(1.0);
    let bought: Vec<Sizes> = (0..400).map(|s| sizes(f64::from(s), &all, 1000, 256)).collect();
    for (seconds, pair) in bought.windows(2).enumerate() {
        let (less, more) = (pair[0], pair[1]);
        assert!(less.levels <= more.levels, "{seconds}: {less:?} {more:?}");
        if less.levels == more.levels {
            let probes = |s: &Sizes| s.asymmetry.map_or(0, |(n, probes)| n * probes);
            assert!(less.planes <= more.planes && probes(&less) <= probes(&more), "{seconds}: {less:?} {more:?}");
        }
        // Only the least that answers anything may take longer than there is.
        let least = Sizes { seconds: more.seconds, ..bought[0] };
        assert!(more.seconds <= (seconds + 1) as f64 || more == least, "{seconds}: {more:?}");
    }
    let rich = bought.last().unwrap();
    assert_eq!((rich.levels, rich.samples, rich.projection), (LEVELS, SAMPLES[0], true), "{rich:?}");
    let poor = bought[0];
    assert_eq!((poor.levels, poor.samples, poor.projection, poor.asymmetry, poor.planes), (1, 1, false, None, None));
}

#[test]
fn no_more_is_asked_for_than_there_is() {
    for (steps, held) in [(1, 1), (2, 3), (5, 1), (9, 2), (1000, 5)] {
        let sizes = sizes(1e9, &paces(1.0), steps, held);
        assert!(sizes.samples <= held && sizes.asymmetry.unwrap().0 <= held && sizes.planes.unwrap() <= held);
        let ks = levels(steps, sizes.levels);
        assert!(!ks.is_empty() && ks.windows(2).all(|k| k[0] < k[1]) && ks.iter().all(|&k| k < steps), "{ks:?}");
    }
    assert_eq!(levels(1000, 10), (1..1000).step_by(100).collect::<Vec<_>>());
}

#[test]
fn what_a_field_cannot_is_left_out_and_its_time_is_the_others() {
    let all = paces(1.0);
    let without = sizes(60.0, &Paces { asymmetry: None, planes: None, ..all }, 1000, 256);
    let with = sizes(60.0, &all, 1000, 256);
    assert!(without.asymmetry.is_none() && without.planes.is_none());
    assert!(without.samples > with.samples, "{without:?} {with:?}");
    let no_loops = sizes(60.0, &Paces { rotation: None, projection: None, ..all }, 1000, 256);
    assert!(!no_loops.loops && !no_loops.projection && with.loops, "{no_loops:?}");
    assert_eq!(Some(no_loops.samples), no_loops.asymmetry.map(|a| a.0));
    let probes = |sizes: &Sizes| sizes.asymmetry.map_or(0, |(n, probes)| n * probes);
    assert!(probes(&no_loops) > probes(&with), "{no_loops:?} {with:?}");
    let poor = sizes(0.0, &Paces { rotation: None, projection: None, ..all }, 1000, 256);
    assert_eq!(poor.asymmetry, Some((1, 16)), "the least that answers anything");
}

/// A map that is no score has no loops; what its Jacobian says is the verdict.
#[test]
fn a_map_is_judged_by_its_jacobian_alone() {
    let folder = tempfile::tempdir().unwrap();
    let model = crate::bad::model(folder.path(), |_, config| config["prediction"] = serde_json::json!("map"));
    let (data, out) = (folder.path().join("x.npy"), folder.path().join("out"));
    let x = ndarray::Array4::from_shape_fn((2, 1, 4, 4), |(n, _, i, j)| (n + i * j) as f32 / 10.0 - 0.5);
    ndarray_npy::write_npy(&data, &x).unwrap();
    let command = ["check", text(&model), "--data", text(&data), "--minutes", "0.2", "--out", text(&out), "--json"];
    let output = vorticity(&command).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdict: Value = serde_json::from_slice(&fs::read(out.join("verdict.json")).unwrap()).unwrap();
    let words = verdict["words"].as_str().unwrap();
    assert!(words.contains("antisymmetric half of the Jacobian") && !words.contains(" loops the"), "{words}");
    assert!(words.contains("Not measured: closed loops (circulation: needs a score"), "{words}");
    assert!(!out.join("circulation").exists() && out.join("asymmetry").is_dir());
}

/// What the trained network of the funnel is taken to be, wrong in one key, is doubted; as it is, it is not. So is data of another range.
#[test]
fn wrong_settings_are_doubted_and_right_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (Path::new("assets/models/funnel"), folder.path().join("wrong"));
    fs::create_dir(&wrong).unwrap();
    fs::copy(right.join("model.safetensors"), wrong.join("model.safetensors")).unwrap();
    let config: Value = serde_json::from_slice(&fs::read(right.join("config.json")).unwrap()).unwrap();
    let doubts = |model: &Path, data: &str| {
        let command = ["check", text(model), "--data", data, "--minutes", "0.1", "--dry-run", "--json"];
        let output = vorticity(&command).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = said["plan"]["doubts"].as_array().unwrap().iter().map(|d| d.as_str().unwrap().to_string());
        all.collect::<Vec<_>>()
    };
    const DATA: &str = "assets/data/funnel-256.npy";
    assert_eq!(doubts(right, DATA), [""; 0]);
    type Edit = fn(&mut Value);
    let edits: [Edit; 2] = [|c| c["prediction"] = "x0".into(), |c| c["prediction"] = "v".into()];
    for edit in edits {
        let mut config = config.clone();
        edit(&mut config);
        fs::write(wrong.join("config.json"), config.to_string()).unwrap();
        let found = doubts(&wrong, DATA);
        assert!(found.len() == 1 && found[0].contains("wrong in a simple way"), "{found:?}");
    }
    let (far, x) = (folder.path().join("far.npy"), ndarray::Array4::from_elem((4, 1, 8, 8), 9000f32));
    ndarray_npy::write_npy(&far, &x).unwrap();
    let found = doubts(right, text(&far));
    assert!(found.iter().any(|d| d.starts_with("of the data")), "{found:?}");
}

/// Runs a check of a closed form on drawn samples; what it printed as JSON.
fn check(model: &str, out: &Path, more: &[&str]) -> Value {
    let data = ["--data", "data:gaussian?seed=1", "--shape", "1x4x4", "--out", text(out), "--json"];
    let output = vorticity(&[&["check", model][..], &data, more].concat()).output().unwrap();
    assert!(output.status.success(), "{model}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The percents of the verdict's sentences stand in the table at the head of the page, with their errors.
fn shown_at_a_glance(table: &str, words: &str) {
    let shares = [
        (" loops ", " % of the work does not cancel", "% of the work"),
        (" within the errors, to ", " % of it,", "% of the work"),
        ("half of the Jacobian is ", " % of its norm", "% of the Jacobian's norm"),
        (" symmetric within the errors, to ", " % of its norm", "% of the Jacobian's norm"),
    ];
    let mut seen = 0;
    for sentence in words.split(". ") {
        for (before, behind, unit) in shares {
            let Some((head, rest)) = sentence.split_once(behind) else { continue };
            let Some((_, range)) = head.rsplit_once(before) else { continue };
            let shown = format!("{range} {unit}").replace('\'', "&#39;");
            assert!(table.contains(&format!("{range} {unit}")) || table.contains(&shown), "{range} {unit}: {table}");
            if let Some((_, error)) = rest.split_once("the numerical error is ") {
                let error = error.split_once(',').unwrap().0;
                assert!(table.contains(&format!("error {error}")), "{error}: {table}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 2, "{words}");
}

#[test]
fn verdicts_are_those_of_fields_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (
            "field:gaussian",
            "indistinguishable from a gradient",
            "Indistinguishable from a gradient at this precision: on rotation loops",
        ),
        ("field:funnel", "indistinguishable from a gradient", "symmetric within the errors"),
        ("field:rotor?omega=1", "not a gradient", "Not a gradient: on rotation loops"),
        ("field:tilted?omega=0.5", "not a gradient", "the fastest plane turns at"),
    ];
    for (i, (model, answer, words)) in cases.into_iter().enumerate() {
        let out = folder.path().join(i.to_string());
        let said = check(model, &out, &["--minutes", "0.2"]);
        assert_eq!(said["verdict"]["answer"], answer, "{model}: {said}");
        assert!(said["verdict"]["words"].as_str().unwrap().contains(words), "{model}: {said}");
        let written: Value = serde_json::from_slice(&fs::read(out.join("verdict.json")).unwrap()).unwrap();
        assert_eq!(written["words"], said["verdict"]["words"]);
        let page = fs::read_to_string(out.join("page.html")).unwrap();
        assert!(page.contains("Verdict") && page.contains("loops"), "{model}");
        let glance = page.split_once("At a glance").unwrap().1.split_once("</table>").unwrap().0;
        shown_at_a_glance(glance, said["verdict"]["words"].as_str().unwrap());
    }
}

#[test]
fn what_was_not_measured_decides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    check("field:gaussian", &made, &["--minutes", "0.2"]);
    // The same plan without the points in f64: an error that applies is not measured.
    let path = folder.path().join("plan.json");
    let mut plan: Value = serde_json::from_slice(&fs::read(made.join("plan.json")).unwrap()).unwrap();
    plan["stages"][0]["options"]["verify-fraction"] = "0".into();
    plan["stages"].as_array_mut().unwrap().truncate(1);
    fs::write(&path, plan.to_string()).unwrap();
    let said = check("field:gaussian", &folder.path().join("open"), &["--plan", text(&path)]);
    assert_eq!(said["verdict"]["answer"], "not decided", "{said}");
    assert!(said["verdict"]["words"].as_str().unwrap().contains("not measured: arithmetic"), "{said}");
}

#[test]
fn a_plan_is_followed_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let [first, again] = ["first", "again"].map(|n| folder.path().join(n));
    check("field:tilted?omega=0.5", &first, &["--minutes", "0.2", "--brownian"]);
    let plan = Plan::read(&first.join("plan.json")).unwrap();
    assert_eq!(plan.stages.last().unwrap().name, "brownian");
    check("field:tilted?omega=0.5", &again, &["--plan", text(&first.join("plan.json"))]);
    // Another field is measured as the first one was.
    let other = folder.path().join("other");
    check("field:rotor?omega=1", &other, &["--plan", text(&first.join("plan.json"))]);
    assert_eq!(Plan::read(&other.join("plan.json")).unwrap().stages, plan.stages);
    check("field:rotor?omega=1", &other, &[]);
    // A check that lost a stage and its end goes on, and so does one that is there whole.
    fs::remove_dir_all(first.join("asymmetry")).unwrap();
    fs::remove_file(first.join("verdict.json")).unwrap();
    let resumed = check("field:tilted?omega=0.5", &first, &[]);
    assert_eq!(check("field:tilted?omega=0.5", &first, &[])["verdict"], resumed["verdict"]);
    for stage in &plan.stages {
        for file in [format!("{}.npz", stage.measure), format!("{}.csv", stage.measure), "manifest.json".into()] {
            let [a, b] = [&first, &again].map(|out| fs::read(out.join(&stage.name).join(&file)).unwrap());
            assert!(a == b && !a.is_empty(), "{}/{file}", stage.name);
        }
    }
    let [a, b] = [&first, &again].map(|out| fs::read(out.join("verdict.json")).unwrap());
    assert_eq!(a, b);
}

/// What circulation is asked by these names a check is asked too; the plan has it, and whoever goes on follows the plan.
#[test]
fn samples_timesteps_and_seed_are_those_of_circulation() {
    let folder = tempfile::tempdir().unwrap();
    let [out, alone] = ["out", "alone"].map(|n| folder.path().join(n));
    let asked = ["--samples", "3", "--timesteps", "5,105", "--seed", "7"];
    check("field:tilted?omega=0.5", &out, &[&asked[..], &["--minutes", "0.1"]].concat());
    let plan = Plan::read(&out.join("plan.json")).unwrap();
    assert_eq!((plan.asked.samples, plan.asked.seed), (Some(3), Some(7)));
    assert_eq!((plan.asked.timesteps.as_deref(), &plan.timesteps[..]), (Some(&[5, 105][..]), &[5, 105][..]));
    assert!(plan.stages.iter().all(|s| s.options["seed"] == "7"), "{:?}", plan.stages);
    let loops = &plan.stages[0].options;
    assert_eq!((&loops["samples"][..], &loops["timesteps"][..]), ("3", "5,105"));
    // It is the run that circulation makes of the same words.
    let model = ["field:tilted?omega=0.5", "--data", "data:gaussian?seed=1", "--shape", "1x4x4", "--quiet"];
    let own = ["--paths", &loops["paths"], "--quadrature", "adaptive", "--out", text(&alone)];
    let output = vorticity(&[&["circulation"][..], &model, &own, &asked].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [a, b] = [&out.join("circulation"), &alone].map(|out| fs::read(out.join("circulation.csv")).unwrap());
    assert!(a == b && !a.is_empty());
    // The plan is followed without being told again, and with the same words; with others it is refused.
    fs::remove_dir_all(out.join("circulation")).unwrap();
    check("field:tilted?omega=0.5", &out, &[]);
    assert_eq!(fs::read(out.join("circulation/circulation.csv")).unwrap(), b);
    check("field:tilted?omega=0.5", &out, &asked);
    for other in [["--samples", "4"], ["--timesteps", "5"], ["--seed", "8"]] {
        let arguments = [&["check", "field:tilted?omega=0.5", "--out", text(&out)][..], &model[1..], &other].concat();
        let output = vorticity(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("for 0.1 minutes with 3 samples, seed 7, timesteps 5,105"), "{error}");
    }
}

/// More than there is time for is measured all the same, and said beforehand.
#[test]
fn what_takes_longer_than_its_minutes_is_said() {
    let arguments = ["check", "field:gaussian", "--data", "data:gaussian", "--shape", "1x4x4", "--dry-run"];
    let own = ["--minutes", "0.001", "--samples", "300"];
    let output = vorticity(&[&arguments[..], &own].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("this is the least of what is asked for; it takes more than 0.001 min"), "{said}");
    assert!(said.contains("--samples 300"), "{said}");
}

#[test]
fn another_model_other_data_and_another_plan_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    check("field:gaussian", &out, &["--minutes", "0.1"]);
    let before = fs::read(out.join("plan.json")).unwrap();
    let refused = |model: &str, data: &[&str], more: &[&str], words: &[&str]| {
        let arguments = [&["check", model, "--out", text(&out)][..], data, more].concat();
        let output = vorticity(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
        assert_eq!(fs::read(out.join("plan.json")).unwrap(), before);
    };
    let own = ["--data", "data:gaussian?seed=1", "--shape", "1x4x4"];
    refused("field:rotor?omega=1", &own, &[], &["plan.json", "another model", "rotor"]);
    refused(
        "field:gaussian",
        &["--data", "data:gaussian?seed=2", "--shape", "1x4x4"],
        &[],
        &["another data", "seed=2"],
    );
    refused("field:gaussian", &own, &["--minutes", "3"], &["a plan for 0.1 minutes", "another directory"]);
    refused(
        "field:gaussian",
        &own,
        &["--minutes", "0.1", "--brownian"],
        &["a plan for 0.1 minutes", "another directory"],
    );

    let arguments = [&["check", "field:gaussian", "--dry-run", "--minutes", "0"][..], &own].concat();
    let output = vorticity(&arguments).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("minutes: 0, expected a number above 0"));

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine.txt"), "mine").unwrap();
    let arguments = ["check", "field:gaussian", "--data", DIGITS, "--out", text(&other)];
    let output = vorticity(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty and has no plan.json"));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}
