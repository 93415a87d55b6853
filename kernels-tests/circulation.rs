//! Laws of the circulation: a gradient field has none, a rotor has the closed-form one, and nothing depends on tiles.
use crate::common::{gpu, noise};
use std::ops::ControlFlow;
use std::sync::Arc;
use vorticity::data::{Images, Levels};
use vorticity::dual::Dual;
use vorticity::field::{self, Field, ScoreScale};
use vorticity::gpu::Gpu;
use vorticity::measures::circulation::{CirculationRun, Options, Quadrature};
use vorticity::paths::polyline::Polyline;
use vorticity::paths::rotation::{MINUS, Rotation, pairs};
use vorticity::paths::{Anchor, ClosedPath, eps};
use vorticity::run::Table;
use vorticity::shape::Shape;
use vorticity::target::KernelFamily;

const SHAPE: Shape = Shape::new(1, 28, 28);
const PATHS: [&str; 3] = ["brownian", "rotation", "projection"];

pub fn images(shape: Shape, count: usize) -> Images {
    Images { shape, count, values: noise(count * shape.len(), 7), levels: Levels::Real, sha256: String::new() }
}

pub fn options(paths: &[&str], timesteps: &[usize], samples: usize, points: usize) -> Options {
    Options {
        paths: crate::common::paths(paths),
        timesteps: timesteps.to_vec(),
        samples,
        points,
        seed: 11,
        quadrature: Quadrature::Midpoint,
        quadrature_check: 0.5,
        verify_points: 0,
        tile: None,
        family: None,
    }
}

pub fn run(gpu: &Gpu, field: &Arc<dyn Field>, images: &Images, options: Options) -> Table {
    let job = CirculationRun::new(gpu, field, images, options).unwrap();
    job.run(&mut |_| ControlFlow::Continue(())).unwrap()
}

pub fn closed(spec: &str, shape: Shape) -> Arc<dyn Field> {
    field::open(spec, Some(shape), ScoreScale::Definition).unwrap()
}

pub fn column<'a>(result: &'a Table, name: &str) -> &'a [f64] {
    &result.column(name).unwrap().values
}

/// Most of |Gamma| / M over all loops.
fn worst_over_m(result: &Table) -> f64 {
    let pairs = column(result, "integral").iter().zip(column(result, "norm_sum"));
    pairs.fold(0f64, |worst, (g, m)| worst.max(g.abs() / m))
}

#[test]
fn gaussian_field_has_no_circulation() {
    let (gpu, images) = (gpu(), images(SHAPE, 2));
    let options = options(&PATHS, &[1, 501, 991], 2, 1000);
    let result = run(&gpu, &closed("field:gaussian", SHAPE), &images, options.clone());
    assert!(worst_over_m(&result) <= 1e-8, "{:e}", worst_over_m(&result));
    // The rounding column is the same field on the same points, summed another way: both are f32 rounding of terms
    // whose absolute sum is some 1e3, so they differ by less than 1e-7 of that.
    let gamma = column(&result, "integral").iter().zip(column(&result, "rounding"));
    gamma.for_each(|(g, r)| assert!((g - r).abs() <= 1e-4, "{g} against {r}"));
    // Negative control: a field that is not a gradient fails the same bound.
    assert!(worst_over_m(&run(&gpu, &closed("field:tilted?omega=0.01", SHAPE), &images, options)) > 1e-8);
}

#[test]
fn rotor_on_rotation_paths_has_the_closed_form() {
    let (gpu, images, n) = (gpu(), images(SHAPE, 3), 1000);
    let field = closed("field:rotor?omega=1", SHAPE);
    let result = run(&gpu, &field, &images, options(&["rotation"], &[1, 501, 991], 3, n));
    for (t, &k) in [1usize, 501, 991].iter().enumerate() {
        let (a, sigma) = field.process().noise(k).unwrap();
        for sample in 0..3 {
            let want = rotor_on_rotation(a, sigma, &images, sample, k, n);
            let (got, s) = (column(&result, "integral")[t * 3 + sample], column(&result, "abs_terms")[t * 3 + sample]);
            assert!((got - want).abs() <= 1e-6 * s, "k {k} sample {sample}: {got} against {want}, S = {s}");
            assert!(want.abs() > 1e-3 * s, "the test would not notice a zero");
        }
    }
}

