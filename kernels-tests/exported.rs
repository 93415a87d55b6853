//! Loops that leave the program and scores that come back: the exported points are the twin's, the circulation of scores
//! evaluated there is the run's own, and files that do not fit are refused in one line that names the place.
use crate::common::{gpu, noise, paths};
use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::{NpzReader, NpzWriter, write_npy};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::data::{self, Array, Images, Levels};
use vorticity::dual::Dual;
use vorticity::error::{Error, Result};
use vorticity::field::{self, Field, ScoreScale};
use vorticity::measures::circulation::{CirculationRun, Integrated, Options, PathExport, Scores, integrate};
use vorticity::paths::Anchor;
use vorticity::run::{ExportedFile, LoopLayout, Shard, Table, Verdict, npz_bytes, verdicts};
use vorticity::shape::Shape;

const SHAPE: Shape = Shape::new(3, 5, 7);
const PATHS: [&str; 3] = ["brownian", "rotation", "projection"];
const SPECS: [&str; 3] = ["brownian", "rotation", "projection?arcs=4"];
const KS: [usize; 2] = [5, 700];
const SAMPLES: usize = 3;
const N: usize = 20;

fn images() -> Images {
    Images {
        shape: SHAPE,
        count: SAMPLES,
        values: noise(SAMPLES * SHAPE.len(), 7),
        levels: Levels::Real,
        sha256: String::new(),
    }
}

fn options() -> Options {
    Options {
        paths: paths(&SPECS),
        timesteps: KS.to_vec(),
        samples: SAMPLES,
        points: N,
        seed: 11,
        quadrature_check: 0.0,
        verify_points: 0,
        ..Options::default()
    }
}

fn tilted() -> Arc<dyn Field> {
    field::open("field:tilted?omega=0.5", Some(SHAPE), ScoreScale::Definition).unwrap()
}

/// What a file of loops holds.
struct Loops {
    layout: LoopLayout,
    midpoints: Vec<f32>,
    steps: Vec<f32>,
    gauss: Vec<f32>,
    repeated: Vec<f32>,
}

/// Exports to a file, whose size must be the one that was promised.
fn export(file: &Path, field: &Arc<dyn Field>, images: &Images, options: Options, shard: Shard) -> Loops {
    let gpu = gpu();
    let job =
        PathExport::new(&gpu, field.as_ref(), images, options, shard, serde_json::json!({ "of": "a test" })).unwrap();
    let promised = job.layout().bytes().unwrap();
    job.write(file, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(std::fs::metadata(file).unwrap().len(), promised);
    let layout = ExportedFile::open(file).unwrap().layout;
    let mut npz = NpzReader::new(File::open(file).unwrap()).unwrap();
    let mut floats = |name: &str| -> Vec<f32> {
        if !npz.names().unwrap().iter().any(|n| n.trim_end_matches(".npy") == name) {
            return vec![];
        }
        npz.by_name::<ndarray::OwnedRepr<f32>, IxDyn>(name).unwrap().into_raw_vec_and_offset().0
    };
    let [midpoints, steps, gauss, repeated] = ["midpoints", "steps", "gauss", "repeat_points"].map(&mut floats);
    Loops { layout, midpoints, steps, gauss, repeated }
}

fn exported(file: &Path, options: Options) -> Loops {
    export(file, &tilted(), &images(), options, Shard::WHOLE)
}

/// The field's f64 twin at points whose timestep `k` knows: scores from elsewhere.
fn twins(field: &Arc<dyn Field>, points: &[f32], k: impl Fn(usize) -> usize) -> Vec<f64> {
    let at = points.chunks(field.shape().len()).enumerate();
    at.flat_map(|(i, x)| field.twin(&Dual::lift(x), k(i), 0).unwrap()).map(|s| s.v).collect()
}

/// At every midpoint.
fn scores(loops: &Loops) -> ArrayD<f64> {
    let values = twins(&tilted(), &loops.midpoints, |i| KS[i / N / SAMPLES % KS.len()]);
    ArrayD::from_shape_vec(IxDyn(&loops.layout.axes.dims()), values).unwrap()
}

fn integrated(exported: &Path, scores: &str) -> Result<Table> {
    let scores = Scores { midpoints: Array::open(scores)?, gauss: None, repeated: None };
    integrate(ExportedFile::open(exported)?, scores, &mut |_| ControlFlow::Continue(()))?.part.finish()
}

fn column<'a>(result: &'a Table, name: &str) -> &'a [f64] {
    &result.column(name).unwrap().values
}

