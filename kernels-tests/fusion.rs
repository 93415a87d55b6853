//! Fusion changes what is written, not what comes out: fused plans against the f64 twin and against unfused ones, values and
//! tangents; what must not be fused is not.
use crate::common::{builder, families, gpu, lookup, max_norm_error, noise, pad, ports, run, size};
use crate::families::{random, sized};
use serde_json::json;
use vorticity::dual::Dual;
use vorticity::gpu::{Executor, Gpu};
use vorticity::graph::{Graph, NodeId};
use vorticity::ops::add::Add;
use vorticity::ops::add_row::AddRow;
use vorticity::ops::affine::Affine;
use vorticity::ops::channels::Channels;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::depthwise::Depthwise;
use vorticity::ops::group_norm::GroupNorm;
use vorticity::ops::resample::Resample;
use vorticity::ops::scale::Scale;
use vorticity::ops::silu::Silu;
use vorticity::passes::{Ports, lower, lower_as_is};
use vorticity::paths::Lane;
use vorticity::program::{Builder, Program, Role};
use vorticity::shape::Shape;
use vorticity::target::{KernelFamily, Target};
use vorticity::twin;

const K: usize = 3;

/// The plan for one timestep.
fn plan(graph: &Graph, family: KernelFamily, tangents: u32, fused: bool) -> (Program, Ports) {
    let mut program = builder(family, tangents, None);
    let ports = ports(&mut program, graph);
    let planned =
        if fused { lower(graph, &[K], &ports, &mut program) } else { lower_as_is(graph, &[K], &ports, &mut program) };
    planned.unwrap();
    (program.finish().unwrap(), ports)
}

/// Dispatches by op.
fn count(program: &Program, op: &str) -> usize {
    program.steps().filter(|s| s.op == op).count()
}

fn conv(graph: &mut Graph, name: &str, x: NodeId, out: usize, kernel: usize, seed: u64) -> NodeId {
    let c = graph.shape(x).c;
    let op = Conv {
        in_channels: c,
        out_channels: out,
        kernel,
        stride: 1,
        padding: Padding::all(kernel / 2),
        weight: noise(out * c * kernel * kernel, seed).into(),
        bias: noise(out, seed + 1).into(),
    };
    graph.push(name, op, &[x]).unwrap()
}

fn row(graph: &mut Graph, width: usize, seed: u64) -> AddRow {
    AddRow { table: lookup(graph, width, noise(5 * width, seed)), width }
}

/// Everything that is folded: SiLU, a time row and SiLU again behind a shuffle of two convolutions, a residual from either
/// side, a convolution behind nearest-neighbour up-sampling.
fn all_of_it() -> Graph {
    let mut g = Graph::new(Shape::new(8, 4, 6));
    let x = g.input("x").unwrap();
    let (a, b) = (conv(&mut g, "a", x, 8, 3, 1), conv(&mut g, "b", x, 8, 1, 3));
    let a = g.push("a.silu", Silu, &[a]).unwrap();
    let both = g.push("both", Channels::concat(&[8, 8]), &[a, b]).unwrap();
    let both = g.push("shuffled", Channels::shuffle(16, 2).unwrap(), &[both]).unwrap();
    let time = row(&mut g, 16, 5);
    let y = g.push("time", time, &[both]).unwrap();
    let y = g.push("time.silu", Silu, &[y]).unwrap();
    let z = conv(&mut g, "short", y, 12, 1, 7);
    let y = conv(&mut g, "long", y, 12, 3, 9);
    let y = g.push("sum", Add { scales: [0.5, 0.75] }, &[y, z]).unwrap();
    let up = g.push("up", Resample::nearest(), &[y]).unwrap();
    let y = conv(&mut g, "up.conv", up, 12, 3, 11);
    let y = g.push("up.silu", Silu, &[y]).unwrap();
    let z = conv(&mut g, "last", y, 12, 3, 13);
    let y = g.push("last.sum", Add { scales: [1.0, -0.5] }, &[y, z]).unwrap();
    g.output("y", y).unwrap();
    g
}

