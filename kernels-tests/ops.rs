//! Every op of the table against its f64 twin, in every family of kernels, at several lanes.
use crate::common::{evaluate, families, gpu, max_norm_error, noise};
use std::sync::Arc;
use vorticity::graph::{Graph, RowLayer, RowTable};
use vorticity::ops::{Case, OPS, channels::Channels};
use vorticity::shape::Shape;
use vorticity::twin;

/// f32 kernels against f64: sums of at most a few thousand products of order-one numbers lose a few units of 6e-8 each.
const TOLERANCE: f64 = 2e-6;

/// Input with the case's tensors stacked, cut apart again, the op, nothing else.
pub fn graph_of(case: &Case) -> Graph {
    let total: usize = case.inputs.iter().map(|s| s.c).sum();
    let mut graph = Graph::new(Shape { c: total, ..case.inputs[0] });
    let mut first = 0;
    let mut inputs = vec![];
    for s in &case.inputs {
        let part = Channels::range(first, s.c);
        inputs.push(graph.push("part", part, &[graph.input()]).unwrap());
        first += s.c;
    }
    if let Some(width) = case.row {
        let table: Arc<[f32]> = noise(5 * width, 3).into();
        let layers = vec![RowLayer::Lookup { table, rows: 5, width }];
        graph.push_row(RowTable { name: "row".into(), width, layers });
    }
    graph.push_arc(case.name, case.op.clone(), &inputs).unwrap();
    graph
}

#[test]
fn every_op_matches_its_twin() {
    let gpu = gpu();
    for (op, cases) in OPS {
        let cases = cases();
        assert!(!cases.is_empty(), "{op} has no cases");
        for case in cases {
            let graph = graph_of(&case);
            let d = graph.shape(graph.input()).len();
            let ks = [3, 0, 4];
            let x = noise(ks.len() * d, d as u64);
            for family in families(&gpu) {
                let y = evaluate(&gpu, &graph, family, &x, &ks);
                for (lane, (got, &k)) in y.chunks(graph.shape(graph.output()).len()).zip(&ks).enumerate() {
                    let want = twin::evaluate(&graph, &x[lane * d..(lane + 1) * d], None, k).unwrap();
                    let want: Vec<f64> = want.iter().map(|v| v.v).collect();
                    let error = max_norm_error(got, &want);
                    assert!(error <= TOLERANCE, "{op} '{}' {family:?} lane {lane}: {error:e}", case.name);
                    // Negative control: the comparison sees one wrong number.
                    let mut wrong = got.to_vec();
                    wrong[d / 2 % got.len()] += 1e-3;
                    assert!(max_norm_error(&wrong, &want) > TOLERANCE);
                }
            }
        }
    }
}
