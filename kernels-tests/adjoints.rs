//! The transpose of every op: <u, J v> = <J'u, v> in f64, J v by the op's dual numbers and J'u by the nodes that its rule makes; and
//! the rule's own derivatives: those of J'u along v are what its transpose says, and the transpose of J'u in u is J.
use crate::common::{builder, families, gpu, noise, ports, run_all};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::gpu::Gpu;
use vorticity::graph::Graph;
use vorticity::ops::channels::Channels;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::depthwise::Depthwise;
use vorticity::ops::gather::{Gather, NOWHERE, Taken};
use vorticity::ops::reduce::{Made, Reduce};
use vorticity::ops::reverse::{Reverse, Share};
use vorticity::ops::{Case, Lowering, OPS, Op};
use vorticity::passes::adjoint::{adjoint, adjoint_of, cotangent_of};
use vorticity::passes::{self, lower};
use vorticity::paths::Lane;
use vorticity::rows::Rows;
use vorticity::rows::functions::Lookup;
use vorticity::shape::Shape;
use vorticity::target::{KernelFamily, Target};
use vorticity::twin;

/// Of sums of at most a few thousand products in f64.
const ROUNDING: f64 = 1e-12;

/// Of <u, J v> on the adapter, of the largest that it could be.
const LAW: f64 = 1e-6;

/// The timestep at which ops read their rows.
const K: usize = 3;

/// A case as a network of as many inputs as its op has, x0 and so on, and one output, y.
fn graph_of(case: &Case) -> Graph {
    let mut graph = Graph::default();
    let inputs: Vec<_> =
        case.inputs.iter().enumerate().map(|(i, s)| graph.push_input(format!("x{i}"), *s).unwrap()).collect();
    if let Some(width) = case.row {
        let lookup = Lookup { table: noise(5 * width, 3).into(), rows: 5, width };
        let row = graph.rows.apply(lookup, &[Rows::LABEL]).unwrap();
        graph.rows.push("row", row).unwrap();
    }
    let y = graph.push_arc(case.name, case.op.clone(), &inputs).unwrap();
    graph.output("y", y).unwrap();
    graph
}

/// The names of its inputs.
fn names(graph: &Graph) -> Vec<String> {
    graph.inputs.iter().map(|(name, _)| name.clone()).collect()
}

/// Numbers for every input of a network, from a seed.
fn drawn(graph: &Graph, seed: u64) -> Vec<Vec<f64>> {
    let one = |(i, (_, id)): (usize, &(String, _))| {
        noise(graph.shape(*id).len(), 100 * seed + i as u64).into_iter().map(f64::from).collect()
    };
    graph.inputs.iter().enumerate().map(one).collect()
}

