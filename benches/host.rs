//! Times of the code that runs on the host beside the GPU: planning, files, points of the twin, the journal, statistics.
//! None of it should ever be what a run waits for. `cargo bench --bench host [NAME]`.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::hint::black_box;
use std::path::Path;
use vorticity::gpu;
use vorticity::graph::Graph;
use vorticity::model::{self, Model, Weights};
use vorticity::passes::{Ports, lower};
use vorticity::paths::philox::{Purpose, Stream, philox4x32};
use vorticity::paths::{Anchor, Lane, lane, of_the_paper};
use vorticity::program::{Builder, Kernel, Program, Role};
use vorticity::run::{Array, Numbers, RunDir, write_arrays};
use vorticity::shaders::assemble;
use vorticity::summary::BoxStats;
use vorticity::target::{KernelFamily, Target};

const MNIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/mnist");

/// What a network's plan is made of.
fn plan(graph: &Graph, family: KernelFamily) -> Program {
    let mut program = Builder::new(Target::of(family), 0);
    let [input, output] = graph.end_shapes().expect("one input and one output").map(|s| 4 * s.flat_stride() as u64);
    let ports = Ports::one(
        program.buffer("x", input, Role::Upload),
        program.buffer("y", output, Role::Download),
        program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
    );
    lower(graph, &[500], &ports, &mut program).expect("the network can be planned");
    program.finish().expect("its steps are those of every adapter")
}

