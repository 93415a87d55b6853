//! Neal's funnel: the score against its density by brute force, the shader against its twin, the laws of a score on exact
//! samples, and the exact samples themselves.
use crate::circulation::{closed, column, options, run};
use crate::common::{gpu, max_norm_error, measured, noise};
use std::sync::Arc;
use vorticity::data::{Images, sha256_bytes};
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::dual::Dual;
use vorticity::evaluate::Room;
use vorticity::field::{self, Field, open_data};
use vorticity::gpu::Gpu;
use vorticity::measures::curl::CurlOptions;
use vorticity::measures::stein::{self, SteinOptions};
use vorticity::paths::{Anchor, start};
use vorticity::run::{Numbers, Table};
use vorticity::shape::Shape;

/// The paper's.
const SHAPE: Shape = Shape::new(1, 8, 8);
/// Not a multiple of four.
const ODD: Shape = Shape::new(2, 5, 3);
const TIMESTEPS: [usize; 4] = [1, 100, 500, 900];

fn exact(spec: &str, shape: Shape, count: usize) -> Images {
    open_data(spec, count, [-1.0, 1.0], Some(shape)).unwrap()
}

/// x_t of every image.
fn noisy(field: &Arc<dyn Field>, images: &Images, k: usize) -> Vec<f32> {
    let (a, sigma) = field.process().noise(k).unwrap();
    let point = |(sample, x0): (usize, &[f32])| {
        let (seed, sample, k) = (5, sample as u32, k as u32);
        start(&Anchor { seed, sample, k, a, sigma, bridge_scale: 1.0, x0, segments: 2 })
    };
    images.values.chunks(images.shape.len()).enumerate().flat_map(point).map(|v| v as f32).collect()
}

/// Points of the noised funnel, and the same ones pushed off it as far as a Brownian path goes.
fn points(field: &Arc<dyn Field>, shape: Shape, k: usize) -> Vec<f32> {
    let inside = noisy(field, &exact("data:funnel?seed=2", shape, 8), k);
    let pushed = inside.iter().zip(noise(inside.len(), 3)).map(|(x, e)| x + 2.6 * e);
    inside.iter().copied().chain(pushed).collect()
}

/// ln p_t up to a constant: the integral over the clean y as it is written down, by brute force.
fn log_density(field: &Arc<dyn Field>, k: usize, point: &[f64]) -> f64 {
    let (a, sigma) = field.process().noise(k).unwrap();
    let (y, square, n) = (point[0], point[1..].iter().map(|x| x * x).sum::<f64>(), (point.len() - 1) as f64);
    // Below both the noise seen from y and the narrowest likelihood, sqrt(2/n).
    let step = (sigma / a / 4.0).min(0.02);
    let log = |i: i64| {
        let y0 = i as f64 * step;
        let v = a * a * y0.exp() + sigma * sigma;
        -y0 * y0 / 18.0 - (y - a * y0).powi(2) / (2.0 * sigma * sigma) - 0.5 * (n * v.ln() + square / v)
    };
    let half = (45.0 / step) as i64;
    let logs: Vec<f64> = (-half..=half).map(log).collect();
    let top = logs.iter().fold(f64::NEG_INFINITY, |m, &l| m.max(l));
    top + logs.iter().map(|l| (l - top).exp()).sum::<f64>().ln()
}