/// Largest difference of values and tangents from the twin's, in units of the largest of either.
fn against_twin(gpu: &Gpu, graph: &Graph, family: KernelFamily, fused: bool) -> [f64; 2] {
    let [d, out] = graph.end_shapes().unwrap().map(|s| s.len());
    let x = noise(2 * d, 4);
    let y = run(gpu, graph, plan(graph, family, 1, fused), &x, 2);
    let duals: Vec<Dual> = x[..d].iter().zip(&x[d..]).map(|(&x, &v)| Dual { v: x.into(), d: v.into() }).collect();
    let want = twin::evaluate(graph, &duals, K).unwrap();
    let stride = y.len() / 2;
    let values: Vec<f64> = want.iter().map(|w| w.v).collect();
    let slopes: Vec<f64> = want.iter().map(|w| w.d).collect();
    [max_norm_error(&y[..out], &values), max_norm_error(&y[stride..stride + out], &slopes)]
}

#[test]
fn what_is_folded_into_stores_gives_the_twins_values_and_tangents() {
    let (gpu, graph) = (gpu(), all_of_it());
    for family in families(&gpu) {
        let (fused, _) = plan(&graph, family, 0, true);
        for op in ["add", "add_row", "silu", "resample"] {
            assert_eq!(count(&fused, op), 0, "{op} is still there");
        }
        let (before, _) = plan(&graph, family, 0, false);
        let bytes = |p: &Program| p.steps().map(|s| s.bytes).sum::<u64>();
        assert!(3 * bytes(&fused) < 2 * bytes(&before), "{} of {} bytes", bytes(&fused), bytes(&before));
        assert!(fused.flops() < before.flops(), "phases multiply fewer pixels");
        for fused in [true, false] {
            for error in against_twin(&gpu, &graph, family, fused) {
                // Five layers of f32 sums of at most 144 products.
                assert!(error < 2e-6, "{family:?}, fused {fused}: {error:e}");
            }
        }
    }
}

/// A depthwise convolution before a 1x1, and normalisations before a 3x3 and a 1x1.
fn loads() -> Graph {
    let mut g = Graph::new(Shape::new(8, 6, 4));
    let x = g.input("x").unwrap();
    let a = conv(&mut g, "a", x, 12, 3, 1);
    let norm = |seed| GroupNorm {
        channels: 12,
        groups: 3,
        epsilon: 1e-5,
        scale: Scale::Fixed { gain: noise(12, seed).into(), shift: noise(12, seed + 1).into() },
    };
    let y = g.push("norm", norm(3), &[a]).unwrap();
    let y = g.push("norm.silu", Silu, &[y]).unwrap();
    let y = conv(&mut g, "b", y, 12, 3, 5);
    let y = g.push("sum", Add { scales: [1.0, 1.0] }, &[y, a]).unwrap();
    let y = g.push("norm 2", norm(7), &[y]).unwrap();
    let y = conv(&mut g, "c", y, 8, 1, 9);
    let depthwise = Depthwise {
        channels: 8,
        stride: 2,
        padding: Padding::all(1),
        weight: noise(72, 11).into(),
        bias: noise(8, 12).into(),
    };
    let y = g.push("depthwise", depthwise, &[y]).unwrap();
    let y = conv(&mut g, "d", y, 20, 1, 13);
    let y = g.push("silu", Silu, &[y]).unwrap();
    g.output("y", y).unwrap();
    g
}

#[test]
fn what_gpus_fold_into_loads_gives_the_twins_values_and_tangents() {
    let (gpu, graph) = (gpu(), loads());
    let counts = |family, tangents| {
        let (program, _) = plan(&graph, family, tangents, true);
        ["depthwise", "group_norm", "depthwise + 1x1"].map(|op| count(&program, op))
    };
    assert_eq!(counts(KernelFamily::Cpu, 0), [1, 2, 0], "CPU adapters load a pixel many times");
    assert_eq!(counts(KernelFamily::Gpu, 0), [0, 0, 1]);
    // Tangents share what a kernel of its own makes of the primal; SiLU on the store is two dispatches then.
    assert_eq!(counts(KernelFamily::Gpu, 1), [0, 3, 2]);
    let d = size(&graph);
    let x = noise(2 * d, 8);
    for family in families(&gpu) {
        for error in against_twin(&gpu, &graph, family, true) {
            assert!(error < 4e-6, "{family:?}: {error:e}"); // four layers, of them two that divide by a deviation
        }
        let y = run(&gpu, &graph, plan(&graph, family, 0, true), &x, 2);
        for (x, y) in x.chunks_exact(d).zip(y.chunks_exact(y.len() / 2)) {
            let duals: Vec<Dual> = x.iter().map(|&x| Dual::constant(x.into())).collect();
            let want: Vec<f64> = twin::evaluate(&graph, &duals, K).unwrap().iter().map(|w| w.v).collect();
            let error = max_norm_error(y, &want);
            assert!(error < 4e-6, "{family:?}, values alone: {error:e}");
        }
    }
}

