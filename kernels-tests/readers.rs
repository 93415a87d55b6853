//! Every reader of files, given any bytes at all: it must take them or refuse them in one line that names the file. In: a
//! scratch folder and what the file holds. Out: nothing, or a panic. `hostile` runs them on damaged files, `fuzz/` on
//! whatever a fuzzer makes of them.
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::data::{Array, load};
use vorticity::dual::Dual;
use vorticity::error::Error;
use vorticity::field::{self, ScoreScale};
use vorticity::measures::MEASURES;
use vorticity::measures::circulation::{Scores, integrate};
use vorticity::model::{Autoencoder, AutoencoderModel, Config, Model, Weights, init};
use vorticity::onnx::{self, Budget, Port, Roles, Tensor};
use vorticity::report::stored;
use vorticity::run::{ExportedFile, RunDir, merge};
use vorticity::shape::Shape;
use vorticity::summary::Results;
use vorticity::summary::pairs::pairs;
use vorticity::verify::Case;

/// Name of the target and of its seeds, and what reads.
pub const READERS: &[(&str, fn(&Path, &[u8]))] = &[
    ("config", config),
    ("idx", idx),
    ("journal", journal),
    ("npy", npy),
    ("npz", npz),
    ("onnx", onnx),
    ("png", png),
    ("run", run),
    ("safetensors", safetensors),
];

/// Writes a file of the scratch folder, folders on the way included.
fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The value, or none: a refusal is called bad input, names what it is about, and is one line as a terminal shows it.
fn answer<T>(result: Result<T, Error>, about: &str) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let said = error.to_string();
    assert!(error.exit_code() == 2 && said.contains(": ") && said.contains(about), "{said:?} about {about:?}");
    assert!(!said.chars().any(char::is_control), "{said:?}");
    None
}

/// All values of an array.
fn values(spec: &str, about: &str) {
    let Some(mut array) = answer(Array::open(spec), about) else { return };
    let (mut values, count) = (vec![], array.dims().iter().product());
    if answer(array.read(&mut values, count), about).is_some() {
        assert_eq!(values.len(), count);
    }
}

/// All images of a file or folder.
fn images(spec: &str, limit: usize, about: &str) {
    if let Some(images) = answer(load(spec, limit, [-1.0, 1.0]), about) {
        assert_eq!(images.values.len(), images.count * images.shape.len());
        assert!(images.values.iter().all(|v| v.is_finite()));
    }
}

/// An IDX file, gzipped or not.
pub fn idx(folder: &Path, bytes: &[u8]) {
    let path = file(folder, "images-idx3-ubyte", bytes);
    for limit in [2, usize::MAX] {
        images(path.to_str().unwrap(), limit, "images-idx3-ubyte");
    }
}

/// An NPY file, gzipped or not, as images and as an array of any rank.
pub fn npy(folder: &Path, bytes: &[u8]) {
    let path = file(folder, "array.npy", bytes);
    images(path.to_str().unwrap(), usize::MAX, "array.npy");
    values(path.to_str().unwrap(), "array.npy");
}

/// An NPZ file as images, as an array by name, and as exported loops with scores.
pub fn npz(folder: &Path, bytes: &[u8]) {
    let path = file(folder, "arrays.npz", bytes);
    let named = |name: &str| format!("{}#{name}", path.display());
    images(path.to_str().unwrap(), usize::MAX, "arrays.npz");
    for name in ["x", "../x", "paths"] {
        values(&named(name), "arrays.npz");
    }
    let Some(loops) = answer(ExportedFile::open(&path), "arrays.npz") else { return };
    let Some(scores) = answer(Array::open(named("points")), "arrays.npz") else { return };
    let scores = Scores { midpoints: scores, gauss: None, repeated: None };
    answer(integrate(loops, scores, &mut |_| ControlFlow::Continue(())), "arrays.npz");
}

