//! Attention of any size: random numbers of pixels, heads and channels per head, multiples of four or not, in every family
//! of kernels, in one kernel and apart: values, tangents and cotangents against the f64 twins, and that company changes no bit.
use crate::cli::vorticity;
use crate::common::{gpu, max_norm_error, noise, ports, run, size};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Products, Room};
use vorticity::gpu::Gpu;
use vorticity::graph::{Graph, NodeId};
use vorticity::ops::attention_logits::AttentionLogits;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::mix::Mix;
use vorticity::ops::outer::Outer;
use vorticity::ops::softmax::Softmax;
use vorticity::ops::softmax_pixels::SoftmaxPixels;
use vorticity::passes::adjoint::adjoint;
use vorticity::passes::{Ports, lower};
use vorticity::paths::Lane;
use vorticity::program::{Buffer, Builder, Program, Role};
use vorticity::selftest::{compare, families};
use vorticity::shape::Shape;
use vorticity::target::{AttentionWay, KernelFamily, Target};
use vorticity::twin;

/// f32 against f64 duals, of the largest component: two products of sums and two softmax in a row. The worst of 400 random
/// sizes was 3.6e-6; a channel of the wrong head is off by 1e-2 and more.
const TOLERANCE: f64 = 1e-5;

/// q, k and v as convolutions of the input, so that each has a buffer of its own, as in networks.
fn projected(shape: Shape, channels: usize) -> (Graph, [NodeId; 3]) {
    let mut graph = Graph::new(shape);
    let input = graph.input("x").unwrap();
    let qkv = std::array::from_fn(|i| {
        let conv = Conv {
            in_channels: shape.c,
            out_channels: channels,
            kernel: 1,
            stride: 1,
            padding: Padding::all(0),
            weight: noise(channels * shape.c, i as u64).into(),
            bias: noise(channels, 3 + i as u64).into(),
        };
        graph.push("projection", conv, &[input]).unwrap()
    });
    (graph, qkv)
}

fn full(shape: Shape, heads: usize, features: usize) -> Graph {
    let (mut graph, [q, k, v]) = projected(shape, heads * features);
    let scale = (features as f32).sqrt().recip();
    let logits = graph.push("attention_logits", AttentionLogits { heads, scale: f64::from(scale) }, &[q, k]).unwrap();
    let weights = graph.push("softmax", Softmax { heads, scale: 1.0 }, &[logits]).unwrap();
    let y = graph.push("mix", Mix { heads, by_row: false }, &[weights, v]).unwrap();
    graph.output("y", y).unwrap();
    graph
}

fn linear(shape: Shape, heads: usize, features: usize) -> Graph {
    let (mut graph, [q, k, v]) = projected(shape, heads * features);
    let scale = (features as f32).sqrt().recip();
    let q = graph.push("queries", Softmax { heads, scale: f64::from(scale) }, &[q]).unwrap();
    let k = graph.push("keys", SoftmaxPixels, &[k]).unwrap();
    let context = graph.push("context", Outer { heads }, &[k, v]).unwrap();
    let y = graph.push("mix", Mix { heads, by_row: true }, &[q, context]).unwrap();
    graph.output("y", y).unwrap();
    graph
}

/// How attention can be computed; linear attention knows one way.
fn ways(of_pixels: bool) -> Vec<AttentionWay> {
    if of_pixels { vec![AttentionWay::Fused, AttentionWay::Apart] } else { vec![AttentionWay::Auto] }
}

fn evaluator(gpu: &Gpu, graph: &Graph, family: KernelFamily, tangents: usize, cotangents: usize) -> Evaluator {
    let room = Room { samples: 1, tangents, cotangents };
    Evaluator::with_tangents(&gpu.clone().with_family(family), graph, &[0], room).unwrap()
}

/// What the tests give a network: a point, tangents, cotangents.
fn given(graph: &Graph, tangents: usize, cotangents: usize) -> [Vec<f32>; 3] {
    let [d, out] = graph.end_shapes().unwrap().map(|s| s.len());
    [noise(d, 21), noise(tangents * d, 22), noise(cotangents * out, 23)]
}

/// The largest error of two cotangents beside a tangent, of the largest number.
fn cotangents(gpu: &Gpu, graph: &Graph, family: KernelFamily) -> f64 {
    let [x, v, u] = given(graph, 1, 2);
    let found = evaluator(gpu, graph, family, 1, 2).products(&x, &v, &u, &[0]).unwrap();
    let transposed = adjoint(graph).unwrap();
    let errors = found.jtu.chunks(x.len()).zip(u.chunks(u.len() / 2)).map(|(got, u)| {
        let want = twin::outputs(&transposed, &[&Dual::lift(&x), &Dual::lift(u)], 0, 0).unwrap().swap_remove(1);
        max_norm_error(got, &want.iter().map(|y| y.v).collect::<Vec<_>>())
    });
    errors.fold(0.0, f64::max)
}

