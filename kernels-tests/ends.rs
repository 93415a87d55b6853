//! Networks of several inputs and outputs, of different shapes, against the twin; outputs that others read too; what is refused.
use crate::common::{builder, families, gpu, max_norm_error, noise, ports, run_all};
use vorticity::dual::Dual;
use vorticity::evaluate::Evaluator;
use vorticity::graph::{Graph, NodeId};
use vorticity::ops::affine::Affine;
use vorticity::ops::attention_logits::AttentionLogits;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::mix::Mix;
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::silu::Silu;
use vorticity::ops::softmax::Softmax;
use vorticity::passes::{lower, lower_as_is};
use vorticity::paths::Lane;
use vorticity::shape::Shape;
use vorticity::{trace, twin};

const K: usize = 3;

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

/// An image that attends to the pixels of another: what it becomes, and how much it attends.
fn attending() -> Graph {
    let mut g = Graph::new(Shape::new(5, 4, 6));
    let context = g.push_input("context", Shape::new(7, 1, 3)).unwrap();
    let x = g.input("x").unwrap();
    let q = conv(&mut g, "q", x, 8, 3, 1);
    let [k, v] = [3, 5].map(|seed| conv(&mut g, "kv", context, 8, 1, seed));
    let logits = g.push("logits", AttentionLogits { heads: 1, scale: 0.5 }, &[q, k]).unwrap();
    let weights = g.push("softmax", Softmax { heads: 1, scale: 1.0 }, &[logits]).unwrap();
    let y = g.push("mix", Mix { heads: 1, by_row: false }, &[weights, v]).unwrap();
    let y = conv(&mut g, "out", y, 6, 3, 7);
    g.output("y", y).unwrap();
    g.output("weights", weights).unwrap();
    g
}

/// A convolution that is an output as it is, is an output with SiLU, and is read once more; and the input itself.
fn shared() -> Graph {
    let mut g = Graph::new(Shape::new(3, 5, 4));
    let x = g.input("x").unwrap();
    let a = conv(&mut g, "a", x, 8, 3, 1);
    let s = g.push("a.silu", Silu, &[a]).unwrap();
    let b = conv(&mut g, "b", a, 4, 1, 3);
    let b = g.push("b.silu", Silu, &[b]).unwrap();
    for (name, node) in [("b", b), ("a", a), ("s", s), ("again", x)] {
        g.output(name, node).unwrap();
    }
    g
}

/// Largest error of any output's values and derivatives, each of the largest of its own.
fn against_twin(graph: &Graph, fused: bool) -> f64 {
    let gpu = gpu();
    let (tangents, samples) = (2usize, 2usize);
    let mut worst = 0f64;
    for family in families(&gpu) {
        for tangents in [0, tangents] {
            let group = 1 + tangents;
            let lanes = samples * group;
            let inputs: Vec<Vec<f32>> = graph
                .inputs
                .iter()
                .enumerate()
                .map(|(i, (_, id))| noise(lanes * graph.shape(*id).len(), 20 + i as u64))
                .collect();
            let mut program = builder(family, tangents as u32, None);
            let ports = ports(&mut program, graph);
            match fused {
                true => lower(graph, &[K], &ports, &mut program).unwrap(),
                false => lower_as_is(graph, &[K], &ports, &mut program).unwrap(),
            }
            let planned = (program.finish().unwrap(), ports);
            let got = run_all(&gpu, graph, planned, &inputs, &vec![Lane::default(); lanes]);
            assert_eq!(got.len(), graph.outputs.len());
            let row = |input: usize, lane: usize| {
                let d = inputs[input].len() / lanes;
                &inputs[input][lane * d..(lane + 1) * d]
            };
            for lane in 0..lanes {
                let primal = lane / group * group;
                let duals: Vec<Vec<Dual>> = (0..inputs.len())
                    .map(|i| {
                        if lane == primal {
                            Dual::lift(row(i, lane))
                        } else {
                            Dual::along(row(i, primal), row(i, lane))
                        }
                    })
                    .collect();
                let duals: Vec<&[Dual]> = duals.iter().map(Vec::as_slice).collect();
                let want = twin::outputs(graph, &duals, K, 0).unwrap();
                for (got, want) in got.iter().zip(want) {
                    let want: Vec<f64> = want.iter().map(|y| if lane == primal { y.v } else { y.d }).collect();
                    worst = worst.max(max_norm_error(&got[lane * want.len()..][..want.len()], &want));
                }
            }
        }
    }
    worst
}

