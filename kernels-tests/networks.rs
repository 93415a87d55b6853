//! Whole networks of many sizes on the GPU against the f64 twin, the law that a lane does not depend on its company,
//! and files that are not a network of their family.
use crate::common::{evaluate, families, gpu, max_norm_error, noise};
use crate::weights::{self, Stored, TIMESTEPS, Tensors, hyper, random};
use safetensors::Dtype;
use serde_json::Value;
use std::path::Path;
use vorticity::dual::Dual;
use vorticity::error::{Error, Result};
use vorticity::evaluate::Evaluator;
use vorticity::graph::Graph;
use vorticity::model;
use vorticity::twin;

/// f32 against f64, max norm per lane. The golden network is within 1e-6; random weights without the golden's scaling
/// pass let single layers amplify rounding: 2e-7 to 6e-6 on these sizes, hence 2e-5.
const TOLERANCE: f64 = 2e-5;

/// Channels, base_dim, dim_mults, image size. Half channels of 1 to 128, odd and even, most not a multiple of four.
const SIZES: &[(usize, usize, &[usize], usize)] = &[
    (1, 4, &[2, 4], 8),
    (2, 4, &[1, 2], 12),
    (1, 8, &[2], 28),
    (3, 8, &[2, 4], 12),
    (1, 12, &[3], 6),
    (1, 8, &[1, 3, 2], 8),
    (1, 12, &[1, 2], 28),
    (1, 12, &[2, 4], 8),
    (5, 20, &[2], 12),
    (1, 20, &[2, 4], 8),
    (1, 64, &[1, 2], 8),
    (1, 64, &[2, 4], 28),
];

pub fn network(hyper: &Value, tensors: &Tensors) -> Result<Graph> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    weights::write(&path, tensors);
    open(hyper, &path)
}

