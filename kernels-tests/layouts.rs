//! Where the files of a diffusers model may lie, which of several are taken and what is said of it, and what is refused.
use crate::weights::{self, Stored, Tensors};
use half::f16;
use safetensors::Dtype;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::model::Model;
use vorticity::twin;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";
const SCHEDULER: &str = "scheduler_config.json";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden/diffusers_ddpm").join(name)
}

fn put(name: &str, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(fs::copy(shipped(name), to).unwrap() > 0);
}

/// A folder with the shipped network and its scheduler.
fn flat(folder: &Path) {
    [CONFIG, WEIGHTS, SCHEDULER].iter().for_each(|name| put(name, &folder.join(name)));
}

fn tensors() -> Tensors {
    weights::read(&shipped(WEIGHTS))
}

/// The shipped network with other numbers, which must not be taken for it.
fn others() -> Tensors {
    let mut all = tensors();
    all.get_mut("conv_in.bias").unwrap().add(0, 1.0);
    all
}

fn answer(model: &Model) -> Vec<f64> {
    let x = crate::common::noise(model.shape().len(), 4);
    twin::evaluate(&model.graph, &Dual::lift(&x), 500).unwrap().iter().map(|y| y.v).collect()
}

/// The model, if it is the shipped network, and what is said of its weights.
fn same(path: &Path) -> String {
    let (found, want) = (Model::open(path).unwrap(), Model::open(shipped("")).unwrap());
    assert_eq!(answer(&found), answer(&want), "{}", path.display());
    source(&found, "weights")
}

fn source(model: &Model, what: &str) -> String {
    let fact = model.facts.iter().find(|f| f.what == what).unwrap();
    format!("{} [{}]", fact.value, fact.source)
}

fn refused(result: Result<Model>, words: &[&str]) {
    let error = result.expect_err(&format!("taken, expected {words:?}"));
    assert_eq!(error.exit_code(), 2);
    let said = error.to_string();
    words.iter().for_each(|word| assert!(said.contains(word), "'{word}' not in '{said}'"));
}

/// The tensors with every number as f16.
fn halves(all: &Tensors) -> Tensors {
    let half = |t: &Stored| {
        let bytes = t.bytes.as_chunks::<4>().0.iter();
        let bytes = bytes.flat_map(|b| f16::from_f32(f32::from_le_bytes(*b)).to_le_bytes()).collect();
        Stored { dtype: Dtype::F16, shape: t.shape.clone(), bytes }
    };
    all.iter().map(|(name, t)| (name.clone(), half(t))).collect()
}

/// Shards by `named(i)` and their index; `edit` may spoil the index.
fn sharded(folder: &Path, index: &str, named: impl Fn(usize) -> String, edit: impl Fn(&mut Value)) {
    [CONFIG, SCHEDULER].iter().for_each(|name| put(name, &folder.join(name)));
    let (mut map, mut parts) = (serde_json::Map::new(), vec![Tensors::new(), Tensors::new(), Tensors::new()]);
    for (i, (name, tensor)) in tensors().into_iter().enumerate() {
        map.insert(name.clone(), named(i % 3).into());
        parts[i % 3].insert(name, tensor);
    }
    parts.iter().enumerate().for_each(|(i, part)| weights::write(&folder.join(named(i)), part));
    let mut file = json!({"metadata": {"total_size": 1}, "weight_map": map});
    edit(&mut file);
    fs::write(folder.join(index), file.to_string()).unwrap();
}

