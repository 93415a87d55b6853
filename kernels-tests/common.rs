//! What the tests share: the adapter (there must be one), a graph run on it, comparisons that name the worst place.
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use vorticity::data::Images;
use vorticity::error::Result;
use vorticity::field::Field;
use vorticity::gpu::{AdapterChoice, Bounds, Executor, Gpu, Limits};
use vorticity::graph::{Graph, NodeId};
use vorticity::passes::{Ports, lower};
use vorticity::paths::polyline::Polyline;
use vorticity::paths::{self, ClosedPath, Lane, PATHS};
use vorticity::program::{Builder, Program, Role};
use vorticity::rows::Rows;
use vorticity::rows::functions::Lookup;
use vorticity::run::{Table, Task};
use vorticity::session::Session;
use vorticity::shape::Shape;
use vorticity::target::{KernelFamily, Target};

pub use vorticity::selftest::families;

/// The adapter under test, one user at a time (software adapters use every core). `VORTICITY_ADAPTER` picks one; the
/// default is whatever `Best` finds. No adapter is a failure.
pub fn gpu() -> MutexGuard<'static, Gpu> {
    static GPU: OnceLock<Mutex<Gpu>> = OnceLock::new();
    let open = || {
        let opened = Gpu::open_within(&choice(), bounds());
        Mutex::new(opened.expect("the tests need a GPU adapter; scripts/test installs a software one"))
    };
    GPU.get_or_init(open).lock().unwrap_or_else(|e| e.into_inner())
}

/// Which adapter is under test.
pub fn choice() -> AdapterChoice {
    std::env::var("VORTICITY_ADAPTER").map_or(AdapterChoice::Best, |n| AdapterChoice::parse(&n))
}

/// With which limits: `VORTICITY_LIMITS`, the adapter's by default.
pub fn bounds() -> Bounds {
    let limits = std::env::var("VORTICITY_LIMITS").map_or(Limits::Adapter, |name| Limits::parse(&name).unwrap());
    Bounds { limits, ..Bounds::default() }
}

/// The table of a task, as a session measures it.
pub fn measured(gpu: &Gpu, field: &Arc<dyn Field>, images: &Images, task: &dyn Task) -> Result<Table> {
    Session::new(vec![gpu.clone()], field.clone(), images.clone())?.table(task)
}

/// The network on the adapter: `x` is `[lanes][D]`, lane i at timestep `ks[i]`; `[lanes][D_out]` comes back.
pub fn evaluate(gpu: &Gpu, graph: &Graph, family: KernelFamily, x: &[f32], ks: &[usize]) -> Vec<f32> {
    let mut timesteps = ks.to_vec();
    timesteps.sort_unstable();
    timesteps.dedup();
    let [input, output] = graph.end_shapes().unwrap();
    let mut program = builder(family, 0, None);
    let ports = ports(&mut program, graph);
    lower(graph, &timesteps, &ports, &mut program).unwrap();
    let mut executor = Executor::new(gpu, program.finish().unwrap(), ks.len()).unwrap();
    let row = |k: &usize| timesteps.binary_search(k).unwrap() as u32;
    let lanes: Vec<Lane> = ks.iter().map(|k| Lane { row: row(k), ..Lane::default() }).collect();
    executor.upload(ports.inputs[0], &pad(x, input.len())).unwrap();
    executor.upload(ports.lanes, &lanes).unwrap();
    let y = executor.run(ks.len(), ports.outputs[0]).unwrap();
    y.chunks(output.flat_stride()).flat_map(|row| row[..output.len()].to_vec()).collect()
}

/// An empty program for samples with so many tangents, whose buffers may have `budget` bytes per lane.
pub fn builder(family: KernelFamily, tangents: u32, budget: Option<u64>) -> Builder {
    let buffer_bytes = budget.map(|bytes| bytes * u64::from(1 + tangents));
    Builder::new(Target { buffer_bytes, ..Target::of(family) }, tangents)
}

