//! Sampling: a field whose flow is known, repetition, and the pictures that the verb writes.
use crate::common::gpu;
use assert_cmd::Command;
use std::ops::ControlFlow;
use vorticity::field::{self, ScoreScale};
use vorticity::paths::normal::normals;
use vorticity::paths::philox::{Purpose, Stream};
use vorticity::sample::{Method, Options, Samples, sample};
use vorticity::shape::Shape;

fn draw(method: Method, steps: usize, keep: usize) -> Samples {
    let field = field::open("field:gaussian", Some(Shape::new(1, 4, 5)), ScoreScale::Definition).unwrap();
    let options = Options { n: 3, method, steps, seed: 9, keep };
    sample(&gpu(), &field, &options, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_flow_of_gaussian_data_stands_still() {
    // N(0, I) data stay N(0, I) under a variance-preserving process: the flow's velocity is zero, a sample is its start.
    let start = |sample| normals(&Stream { seed: 9, purpose: Purpose::Sample, draw: 0, sample, k: 0 }, 20);
    let start: Vec<f64> = (0..3).flat_map(start).collect();
    let worst = |method| {
        let x = draw(method, 30, 0).x;
        x.iter().zip(&start).fold(0f64, |m, (x, z)| m.max((f64::from(*x) - z).abs()))
    };
    // Where a is 5e-5, the velocity is f32 rounding over a: 1e-3 of |x| for one step of a thirtieth of the turn.
    assert!(worst(Method::Ode) < 2e-4, "{}", worst(Method::Ode));
    // Negative control: a method that keeps x0 in the data range does move.
    assert!(worst(Method::Ddim) > 0.1);
}

#[test]
fn samples_are_repeatable_and_states_are_kept_in_order() {
    for method in [Method::Ddim, Method::Ddpm] {
        let (a, b) = (draw(method, 20, 5), draw(method, 20, 0));
        assert_eq!(a.x, b.x, "{method:?}");
        let ks: Vec<Option<usize>> = a.states.iter().map(|s| s.0).collect();
        assert_eq!((ks.len(), ks[0], ks[4]), (5, Some(999), None));
        assert!(ks[..4].windows(2).all(|k| k[0] > k[1]), "{ks:?}");
        assert_eq!(a.states[4].1, a.x);
        // x0 is kept in the data range, and the last step goes there.
        assert!(a.x.iter().all(|v| (-1.0..=1.0).contains(v)));
    }
    assert_ne!(draw(Method::Ddim, 20, 0).x, draw(Method::Ddpm, 20, 0).x);
}

#[test]
fn the_verb_writes_a_grid_and_a_strip() {
    let folder = tempfile::tempdir().unwrap();
    let (grid, strip) = (folder.path().join("grid.png"), folder.path().join("strip.png"));
    let run = |extra: &[&str]| {
        let mut command = Command::cargo_bin("vorticity").unwrap();
        let fixed = ["sample", "field:gaussian", "--shape", "1x4x5", "--n", "3", "--out"];
        command.args(fixed).arg(&grid).arg("--strip").arg(&strip).args(extra).output().unwrap()
    };
    for (steps, said) in [("1", "expected 2..=1000"), ("1001", "expected 2..=1000")] {
        let output = run(&["--steps", steps]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing half-written");
    }
    let output = run(&["--steps", "12", "--method", "ddpm"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Width and height stand in the PNG header, big-endian, from byte 16.
    let size = |path| {
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"));
        [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
    };
    assert_eq!((size(&grid), size(&strip)), ([2 * 5, 2 * 4], [10 * 5, 3 * 4]));
}

#[test]
fn samples_are_arrays_too_and_these_are_data() {
    let folder = tempfile::tempdir().unwrap();
    let (array, run) = (folder.path().join("own.npz"), folder.path().join("run"));
    let vorticity = || Command::cargo_bin("vorticity").unwrap();
    // Two dimensions are no image; a process that keeps the data as they are is sampled by the flow unless told otherwise.
    let field = ["field:gaussian?process=edm&timesteps=40", "--shape", "2x1x1"];
    let fixed = ["--n", "5", "--steps", "20", "--json"];
    let refused = vorticity()
        .arg("sample")
        .args(field)
        .args(fixed)
        .arg("--out")
        .arg(folder.path().join("own.png"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr)
            .contains("is no image: 1 or 3 channels can be shown, --values writes numbers")
    );
    let told = vorticity().arg("sample").args(field).args(fixed).arg("--values").arg(&array).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["method"], "ode");
    let asked = ["--timesteps", "20", "--samples", "5", "--probes", "all", "--quiet", "--out"];
    let mut measured = vorticity();
    measured.arg("asymmetry").args(field).arg("--data").arg(&array).args(asked).arg(&run);
    measured.assert().success();
    let images = vorticity::data::load(array.as_os_str(), usize::MAX, [-1.0, 1.0]).unwrap();
    assert_eq!((images.count, images.values.len()), (5, 10));
}

#[test]
fn the_selftest_verb_names_what_is_trusted() {
    let output = Command::cargo_bin("vorticity").unwrap().arg("selftest").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    for text in ["conv", "path projection", "kernels igemm", "to be trusted on this adapter", "0 of "] {
        assert!(printed.contains(text), "{text:?} is not in\n{printed}");
    }
    assert!(!printed.contains("FAILED") && !printed.contains("NOT"), "{printed}");
}