#[test]
fn averaged_weights_are_preferred_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("checkpoint-500");
    put(CONFIG, &at.join("unet").join(CONFIG));
    weights::write(&at.join("unet").join(WEIGHTS), &others());
    put(WEIGHTS, &at.join("unet_ema").join(WEIGHTS));
    let mut config: Value = serde_json::from_str(&fs::read_to_string(shipped(CONFIG)).unwrap()).unwrap();
    for (key, value) in [("decay", json!(0.9999)), ("optimization_step", json!(500)), ("inv_gamma", json!(1.0))] {
        config[key] = value;
    }
    for (key, value) in [("min_decay", json!(0.0)), ("update_after_step", json!(0)), ("power", json!(0.75))] {
        config[key] = value;
    }
    config["use_ema_warmup"] = json!(true);
    fs::write(at.join("unet_ema").join(CONFIG), config.to_string()).unwrap();
    put(SCHEDULER, &folder.path().join("scheduler").join(SCHEDULER));

    let said = same(&at);
    assert!(
        said.contains("unet_ema/diffusion_pytorch_model.safetensors; averaged (EMA) weights, not those of unet"),
        "{said}"
    );
    let model = Model::open(&at).unwrap();
    assert_eq!(model.config.provenance["averaging"]["optimization_step"], 500);
    assert!(source(&model, "schedule").contains("scheduler/scheduler_config.json"), "{}", source(&model, "schedule"));
    assert!(same(&at.join("unet_ema")).contains(WEIGHTS), "alone, with the scheduler two folders up");
    let raw = Model::open(at.join("unet/")).unwrap();
    assert_ne!(answer(&raw), answer(&model));
    let said = source(&raw, "weights");
    assert!(said.contains("not the averaged (EMA) ones of unet_ema beside it"), "{said}");

    fs::remove_file(at.join("unet_ema").join(WEIGHTS)).unwrap();
    refused(Model::open(&at), &["unet_ema/diffusion_pytorch_model.safetensors: missing"]);
    fs::remove_file(at.join("unet_ema").join(CONFIG)).unwrap();
    [CONFIG, WEIGHTS].iter().for_each(|name| put(name, &at.join(name)));
    let said = source(&Model::open(&at).unwrap(), "weights");
    assert!(said.contains("not the averaged (EMA) ones of unet_ema, which has no config.json"), "{said}");
    assert!(said.contains("not the network of config.json beside that folder"), "{said}");
}

#[test]
fn schedulers_are_found_beside_above_and_in_pipelines() {
    for place in ["model", "model/scheduler", "scheduler"] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("model");
        [CONFIG, WEIGHTS].iter().for_each(|name| put(name, &at.join(name)));
        put(SCHEDULER, &folder.path().join(place).join(SCHEDULER));
        same(&at);
        same(&folder.path().join("model/"));
    }
    let folder = tempfile::tempdir().unwrap();
    [CONFIG, WEIGHTS].iter().for_each(|name| put(name, &folder.path().join("unet").join(name)));
    let looked = ["unet/scheduler_config.json: missing, and so is ", "/scheduler/scheduler_config.json"];
    refused(Model::open(folder.path()), &looked);
    put(SCHEDULER, &folder.path().join(SCHEDULER));
    same(folder.path());

    let alone = tempfile::tempdir().unwrap();
    put(SCHEDULER, &alone.path().join("scheduler").join(SCHEDULER));
    refused(Model::open(alone.path()), &["holds scheduler, but no network: neither config.json nor unet/config.json"]);
}

#[test]
fn variants_of_the_weights_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    flat(at);
    let half = at.join("diffusion_pytorch_model.fp16.safetensors");
    weights::write(&half, &halves(&others()));
    let said = same(at);
    assert!(said.starts_with("F32 [diffusion_pytorch_model.safetensors; not diffusion_pytorch_model.fp16"), "{said}");

    fs::remove_file(at.join(WEIGHTS)).unwrap();
    let model = Model::open(at).unwrap();
    assert_eq!(source(&model, "weights"), "F16 [diffusion_pytorch_model.fp16.safetensors]");
    assert_eq!(model.sha256, vorticity::data::sha256_file(&half).unwrap());
    fs::copy(&half, at.join("diffusion_pytorch_model.non_ema.safetensors")).unwrap();
    let both = "several variants of the weights and none without a variant's name: diffusion_pytorch_model.fp16.safetensors, \
                diffusion_pytorch_model.non_ema.safetensors; keep one";
    refused(Model::open(at), &[both]);
}

#[test]
fn shards_make_one_network() {
    for (index, middle) in [(INDEX, ""), ("diffusion_pytorch_model.safetensors.index.fp16.json", ".fp16")] {
        let folder = tempfile::tempdir().unwrap();
        let named = |i| format!("diffusion_pytorch_model{middle}-0000{}-of-00003.safetensors", i + 1);
        sharded(folder.path(), index, named, |_| ());
        let said = same(folder.path());
        assert!(said.contains(&format!("3 shards of {index}")), "{said}");
        let before = Model::open(folder.path()).unwrap().sha256;
        let first = folder.path().join(named(0));
        let mut changed = weights::read(&first);
        changed.values_mut().next().unwrap().add(0, 1.0);
        weights::write(&first, &changed);
        assert_ne!(Model::open(folder.path()).unwrap().sha256, before, "the checksum is over all shards");
    }
}

