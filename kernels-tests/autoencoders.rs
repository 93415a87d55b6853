//! Autoencoders of diffusers: folders open as they are, for latents of any size; latents are shifted, multiplied and moved to
//! the codebook as diffusers does; what is not known is refused by name; and a network on latents runs from images to a run.
use crate::cli::{text, vorticity};
use crate::common::{gpu, max_norm_error, noise};
use crate::weights;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vorticity::data::{Images, Levels};
use vorticity::latents::{decode, encode};
use vorticity::model::{self, AutoencoderModel, Codebook, Model, Posterior};
use vorticity::shape::Shape;
use vorticity::verify::Case;

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden").join(name)
}

fn changed(path: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// The golden autoencoder in `folder/vae`, its config.json changed.
fn copied(folder: &Path, name: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let to = folder.join("vae");
    fs::create_dir(&to).unwrap();
    for file in ["config.json", WEIGHTS] {
        fs::copy(golden(name).join(file), to.join(file)).unwrap();
    }
    changed(&to.join("config.json"), change);
    to
}

/// A small network on latents of that shape in `folder/network`, which names `folder/vae`.
fn network(folder: &Path, latent: Shape, more: Value) -> PathBuf {
    let hyper = json!({
        "sample_size": [latent.h, latent.w], "in_channels": latent.c, "out_channels": latent.c,
        "block_out_channels": [8], "layers_per_block": 1, "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"], "norm_num_groups": 2,
    });
    let mut config = json!({
        "vorticity_config": 1, "family": "unet2d_diffusers", "hyper": hyper, "prediction": "eps",
        "process": { "kind": "vp", "schedule": "linear", "timesteps": 10 }, "data_range": [-4.0, 4.0],
        "autoencoder": "../vae",
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = model::init(&model::Config::parse(&config.to_string(), Path::new("config")).unwrap(), 3).unwrap();
    let path = folder.join("network");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("config.json"), made.config).unwrap();
    fs::write(path.join("model.safetensors"), made.weights).unwrap();
    path
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

fn images(model: &AutoencoderModel, case: &Case) -> Images {
    let x = &case.tensors["enc.x"];
    let (shape, count, values) = (model.image(), x.shape[0], single(&x.values));
    Images { shape, count, values, levels: Levels::Real, sha256: "of the file".into() }
}

/// (z - shift_factor) scaling_factor and back, as pipelines of diffusers have it.
#[test]
fn latents_are_shifted_and_multiplied() {
    let (gpu, case) = (gpu(), Case::open(golden("diffusers_kl")).unwrap());
    let model = AutoencoderModel::open(&golden("diffusers_kl")).unwrap();
    assert_eq!((model.image(), model.shape), (Shape::new(3, 16, 12), Shape::new(3, 8, 6)));
    assert_eq!((model.config.family.as_str(), model.config.data_range), ("autoencoder_kl", [-1.0, 1.0]));
    let images = images(&model, &case);
    let latents = encode(&gpu, &model, &images, Posterior::Mode, 0).unwrap();
    let want: Vec<f64> = case.tensors["mean"].values.iter().map(|z| (z - 0.1) * 0.7).collect();
    assert!(max_norm_error(&latents.values, &want) < 1e-5); // as `verify`
    let decoded = decode(&gpu, &model, &latents.values).unwrap();
    assert!(max_norm_error(&decoded, &case.tensors["rec.y"].values) < 1e-5);

    // Draws differ from the mean by the factor times the deviation times a normal number.
    let draws = encode(&gpu, &model, &images, Posterior::Sample, 1).unwrap();
    let normal = draws.values.iter().zip(&want).zip(&case.tensors["logvar"].values);
    let squares: Vec<f64> =
        normal.map(|((&z, mean), logvar)| ((f64::from(z) - mean) / 0.7 / (0.5 * logvar).exp()).powi(2)).collect();
    let n = squares.len() as f64;
    let variance = squares.iter().sum::<f64>() / n;
    assert!((variance - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{variance}"); // four standard errors
}

/// (z - latents_mean) scaling_factor / latents_std, by channel.
#[test]
fn means_and_deviations_are_by_channel() {
    let folder = tempfile::tempdir().unwrap();
    let path = copied(folder.path(), "diffusers_kl", |c| {
        c["shift_factor"] = Value::Null;
        c["latents_mean"] = json!([0.5, -0.25, 0.0]);
        c["latents_std"] = json!([2.0, 0.5, 1.0]);
    });
    let (gpu, case) = (gpu(), Case::open(golden("diffusers_kl")).unwrap());
    let model = AutoencoderModel::open(&path).unwrap();
    let latents = encode(&gpu, &model, &images(&model, &case), Posterior::Mode, 0).unwrap();
    let want: Vec<f64> = (0..latents.values.len())
        .map(|i| {
            let c = i / 48 % 3;
            (case.tensors["mean"].values[i] - [0.5, -0.25, 0.0][c]) * 0.7 / [2.0, 0.5, 1.0][c]
        })
        .collect();
    assert!(max_norm_error(&latents.values, &want) < 1e-5);
    let decoded = decode(&gpu, &model, &latents.values).unwrap();
    assert!(max_norm_error(&decoded, &case.tensors["rec.y"].values) < 1e-5);
}

#[test]
fn latents_are_moved_to_the_codebook_before_they_are_decoded() {
    let (gpu, case) = (gpu(), Case::open(golden("diffusers_vq")).unwrap());
    let model = AutoencoderModel::open(&golden("diffusers_vq")).unwrap();
    let images = images(&model, &case);
    let latents = encode(&gpu, &model, &images, Posterior::Mode, 0).unwrap();
    let want: Vec<f64> = case.tensors["enc.y"].values.iter().map(|z| z * 0.8).collect();
    assert!(max_norm_error(&latents.values, &want) < 1e-5);
    let decoded = decode(&gpu, &model, &latents.values).unwrap();
    assert!(max_norm_error(&decoded, &case.tensors["rec.y"].values) < 1e-5);
    // A picture does not depend on where between vectors a latent is: a small move changes no bit.
    let moved: Vec<f32> =
        latents.values.iter().zip(noise(latents.values.len(), 3)).map(|(z, e)| z + 1e-5 * e).collect();
    assert_eq!(decode(&gpu, &model, &moved).unwrap(), decoded);
    // Negative control: latents themselves are decoded to something else.
    let unmoved: Vec<f64> = decode(&gpu, &model, &latents.values.iter().map(|z| z * 0.5).collect::<Vec<_>>())
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect();
    assert!(max_norm_error(&decoded, &unmoved) > 0.05);
    let error = encode(&gpu, &model, &images, Posterior::Sample, 0).unwrap_err().to_string();
    assert!(error.contains("posterior: sample, but vq_model has no distribution to draw from"), "{error}");
    assert!(model.networks.reconstruction().is_err());
}

#[test]
fn the_nearest_vector_is_the_first_of_equals_and_of_finite_numbers() {
    let vectors = [[0.0f32, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]];
    let codebook = Codebook { vectors: vectors.concat().into(), width: 2 };
    // By channel: pixels (1, 0), a tie of the first two; (1.1, 0.2); (0.3, 9); (NaN, 0); (inf, 0).
    let latents = [1.0, 1.1, 0.3, f32::NAN, f32::INFINITY, 0.0, 0.2, 9.0, 0.0, 0.0];
    let found = codebook.nearest(&latents, 5);
    assert_eq!(found[..3], [0.0, 2.0, 0.0]);
    assert_eq!(found[5..8], [0.0, 0.0, 2.0]);
    assert!([3, 4, 8, 9].iter().all(|&i| found[i].is_nan()), "{found:?}");
    // Two samples are what each of them is alone.
    let two = codebook.nearest(&[&latents[..3], &latents[5..8], &latents[5..8], &latents[..3]].concat(), 3);
    assert_eq!(two[..6], codebook.nearest(&[&latents[..3], &latents[5..8]].concat(), 3));
    assert_eq!(two[6..], codebook.nearest(&[&latents[5..8], &latents[..3]].concat(), 3));
}

/// Attention layers have other names in checkpoints of 2022.
#[test]
fn old_and_new_attention_names_are_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = copied(folder.path(), "diffusers_vq", |_| ());
    let mut renamed = 0;
    let tensors = weights::read(&path.join(WEIGHTS)).into_iter().map(|(name, tensor)| {
        let names = [("to_q.", ".query."), ("to_k.", ".key."), ("to_v.", ".value."), ("to_out.0.", ".proj_attn.")];
        let new = names.iter().fold(name.clone(), |name, (new, old)| name.replace(old, &format!(".{new}")));
        renamed += usize::from(new != name);
        (new, tensor)
    });
    let tensors = tensors.collect();
    assert_eq!(renamed, 16);
    weights::write(&path.join(WEIGHTS), &tensors);
    let (gpu, case) = (gpu(), Case::open(golden("diffusers_vq")).unwrap());
    let bits = |path: &Path| {
        let model = AutoencoderModel::open(path).unwrap();
        encode(&gpu, &model, &images(&model, &case), Posterior::Mode, 0).unwrap().values
    };
    assert_eq!(bits(&path), bits(&golden("diffusers_vq")));
}

/// A network's latents say how large images are, whatever the autoencoder was trained on.
#[test]
fn the_networks_latents_settle_the_size_of_images() {
    for (latent, image) in [(Shape::new(3, 8, 6), Shape::new(3, 16, 12)), (Shape::new(3, 5, 7), Shape::new(3, 10, 14))]
    {
        let folder = tempfile::tempdir().unwrap();
        copied(folder.path(), "diffusers_kl", |_| ());
        let model = Model::open(network(folder.path(), latent, json!({}))).unwrap();
        let autoencoder = model.autoencoder.unwrap();
        assert_eq!((autoencoder.shape, autoencoder.image()), (latent, image));
        assert_eq!(autoencoder.config.provenance["sample_size"], json!([16, 12]));
        let sha256 = vorticity::data::sha256_file(golden("diffusers_kl").join(WEIGHTS)).unwrap();
        assert_eq!(autoencoder.sha256, sha256);
    }
    // An odd side loses a pixel where it is halved; a value that stands for the class's default is not used.
    let folder = tempfile::tempdir().unwrap();
    let path = copied(folder.path(), "diffusers_kl", |c| {
        c["sample_size"] = json!([13, 8]);
        c["scaling_factor"] = json!(3.0);
        c["_use_default_values"] = json!(["scaling_factor"]);
    });
    let model = AutoencoderModel::open(&path).unwrap();
    assert_eq!(
        (model.image(), model.shape, model.decoded()),
        (Shape::new(3, 13, 8), Shape::new(3, 6, 4), Shape::new(3, 12, 8))
    );
    assert_eq!(model.seen(0), (0.1, 0.18215));
}

/// A pipeline in `folder` as diffusers writes it: `network` in `unet/`, the golden autoencoder under that name.
fn pipeline(folder: &Path, latent: Shape, name: &str, part: &str, scheduler: Value) -> PathBuf {
    let vae = copied(folder, name, |_| ());
    let ours = network(folder, latent, json!({}));
    let root = folder.join("pipeline");
    for part in ["unet", "scheduler"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    fs::rename(vae, root.join(part)).unwrap();
    fs::rename(ours.join("model.safetensors"), root.join("unet").join(WEIGHTS)).unwrap();
    changed(&ours.join("config.json"), |c| {
        *c = c["hyper"].take();
        c["_class_name"] = json!("UNet2DModel");
    });
    fs::rename(ours.join("config.json"), root.join("unet/config.json")).unwrap();
    fs::write(root.join("scheduler/scheduler_config.json"), scheduler.to_string()).unwrap();
    let index = json!({
        "_class_name": "LDMPipeline", "_diffusers_version": "0.42.1", "unet": ["diffusers", "UNet2DModel"],
        part: ["diffusers", "VQModel"], "scheduler": ["diffusers", "DDIMScheduler"],
    });
    fs::write(root.join("model_index.json"), index.to_string()).unwrap();
    root
}

/// A pipeline opens whole, wherever in it the user points, and says what its latents keep to.
#[test]
fn pipelines_open_with_their_autoencoder() {
    let latent = Shape::new(3, 4, 6);
    for (name, part) in [("diffusers_vq", "vqvae"), ("diffusers_kl", "vae")] {
        for (clip, range) in [(json!({}), [-1.0, 1.0]), (json!({ "clip_sample": false }), [-1e9, 1e9])] {
            let folder = tempfile::tempdir().unwrap();
            let mut scheduler = json!({ "_class_name": "DDIMScheduler" });
            scheduler.as_object_mut().unwrap().extend(clip.as_object().unwrap().clone());
            let root = pipeline(folder.path(), latent, name, part, scheduler);
            for (path, at) in [(root.clone(), part.to_string()), (root.join("unet"), format!("../{part}"))] {
                let model = Model::open(&path).unwrap();
                assert_eq!(
                    (model.shape(), model.config.data_range, model.config.autoencoder),
                    (latent, range, Some(at))
                );
                let autoencoder = model.autoencoder.unwrap();
                assert_eq!((autoencoder.shape, autoencoder.image().h, autoencoder.image().w), (latent, 8, 12));
                let fact = model.facts.iter().find(|f| f.what == "autoencoder").unwrap();
                assert_eq!((fact.source.as_str(), fact.value.contains("x8x12")), (part, true), "{}", fact.value);
            }
            let index = root.join("model_index.json");
            changed(&index, |i| i["movq"] = json!(["diffusers", "VQModel"]));
            let error = Model::open(&root).unwrap_err().to_string();
            assert!(error.contains("has several autoencoders"), "{error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let scheduler = json!({ "_class_name": "DDPMScheduler", "clip_sample_range": 0.0 });
    let error = Model::open(pipeline(folder.path(), latent, "diffusers_kl", "vae", scheduler)).unwrap_err().to_string();
    assert!(error.contains("clip_sample_range: 0, expected a positive number"), "{error}");
}

#[test]
fn networks_that_do_not_fit_are_refused() {
    let cases = [
        (
            "diffusers_kl",
            Shape::new(4, 8, 6),
            json!({}),
            "its autoencoder's latents are 3x8x6, the network works on 4x8x6",
        ),
        (
            "diffusers_vq",
            Shape::new(3, 8, 8),
            json!({ "posterior": "sample" }),
            "vq_model has no distribution to draw from",
        ),
    ];
    for (name, latent, more, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        copied(folder.path(), name, |_| ());
        let error = Model::open(network(folder.path(), latent, more)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "'{expected}' not in '{error}'");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    type Change = fn(&mut Value);
    let kl: &[(Change, &str)] = &[
        (|c| c["_class_name"] = json!("AutoencoderTiny"), "\"AutoencoderTiny\" is no autoencoder that is known"),
        (|c| c["_class_name"] = json!("VQModel"), "hyper.latents_mean: null: not a known key of VQModel"),
        (|c| c["use_tiling"] = json!(true), "hyper.use_tiling: true: not a known key of AutoencoderKL"),
        (|c| c["num_vq_embeddings"] = json!(8), "hyper.num_vq_embeddings: 8: not a known key of AutoencoderKL"),
        (|c| c["act_fn"] = json!("elu"), "hyper.act_fn: \"elu\": not one of silu, swish, mish, gelu, relu"),
        (|c| c["latents_mean"] = json!([0.0, 0.0, 0.0]), "one of them is missing"),
        (|c| c["scaling_factor"] = json!(0.0), "channel 0 is shifted by -0.1 and multiplied by 0"),
        (|c| c["scaling_factor"] = json!("a tenth"), "hyper.scaling_factor: \"a tenth\": invalid type"),
        (|c| c["block_out_channels"] = json!([6]), "1 block_out_channels need as many"),
        (|c| c["block_out_channels"] = json!([]), "0 block_out_channels need as many"),
        (|c| c["up_block_types"][0] = json!("UpBlock2D"), "hyper.up_block_types: 'UpBlock2D' is not one of"),
        (|c| c["sample_size"] = json!([16, 1]), "hyper.sample_size: 16x1 leaves nothing when it is halved 1 times"),
        (|c| c["norm_num_groups"] = json!(4), "6 channels do not form 4 equal groups"),
        (|c| c["use_quant_conv"] = json!(false), "tensor 'quant_conv.bias' is not part of this network"),
        (|c| c["mid_block_add_attention"] = json!(false), "mid_block.attentions.0"),
        (|c| c["in_channels"] = json!(0), "a size of 0"),
    ];
    let vq: &[(Change, &str)] = &[
        (|c| c["norm_type"] = json!("spatial"), "hyper.norm_type: \"spatial\": only group is known"),
        (|c| c["shift_factor"] = json!(0.1), "hyper.shift_factor: 0.1: not a known key of VQModel"),
        (|c| c["num_vq_embeddings"] = json!(25), "tensor 'quantize.embedding.weight': shape [24, 3], expected [25, 3]"),
        (|c| c["num_vq_embeddings"] = json!(0), "hyper.num_vq_embeddings: 0, expected 1..=1048576"),
    ];
    let all = kl.iter().map(|c| ("diffusers_kl", c)).chain(vq.iter().map(|c| ("diffusers_vq", c)));
    for (name, (change, expected)) in all {
        let folder = tempfile::tempdir().unwrap();
        let error = AutoencoderModel::open(&copied(folder.path(), name, change)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "'{expected}' not in '{error}'");
    }
    // A directory of ours has its factor in one place.
    let folder = tempfile::tempdir().unwrap();
    let path = copied(folder.path(), "diffusers_kl", |c| {
        *c = json!({
            "vorticity_config": 1, "family": "autoencoder_kl", "hyper": c, "data_range": [-1.0, 1.0],
            "latent": { "scale": 0.18215 },
        });
    });
    fs::rename(path.join(WEIGHTS), path.join("model.safetensors")).unwrap();
    let error = AutoencoderModel::open(&path).unwrap_err().to_string();
    assert!(error.contains("latent.scale 0.18215, but the factor of autoencoder_kl is in hyper"), "{error}");
    changed(&path.join("config.json"), |c| c["latent"] = json!({}));
    let ours = AutoencoderModel::open(&path).unwrap();
    assert_eq!((ours.seen(0), ours.image()), ((0.1, 0.7), Shape::new(3, 16, 12)));
    fs::remove_file(path.join("model.safetensors")).unwrap();
    changed(&path.join("config.json"), |c| *c = c["hyper"].take());
    let error = AutoencoderModel::open(&path).unwrap_err().to_string();
    assert!(error.contains(WEIGHTS) && error.contains("missing"), "{error}");
}

/// From images to a run, and from noise to a picture of images.
#[test]
fn verbs_take_images_and_show_images() {
    let folder = tempfile::tempdir().unwrap();
    copied(folder.path(), "diffusers_vq", |_| ());
    let network = network(folder.path(), Shape::new(3, 6, 4), json!({}));
    let (data, out, png) = (folder.path().join("x.npy"), folder.path().join("run"), folder.path().join("x.png"));
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 12, 8), }\n";
    let values: Vec<u8> = noise(2 * 96, 1).iter().flat_map(|v| v.clamp(-1.0, 1.0).to_le_bytes()).collect();
    let size = (header.len() as u16).to_le_bytes();
    fs::write(&data, [b"\x93NUMPY\x01\0", &size[..], header.as_bytes(), &values].concat()).unwrap();
    let arguments = ["asymmetry", text(&network), "--data", text(&data), "--samples", "2", "--timesteps", "5"];
    vorticity(&[&arguments[..], &["--out", text(&out)]].concat()).assert().success();
    let manifest: Value = serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["field"]["autoencoder"]["config"]["family"], "vq_model");
    vorticity(&["sample", text(&network), "--n", "4", "--steps", "3", "--out", text(&png)]).assert().success();
    let picture = png::Decoder::new(std::io::BufReader::new(fs::File::open(&png).unwrap())).read_info().unwrap();
    let (width, height) = (picture.info().width, picture.info().height);
    assert!(width >= 16 && height >= 24 && height > width, "{width}x{height}"); // 2 by 2 images of 8 by 12 pixels
}
