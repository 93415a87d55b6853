//! Autoencoders: encoding and decoding against third-party PyTorch, draws from the posterior, and the verbs on a network of
//! latents from images to a run directory.
use crate::common::{gpu, max_norm_error};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use vorticity::data::{Images, Levels};
use vorticity::latents::{decode, encode};
use vorticity::model::{AutoencoderModel, Model, Posterior};
use vorticity::verify::Case;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden").join(name)
}

/// A model directory of the golden autoencoder.
fn directory(folder: &Path, latent: serde_json::Value) -> PathBuf {
    let case = Case::open(golden("vae_sld")).unwrap();
    let config = json!({
        "vorticity_config": 1, "family": "vae_sld", "hyper": case.hyper, "data_range": [-1.0, 1.0], "latent": latent,
    });
    let path = folder.join("vae");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("config.json"), config.to_string()).unwrap();
    fs::copy(case.weights(), path.join("model.safetensors")).unwrap();
    path
}

fn images(model: &AutoencoderModel, case: &Case) -> Images {
    let x = &case.tensors["enc.x"];
    let values = x.values.iter().map(|&v| v as f32).collect();
    Images { shape: model.image(), count: x.shape[0], values, levels: Levels::Real, sha256: "of the file".into() }
}

#[test]
fn encoding_and_decoding_match_third_party_code() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let case = Case::open(golden("vae_sld")).unwrap();
    let model = AutoencoderModel::open(&directory(folder.path(), json!({ "scale": 0.5 }))).unwrap();
    let images = images(&model, &case);
    let mean = encode(&gpu, &model, &images, Posterior::Mode, 0).unwrap();
    assert_eq!((mean.shape, mean.count, mean.sha256.as_str()), (model.shape, 3, "of the file"));
    let want: Vec<f64> = case.tensors["mean"].values.iter().map(|z| z * 0.5).collect();
    assert!(max_norm_error(&mean.values, &want) < 1e-5); // as `verify`
    let decoded = decode(&gpu, &model, &mean.values).unwrap();
    assert!(max_norm_error(&decoded, &case.tensors["rec.y"].values) < 1e-5);
}

/// (z - mean) / deviation of the draws is standard normal, and follows the seed.
#[test]
fn draws_have_the_posteriors_spread() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let case = Case::open(golden("vae_sld")).unwrap();
    let model = AutoencoderModel::open(&directory(folder.path(), json!({}))).unwrap();
    let images = images(&model, &case);
    let draw = |seed| encode(&gpu, &model, &images, Posterior::Sample, seed).unwrap().values;
    let z = draw(1);
    assert_eq!(z, draw(1));
    assert_ne!(z, draw(2));
    let (mean, logvar) = (&case.tensors["mean"].values, &case.tensors["logvar"].values);
    let normal: Vec<f64> =
        z.iter().zip(mean).zip(logvar).map(|((&z, m), l)| (f64::from(z) - m) / (0.5 * l).exp()).collect();
    let n = normal.len() as f64;
    let (first, second) = (normal.iter().sum::<f64>() / n, normal.iter().map(|v| v * v).sum::<f64>() / n);
    // Four standard errors: 1 / sqrt n of the mean, sqrt(2 / n) of the variance.
    assert!(first.abs() < 4.0 / n.sqrt() && (second - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{first} {second}");
}

#[test]
fn unfit_directories_are_refused() {
    let cases = [
        (json!({ "scale": 0.0 }), "latent.scale 0"),
        (json!({ "shape": [3, 16, 15] }), "latent.shape 3x16x15, expected 768 numbers"),
        (json!({ "shape": [4294967296u64, 4294967296u64, 2] }), "expected 768 numbers"),
        (json!({ "sizes": 1 }), "unknown field `sizes`"),
    ];
    for (latent, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = AutoencoderModel::open(&directory(folder.path(), latent)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "'{expected}' not in '{error}'");
    }
    // A network on other latents than its autoencoder's.
    let folder = tempfile::tempdir().unwrap();
    directory(folder.path(), json!({}));
    let network = folder.path().join("network");
    fs::create_dir(&network).unwrap();
    crate::networks::model(&network);
    let path = network.join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["autoencoder"] = json!("../vae");
    fs::write(&path, config.to_string()).unwrap();
    let error = Model::open(&network).unwrap_err().to_string();
    assert!(error.contains("its autoencoder's latents are 3x16x16"), "{error}");
}
