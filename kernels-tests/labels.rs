//! What a network is told at a timestep, and the rows of numbers that it makes of that, against values worked out by hand
//! or with Python's math module.
use crate::common::{evaluate, families, gpu, max_norm_error, noise};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vorticity::dual::Dual;
use vorticity::error::{Error, Result};
use vorticity::evaluate::Evaluator;
use vorticity::graph::Graph;
use vorticity::ops::add_row::AddRow;
use vorticity::rows::functions::{Each, Fourier, Linear, Lookup, Reciprocal, Scaled, Shifted, Sinusoid};
use vorticity::rows::{RowFunction, RowId, Rows};
use vorticity::shape::Shape;
use vorticity::twin;

type Function = Arc<dyn RowFunction>;

/// Pushes functions, each on what the one before it makes, the first on the label.
fn chain(rows: &mut Rows, functions: &[Function]) -> RowId {
    functions.iter().fold(Rows::LABEL, |row, function| rows.apply(function.clone(), &[row]).unwrap())
}

fn made(functions: &[Function], label: f64) -> Result<Vec<f64>> {
    let mut rows = Rows::default();
    let row = chain(&mut rows, functions);
    rows.push("time", row)?;
    Ok(rows.at(label, 0)?.remove(0))
}

fn row(functions: &[Function], label: f64) -> Vec<f64> {
    made(functions, label).unwrap()
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
    let of = |width, divisor, cos_first, label| row(&[Arc::new(Sinusoid { width, divisor, cos_first })], label);
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
    let of = |log| row(&[Arc::new(Fourier { weights: vec![0.5, -1.25, 3.0].into(), log })], 0.3);
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
    let spread = Arc::new(Linear { weight: weight.into(), bias: vec![0.0; 5].into(), input: 1 });
    let gelu = [-0.00404969409489031, -0.15426876936299344, 0.0, 0.14967658142073093, 1.9544997361036416];
    near(&row(&[spread, Arc::new(Each::GELU)], 1.0), &gelu);
    let shifted = Arc::new(Linear { weight: vec![2.0, -1.0].into(), bias: vec![0.5, 3.0].into(), input: 1 });
    near(&row(&[shifted, Arc::new(Reciprocal)], 1.75), &[0.25, 0.8]);
    near(&row(&[Arc::new(Reciprocal)], 348.0), &[1.0 / 348.0]);
}

#[test]
fn labels_that_no_row_can_be_made_of_are_errors() {
    let message = |function: Function, label| made(&[function], label).unwrap_err().to_string();
    let lookup = || Arc::new(Lookup { table: noise(6, 1).into(), rows: 3, width: 2 });
    for label in [3.0, -1.0, f64::NAN] {
        let error = message(lookup(), label);
        assert!(error.contains(&format!("{label} is outside the network's 0..=2")), "{error}");
    }
    assert!(message(lookup(), 1.5).contains("1.5 is no row of the network's time table"), "{}", message(lookup(), 1.5));
    let fourier = Arc::new(Fourier { weights: vec![1.0].into(), log: true });
    let error = message(fourier, 0.0);
    assert!(error.contains("time row 'time' at 0") && error.contains("element 0 is NaN"), "{error}");
    assert!(message(Arc::new(Reciprocal), 0.0).contains("element 0 is inf"));
}