#[test]
fn exported_points_are_the_twins_and_close() {
    let folder = tempfile::tempdir().unwrap();
    let checks = Options { quadrature_check: 0.5, verify_points: 5, ..options() };
    let loops = exported(&folder.path().join("loops.npz"), checks);
    let (field, images, d) = (tilted(), images(), SHAPE.len());
    let own = |(m, d): (&f32, &f32)| m - 0.5 * d;
    let nodes: Vec<f32> = loops.midpoints.iter().zip(&loops.steps).map(own).collect();
    // Gauss points lie on the segments, 1 / (2 sqrt 3) of a step from the middle, two samples of three having them.
    assert_eq!((loops.layout.checked(), loops.gauss.len()), (2, loops.midpoints.len() / 3 * 4));
    for (i, pair) in loops.gauss.chunks(2 * d).enumerate() {
        let segment = ((i / N / 2) * SAMPLES + i / N % 2) * N + i % N;
        for c in 0..d {
            let [m, step] = [&loops.midpoints, &loops.steps].map(|a| a[segment * d + c]);
            let want = [-0.288_675_13f32, 0.288_675_13].map(|shift| m + shift * step);
            let bound = 4e-6 * (1.0 + m.abs() + step.abs());
            assert!((pair[c] - want[0]).abs() <= bound && (pair[d + c] - want[1]).abs() <= bound, "segment {segment}");
        }
    }
    assert_eq!(loops.layout.repeat.len(), 5);
    for (place, point) in loops.layout.repeat.iter().zip(loops.repeated.chunks(d)) {
        let [p, t, n, i] = *place;
        let at = (((p * KS.len() + t) * SAMPLES + n) * N + i) * d;
        assert_eq!(point, &loops.midpoints[at..at + d], "{place:?}");
    }
    let tolerance = |sigma: f64, y: f64| 2e-6 * (sigma.max(1.0) + y.abs()); // that of the path shaders, PROTOCOL
    let made = paths(&SPECS);
    for (l, first) in (0..PATHS.len() * KS.len() * SAMPLES).map(|l| (l, l * N * d)) {
        let (path, k, sample) = (PATHS[l / SAMPLES / KS.len()], KS[l / SAMPLES % KS.len()], l % SAMPLES);
        let (a, sigma) = field.process().noise(k).unwrap();
        let x0 = &images.values[sample * d..(sample + 1) * d];
        let (sample, k, segments) = (sample as u32, k as u32, N as u32);
        let anchor = Anchor { seed: 11, sample, k, a, sigma, bridge_scale: 1.0, x0, segments };
        let twin: Vec<Vec<f64>> =
            (0..=segments).map(|node| made[l / SAMPLES / KS.len()].point(&anchor, node)).collect();
        for (i, c) in (0..N).flat_map(|i| (0..d).map(move |c| (i, c))) {
            let (y, z, at) = (twin[i][c], twin[i + 1][c], first + i * d + c);
            let [m, step, node] = [loops.midpoints[at], loops.steps[at], nodes[at]].map(f64::from);
            let bound = tolerance(sigma, y.abs().max(z.abs()));
            assert!((m - 0.5 * (y + z)).abs() <= bound, "{path} k {k} midpoint {i}: {m} against {}", 0.5 * (y + z));
            assert!((step - (z - y)).abs() <= 2.0 * bound, "{path} k {k} step {i}: {step} against {}", z - y);
            assert!((node - y).abs() <= 2.0 * bound, "{path} k {k} node {i}: {node} against {y}");
        }
        for c in 0..d {
            let steps = || (0..N).map(|i| f64::from(loops.steps[first + i * d + c]));
            let (sum, size) = (steps().sum::<f64>(), steps().map(f64::abs).sum::<f64>());
            assert!(sum.abs() <= 2e-6 * (1.0 + size), "{path} k {k} component {c} stays open by {sum}");
        }
    }
}

