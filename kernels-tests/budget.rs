//! The binding budget: whatever is folded together, no step binds more storage buffers than every adapter can; fusion leaves
//! out what would be one too many, and what it makes agrees with the twin.
use crate::common::{builder, families, gpu, lookup, noise, ports, size};
use crate::weights::{hyper, random};
use std::collections::BTreeSet;
use vorticity::choice::Choices;
use vorticity::dual::Dual;
use vorticity::graph::{Graph, NodeId};
use vorticity::ops::add::Add;
use vorticity::ops::add_row::AddRow;
use vorticity::ops::conv::{Conv, Padding, VARIANTS};
use vorticity::ops::depthwise::Depthwise;
use vorticity::ops::gather::Gather;
use vorticity::ops::group_norm::GroupNorm;
use vorticity::ops::modulate::Modulate;
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::resample::Resample;
use vorticity::ops::scale::Scale;
use vorticity::ops::silu::Silu;
use vorticity::passes::adjoint::adjoint;
use vorticity::passes::{RULES, fused, fused_both, lower};
use vorticity::program::{Access, BufferId, Builder, Grid, Kernel, LaneRole, Program, Role, Step};
use vorticity::selftest::compare;
use vorticity::shape::Shape;
use vorticity::target::{KernelFamily, STORAGE_BUFFERS, Target};
use vorticity::twin;

/// Channels of the convolution's output.
const OUT: usize = 8;

/// What stands before the convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Front {
    Nothing,
    Depthwise,
    Norm,
    NormSilu,
    Nearest,
    Zeros,
}

/// What may stand behind it, in this order: SiLU, a time row, SiLU, a residual.
type Behind = [bool; 4];

fn conv(g: &mut Graph, x: NodeId, kernel: usize, padding: Padding) -> NodeId {
    let c = g.shape(x).c;
    let conv = Conv {
        in_channels: c,
        out_channels: OUT,
        kernel,
        stride: 1,
        padding,
        weight: noise(OUT * c * kernel * kernel, 1).iter().map(|w| w / kernel as f32).collect(),
        bias: noise(OUT, 2).into(),
    };
    g.push("conv", conv, &[x]).unwrap()
}

fn network(front: Front, [first, row, second, residual]: Behind) -> Graph {
    let c = 6;
    let mut g = Graph::new(Shape::new(c, 4, 3));
    let x = g.input("x").unwrap();
    let noisy = |n, seed| noise(n, seed).into();
    let row_table = |g: &mut Graph| AddRow { table: lookup(g, OUT, noise(5 * OUT, 5)), width: OUT };
    // What is added in the end: of the output's shape, and made by ops that take no sum in.
    let z = conv(&mut g, x, 1, Padding::all(0));
    let z = g.push("other", Pointwise::Mish, &[z]).unwrap();
    let other = row_table(&mut g);
    let z = g.push("other row", other, &[z]).unwrap();
    let z = g.push("other silu", Silu, &[z]).unwrap();
    let z = match front {
        Front::Nearest | Front::Zeros => g.push("larger", Resample::nearest(), &[z]).unwrap(),
        _ => z,
    };
    let y = match front {
        Front::Nothing => conv(&mut g, x, 3, Padding::all(1)),
        Front::Depthwise => {
            let (weight, bias) = (noisy(9 * c, 3), noisy(c, 4));
            let op = Depthwise { channels: c, stride: 1, padding: Padding::all(1), weight, bias };
            let y = g.push("depthwise", op, &[x]).unwrap();
            conv(&mut g, y, 1, Padding::all(0))
        }
        Front::Norm | Front::NormSilu => {
            let scale = Scale::Fixed { gain: noisy(c, 3), shift: noisy(c, 4) };
            let op = GroupNorm { channels: c, groups: 2, epsilon: 1e-5, scale };
            let y = g.push("norm", op, &[x]).unwrap();
            let y = if front == Front::NormSilu { g.push("norm silu", Silu, &[y]).unwrap() } else { y };
            conv(&mut g, y, 3, Padding::all(1))
        }
        Front::Nearest => {
            let y = g.push("up", Resample::nearest(), &[x]).unwrap();
            conv(&mut g, y, 3, Padding::all(1))
        }
        Front::Zeros => {
            let y = g.push("zeros", Resample::zeros(), &[x]).unwrap();
            conv(&mut g, y, 4, Padding::all(2))
        }
    };
    let mut y = if first { g.push("silu", Silu, &[y]).unwrap() } else { y };
    if row {
        let row = row_table(&mut g);
        y = g.push("row", row, &[y]).unwrap();
    }
    if second && (row || !first) {
        y = g.push("silu again", Silu, &[y]).unwrap();
    }
    if residual {
        y = g.push("sum", Add { scales: [0.5, -1.25] }, &[y, z]).unwrap();
    }
    g.output("y", y).unwrap();
    g
}

