//! Random model directories: they open, repeat to the byte, depend on the seed and on nothing else, and are not dead.
use crate::cli::{refused, text, vorticity};
use crate::networks::model;
use crate::weights;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use vorticity::dual::Dual;
use vorticity::model::{self as models, FAMILIES, Model, Weights};
use vorticity::shape::Shape;
use vorticity::twin;

/// Runs `init` of the MNIST family on the configuration.
fn init(config: &str, seed: &str, out: &Path) {
    let arguments = ["init", "mnist_shuffle_unet", "--config", config, "--seed", seed, "--out", text(out)];
    let output = vorticity(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("small")).unwrap();
    model(&at("small"));
    let config = at("small").join("config.json");
    for (name, seed) in [("one", "7"), ("two", "7"), ("three", "8")] {
        init(text(&config), seed, &at(name));
    }
    let bytes = |name: &str, file: &str| fs::read(at(name).join(file)).unwrap();
    for file in ["config.json", "model.safetensors"] {
        assert!(bytes("one", file) == bytes("two", file) && bytes("one", file) != bytes("three", file), "{file}");
    }
    let opened = Model::open(at("one")).unwrap();
    assert_eq!(opened.config.provenance["weights"], "random");
    assert_eq!(opened.config.provenance["seed"], 7);
    assert_eq!(opened.parameters, Model::open(at("small")).unwrap().parameters);

    // Every tensor that the file has to have, in its shape; none is constant, and the network answers at order one.
    let (made, known) = (weights::read(&at("one").join("model.safetensors")), weights::random(1, 8, &[2]));
    let wanted: Vec<_> = known.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
    assert_eq!(made.len(), wanted.len());
    wanted.iter().for_each(|(name, tensor)| assert_eq!(made[*name].shape, tensor.shape, "{name}"));
    let numbers =
        |t: &weights::Stored| -> Vec<f32> { t.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
    let first: BTreeSet<u32> = made.values().map(|t| numbers(t)[0].to_bits()).collect();
    assert_eq!(first.len(), made.len(), "two tensors begin alike");
    let x: Vec<f32> = crate::common::noise(144, 3);
    let size = |y: Vec<Dual>| (y.iter().map(|v| v.v * v.v).sum::<f64>() / 144.0).sqrt();
    let y = size(twin::evaluate(&opened.graph, &Dual::lift(&x), 3).unwrap());
    assert!((0.02..50.0).contains(&y), "{y}");
}

#[test]
fn numbers_have_the_stated_spread_in_any_order() {
    let take = |names: &[(&str, &[usize])]| {
        let random = Weights::random(3);
        names.iter().map(|(name, shape)| random.take(name, shape).unwrap().to_vec()).collect::<Vec<_>>()
    };
    let conv: (&str, &[usize]) = ("a.conv.weight", &[40, 30, 3, 3]);
    let one =
        take(&[conv, ("a.norm.weight", &[900]), ("a.norm.running_var", &[900]), ("a.bias", &[900]), ("scale", &[])]);
    let other = take(&[("a.bias", &[900]), conv]);
    assert_eq!((&one[0], &one[3]), (&other[1], &other[0]));
    // Mean and standard deviation, each within five standard errors.
    let near = |values: &[f32], mean: f64, deviation: f64| {
        let n = values.len() as f64;
        let m = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let s = (values.iter().map(|&v| (f64::from(v) - m).powi(2)).sum::<f64>() / n).sqrt();
        assert!((m - mean).abs() <= 5.0 * deviation / n.sqrt(), "mean {m}, expected {mean}");
        assert!((s / deviation - 1.0).abs() <= 5.0 / (2.0 * n).sqrt(), "deviation {s}, expected {deviation}");
    };
    near(&one[0], 0.0, 1.0 / 270f64.sqrt());
    near(&one[1], 1.0, 0.1);
    // |z| has mean sqrt(2 / pi) and variance 1 - 2 / pi.
    near(&one[2], 1.0 + 0.1 * 0.797_884_560_802_865_4, 0.1 * 0.602_810_275_091_779);
    near(&one[3], 0.0, 0.1);
    assert!(one[2].iter().all(|v| *v >= 1.0) && one[4] == [1.0]);

    let random = Weights::random(3);
    random.take("w", &[2, 3]).unwrap();
    let message = |r: vorticity::error::Result<std::sync::Arc<[f32]>>| r.unwrap_err().to_string();
    assert!(message(random.take("w", &[3, 2])).contains("shape [2, 3], expected [3, 2]"));
    assert!(message(random.take_1d("v")).contains("length is not known"));
    assert!(message(random.take("big", &[1 << 40, 1 << 40])).contains("more than 1073741824 numbers"));
    assert!(random.has("w") && !random.has("v") && random.finish(&[]).is_ok());
}

/// Every preset is a configuration of its family that has a process.
#[test]
fn presets_are_configurations() {
    let mut presets = 0;
    for family in FAMILIES {
        for (name, _) in family.presets {
            let config = models::configuration(family.name, name).unwrap();
            assert_eq!(config.family, family.name, "{name}");
            vorticity::model::Process::new(&config.process).unwrap();
            presets += 1;
        }
    }
    assert!(presets > 0);
}

#[test]
fn the_verb_reports_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments = |family, config| vec!["init", family, "--config", config, "--out", text(&out)];
    refused(&arguments("mnist_net", "mnist"), 2, &["'mnist_net' is not known", "mnist_shuffle_unet"], &out);
    refused(&arguments("mnist_shuffle_unet", "cifar"), 2, &["cifar: neither a file nor a preset", "mnist"], &out);
    let wrong = folder.path().join("wrong.json");
    fs::write(&wrong, "{\"family\": 3}").unwrap();
    refused(&arguments("mnist_shuffle_unet", text(&wrong)), 2, &["wrong.json"], &out);

    let output = vorticity(&[arguments("mnist_shuffle_unet", "mnist"), vec!["--json"]].concat()).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["verb"], &document["shape"]), (&"init".into(), &serde_json::json!([1, 28, 28])));
    let opened = Model::open(&out).unwrap();
    assert_eq!(document["parameters"], opened.parameters);
    assert!(opened.parameters > 1_000_000);
    // What is there is never overwritten.
    let before = fs::read(out.join("config.json")).unwrap();
    let again = vorticity(&arguments("mnist_shuffle_unet", "mnist")).output().unwrap();
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && error.contains("directory with files in it"), "{error}");
    assert_eq!(fs::read(out.join("config.json")).unwrap(), before);
    let help = String::from_utf8(vorticity(&["init", "--help"]).output().unwrap().stdout).unwrap();
    for family in FAMILIES {
        let line = help.lines().find(|l| l.trim_start().starts_with(family.name)).expect(family.name);
        family.presets.iter().for_each(|(name, _)| assert!(line.contains(name), "{line}"));
    }
}