/// Values and derivatives of an output, of inputs that move along `v`.
fn along(graph: &Graph, output: usize, x: &[Vec<f64>], v: &[Vec<f64>]) -> [Vec<f64>; 2] {
    let duals: Vec<Vec<Dual>> =
        x.iter().zip(v).map(|(x, v)| x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect()).collect();
    let duals: Vec<&[Dual]> = duals.iter().map(Vec::as_slice).collect();
    let y = twin::outputs(graph, &duals, K, 0).unwrap().swap_remove(output);
    [y.iter().map(|y| y.v).collect(), y.iter().map(|y| y.d).collect()]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// How far two numbers are apart, of a size; infinite if they are not numbers.
fn gap(a: f64, b: f64, size: f64) -> f64 {
    let gap = (a - b).abs() / size.max(f64::MIN_POSITIVE);
    if gap.is_nan() { f64::INFINITY } else { gap }
}

/// The largest gap of the laws, by input of the op: of J'u, of its derivatives along x, of its transpose in u.
fn gaps(case: &Case) -> Result<[f64; 3]> {
    let graph = graph_of(case);
    let own = names(&graph);
    let (x, still) = (drawn(&graph, 1), drawn(&graph, 2).iter().map(|v| vec![0.0; v.len()]).collect::<Vec<_>>());
    let mut worst = [0f64; 3];
    let mut see = |law: usize, gap: f64| worst[law] = worst[law].max(gap);
    for (i, name) in own.iter().enumerate() {
        let mut back = adjoint_of(&graph, "y", &[name])?;
        let mut v = still.clone();
        v[i] = drawn(&graph, 3).swap_remove(i);
        let jv = along(&graph, 0, &x, &v)[1].clone();
        let u: Vec<f64> = noise(jv.len(), 4).into_iter().map(f64::from).collect();
        // The inputs of the transposed network, and how they move.
        let given = [&x[..], std::slice::from_ref(&u)].concat();
        let moving = [drawn(&graph, 5), vec![vec![0.0; u.len()]]].concat();
        let [ju, turned] = along(&back, 1, &given, &moving);
        see(0, gap(dot(&u, &jv), dot(&ju, &v[i]), (norm(&u) * norm(&jv)).max(norm(&ju) * norm(&v[i]))));

        // <J'u, w> as a network: its transpose in x and in u.
        back.outputs = vec![("g".into(), back.outputs[1].1)];
        let all = names(&back);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let second = adjoint_of(&back, "g", &all)?;
        let w = &v[i];
        let given = [given, vec![w.clone()]].concat();
        let still: Vec<Vec<f64>> = given.iter().map(|x| vec![0.0; x.len()]).collect();
        let of = |name: &str| {
            let output = second.outputs.iter().position(|(known, _)| *known == cotangent_of(name)).unwrap();
            along(&second, output, &given, &still)[0].clone()
        };
        let (mut found, mut size) = (0.0, norm(&turned) * norm(w));
        for (name, v) in own.iter().zip(&moving) {
            let cotangent = of(name);
            found += dot(&cotangent, v);
            size += norm(&cotangent) * norm(v);
        }
        see(1, gap(dot(&turned, w), found, size));
        let jw = of(&cotangent_of("y"));
        let apart: Vec<f64> = jw.iter().zip(&jv).map(|(a, b)| a - b).collect();
        see(2, gap(norm(&apart), 0.0, norm(&jv)));
    }
    Ok(worst)
}

/// Shapes that the ops' own cases lack, at which rules take other ways.
fn more() -> Vec<Case> {
    let case = |name, op: Arc<dyn Op>, inputs: &[Shape]| Case { name, op, inputs: inputs.to_vec(), row: None };
    let conv = |name, [kernel, stride, before, after]: [usize; 4], [h, w]: [usize; 2]| {
        let side = [before, after];
        let op = Conv {
            in_channels: 3,
            out_channels: 5,
            kernel,
            stride,
            padding: Padding { rows: side, columns: side },
            weight: noise(15 * kernel * kernel, 8).into(),
            bias: noise(5, 9).into(),
        };
        case(name, Arc::new(op), &[Shape::new(3, h, w)])
    };
    let depthwise = |name, stride, padding: Padding| {
        let op = Depthwise { channels: 6, stride, padding, weight: noise(54, 8).into(), bias: noise(6, 9).into() };
        case(name, Arc::new(op), &[Shape::new(6, 5, 8)])
    };
    // One channel once, one twice, one thrice, one never; of the other input one.
    let several = Channels::gather(vec![(0, 2), (0, 0), (1, 1), (0, 2), (0, 1), (0, 2), (0, 1)]);
    let unseen = Gather { shape: Shape::new(2, 1, 2), ..Gather::of(Shape::new(2, 1, 2), vec![2, 0], vec![1, 0]) };
    let taken = Taken { pixels: vec![NOWHERE; 2].into(), channels: vec![0, 1].into() };
    let unseen = Gather { taken: [unseen.taken, vec![taken]].concat(), ..unseen };
    let uneven = Gather::of(Shape::new(3, 2, 1), vec![0, 7], vec![0, 3, 4]);
    vec![
        conv("3x3, stride 2, twice as many pixels", [3, 2, 1, 1], [6, 8]),
        conv("5x5, stride 2, twice as many pixels", [5, 2, 2, 2], [8, 6]),
        conv("1x1, stride 2, twice as many pixels", [1, 2, 0, 0], [4, 6]),
        conv("1x1, stride 3, zeros around", [1, 3, 2, 1], [5, 7]),
        conv("2x2, stride 2, patches", [2, 2, 0, 0], [6, 4]),
        conv("4x4, stride 4, patches", [4, 4, 0, 0], [8, 12]),
        conv("2x2, stride 3, rows that nobody sees", [2, 3, 0, 0], [10, 9]),
        conv("3x3, more zeros than it reaches", [3, 1, 4, 5], [3, 4]),
        conv("3x3, stride 2, more zeros than it reaches", [3, 2, 3, 4], [4, 5]),
        conv("1x1, stride 9, of zeros alone", [1, 9, 3, 0], [4, 4]),
        depthwise("depthwise, more zeros than it reaches", 1, Padding::all(4)),
        depthwise("depthwise, stride 2, zeros below and to the right", 2, Padding::trailing(0, 1)),
        case("channels several times", Arc::new(several), &[Shape::new(4, 3, 2), Shape::new(2, 3, 2)]),
        case("an input that is not there", Arc::new(unseen), &[Shape::new(2, 2, 2), Shape::new(3, 1, 1)]),
        case("numbers at uneven places", Arc::new(uneven), &[Shape::new(4, 3, 1)]),
    ]
}

/// Every case of every op, and more.
fn every() -> impl Iterator<Item = (&'static str, Case)> {
    let cases = |(op, cases): &(&'static str, fn() -> Vec<Case>)| {
        let op = *op;
        cases().into_iter().map(move |case| (op, case)).collect::<Vec<_>>()
    };
    OPS.iter().flat_map(cases).chain(more().into_iter().map(|case| ("more", case)))
}

#[test]
fn every_op_has_its_transpose() {
    let mut worst = [0f64; 3];
    for (op, case) in every() {
        let gaps = gaps(&case).unwrap_or_else(|e| panic!("{op}, {}: {e}", case.name));
        assert!(gaps.iter().all(|gap| *gap <= ROUNDING), "{op}, {}: {gaps:?}", case.name);
        (0..3).for_each(|law| worst[law] = worst[law].max(gaps[law]));
    }
    println!("worst gaps: {worst:?}");
}

/// Of the transposed network: a few kernels, of which each is within `selftest::OP` of its twin.
const ON_DEVICE: f64 = 1e-5;

/// The largest gap on the adapter between <u, J v> and <J'u, v>, for the u of a sample and for one along which it moves; and from
/// the twin, of everything that comes out.
fn gaps_on(gpu: &Gpu, case: &Case, family: KernelFamily) -> [f64; 2] {
    let graph = graph_of(case);
    let mut worst = [0f64; 2];
    for (i, name) in names(&graph).iter().enumerate() {
        let back = adjoint_of(&graph, "y", &[name]).unwrap();
        let given = drawn(&back, 1);
        let last = given.len() - 1;
        // One tangent moves input i, the other u.
        let still: Vec<Vec<f64>> = given.iter().map(|x| vec![0.0; x.len()]).collect();
        let moving = [i, last].map(|own| {
            let mut moving = still.clone();
            moving[own] = drawn(&back, 2).swap_remove(own);
            moving
        });
        let lanes = [&given, &moving[0], &moving[1]];
        let inputs: Vec<Vec<f32>> =
            (0..=last).map(|n| lanes.iter().flat_map(|lane| lane[n].iter().map(|&v| v as f32)).collect()).collect();
        let mut program = builder(family, 2, None);
        let ports = ports(&mut program, &back);
        lower(&back, &[K], &ports, &mut program).unwrap();
        let got = run_all(gpu, &back, (program.finish().unwrap(), ports), &inputs, &[Lane::default(); 3]);
        // By output and lane.
        let got: Vec<Vec<Vec<f64>>> = got
            .iter()
            .map(|all| all.chunks(all.len() / 3).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect())
            .collect();
        let (v, jv) = (&moving[0][i], &got[0][1]);
        for (u, ju) in [(&given[last], &got[1][0]), (&moving[1][last], &got[1][2])] {
            let size = (norm(u) * norm(jv)).max(norm(ju) * norm(v));
            worst[0] = worst[0].max(gap(dot(u, jv), dot(ju, v), size));
        }
        let along = moving.each_ref().map(|moving| [0, 1].map(|output| along(&back, output, &given, moving)));
        for (output, lane) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
            let want = &along[lane.max(1) - 1][output][usize::from(lane > 0)];
            let most = |v: &[f64]| v.iter().fold(0f64, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) });
            let apart: Vec<f64> = got[output][lane].iter().zip(want).map(|(a, b)| a - b).collect();
            worst[1] = worst[1].max(most(&apart) / most(want).max(f64::MIN_POSITIVE));
        }
    }
    worst
}

