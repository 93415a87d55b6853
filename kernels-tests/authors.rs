//! Families as their authors have them: small cases of options, sizes and multipliers that the other cases cannot tell apart
//! (`tools/differential/fixtures.py`, third-party PyTorch in f64), and what such configurations are refused for.
use crate::common::{families, gpu};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vorticity::model::{self, AUTOENCODERS, Autoencoder, Weights};
use vorticity::verify::{Case, verify};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/authors").join(name)
}

#[test]
fn every_case_of_the_authors_classes_passes() {
    let (gpu, mut seen) = (gpu(), BTreeSet::new());
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let folder = entry.unwrap().path();
        for family in families(&gpu) {
            let report = verify(&gpu.clone().with_family(family), &folder).unwrap();
            for row in &report.rows {
                println!("{} {:<45} {:.2e} {:?}", folder.display(), row.quantity, row.error, row.tolerance);
            }
            assert!(report.passed(), "{}, {family:?}", folder.display());
            assert!(report.rows.iter().filter(|r| r.tolerance.is_some()).count() >= 4, "{}", folder.display());
            seen.insert(report.family);
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

/// A case is as large as its x, whatever its config says or leaves out.
#[test]
fn the_sizes_of_a_case_are_those_of_its_x() {
    for (name, stated) in [("lucid_lists", Value::Null), ("ncsnpp_cat", json!(64)), ("mnist_falling", json!([4, 4]))] {
        let copy = tempfile::tempdir().unwrap();
        for file in ["model.safetensors", "case.safetensors"] {
            std::fs::copy(folder(name).join(file), copy.path().join(file)).unwrap();
        }
        let text = std::fs::read_to_string(folder(name).join("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["hyper"].as_object_mut().unwrap().remove("image_size");
        if !stated.is_null() {
            config["hyper"]["image_size"] = stated;
        }
        std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
        let case = Case::open(copy.path()).unwrap();
        let (graph, _) = model::network(&case.family, &case.hyper, &case.weights()).unwrap();
        let [shape, _] = graph.end_shapes().unwrap();
        assert_eq!([shape.c, shape.h, shape.w], case.tensors["x"].shape[1..], "{name}");
    }
}

/// Encoder and decoder of an autoencoder are built for the images and the latents that they are given.
#[test]
fn halves_of_an_autoencoder_need_not_meet() {
    let case = Case::open(folder("vae_sksq_wide")).unwrap();
    let weights = Weights::open(&case.weights()).unwrap();
    let made = Autoencoder::at(&case.family, &case.hyper, &weights, Some([46, 94]), None).unwrap();
    let [left, back] = [&made.encoder, &made.decoder].map(|half| half.end_shapes().unwrap()[1]);
    assert_eq!([left.c, left.h, left.w], [6, 1, 1]);
    assert_eq!([back.c, back.h, back.w], [1, 64, 64]);
    let error = Autoencoder::at(&case.family, &case.hyper, &weights, Some([80, 80]), None).unwrap_err().to_string();
    assert!(error.contains("an encoder that ends with 3x3x3, 27 numbers"), "{error}");
}

/// Frequencies of an odd embedding are divided by half of its width, rounded down, less one.
#[test]
fn an_odd_time_embedding_has_the_authors_frequencies() {
    let hyper = json!({ "dim": 5, "init_dim": 160, "dim_mults": [32], "channels": 1, "image_size": 2 });
    let family = model::family("lucid_unet").unwrap();
    let graph = (family.build)(&hyper, &Weights::random(1)).unwrap();
    let of_label = graph.rows.of_label().next();
    assert_eq!(format!("{:?}", of_label.unwrap().1), "Sinusoid { width: 5, divisor: 1.0, cos_first: false }");
}

/// What the class cannot run, or this program does not, is refused by the name of the option.
#[test]
fn what_the_classes_cannot_run_is_refused_by_name() {
    let cases: &[(&str, &[(&str, Value)], &str)] = &[
        ("mnist_falling", &[("base_dim", json!(6))], "base_dim 6 must be divisible by 4"),
        ("mnist_falling", &[("image_size", json!([8, 10]))], "image_size 8x10 must be divisible by 2^2"),
        ("mnist_falling", &[("image_size", json!("8x8"))], "a number of pixels or [height, width]"),
        ("lucid_lists", &[("cond_dim", json!(16))], "cond_dim 16"),
        ("lucid_lists", &[("init_dim", json!(64))], "init_dim 64, expected 32"),
        ("lucid_lists", &[("full_attn", json!([true]))], "full_attn of 1 values, expected 2"),
        ("lucid_lists", &[("dim_mults", json!([8, 9]))], "a level of 36 channels"),
        ("lucid_lists", &[("attn_heads", json!([]))], "attn_heads of 0 values, expected 2"),
        ("lucid_lists", &[("dim", json!(2)), ("dim_mults", json!([16, 16]))], "dim 2, expected 4 or more"),
        ("lucid_lists", &[("attn_heads", json!("4"))], "one for each entry of dim_mults"),
        ("ncsnpp_cat", &[("resamp_with_conv", json!(true))], "fir with resblock_type ddpm and resamp_with_conv"),
        ("ncsnpp_cat", &[("progressive", json!("residual"))], "fir with progressive residual"),
        ("ncsnpp_cat", &[("progressive", json!("input_skip"))], "unknown variant `input_skip`"),
        ("ncsnpp_cat", &[("fir_kernel", json!([1, 2, -1]))], "fir_kernel: [1.0, 2.0, -1.0]"),
        ("ncsnpp_cat", &[("fir_kernel", json!([]))], "fir_kernel: []"),
        ("ncsnpp_cat", &[("nonlinearity", json!("gelu"))], "unknown variant `gelu`"),
        ("ncsnpp_cat", &[("nf", json!(3))], "nf 3, expected 4 or more"),
        ("ncsnpp_cat", &[("ch_mult", json!([]))], "ch_mult []"),
        ("ncsnpp_means", &[("sigma_min", Value::Null)], "needs the tensor 'sigmas', or sigma_min"),
        ("vae_sld_decoder", &[("vae", json!({ "embed_dim": 3, "beta": 1 }))], "unknown field `beta`"),
        ("vae_sksq_wide", &[("image_size", json!(80))], "ends with 3x3x3, 27 numbers (h_dim 12)"),
        ("vae_sksq_wide", &[("dec_kernels", json!([5, 5, 6]))], "3 kernels"),
    ];
    for (name, changes, expected) in cases {
        let mut case = Case::open(folder(name)).unwrap();
        for (key, value) in *changes {
            case.hyper[*key] = value.clone();
        }
        let error = if AUTOENCODERS.iter().any(|a| a.name == case.family) {
            let weights = Weights::open(&case.weights()).unwrap();
            Autoencoder::new(&case.family, &case.hyper, &weights).unwrap_err()
        } else {
            model::network(&case.family, &case.hyper, &case.weights()).unwrap_err()
        };
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{name}, {changes:?}: '{expected}' not in '{error}'");
    }
}

/// A model, unlike a case, must put out a vector at each point.
#[test]
fn a_model_that_is_no_field_is_refused() {
    let hyper = Case::open(folder("mnist_falling")).unwrap().hyper;
    let config = json!({
        "vorticity_config": 1, "family": "mnist_shuffle_unet", "hyper": hyper, "prediction": "eps", "data_range": [-1.0, 1.0],
        "process": { "kind": "vp", "schedule": "cosine", "timesteps": 7 },
    });
    let config = model::Config::parse(&config.to_string(), Path::new("config")).unwrap();
    let error = model::init(&config, 1).err().unwrap().to_string();
    assert!(error.contains("makes 3x8x12 of 2x8x12: its output is not a vector field"), "{error}");
}