fn combinations() -> Vec<(Front, Behind)> {
    let fronts = [Front::Nothing, Front::Depthwise, Front::Norm, Front::NormSilu, Front::Nearest, Front::Zeros];
    let behind = |i: usize| -> Behind { std::array::from_fn(|bit| i >> bit & 1 == 1) };
    fronts.into_iter().flat_map(|front| (0..16).map(move |i| (front, behind(i)))).collect()
}

/// A block of a transformer behind its attention: two 1x1 convolutions with a function between them, a gain that depends on the label, a
/// sum.
fn gated(curve: Pointwise) -> Graph {
    let mut g = Graph::new(Shape::new(OUT, 4, 3));
    let x = g.input("x").unwrap();
    let y = conv(&mut g, x, 1, Padding::all(0));
    let y = g.push("function", curve, &[y]).unwrap();
    let y = conv(&mut g, y, 3, Padding::all(1));
    let gain = lookup(&mut g, OUT, noise(5 * OUT, 5));
    let gate = Modulate { channels: OUT, scale: Scale::Rows { gain, shift: None } };
    let y = g.push("gate", gate, &[y]).unwrap();
    let y = g.push("sum", Add { scales: [1.0, 1.0] }, &[x, y]).unwrap();
    g.output("y", y).unwrap();
    g
}

/// An image of that shape turned round: pixels as channels.
fn turned(g: &mut Graph, x: NodeId, shape: Shape) -> NodeId {
    let from = g.shape(x);
    let channels = (0..from.pixels()).map(|p| (p * from.c) as u32).collect();
    g.push("turned", Gather::of(shape, (0..from.c as u32).collect(), channels), &[x]).unwrap()
}

/// A block of a mixer over the pixels of an image with that many channels: to so many, a function, and back; then a sum.
fn mixer(shape: Shape, hidden: usize, curve: Pointwise) -> Graph {
    let mut g = Graph::new(shape);
    let x = g.input("x").unwrap();
    let layer = |from: usize, to: usize, seed| Conv {
        in_channels: from,
        out_channels: to,
        kernel: 1,
        stride: 1,
        padding: Padding::all(0),
        weight: noise(from * to, seed).into(),
        bias: noise(to, seed + 1).into(),
    };
    let n = shape.pixels();
    let y = turned(&mut g, x, Shape::new(n, 1, shape.c));
    let y = g.push("in", layer(n, hidden, 1), &[y]).unwrap();
    let y = g.push("function", curve, &[y]).unwrap();
    let y = g.push("out", layer(hidden, n, 3), &[y]).unwrap();
    let y = turned(&mut g, y, shape);
    let y = g.push("sum", Add { scales: [1.0, 1.0] }, &[x, y]).unwrap();
    g.output("y", y).unwrap();
    g
}

/// Networks of whatever the combinations lack.
pub fn blocks() -> Vec<Graph> {
    vec![
        gated(Pointwise::Gelu),
        gated(Pointwise::Relu),
        mixer(Shape::new(10, 4, 3), 9, Pointwise::GeluTanh),
        mixer(Shape::new(8, 7, 7), 64, Pointwise::Gelu),
        mixer(Shape::new(5, 2, 1), 3, Pointwise::Clip([-0.2, 0.3])),
    ]
}

fn plan(graph: &Graph, family: KernelFamily, tangents: u32, variant: &str) -> Program {
    let target = Target { choices: Choices::always(variant).into(), subgroup: 32, ..Target::of(family) };
    let mut program = Builder::new(target, tangents);
    let ports = ports(&mut program, graph);
    lower(graph, &[0, 3], &ports, &mut program).unwrap();
    program.finish().unwrap()
}