/// A small model directory, 1x12x12, 7 timesteps.
pub fn model(folder: &Path) {
    weights::write(&folder.join("model.safetensors"), &random(1, 8, &[2]));
    let config = serde_json::json!({
        "vorticity_config": 1, "family": "mnist_shuffle_unet", "hyper": hyper(1, 8, &[2], 12),
        "process": {"kind": "vp", "schedule": "cosine", "timesteps": 7}, "prediction": "eps", "data_range": [-1.0, 1.0],
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

fn open(hyper: &Value, path: &Path) -> Result<Graph> {
    model::network("mnist_shuffle_unet", hyper, path).map(|n| n.0)
}

#[test]
fn networks_of_every_size_match_their_twin() {
    let gpu = gpu();
    let ks = [5, 0, TIMESTEPS - 1];
    for &(channels, base, mults, side) in SIZES {
        let graph = network(&hyper(channels, base, mults, side), &random(channels, base, mults)).unwrap();
        let d = channels * side * side;
        let x = noise(ks.len() * d, base as u64);
        let want: Vec<Vec<f64>> = x
            .chunks(d)
            .zip(ks)
            .map(|(x, k)| twin::evaluate(&graph, &Dual::lift(x), k).unwrap().iter().map(|v| v.v).collect())
            .collect();
        for family in families(&gpu) {
            let y = evaluate(&gpu, &graph, family, &x, &ks);
            for (lane, (got, want)) in y.chunks(d).zip(&want).enumerate() {
                let error = max_norm_error(got, want);
                println!("{channels} {base} {mults:?} {side} {} lane {lane}: {error:.2e}", family.name());
                assert!(error <= TOLERANCE, "base {base} {mults:?} side {side} {family:?} lane {lane}: {error:e}");
            }
            // Negative control: another lane's timestep is seen.
            assert!(max_norm_error(&y[..d], &want[1]) > TOLERANCE);
        }
    }
}

/// A lane alone, in a batch, in another order, in tiles of 2: the same bits.
#[test]
fn a_lane_does_not_depend_on_its_company() {
    let gpu = gpu();
    let bits = |y: &[f32]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let (channels, base, mults, side) = (3, 20, &[2, 4][..], 12);
    let graph = network(&hyper(channels, base, mults, side), &random(channels, base, mults)).unwrap();
    let (d, ks) = (channels * side * side, [6, 1, 1, 4, 0, 6, 3]);
    let x = noise(ks.len() * d, 77);
    for family in families(&gpu) {
        let batch = evaluate(&gpu, &graph, family, &x, &ks);
        for (lane, (x, &k)) in x.chunks(d).zip(&ks).enumerate() {
            let alone = evaluate(&gpu, &graph, family, x, &[k]);
            assert_eq!(bits(&alone), bits(&batch[lane * d..(lane + 1) * d]), "{family:?} lane {lane}");
        }
        let backwards: Vec<f32> = x.chunks(d).rev().flatten().copied().collect();
        let reversed_ks: Vec<usize> = ks.iter().rev().copied().collect();
        let turned = evaluate(&gpu, &graph, family, &backwards, &reversed_ks);
        let back: Vec<f32> = turned.chunks(d).rev().flatten().copied().collect();
        assert_eq!(bits(&back), bits(&batch), "{family:?} reversed");

        let mut tiles = Evaluator::new(&gpu.clone().with_family(family), &graph, &[0, 1, 3, 4, 6], 2).unwrap();
        assert_eq!(tiles.max_samples(), 2);
        assert_eq!(bits(&tiles.evaluate(&x, &ks).unwrap()), bits(&batch), "{family:?} in tiles of 2");
        // Again on the same buffers, fewer samples.
        assert_eq!(bits(&tiles.evaluate(&x[..3 * d], &ks[..3]).unwrap()), bits(&batch[..3 * d]));
        assert!(tiles.evaluate(&[], &[]).unwrap().is_empty());
        // Negative control: lanes differ from each other.
        assert_ne!(bits(&batch[d..2 * d]), bits(&batch[2 * d..3 * d]));
    }
}

#[test]
fn evaluator_refuses_what_it_was_not_planned_for() {
    let gpu = gpu();
    let graph = network(&hyper(1, 4, &[2], 8), &random(1, 4, &[2])).unwrap();
    let message = |r: Result<Vec<f32>>| r.unwrap_err().to_string();
    for timesteps in [&[][..], &[3, 1], &[2, 2]] {
        let error = Evaluator::new(&gpu, &graph, timesteps, 4).err().map(|e| e.to_string());
        assert!(error.is_some_and(|e| e.contains("distinct, ascending")), "{timesteps:?}");
    }
    let error = Evaluator::new(&gpu, &graph, &[1, TIMESTEPS], 4).err().map(|e| e.to_string());
    assert!(error.is_some_and(|e| e.contains("7 is outside the network's 0..=6")));
    let mut evaluator = Evaluator::new(&gpu, &graph, &[1, 2], 4).unwrap();
    let short = message(evaluator.evaluate(&[0.0; 65], &[1]));
    assert!(short.contains("65 numbers, 1 samples have 64"), "{short}");
    let unplanned = message(evaluator.evaluate(&[0.0; 64], &[3]));
    assert!(unplanned.contains("timestep: 3 is not one of the 2 planned"), "{unplanned}");
}

#[test]
fn illegal_hyper_parameters_are_errors() {
    let tensors = random(1, 4, &[2]);
    let cases: &[(Value, &str)] = &[
        (hyper(1, 5, &[2], 8), "base_dim 5 must be divisible by 4"),
        // The third-party class builds this one, but its last unit puts out 2 channels where final_conv wants 3.
        (hyper(1, 6, &[2], 8), "base_dim 6 must be divisible by 4"),
        (hyper(1, 0, &[2], 8), "every size must be in 1.."),
        (hyper(1, 4, &[0], 8), "every size must be in 1.."),
        (hyper(1, 4, &[], 8), "every size must be in 1.."),
        (hyper(1, 4, &[usize::MAX], 8), "every size must be in 1.."),
        (hyper(1, 4, &[2], 27), "image_size 27 must be divisible by 2^1"),
        (hyper(1, 4, &[2, 4], 14), "image_size 14 must be divisible by 2^2"),
        (serde_json::json!({"timesteps": 7}), "missing field"),
        (serde_json::json!(null), "hyper"),
    ];
    for (hyper, expected) in cases {
        let error = network(hyper, &tensors).unwrap_err().to_string();
        assert!(error.contains("hyper") && error.contains(expected), "'{expected}' not in '{error}'");
    }
    let mut misspelt = hyper(1, 4, &[2], 8);
    misspelt["base_dims"] = 4.into();
    let error = network(&misspelt, &tensors).unwrap_err().to_string();
    assert!(error.contains("unknown field `base_dims`"), "{error}");
}

/// One damage to a sound file each; the error names the file, the tensor, and what is wrong.
#[test]
fn damaged_weights_are_errors_that_name_the_tensor() {
    const NAME: &str = "mid_block.1.branch2.3.module.0.weight";
    const VAR: &str = "init_conv.module.1.running_var";
    type Damage = fn(&mut Tensors);
    let damages: &[(Damage, &[&str])] = &[
        (|t| drop(t.remove(NAME)), &[NAME, "missing", "[4, 4, 1, 1]"]),
        (|t| rename(t, NAME, "mid_block.1.branch2.3.module.0.wieght"), &[NAME, "missing"]),
        (|t| t.get_mut(NAME).unwrap().shape = vec![2, 8, 1, 1], &[NAME, "[2, 8, 1, 1]", "[4, 4, 1, 1]"]),
        (|t| t.get_mut(NAME).unwrap().shape = vec![4, 4], &[NAME, "[4, 4]", "[4, 4, 1, 1]"]),
        (|t| put(t, NAME, 2, f32::NAN), &[NAME, "element 2 is NaN"]),
        (|t| put(t, NAME, 3, f32::NEG_INFINITY), &[NAME, "element 3 is -inf"]),
        (|t| put(t, VAR, 1, -0.5), &[VAR, "element 1 is -0.5, negative"]),
        (
            |t| drop(t.insert("mid_block.9.bias".into(), Stored::f32(&[2], &[0.0, 1.0]))),
            &["'mid_block.9.bias' is not part of this network"],
        ),
        (|t| t.get_mut(NAME).unwrap().dtype = Dtype::I32, &[NAME, "type I32", "expected F32"]),
        (|t| t.clear(), &["time_embedding.weight", "missing"]),
    ];
    let (hyper, sound) = (hyper(1, 4, &[2], 8), random(1, 4, &[2]));
    network(&hyper, &sound).unwrap();
    for (i, (damage, names)) in damages.iter().enumerate() {
        let mut tensors = sound.clone();
        damage(&mut tensors);
        let error = network(&hyper, &tensors).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        names.iter().for_each(|n| assert!(error.contains(n), "damage {i}: '{n}' not in '{error}'"));
    }
}

fn rename(tensors: &mut Tensors, from: &str, to: &str) {
    let tensor = tensors.remove(from).unwrap();
    tensors.insert(to.into(), tensor);
}

fn put(tensors: &mut Tensors, name: &str, element: usize, value: f32) {
    tensors.get_mut(name).unwrap().bytes.as_chunks_mut::<4>().0[element] = value.to_le_bytes();
}

#[test]
fn truncated_files_are_errors_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (hyper, tensors) = (hyper(1, 4, &[2], 8), random(1, 4, &[2]));
    weights::write(&path, &tensors);
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        match open(&hyper, &path).unwrap_err() {
            Error::File { path: named, message } => {
                assert!(named == path && message.contains("not a whole safetensors file"), "{length}: {message}")
            }
            other => panic!("{length} bytes: {other}"),
        }
    }
    // A header that promises more than any file holds.
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(&path, &lying).unwrap();
    assert!(open(&hyper, &path).unwrap_err().to_string().contains("not a whole safetensors file"));
    let missing = open(&hyper, &folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, Error::File { .. }), "{missing}");
}