#[test]
fn two_inputs_and_two_outputs_of_different_shapes_agree_with_the_twin() {
    for (graph, fused) in [(attending(), true), (attending(), false), (shared(), true), (shared(), false)] {
        let error = against_twin(&graph, fused);
        // Three layers of f32 sums of at most 72 products, and a softmax.
        assert!(error < 4e-6, "fused {fused}: {error:e}");
    }
}

#[test]
fn what_an_output_needs_is_not_folded_away() {
    let graph = shared();
    let gpu = gpu();
    for family in families(&gpu) {
        let mut program = builder(family, 0, None);
        let ports = ports(&mut program, &graph);
        lower(&graph, &[K], &ports, &mut program).unwrap();
        let program = program.finish().unwrap();
        let count = |op: &str| program.steps().filter(|s| s.op == op).count();
        // SiLU of `a` stands alone, for `a` is asked for as it is; that of `b` does not.
        assert_eq!((count("silu"), count("output")), (1, 4), "{family:?}");
    }
}

#[test]
fn ends_that_do_not_fit_are_refused() {
    let said = |result: vorticity::error::Result<()>, words: &[&str]| {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "'{word}' not in '{error}'"));
    };
    let mut graph = attending();
    said(graph.push_input("x", Shape::new(1, 1, 1)).map(drop), &["input 'x'", "comes twice"]);
    said(graph.push_input("z", Shape::new(1, 0, 1)).map(drop), &["input 'z'", "is empty: 1x0x1"]);
    said(graph.output("y", NodeId(0)), &["output 'y'", "comes twice"]);
    said(graph.input("t").map(drop), &["input 't'", "none of the network's: x, context"]);
    let both = ["the inputs x, context and the outputs y, weights, expected one of each"];
    said(graph.ends().map(drop), &both);
    said(Evaluator::new(&gpu(), &graph, &[K], 1).map(drop), &both);
    said(twin::outputs(&graph, &[&[]], K, 0).map(drop), &["1 inputs, the network takes 2"]);
    let long = vec![Dual::constant(0.0); 120];
    said(twin::outputs(&graph, &[&long, &long], K, 0).map(drop), &["120 numbers for 'context', the network takes 21"]);

    let family = gpu().family();
    let planned = |graph: &Graph, inputs: usize| {
        let mut program = builder(family, 0, None);
        let mut ports = ports(&mut program, graph);
        ports.inputs.truncate(inputs);
        lower(graph, &[K], &ports, &mut program)
    };
    said(planned(&graph, 1), &["ports", "found 1 buffers, the network has 2 inputs"]);
    graph.outputs.clear();
    said(planned(&graph, 2), &["network", "has no output"]);
}

/// The node where a network stops being finite is found behind any of its outputs.
#[test]
fn the_origin_of_what_is_not_finite_is_found_behind_any_output() {
    let mut graph = Graph::new(Shape::new(4, 2, 2));
    let x = graph.input("x").unwrap();
    let fine = graph.push("fine", Pointwise::Sigmoid, &[x]).unwrap();
    let large = graph.push("large", Affine { gain: 1e30, table: None, shift: 0.0 }, &[x]).unwrap();
    let beyond = graph.push("beyond", Affine { gain: 1e30, table: None, shift: 0.0 }, &[large]).unwrap();
    graph.output("fine", fine).unwrap();
    let (gpu, x) = (gpu(), noise(16, 3));
    assert_eq!(trace::origin(&gpu, &graph, &x, &[], (K, 0)).unwrap(), None);
    graph.output("beyond", beyond).unwrap();
    assert_eq!(trace::origin(&gpu, &graph, &x, &[], (K, 0)).unwrap().unwrap().node, "beyond");
}
