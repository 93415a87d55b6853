//! Shards: merged they are the run that one process writes, byte for byte; what does not belong together is refused.
//! And every measure, stopped again and again, goes on from its journal to the same bits.
use crate::cli::{DIGITS, MODEL, text, vorticity};
use crate::common::{bounds, choice, gpu};
use crate::resume::same;
use serde_json::json;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::data::{self, Images};
use vorticity::diagnostics::{Divergence, Selection, Sides};
use vorticity::error::{Error, Result};
use vorticity::field::{self, Field, ScoreScale};
use vorticity::gpu::Gpu;
use vorticity::measures::MEASURES;
use vorticity::measures::asymmetry::{AsymmetryOptions, Estimator};
use vorticity::measures::curl::{CurlOptions, Method};
use vorticity::measures::jacobian::JacobianOptions;
use vorticity::measures::lid::LidOptions;
use vorticity::measures::likelihood::LikelihoodOptions;
use vorticity::measures::map::MapOptions;
use vorticity::measures::planes::PlanesOptions;
use vorticity::measures::spectrum::SpectrumOptions;
use vorticity::measures::stein::SteinOptions;
use vorticity::run::{Journal, Part, Progress, RunDir, Shard, Subject, Table, Task, merge};
use vorticity::shape::Shape;

