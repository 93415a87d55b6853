//! ONNX files: the f64 interpreter and the imported graph against third-party values and tangents, on the adapter in both families;
//! files that are refused, and what is never read.
use crate::common::{families, gpu};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::onnx::{Data, File, Imported, Roles, Tensor, import, supported};
use vorticity::twin;

/// Samples and tangents of a case.
const SAMPLES: usize = 2;
const TANGENTS: usize = 3;

struct Case {
    folder: PathBuf,
    facts: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>, bool)>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/onnx");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 6, "{folders:?}");
    folders.into_iter().map(Case::open).collect()
}

impl Case {
    fn open(folder: PathBuf) -> Self {
        let facts = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
        let bytes = std::fs::read(folder.join("case.safetensors")).unwrap();
        let read = |t: safetensors::tensor::TensorView| -> (Vec<f64>, bool) {
            let data = t.data();
            match t.dtype() {
                safetensors::Dtype::F32 => {
                    (bytemuck::pod_collect_to_vec::<u8, f32>(data).into_iter().map(f64::from).collect(), false)
                }
                safetensors::Dtype::F64 => (bytemuck::pod_collect_to_vec(data), false),
                _ => (bytemuck::pod_collect_to_vec::<u8, i64>(data).into_iter().map(|n| n as f64).collect(), true),
            }
        };
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
        let tensors = tensors.into_iter().map(|(name, t)| {
            let shape = t.shape().to_vec();
            let (values, whole) = read(t);
            (name, (shape, values, whole))
        });
        Self { folder, facts, tensors: tensors.collect() }
    }

    /// Its files and their inputs: name and role, in order. Those of another exporter have rounded constants of their own.
    fn files(&self) -> Vec<(PathBuf, Vec<(String, String)>, bool)> {
        let text = |v: &Value| v.as_str().unwrap().to_string();
        let inputs =
            |f: &Value| f["inputs"].as_array().unwrap().iter().map(|i| (text(&i["name"]), text(&i["role"]))).collect();
        let files = self.facts["files"].as_object().unwrap().iter();
        let files = files.map(|(name, f)| (self.folder.join(name), inputs(f), name == "model.onnx"));
        files.filter(|(path, ..)| path.exists()).collect()
    }

    /// One sample of a tensor.
    fn sample(&self, name: &str, s: usize) -> (Vec<usize>, &[f64], bool) {
        let (shape, values, whole) = &self.tensors[name];
        let n = values.len() / SAMPLES;
        let mut shape = shape.clone();
        shape[0] = 1;
        (shape, &values[s * n..(s + 1) * n], *whole)
    }

    fn tensor(&self, role: &str, s: usize) -> Tensor {
        let (shape, values, whole) = self.sample(role, s);
        match whole {
            true => Tensor::int(shape, values.iter().map(|&v| v as i64).collect()),
            false => Tensor::float(shape, values.iter().map(|&v| Dual::constant(v)).collect()),
        }
    }

    /// The tensor x, moving along the first tangent.
    fn moving(&self, s: usize) -> Tensor {
        let (shape, x, _) = self.sample("x", s);
        let (_, v, _) = self.sample("v", s);
        Tensor::float(shape, x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect())
    }

    fn imported(&self, file: &Arc<File>, inputs: &[(String, String)], s: usize) -> (Imported, f64) {
        let named = |role: &str| inputs.iter().find(|i| i.1 == role).map(|i| i.0.clone());
        let besides = inputs.iter().filter(|i| i.1 != "x" && i.1 != "t");
        let roles = Roles {
            x: named("x").unwrap(),
            label: named("t"),
            contexts: besides.map(|(name, role)| (name.clone(), vec![self.tensor(role, s)])).collect(),
            shape: vec![],
            output: file.outputs[0].name.clone(),
            channels: None,
        };
        let label = named("t").map_or(0.0, |_| self.sample("t", s).1[0]);
        let imported = import(file, &roles).unwrap_or_else(|e| panic!("{}: {e}", file.path.display()));
        (imported, label)
    }
}

/// Largest distance, of the largest number wanted.
fn gap(found: impl IntoIterator<Item = f64>, wanted: &[f64]) -> f64 {
    let most = wanted.iter().fold(f64::MIN_POSITIVE, |m, w| m.max(w.abs()));
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), wanted.len());
    let gaps = found.iter().zip(wanted).map(|(f, w)| (f - w).abs() / most);
    gaps.fold(0.0, |m: f64, g| if g.is_nan() { f64::INFINITY } else { m.max(g) })
}

/// Values and first tangents that a file should have: its own, or those of the module it was exported from, and how near.
fn wanted(case: &Case, s: usize, own: bool) -> (&[f64], &[f64], f64) {
    let (f, jvp) = if own { ("graph.f", "graph.jvp") } else { ("f", "jvp") };
    // Constants of another exporter are rounded to f32, phases of a thousand then differ by 1e-5.
    (case.sample(f, s).1, case.sample(jvp, s).1, if own { 1e-12 } else { 1e-5 })
}

#[test]
fn the_interpreter_agrees_with_others_in_double_precision() {
    for case in cases() {
        for (path, inputs, own) in case.files() {
            let file = File::open(&path).unwrap();
            for s in 0..SAMPLES {
                let value = |role: &str| if role == "x" { case.moving(s) } else { case.tensor(role, s) };
                let given = inputs.iter().map(|(name, role)| (name.as_str(), value(role))).collect();
                let made = file.evaluate(given).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                let Data::Float(y) = &made[0].data else { panic!("{}", path.display()) };
                let (f, jvp, near) = wanted(&case, s, own);
                let gaps = [gap(y.iter().map(|y| y.v), f), gap(y.iter().map(|y| y.d), &jvp[..y.len()])];
                assert!(gaps.iter().all(|g| *g <= near), "{} sample {s}: {gaps:?}", path.display());
            }
        }
    }
}