/// An ONNX file: read, made a graph by each input of real numbers that may be x, the others zero, and computed in f64.
pub fn onnx(folder: &Path, bytes: &[u8]) {
    let path = file(folder, "model.onnx", bytes);
    file(folder, "model.onnx.data", &[0; 64]);
    let Some(file) = answer(onnx::File::open(&path), "model.onnx").map(Arc::new) else { return };
    let zeros = |port: &Port| -> Option<Tensor> {
        let shape: Vec<usize> = port.shape.iter().flatten().map(|n| n.clone().unwrap_or(1)).collect();
        let n = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= 1 << 12)?;
        Some(match port.element {
            Some(element) if !element.is_float() => Tensor::int(shape, vec![0; n]),
            _ => Tensor::float(shape, vec![Dual::new(0.25, 1.0); n]),
        })
    };
    let Some(given) = file.inputs.iter().map(zeros).collect::<Option<Vec<_>>>() else { return };
    let names = || file.inputs.iter().map(|p| p.name.as_str());
    for x in names().take(3) {
        let others = names().zip(&given).filter(|(name, _)| *name != x);
        let roles = Roles {
            x: x.into(),
            label: None,
            contexts: others.map(|(name, t)| (name.to_string(), vec![t.clone()])).collect(),
            shape: vec![],
            output: file.outputs[0].name.clone(),
            channels: None,
        };
        answer(onnx::import(&file, &roles), "");
    }
    let inputs = names().zip(given.iter().cloned()).collect();
    answer(file.evaluate_within(inputs, &Budget::of(file.bytes)), "");
}

/// A folder of two equal PNG files.
pub fn png(folder: &Path, bytes: &[u8]) {
    for name in ["a.png", "b.png"] {
        file(folder, &format!("pictures/{name}"), bytes);
    }
    images(folder.join("pictures").to_str().unwrap(), usize::MAX, "pictures");
}