/// Runs, and expects success.
fn ran(arguments: &[&str]) {
    let output = vorticity(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Expects that the shards are refused, with all these words, and that nothing is left.
fn refused(shards: &[&PathBuf], words: &[&str]) {
    let out = shards[0].with_file_name("refused");
    let mut arguments = vec!["merge", "--out", text(&out)];
    arguments.extend(shards.iter().map(|s| text(s)));
    crate::cli::refused(&arguments, 2, words, &out);
}

fn in_shards(folder: &Path, n: usize, arguments: &[&str]) -> Vec<PathBuf> {
    let shard = |i: usize| {
        let out = folder.join(format!("shard-{i}"));
        ran(&[arguments, &["--shard", &format!("{i}/{n}"), "--out", text(&out)]].concat());
        out
    };
    (1..=n).map(shard).collect()
}

/// Seven samples to four shards, two of them checked, all kinds of paths, points of the twin in some shards only.
#[test]
fn four_shards_of_a_circulation_are_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    #[rustfmt::skip]
    let arguments = [
        "circulation", "field:tilted", "--data", DIGITS, "--timesteps", "100,900", "--samples", "7", "--points", "50",
        "--quadrature", "adaptive", "--quadrature-check", "0.2", "--verify-fraction", "0.002",
    ];
    ran(&[&arguments[..], &["--out", text(&at("whole"))]].concat());
    let shards = in_shards(folder.path(), 4, &arguments);
    let out = at("merged");
    let mut merge = vec!["merge", "--out", text(&out)];
    merge.extend([2, 0, 3, 1].map(|i| text(&shards[i])));
    // No adapter is looked for.
    let output =
        assert_cmd::Command::cargo_bin("vorticity").unwrap().args(&merge).env("VK_ICD_FILENAMES", "none").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    same(&out, &at("whole"));

    // Shards of the first schema, which calls sigma `noise`.
    let earlier = at("earlier");
    let manifests: Vec<PathBuf> = shards.iter().map(|shard| shard.join("manifest.json")).collect();
    let rewrite = |from: [&str; 2], to: [&str; 2]| {
        for path in &manifests {
            let text = fs::read_to_string(path).unwrap();
            assert!(from.iter().all(|from| text.contains(from)), "{text}");
            fs::write(path, text.replace(from[0], to[0]).replace(from[1], to[1])).unwrap();
        }
    };
    let (now, then) = (["\"sigma\": [", "\"schema\": 2"], ["\"noise\": [", "\"schema\": 1"]);
    rewrite(now, then);
    ran(&[&["merge", "--out", text(&earlier)][..], &shards.iter().map(|s| text(s)).collect::<Vec<_>>()].concat());
    same(&earlier, &at("whole"));
    rewrite(then, now);

    let [a, b, c, d] = &shards[..] else { panic!() };
    refused(&[a, b, d], &["3 of 4 shards given, missing: 3/4"]);
    refused(&[a, b, c, d, b], &["shard-2: is shard 2/4, as "]);
    refused(&[a, b, c, &at("whole")], &["whole/manifest.json: is of a whole run"]);
    // Shards of another seed, and of another number of shards.
    let foreign = at("foreign");
    ran(&[&arguments[..], &["--seed", "3", "--shard", "3/4", "--out", text(&foreign)]].concat());
    refused(&[a, b, &foreign, d], &["foreign: does not belong to", "seed: found 3, expected 0"]);
    let third = at("third");
    ran(&[&arguments[..], &["--shard", "3/3", "--out", text(&third)]].concat());
    refused(&[a, b, &third, d], &["shard.of: found"]);
    // A bit of the data.
    let mut bytes = fs::read(c.join("shard.npz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(c.join("shard.npz"), bytes).unwrap();
    refused(&[a, b, c, d], &["shard-3/shard.npz: has SHA-256", "the manifest says"]);
}

#[test]
fn bad_shards_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (shard, words) in [
        ("0/4", "i from 1 to n"),
        ("5/4", "5/4, expected i/n"),
        ("2", "'2', expected i/n"),
        ("1/0", "expected i/n"),
        ("1/3", "1/3, but there are 2 samples: at most so many shards"),
    ] {
        let mut arguments = crate::cli::short("field:gaussian", DIGITS, text(&out));
        arguments.extend(["--shard", shard]);
        crate::cli::refused(&arguments, 2, &[words], &out);
    }
}

#[test]
fn shards_of_a_network_are_one_run_of_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    #[rustfmt::skip]
    let arguments = [
        "curl", MODEL, "--data", DIGITS, "--timesteps", "400,900", "--samples", "3", "--components", "4", "--verify", "1",
    ];
    ran(&[&arguments[..], &["--out", text(&at("whole"))]].concat());
    let shards = in_shards(folder.path(), 2, &arguments);
    ran(&["merge", text(&shards[1]), text(&shards[0]), "--out", text(&at("merged"))]);
    same(&at("merged"), &at("whole"));
}

/// Every measure but circulation.
fn measures(images: &Images) -> Vec<(&'static str, Box<dyn Task>)> {
    let selection = Selection { timesteps: vec![100, 500, 900], samples: images.count, seed: 3 };
    let curl = |method, sides, richardson| {
        let (selection, components) = (selection.clone(), 5);
        CurlOptions { selection, components, method, sides, richardson, verified: 3, ..CurlOptions::default() }
    };
    let jacobian = |sides| JacobianOptions { selection: selection.clone(), sides, verified: 2 };
    let asymmetry =
        |estimator| AsymmetryOptions { selection: selection.clone(), estimator, probes: Some(3), verified: 4 };
    let stein = SteinOptions {
        selection: selection.clone(),
        divergence: Divergence::Hutchinson(3),
        reference: None,
        warnings: vec![],
        verified: 3,
    };
    let likelihood = LikelihoodOptions {
        selection: Selection { timesteps: (0..=800).step_by(200).collect(), ..selection.clone() },
        divergence: Divergence::Hutchinson(2),
        levels: Some(255),
        notes: String::new(),
        verified: 2,
    };
    let planes = PlanesOptions {
        selection: selection.clone(),
        planes: 2,
        block: 2,
        steps: 4,
        tolerance: 1e-3,
        probes: 2,
        verified: 3,
    };
    let spectrum =
        SpectrumOptions { selection: selection.clone(), ends: 1, block: 2, steps: 4, tolerance: 1e-3, verified: 3 };
    vec![
        ("planes", Box::new(planes)),
        ("spectrum", Box::new(spectrum)),
        ("curl", Box::new(curl(Method::Tangents, Sides::Columns, false))),
        ("curl", Box::new(curl(Method::Tangents, Sides::Rows, false))),
        ("curl", Box::new(curl(Method::Both, Sides::Columns, true))),
        ("asymmetry", Box::new(asymmetry(Estimator::Both))),
        ("asymmetry", Box::new(asymmetry(Estimator::Forward))),
        ("map", Box::new(MapOptions { selection: selection.clone(), probes: Some(3), verified: 4 })),
        ("stein", Box::new(stein)),
        ("lid", Box::new(LidOptions { selection: selection.clone(), divergence: Divergence::Exact, verified: 4 })),
        ("jacobian", Box::new(jacobian(Sides::Columns))),
        ("jacobian", Box::new(jacobian(Sides::Rows))),
        ("likelihood", Box::new(likelihood)),
    ]
}

/// Every number of a table, to the bit.
fn bits(table: &Table) -> (Vec<Vec<u64>>, String) {
    let of = |values: &Vec<f64>| values.iter().map(|v| v.to_bits()).collect();
    (table.columns.iter().map(|c| of(&c.values)).collect(), format!("{:?} {}", table.arrays, table.facts))
}

/// A field of twelve numbers, and five cut-outs of digits for it.
fn tilted() -> (Arc<dyn Field>, Images) {
    let shape = Shape::new(1, 3, 4);
    let images = data::load(DIGITS, 5, [-1.0, 1.0]).unwrap();
    let values = (0..5).flat_map(|i| images.values[i * 784 + 300..][..shape.len()].to_vec()).collect();
    let images = Images { shape, values, ..images };
    let field = field::open("field:tilted?omega=0.5", Some(shape), ScoreScale::Definition).unwrap();
    (field, images)
}

#[test]
fn every_measure_goes_on_and_merges_to_the_same_bits() {
    let gpu = gpu();
    let (field, images) = tilted();
    let folder = tempfile::tempdir().unwrap();
    let tasks = measures(&images);
    let subject = Subject::new(vec![gpu.clone()], field, images).unwrap();
    for (nth, (name, task)) in tasks.into_iter().enumerate() {
        let measure = |shard: Shard, mut progress: Progress| -> Result<Part> {
            Ok(task.ready(&subject, shard)?.run(&mut progress)?.part)
        };
        let mut go_on = |_| ControlFlow::Continue(());
        let whole = bits(&measure(Shard::WHOLE, Progress::new(&mut go_on)).unwrap().finish().unwrap());
        // Stopped at every record and started again.
        let out = folder.path().join(format!("{name}-{nth}"));
        let (mut starts, mut stopped) = (0, None);
        while stopped.is_none() {
            starts += 1;
            assert!(starts < 200, "{name} does not come to an end");
            let mut dir = RunDir::create(&out).unwrap();
            let journal = dir.journal(&json!({ "measure": name })).unwrap();
            let before = fs::metadata(folder.path().join(format!("{name}-{nth}.partial/journal"))).unwrap().len();
            let place = folder.path().join(format!("{name}-{nth}.partial/journal"));
            let mut observe = |_| {
                let grown = fs::metadata(&place).unwrap().len() > before;
                if grown { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match measure(Shard::WHOLE, Progress::of(journal, &mut observe)) {
                Ok(part) => stopped = Some(part),
                Err(Error::Interrupted) => {}
                Err(e) => panic!("{name}: {e}"),
            }
        }
        assert!(starts > 2, "{name} was stopped {starts} times");
        let resumed = stopped.unwrap().finish().unwrap();
        assert!(bits(&resumed) == whole, "{name} resumed");
        // Three shards of five samples.
        let mut places = vec![];
        for number in 1..=3 {
            let place = folder.path().join(format!("{name}-{nth}-{number}"));
            let shard = Shard::new(number, 3).unwrap();
            let part = measure(shard, Progress::of(Journal::default(), &mut go_on)).unwrap();
            let error = part.clone().finish().unwrap_err().to_string();
            assert!(error.contains(&format!("shard {number}/3 alone")), "{error}");
            let dir = RunDir::create(&place).unwrap();
            part.write(&dir, &json!({ "measure": name }), "a line", &json!({})).unwrap();
            dir.finish().unwrap();
            places.push(place);
        }
        let merged = merge(&places, MEASURES).unwrap();
        assert_eq!((merged.title.as_str(), merged.facts), ("a line", json!({ "measure": name })));
        assert!(bits(&merged.part.finish().unwrap()) == whole, "{name} merged");
    }
}

/// Records of a journal but its configuration: where each begins, its stage and its points.
fn records(journal: &[u8]) -> Vec<(usize, u64, u64)> {
    let word = |at: usize| u64::from_le_bytes(journal[at..at + 8].try_into().unwrap());
    let (mut at, mut found) = (20, vec![]);
    while at < journal.len() {
        found.push((at, word(at), word(at + 16)));
        at += 48 + word(at + 32) as usize;
    }
    found.split_off(1)
}

/// Of derivatives a record is a sample, whatever the tiles: a run goes on after any of them, in tiles of another size, to the same
/// bits and to the same journal; and one that is stopped keeps what its last tile finished, though its batch is not done.
#[test]
fn derivatives_are_recorded_sample_by_sample() {
    let open = || Gpu::open_within(&choice(), bounds()).unwrap();
    let _turn = gpu(); // software adapters use every core
    let (field, images) = tilted();
    let folder = tempfile::tempdir().unwrap();
    let tasks = measures(&images);
    // Tiles of all samples, and of one or two.
    let subject = |gpu: Gpu| Subject::new(vec![gpu], field.clone(), images.clone()).unwrap();
    let (large, small) = (subject(open()), subject(open().with_faults("room:14").unwrap()));
    for (nth, (name, task)) in tasks.into_iter().enumerate().filter(|(_, (name, _))| *name != "likelihood") {
        let place = |what: &str| folder.path().join(format!("{name}-{nth}-{what}"));
        let journal = |what: &str| folder.path().join(format!("{name}-{nth}-{what}.partial/journal"));
        let run = |what: &str, subject: &Subject, observe: &mut dyn FnMut(u64) -> ControlFlow<()>| {
            let mut dir = RunDir::create(&place(what)).unwrap();
            let kept = dir.journal(&json!({ "measure": name })).unwrap();
            task.ready(subject, Shard::WHOLE).unwrap().run(&mut Progress::of(kept, observe)).map(|found| found.part)
        };
        let mut go_on = |_| ControlFlow::Continue(());
        let whole = bits(&run("whole", &large, &mut go_on).unwrap().finish().unwrap());
        let kept = fs::read(journal("whole")).unwrap();
        let found = records(&kept);
        let samples = found.iter().filter(|(_, stage, _)| *stage == 1).count();
        assert!(samples == 15 && found.iter().all(|(_, _, count)| *count == 1), "{name}: {found:?}");
        let ends: Vec<usize> = found.iter().map(|(at, _, _)| *at).chain([kept.len()]).collect();
        for (subject, after) in [(&small, 1), (&small, 8), (&large, 3), (&large, 14)] {
            let what = format!("after-{after}");
            fs::create_dir(place(&what).with_extension("partial")).unwrap();
            fs::write(journal(&what), &kept[..ends[after]]).unwrap();
            let resumed = run(&what, subject, &mut go_on).unwrap().finish().unwrap();
            assert!(bits(&resumed) == whole, "{name} after {after}");
            assert!(fs::read(journal(&what)).unwrap() == kept, "{name} after {after}: another journal");
        }
        // Stopped as soon as something is recorded.
        let mut stop = |_| match fs::metadata(journal("stopped")).unwrap().len() > ends[0] as u64 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        assert!(matches!(run("stopped", &small, &mut stop), Err(Error::Interrupted)), "{name}");
        let some = fs::read(journal("stopped")).unwrap();
        let recorded = records(&some).len();
        // Searches in lock-step end together; all else is handed on tile by tile, of two in a batch.
        let most = if ["planes", "spectrum"].contains(&name) { 4 } else { 2 };
        assert!((1..=most).contains(&recorded) && kept.starts_with(&some), "{name}: {recorded} recorded");
    }
}