#[test]
fn scores_at_exported_points_give_the_runs_own_circulation() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let loops = exported(&at("loops.npz"), options());
    exported(&at("again.npz"), Options { tile: Some(7), ..options() });
    assert_eq!(data::sha256_file(at("loops.npz")).unwrap(), data::sha256_file(at("again.npz")).unwrap());

    let scores = scores(&loops);
    write_npy(at("scores.npy"), &scores).unwrap();
    write_npy(at("scores32.npy"), &scores.mapv(|v| v as f32)).unwrap();
    let (gpu, images, field) = (gpu(), images(), tilted());
    let job = CirculationRun::new(&gpu, &field, &images, options()).unwrap();
    let own = job.run(&mut |_| ControlFlow::Continue(())).unwrap();
    for file in ["scores.npy", "scores32.npy"] {
        let result = integrated(&at("loops.npz"), at(file).to_str().unwrap()).unwrap();
        // Paths, timesteps, noise, samples and points.
        assert_eq!((format!("{:?}", result.axes), &result.facts), (format!("{:?}", own.axes), &own.facts));
        for name in ["integral", "length", "norm_sum", "abs_terms", "score_norm_sum", "authors"] {
            let scale = column(&own, if name == "integral" { "abs_terms" } else { name });
            for ((got, want), s) in column(&result, name).iter().zip(column(&own, name)).zip(scale) {
                // The same points; products in f32 there and f64 here.
                assert!((got - want).abs() <= 1e-6 * s.abs().max(1.0), "{file} {name}: {got} against {want}");
            }
        }
        let rounding = column(&result, "rounding").iter().zip(column(&result, "norm_sum"));
        rounding.for_each(|(r, m)| assert!(r.abs() <= 1e-6 * m, "{r}"));
        assert!(["quadrature", "arithmetic"].iter().all(|n| column(&result, n).iter().all(|v| v.is_nan())));
    }
    // Negative control: scores of half the size are noticed.
    write_npy(at("half.npy"), &(0.5 * &scores)).unwrap();
    let half = integrated(&at("loops.npz"), at("half.npy").to_str().unwrap()).unwrap();
    assert!(
        (column(&half, "integral")[7] - column(&own, "integral")[7]).abs() > 0.1 * column(&own, "integral")[7].abs()
    );
}