#[test]
fn what_others_read_too_is_left_alone() {
    let gpu = gpu();
    let mut g = Graph::new(Shape::new(8, 4, 6));
    let x = g.input("x").unwrap();
    let a = conv(&mut g, "a", x, 8, 3, 1);
    let s = g.push("silu", Silu, &[a]).unwrap(); // `a` is read below as it is
    let up = g.push("up", Resample::nearest(), &[s]).unwrap();
    let b = conv(&mut g, "b", up, 8, 3, 3); // and so is `up`
    let y = g.push("sum", Add { scales: [1.0, 2.0] }, &[b, up]).unwrap();
    let half = g.push("half", Resample::average(), &[y]).unwrap();
    let row = row(&mut g, 8, 5);
    let timed = g.push("time", row, &[half]).unwrap(); // no convolution makes `half`
    let y = g.push("end", Add { scales: [1.0, 1.0] }, &[timed, a]).unwrap();
    g.output("y", y).unwrap();
    for family in families(&gpu) {
        let (program, _) = plan(&g, family, 0, true);
        let counts = ["silu", "add_row", "add", "resample"].map(|op| count(&program, op));
        assert_eq!(counts, [1, 1, 1, 2], "the sum behind b alone is folded");
        for error in against_twin(&gpu, &g, family, true) {
            assert!(error < 2e-6, "{family:?}: {error:e}");
        }
    }
}

/// The output is folded into a node before the one that nobody reads, and stays the output.
#[test]
fn what_nobody_reads_is_left_out() {
    let gpu = gpu();
    let mut g = Graph::new(Shape::new(3, 4, 6));
    let x = g.input("x").unwrap();
    let a = conv(&mut g, "a", x, 8, 3, 1);
    g.push("nobody's", Resample::nearest(), &[x]).unwrap();
    let y = g.push("silu", Silu, &[a]).unwrap();
    g.output("y", y).unwrap();
    for (family, fused) in families(&gpu).into_iter().flat_map(|f| [(f, true), (f, false)]) {
        assert_eq!(count(&plan(&g, family, 1, fused).0, "resample"), 0);
        for error in against_twin(&gpu, &g, family, fused) {
            assert!(error < 2e-6, "{family:?}: {error:e}");
        }
    }
}

#[test]
fn a_number_in_front_of_a_convolution_goes_into_its_weights() {
    let gpu = gpu();
    for read_twice in [false, true] {
        let mut g = Graph::new(Shape::new(6, 4, 5));
        let x = g.input("x").unwrap();
        let scaled = g.push("scaled", Affine { gain: 0.3, table: None, shift: 0.0 }, &[x]).unwrap();
        let mut y = conv(&mut g, "conv", scaled, 6, 3, 1);
        if read_twice {
            y = g.push("sum", Add { scales: [1.0, 1.0] }, &[y, scaled]).unwrap();
        }
        g.output("y", y).unwrap();
        for family in families(&gpu) {
            assert_eq!(count(&plan(&g, family, 1, true).0, "affine"), usize::from(read_twice));
            for error in against_twin(&gpu, &g, family, true) {
                assert!(error < 2e-6, "{family:?}: {error:e}");
            }
        }
        let halved = g.hold_f16().map(|_| count(&plan(&g, KernelFamily::Gpu, 0, true).0, "affine"));
        assert_eq!(halved.unwrap(), 1, "products of rounded weights are not what rounding promises");
    }
}

#[test]
fn every_family_gives_what_it_gave_unfused() {
    let gpu = gpu();
    let mut saved = 0;
    for (name, graph) in sized(16) {
        let lanes = 3;
        let x = noise(lanes * size(&graph), 6);
        for family in families(&gpu) {
            let both = [true, false].map(|fused| plan(&graph, family, 2, fused));
            saved += both[1].0.steps().count() - both[0].0.steps().count();
            let [got, want] = both.map(|planned| run(&gpu, &graph, planned, &x, lanes));
            let want: Vec<f64> = want.into_iter().map(f64::from).collect();
            let error = max_norm_error(&got, &want);
            // Fused sums are rounded elsewhere: a few units in the last place through a whole network.
            assert!(error < 2e-5, "{name}, {family:?}: {error:e}");
        }
    }
    assert!(saved > 0);
}