/// Rows that are made of the same rows share the work and nothing else.
#[test]
fn all_rows_are_those_of_each_alone() {
    let linear = |seed| Arc::new(Linear { weight: noise(16, seed).into(), bias: noise(4, seed + 1).into(), input: 4 });
    let sines = |divisor| Arc::new(Sinusoid { width: 4, divisor, cos_first: true });
    let (first, second, silu): (Function, Function, Function) = (linear(1), linear(3), Arc::new(Each::SILU));
    let (halves, wholes): (Function, Function) = (sines(2.0), sines(1.0));
    let (gain, shift) = (noise(2, 5), noise(2, 6));
    let chains: [&[Function]; 8] = [
        &[halves.clone(), first.clone(), silu.clone()],
        &[halves.clone(), first.clone(), Arc::new(Each::GELU), second.clone()],
        &[halves.clone(), second.clone(), silu.clone()],
        &[wholes, second.clone(), silu.clone()],
        &[halves.clone(), second, Arc::new(Scaled { weights: gain.into() })],
        &[halves.clone(), first, Arc::new(Shifted { weights: shift.into() })],
        &[Arc::new(Reciprocal)],
        &[],
    ];
    let mut graph = Graph::new(Shape::new(1, 2, 2));
    let embedding = chain(&mut graph.rows, std::slice::from_ref(&halves));
    for functions in chains {
        let row = match functions.split_first() {
            Some((first, rest)) if Arc::ptr_eq(first, &halves) => {
                rest.iter().fold(embedding, |row, f| graph.rows.apply(f.clone(), &[row]).unwrap())
            }
            _ => chain(&mut graph.rows, functions),
        };
        graph.rows.push("time", row).unwrap();
    }
    graph.labels = Some(vec![0.5, 3.0]);
    for k in [0, 1] {
        let each: Vec<_> = chains.iter().map(|functions| row(functions, graph.label(k).unwrap())).collect();
        assert_eq!(graph.rows_at(k, 0).unwrap(), each);
        assert_eq!((each[7].len(), each[7][0]), (1, [0.5, 3.0][k]));
    }
}

/// c_i exp(-label / c_i) of a context c, which is counted.
#[derive(Debug)]
struct Decay(Arc<AtomicUsize>);

impl RowFunction for Decay {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        match inputs {
            [1, width] => Ok(*width),
            _ => Err(Error::invalid("decay", format!("inputs of {inputs:?} numbers, expected a label and a context"))),
        }
    }
    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(inputs[1].iter().map(|c| c * (-inputs[0][0] / c).exp()).collect())
    }
}