#[test]
fn files_that_do_not_fit_are_refused_by_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    let loops = exported(&at("loops.npz"), options());
    let good = scores(&loops);
    let refused = |exported: &str, scores: &str, words: &[&str]| {
        let error = integrated(&at(exported), at(scores).to_str().unwrap()).unwrap_err().to_string();
        assert!(
            words.iter().all(|w| error.contains(w)) && error.lines().count() == 1,
            "{error} lacks one of {words:?}"
        );
    };
    let mut bad = good.clone();
    bad[IxDyn(&[2, 1, 0, 19, 1, 4, 6])] = f64::NAN;
    write_npy(at("nan.npy"), &bad).unwrap();
    let place = ["nan.npy", "NaN", "path projection, timestep 700, sample 0, segment 19, channel 1, row 4, column 6"];
    refused("loops.npz", "nan.npy", &place);
    bad.fill(1e200);
    write_npy(at("large.npy"), &bad).unwrap();
    refused("loops.npz", "large.npy", &["large.npy", "too large", "path brownian, timestep 5"]);

    write_npy(at("shape.npy"), &ArrayD::<f32>::zeros(IxDyn(&[3, 2, 3, 20, 105]))).unwrap();
    refused("loops.npz", "shape.npy", &["shape.npy", "[3, 2, 3, 20, 105]", "[3, 2, 3, 20, 3, 5, 7]"]);
    write_npy(at("bytes.npy"), &ArrayD::<u8>::zeros(IxDyn(&loops.layout.axes.dims()))).unwrap();
    refused("loops.npz", "bytes.npy", &["bytes.npy", "u8", "floating-point"]);
    refused("loops.npz", "absent.npy", &["absent.npy"]);
    refused("nan.npy", "nan.npy", &["nan.npy", "NPY file", "midpoints"]);
    let mut bytes = std::fs::read(at("nan.npy")).unwrap();
    bytes.truncate(bytes.len() - 1000);
    std::fs::write(at("short.npy"), bytes).unwrap();
    refused("loops.npz", "short.npy", &["short.npy", "truncated"]);

    let written = |name: &str, skip: &str, timesteps: Vec<i64>| {
        let mut npz = NpzWriter::new(File::create(at(name)).unwrap());
        let mut source = NpzReader::new(File::open(at("loops.npz")).unwrap()).unwrap();
        for array in ["midpoints", "steps"].into_iter().filter(|a| *a != skip) {
            let values: ArrayD<f32> = source.by_name(array).unwrap();
            npz.add_array(array, &values).unwrap();
        }
        npz.add_array("timesteps", &Array1::from(timesteps)).unwrap();
        npz.finish().unwrap();
    };
    written("steps.npz", "steps", vec![5, 700]);
    refused("steps.npz", "nan.npy", &["steps.npz", "no array 'steps'", "midpoints"]);
    written("paths.npz", "", vec![5, 700]);
    refused("paths.npz", "nan.npy", &["paths.npz", "no array 'paths'"]);
    std::fs::write(at("zip.npz"), b"PK\x03\x04 and nothing else").unwrap();
    refused("zip.npz", "nan.npy", &["zip.npz", "no whole NPZ"]);
}