/// What wide heads, many keys, few queries and their company make of the kernels: slices, several rounds, masks, chunks of keys.
#[test]
fn fused_attention_has_the_same_bits_in_any_company() {
    let gpu = gpu().clone().with_attention(AttentionWay::Fused);
    let bits = |y: &[f32]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for (shape, heads, features) in [
        (Shape::new(5, 5, 7), 1, 70),
        (Shape::new(3, 5, 5), 3, 10),
        (Shape::new(4, 16, 16), 1, 8),
        (Shape::new(3, 17, 18), 2, 6),
        (Shape::new(2, 9, 9), 1, 64),
    ] {
        let graph = full(shape, heads, features);
        let [x, v, u] = given(&graph, 3, 2);
        let (d, out) = (x.len(), u.len() / 2);
        for family in families(&gpu) {
            let what = format!("{heads} heads of {features}, {shape}, {family:?}");
            let error = compare(&gpu, &graph, family).unwrap().max(cotangents(&gpu, &graph, family));
            assert!(error <= TOLERANCE, "{what}: {error:e}");
            let run = |tangents: usize, cotangents: usize, v: &[f32], u: &[f32]| -> Products {
                evaluator(&gpu, &graph, family, tangents, cotangents).products(&x, v, u, &[0]).unwrap()
            };
            let all = run(3, 2, &v, &u);
            let alone = evaluator(&gpu, &graph, family, 0, 0).evaluate(&x, &[0]).unwrap();
            assert_eq!(bits(&alone), bits(&all.y), "{what}: values");
            // The last of each alone.
            let (y, jv) = evaluator(&gpu, &graph, family, 1, 0).jvp(&x, &v[2 * d..], &[0]).unwrap();
            assert_eq!([bits(&y), bits(&jv)], [bits(&alone), bits(&all.jv[2 * out..])], "{what}: tangent");
            let one = run(0, 1, &[], &u[out..]);
            assert_eq!(bits(&one.jtu), bits(&all.jtu[d..]), "{what}: cotangent");
        }
    }
}