/// The closed form of a rotor's circulation, omega = 1, on a rotation path of n segments, seed 11:
/// n sin(2 pi / n) sigma^2 (P eps)' B eps, B the rotor's matrix.
pub fn rotor_on_rotation(a: f64, sigma: f64, images: &Images, sample: usize, k: usize, n: usize) -> f64 {
    let d = images.shape.len();
    let anchor = Anchor {
        seed: 11,
        sample: sample as u32,
        k: k as u32,
        a,
        sigma,
        bridge_scale: 1.0,
        x0: &images.values[sample * d..(sample + 1) * d],
        segments: n as u32,
    };
    let eps = eps(&anchor, 0);
    let turned: Vec<f64> = pairs(11, sample as u32, k as u32, d)
        .iter()
        .map(|&p| {
            let partner = eps[(p & 0x3fff_ffff) as usize];
            if p & MINUS != 0 { -partner } else { partner }
        })
        .collect();
    let form: f64 = (0..d).map(|i| turned[i] * (eps[(i + 1) % d] - eps[(i + d - 1) % d])).sum();
    let sigma = f64::from(sigma as f32);
    n as f64 * (2.0 * std::f64::consts::PI / n as f64).sin() * sigma * sigma * form
}

#[test]
fn tile_size_and_repetition_change_nothing() {
    let gpu = gpu();
    let shape = Shape::new(2, 5, 7);
    let images = images(shape, 3);
    let field = closed("field:tilted?omega=0.5", shape);
    let whole = run(&gpu, &field, &images, options(&PATHS, &[0, 400, 999], 3, 20));
    for tile in [Some(1), Some(7), Some(64), None] {
        let again = run(&gpu, &field, &images, Options { tile, ..options(&PATHS, &[0, 400, 999], 3, 20) });
        for (a, b) in whole.columns.iter().zip(&again.columns) {
            let same = a.values.iter().zip(&b.values).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "tile {tile:?} changes column {}", a.about.name);
        }
    }
    // Negative control: another seed does change them.
    let other = run(&gpu, &field, &images, Options { seed: 12, ..options(&PATHS, &[0, 400, 999], 3, 20) });
    assert_ne!(column(&whole, "integral"), column(&other, "integral"));
}

#[test]
fn network_loops_do_not_depend_on_tiles_in_either_family() {
    let gpu = gpu();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/mnist");
    let field = field::open(model, None, ScoreScale::Definition).unwrap();
    let images = images(SHAPE, 1);
    for family in crate::common::families(&gpu) {
        let at = |tile| {
            let options = Options { tile, family: Some(family), ..options(&["projection"], &[3, 700], 1, 10) };
            run(&gpu, &field, &images, options)
        };
        let (one, seven, all) = (at(Some(1)), at(Some(7)), at(None));
        assert_eq!(column(&one, "integral"), column(&seven, "integral"), "{family:?}");
        assert_eq!(column(&one, "integral"), column(&all, "integral"), "{family:?}");
    }
    // The two families are different arithmetic of the same numbers.
    let at = |family| {
        run(&gpu, &field, &images, Options { family: Some(family), ..options(&["projection"], &[700], 1, 10) })
    };
    let (a, b) = (at(KernelFamily::Gpu), at(gpu.family()));
    let gap = (column(&a, "integral")[0] - column(&b, "integral")[0]).abs();
    assert!(gap <= 1e-5 * column(&a, "abs_terms")[0], "families differ by {gap}");
}

#[test]
fn a_gradient_field_has_no_circulation_beyond_its_errors() {
    let (gpu, shape) = (gpu(), Shape::new(1, 8, 8));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, shape, 3);
    let field = closed(&format!("field:mixture?file={}", file.display()), shape);
    let images = images(shape, 4);
    let paths = ["brownian", "rotation", "projection?arcs=8"];
    let checks = Options { verify_points: 20, quadrature_check: 1.0, ..options(&paths, &[300, 600], 4, 64) };
    let result = run(&gpu, &field, &images, checks);
    let errors = ["rounding", "quadrature", "arithmetic"].map(|name| column(&result, name));
    for (i, gamma) in column(&result, "integral").iter().enumerate() {
        let error = errors.iter().map(|e| e[i].abs()).sum::<f64>();
        assert!(gamma.abs() <= error, "loop {i}: {gamma} against {:?}", errors.map(|e| e[i]));
    }
    // On the rough path the midpoint rule's own error is what drowns everything.
    let (quadrature, rounding) = (errors[1][0], errors[0][0].abs());
    assert!(quadrature > 100.0 * rounding, "{quadrature} against {rounding}");
}

