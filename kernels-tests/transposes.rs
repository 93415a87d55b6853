//! Transposes of single ops where they are hard: large means, saturated softmax, functions at and around their corners. The law
//! <u, J v> = <J'u, v> in f64; values and cotangents of the adjoint graphs on the device against the twin; and slopes against
//! differences of slopes.
use crate::common::{families, gpu, max_norm_error, noise, ports, run_all};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::graph::Graph;
use vorticity::ops::Op;
use vorticity::ops::attention_logits::AttentionLogits;
use vorticity::ops::combine::Combine;
use vorticity::ops::curve::Curve;
use vorticity::ops::group_norm::GroupNorm;
use vorticity::ops::layer_norm::LayerNorm;
use vorticity::ops::mix::Mix;
use vorticity::ops::outer::Outer;
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::rms_norm::RmsNorm;
use vorticity::ops::scale::Scale;
use vorticity::ops::silu::Silu;
use vorticity::ops::slope::Slope;
use vorticity::ops::softmax::Softmax;
use vorticity::ops::softmax_pixels::SoftmaxPixels;
use vorticity::passes::adjoint::adjoint_of;
use vorticity::passes::lower;
use vorticity::paths::Lane;
use vorticity::program::Builder;
use vorticity::shape::Shape;
use vorticity::target::Target;
use vorticity::twin;

/// An op and the numbers that it is given.
struct Hard {
    what: &'static str,
    op: Arc<dyn Op>,
    inputs: Vec<(Shape, Vec<f32>)>,
}

/// g x + h of noise.
fn numbers(s: Shape, seed: u64, g: f32, h: f32) -> (Shape, Vec<f32>) {
    (s, noise(s.len(), seed).into_iter().map(|v| g * v + h).collect())
}

fn hard(what: &'static str, op: impl Op, inputs: Vec<(Shape, Vec<f32>)>) -> Hard {
    Hard { what, op: Arc::new(op), inputs }
}

fn scale(c: usize) -> Scale {
    Scale::Fixed { gain: noise(c, 8).into(), shift: noise(c, 9).into() }
}

fn all() -> Vec<Hard> {
    let (s, wide) = (Shape::new(12, 5, 7), Shape::new(24, 3, 4));
    let group = |groups| GroupNorm { channels: 12, groups, epsilon: 1e-5, scale: scale(12) };
    let layer = |centred| LayerNorm { channels: 12, epsilon: 1e-5, centred, scale: scale(12) };
    let rms = || RmsNorm { gain: noise(12, 7).iter().map(|&g| f64::from(g)).collect() };
    let softmax = |heads| Softmax { heads, scale: 0.5 };
    let one = |c| Shape::new(c, 1, 1);
    let mut zero_pixel = numbers(s, 1, 1.0, 0.0);
    zero_pixel.1.iter_mut().step_by(35).for_each(|x| *x = 0.0);
    vec![
        hard("group norm", group(3), vec![numbers(s, 1, 1.0, 0.0)]),
        hard("group norm, large mean", group(3), vec![numbers(s, 1, 1.0, 1000.0)]),
        hard("group norm, small numbers", group(12), vec![numbers(s, 1, 1e-4, 0.0)]),
        hard("layer norm, large mean", layer(true), vec![numbers(s, 1, 1.0, 300.0)]),
        hard("layer norm, mean square", layer(false), vec![numbers(s, 1, 2.0, 1.0)]),
        hard("rms norm", rms(), vec![numbers(s, 1, 1.0, 0.0)]),
        hard("rms norm, a pixel of zeros", rms(), vec![zero_pixel]),
        hard("softmax", softmax(1), vec![numbers(s, 1, 2.0, 0.0)]),
        hard("softmax, saturated", softmax(3), vec![numbers(s, 1, 40.0, -200.0)]),
        hard("softmax over pixels", SoftmaxPixels, vec![numbers(s, 1, 3.0, 5.0)]),
        hard("softmax over pixels, saturated", SoftmaxPixels, vec![numbers(s, 1, 60.0, 0.0)]),
        hard("silu, far out", Silu, vec![numbers(s, 1, 60.0, 0.0)]),
        hard("quotient", Combine::Quotient, vec![numbers(s, 1, 1.0, 0.0), numbers(s, 2, 0.4, -0.7)]),
        hard("quotient by one pixel", Combine::Quotient, vec![numbers(s, 1, 1.0, 0.0), numbers(one(12), 2, 0.4, 0.7)]),
        hard("quotient by one number", Combine::Quotient, vec![numbers(s, 1, 1.0, 0.0), numbers(one(1), 2, 0.4, 0.7)]),
        hard("product by one number", Combine::Product, vec![numbers(s, 1, 1.0, 0.0), numbers(one(1), 2, 1.0, 0.0)]),
        hard("larger, ties", Combine::Larger, vec![numbers(s, 1, 1.0, 0.0), numbers(s, 1, 1.0, 0.0)]),
        hard(
            "larger, one number for all",
            Combine::Larger,
            vec![numbers(s, 1, 1.0, 0.0), numbers(one(1), 2, 0.2, 0.0)],
        ),
        hard("smaller", Combine::Smaller, vec![numbers(s, 1, 1.0, 0.0), numbers(s, 2, 1.0, 0.0)]),
        hard(
            "logits",
            AttentionLogits { heads: 2, scale: 0.3 },
            vec![numbers(wide, 1, 2.0, 0.0), numbers(wide, 2, 2.0, 0.0)],
        ),
        hard(
            "logits of other pixels",
            AttentionLogits { heads: 3, scale: 0.3 },
            vec![numbers(Shape::new(15, 3, 2), 1, 2.0, 0.0), numbers(Shape::new(15, 1, 5), 2, 2.0, 0.0)],
        ),
        hard(
            "mix of other pixels",
            Mix { heads: 3, by_row: false },
            vec![numbers(Shape::new(15, 3, 2), 1, 1.0, 0.0), numbers(Shape::new(6, 5, 1), 2, 1.0, 0.0)],
        ),
        hard(
            "mix by row",
            Mix { heads: 2, by_row: true },
            vec![numbers(Shape::new(8, 3, 2), 1, 1.0, 0.0), numbers(Shape::new(12, 2, 4), 2, 1.0, 0.0)],
        ),
        hard(
            "outer",
            Outer { heads: 3 },
            vec![numbers(wide, 1, 1.0, 0.0), numbers(Shape { c: 15, ..wide }, 2, 1.0, 0.0)],
        ),
    ]
}

