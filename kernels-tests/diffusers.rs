//! Folders of diffusers: opened as they are, in every form in which people have them, and what is refused.
use crate::weights;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vorticity::dual::Dual;
use vorticity::model::{Model, Prediction};
use vorticity::twin;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden").join(name)
}

const NETWORK: [&str; 2] = ["config.json", "diffusion_pytorch_model.safetensors"];

fn copy(from: &Path, names: &[&str], to: &Path) {
    fs::create_dir_all(to).unwrap();
    names.iter().for_each(|name| assert!(fs::copy(from.join(name), to.join(name)).unwrap() > 0));
}

/// The network's answer at one point, to tell networks apart.
fn answer(path: &Path) -> Vec<f64> {
    let model = Model::open(path).unwrap();
    let x = crate::common::noise(model.shape().len(), 4);
    twin::evaluate(&model.graph, &Dual::lift(&x), 500).unwrap().iter().map(|y| y.v).collect()
}

#[test]
fn processes_come_from_the_schedulers() {
    let ddpm = Model::open(shipped("diffusers_ddpm")).unwrap();
    assert_eq!((ddpm.process.timesteps(), ddpm.config.prediction), (1000, Prediction::Eps));
    let (_, sigma) = ddpm.process.noise(0).unwrap();
    assert!((sigma * sigma - 1e-4).abs() < 1e-12, "beta_0 of the linear schedule");
    let ncsnpp = Model::open(shipped("diffusers_ncsnpp")).unwrap();
    assert_eq!((ncsnpp.process.timesteps(), ncsnpp.config.prediction), (2000, Prediction::Score));
    assert_eq!(ncsnpp.config.data_range, [0.0, 1.0]);
    assert!((ncsnpp.process.noise(1999).unwrap().1 - 348.0).abs() < 1e-9);
}

#[test]
fn pipelines_and_cache_snapshots_are_the_same_model() {
    let (folder, from) = (tempfile::tempdir().unwrap(), shipped("diffusers_ddpm"));
    let want = answer(&from);
    let pipeline = folder.path().join("pipeline");
    copy(&from, &NETWORK, &pipeline.join("unet"));
    copy(&from, &["scheduler_config.json"], &pipeline.join("scheduler"));
    fs::write(pipeline.join("model_index.json"), "{}").unwrap();
    assert_eq!(answer(&pipeline), want);

    let cache = folder.path().join("models--somebody--ddpm");
    copy(&from, &[&NETWORK[..], &["scheduler_config.json"]].concat(), &cache.join("snapshots/abc"));
    assert_eq!(answer(&cache), want, "the only revision");
    copy(
        &shipped("diffusers_ncsnpp"),
        &[&NETWORK[..], &["scheduler_config.json"]].concat(),
        &cache.join("snapshots/def"),
    );
    let error = Model::open(&cache).unwrap_err().to_string();
    assert!(error.contains("2 revisions and no refs/main"), "{error}");
    fs::create_dir(cache.join("refs")).unwrap();
    fs::write(cache.join("refs/main"), "abc\n").unwrap();
    assert_eq!(answer(&cache), want, "the revision of main");
}

/// Published checkpoints name the attention's layers as diffusers did in 2022.
#[test]
fn old_attention_names_are_the_same_network() {
    let (folder, from) = (tempfile::tempdir().unwrap(), shipped("diffusers_ddpm"));
    copy(&from, &["config.json", "scheduler_config.json"], folder.path());
    let mut renamed = 0;
    let tensors = weights::read(&from.join(NETWORK[1])).into_iter().map(|(name, tensor)| {
        let names = [("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn.")];
        let old = names.iter().fold(name.clone(), |name, (new, old)| name.replace(new, old));
        renamed += usize::from(old != name);
        (old, tensor)
    });
    let tensors = tensors.collect();
    assert!(renamed >= 16, "{renamed}");
    weights::write(&folder.path().join(NETWORK[1]), &tensors);
    assert_eq!(answer(folder.path()), answer(&from));
}

/// Blocks with pyramids have as many groups as the class computes, whatever the configuration says: its blocks never see it.
#[test]
fn pyramid_blocks_ignore_the_configured_groups() {
    let (folder, from) = (tempfile::tempdir().unwrap(), shipped("diffusers_ncsnpp"));
    copy(&from, &[&NETWORK[..], &["scheduler_config.json"]].concat(), folder.path());
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["norm_num_groups"] = json!(2);
    fs::write(&path, config.to_string()).unwrap();
    let groups = |path: &Path| -> Vec<String> {
        let nodes = Model::open(path).unwrap().graph.nodes;
        let norms = nodes.iter().filter(|n| n.op.name() == "group_norm" && n.name.contains("_blocks."));
        norms.filter(|n| n.name.contains("resnet")).map(|n| format!("{} {:?}", n.name, n.op)).collect()
    };
    let count = |all: &[String]| all.iter().filter(|n| n.contains("groups: 2,")).count();
    let (theirs, ours) = (groups(&from), groups(folder.path()));
    assert!(theirs.len() > 8 && count(&ours) == count(&theirs));
}

#[test]
fn what_is_not_supported_says_so() {
    type Change = fn(&mut Value);
    let cases: &[(&str, Change, &str)] = &[
        ("config.json", |c| c["_class_name"] = json!("UNet2DConditionModel"), "only UNet2DModel is known"),
        ("config.json", |c| c["class_embed_type"] = json!("timestep"), "condition 'class_labels': is not given"),
        ("config.json", |c| c["class_embed_type"] = json!("projection"), "is not one of timestep, identity"),
        ("config.json", |c| c["mid_block_type"] = json!("UNetMidBlock2DCrossAttn"), "only UNetMidBlock2D is known"),
        ("config.json", |c| c["downsample_padding"] = json!(7), "downsample_padding 7: up_blocks"),
        ("config.json", |c| c["mid_block_scale_factor"] = json!(0), "mid_block_scale_factor"),
    ];
    for (file, change, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        copy(&shipped("diffusers_ddpm"), &[&NETWORK[..], &["scheduler_config.json"]].concat(), folder.path());
        let path = folder.path().join(file);
        let mut value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
        let error = Model::open(folder.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "'{expected}' not in '{error}'");
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&shipped("diffusers_ncsnpp"), &NETWORK, folder.path());
    copy(&shipped("diffusers_ddpm"), &["scheduler_config.json"], folder.path());
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is made of noise levels"), "{error}");
    for missing in ["diffusion_pytorch_model.safetensors", "scheduler_config.json"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&shipped("diffusers_ddpm"), &[&NETWORK[..], &["scheduler_config.json"]].concat(), folder.path());
        fs::remove_file(folder.path().join(missing)).unwrap();
        let error = Model::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
}