#[test]
fn both_rules_are_exact_for_a_linear_field() {
    let (gpu, images) = (gpu(), images(SHAPE, 4));
    let field = closed("field:tilted?omega=1", SHAPE);
    let result = run(&gpu, &field, &images, options(&PATHS, &[100, 900], 4, 50));
    // A Gauss point off by a hundredth of a step would show as 1e-2 of R, in whose units each term is rounded to float32.
    let scale = column(&result, "score_norm_sum");
    for (i, (gap, r)) in column(&result, "quadrature").iter().zip(scale).enumerate() {
        assert!(gap.abs() <= 4.0 * f64::from(f32::EPSILON) * r, "loop {i}: {gap} of {r}");
        // Loops that were not checked carry the largest of those that were.
        assert!(i % 4 < 2 || *gap >= column(&result, "quadrature")[i - i % 4]);
    }
    let none = Options { quadrature_check: 0.0, ..options(&PATHS, &[100], 4, 50) };
    assert!(column(&run(&gpu, &field, &images, none), "quadrature").iter().all(|v| v.is_nan()));
}

#[test]
fn reversing_a_polyline_flips_the_sign() {
    let (gpu, shape, n) = (gpu(), Shape::new(2, 5, 7), 24);
    let (field, images, d) = (closed("field:tilted?omega=0.5", shape), images(shape, 2), shape.len());
    // One loop per sample, beside a random path in the same tiles.
    let forward = noise(2 * n * d, 9);
    let reversed: Vec<f32> = forward.chunks(n * d).flat_map(|nodes| nodes.chunks(d).rev().flatten().copied()).collect();
    let at = |polyline: &[f32], tile| {
        let mut few = Options { tile, verify_points: 30, ..options(&["rotation"], &[3, 700], 2, n) };
        few.paths.insert(0, Arc::new(Polyline::new(polyline.to_vec())));
        run(&gpu, &field, &images, few)
    };
    let (there, back) = (at(&forward, None), at(&reversed, None));
    for i in 0..4 {
        let [a, b] = [&there, &back].map(|r| column(r, "integral")[i]);
        let s = column(&there, "abs_terms")[i];
        // The same points and steps up to f32 rounding of terms.
        assert!((a + b).abs() <= 1e-6 * s && a.abs() > 1e-3 * s, "loop {i}: {a} there, {b} back, S = {s}");
        assert_eq!(column(&there, "integral")[4 + i], column(&back, "integral")[4 + i], "the other path stays");
        assert!(column(&there, "arithmetic")[i] <= 1e-5 * column(&there, "score_norm_sum")[i]);
    }
    for tile in [Some(1), Some(7)] {
        assert_eq!(column(&there, "integral"), column(&at(&forward, tile), "integral"), "tile {tile:?}");
    }
    // One loop shared by all samples is the same number for each of them.
    let shared = at(&forward[..n * d], None);
    assert_eq!(column(&shared, "integral")[0], column(&there, "integral")[0]);
    assert_eq!(column(&shared, "integral")[0], column(&shared, "integral")[1]);
}

#[test]
fn polylines_of_another_size_are_refused() {
    let (gpu, shape) = (gpu(), Shape::new(2, 5, 7));
    let (field, images) = (closed("field:gaussian", shape), images(shape, 2));
    let refused = |polyline: Vec<f32>| {
        let options = Options { paths: vec![Arc::new(Polyline::new(polyline))], ..options(&[], &[3], 2, 24) };
        CirculationRun::new(&gpu, &field, &images, options).err().unwrap().to_string()
    };
    assert!(refused(vec![]).contains("0 nodes, expected N = 24 of 70 components, or 2 times"), "{}", refused(vec![]));
    assert!(refused(vec![0.0; 71]).contains("71 numbers"), "{}", refused(vec![0.0; 71]));
    let mut nodes = vec![0.0; 24 * 70];
    nodes[75] = f32::NAN;
    assert!(refused(nodes.clone()).contains("polyline node 1, component 5"), "{}", refused(nodes));
}

/// The rotor, whose twin is told another strength.
struct Misremembered(Arc<dyn Field>, Arc<dyn Field>);

