//! Every family of networks: the cases that are shipped, third-party PyTorch in f64; that company changes no sample's bits;
//! that sizes nobody shipped agree with the twin; and configurations that are no network.
use crate::common::{evaluate, families, gpu, max_norm_error, noise};
use crate::weights;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::gpu::Gpu;
use vorticity::graph::Graph;
use vorticity::model::{self, AUTOENCODERS, FAMILIES};
use vorticity::target::KernelFamily;
use vorticity::twin;
use vorticity::verify::{Case, Report, check, verify};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden")
}

/// The shipped cases but MNIST's, which has a file of its own.
fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden()).unwrap();
    let mut folders: Vec<_> =
        entries.map(|e| e.unwrap().path()).filter(|p| !p.ends_with("mnist_shuffle_unet")).collect();
    folders.sort();
    folders
}

/// A case without its whole Jacobian, which costs more than all else.
fn verified(gpu: &Gpu, family: KernelFamily, folder: &Path) -> Report {
    let mut case = Case::open(folder).unwrap();
    if AUTOENCODERS.iter().any(|a| a.name == case.family) {
        return verify(&gpu.clone().with_family(family), folder).unwrap();
    }
    case.tensors.remove("jdiag");
    let (graph, _) = model::network(&case.family, &case.hyper, &case.weights()).unwrap();
    check(&gpu.clone().with_family(family), &case, &graph).unwrap()
}

#[test]
fn every_shipped_case_passes() {
    let gpu = gpu();
    let mut seen = BTreeSet::from(["mnist_shuffle_unet".to_string()]);
    for folder in cases() {
        // The large ones run in the adapter's own family; `golden` and `ops` cover both.
        let small = folder.file_name().unwrap().to_string_lossy().starts_with("diffusers");
        for family in if small { families(&gpu) } else { vec![gpu.family()] } {
            let report = verified(&gpu, family, &folder);
            for row in &report.rows {
                println!(
                    "{} {:<45} {:.2e} {:?} {}",
                    folder.display(),
                    row.quantity,
                    row.error,
                    row.tolerance,
                    row.worst
                );
            }
            assert!(report.passed(), "{}", folder.display());
            assert!(report.rows.iter().filter(|r| r.tolerance.is_some()).count() >= 5, "{}", folder.display());
            seen.insert(report.family);
        }
    }
    // `unet2d_ncsnpp_diffusers` is another name of unet2d_diffusers.
    let known = FAMILIES.iter().map(|f| f.name).chain(AUTOENCODERS.iter().map(|a| a.name));
    for name in known.filter(|name| *name != "unet2d_ncsnpp_diffusers") {
        assert!(seen.contains(name), "no case of {name} is shipped");
    }
}

/// What the comparison would see if a weight were read wrongly.
#[test]
fn one_changed_weight_fails_each_family() {
    let gpu = gpu();
    for (folder, file, tensor) in [
        ("lucid_unet", "model.safetensors", "ups.0.0.block1.norm.gamma_proj.weight"),
        ("ncsnpp", "model.safetensors", "all_modules.9.NIN_2.W"),
        ("diffusers_ddpm", "diffusion_pytorch_model.safetensors", "mid_block.attentions.0.to_v.weight"),
        ("vae_sksq", "model.safetensors", "decoder.3.weight"),
    ] {
        let copy = copied(folder);
        let path = copy.path().join(file);
        let mut tensors = weights::read(&path);
        tensors.get_mut(tensor).unwrap().add(3, 3e-2);
        weights::write(&path, &tensors);
        let report = verified(&gpu, gpu.family(), copy.path());
        let failed = report.rows.iter().any(|r| !r.passed() && r.quantity.contains("forward"));
        assert!(failed, "{folder}: {tensor}");
    }
}