/// f'(0), of fourth order.
fn slope(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

fn values(row: &[Dual]) -> Vec<f64> {
    row.iter().map(|v| v.v).collect()
}

#[test]
fn the_twin_is_the_gradient_of_the_density() {
    let field = closed("field:funnel", SHAPE);
    let (d, mut worst) = (SHAPE.len(), [0f64; 2]);
    for k in TIMESTEPS {
        let points = points(&field, SHAPE, k);
        for (i, x) in points.chunks(d).enumerate().step_by(3) {
            let point: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            let got = values(&field.twin(&Dual::lift(x), k, 0).unwrap());
            let scale = got.iter().fold(0f64, |m, v| m.max(v.abs()));
            for component in [0, 1, 40] {
                let h = 1e-3 * if component == 0 { 1.0 } else { point[component].abs() };
                let want = slope(h, |h| {
                    let mut moved = point.clone();
                    moved[component] += h;
                    log_density(&field, k, &moved)
                });
                let error = (got[component] - want).abs() / scale;
                worst[0] = worst[0].max(error);
                // What differences of ln p, up to 1e5 in f64, leave: 1e-11 over steps of 1e-3 |x|.
                assert!(error < 1e-7, "k {k} point {i} component {component}: {} {want}", got[component]);
            }
            // s_x points along x.
            let factor = got[1] / point[1];
            assert!((1..d).all(|j| (got[j] / point[j] / factor - 1.0).abs() < 1e-12));
            // Its tangent is its derivative, along a random direction and along y.
            for v in [noise(d, i as u64), (0..d).map(|j| f32::from(j == 0)).collect()] {
                let got: Vec<f64> = field.twin(&Dual::along(x, &v), k, 0).unwrap().iter().map(|y| y.d).collect();
                let scale = got.iter().fold(0f64, |m, v| m.max(v.abs()));
                let h = 1e-4 * (point[40].abs() + point[0].exp().sqrt()).min(1.0);
                for component in [0, 1, 40] {
                    let want = slope(h, |h| {
                        let moved: Vec<Dual> =
                            point.iter().zip(&v).map(|(x, &v)| Dual::constant(x + h * f64::from(v))).collect();
                        field.twin(&moved, k, 0).unwrap()[component].v
                    });
                    let error = (got[component] - want).abs() / scale;
                    worst[1] = worst[1].max(error);
                    assert!(error < 1e-6, "k {k} point {i} component {component}: {} {want}", got[component]);
                }
            }
        }
    }
    println!(
        "twin against differences of ln p: {:.1e}, tangents of the twin against its differences: {:.1e}",
        worst[0], worst[1]
    );
}

#[test]
fn the_shader_matches_its_twin() {
    let gpu = gpu();
    for shape in [SHAPE, ODD] {
        let (field, d, tangents) = (closed("field:funnel", shape), shape.len(), 3);
        let room = Room { samples: 7, tangents, cotangents: 0 };
        let mut evaluator = field::tangent_evaluator(&gpu, &field, &TIMESTEPS, room).unwrap();
        for k in TIMESTEPS {
            let x = points(&field, shape, k);
            let n = x.len() / d;
            let (v, ks) = (noise(n * tangents * d, 4), vec![k; n]);
            let (s, jv) = evaluator.jvp(&x, &v, &ks).unwrap();
            let (mut worst, mut worst_tangent) = ([0f64; 2], [0f64; 2]);
            for i in 0..n {
                let (x, pushed) = (&x[i * d..(i + 1) * d], i / (n / 2));
                let want = values(&field.twin(&Dual::lift(x), k, 0).unwrap());
                worst[pushed] = worst[pushed].max(max_norm_error(&s[i * d..(i + 1) * d], &want));
                for j in i * tangents..(i + 1) * tangents {
                    let along = Dual::along(x, &v[j * d..(j + 1) * d]);
                    let want: Vec<f64> = field.twin(&along, k, 0).unwrap().iter().map(|y| y.d).collect();
                    worst_tangent[pushed] = worst_tangent[pushed].max(max_norm_error(&jv[j * d..(j + 1) * d], &want));
                }
            }
            let text = |[inside, pushed]: [f64; 2]| format!("{inside:.1e} on samples, {pushed:.1e} off them");
            println!("{shape} k {k}: values {}; tangents {}", text(worst), text(worst_tangent));
            // Roundings of m, |m| up to 10, and of log-weights, up to n: a few 1e-6 of the score; more off the
            // distribution, where the prior and the likelihood pull against each other, and in derivatives, where they cancel.
            assert!(worst[0] <= 1e-5 && worst[1] <= 2e-5, "{shape} k {k}: {worst:?}");
            assert!(worst_tangent[0] <= 3e-5 && worst_tangent[1] <= 6e-5, "{shape} k {k}: {worst_tangent:?}");
            // Negative control: another timestep is seen.
            let next = values(&field.twin(&Dual::lift(&x[..d]), k + 50, 0).unwrap());
            assert!(max_norm_error(&s[..d], &next) > 1e-3, "{shape} k {k}: {:e}", max_norm_error(&s[..d], &next));
        }
    }
}

#[test]
fn closed_paths_show_no_circulation_beyond_their_errors() {
    let (gpu, images) = (gpu(), exact("data:funnel?seed=1", SHAPE, 4));
    let beyond = |spec: &str| {
        let field = closed(spec, SHAPE);
        let mut options = options(&["brownian", "rotation", "projection"], &[100, 500, 900], 4, 200);
        (options.verify_points, options.quadrature_check) = (60, 1.0);
        let result = run(&gpu, &field, &images, options);
        let errors = ["rounding", "quadrature", "arithmetic"].map(|name| column(&result, name));
        let loops = column(&result, "integral").iter().enumerate();
        let ratio = |(i, gamma): (usize, &f64)| gamma.abs() / errors.iter().map(|e| e[i].abs()).sum::<f64>();
        loops.map(ratio).fold(0f64, f64::max)
    };
    let worst = beyond("field:funnel");
    println!("circulation at most {worst:.3} of its errors");
    assert!(worst <= 1.0, "{worst} of its errors");
    // Negative control.
    assert!(beyond("field:tilted?omega=0.01") > 1.0);
}

#[test]
fn its_jacobian_is_symmetric_to_rounding() {
    let (gpu, images) = (gpu(), exact("data:funnel?seed=1", SHAPE, 4));
    let field = closed("field:funnel", SHAPE);
    let selection = Selection { timesteps: TIMESTEPS.to_vec(), samples: 4, seed: 5 };
    // All components, y among them.
    let options = CurlOptions { selection, components: 64, verified: 8, ..CurlOptions::default() };
    let table = measured(&gpu, &field, &images, &options).unwrap();
    let Numbers::F32(jacobians) = &table.array("jacobian").unwrap().values else { panic!() };
    let asymmetry = &table.column("asymmetry_max").unwrap().values;
    for (place, block) in jacobians.chunks(64 * 64).enumerate() {
        let largest = block.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
        println!("place {place}: asymmetry {:.1e} of {largest:.1e}", asymmetry[place]);
        // Five numbers make the matrix, the same ones on either side of the diagonal: two roundings of an entry.
        assert!(asymmetry[place] <= 1.2e-7 * largest, "place {place}: {:e} of {largest}", asymmetry[place]);
    }
}

fn stein(gpu: &Gpu, model: &Arc<dyn Field>, reference: &Arc<dyn Field>, images: &Images, timesteps: &[usize]) -> Table {
    let selection = Selection { timesteps: timesteps.to_vec(), samples: images.count, seed: 3 };
    let (divergence, reference) = (Divergence::Exact, Some(reference.clone()));
    let options = SteinOptions { selection, divergence, reference, warnings: vec![], verified: 4 };
    measured(gpu, model, images, &options).unwrap()
}

/// Stein's identity: E[div e + s.e] = 0 for s the score of the samples; with e = s - 0, of div s + |s|^2.
#[test]
fn steins_identity_holds_on_exact_samples() {
    let (gpu, timesteps) = (gpu(), [100, 500, 900]);
    let (funnel, none) = (closed("field:funnel", SHAPE), closed("field:rotor?omega=0", SHAPE));
    let means = |data: &str| {
        let table = stein(&gpu, &none, &funnel, &exact(data, SHAPE, 200), &timesteps);
        (0..3).map(|t| stein::mean(&table, t).unwrap()).collect::<Vec<_>>()
    };
    for (k, (mean, error)) in timesteps.iter().zip(means("data:funnel?seed=7")) {
        assert!(mean.abs() <= 3.0 * error, "k {k}: {mean} ± {error}");
    }
    // Negative control: samples of another distribution.
    let wrong = means("data:gaussian?seed=7");
    assert!(wrong.iter().any(|(mean, error)| mean.abs() > 3.0 * error), "{wrong:?}");
    // And of a wrong model, whose error field is not zero.
    let gaussian = closed("field:gaussian", SHAPE);
    let table = stein(&gpu, &gaussian, &funnel, &exact("data:funnel?seed=7", SHAPE, 200), &timesteps);
    for t in 0..3 {
        let (mean, error) = stein::mean(&table, t).unwrap();
        assert!(mean.abs() <= 3.0 * error, "timestep {t}: {mean} ± {error}");
    }
    assert!(table.column("error_norm").unwrap().values.iter().all(|e| *e > 0.01));
}

#[test]
fn the_mean_score_of_exact_samples_is_zero() {
    let (gpu, count, d) = (gpu(), 2000, SHAPE.len());
    let (field, images) = (closed("field:funnel", SHAPE), exact("data:funnel?seed=9", SHAPE, count));
    for k in [1, 500, 900] {
        let mut evaluator = field::evaluator(&gpu, &field, &[k], 500).unwrap();
        let s = evaluator.evaluate(&noisy(&field, &images, k), &vec![k; count]).unwrap();
        // y alone, and all of x together: s_x is even in each x_i, so their sum is one more number of mean zero.
        for (name, of) in [("y", 0..1), ("x", 1..d)] {
            let sums: Vec<f64> = s.chunks(d).map(|s| s[of.clone()].iter().map(|&v| f64::from(v)).sum()).collect();
            let mean = sums.iter().sum::<f64>() / count as f64;
            let spread = sums.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
            let error = (spread / count as f64).sqrt();
            assert!(mean.abs() <= 3.0 * error, "k {k} {name}: {mean} ± {error}");
        }
    }
}

#[test]
fn exact_samples_have_the_funnels_moments() {
    let (count, d) = (4000, SHAPE.len());
    let images = exact("data:funnel", SHAPE, count);
    assert_eq!((images.count, images.shape, images.values.len()), (count, SHAPE, count * d));
    let mean = |of: &dyn Fn(&[f32]) -> f64| images.values.chunks(d).map(of).sum::<f64>() / count as f64;
    let y = |x: &[f32]| f64::from(x[0]);
    let square = |x: &[f32]| x[1..].iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() * (-y(x)).exp();
    // Three standard errors each: 3 / sqrt(N), 9 sqrt(2 / N), sqrt(2 * 63 / N).
    let root = (count as f64).sqrt();
    assert!(mean(&y).abs() < 3.0 * 3.0 / root);
    assert!((mean(&|x| y(x).powi(2)) - 9.0).abs() < 3.0 * 9.0 * 2f64.sqrt() / root);
    assert!((mean(&square) - 63.0).abs() < 3.0 * 126f64.sqrt() / root, "{}", mean(&square));
    // Sample n is keyed by n and the seed alone.
    let few = exact("data:funnel?samples=9&seed=0", SHAPE, 5);
    assert_eq!(few.values, images.values[..5 * d]);
    let bytes: Vec<u8> = few.values.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(few.sha256, sha256_bytes(&bytes));
    assert_ne!(exact("data:funnel?seed=1", SHAPE, 5).values, few.values);
    let plain = exact("data:gaussian", SHAPE, 5);
    assert!((f64::from(few.values[0]) - 3.0 * f64::from(plain.values[0])).abs() < 1e-6);
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let says = |spec: &str, limit: usize, shape: Option<Shape>, expected: &str| {
        let error = open_data(spec, limit, [-1.0, 1.0], shape).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(spec), "{error}");
    };
    let shape = Some(SHAPE);
    says("data:tunnel", 5, shape, "'tunnel' is not a known distribution; known: gaussian, funnel");
    says("data:funnel", 5, None, "exact samples need a shape such as 1x8x8 (--shape)");
    says("data:funnel", 5, Some(Shape::new(1, 1, 1)), "shape 1x1x1 has 1 components, funnel needs at least 2");
    says("data:funnel?samples=4", 5, shape, "holds 4 images, 5 were asked for");
    says("data:funnel?samples=0", 5, shape, "0 samples, expected 1..=4294967295");
    says("data:funnel", usize::MAX, shape, "samples, expected 1..=4294967295");
    says("data:funnel?samples=many", 5, shape, "samples=many is not a value of the right kind");
    says("data:funnel?seed=-1", 5, shape, "seed=-1 is not a value");
    says("data:funnel?sigma=3", 5, shape, "'sigma' is not a parameter of funnel");
    says("data:funnel?seed", 5, shape, "'seed' is not key=value");
    says("data:funnel", 1 << 30, shape, "at most 4294967296 fit");
    let error = field::open("field:funnel", Some(Shape::new(1, 1, 1)), field::ScoreScale::Definition).err().unwrap();
    assert!(error.to_string().contains("1 component, expected at least 2"), "{error}");
}