impl Field for Misremembered {
    fn shape(&self) -> Shape {
        self.0.shape()
    }
    fn process(&self) -> &vorticity::model::Process {
        self.0.process()
    }
    fn coefficients(&self, k: usize) -> vorticity::error::Result<(f64, f64)> {
        self.0.coefficients(k)
    }
    fn launch(&self, cx: field::FieldLaunch) -> vorticity::error::Result<()> {
        self.0.launch(cx)
    }
    fn twin(&self, x: &[Dual], k: usize, _: usize) -> vorticity::error::Result<Vec<Dual>> {
        self.1.twin(x, k, 0)
    }
    fn describe(&self) -> serde_json::Value {
        self.0.describe()
    }
}

#[test]
fn the_twin_notices_a_wrong_field() {
    let (gpu, images) = (gpu(), images(SHAPE, 2));
    let options = Options { verify_points: 12, ..options(&PATHS, &[100, 900], 2, 50) };
    let over_r = |field: &Arc<dyn Field>| {
        let result = run(&gpu, field, &images, options.clone());
        column(&result, "arithmetic")[5] / column(&result, "score_norm_sum")[5]
    };
    // Points and values differ from f64 by a few f32 roundings each, and |s||d| is far above s.d in 784 dimensions.
    let right = over_r(&closed("field:rotor?omega=1", SHAPE));
    assert!(right > 0.0 && right < 1e-5, "{right}");
    let pair = ["field:rotor?omega=1", "field:rotor?omega=1.01"].map(|spec| closed(spec, SHAPE));
    let [field, twin] = pair;
    let wrong = over_r(&(Arc::new(Misremembered(field, twin)) as Arc<dyn Field>));
    assert!(wrong > 30.0 * right, "{wrong} against {right}");
}

#[test]
fn closed_forms_match_their_twins() {
    let (gpu, shape) = (gpu(), Shape::new(3, 5, 4));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, shape, 3);
    let mixture = format!("field:mixture?file={}", file.display());
    let images = images(shape, 2);
    for spec in ["field:gaussian", "field:rotor?omega=0.7", "field:tilted?omega=1.5", &mixture, "field:funnel"] {
        let field = closed(spec, shape);
        for k in [5, 600] {
            // Four segments: points agree to 2e-6 of their size and the field follows them, hence 1e-5 of S.
            let result = run(&gpu, &field, &images, options(&["rotation"], &[k], 2, 4));
            for sample in 0..2 {
                let want = loop_by_twin(&field, &images, sample, k, 4);
                let s = column(&result, "abs_terms")[sample];
                let got = column(&result, "integral")[sample];
                assert!((got - want).abs() <= 1e-5 * s, "{spec} k {k}: {got} against {want}, S = {s}");
            }
        }
    }
}

/// The midpoint sum on a rotation path with the field's f64 twin.
fn loop_by_twin(field: &Arc<dyn Field>, images: &Images, sample: usize, k: usize, n: u32) -> f64 {
    let (a, sigma) = field.process().noise(k).unwrap();
    let d = images.shape.len();
    let x0 = &images.values[sample * d..(sample + 1) * d];
    let anchor = Anchor { seed: 11, sample: sample as u32, k: k as u32, a, sigma, bridge_scale: 1.0, x0, segments: n };
    let nodes: Vec<Vec<f64>> = (0..=n).map(|i| Rotation.point(&anchor, i)).collect();
    let term = |p: &Vec<f64>, q: &Vec<f64>| {
        let mid: Vec<f32> = p.iter().zip(q).map(|(p, q)| (0.5 * (p + q)) as f32).collect();
        let s = field.twin(&Dual::lift(&mid), k, 0).unwrap();
        s.iter().zip(p.iter().zip(q)).map(|(s, (p, q))| s.v * (q - p)).sum::<f64>()
    };
    nodes.windows(2).map(|w| term(&w[0], &w[1])).sum()
}

pub fn write_mixture(path: &std::path::Path, shape: Shape, n: usize) {
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let means: Vec<u8> = noise(n * shape.len(), 5).iter().flat_map(|v| v.to_le_bytes()).collect();
    let variances: Vec<u8> = (0..n).flat_map(|i| (0.5f32 + i as f32).to_le_bytes()).collect();
    let tensors = [
        ("means", TensorView::new(Dtype::F32, vec![n, shape.c, shape.h, shape.w], &means).unwrap()),
        ("variances", TensorView::new(Dtype::F32, vec![n], &variances).unwrap()),
    ];
    serialize_to_file(tensors, None, path).unwrap();
}