fn copied(folder: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// A network of random weights; its process's labels are those of its timesteps.
pub fn random(family: &str, hyper: Value, process: Value) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "vorticity_config": 1, "family": family, "hyper": hyper, "process": process,
        "prediction": if process["kind"] == "ve" { "score" } else { "eps" }, "data_range": [-1.0, 1.0],
    });
    let config = model::Config::parse(&config.to_string(), Path::new("config")).unwrap();
    let made = model::init(&config, 5).unwrap();
    std::fs::write(folder.path().join("config.json"), made.config).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), made.weights).unwrap();
    model::Model::open(folder.path()).unwrap().graph
}

/// Small networks whose sizes differ from those of the cases.
pub fn others() -> Vec<(&'static str, Graph)> {
    sized(8)
}

/// Small networks for images of that side, half as high for the last.
pub fn sized(side: usize) -> Vec<(&'static str, Graph)> {
    let ve = json!({ "kind": "ve", "sigma_min": 0.01, "sigma_max": 50.0, "timesteps": 10 });
    let vp = json!({ "kind": "vp", "schedule": "linear", "timesteps": 10 });
    let ncsnpp = |block: &str, embedding: &str, pyramids: [&str; 2], fir: bool, rescale: bool| {
        json!({
            "nf": 12, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [side / 2], "image_size": side,
            "num_channels": 2, "resblock_type": block, "embedding_type": embedding, "progressive": pyramids[0],
            "progressive_input": pyramids[1], "fir": fir, "skip_rescale": rescale, "centered": rescale,
            "scale_by_sigma": embedding == "fourier",
        })
    };
    let unet = |down: [&str; 2], up: [&str; 2], head: Value, groups: Value| {
        json!({
            "sample_size": [side / 2, side], "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 24],
            "layers_per_block": 1, "down_block_types": down, "up_block_types": up, "attention_head_dim": head,
            "norm_num_groups": groups,
        })
    };
    vec![
        (
            "lucid_unet, one stage more",
            random(
                "lucid_unet",
                json!({ "dim": 32, "init_dim": 64, "dim_mults": [2, 1, 2, 3], "channels": 1, "image_size": side, "attn_heads": 2, "attn_dim_head": 12 }),
                vp.clone(),
            ),
        ),
        (
            "ncsnpp, no pyramids, averages",
            random("ncsnpp", ncsnpp("biggan", "fourier", ["none", "none"], false, true), ve.clone()),
        ),
        (
            "ncsnpp, ddpm blocks, residual pyramids",
            random("ncsnpp", ncsnpp("ddpm", "positional", ["residual", "residual"], false, false), vp.clone()),
        ),
        (
            "ncsnpp, FIR, output pyramid only",
            random("ncsnpp", ncsnpp("biggan", "positional", ["output_skip", "none"], true, true), vp.clone()),
        ),
        (
            "unet2d, heads of 8, one group size",
            random(
                "unet2d_diffusers",
                unet(["AttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "AttnUpBlock2D"], json!(8), json!(2)),
                vp,
            ),
        ),
    ]
}

#[test]
fn other_sizes_match_their_twin_alone_and_in_company() {
    let gpu = gpu();
    for (name, graph) in others() {
        let (d, ks, k) = (graph.end_shapes().unwrap()[0].len(), [7, 0, 9], 3);
        let (x, v) = (noise(ks.len() * d, 1), noise(ks.len() * k * d, 2));
        for family in families(&gpu) {
            let room = Room { samples: 2, tangents: k, cotangents: 0 }; // two tiles
            let mut evaluator =
                Evaluator::with_tangents(&gpu.clone().with_family(family), &graph, &[0, 7, 9], room).unwrap();
            let (y, jv) = evaluator.jvp(&x, &v, &ks).unwrap();
            let bits = |y: &[f32]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&y), bits(&evaluate(&gpu, &graph, family, &x, &ks)), "{name}, {family:?}");
            for (i, &k) in ks.iter().enumerate() {
                let alone = evaluate(&gpu, &graph, family, &x[i * d..(i + 1) * d], &[k]);
                assert_eq!(bits(&alone), bits(&y[i * d..(i + 1) * d]), "{name}, {family:?}, sample {i} alone");
            }
            for (i, v) in v.chunks(d).enumerate() {
                let sample = i / k;
                let along = Dual::along(&x[sample * d..(sample + 1) * d], v);
                let want = twin::evaluate(&graph, &along, ks[sample]).unwrap();
                let (values, tangent): (Vec<f64>, Vec<f64>) = want.iter().map(|w| (w.v, w.d)).unzip();
                let errors = [
                    max_norm_error(&y[sample * d..(sample + 1) * d], &values),
                    max_norm_error(&jv[i * d..(i + 1) * d], &tangent),
                ];
                println!("{name} {} tangent {i}: {errors:?}", family.name());
                // As the goldens': f32 through some twenty layers; tangents also through slopes and products.
                assert!(errors[0] <= 1e-5 && errors[1] <= 5e-5, "{name}, {family:?}, tangent {i}: {errors:?}");
            }
        }
    }
}

