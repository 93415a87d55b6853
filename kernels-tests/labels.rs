//! What a network is told at a timestep, and the rows of numbers that it makes of that, against values worked out by hand
//! or with Python's math module.
use crate::common::{evaluate, families, gpu, max_norm_error, noise};
use vorticity::dual::Dual;
use vorticity::evaluate::Evaluator;
use vorticity::graph::{Graph, RowLayer, RowTable};
use vorticity::ops::add_row::AddRow;
use vorticity::shape::Shape;
use vorticity::twin;

fn table(layers: Vec<RowLayer>) -> RowTable {
    RowTable { name: "time".into(), width: 0, layers }
}

fn row(layers: Vec<RowLayer>, label: f64) -> Vec<f64> {
    table(layers).evaluate(label).unwrap()
}

fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{got:?}");
    let gap = got.iter().zip(want).fold(0f64, |most, (g, w)| most.max((g - w).abs()));
    assert!(gap <= 1e-13, "{got:?} against {want:?}");
}

#[test]
fn sinusoids_in_both_orders() {
    let sines = [0.6569865987187891, 0.06994284733753273, 0.0006999999428333341];
    let cosines = [0.7539022543433046, 0.9975510002532796, 0.99999975500001];
    let of = |width, divisor, cos_first, label| row(vec![RowLayer::Sinusoid { width, divisor, cos_first }], label);
    near(&of(6, 2.0, false, 7.0), &[sines, cosines].concat());
    near(&of(6, 2.0, true, 7.0), &[cosines, sines].concat());
    // An odd width ends with a zero; labels need not be whole.
    let odd = [-0.8011436155469337, 0.9996875162757026, 0.5984721441039565, 0.02499739591471232, 0.0];
    near(&of(5, 2.0, true, 2.5), &odd);
    // Negative control: the other divisor is another embedding.
    assert!((of(6, 3.0, false, 7.0)[1] - sines[1]).abs() > 0.1);
}

#[test]
fn fourier_features_of_the_label_and_of_its_logarithm() {
    let of = |log| row(vec![RowLayer::Fourier { weights: vec![0.5, -1.25, 3.0].into(), log }], 0.3);
    let of_log = [
        0.5978364968118578,
        -0.031197269434515278,
        0.6466650284243197,
        -0.8016180655896706,
        -0.99951324672554,
        -0.762774108772036,
    ];
    near(&of(true), &of_log);
    // 0.3 pi, -0.75 pi, 1.8 pi.
    let half = 0.5f64.sqrt();
    let (sin36, cos36) = (0.5877852522924731, 0.8090169943749475);
    near(&of(false), &[cos36, -half, -sin36, sin36, -half, cos36]);
}

#[test]
fn activations_of_rows() {
    let weight = vec![-3.0, -0.5, 0.0, 0.25, 2.0];
    let spread = || RowLayer::Linear { weight: weight.clone().into(), bias: vec![0.0; 5].into(), input: 1 };
    let gelu = [-0.00404969409489031, -0.15426876936299344, 0.0, 0.14967658142073093, 1.9544997361036416];
    near(&row(vec![spread(), RowLayer::Gelu], 1.0), &gelu);
    let shifted = RowLayer::Linear { weight: vec![2.0, -1.0].into(), bias: vec![0.5, 3.0].into(), input: 1 };
    near(&row(vec![shifted, RowLayer::Reciprocal], 1.75), &[0.25, 0.8]);
    near(&row(vec![RowLayer::Reciprocal], 348.0), &[1.0 / 348.0]);
}

#[test]
fn labels_that_no_row_can_be_made_of_are_errors() {
    let message = |layers, label| table(layers).evaluate(label).unwrap_err().to_string();
    let lookup = || vec![RowLayer::Lookup { table: noise(6, 1).into(), rows: 3, width: 2 }];
    for label in [3.0, -1.0, f64::NAN] {
        let error = message(lookup(), label);
        assert!(error.contains(&format!("{label} is outside the network's 0..=2")), "{error}");
    }
    assert!(message(lookup(), 1.5).contains("1.5 is no row of the network's time table"), "{}", message(lookup(), 1.5));
    let fourier = vec![RowLayer::Fourier { weights: vec![1.0].into(), log: true }];
    let error = message(fourier, 0.0);
    assert!(error.contains("time row 'time' at 0") && error.contains("element 0 is NaN"), "{error}");
    assert!(message(vec![RowLayer::Reciprocal], 0.0).contains("element 0 is inf"));
}