#[test]
fn an_index_that_lies_is_refused() {
    let named = |i| format!("diffusion_pytorch_model-0000{}-of-00003.safetensors", i + 1);
    type Edit = fn(&mut Value);
    let cases: &[(Edit, &[&str])] = &[
        (
            |f| f["weight_map"]["conv_in.bias"] = json!("gone.safetensors"),
            &["lie in gone.safetensors, which is missing"],
        ),
        (
            |f| f["weight_map"]["conv_in.bias"] = json!("../x.safetensors"),
            &["'conv_in.bias'", "\"../x.safetensors\", expected the name of a file beside it"],
        ),
        (|f| f["weight_map"]["conv_in.bias"] = json!("/etc/passwd"), &["expected the name of a file beside it"]),
        (|f| f["weight_map"]["conv_in.bias"] = json!(3), &["expected the name of a file beside it"]),
        (
            |f| f["weight_map"]["conv_in.bias"] = json!("diffusion_pytorch_model-00003-of-00003.safetensors"),
            &["-00001-of-00003.safetensors: tensor 'conv_in.bias': should not be there according to"],
        ),
        (
            |f| f["weight_map"]["more"] = f["weight_map"]["conv_in.bias"].clone(),
            &["tensor 'more': is not there, although"],
        ),
        (|f| f["weight_map"] = json!({}), &["names no tensors"]),
        (|f| f["weight_map"] = json!([]), &["has no object 'weight_map'"]),
        (|f| f["weights"] = json!(1), &["key 'weights': 1, expected metadata and weight_map only"]),
    ];
    for (edit, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        sharded(folder.path(), INDEX, named, edit);
        refused(Model::open(folder.path()), words);
    }
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path(), INDEX, named, |_| ());
    let index = folder.path().join(INDEX);
    let text =
        fs::read_to_string(&index).unwrap().replacen("\"weight_map\":{", "\"weight_map\":{\"conv_in.bias\":\"x\",", 1);
    fs::write(&index, text).unwrap();
    refused(Model::open(folder.path()), &["key 'conv_in.bias' comes twice"]);
    // A shard that is a link out of the folder is nobody's weights.
    #[cfg(unix)]
    {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sharded(folder.path(), INDEX, named, |_| ());
        let (shard, moved) = (folder.path().join(named(1)), elsewhere.path().join("other"));
        fs::rename(&shard, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &shard).unwrap();
        refused(Model::open(folder.path()), &["a link that leaves the model's folder: refused"]);
    }
}

#[test]
fn pointers_other_formats_and_torn_downloads_say_what_to_do() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 707396\n";
    for name in [CONFIG, WEIGHTS, SCHEDULER] {
        let folder = tempfile::tempdir().unwrap();
        flat(folder.path());
        fs::write(folder.path().join(name), pointer).unwrap();
        let words =
            [name, "is a pointer of Git LFS to a file of 707396 bytes, which was not fetched: run 'git lfs pull'"];
        refused(Model::open(folder.path()), &words);
    }
    for name in ["diffusion_pytorch_model.bin", "model.ckpt", "weights.pth"] {
        let folder = tempfile::tempdir().unwrap();
        [CONFIG, SCHEDULER].iter().for_each(|name| put(name, &folder.path().join(name)));
        fs::write(folder.path().join(name), "x").unwrap();
        let only = format!("the folder holds weights as {name} only");
        refused(Model::open(folder.path()), &[WEIGHTS, &only, "use_safetensors=False"]);
    }
    let folder = tempfile::tempdir().unwrap();
    [CONFIG, SCHEDULER].iter().for_each(|name| put(name, &folder.path().join(name)));
    refused(Model::open(folder.path()), &[WEIGHTS, "missing: the folder holds no weights"]);
    weights::write(&folder.path().join("diffusion_pytorch_model-00001-of-00002.safetensors"), &tensors());
    refused(
        Model::open(folder.path()),
        &["no index beside it says what diffusion_pytorch_model-00001-of-00002.safetensors"],
    );
    let whole = fs::read(shipped(WEIGHTS)).unwrap();
    for length in [4, 100, whole.len() - 1] {
        fs::write(folder.path().join(WEIGHTS), &whole[..length]).unwrap();
        refused(Model::open(folder.path()), &[WEIGHTS, "not a whole safetensors file"]);
    }
}

