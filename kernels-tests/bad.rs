//! Bad input of every kind, for the rows of `errors`: files that lie, and the command lines that are given them.
//! In: a scratch folder. Out: the arguments of a command.
use crate::cli::text;
use crate::readers::record;
use crate::weights::{self, Tensors, hyper};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use vorticity::run::{Numbers, Part, PartArray, RunDir, Shard};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A small model in `folder/model` after `edit` of its tensors and its configuration.
pub fn model(folder: &Path, edit: impl Fn(&mut Tensors, &mut Value)) -> PathBuf {
    let mut tensors = weights::random(1, 4, &[2]);
    let mut config = json!({
        "vorticity_config": 1, "family": "mnist_shuffle_unet", "hyper": hyper(1, 4, &[2], 4), "prediction": "eps",
        "process": {"kind": "vp", "schedule": "cosine", "timesteps": weights::TIMESTEPS}, "data_range": [-1.0, 1.0],
    });
    edit(&mut tensors, &mut config);
    let model = folder.join("model");
    fs::create_dir(&model).unwrap();
    weights::write(&model.join("model.safetensors"), &tensors);
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    model
}

pub fn arguments(list: &[&str]) -> Vec<String> {
    list.iter().map(|a| a.to_string()).collect()
}

pub fn inspect(model: &Path) -> Vec<String> {
    arguments(&["inspect", text(model)])
}

/// `inspect` of an ONNX file of these bytes.
pub fn onnx(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let path = folder.join("model.onnx");
    fs::write(&path, bytes).unwrap();
    inspect(&path)
}

/// `inspect` of the small model after `edit` of its tensors.
pub fn tensors(folder: &Path, edit: impl Fn(&mut Tensors)) -> Vec<String> {
    inspect(&model(folder, |tensors, _| edit(tensors)))
}

/// `inspect` of the small model whose configuration has something else at a JSON pointer.
pub fn setting(folder: &Path, at: &str, value: Value) -> Vec<String> {
    inspect(&model(folder, |_, config| *config.pointer_mut(at).unwrap() = value.clone()))
}

/// `inspect` of the small model, one of whose files has these bytes.
pub fn replaced(folder: &Path, name: &str, edit: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<String> {
    let model = model(folder, |_, _| ());
    let path = model.join(name);
    fs::write(&path, edit(fs::read(&path).unwrap())).unwrap();
    inspect(&model)
}

/// `inspect` of the small model on the latents of an autoencoder of diffusers with that config.json and other weights.
pub fn encoded(folder: &Path, config: Value) -> Vec<String> {
    let model = model(folder, |_, config| config["autoencoder"] = json!("../vae"));
    let vae = folder.join("vae");
    fs::create_dir(&vae).unwrap();
    fs::write(vae.join("config.json"), config.to_string()).unwrap();
    fs::copy(model.join("model.safetensors"), vae.join("diffusion_pytorch_model.safetensors")).unwrap();
    inspect(&model)
}

/// A circulation of the Gaussian field on data of these bytes; the adapter is not reached.
pub fn data(folder: &Path, name: &str, bytes: &[u8]) -> Vec<String> {
    let path = folder.join(name.split('#').next().unwrap());
    fs::write(&path, bytes).unwrap();
    let spec = format!("{}{}", path.display(), &name[name.find('#').unwrap_or(name.len())..]);
    arguments(&["circulation", "field:gaussian", "--data", &spec, "--samples", "1", "--out", text(&folder.join("out"))])
}

/// A verb on the small model or a closed form, and exact samples of 1x2x4.
pub fn verb(folder: &Path, verb: &str, more: &[&str]) -> Vec<String> {
    let own =
        [verb, "field:gaussian", "--data", "data:gaussian", "--shape", "1x2x4", "--samples", "2", "--timesteps", "5"];
    let out = folder.join("out");
    let mut list = own.to_vec();
    if !more.contains(&"--out") {
        list.extend(["--out", text(&out)]);
    }
    for pair in more.chunks(2) {
        match list.iter().position(|a| *a == pair[0]) {
            Some(at) => list[at + 1] = pair[1],
            None => list.extend(pair),
        }
    }
    arguments(&list)
}

/// `inspect` of a folder of diffusers, one of whose files has this text or is not there.
pub fn folder_of(folder: &Path, name: &str, text: Option<&str>) -> Vec<String> {
    let from = Path::new(ROOT).join("assets/golden/diffusers_ddpm");
    for name in ["config.json", "diffusion_pytorch_model.safetensors", "scheduler_config.json"] {
        assert!(fs::copy(from.join(name), folder.join(name)).unwrap() > 0);
    }
    match text {
        Some(text) => fs::write(folder.join(name), text).unwrap(),
        None => fs::remove_file(folder.join(name)).unwrap(),
    }
    inspect(folder)
}

/// `inspect` of a folder of diffusers whose scheduler's config has these pairs.
pub fn scheduler(folder: &Path, pairs: &str) -> Vec<String> {
    folder_of(folder, "scheduler_config.json", Some(&format!("{{{pairs}}}")))
}

pub fn idx(kind: u8, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|n| n.to_be_bytes()).collect();
    [&[0, 0, kind, sizes.len() as u8 / 4][..], &sizes, data].concat()
}

