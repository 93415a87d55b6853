//! The golden MNIST case (third-party PyTorch in f64) in both families of kernels, and what must not pass: a changed
//! weight, a schedule off by one, terms of the wrong sign, a swapped channel shuffle, a case that is not whole.
use crate::common::{families, gpu};
use crate::weights;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::evaluate::Evaluator;
use vorticity::graph::Graph;
use vorticity::model;
use vorticity::ops::channels::Channels;
use vorticity::target::KernelFamily;
use vorticity::verify::{Case, Report, check, verify};

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden/mnist_shuffle_unet")
}

/// The case's network.
pub fn network() -> Graph {
    let case = Case::open(folder()).unwrap();
    model::network(&case.family, &case.hyper, &case.weights()).unwrap().0
}

/// Names of the rows beyond tolerance.
fn failed(report: &Report) -> Vec<&str> {
    report.rows.iter().filter(|r| !r.passed()).map(|r| r.quantity.as_str()).collect()
}

/// The case without its whole Jacobian, whose 784 columns take longer than all else: once per family is enough.
fn case() -> Case {
    let mut case = Case::open(folder()).unwrap();
    case.tensors.remove("jdiag").unwrap();
    case
}

/// A copy of the case folder, to be damaged.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["config.json", "case.safetensors", "model.safetensors"] {
        std::fs::copy(folder().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn golden_case_passes_in_every_family() {
    let gpu = gpu();
    for family in families(&gpu) {
        let report = verify(&gpu.clone().with_family(family), &folder()).unwrap();
        for row in &report.rows {
            println!("{} {:<40} {:.2e} {:?} {}", family.name(), row.quantity, row.error, row.tolerance, row.worst);
        }
        assert_eq!(failed(&report), Vec::<&str>::new());
        assert_eq!(report.rows.iter().filter(|r| r.tolerance.is_some()).count(), 11 + 3 * 5 + 1);
        // The family asked for is the one that ran.
        let network = network();
        let evaluator = Evaluator::new(&gpu.clone().with_family(family), &network, &[0], 1).unwrap();
        let cc = evaluator.program().steps().any(|s| s.kernel.shader == "conv_cc");
        assert_eq!(cc, family == KernelFamily::Cpu);
    }
}

#[test]
fn one_changed_weight_fails_the_forward_pass() {
    let (gpu, copy) = (gpu(), copy());
    let path = copy.path().join("model.safetensors");
    let mut tensors = weights::read(&path);
    tensors.get_mut("mid_block.1.branch2.3.module.0.weight").unwrap().add(5, 1e-3);
    weights::write(&path, &tensors);
    let report = verify(&gpu, copy.path()).unwrap();
    let failed = failed(&report);
    assert!(failed.contains(&"forward") && failed.contains(&"forward, f64 twin"), "{failed:?}");
}

#[test]
fn schedule_off_by_one_fails() {
    let (gpu, mut case) = (gpu(), case());
    let table = &mut case.tensors.get_mut("alphabar_f64").unwrap().values;
    table.rotate_left(1);
    assert_eq!(failed(&check(&gpu, &case, &network()).unwrap()), ["schedule, alphabar"]);
}

#[test]
fn terms_of_the_wrong_sign_fail() {
    let (gpu, mut case) = (gpu(), case());
    for name in ["loop_rotation", "loop_projection"] {
        let scale = case.tensors.get_mut(&format!("{name}.score_scale")).unwrap();
        scale.values[0] = -scale.values[0];
    }
    let report = check(&gpu, &case, &network()).unwrap();
    let expected = [
        "loop_rotation, integral, of S",
        "loop_rotation, terms, of the largest",
        "loop_projection, integral, of S",
        "loop_projection, terms, of the largest",
    ];
    assert_eq!(failed(&report), expected);
}

/// The inverse permutation: group and position within it exchanged.
#[test]
fn swapped_channel_shuffle_fails() {
    let (gpu, case, mut graph) = (gpu(), case(), network());
    let node = graph.nodes.iter_mut().find(|n| n.name == "mid_block.0.shuffle").unwrap();
    node.op = Arc::new(Channels::shuffle(node.shape.c, node.shape.c / 2).unwrap());
    let report = check(&gpu, &case, &graph).unwrap();
    let failed = failed(&report);
    let expected = [
        "forward",
        "forward, f64 twin",
        "tangents",
        "sub-Jacobian",
        "tangents, f64 twin",
        "cotangents",
        "cotangents, f64 twin",
        "loop_bridge, integral, of S",
    ];
    for quantity in expected {
        assert!(failed.contains(&quantity), "{quantity} not in {failed:?}");
    }
}

#[test]
fn a_nan_never_passes() {
    let row = |error, tolerance| vorticity::verify::Row { quantity: "q".into(), error, tolerance, worst: "w".into() };
    assert!(!row(f64::NAN, Some(1.0)).passed() && !row(f64::INFINITY, Some(1.0)).passed());
    assert!(row(1.0, Some(1.0)).passed() && row(1.0, None).passed());
}

/// Changes to a case that make it unreadable, and what the error must name.
#[test]
fn unreadable_cases_name_the_place() {
    type Damage = fn(&mut Case);
    let cases: &[(Damage, &[&str])] = &[
        (|c| drop(c.tensors.remove("y")), &["case.safetensors", "'y'", "missing"]),
        (|c| c.tensors.get_mut("x").unwrap().shape[2] = 27, &["'x'", "[3, 1, 27, 28]", "[N, 1, 28, 28]"]),
        (|c| c.tensors.get_mut("x").unwrap().values[7] = f64::NAN, &["'x'", "element 7", "NaN"]),
        (|c| c.tensors.get_mut("t").unwrap().values[1] = -1.0, &["'t'", "-1 is not a timestep"]),
        (|c| c.tensors.get_mut("t").unwrap().values[1] = 1000.0, &["1000 is outside", "0..=999"]),
        (|c| c.tensors.get_mut("loop_bridge.path").unwrap().values[0] += 1.0, &["'loop_bridge.path'", "closed"]),
        (|c| c.hyper["timesteps"] = 999.into(), &["'alphabar_f64'", "1000 timesteps", "999"]),
        (|c| c.family = "nosuchnet".into(), &["'nosuchnet' is not known", "mnist_shuffle_unet"]),
    ];
    let (gpu, graph) = (gpu(), network());
    for (i, (damage, names)) in cases.iter().enumerate() {
        let mut case = case();
        damage(&mut case);
        let error = check(&gpu, &case, &graph).unwrap_err();
        assert_eq!(error.exit_code(), 2, "damage {i}: {error}");
        names.iter().for_each(|n| assert!(error.to_string().contains(n), "damage {i}: '{n}' not in '{error}'"));
    }
}

#[test]
fn damaged_folders_name_the_file() {
    let gpu = gpu();
    type Damage = fn(&Path);
    let damages: &[(Damage, &[&str])] = &[
        (|f| std::fs::remove_file(f.join("config.json")).unwrap(), &["config.json"]),
        (|f| std::fs::write(f.join("config.json"), "{\"family\": 3}").unwrap(), &["config.json", "invalid type"]),
        (
            |f| {
                let text = std::fs::read_to_string(f.join("config.json")).unwrap();
                std::fs::write(f.join("config.json"), text.replace("shuffle_unet\"", "net\"")).unwrap();
            },
            &["config.json", "'mnist_net' is not known; known: mnist_shuffle_unet"],
        ),
        (|f| std::fs::remove_file(f.join("model.safetensors")).unwrap(), &["model.safetensors"]),
        (
            |f| std::fs::write(f.join("case.safetensors"), [0; 9]).unwrap(),
            &["case.safetensors", "not a whole safetensors"],
        ),
    ];
    for (i, (damage, names)) in damages.iter().enumerate() {
        let copy = copy();
        damage(copy.path());
        let error = verify(&gpu, copy.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "damage {i}: {error}");
        names.iter().for_each(|n| assert!(error.to_string().contains(n), "damage {i}: '{n}' not in '{error}'"));
    }
    let error = verify(&gpu, Path::new("no/such/folder")).unwrap_err();
    assert!(error.to_string().contains("no/such/folder: not a directory"), "{error}");
}