/// The circulation's verdicts of exact or circulating scores, with what is handed back: Gauss scores, float64 scores.
fn verdicts_of(spec: &str, shape: Shape, data: &Images, back: [bool; 2]) -> Vec<Verdict> {
    let (folder, field) =
        (tempfile::tempdir().unwrap(), field::open(spec, Some(shape), ScoreScale::Definition).unwrap());
    let at = |name: &str| folder.path().join(name);
    let ks = [100, 400, 800];
    // The projection wants 8 components.
    let options = Options {
        timesteps: ks.to_vec(),
        samples: data.count,
        points: 40,
        quadrature_check: 0.2,
        verify_points: 12,
        ..options()
    };
    let loops = export(&at("loops.npz"), &field, data, options, Shard::WHOLE);
    let ([_, t, n, segments, c, h, w], checked) = (loops.layout.axes.dims(), loops.layout.checked());
    let as_f32 = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let own = as_f32(twins(&field, &loops.midpoints, |i| ks[i / segments / n % t]));
    let gauss = as_f32(twins(&field, &loops.gauss, |i| ks[i / 2 / segments / checked % t]));
    let repeated = twins(&field, &loops.repeated, |i| ks[loops.layout.repeat[i][1]]);
    write_npy(at("own.npy"), &ArrayD::from_shape_vec(IxDyn(&loops.layout.axes.dims()), own).unwrap()).unwrap();
    let dims = loops.layout.axes.gauss_dims(checked);
    write_npy(at("gauss.npy"), &ArrayD::from_shape_vec(IxDyn(&dims), gauss).unwrap()).unwrap();
    let dims = [repeated.len() / (c * h * w), c, h, w];
    write_npy(at("repeated.npy"), &ArrayD::from_shape_vec(IxDyn(&dims), repeated).unwrap()).unwrap();
    let open = |name: &str| Array::open(at(name).to_str().unwrap()).unwrap();
    let [gauss, repeated] = [("gauss.npy", back[0]), ("repeated.npy", back[1])].map(|(n, b)| b.then(|| open(n)));
    let scores = Scores { midpoints: open("own.npy"), gauss, repeated };
    let loops = ExportedFile::open(&at("loops.npz")).unwrap();
    let Integrated { part, cast } = integrate(loops, scores, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(!cast || spec == "field:gaussian", "{spec}: float64 scores are no float32 numbers");
    verdicts(&part.finish().unwrap()).unwrap()
}

/// What once came out as resolved at 39.9 nat: the score of the funnel, a gradient, on loops of few points.
#[test]
fn an_exact_gradient_from_elsewhere_is_never_resolved() {
    let shape = Shape::new(1, 4, 4);
    let file = tempfile::tempdir().unwrap();
    let mixture = file.path().join("mixture.safetensors");
    crate::circulation::write_mixture(&mixture, shape, 3);
    let plain =
        Images { shape, count: 6, values: noise(6 * shape.len(), 3), levels: Levels::Real, sha256: String::new() };
    let funnel = field::open_data("data:funnel?seed=1", 6, [-1.0, 1.0], Some(shape)).unwrap();
    let cases = [
        ("field:gaussian".to_string(), &plain),
        (format!("field:mixture?file={}", mixture.display()), &plain),
        ("field:funnel".into(), &funnel),
    ];
    for (spec, data) in cases {
        let found = verdicts_of(&spec, shape, data, [true, true]);
        assert!(found.iter().all(|v| *v == Verdict::NotResolved), "{spec}: {found:?}");
        for back in [[false, false], [true, false], [false, true]] {
            let found = verdicts_of(&spec, shape, data, back);
            assert!(found.iter().all(|v| *v == Verdict::NotChecked), "{spec} {back:?}: {found:?}");
        }
    }
    // A field that circulates, by the same way there and back.
    let found = verdicts_of("field:rotor?omega=1", shape, &plain, [true, true]);
    let resolved = found.iter().filter(|v| **v == Verdict::Resolved).count();
    assert!(resolved * 10 >= found.len() * 9, "{resolved} of {}: {found:?}", found.len());
    let found = verdicts_of("field:rotor?omega=1", shape, &plain, [true, false]);
    assert!(found.iter().all(|v| *v == Verdict::NotChecked), "{found:?}");
}

#[test]
fn float64_scores_must_be_float64_and_for_points_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let loops = exported(&at("bare.npz"), options());
    write_npy(at("own.npy"), &scores(&loops)).unwrap();
    write_npy(at("two.npy"), &ArrayD::<f64>::zeros(IxDyn(&[2, 3, 5, 7]))).unwrap();
    write_npy(at("two32.npy"), &ArrayD::<f32>::zeros(IxDyn(&[2, 3, 5, 7]))).unwrap();
    exported(&at("both.npz"), Options { quadrature_check: 0.1, verify_points: 3, ..options() });
    let refused = |loops: &str, gauss: Option<&str>, repeated: Option<&str>, words: &[&str]| {
        let open = |name: &str| Array::open(at(name).to_str().unwrap()).unwrap();
        let scores = Scores { midpoints: open("own.npy"), gauss: gauss.map(open), repeated: repeated.map(open) };
        let result = integrate(ExportedFile::open(&at(loops)).unwrap(), scores, &mut |_| ControlFlow::Continue(()));
        let error = result.err().unwrap().to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{error} lacks one of {words:?}");
    };
    refused(
        "bare.npz",
        Some("two.npy"),
        None,
        &["two.npy", "scores at Gauss points, but the loops of shard 1/1 have none"],
    );
    refused("bare.npz", None, Some("two.npy"), &["two.npy", "no points to be repeated"]);
    refused("both.npz", None, Some("two32.npy"), &["two32.npy", "holds f32 values, expected f64"]);
    refused(
        "both.npz",
        None,
        Some("two.npy"),
        &["has shape [2, 3, 5, 7], the points to be repeated have [3, 3, 5, 7]"],
    );
    refused("both.npz", Some("two.npy"), None, &["the Gauss points have [3, 2, 2, 20, 2, 3, 5, 7]"]);
}