#[test]
fn prefixes_of_wrappers_are_taken_off_or_named() {
    for prefix in ["_orig_mod.", "module.", "_orig_mod.module."] {
        let folder = tempfile::tempdir().unwrap();
        flat(folder.path());
        let wrapped = |name: &String| format!("{prefix}{name}");
        let all: Tensors = tensors().iter().map(|(name, t)| (wrapped(name), t.clone())).collect();
        weights::write(&folder.path().join(WEIGHTS), &all);
        let said = same(folder.path());
        assert!(said.contains(&format!("without the prefix '{prefix}' of every tensor's name")), "{said}");

        let mut mixed = all.clone();
        mixed.insert("conv_in.bias".into(), mixed[&wrapped(&"conv_in.bias".into())].clone());
        weights::write(&folder.path().join(WEIGHTS), &mixed);
        refused(Model::open(folder.path()), &["missing, expected shape", prefix, "but not every name has that prefix"]);
        let mut more = all;
        more.insert(format!("{prefix}stranger"), Stored::f32(&[1], &[0.0]));
        weights::write(&folder.path().join(WEIGHTS), &more);
        refused(Model::open(folder.path()), &[&format!("tensor '{prefix}stranger' is not part of this network")]);
    }
}

/// The network of a pipeline with an autoencoder works on latents, wherever in it the user points; without that autoencoder
/// it is refused.
#[test]
fn latents_are_never_taken_for_images() {
    for part in ["vqvae", "vae", "movq"] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        [CONFIG, WEIGHTS].iter().for_each(|name| put(name, &at.join("unet").join(name)));
        put(SCHEDULER, &at.join("scheduler").join(SCHEDULER));
        let good = json!({
            "_class_name": "DDPMPipeline", "_diffusers_version": "0.42.1", "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        });
        fs::write(at.join("model_index.json"), good.to_string()).unwrap();
        same(at);
        same(&at.join("unet"));
        let mut latent = good.clone();
        latent[part] = json!(["diffusers", "VQModel"]);
        fs::write(at.join("model_index.json"), latent.to_string()).unwrap();
        for path in [at.to_path_buf(), at.join("unet")] {
            refused(Model::open(&path), &[part, "is not there", "works on that autoencoder's latents, not on images"]);
        }
        fs::remove_file(at.join("model_index.json")).unwrap();
        fs::create_dir(at.join(part)).unwrap();
        for path in [at.to_path_buf(), at.join("unet/")] {
            refused(Model::open(&path), &[&format!("{part}/config.json: cannot be opened")]);
        }
        fs::create_dir(at.join("another")).unwrap();
        fs::rename(at.join("another"), at.join(if part == "vae" { "vqvae" } else { "vae" })).unwrap();
        refused(Model::open(at), &["has several autoencoders", "on whose latents the network works is not known"]);
        ["vae", part, "vqvae"].iter().for_each(|p| drop(fs::remove_dir(at.join(p))));
        let mut other = good.clone();
        other["safety_checker"] = json!([null, null]);
        fs::write(at.join("model_index.json"), other.to_string()).unwrap();
        same(at);
        other["text_encoder"] = json!(["transformers", "CLIPTextModel"]);
        fs::write(at.join("model_index.json"), other.to_string()).unwrap();
        refused(Model::open(at), &["text_encoder", "not a part of a pipeline of images without conditions"]);
    }
}

/// A snapshot of a cache holds links to files named by their checksums.
#[test]
#[cfg(unix)]
fn snapshots_of_links_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join("models--somebody--ddpm");
    let (blobs, snapshot) = (entry.join("blobs"), entry.join("snapshots/abc"));
    fs::create_dir_all(&snapshot).unwrap();
    for (i, name) in [CONFIG, WEIGHTS, SCHEDULER].iter().enumerate() {
        put(name, &blobs.join(i.to_string()));
        std::os::unix::fs::symlink(format!("../../blobs/{i}"), snapshot.join(name)).unwrap();
    }
    fs::create_dir(entry.join("refs")).unwrap();
    fs::write(entry.join("refs/main"), "abc").unwrap();
    same(&entry);
    fs::write(entry.join("refs/main"), "gone").unwrap();
    refused(Model::open(&entry), &["refs/main", "names the revision 'gone', which is not among snapshots/"]);
}
