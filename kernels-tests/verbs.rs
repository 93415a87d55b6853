//! The verbs verify, inspect and devices as library calls: texts, exit codes, and errors that name the place.
use crate::common::gpu;
use crate::networks::model;
use std::path::Path;
use vorticity::cli::device::Device;
use vorticity::cli::{devices, inspect, output::Output, text, tune::TuneArgs, verify};
use vorticity::verify::{Report, Row};

fn arguments(folder: &Path, kernels: &str, plan: bool) -> inspect::Args {
    inspect::Args {
        network: Default::default(),
        model: folder.into(),
        device: Device::default(),
        kernels: Some(kernels.into()),
        tune: TuneArgs { tune: "auto".into() },
        tangents: 0,
        cotangents: 0,
        plan,
        output: Output::default(),
    }
}

#[test]
fn inspect_tells_size_cost_and_plan() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    for (kernels, conv) in [("igemm", "  conv  "), ("cc", "KERNEL=3 CC4=1")] {
        let short = inspect::describe(&arguments(folder.path(), kernels, false)).unwrap();
        let long = inspect::describe(&arguments(folder.path(), kernels, true)).unwrap();
        for part in [
            "1x12x12, D = 144",
            "variance preserving, T = 7 [config.json]",
            "cosine schedule [config.json: process]",
            "FLOPs per evaluation",
            "on the device for one sample (1 lanes)",
            "slot 0",
        ] {
            assert!(short.contains(part), "'{part}' not in\n{short}");
        }
        assert!(long.starts_with(&short) && !short.contains("mid_block") && long.contains(conv), "{long}");
        let row = |line: &&str| line.starts_with("mid_block.0.branch1.2: conv");
        assert!(long.lines().find(row).is_some_and(|l| l.contains("items /")), "{long}");
    }
    let mut other = arguments(folder.path(), "cublas", false);
    assert!(inspect::describe(&other).unwrap_err().to_string().contains("'cublas' is not one of cc, igemm"));
    other.model = folder.path().join("none");
    other.kernels = Some("cc".into());
    let error = inspect::describe(&other).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("there is no such file or directory"), "{error}");
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let error = inspect::describe(&arguments(folder.path(), "cc", false)).unwrap_err();
    assert!(error.to_string().contains("config.json: missing field"), "{error}");
}

#[test]
fn verify_says_what_failed() {
    let row = |error, tolerance| Row { quantity: "forward".into(), error, tolerance, worst: "sample 2, t 9".into() };
    let rows = vec![row(1e-6, Some(1e-5)), row(2e-5, Some(1e-5)), row(f64::NAN, Some(1e-5)), row(1.0, None)];
    let report = Report { case: "a/case".into(), family: "net".into(), rows };
    let text = verify::describe(&report, "igemm");
    assert!(!report.passed() && text.contains("a/case (net, kernels igemm)"), "{text}");
    assert!(text.ends_with("2 of 4 quantities beyond tolerance\n"), "{text}");
    assert_eq!(text.matches("FAILED").count(), 2);
    assert_eq!(text.matches(" ok ").count(), 1);
    assert_eq!(text.matches("(information)").count(), 1);
}

/// A case that cannot be read gives 2 and does not stop the others.
#[test]
fn verify_goes_on_after_an_unreadable_case() {
    drop(gpu()); // one adapter at a time: others may hold it
    let adapter = std::env::var("VORTICITY_ADAPTER").ok();
    let args = verify::Args {
        model: None,
        cases: vec!["no/case".into(), "nor/here".into()],
        device: Device { adapter, ..Device::default() },
        kernels: None,
        output: Output::default(),
    };
    assert_eq!(verify::run(&args).unwrap(), 2);
    let args = verify::Args { device: Device { adapter: Some("no such adapter".into()), ..Device::default() }, ..args };
    let error = verify::run(&args).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("an adapter named like 'no such adapter'"), "{error}");
}

#[test]
fn devices_lists_every_adapter() {
    let name = gpu().name().to_string();
    let all = vorticity::gpu::adapters();
    let text = devices::describe(&all);
    assert!(text.contains(&name) && text.contains("largest storage binding"), "{text}");
    assert!(text.starts_with("0: ") && text.matches("features: ").count() == all.len());
    assert_eq!(devices::describe(&[]), "");
    let mut lame = all[0].clone();
    lame.unusable = Some("no IMMEDIATES".into());
    assert!(devices::describe(&[lame]).contains("not usable: no IMMEDIATES"));
}

#[test]
fn tables_and_counts_are_aligned() {
    assert_eq!([0, 999, 1000, 1234567].map(text::count), ["0", "999", "1,000", "1,234,567"]);
    let rows = [["a".to_string(), "1".to_string()], ["bcd".to_string(), "234".to_string()]];
    assert_eq!(text::table([("x", false), ("n", true)], &rows), "x      n\na      1\nbcd  234\n");
}