/// Every function, with the numbers where it is asked: around 0, at corners, far out.
fn curves() -> Vec<(Curve, Vec<f64>)> {
    let around = [-30.0, -12.5, -4.0, -3.0, -1.0, -0.25, -1e-3, 0.0, 1e-3, 0.3, 0.75, 1.0, 2.5, 3.0, 5.0, 12.5, 30.0];
    let above = [1e-3, 0.3, 1.0, 2.5, 30.0];
    let point = |f, x: &[f64]| (Curve::Pointwise(f), x.to_vec());
    let mut all = vec![(Curve::Silu, around.to_vec())];
    all.extend(
        [
            Pointwise::Relu,
            Pointwise::Sigmoid,
            Pointwise::Gelu,
            Pointwise::GeluTanh,
            Pointwise::Mish,
            Pointwise::Elu([1.0, 1.0]),
            Pointwise::Elu([1.673_263_2, 1.050_701]),
            Pointwise::LeakyRelu(0.2),
            Pointwise::Tanh,
            Pointwise::Exp,
            Pointwise::Softplus,
            Pointwise::Abs,
            Pointwise::Erf,
            Pointwise::Clip([-0.25, 0.75]),
            Pointwise::HardSigmoid([0.2, 0.5]),
            Pointwise::HardSwish,
            Pointwise::Step,
            Pointwise::Sin,
            Pointwise::Cos,
        ]
        .map(|f| point(f, &around)),
    );
    all.extend([Pointwise::Log, Pointwise::Sqrt, Pointwise::Reciprocal].map(|f| point(f, &above)));
    all.push(point(Pointwise::Reciprocal, &[-3.0, -0.2]));
    all
}

fn op_of(curve: Curve) -> Arc<dyn Op> {
    match curve {
        Curve::Silu => Arc::new(Silu),
        Curve::Pointwise(f) => Arc::new(f),
    }
}

/// What an op makes of single numbers, in duals.
fn at(op: &dyn Op, x: Dual) -> Dual {
    op.twin(&[&[x]], &[Shape::new(1, 1, 1)], &[])[0]
}

/// The op with its inputs, x0 and so on, and its output y.
fn graph_of(op: &Arc<dyn Op>, shapes: &[Shape]) -> Graph {
    let mut graph = Graph::default();
    let inputs: Vec<_> =
        shapes.iter().enumerate().map(|(i, s)| graph.push_input(format!("x{i}"), *s).unwrap()).collect();
    let y = graph.push_arc("y", op.clone(), &inputs).unwrap();
    graph.output("y", y).unwrap();
    graph
}

fn dot(a: &[Dual], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a.v * f64::from(b)).sum()
}

/// J'u of every input by the twin, of the op at these numbers and a cotangent.
fn transposed(graph: &Graph, given: &[Vec<f32>], u: &[f32]) -> (Graph, Vec<Vec<Dual>>) {
    let names: Vec<&str> = graph.inputs.iter().map(|(name, _)| name.as_str()).collect();
    let back = adjoint_of(graph, "y", &names).unwrap();
    let given: Vec<Vec<Dual>> = given.iter().map(|x| Dual::lift(x)).chain([Dual::lift(u)]).collect();
    let given: Vec<&[Dual]> = given.iter().map(Vec::as_slice).collect();
    let all = twin::outputs(&back, &given, 0, 0).unwrap();
    (back, all)
}