#[test]
fn an_export_that_is_stopped_leaves_nothing() {
    let (folder, gpu, images, field) = (tempfile::tempdir().unwrap(), gpu(), images(), tilted());
    let options = Options { tile: Some(7), ..options() };
    let job = PathExport::new(&gpu, field.as_ref(), &images, options, Shard::WHOLE, serde_json::json!({})).unwrap();
    let mut seen = vec![];
    let stopped = job.write(&folder.path().join("loops.npz"), &mut |_| {
        seen = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let name = seen[0].to_str().unwrap();
    assert!(seen.len() == 1 && name.starts_with("loops.npz.") && name.ends_with(".partial"), "{seen:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The CIFAR-10 protocol: what a file would take is known before anything is made, whole and in parts.
#[test]
fn the_size_of_a_protocol_is_known_before_it_is_written() {
    let shape = Shape::new(3, 32, 32);
    let images =
        Images { shape, count: 256, values: vec![0.0; 256 * shape.len()], levels: Levels::Real, sha256: String::new() };
    let field = field::open("field:gaussian", Some(shape), ScoreScale::Definition).unwrap();
    let gpu = gpu();
    let bytes = |shard| {
        let paper = Options { quadrature_check: 0.05, verify_points: 8, ..Options::default() };
        let job = PathExport::new(&gpu, field.as_ref(), &images, paper, shard, serde_json::json!({})).unwrap();
        job.layout().bytes().unwrap()
    };
    // Midpoints and steps of 256 samples, two Gauss points a segment of 13.
    let points = |samples: u64, checked: u64| 3 * 100 * 1000 * (2 * samples + 2 * checked) * 3072 * 4;
    let (whole, part) = (bytes(Shard::WHOLE), bytes(Shard::new(3, 256).unwrap()));
    assert!(whole > points(256, 13) && whole - points(256, 13) < 200_000, "{whole}");
    assert!(part > points(1, 1) && part - points(1, 1) < 100_000, "{part}");
    assert_eq!(npz_bytes(&[vorticity::run::Promised::f32("x", &[usize::MAX, usize::MAX])]), None);
}

#[test]
fn an_array_of_an_npz_file_is_image_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.npz");
    let mut npz = NpzWriter::new(File::create(&file).unwrap());
    let values = ArrayD::from_shape_vec(IxDyn(&[2, 3, 5, 7]), noise(2 * SHAPE.len(), 3)).unwrap();
    npz.add_array("other", &Array1::from(vec![1i64])).unwrap();
    npz.add_array("x", &values).unwrap();
    npz.finish().unwrap();
    let images = data::load(format!("{}#x", file.display()), 2, [-1.0, 1.0]).unwrap();
    assert_eq!((images.shape, images.values), (SHAPE, values.into_raw_vec_and_offset().0));
    assert_eq!(images.sha256, data::sha256_file(&file).unwrap());
    let error = data::load(file.to_str().unwrap(), 2, [-1.0, 1.0]).unwrap_err().to_string();
    assert!(error.contains("other, x") && error.contains("FILE#array"), "{error}");
}

/// What a file would hold is said without a name for it.
#[test]
fn a_dry_run_wants_no_file() {
    let model = ["paths", "export", "field:gaussian", "--shape", "1x2x4", "--data", "data:gaussian", "--samples", "2"];
    let own = ["--timesteps", "5", "--points", "10", "--json"];
    let run = |more: &[&str]| crate::cli::vorticity(&[&model[..], &own, more].concat()).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&run(&["--dry-run"]).stdout).unwrap();
    assert!(said["segments"].as_u64().unwrap() > 0 && said["out"].is_null(), "{said}");
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--out"));
}