#[test]
fn what_is_no_network_is_refused() {
    let hypers = |folder: &str| Case::open(golden().join(folder)).unwrap();
    let cases: &[(&str, &str, Value, &str)] = &[
        ("lucid_unet", "dim", json!(30), "dim 30: a level of 30 channels, which must be divisible by 32"),
        ("lucid_unet", "dim_mults", json!([]), "dim_mults []"),
        ("lucid_unet", "attn_heads", json!(0), "a size of 0"),
        ("lucid_unet", "attn_dim_head", json!(31), "to_qkv.weight"),
        ("lucid_unet", "dims", json!(1), "unknown field `dims`"),
        ("ncsnpp", "nf", json!(18), "all_modules.0.W"),
        ("ncsnpp", "image_size", json!(40), "image_size 40 must be divisible by 2^4"),
        ("ncsnpp", "progressive_combine", json!("cat"), "all_modules"),
        ("ncsnpp", "resblock_type", json!("ddpm"), "fir with resblock_type ddpm and resamp_with_conv"),
        ("ncsnpp", "ch_mult", json!([1, 1, 2, 2]), "all_modules"),
        ("ncsnpp", "fir_kernel", json!([1, 2, -1]), "fir_kernel: [1.0, 2.0, -1.0]"),
        ("diffusers_ddpm", "num_class_embeds", json!(10), "class_embedding.weight"),
        (
            "diffusers_ddpm",
            "down_block_types",
            json!(["DownBlock2D", "NoDownBlock2D"]),
            "'NoDownBlock2D' is not one of",
        ),
        ("diffusers_ddpm", "act_fn", json!("tanh"), "act_fn 'tanh'"),
        ("diffusers_ddpm", "sample_size", json!(15), "sample_size 15x15"),
        ("diffusers_ddpm", "norm_num_groups", json!(3), "8 channels do not form 3 equal groups"),
        ("vae_sksq", "h_dim", json!(100), "h_dim 100"),
        ("vae_sksq", "dec_kernels", json!([5, 5, 6]), "3 kernels"),
        ("vae_sksq", "dec_kernels", json!(vec![2; 90]), "90 kernels"),
        ("vae_sld", "encoder", json!({ "in_channels": 3 }), "missing field"),
    ];
    for (folder, key, value, expected) in cases {
        let mut case = hypers(folder);
        case.hyper[*key] = value.clone();
        let weights = case.weights();
        let error = if AUTOENCODERS.iter().any(|a| a.name == case.family) {
            let weights = model::Weights::open(&weights).unwrap();
            model::Autoencoder::new(&case.family, &case.hyper, &weights).unwrap_err()
        } else {
            model::network(&case.family, &case.hyper, &weights).unwrap_err()
        };
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{folder}, {key}: '{expected}' not in '{error}'");
    }
}