#[test]
fn transposes_hold_where_they_are_hard() {
    for Hard { what, op, inputs } in all() {
        let (shapes, given): (Vec<Shape>, Vec<Vec<f32>>) = inputs.into_iter().unzip();
        let graph = graph_of(&op, &shapes);
        let u = noise(graph.shape(graph.outputs[0].1).len(), 5);
        let (_, found) = transposed(&graph, &given, &u);
        for (i, x) in given.iter().enumerate() {
            let v = noise(x.len(), 6);
            let along = |n: usize| match n == i {
                true => Dual::along(&given[n], &v),
                false => Dual::lift(&given[n]),
            };
            let moving: Vec<Vec<Dual>> = (0..given.len()).map(along).collect();
            let moving: Vec<&[Dual]> = moving.iter().map(Vec::as_slice).collect();
            let y = twin::outputs(&graph, &moving, 0, 0).unwrap().swap_remove(0);
            let (left, right) =
                (y.iter().zip(&u).map(|(y, &u)| y.d * f64::from(u)).sum::<f64>(), dot(&found[1 + i], &v));
            let size = |all: &mut dyn Iterator<Item = f64>| all.map(|v| v * v).sum::<f64>().sqrt();
            let own = size(&mut y.iter().map(|y| y.d)) * size(&mut u.iter().map(|&u| f64::from(u)));
            assert!((left - right).abs() <= 1e-12 * own, "{what}, input {i}: {left} and {right} of {own}");
        }
    }
}

#[test]
fn adjoint_graphs_are_as_their_twins_on_the_device() {
    let gpu = gpu();
    for family in families(&gpu) {
        for Hard { what, op, inputs } in all() {
            let (shapes, mut given): (Vec<Shape>, Vec<Vec<f32>>) = inputs.into_iter().unzip();
            let graph = graph_of(&op, &shapes);
            let u = noise(graph.shape(graph.outputs[0].1).len(), 5);
            let (back, want) = transposed(&graph, &given, &u);
            let mut program = Builder::new(Target::of(family), 0);
            let ports = ports(&mut program, &back);
            lower(&back, &[0], &ports, &mut program).unwrap();
            given.push(u);
            let made = run_all(&gpu, &back, (program.finish().unwrap(), ports), &given, &[Lane::default()]);
            // The first output is the op's own, which others test.
            for (i, (made, want)) in made.iter().zip(&want).enumerate().skip(1) {
                let want: Vec<f64> = want.iter().map(|w| w.v).collect();
                // Of ties the second gets nothing.
                let nothing = want.iter().all(|w| *w == 0.0) && made.iter().all(|m| *m == 0.0);
                let error = if nothing { 0.0 } else { max_norm_error(made, &want) };
                assert!(error <= 4e-6, "{what} in {family:?}, output {i}: {error:e}");
            }
        }
    }
}

/// f' is the derivative of f by the op's own duals, and f'' that of f'; by differences too, away from corners.
#[test]
fn slopes_are_derivatives() {
    for (curve, points) in curves() {
        let (f, slope) = (op_of(curve), Slope { of: curve });
        for &x in &points {
            let of = at(&slope, Dual::new(x, 1.0));
            let own = at(&*f, Dual::new(x, 1.0)).d;
            assert!((of.v - own).abs() <= 1e-13 * own.abs().max(1.0), "{curve:?} at {x}: {} and {own}", of.v);
            let h = 1e-5 * (x.abs() + 1e-2);
            let [below, above] = [-h, h].map(|h| at(&slope, Dual::constant(x + h)).v);
            let wanted = (above - below) / (2.0 * h);
            let corner = [-3.0, -2.5, -0.25, 0.0, 0.75, 2.5, 3.0].contains(&x) && kinked(curve);
            let size = wanted.abs().max(of.v.abs()).max(1.0);
            assert!(corner || (of.d - wanted).abs() <= 1e-6 * size, "{curve:?}'' at {x}: {} and {wanted}", of.d);
        }
    }
}

fn kinked(curve: Curve) -> bool {
    let Curve::Pointwise(f) = curve else { return false };
    matches!(
        f,
        Pointwise::Relu
            | Pointwise::LeakyRelu(_)
            | Pointwise::Elu(_)
            | Pointwise::Abs
            | Pointwise::Clip(_)
            | Pointwise::HardSigmoid(_)
            | Pointwise::HardSwish
            | Pointwise::Step
    )
}

/// The adjoint of a slope is u f''(x), exactly, at every point.
#[test]
fn slopes_have_transposes_at_every_point() {
    let mut bent = 0;
    for (curve, points) in curves() {
        let op: Arc<dyn Op> = Arc::new(Slope { of: curve });
        let x: Vec<f32> = points.iter().map(|&x| x as f32).collect();
        let graph = graph_of(&op, &[Shape::new(x.len(), 1, 1)]);
        let (_, found) = transposed(&graph, std::slice::from_ref(&x), &vec![1.0; x.len()]);
        for (x, found) in x.iter().zip(&found[1]) {
            let want = at(&*op, Dual::new(f64::from(*x), 1.0)).d;
            assert!((found.v - want).abs() <= 1e-14 * want.abs().max(1.0), "{curve:?} at {x}: {} and {want}", found.v);
            bent += usize::from(want != 0.0);
        }
    }
    assert!(bent > 200, "{bent}");
}