#[test]
fn every_transpose_is_one_on_the_adapter() {
    let gpu = gpu();
    let mut worst = [0f64; 2];
    for (op, case) in every() {
        for family in families(&gpu) {
            let found = gaps_on(&gpu, &case, family);
            assert!(found[0] <= LAW, "{op}, {}, {family:?}: <u, J v> is off by {:e}", case.name, found[0]);
            assert!(found[1] <= ON_DEVICE, "{op}, {}, {family:?}: off its twin by {:e}", case.name, found[1]);
            worst = [worst[0].max(found[0]), worst[1].max(found[1])];
        }
    }
    println!("worst gaps: {worst:?}");
}

/// The transposes of strided convolutions become one kernel that multiplies no zeros, where the image has twice as many pixels.
#[test]
fn transposed_convolutions_are_fused() {
    for (case, fused) in more().iter().zip([true, true, false, false, true, false, false]) {
        let graph = adjoint(&graph_of(case)).unwrap();
        let (_, rules) = passes::fused(&graph, &Target::of(KernelFamily::Gpu), 0).unwrap();
        let found = rules.contains(&"image of twice the size, convolution");
        assert_eq!(found, fused, "{}: {rules:?}", case.name);
    }
}

/// Where x is 0 its length has no slope, and gives none.
#[test]
fn a_length_of_zero_gives_nothing_back() {
    let case = Case {
        name: "lengths",
        op: Arc::new(Reduce { heads: 2, made: Made::Length }),
        inputs: vec![Shape::new(6, 2, 2)],
        row: None,
    };
    let back = adjoint(&graph_of(&case)).unwrap();
    let (mut x, u) = (noise(24, 1), noise(8, 2));
    (0..3).for_each(|c| x[4 * c + 1] = 0.0);
    let want = twin::outputs(&back, &[&Dual::lift(&x), &Dual::lift(&u)], K, 0).unwrap().swap_remove(1);
    let gpu = gpu();
    for family in families(&gpu) {
        let mut program = builder(family, 0, None);
        let ports = ports(&mut program, &back);
        lower(&back, &[K], &ports, &mut program).unwrap();
        let planned = (program.finish().unwrap(), ports);
        let got = run_all(&gpu, &back, planned, &[x.clone(), u.clone()], &[Lane::default()]).swap_remove(1);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!((f64::from(*got) - want.v).abs() <= 1e-6, "{family:?}, {i}: {got}, expected {}", want.v);
        }
        assert!((0..3).all(|c| got[4 * c + 1] == 0.0), "{got:?}");
    }
}

