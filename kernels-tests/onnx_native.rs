//! Imported networks beside those of the native readers: as many steps of every kernel, of as many operations and bytes, and the same
//! values; and what files spell out as arithmetic is found to be the op that it means.
use crate::common::{builder, evaluate, families, gpu, max_norm_error, noise, ports};
use crate::families::random;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::graph::Graph;
use vorticity::model::Model;
use vorticity::onnx::{File, Roles, import};
use vorticity::passes::lower;
use vorticity::target::KernelFamily;
use vorticity::twin;

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)
}

/// The network of a file whose inputs are x and the label, of the native one's shapes and labels.
fn imported(path: &Path, native: &Graph) -> Graph {
    let file = Arc::new(File::open(path).unwrap());
    let [x, label] = &file.inputs[..] else { panic!("{}: {:?}", path.display(), file.inputs) };
    let s = native.end_shapes().unwrap()[0];
    let roles = Roles {
        x: x.name.clone(),
        label: Some(label.name.clone()),
        contexts: BTreeMap::new(),
        shape: vec![s.c, s.h, s.w],
        output: file.outputs[0].name.clone(),
        channels: None,
    };
    let graph = import(&file, &roles).unwrap_or_else(|e| panic!("{}: {e}", path.display())).graph;
    Graph { labels: native.labels.clone(), ..graph }
}

/// How many steps there are of each kernel, with its constants, threads, operations and bytes. Gains and shifts of all channels
/// and of each are one kind: a file's factor that depends on the label has a number for each.
fn steps(graph: &Graph, family: KernelFamily, tangents: u32) -> BTreeMap<String, usize> {
    let mut program = builder(family, tangents, None);
    let ports = ports(&mut program, graph);
    lower(graph, &[3], &ports, &mut program).unwrap();
    let mut counts = BTreeMap::new();
    for step in program.finish().unwrap().steps() {
        let kernel = match step.op {
            "affine" | "modulate" => "gain and shift".into(),
            _ => format!("{} {:?}", step.op, step.kernel),
        };
        let key = format!("{kernel} {:?} {:?} {} {}", step.role, step.grid, step.flops, step.bytes);
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

fn same_steps(path: &Path, native: &Graph, imported: &Graph) {
    for family in [KernelFamily::Cpu, KernelFamily::Gpu] {
        for tangents in [0, 3] {
            let (wanted, found) = (steps(native, family, tangents), steps(imported, family, tangents));
            let place = format!("{}, {}, {tangents} tangents", path.display(), family.name());
            let more: Vec<_> = found.iter().filter(|(key, n)| wanted.get(*key) != Some(n)).collect();
            let less: Vec<_> = wanted.iter().filter(|(key, n)| found.get(*key) != Some(n)).collect();
            assert!(more.is_empty() && less.is_empty(), "{place}: found {more:#?}, expected {less:#?}");
        }
    }
}

#[test]
fn a_shuffle_unet_of_either_exporter_has_the_native_steps() {
    let facts: Value = serde_json::from_slice(&std::fs::read(asset("onnx/mnist/case.json")).unwrap()).unwrap();
    let own = &facts["config"];
    let hyper = json!({
        "timesteps": own["timesteps"], "time_embedding_dim": own["time_embedding_dim"], "in_channels": own["channels"],
        "out_channels": own["channels"], "base_dim": own["base_dim"], "dim_mults": own["dim_mults"], "image_size": own["size"],
    });
    let native = random("mnist_shuffle_unet", hyper, json!({ "kind": "vp", "schedule": "cosine", "timesteps": 1000 }));
    for name in ["model.onnx", "legacy_opset11.onnx"] {
        let path = asset("onnx/mnist").join(name);
        same_steps(&path, &native, &imported(&path, &native));
    }
}

/// Values in f64.
fn values(graph: &Graph, x: &[f32], k: usize) -> Vec<f64> {
    twin::evaluate(graph, &Dual::lift(x), k).unwrap().into_iter().map(|y| y.v).collect()
}

#[test]
fn networks_of_diffusers_have_the_native_steps_and_values() {
    let gpu = gpu();
    // How far a file's own constants, rounded to f32, move the values: phases of hundreds of turns in NCSN++.
    for (name, rounded) in [("diffusers_ddpm", 0.0), ("diffusers_ncsnpp", 1e-5)] {
        let folder = asset("golden").join(name);
        let path = folder.join("exported.onnx");
        let [native, imported] = [&folder, &path].map(|path| Model::open(path).unwrap().graph);
        same_steps(&path, &native, &imported);
        let (ks, d) = ([20, 700], native.end_shapes().unwrap()[0].len());
        let x = noise(ks.len() * d, 7);
        let apart = x.chunks(d).zip(ks).map(|(x, k)| {
            let found: Vec<f32> = values(&imported, x, k).into_iter().map(|y| y as f32).collect();
            max_norm_error(&found, &values(&native, x, k)).min(rounded)
        });
        let apart: Vec<f64> = apart.collect();
        for family in families(&gpu) {
            let [wanted, found] = [&native, &imported].map(|graph| evaluate(&gpu, graph, family, &x, &ks));
            for (i, (wanted, found)) in wanted.chunks(d).zip(found.chunks(d)).enumerate() {
                let wanted: Vec<f64> = wanted.iter().map(|&y| y.into()).collect();
                let gap = max_norm_error(found, &wanted) - apart[i];
                assert!(gap <= 2e-6, "{name}, {}, timestep {}: {gap:e}", family.name(), ks[i]);
            }
        }
    }
}

#[test]
fn what_an_older_opset_spells_out_is_found() {
    let path = asset("onnx/spelled/legacy_opset11.onnx");
    let file = Arc::new(File::open(&path).unwrap());
    let roles = Roles {
        x: "x".into(),
        label: None,
        contexts: BTreeMap::new(),
        shape: vec![],
        output: "y".into(),
        channels: None,
    };
    let graph = import(&file, &roles).unwrap().graph;
    let mut program = builder(KernelFamily::Gpu, 0, None);
    let ports = ports(&mut program, &graph);
    lower(&graph, &[0], &ports, &mut program).unwrap();
    let mut counts = BTreeMap::new();
    for step in program.finish().unwrap().steps() {
        *counts.entry(step.op).or_insert(0) += 1;
    }
    let wanted = [("conv", 1), ("conv 1x1", 4), ("input", 1), ("layer_norm", 2), ("output", 1), ("rms_norm", 1)];
    assert_eq!(counts, BTreeMap::from(wanted));
}