/// A safetensors file as weights, as images, as an array, as a mixture, and as the case of `verify`.
pub fn safetensors(folder: &Path, bytes: &[u8]) {
    let path = file(folder, "case.safetensors", bytes);
    let about = "case.safetensors";
    if let Some(weights) = answer(Weights::open(&path), about) {
        answer(weights.take("x", &[2, 3]), about);
        answer(weights.take_1d("y"), about);
        answer(weights.finish(&["z"]), about);
    }
    for spec in [format!("{}", path.display()), format!("{}#x", path.display())] {
        images(&spec, usize::MAX, about);
        values(&spec, about);
    }
    let mixture = format!("field:mixture?file={}", path.display());
    answer(field::open(&mixture, Some(Shape::new(1, 1, 2)), ScoreScale::Definition), about);
    file(folder, "config.json", br#"{"family": "ncsnpp", "hyper": {}}"#);
    if let Some(case) = answer(Case::open(folder), about) {
        answer(case.rows("x", &[3]), about);
        answer(case.scalar("y"), about);
    }
}

/// One tensor, which no network knows.
const WEIGHTS: &[u8] = b"\x38\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  \0\0\0\0";

/// `config.json` of a model, of an autoencoder and of diffusers (whose scheduler's follows a NUL), beside weights of no use;
/// where its sizes are small, the network itself with random weights.
pub fn config(folder: &Path, bytes: &[u8]) {
    let (config, scheduler) = two(bytes);
    let path = file(folder, "model/config.json", config);
    file(folder, "model/scheduler_config.json", scheduler);
    for name in ["model", "diffusion_pytorch_model"] {
        file(folder, &format!("model/{name}.safetensors"), WEIGHTS);
    }
    answer(Model::open(folder.join("model")), "/model");
    answer(AutoencoderModel::open(&folder.join("model")), "/model");
    let Ok(value) = serde_json::from_slice::<Value>(config) else { return };
    if sum(&value["hyper"]) > 80 {
        return;
    }
    if let Some(config) = answer(Config::read(&path), "config.json") {
        answer(init(&config, 0), "");
    }
    let family = value["family"].as_str().unwrap_or_default();
    answer(Autoencoder::new(family, &value["hyper"], &Weights::random(0)), "");
}

/// Of all numbers, and of things to count.
fn sum(value: &Value) -> u64 {
    let all = |values: &mut dyn Iterator<Item = &Value>| values.map(sum).fold(0, u64::saturating_add);
    match value {
        Value::Object(members) => all(&mut members.values()),
        Value::Array(values) => all(&mut values.iter()),
        _ => value.as_u64().unwrap_or(0),
    }
}

/// The journal of an unfinished run: as it lies, or, if the first byte is odd, with every checksum made right; read to its
/// end and gone on with.
pub fn journal(folder: &Path, bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    file(folder, "out.partial/journal", &if kind % 2 == 1 { right(rest) } else { rest.to_vec() });
    let Some(mut dir) = answer(RunDir::create(&folder.join("out")), "out") else { return };
    let Some(mut journal) = answer(dir.journal(&json!({"seed": 0})), "journal") else { return };
    let mut first = 0u64;
    while let Some(Some((count, _, values))) = answer(journal.next::<f64>(1, first), "journal") {
        assert!(8 * values.len() <= bytes.len());
        first = first.saturating_add(count);
    }
    answer(journal.append(1, first, 1, 1, &[1.0f64]), "journal");
}

/// A journal of the configuration above whose records are as long as they say and whose checksums are right: of each, 40
/// bytes of head, then as many bytes of values as the first of the head's last eight says.
fn right(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = b"vorticity journal 3\n".to_vec();
    let configuration = br#"{"seed":0}"#;
    record(&mut whole, &[u64::MAX, 0, 0, 0].map(u64::to_le_bytes).concat(), configuration);
    while rest.len() >= 40 {
        let (head, values) = rest.split_at(40);
        let (values, after) = values.split_at(usize::from(head[32]).min(values.len()));
        record(&mut whole, &head[..32], values);
        rest = after;
    }
    whole
}

/// Appends a record: stage, first, count and lanes, then the values.
pub fn record(journal: &mut Vec<u8>, head: &[u8], values: &[u8]) {
    journal.extend_from_slice(head);
    journal.extend_from_slice(&(values.len() as u64).to_le_bytes());
    journal.extend_from_slice(values);
    let digest = Sha256::digest(&journal);
    journal.extend_from_slice(&digest[..8]);
}

/// A run directory and a shard, read back: a manifest and, after a NUL, the NPZ, whose checksum in the manifest is made right.
pub fn run(folder: &Path, bytes: &[u8]) {
    let (manifest, arrays) = two(bytes);
    let names: Vec<&str> = MEASURES.iter().map(|m| m.name()).collect();
    let sum: String = Sha256::digest(arrays).iter().map(|b| format!("{b:02x}")).collect();
    let files = || names.iter().chain(&["shard"]).map(|name| format!("{name}.npz"));
    let manifest = match serde_json::from_slice(manifest) {
        Ok(Value::Object(mut manifest)) => {
            let sums: Map<_, _> = files().map(|name| (name, json!({"sha256": sum}))).collect();
            manifest.insert("files".into(), sums.into());
            Value::Object(manifest).to_string().into_bytes()
        }
        _ => manifest.to_vec(),
    };
    files().for_each(|name| drop(file(folder, &format!("run/{name}"), arrays)));
    file(folder, "run/manifest.json", &manifest);
    file(folder, "run/run_log.json", b"{}");
    if let Some(stored) = answer(stored::read(&folder.join("run")), "run") {
        answer(Results::of(&stored.table), "");
    }
    let Some(merged) = answer(merge(&[folder.join("run")], MEASURES), "") else { return };
    if let Some(table) = answer(merged.part.finish(), "") {
        answer(Results::of(&table), "");
        answer(table.measure.text(&table), "");
        answer(pairs(&table, 0), "");
    }
}

/// Both parts of the bytes around the first NUL.
fn two(bytes: &[u8]) -> (&[u8], &[u8]) {
    let cut = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default())
}
