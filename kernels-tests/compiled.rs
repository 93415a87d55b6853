//! `vorticity kernels`: every kernel that a network needs is compiled and none runs; what a driver tells is told, and where it tells
//! nothing that is said. What runs without checks is what the tuner may choose, and what `--checked` refuses.
use crate::common::gpu;
use crate::output::{document, run};
use std::collections::BTreeSet;
use vorticity::choice::Needs;
use vorticity::ops::conv::VARIANTS;
use vorticity::passes::{alone, lower};
use vorticity::program::Builder;
use vorticity::selftest::TURNS;
use vorticity::target::KernelFamily;

const MODEL: &str = "assets/models/toy";

#[test]
fn every_kernel_of_a_network_is_compiled_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("kernels");
    let (code, told) = document(&["kernels", MODEL, "--kernels", "igemm", "--write", out.to_str().unwrap()]);
    assert_eq!((code, told["family"].as_str()), (Some(0), Some("igemm")));
    let all = told["kernels"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let names: BTreeSet<String> = all.iter().map(|kernel| text(&kernel["name"])).collect();
    assert_eq!(names.len(), all.len(), "two kernels of one name");
    let graph = vorticity::model::Model::open(MODEL).unwrap().graph;
    for directions in [[0, 0], [2, 0], [0, 2]] {
        let target = gpu().clone().with_family(KernelFamily::Gpu).target();
        let (program, _) = alone(&graph, Builder::both(target, directions[0], directions[1]), lower).unwrap();
        for step in program.steps() {
            assert!(all.iter().any(|kernel| text(&kernel["shader"]) == step.kernel.shader), "{}", step.label);
        }
    }
    for kernel in all {
        assert!(kernel["error"].is_null() && !kernel["programs"].as_array().unwrap().is_empty(), "{kernel}");
        // Software adapters tell nothing, others of every kernel.
        assert_eq!(kernel["executables"].as_array().unwrap().is_empty(), told["tells"] == false, "{kernel}");
        let wgsl = std::fs::read_to_string(out.join(format!("{}.wgsl", text(&kernel["name"])))).unwrap();
        assert!(wgsl.contains("@compute"), "{wgsl}");
    }
    let (code, _, error) = run(&["kernels", MODEL, "--write", out.to_str().unwrap()]);
    assert!(code == Some(2) && error.contains("expected a new folder"), "{error}");
}

#[test]
fn what_is_asked_for_must_be_there() {
    for (arguments, part) in [
        (["--shader", "none"], "'none' is no kernel of these networks"),
        (["--variant", "igemm 1x1"], "'igemm 1x1' is not one; there are igemm 64x64"),
        (["--variant", "coop f16x2 16x16"], "'coop f16x2 16x16' lacks"),
    ] {
        // What an adapter may have cannot be lacking on it.
        if part.ends_with("lacks") && gpu().lacks(Needs::Halves(16)).is_none() {
            continue;
        }
        let (code, _, error) = run(&[&["kernels", MODEL, "--kernels", "igemm"], &arguments[..]].concat());
        assert!(code == Some(2) && error.contains(part), "{error}");
    }
    let (code, text, _) = run(&["kernels", MODEL, "--kernels", "igemm", "--checked", "--shader", "conv"]);
    assert!(code == Some(0) && !text.contains("UNCHECKED"), "{text}");
    let (_, text, _) = run(&["kernels", MODEL, "--kernels", "igemm", "--shader", "conv"]);
    assert!(text.contains("UNCHECKED"), "{text}");
}

/// Kernels without checks are variants, refused on a device that is to check.
#[test]
fn unchecked_kernels_need_trust() {
    let own = gpu().clone();
    let mut trusted = VARIANTS.iter().filter(|variant| variant.needs == Needs::Trust).peekable();
    assert!(trusted.peek().is_some());
    for variant in trusted {
        assert!(own.lacks(variant.needs).is_none() && variant.name.ends_with(" unchecked"));
        assert!(own.clone().checked(true).lacks(variant.needs).is_some());
    }
    assert!(own.checked(true).lacks(VARIANTS[0].needs).is_none());
}

/// The selftest's large angles are such that a compiler which adds the three parts of pi / 2 first fails by far.
#[test]
fn sums_in_another_order_would_fail_the_selftest() {
    let parts = [1.570_312_5_f32, 0.000_483_512_88, 3.139_164_7e-7];
    let worst = (0..1000).fold(0f64, |worst, i| {
        let x = i as f32 / 250.0 * TURNS as f32;
        let k = (x * std::f32::consts::FRAC_2_PI).round();
        let left = x - k * (parts[0] + parts[1] + parts[2]);
        let sine = match k as i64 & 3 {
            0 => f64::from(left).sin(),
            1 => f64::from(left).cos(),
            2 => -f64::from(left).sin(),
            _ => -f64::from(left).cos(),
        };
        worst.max((sine - f64::from(x).sin()).abs())
    });
    assert!(worst > 50.0 * vorticity::selftest::OP, "{worst:e}");
}