/// The twin and every kernel family take any function of the label and of a context; two ops that read what is made of
/// it, by two rows, cost one evaluation of it for each timestep.
#[test]
fn rows_are_any_function_of_the_label_and_of_contexts_once_a_timestep() {
    let (gpu, shape, context) = (gpu(), Shape::new(6, 3, 5), [0.5, -4.0, 2.25, 8.0, -3.0, 1.5]);
    let count = Arc::new(AtomicUsize::new(0));
    let mut graph = Graph::new(shape);
    let c = graph.rows.context("text", &context).unwrap();
    let decay = graph.rows.apply(Decay(count.clone()), &[Rows::LABEL, c]).unwrap();
    let silu = graph.rows.apply(Each::SILU, &[decay]).unwrap();
    graph.rows.apply(Decay(count.clone()), &[Rows::LABEL, silu]).unwrap(); // nobody reads it
    let tables = [("decay", decay), ("silu", silu)].map(|(name, row)| graph.rows.push(name, row).unwrap());
    let mut x = graph.input("x").unwrap();
    for table in tables {
        x = graph.push("add", AddRow { table, width: 6 }, &[x]).unwrap();
    }
    graph.output("y", x).unwrap();
    graph.labels = Some(vec![0.25, 1.0, 2.0]);
    let (values, ks) = (noise(4 * shape.len(), 2), [2, 0, 1, 2]);
    for family in families(&gpu) {
        count.store(0, Ordering::Relaxed);
        let y = evaluate(&gpu, &graph, family, &values, &ks);
        assert_eq!(count.load(Ordering::Relaxed), 3, "once for each timestep, whoever reads it");
        for (i, (x, &k)) in values.chunks(shape.len()).zip(&ks).enumerate() {
            let twin: Vec<f64> = twin::evaluate(&graph, &Dual::lift(x), k).unwrap().iter().map(|v| v.v).collect();
            assert!(max_norm_error(&y[i * shape.len()..][..shape.len()], &twin) <= 1e-6);
            let row = context.map(|c: f64| c * (-[0.25, 1.0, 2.0][k] / c).exp());
            let added = |j: usize| row[j / 15] + row[j / 15] / (1.0 + (-row[j / 15]).exp());
            near(&twin, &x.iter().enumerate().map(|(j, &x)| f64::from(x) + added(j)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let mut rows = Rows::default();
    let said = |result: Result<RowId>| result.unwrap_err().to_string();
    let three = rows.context("text", &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(said(rows.context("text", &[1.0])), "context 'text': is given twice");
    let wrong = said(rows.context("image", &[1.0, f64::INFINITY]));
    assert_eq!(wrong, "context 'image': element 1 is inf, expected a finite number");
    let linear = |bias| Linear { weight: noise(6, 1).into(), bias: noise(bias, 2).into(), input: 3 };
    assert!(said(rows.apply(linear(2), &[Rows::LABEL])).contains("linear: 1 numbers, expected 3"));
    assert!(said(rows.apply(linear(1), &[three])).contains("6 weights for 3 numbers and 1 biases"));
    assert!(said(rows.apply(Each::SILU, &[three, three])).contains("2 inputs, expected one"));
    assert!(
        said(rows.apply(Lookup { table: noise(5, 1).into(), rows: 3, width: 2 }, &[Rows::LABEL])).contains("5 numbers")
    );
    assert!(
        said(rows.apply(Scaled { weights: noise(3, 1).into() }, &[three])).contains("scaled: 3 numbers, expected 6")
    );
    let mut other = Rows::default();
    let far = (0..9).fold(three, |row, _| rows.apply(Each::RELU, &[row]).unwrap());
    assert!(said(other.apply(Each::RELU, &[far])).contains("rows: number 10 is not below 1"));
    assert!(other.push("far", far).is_err());

    /// Says another width than it makes.
    #[derive(Debug)]
    struct Short;
    impl RowFunction for Short {
        fn width(&self, _: &[usize]) -> Result<usize> {
            Ok(2)
        }
        fn apply(&self, _: &[&[f64]]) -> Result<Vec<f64>> {
            Ok(vec![0.0])
        }
    }
    let row = other.apply(Short, &[Rows::LABEL]).unwrap();
    other.push("short", row).unwrap();
    let error = other.at(1.0, 0).unwrap_err().to_string();
    assert_eq!(error, "row function Short: 1 numbers, its width rule says 2");
}

/// x + [sin p, cos p], p of ln sigma: kernels and twin take the label of a timestep, not its number.
#[test]
fn the_network_is_told_the_label() {
    let (gpu, shape) = (gpu(), Shape::new(6, 3, 5));
    let mut graph = Graph::new(shape);
    let fourier: Function = Arc::new(Fourier { weights: vec![0.5, -1.25, 3.0].into(), log: true });
    let row = chain(&mut graph.rows, &[fourier]);
    graph.rows.push("time", row).unwrap();
    let y = graph.push("add", AddRow { table: 0, width: 6 }, &[graph.input("x").unwrap()]).unwrap();
    graph.output("y", y).unwrap();
    graph.labels = Some(vec![0.01, 0.3, 348.0]);
    let (x, ks) = (noise(3 * shape.len(), 2), [2, 0, 1]);
    for family in families(&gpu) {
        let y = evaluate(&gpu, &graph, family, &x, &ks);
        for (i, (x, &k)) in x.chunks(shape.len()).zip(&ks).enumerate() {
            let twin: Vec<f64> = twin::evaluate(&graph, &Dual::lift(x), k).unwrap().iter().map(|v| v.v).collect();
            assert!(max_norm_error(&y[i * shape.len()..][..shape.len()], &twin) <= 1e-6);
            let row = &graph.rows_at(k, 0).unwrap()[0];
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
