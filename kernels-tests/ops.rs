//! Every op of the table against its f64 twin, in every family of kernels, at several lanes; and that a wrong kernel,
//! a wrong path or a wrong field does not pass.
use crate::common::{every_path, gpu, noise};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::graph::{Graph, NodeId};
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::silu::Silu;
use vorticity::ops::softmax::Softmax;
use vorticity::ops::softmax_pixels::SoftmaxPixels;
use vorticity::ops::{Case, Lowering, Op};
use vorticity::paths::PATHS;
use vorticity::selftest::{self, VARIED, families, tested, variants};
use vorticity::shape::Shape;

#[test]
fn the_selftest_passes_and_covers_every_op() {
    let gpu = gpu();
    let checks = selftest::run(&gpu).unwrap();
    for check in &checks {
        assert!(check.passed(), "{check:?}");
    }
    for (op, cases) in tested() {
        let found: Vec<_> = checks.iter().filter(|c| c.what == *op).collect();
        let variants = if VARIED.contains(op) { variants(&gpu).0.len() } else { 0 };
        assert_eq!(found.len(), cases().len() * (families(&gpu).len() + variants), "{op}");
        assert!(!found.is_empty(), "{op} has no cases");
        let exact = found.iter().all(|c| c.error == 0.0);
        assert!(
            !exact || ["channels", "gather", "largest", "max_pool", "repack", "rows", "told"].contains(op),
            "{op}: f32 that is never off by a digit?"
        );
    }
    let paths = every_path(1);
    assert_eq!(paths.len(), PATHS.len());
    for path in paths {
        // On three fields; a smooth one as a curve too.
        let expected = if path.smooth().is_some() { 6 } else { 3 };
        let found = checks.iter().filter(|c| c.what == format!("path {}", path.name())).count();
        assert_eq!(found, expected, "path {}", path.name());
    }
}

/// Patches of an image, whose filters fill workgroup memory, and sums of 256 channels, whose code is in many segments.
#[test]
fn large_filters_and_long_sums_agree_with_their_twins() {
    let gpu = gpu();
    for (channels, kernel) in [(3, 9), (3, 13), (3, 16), (256, 1), (40, 3)] {
        let mut g = Graph::new(Shape::new(channels, 2 * kernel, 3 * kernel));
        let x = g.input("x").unwrap();
        let products = channels * kernel * kernel;
        let scale = (products as f32).sqrt();
        let conv = Conv {
            in_channels: channels,
            out_channels: 20,
            kernel,
            stride: kernel,
            padding: Padding::all(0),
            weight: noise(20 * products, 1).iter().map(|w| w / scale).collect(),
            bias: noise(20, 2).into(),
        };
        let y = g.push("conv", conv, &[x]).unwrap();
        g.output("y", y).unwrap();
        for family in families(&gpu) {
            let error = selftest::compare(&gpu, &g, family).unwrap();
            // Sums of at most 768 products in f32: in practice the square root of so many roundings, of the largest result.
            assert!(error < 2e-6, "{channels} channels, {kernel}x{kernel}, {family:?}: {error:e}");
        }
    }
}

/// Far out, where functions are nearly zero, neither they nor their derivatives come so near to it that products with weights are no
/// normal numbers, with which some processors are half as fast; and they are as near to the twin as elsewhere.
#[test]
fn functions_that_fade_stay_normal_numbers() {
    type Push = fn(&mut Graph, NodeId) -> Result<NodeId>;
    let functions: [(&str, Push); 12] = [
        ("silu", |g, x| g.push("f", Silu, &[x])),
        ("sigmoid", |g, x| g.push("f", Pointwise::Sigmoid, &[x])),
        ("gelu", |g, x| g.push("f", Pointwise::Gelu, &[x])),
        ("gelu by tanh", |g, x| g.push("f", Pointwise::GeluTanh, &[x])),
        ("mish", |g, x| g.push("f", Pointwise::Mish, &[x])),
        ("elu", |g, x| g.push("f", Pointwise::Elu([1.0, 1.0]), &[x])),
        ("tanh", |g, x| g.push("f", Pointwise::Tanh, &[x])),
        ("softplus", |g, x| g.push("f", Pointwise::Softplus, &[x])),
        ("erf", |g, x| g.push("f", Pointwise::Erf, &[x])),
        ("softmax", |g, x| g.push("f", Softmax { heads: 2, scale: 1.0 }, &[x])),
        ("softmax of pixels", |g, x| g.push("f", SoftmaxPixels, &[x])),
        ("softmax of one", |g, x| g.push("f", Softmax { heads: 8, scale: 1.0 }, &[x])),
    ];
    let shape = Shape::new(8, 6, 6);
    let far = |i: usize| match i % 24 {
        0 => -1e7,
        1 => 1e7,
        2 => -1e4,
        3 => 1e4,
        _ => i as f32 * 0.9 - 130.0,
    };
    let (x, v): (Vec<f32>, Vec<f32>) = (0..shape.len()).map(|i| (far(i), 1.0 + 0.5 * (i as f32).sin())).unzip();
    let gpu = gpu();
    for (name, push) in functions {
        let mut g = Graph::new(shape);
        let x_node = g.input("x").unwrap();
        let y = push(&mut g, x_node).unwrap();
        g.output("y", y).unwrap();
        let want = vorticity::twin::evaluate(&g, &Dual::along(&x, &v), 0).unwrap();
        for family in families(&gpu) {
            let room = Room { samples: 1, tangents: 1, cotangents: 1 };
            let gpu = gpu.clone().with_family(family);
            let mut evaluator = Evaluator::with_tangents(&gpu, &g, &[0], room).unwrap();
            let found = evaluator.products(&x, &v, &v, &[0]).unwrap();
            for (what, got) in [("f", &found.y), ("J v", &found.jv), ("J'v", &found.jtu)] {
                for (i, got) in got.iter().enumerate() {
                    assert!(*got == 0.0 || got.abs() > 1e-25, "{family:?}, {name}: {what} is {got:e} at {}", x[i]);
                }
            }
            for (i, want) in want.iter().enumerate() {
                let gaps =
                    [(found.y[i], want.v), (found.jv[i], want.d)].map(|(got, want)| (f64::from(got) - want).abs());
                // 4 u of what the kernels promise, and as much again for what softmax sums.
                let most = 8.0 * f64::from(f32::EPSILON) / 2.0 * f64::from(x[i].abs().max(1.0));
                assert!(gaps[0] <= most && gaps[1] <= 2e-6, "{family:?}, {name} at {}: off by {gaps:?}", x[i]);
            }
        }
    }
}

/// An op whose kernel is another op's: what a driver's or a programmer's mistake looks like.
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
    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.said.flops(inputs, output)
    }
    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.done.lower(cx)
    }
}

#[test]
fn a_wrong_kernel_fails_the_selftest() {
    let gpu = gpu();
    let weight: Vec<f32> = (0..6 * 5 * 9).map(|i| (i as f32).sin()).collect();
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
    for family in families(&gpu) {
        let case = |op: Arc<dyn Op>| Case { name: "3x3", op, inputs: vec![Shape::new(5, 6, 7)], row: None };
        let right = selftest::op(&gpu, "conv", &case(Arc::new(said.clone())), family).unwrap();
        assert!(right.passed(), "{right:?}");
        let wrong = Wrong { said: said.clone(), done: done.clone() };
        let wrong = selftest::op(&gpu, "conv", &case(Arc::new(wrong)), family).unwrap();
        assert!(!wrong.passed(), "{wrong:?}");
    }
}