/// The verbs take both names, and the manifest says what was drawn.
#[cfg(feature = "cli")]
#[test]
fn verbs_draw_their_samples() {
    use crate::cli::{text, vorticity};
    let folder = tempfile::tempdir().unwrap();
    let own: [(&str, &[&str]); 2] = [
        ("circulation", &["--points", "20", "--paths", "rotation"]),
        ("stein", &["--reference", "field:funnel", "--probes", "2"]),
    ];
    for (verb, own) in own {
        let out = folder.path().join(verb);
        let data = "data:funnel?samples=3&seed=4";
        let all = ["field:funnel", "--data", data, "--shape", "1x4x3", "--samples", "3", "--timesteps", "500"];
        let printed = vorticity(&[&[verb], &all[..], &["--out", text(&out)], own].concat()).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let manifest = std::fs::read(out.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let sum = exact(data, Shape::new(1, 4, 3), 3).sha256;
        let want = serde_json::json!({ "drawn": data, "sha256": sum, "shape": "1x4x3" });
        assert_eq!(manifest["data"], want);
        assert_eq!(manifest["field"]["name"], "funnel");
    }
    let out = folder.path().join("none");
    let few = ["curl", "field:funnel", "--data", "data:funnel?samples=2", "--shape", "1x4x3", "--samples", "3"];
    let printed = vorticity(&[&few[..], &["--out", text(&out)]].concat()).output().unwrap();
    let error = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(printed.status.code() == Some(2) && !out.exists(), "{error}");
    assert!(error.contains("holds 2 images, 3 were asked for"), "{error}");
}