/// Half precision and f64 weights give the same network as their float32 values.
#[test]
fn other_float_types_are_converted() {
    let (hyper, sound) = (hyper(1, 4, &[2], 8), random(1, 4, &[2]));
    let (mut rounded, mut halves, mut doubles) = (sound.clone(), sound.clone(), sound.clone());
    for (name, tensor) in sound.iter().filter(|(_, t)| t.dtype == Dtype::F32) {
        let values: Vec<f32> = tensor.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let half: Vec<half::f16> = values.iter().map(|&v| half::f16::from_f32(v)).collect();
        let back: Vec<f32> = half.iter().map(|v| v.to_f32()).collect();
        rounded.insert(name.clone(), Stored::f32(&tensor.shape, &back));
        let stored = |dtype, bytes| Stored { dtype, shape: tensor.shape.clone(), bytes };
        halves.insert(name.clone(), stored(Dtype::F16, half.iter().flat_map(|v| v.to_le_bytes()).collect()));
        let wide = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        doubles.insert(name.clone(), stored(Dtype::F64, wide));
    }
    let x = noise(64, 5);
    let run = |t: &Tensors| twin::evaluate(&network(&hyper, t).unwrap(), &Dual::lift(&x), 2).unwrap();
    assert_eq!(run(&sound), run(&doubles));
    assert_eq!(run(&rounded), run(&halves));
    assert_ne!(run(&sound), run(&halves));
}