/// A configuration that names an autoencoder: it must be there, from the new directory, and fit.
#[test]
fn the_autoencoder_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models");
    let (config, out) = (shipped.join("mnist-latent/config.json"), folder.path().join("out"));
    let arguments = ["init", "mnist_shuffle_unet", "--config", text(&config), "--out", text(&out)];
    refused(&arguments, 2, &["autoencoder '../mnist-vae'", "sought from", "leave the key out"], &out);
    let vae = folder.path().join("mnist-vae");
    fs::create_dir(&vae).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(shipped.join("mnist-vae").join(file), vae.join(file)).unwrap();
    }
    init(text(&config), "0", &out);
    assert_eq!(Model::open(&out).unwrap().autoencoder.unwrap().shape, Shape::new(1, 8, 8));
}

/// The paper's sizes have the paper's numbers of parameters.
#[test]
fn presets_are_the_published_networks() {
    for (family, preset, parameters) in [
        ("mnist_shuffle_unet", "mnist", 1_077_697),
        ("lucid_unet", "cifar10", 39_000_000),
        ("ncsnpp", "celebahq-256", 65_574_549),
    ] {
        let config = models::configuration(family, preset).unwrap();
        let found = models::init(&config, 0).unwrap().parameters;
        println!("{family} {preset}: {found}");
        // The paper gives millions.
        assert!(found.abs_diff(parameters) < parameters / 50, "{family} {preset}: {found}, expected {parameters}");
    }
    for family in FAMILIES {
        family.presets.iter().for_each(|(name, _)| drop(models::configuration(family.name, name).unwrap()));
    }
}