/// The buffers that a plan of the network connects to.
pub fn ports(program: &mut Builder, graph: &Graph) -> Ports {
    let mut flat = |(name, id): &(String, NodeId), role: Role| {
        program.buffer(name.clone(), 4 * graph.shape(*id).flat_stride() as u64, role)
    };
    let inputs = graph.inputs.iter().map(|end| flat(end, Role::Upload)).collect();
    let outputs = graph.outputs.iter().map(|end| flat(end, Role::Download)).collect();
    Ports { inputs, outputs, lanes: program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload) }
}

/// D of a network's one input.
pub fn size(graph: &Graph) -> usize {
    graph.end_shapes().unwrap()[0].len()
}

/// A plan for one timestep, run on `x` `[lanes][D]`: its flat output.
pub fn run(gpu: &Gpu, graph: &Graph, (program, ports): (Program, Ports), x: &[f32], lanes: usize) -> Vec<f32> {
    let mut executor = Executor::new(gpu, program, lanes).unwrap();
    executor.upload(ports.inputs[0], &pad(x, size(graph))).unwrap();
    executor.upload(ports.lanes, &vec![Lane::default(); lanes]).unwrap();
    executor.run(lanes, ports.outputs[0]).unwrap()
}

/// A plan, run on the lanes: of each input `[lanes][D]`, of each output the same.
pub fn run_all(
    gpu: &Gpu,
    graph: &Graph,
    (program, ports): (Program, Ports),
    inputs: &[Vec<f32>],
    lanes: &[Lane],
) -> Vec<Vec<f32>> {
    let mut executor = Executor::new(gpu, program, lanes.len()).unwrap();
    for ((x, (_, id)), port) in inputs.iter().zip(&graph.inputs).zip(&ports.inputs) {
        executor.upload(*port, &pad(x, graph.shape(*id).len())).unwrap();
    }
    executor.upload(ports.lanes, lanes).unwrap();
    let mut outputs = vec![vec![]; ports.outputs.len()];
    let submitted = executor.submit(lanes.len()).unwrap();
    executor
        .wait(submitted, |id, bytes| {
            let Some(port) = ports.outputs.iter().position(|port| *port == id) else { return };
            let (flat, shape) = (bytemuck::pod_collect_to_vec::<u8, f32>(bytes), graph.shape(graph.outputs[port].1));
            outputs[port] = flat.chunks(shape.flat_stride()).flat_map(|row| row[..shape.len()].to_vec()).collect();
        })
        .unwrap();
    outputs
}

/// Rows of `d` numbers, each padded with zeros to a multiple of 4.
pub fn pad(x: &[f32], d: usize) -> Vec<f32> {
    let stride = d.div_ceil(4) * 4;
    x.chunks(d).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, stride - d))).collect()
}

/// max |got - want| / max |want|; NaN counts as infinite.
pub fn max_norm_error(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(0f64, |m, w| m.max(w.abs()));
    assert!(scale > 0.0, "nothing to compare with");
    let worst = |m: f64, (g, w): (&f32, &f64)| if g.is_nan() { f64::INFINITY } else { m.max((*g as f64 - w).abs()) };
    got.iter().zip(want).fold(0f64, worst) / scale
}

/// Numbers in -1..1 that look random, from a seed.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Names of the paths that need no file.
pub fn keyed() -> Vec<&'static str> {
    PATHS.iter().map(|p| p.0).filter(|name| *name != "polyline").collect()
}

/// Every path with its usual parameters; `nodes` numbers for the one that wants nodes.
pub fn every_path(nodes: usize) -> Vec<Arc<dyn ClosedPath>> {
    let mut all = paths(&keyed());
    all.push(Arc::new(Polyline::new(vec![0.0; nodes])));
    all
}

/// Closed paths by name and parameters.
pub fn paths(specs: &[&str]) -> Vec<Arc<dyn ClosedPath>> {
    specs.iter().map(|spec| paths::open(*spec, (Shape::new(1, 1, 1), [-1.0, 1.0])).unwrap()).collect()
}

/// A row of the timestep that ops read: one of five in a table.
pub fn lookup(graph: &mut Graph, width: usize, table: Vec<f32>) -> usize {
    let row = graph.rows.apply(Lookup { table: table.into(), rows: 5, width }, &[Rows::LABEL]).unwrap();
    graph.rows.push("row", row).unwrap()
}