fn planner(c: &mut Criterion) {
    let mnist = Model::open(MNIST).expect("the model that ships").graph;
    for family in [KernelFamily::Cpu, KernelFamily::Gpu] {
        c.bench_function(&format!("plan mnist, {}", family.name()), |b| b.iter(|| plan(&mnist, family)));
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let config = model::configuration("ncsnpp", "celebahq-256").expect("a preset");
    let weights = folder.path().join("model.safetensors");
    std::fs::write(&weights, model::init(&config, 1).expect("random weights").weights).expect("written");
    let mut group = c.benchmark_group("ncsnpp 256");
    group.sample_size(10);
    let open = || model::network(&config.family, &config.hyper, &weights).expect("it can be read").0;
    group.bench_function("read and build", |b| b.iter_with_large_drop(open));
    let graph = open();
    group.bench_function("plan, igemm", |b| b.iter_with_large_drop(|| plan(&graph, KernelFamily::Gpu)));
    group.finish();
}

/// What stands between a plan and the driver: every kernel of the MNIST network once.
fn shaders(c: &mut Criterion) {
    let mnist = Model::open(MNIST).expect("the model that ships").graph;
    let mut group = c.benchmark_group("kernels of mnist, cc");
    group.sample_size(10);
    let mut kernels: Vec<Kernel> = vec![];
    for step in plan(&mnist, KernelFamily::Cpu).steps() {
        if !kernels.contains(&step.kernel) {
            kernels.push(step.kernel.clone());
        }
    }
    let assembled =
        || -> Vec<String> { kernels.iter().map(|k| assemble(k.shader, &k.constants).expect("it is whole")).collect() };
    group.bench_function("assemble", |b| b.iter(assembled));
    let capabilities = Capabilities::IMMEDIATES | Capabilities::SHADER_INT64 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let parsed = |texts: &[String]| -> Vec<naga::Module> {
        let options = || naga::front::wgsl::Options { parse_doc_comments: false, capabilities };
        let parse = |text: &String| naga::front::wgsl::Frontend::new_with_options(options()).parse(text);
        texts.iter().map(|text| parse(text).expect("it is WGSL")).collect()
    };
    let texts = assembled();
    group.bench_function("parse", |b| b.iter(|| parsed(&texts)));
    let modules = parsed(&texts);
    let validate = |module: &naga::Module| {
        Validator::new(ValidationFlags::all(), capabilities).validate(module).expect("it is valid")
    };
    group.bench_function("validate", |b| b.iter(|| modules.iter().map(validate).collect::<Vec<_>>()));
    let checked: Vec<_> = modules.iter().map(|module| (module, validate(module))).collect();
    let options = naga::back::spv::Options { lang_version: (1, 4), ..Default::default() };
    let write = |(module, info): &(&naga::Module, ModuleInfo)| {
        naga::back::spv::write_vec(module, info, &options, None).expect("it translates")
    };
    group.bench_function("SPIR-V", |b| b.iter(|| checked.iter().map(write).collect::<Vec<_>>()));
    group.finish();
}

fn files(c: &mut Criterion) {
    let path = Path::new(MNIST).join("model.safetensors");
    let mut group = c.benchmark_group("files");
    group.throughput(Throughput::Bytes(path.metadata().expect("it is there").len()));
    group.bench_function("open safetensors, mnist", |b| b.iter(|| Weights::open(&path).expect("it can be read")));
    group.bench_function("open model, mnist", |b| b.iter(|| Model::open(MNIST).expect("it can be read")));

    let folder = tempfile::tempdir().expect("a scratch folder");
    let values: Vec<f64> = (0..1 << 20).map(|i| f64::from(i).sqrt()).collect();
    group.throughput(Throughput::Bytes(8 << 20));
    let array = Array { name: "a", shape: vec![values.len()], values: Numbers::F64(values) };
    let out = folder.path().join("a.npz");
    group.bench_function("write NPZ, 8 MiB", |b| {
        b.iter(|| write_arrays(&out, std::slice::from_ref(&array)).expect("it can be written"))
    });
    group.finish();
}

/// A tile of a circulation: 64 points, 8 numbers each.
const TILE: usize = 64 * 8;

fn journal(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let configuration = serde_json::json!({ "measure": "bench" });
    let values = [1.5f32; TILE];
    let mut group = c.benchmark_group("journal");
    let out = folder.path().join("append");
    let mut dir = RunDir::create(&out).expect("a run directory");
    let mut kept = dir.journal(&configuration).expect("a journal");
    let mut first = 0;
    group.throughput(Throughput::Bytes(4 * TILE as u64));
    group.bench_function("append a tile", |b| {
        b.iter(|| {
            kept.append(0, first, 64, 64, &values).expect("it can be appended");
            first += 64;
        })
    });

    let records = 1000;
    let out = folder.path().join("replay");
    let mut dir = RunDir::create(&out).expect("a run directory");
    let mut kept = dir.journal(&configuration).expect("a journal");
    for i in 0..records {
        kept.append(0, 64 * i, 64, 64, &values).expect("it can be appended");
    }
    drop(kept);
    group.throughput(Throughput::Bytes(4 * TILE as u64 * records));
    group.bench_function("open and replay 1000 tiles", |b| {
        b.iter(|| {
            let mut kept = dir.journal(&configuration).expect("a journal");
            let mut first = 0;
            while let Some((count, _, values)) = kept.next::<f32>(0, first).expect("whole records") {
                black_box(values);
                first += count;
            }
            assert_eq!(first, 64 * records);
        })
    });
    group.finish();
}

fn points(c: &mut Criterion) {
    let x0 = vec![0.25f32; 784];
    let anchor = Anchor { seed: 1, sample: 3, k: 500, a: 0.7, sigma: 0.7, bridge_scale: 1.0, x0: &x0, segments: 1000 };
    let mut group = c.benchmark_group("points, D = 784");
    for path in of_the_paper() {
        group.bench_function(format!("twin of a node, {}", path.name()), |b| b.iter(|| path.point(&anchor, 617)));
        group.bench_function(format!("lanes of a loop, {}", path.name()), |b| {
            b.iter(|| (0..1000).map(|i| lane(path.as_ref(), &anchor, i)).collect::<Vec<_>>())
        });
    }
    group.finish();
    c.bench_function("philox4x32", |b| b.iter(|| philox4x32(black_box([1, 2, 3, 4]), black_box([5, 6]))));
    let stream = Stream { seed: 1, purpose: Purpose::Bootstrap, draw: 0, sample: 0, k: 0 };
    c.bench_function("bootstrap counts of 256 samples", |b| b.iter(|| stream.counts(black_box(256))));
}

fn statistics(c: &mut Criterion) {
    let values: Vec<f64> = (0..256).map(|i| f64::from(i * 7919 % 1009)).collect();
    c.bench_function("box of 256 samples", |b| b.iter(|| BoxStats::of(black_box(&values))));
}

/// With an adapter: what a program waits for before it can do anything else.
fn adapter(c: &mut Criterion) {
    if gpu::adapters().iter().all(|a| a.unusable.is_some()) {
        return;
    }
    let mut group = c.benchmark_group("adapter");
    group.sample_size(10);
    let choice = gpu::AdapterChoice::Best;
    group.bench_function("open", |b| {
        b.iter_with_large_drop(|| gpu::Gpu::open(&choice).expect("it was listed as usable"))
    });
    group.finish();
}

criterion_group!(host, planner, shaders, files, journal, points, statistics, adapter);
criterion_main!(host);