pub fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\0", &(header.len() as u16 + 1).to_le_bytes()[..], header.as_bytes(), b"\n", data].concat()
}

pub fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    npy(&header, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

pub fn seed(reader: &str, name: &str) -> Vec<u8> {
    fs::read(Path::new(ROOT).join("kernels-tests/seeds").join(reader).join(name)).unwrap()
}

/// The shard `number` of two of a likelihood in `folder/number`, whose facts are these.
pub fn shard(folder: &Path, number: usize, facts: Value) -> String {
    let rows = PartArray { name: "rows".into(), shape: vec![1, 6], axis: Some(0), values: Numbers::F64(vec![1.0; 6]) };
    let shard = Shard::new(number, 2).unwrap();
    let part = Part {
        measure: &vorticity::measures::Likelihood,
        shard,
        samples: 2,
        facts,
        arrays: vec![rows],
        worst: 0.0,
        origin: None,
    };
    let out = folder.join(number.to_string());
    let dir = RunDir::create(&out).unwrap();
    part.write(&dir, &json!({"measure": "likelihood"}), "t", &json!({})).unwrap();
    dir.finish().unwrap();
    text(&out).to_string()
}

pub fn merge(folder: &Path, shards: &[&str]) -> Vec<String> {
    let out = folder.join("out");
    arguments(&[&["merge", "--out", text(&out)], shards].concat())
}

/// A journal in `folder/out.partial`.
pub fn journal(folder: &Path, bytes: &[u8]) -> Vec<String> {
    fs::create_dir(folder.join("out.partial")).unwrap();
    fs::write(folder.join("out.partial/journal"), bytes).unwrap();
    verb(folder, "circulation", &["--paths", "rotation", "--points", "4"])
}

/// A journal of another run, with one record.
pub fn elsewhere() -> Vec<u8> {
    let mut journal = b"vorticity journal 3\n".to_vec();
    record(&mut journal, &[u64::MAX, 0, 0, 0].map(u64::to_le_bytes).concat(), br#"{"seed": 7}"#);
    record(&mut journal, &[1, 0, 1, 1].map(u64::to_le_bytes).concat(), &[0; 8]);
    journal
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(vec![], Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A circulation of the Gaussian field on a folder with one file.
pub fn pictures(folder: &Path, name: &str, bytes: &[u8]) -> Vec<String> {
    let mut arguments = data(folder, "other", b"");
    let pictures = folder.join("pictures");
    fs::create_dir(&pictures).unwrap();
    fs::write(pictures.join(name), bytes).unwrap();
    arguments[3] = text(&pictures).into();
    arguments
}

/// A circulation of scores that were evaluated on loops of the seed of this name.
pub fn scores(folder: &Path, name: &str) -> Vec<String> {
    let (loops, scores) = (folder.join("loops.npz"), folder.join("x.npy"));
    fs::write(&loops, seed("npz", name)).unwrap();
    fs::write(&scores, floats("(2, 1, 2)", &[0.0; 4])).unwrap();
    let out = folder.join("out");
    arguments(&["integrate", text(&scores), "--exported", text(&loops), "--out", text(&out)])
}