/// A convolution with the rule of another one.
#[derive(Debug)]
struct Wrong {
    said: Conv,
    done: Conv,
}

impl Op for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.said.shape(inputs)
    }
    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.said.twin(inputs, shapes, rows)
    }
    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        self.done.adjoint(g)
    }
    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.said.flops(inputs, output)
    }
    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.said.lower(cx)
    }
}

#[test]
fn a_wrong_rule_is_seen() {
    let weight: Vec<f32> = noise(6 * 5 * 9, 1);
    let said = Conv {
        in_channels: 5,
        out_channels: 6,
        kernel: 3,
        stride: 1,
        padding: Padding::all(1),
        weight: weight.clone().into(),
        bias: [0.5; 6].into(),
    };
    let mut nudged = weight;
    nudged[100] += 1e-4; // one weight of 270, by a ten-thousandth
    let done = Conv { weight: nudged.into(), ..said.clone() };
    let case = |op: Arc<dyn Op>| Case { name: "3x3", op, inputs: vec![Shape::new(5, 6, 7)], row: None };
    let right = gaps(&case(Arc::new(said.clone()))).unwrap();
    assert!(right.iter().all(|gap| *gap <= ROUNDING), "{right:?}");
    let wrong = gaps(&case(Arc::new(Wrong { said, done }))).unwrap();
    assert!(wrong[0] > 100.0 * ROUNDING, "{wrong:?}");
}