#[test]
fn a_transposed_convolution_multiplies_no_zeros() {
    let config = json!({ "dim": 32, "dim_mults": [1, 2, 2], "channels": 3, "attn_heads": 2, "attn_dim_head": 8, "image_size": 8 });
    let graph = random("lucid_unet", config, json!({ "kind": "vp", "schedule": "linear", "timesteps": 10 }));
    let (program, _) = plan(&graph, KernelFamily::Gpu, 0, true);
    assert_eq!(count(&program, "resample"), 0);
    let (before, _) = plan(&graph, KernelFamily::Gpu, 0, false);
    let conv = |p: &Program| p.steps().filter(|s| s.label.contains("upsample: conv")).map(|s| s.flops).sum::<u64>();
    assert_eq!(4 * conv(&program), conv(&before), "four of sixteen taps see a pixel");
}

/// ShuffleNet's units, as the reverse sweep meets them: SiLU on stores whose slopes it reads, behind a time row too, depthwise
/// convolutions between two, halves of channels that go on and come back shuffled.
fn units() -> Graph {
    let mut g = Graph::new(Shape::new(16, 5, 6));
    let mut x = g.input("x").unwrap();
    for unit in 0..3u64 {
        let [a, b] = [0, 1].map(|part| g.push("half", Channels::half(16, part).unwrap(), &[x]).unwrap());
        let y = conv(&mut g, "in", b, 8, 1, 20 * unit + 1);
        let y = g.push("in.silu", Silu, &[y]).unwrap();
        let (weight, bias) = (noise(72, 20 * unit + 3).into(), noise(8, 20 * unit + 4).into());
        let depthwise = Depthwise { channels: 8, stride: 1, padding: Padding::all(1), weight, bias };
        let y = g.push("depthwise", depthwise, &[y]).unwrap();
        let mut y = conv(&mut g, "out", y, 8, if unit == 1 { 3 } else { 1 }, 20 * unit + 5);
        if unit == 2 {
            let time = row(&mut g, 8, 20 * unit + 7);
            y = g.push("time", time, &[y]).unwrap();
        }
        let y = g.push("out.silu", Silu, &[y]).unwrap();
        let both = g.push("both", Channels::concat(&[8, 8]), &[a, y]).unwrap();
        x = g.push("shuffled", Channels::shuffle(16, 2).unwrap(), &[both]).unwrap();
    }
    let y = conv(&mut g, "last", x, 16, 1, 99);
    g.output("y", y).unwrap();
    g
}

/// A plan of values, T tangents and K cotangents, and what comes out of it: of each lane the flat row.
fn transposed(gpu: &Gpu, graph: &Graph, family: KernelFamily, [t, k]: [u32; 2], fused: bool) -> (Program, Vec<f32>) {
    let mut program = Builder::both(Target::of(family), t, k);
    let flat = 4 * graph.shape(graph.outputs[0].1).flat_stride() as u64;
    let ports = Ports::one(
        program.buffer("x", flat, Role::Upload),
        program.buffer("y", flat, Role::Download),
        program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
    );
    let planned =
        if fused { lower(graph, &[K], &ports, &mut program) } else { lower_as_is(graph, &[K], &ports, &mut program) };
    planned.unwrap();
    let (program, lanes) = (program.finish().unwrap(), 2 * (1 + t + k) as usize);
    let mut executor = Executor::new(gpu, program.clone(), lanes).unwrap();
    executor.upload(ports.inputs[0], &pad(&noise(lanes * size(graph), 4), size(graph))).unwrap();
    executor.upload(ports.lanes, &vec![Lane::default(); lanes]).unwrap();
    (program, executor.run(lanes, ports.outputs[0]).unwrap())
}

#[test]
fn what_the_reverse_sweep_reads_comes_with_the_values() {
    let (gpu, graph) = (gpu(), units());
    for (family, t) in families(&gpu).into_iter().flat_map(|f| [(f, 0), (f, 2)]) {
        let (program, got) = transposed(&gpu, &graph, family, [t, 3], true);
        let (before, want) = transposed(&gpu, &graph, family, [t, 3], false);
        assert!(count(&before, "silu") >= 6 && count(&before, "slope") == 6, "{family:?}, T = {t}");
        for op in ["silu", "slope", "repack", "spread", "add_row"] {
            assert_eq!(count(&program, op), 0, "{family:?}, T = {t}: {op} is still there");
        }
        assert_eq!([count(&program, "times"), count(&program, "combine")], [3, 0], "{family:?}, T = {t}");
        let want: Vec<f64> = want.into_iter().map(f64::from).collect();
        let error = max_norm_error(&got, &want);
        assert!(error < 2e-6, "{family:?}, T = {t}: {error:e}");
    }
}