/// Where a larger tensor before it is cut, attention goes through its queries by bands of four rows, whose kernel is that of all.
#[test]
fn bands_of_queries_have_the_bits_of_all() {
    let gpu = gpu();
    let graph = full(Shape::new(64, 16, 12), 1, 8);
    let x = noise(size(&graph), 5);
    for family in families(&gpu) {
        let plan = |budget| {
            let attention = AttentionWay::Fused;
            let mut program = Builder::new(Target { buffer_bytes: budget, attention, ..Target::of(family) }, 0);
            let ports = ports(&mut program, &graph);
            lower(&graph, &[0], &ports, &mut program).unwrap();
            (program.finish().unwrap(), ports)
        };
        let (whole, cut) = (plan(None), plan(Some(19 << 10)));
        let of = |(program, _): &(Program, Ports)| program.steps().filter(|s| s.op == "attention").count();
        assert!(of(&cut) >= 4 * of(&whole), "{family:?}: {} dispatches of bands, {} of all", of(&cut), of(&whole));
        let [all, bands] = [whole, cut].map(|planned| run(&gpu, &graph, planned, &x, 1));
        assert_eq!(
            all.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            bands.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn attention_of_any_size_agrees_with_its_twin() {
    let gpu = gpu();
    // The same sizes at every run: a failure can be run again.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[17; 32]);
    let mut runner = TestRunner::new_with_rng(Config { cases: 24, ..Config::default() }, rng);
    let sizes = (1usize..=8, 1usize..=7, 1usize..=6, 1usize..=13, any::<bool>());
    let (worst, odd_pixels, odd_heads) = (Cell::new(0f64), Cell::new(0), Cell::new(0));
    runner
        .run(&sizes, |(h, w, heads, features, of_pixels)| {
            odd_pixels.set(odd_pixels.get() + usize::from(heads > 1 && h * w % 4 != 0));
            odd_heads.set(odd_heads.get() + usize::from(heads > 1 && features % 4 != 0));
            let shape = Shape::new(5, h, w);
            let graph = if of_pixels { full(shape, heads, features) } else { linear(shape, heads, features) };
            for family in families(&gpu) {
                for way in ways(of_pixels) {
                    let gpu = gpu.clone().with_attention(way);
                    let error = compare(&gpu, &graph, family).unwrap().max(cotangents(&gpu, &graph, family));
                    worst.set(worst.get().max(error));
                    let what = format!("{heads} heads of {features}, {h}x{w}, {family:?}, {way:?}");
                    prop_assert!(error <= TOLERANCE, "{what}: {error:e}");
                }
            }
            Ok(())
        })
        .unwrap();
    let (odd_pixels, odd_heads) = (odd_pixels.get(), odd_heads.get());
    println!("worst {:.2e}; {odd_pixels} odd numbers of pixels, {odd_heads} odd widths of heads", worst.get());
    assert!(odd_pixels > 3 && odd_heads > 3, "sizes that are no multiples of four were not among them");
}

/// The plan of a network for the samples of `directions`: tangents, cotangents.
fn planned(graph: &Graph, target: Target, [tangents, cotangents]: [u32; 2]) -> Program {
    let mut program = Builder::both(target, tangents, cotangents);
    let row = 4 * graph.end_shapes().unwrap().map(|s| s.flat_stride()).into_iter().max().unwrap() as u64;
    let (x, y) = (program.buffer("x", row, Role::Upload), program.buffer("y", row, Role::Download));
    let lanes = program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload);
    lower(graph, &[0], &Ports::one(x, y, lanes), &mut program).unwrap();
    program.finish().unwrap()
}

/// Which way a plan takes: by itself, by family, keys and width of heads; or as it is told.
#[test]
fn plans_take_the_way_that_is_faster_or_the_one_they_are_told() {
    let fused = |target: Target, graph: &Graph, directions| {
        let program = planned(graph, target, directions);
        let has = |op| program.steps().any(|step| step.op == op);
        assert_ne!(has("attention"), has("softmax"), "one way or the other");
        has("attention")
    };
    let cases = [
        (KernelFamily::Cpu, [3, 3], 64, true),
        (KernelFamily::Cpu, [3, 3], 65, false),
        (KernelFamily::Cpu, [32, 32], 65, true),
        (KernelFamily::Gpu, [31, 33], 8, false),
        (KernelFamily::Gpu, [32, 32], 8, true),
    ];
    for (family, [h, w], features, wanted) in cases {
        let graph = full(Shape::new(2, h, w), 1, features);
        // Values are the same in any company, so tangents and cotangents have no say.
        for directions in [[0, 0], [2, 0], [0, 1], [1, 2]] {
            let what = format!("{family:?}, {h}x{w}, {features}, {directions:?}");
            assert_eq!(fused(Target::of(family), &graph, directions), wanted, "{what}");
            for (attention, wanted) in [(AttentionWay::Fused, true), (AttentionWay::Apart, false)] {
                let target = Target { attention, ..Target::of(family) };
                assert_eq!(fused(target, &graph, directions), wanted, "{what}, {attention:?}");
            }
        }
    }
}

/// What attention over 4,096 pixels takes with eight tangents, or eight cotangents: apart, logits and weights of every two pixels.
#[test]
fn fused_attention_has_no_number_of_every_two_pixels() {
    let (graph, heads, n) = (full(Shape::new(4, 64, 64), 4, 16), 4, 4096);
    for family in [KernelFamily::Cpu, KernelFamily::Gpu] {
        for directions in [[8, 0], [0, 8]] {
            let bytes = |attention| {
                let program = planned(&graph, Target { attention, ..Target::of(family) }, directions);
                let of = |b: &Buffer| b.bytes_per_lane * u64::from(program.lanes_in(b.space));
                program.buffers.iter().map(of).sum::<u64>()
            };
            let [fused, apart] = [AttentionWay::Fused, AttentionWay::Apart].map(bytes);
            println!("{family:?} {directions:?}: {fused} bytes, apart {apart}");
            // The largest tensors that are left have the channels of q, k and v: 64 of each of 4,096 pixels.
            assert!(fused < 16 * 9 * 4 * 64 * n, "{family:?} {directions:?}: {fused}");
            assert!(apart > 2 * 4 * heads * n * n, "{family:?} {directions:?}: {apart}");
        }
    }
}

/// A network of the authors of U-ViT, by both ways in both families, against its goldens.
#[test]
fn goldens_pass_either_way() {
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/onnx/uvit");
    for kernels in families(&gpu()).into_iter().map(KernelFamily::name) {
        for way in ["fused", "apart"] {
            let mut verify = vorticity(&["verify", case, "--kernels", kernels, "--attention", way]);
            let done = verify.output().unwrap();
            assert!(done.status.success(), "{kernels}, {way}: {}", String::from_utf8_lossy(&done.stdout));
        }
    }
}