/// Tables that begin alike share the work and nothing else.
#[test]
fn all_rows_are_those_of_each_table() {
    let mut graph = Graph::new(Shape::new(1, 2, 2));
    let linear = |seed| RowLayer::Linear { weight: noise(16, seed).into(), bias: noise(4, seed + 1).into(), input: 4 };
    let (sines, first, second) = (RowLayer::Sinusoid { width: 4, divisor: 2.0, cos_first: true }, linear(1), linear(3));
    for layers in [
        vec![sines.clone(), first.clone(), RowLayer::Silu],
        vec![sines.clone(), first.clone(), RowLayer::Gelu, second.clone()],
        vec![sines.clone(), second.clone(), RowLayer::Silu],
        vec![RowLayer::Sinusoid { width: 4, divisor: 1.0, cos_first: true }, second.clone(), RowLayer::Silu],
        vec![sines.clone(), second],
        vec![RowLayer::Reciprocal],
        vec![],
    ] {
        graph.push_row(table(layers));
    }
    graph.labels = Some(vec![0.5, 3.0]);
    for k in [0, 1] {
        let each: Vec<_> = graph.rows.iter().map(|t| t.evaluate(graph.label(k).unwrap()).unwrap()).collect();
        assert_eq!(graph.rows_at(k).unwrap(), each);
        assert_eq!((each[6].len(), each[6][0]), (1, [0.5, 3.0][k]));
    }
}

/// x + [sin p, cos p], p of ln sigma: kernels and twin take the label of a timestep, not its number.
#[test]
fn the_network_is_told_the_label() {
    let (gpu, shape) = (gpu(), Shape::new(6, 3, 5));
    let mut graph = Graph::new(shape);
    let layers = vec![RowLayer::Fourier { weights: vec![0.5, -1.25, 3.0].into(), log: true }];
    graph.push_row(RowTable { name: "time".into(), width: 6, layers });
    graph.push("add", AddRow { table: 0, width: 6 }, &[graph.input()]).unwrap();
    graph.labels = Some(vec![0.01, 0.3, 348.0]);
    let (x, ks) = (noise(3 * shape.len(), 2), [2, 0, 1]);
    for family in families(&gpu) {
        let y = evaluate(&gpu, &graph, family, &x, &ks);
        for (i, (x, &k)) in x.chunks(shape.len()).zip(&ks).enumerate() {
            let twin: Vec<f64> = twin::evaluate(&graph, &Dual::lift(x), k).unwrap().iter().map(|v| v.v).collect();
            assert!(max_norm_error(&y[i * shape.len()..][..shape.len()], &twin) <= 1e-6);
            let row = graph.rows[0].evaluate(graph.label(k).unwrap()).unwrap();
            let want: Vec<f64> = x.iter().enumerate().map(|(j, &x)| f64::from(x) + row[j / 15]).collect();
            near(&twin, &want);
        }
    }
    let error = Evaluator::new(&gpu, &graph, &[1, 3], 2).err().unwrap().to_string();
    assert!(error.contains("3 is outside the process's 0..=2"), "{error}");
    assert!(twin::evaluate(&graph, &Dual::lift(&x[..shape.len()]), 3).is_err());
    // Without labels it is told k, whose logarithm at 0 is no number.
    graph.labels = None;
    assert!(twin::evaluate(&graph, &Dual::lift(&x[..shape.len()]), 1).is_ok());
    let error = twin::evaluate(&graph, &Dual::lift(&x[..shape.len()]), 0).unwrap_err().to_string();
    assert!(error.contains("time row 'time' at 0"), "{error}");
}