#[test]
fn no_fusion_binds_more_than_every_adapter_can() {
    let mut greediest = 0;
    for (front, behind) in combinations() {
        let graph = network(front, behind);
        for (family, tangents) in
            [(KernelFamily::Cpu, 0), (KernelFamily::Cpu, 2), (KernelFamily::Gpu, 0), (KernelFamily::Gpu, 2)]
        {
            // Of the other family there is one.
            for variant in if family == KernelFamily::Gpu { VARIANTS } else { &VARIANTS[..1] } {
                let program = plan(&graph, family, tangents, variant.name);
                for step in program.steps() {
                    let binds = step.storage_buffers();
                    let most = STORAGE_BUFFERS + usize::from(step.kernel.shader == "conv_coop");
                    assert!(
                        binds <= most,
                        "{front:?} {behind:?}, {family:?}, {tangents} tangents: {} binds {binds}",
                        step.label
                    );
                    greediest = greediest.max(binds);
                }
                // What would be one too many stands alone: the sum behind all else, where slopes are bound too.
                let all = front == Front::Depthwise && family == KernelFamily::Gpu && tangents > 0;
                let all = all && behind[1] && behind[3] && (behind[0] || behind[2]);
                let sums = program.steps().filter(|s| s.op == "add").count();
                assert_eq!(sums, usize::from(all), "{front:?} {behind:?}, {family:?}, {tangents} tangents");
            }
        }
    }
    assert_eq!(greediest, STORAGE_BUFFERS + 1, "a cooperative one with its maxima");
}

/// A step of one shader that binds so many buffers, the first by that access.
fn binding(shader: &'static str, buffers: usize, first: Access) -> Result<Program, String> {
    let mut program = builder(KernelFamily::Gpu, 0, None);
    let ids: Vec<BufferId> = (0..buffers).map(|i| program.buffer(format!("b{i}"), 16, Role::Scratch)).collect();
    let step = |label: &str, first: Access| Step {
        label: label.into(),
        op: "greedy",
        kernel: Kernel { shader, constants: vec![] },
        bindings: ids.iter().enumerate().map(|(i, id)| ("b", *id, if i == 0 { first } else { Access::Read })).collect(),
        role: LaneRole::All,
        immediates: vec![],
        grid: Grid { items: 1, workgroup: 1, groups: 1 },
        flops: 0,
        bytes: 0,
    };
    program.push(step("greedy node: step", first));
    program.push(step("the next", first));
    program.finish().map_err(|e| e.to_string())
}

/// In release builds too: it is the builder that refuses, and it names the first step.
#[test]
fn a_step_that_binds_too_much_or_reads_an_old_image_is_never_made() {
    assert_eq!(binding("mine", STORAGE_BUFFERS, Access::Write).unwrap().steps().count(), 2);
    let error = binding("mine", STORAGE_BUFFERS + 1, Access::Write).unwrap_err();
    assert_eq!(error, "greedy node: step: binds 9 storage buffers, expected at most 8");
    assert!(binding("conv_coop", STORAGE_BUFFERS + 1, Access::Write).is_ok(), "asked of the adapter for this one");
    let error = binding("conv_coop", STORAGE_BUFFERS + 2, Access::Write).unwrap_err();
    assert_eq!(error, "greedy node: step: binds 10 storage buffers, expected at most 9");
    let error = binding("mine", 2, Access::Image).unwrap_err();
    assert!(error.starts_with("greedy node: step: reads 'b'") && error.contains("'b0' that is out of date"), "{error}");
}

