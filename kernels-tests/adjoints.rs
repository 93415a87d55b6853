//! The transpose of every op: <u, J v> = <J'u, v> in f64, J v by the op's dual numbers and J'u by the nodes that its rule makes; and
//! the rule's own derivatives: those of J'u along v are what its transpose says, and the transpose of J'u in u is J.
use crate::common::noise;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::graph::Graph;
use vorticity::ops::{Case, OPS};
use vorticity::passes::adjoint::{adjoint_of, cotangent_of};
use vorticity::rows::Rows;
use vorticity::rows::functions::Lookup;
use vorticity::twin;

/// Ops that have no adjoint, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("add", "not written yet"),
    ("add_row", "not written yet"),
    ("affine", "not written yet"),
    ("channels", "not written yet"),
    ("conv", "not written yet"),
    ("depthwise", "not written yet"),
    ("filter", "not written yet"),
    ("gather", "not written yet"),
    ("max_pool", "not written yet"),
    ("modulate", "not written yet"),
    ("reduce", "not written yet"),
    ("repack", "not written yet"),
    ("resample", "not written yet"),
    ("rows", "not written yet"),
    ("told", "not written yet"),
    ("upsample", "not written yet"),
];

/// Of sums of at most a few thousand products in f64.
const ROUNDING: f64 = 1e-12;

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

#[test]
fn every_op_has_its_transpose() {
    let mut transposed = 0;
    for (op, cases) in OPS {
        let without = WITHOUT.iter().find(|(name, _)| name == op);
        for case in cases() {
            match (gaps(&case), without) {
                (Ok(gaps), None) => {
                    assert!(gaps.iter().all(|gap| *gap <= ROUNDING), "{op}, {}: {gaps:?}", case.name);
                    transposed += 1;
                }
                (Err(e), None) => panic!("{op}, {}: {e}", case.name),
                (Ok(_), Some(_)) if !case.inputs.is_empty() => panic!("{op} has an adjoint: strike it off"),
                (_, Some(_)) => {}
            }
        }
    }
    println!("{transposed} cases, {} ops without", WITHOUT.len());
}