#[test]
fn imported_networks_agree_on_the_adapter_in_every_family() {
    let gpu = gpu();
    for case in cases() {
        for (path, inputs, own) in case.files() {
            let file = Arc::new(File::open(&path).unwrap());
            for s in 0..SAMPLES {
                let (imported, label) = case.imported(&file, &inputs, s);
                let mut graph = imported.graph;
                graph.labels = Some(vec![label]);
                let f32s = |name: &str| case.sample(name, s).1.iter().map(|&v| v as f32).collect::<Vec<_>>();
                let (x, v, (f, jvp, near)) = (f32s("x"), f32s("v"), wanted(&case, s, own));
                let twin = twin::evaluate(&graph, &Dual::along(&x, &v[..x.len()]), 0).unwrap();
                let gaps = [gap(twin.iter().map(|y| y.v), f), gap(twin.iter().map(|y| y.d), &jvp[..twin.len()])];
                assert!(gaps.iter().all(|g| *g <= near), "twin of {} sample {s}: {gaps:?}", path.display());
                for family in families(&gpu) {
                    let gpu = gpu.clone().with_family(family);
                    let room = Room { samples: 1, tangents: TANGENTS, cotangents: 0 };
                    let (y, jv) =
                        Evaluator::with_tangents(&gpu, &graph, &[0], room).unwrap().jvp(&x, &v, &[0]).unwrap();
                    let gaps = [gap(y.iter().map(|&y| y.into()), f), gap(jv.iter().map(|&y| y.into()), jvp)];
                    let place = format!("{} sample {s}, {}", path.display(), family.name());
                    assert!(gaps[0] <= 2e-5 && gaps[1] <= 1e-4, "{place}: {gaps:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_model_is_refused_by_what_it_looks_like() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(cases()[0].folder.join("model.onnx")).unwrap();
    let refused = |bytes: &[u8], said: &str| {
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, bytes).unwrap();
        let message = File::open(&path).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    };
    refused(b"", "the file is empty");
    refused(&[0x80, 2, b'}', b'q', 0], "a pickle");
    refused(b"PK\x03\x04....", "a ZIP archive");
    refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 45458109\n", "45458109");
    refused(&whole[..whole.len() / 2], "the file ends inside a field");
    refused(&whole[..whole.len() - 1], "the file ends inside a field");
    refused(&[8, 8], "does not say which version");
}

#[test]
fn weights_beside_a_model_are_read_from_its_folder_alone() {
    let case = cases().into_iter().find(|c| c.folder.ends_with("mixer")).unwrap();
    let (model, data) = (case.folder.join("model.onnx"), case.folder.join("model.onnx.data"));
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let path = inside.join("model.onnx");
    let refused = |said: &str| {
        let message = File::open(&path).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    };
    std::fs::copy(&model, &path).unwrap();
    refused("its bytes are in 'model.onnx.data', which is not beside model.onnx");
    let bytes = std::fs::read(&data).unwrap();
    std::fs::write(inside.join("model.onnx.data"), &bytes[..bytes.len() - 8]).unwrap();
    refused("of model.onnx.data, which has");
    std::fs::write(inside.join("model.onnx.data"), &bytes).unwrap();
    assert!(File::open(&path).is_ok());
    // A name that leaves the folder, of as many letters.
    let text = std::fs::read(&model).unwrap();
    let (own, other) = (b"model.onnx.data", b"../secret.bytes");
    let left: Vec<u8> = {
        let mut left = text.clone();
        for at in 0..text.len() - own.len() {
            if &text[at..at + own.len()] == own {
                left[at..at + own.len()].copy_from_slice(other);
            }
        }
        left
    };
    std::fs::write(folder.path().join("secret.bytes"), &bytes).unwrap();
    std::fs::write(&path, left).unwrap();
    refused("leaves the model's folder: refused");
    #[cfg(unix)]
    {
        std::fs::copy(&model, &path).unwrap();
        std::fs::remove_file(inside.join("model.onnx.data")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.bytes"), inside.join("model.onnx.data")).unwrap();
        refused("leaves the model's folder: refused");
        // A cache of the hub holds links to what lies in the same model's entry.
        let entry = folder.path().join("models--somebody--mixer");
        let (blobs, revision) = (entry.join("blobs"), entry.join("snapshots/one"));
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::create_dir_all(&revision).unwrap();
        for (blob, file) in [("a", &model), ("b", &data)] {
            std::fs::copy(file, blobs.join(blob)).unwrap();
            let name = file.file_name().unwrap();
            std::os::unix::fs::symlink(Path::new("../../blobs").join(blob), revision.join(name)).unwrap();
        }
        assert!(File::open(&revision.join("model.onnx")).is_ok());
    }
}

#[test]
fn inputs_that_nobody_named_are_asked_for() {
    let case = cases().into_iter().find(|c| c.folder.ends_with("toy_mlp")).unwrap();
    let file = Arc::new(File::open(&case.folder.join("model.onnx")).unwrap());
    let output = file.outputs[0].name.clone();
    let roles = |x: &str, label: Option<&str>| Roles {
        x: x.into(),
        label: label.map(String::from),
        contexts: BTreeMap::new(),
        shape: vec![],
        output: output.clone(),
        channels: None,
    };
    let said = |roles: &Roles| import(&file, roles).map(|_| ()).unwrap_err().to_string();
    assert!(said(&roles("y", Some("t"))).contains("expected one of x, t"));
    assert!(said(&roles("x", None)).contains("input 't': is neither x, the label nor a condition"));
    assert!(import(&file, &roles("x", Some("t"))).is_ok());
    assert!(supported().count() > 60);
}