/// Every rule is applied by some of these networks, and what it makes is the same function: the twin of the fused network is
/// that of the network.
#[test]
fn every_rule_makes_the_same_function() {
    let (mut applied, mut worst) = (BTreeSet::new(), 0f64);
    for (front, behind) in combinations() {
        let graph = network(front, behind);
        let x = Dual::along(&noise(size(&graph), 6), &noise(size(&graph), 7));
        let want = twin::evaluate(&graph, &x, 3).unwrap();
        for (family, tangents) in [(KernelFamily::Cpu, 0), (KernelFamily::Gpu, 0), (KernelFamily::Gpu, 2)] {
            let (fused, rules) = fused(&graph, &Target::of(family), tangents).unwrap();
            assert!(fused.nodes.len() + rules.len() <= graph.nodes.len(), "{front:?} {behind:?}: {rules:?}");
            applied.extend(rules);
            let got = twin::evaluate(&fused, &x, 3).unwrap();
            let most = want.iter().fold(0f64, |most, y| most.max(y.v.abs()).max(y.d.abs()));
            let gap = |(a, b): (&Dual, &Dual)| (a.v - b.v).abs().max((a.d - b.d).abs()) / most;
            let error = got.iter().zip(&want).map(gap).fold(0f64, f64::max);
            worst = worst.max(error);
            // Phases of a doubled image have sums of weights, rounded to f32.
            let tolerance = if front == Front::Nearest { 2e-7 } else { 1e-14 };
            assert!(error < tolerance, "{front:?} {behind:?}, {family:?}, {tangents} tangents: {error:e}");
        }
    }
    for (i, graph) in blocks().into_iter().enumerate() {
        let x = Dual::along(&noise(size(&graph), 6), &noise(size(&graph), 7));
        let want = twin::evaluate(&graph, &x, 3).unwrap();
        for (family, tangents) in [(KernelFamily::Cpu, 0), (KernelFamily::Cpu, 2), (KernelFamily::Gpu, 0)] {
            let (fused, rules) = fused(&graph, &Target::of(family), tangents).unwrap();
            applied.extend(rules);
            let copies = fused.nodes.iter().filter(|node| node.op.name() == "gather").count();
            assert_eq!(copies, if family == KernelFamily::Cpu || i < 2 { 0 } else { 2 }, "{i}, {family:?}");
            let got = twin::evaluate(&fused, &x, 3).unwrap();
            let most = want.iter().fold(0f64, |most, y| most.max(y.v.abs()).max(y.d.abs()));
            let gap = |(a, b): (&Dual, &Dual)| (a.v - b.v).abs().max((a.d - b.d).abs()) / most;
            let error = got.iter().zip(&want).map(gap).fold(0f64, f64::max);
            assert!(error < 1e-14, "{i}, {family:?}, {tangents} tangents: {error:e}");
        }
    }
    // Some rules are of reverse sweeps alone; what they make agrees with the twin too.
    for (front, behind) in combinations() {
        let graph = adjoint(&network(front, behind)).unwrap();
        let ends = [0, 1].map(|i| graph.shape(graph.inputs[i].1).len());
        let [x, u] = [0, 1].map(|i| Dual::along(&noise(ends[i], 6 + i as u64), &noise(ends[i], 8 + i as u64)));
        let want = twin::outputs(&graph, &[&x, &u], 3, 0).unwrap();
        for family in [KernelFamily::Cpu, KernelFamily::Gpu] {
            let (fused, rules) = fused_both(&graph, &Target::of(family), 0);
            applied.extend(rules);
            let got = twin::outputs(&fused, &[&x, &u], 3, 0).unwrap();
            for (got, want) in got.iter().zip(&want) {
                let most = want.iter().fold(0f64, |most, y| most.max(y.v.abs()));
                let error = got.iter().zip(want).map(|(a, b)| (a.v - b.v).abs() / most).fold(0f64, f64::max);
                let tolerance = if front == Front::Nearest { 2e-7 } else { 1e-14 };
                assert!(error < tolerance, "{front:?} {behind:?}, {family:?}, reverse: {error:e}");
            }
        }
    }
    // A depthwise convolution behind an activation.
    let shuffled =
        adjoint(&crate::networks::network(&hyper(1, 4, &[2, 4], 8), &random(1, 4, &[2, 4])).unwrap()).unwrap();
    applied.extend(fused_both(&shuffled, &Target::of(KernelFamily::Cpu), 0).1);
    assert_eq!(applied, RULES.iter().map(|rule| rule.name).collect());
    println!("worst {worst:.2e}");
}

/// On the adapter: what stands before a convolution with each thing that may stand behind it, and with all of them.
#[test]
fn every_fusion_agrees_with_its_twin() {
    let gpu = gpu();
    let mut worst = 0f64;
    let some = |(_, behind): &(Front, Behind)| [1, 4].contains(&behind.iter().filter(|on| **on).count());
    // SiLU is the second only where it is behind a row.
    for (front, behind) in combinations().into_iter().filter(some).filter(|(_, b)| *b != [false, false, true, false]) {
        let graph = network(front, behind);
        for family in families(&gpu) {
            let error = compare(&gpu, &graph, family).unwrap();
            worst = worst.max(error);
            // Three layers of f32 sums of at most 96 products, of them one that divides by a deviation.
            assert!(error < 2e-6, "{front:?} {behind:?}, {family:?}: {error:e}");
        }
    }
    for (i, graph) in blocks().iter().enumerate() {
        for family in families(&gpu) {
            let error = compare(&gpu, graph, family).unwrap();
            worst = worst.max(error);
            // Two layers of f32 sums of at most 72 products.
            assert!(error < 2e-6, "block {i}, {family:?}: {error:e}");
        }
    }
    println!("worst {worst:.2e}");
}
