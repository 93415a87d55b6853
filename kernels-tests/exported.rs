//! Loops that leave the program and scores that come back: the exported points are the twin's, the circulation of scores
//! evaluated there is the run's own, and files that do not fit are refused in one line that names the place.
use crate::common::{gpu, noise};
use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::{NpzReader, NpzWriter, write_npy};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use vorticity::data::{self, Array, Images, Levels};
use vorticity::diagnostics::{CirculationRun, MOST_EXPORTED, Options, PathExport, exported_bytes, integrate};
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::field::{self, Field, ScoreScale};
use vorticity::paths::{Anchor, find};
use vorticity::run::{Circulation, ExportedFile, ExportedLoops};
use vorticity::shape::Shape;

const SHAPE: Shape = Shape::new(3, 5, 7);
const PATHS: [&str; 3] = ["brownian", "rotation", "projection"];
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
        paths: PATHS.map(String::from).to_vec(),
        timesteps: KS.to_vec(),
        samples: SAMPLES,
        points: N,
        arcs: 4,
        seed: 11,
        quadrature_check: 0.0,
        verify_points: 0,
        ..Options::default()
    }
}

fn tilted() -> Box<dyn Field> {
    field::open("field:tilted?omega=0.5", Some(SHAPE), ScoreScale::Definition).unwrap()
}

fn export(options: Options) -> ExportedLoops {
    let (gpu, images, field) = (gpu(), images(), tilted());
    let job = PathExport::new(&gpu, field.as_ref(), &images, options).unwrap();
    assert_eq!(job.segments(), (PATHS.len() * KS.len() * SAMPLES * N) as u64);
    job.run(&mut |_| ControlFlow::Continue(())).unwrap()
}

/// The field's f64 twin at every midpoint: scores from elsewhere.
fn scores(loops: &ExportedLoops) -> ArrayD<f64> {
    let (field, d) = (tilted(), SHAPE.len());
    let segments = loops.midpoints.chunks(d).enumerate();
    let twin = |(i, m): (usize, &[f32])| field.twin(&Dual::lift(m), KS[i / N / SAMPLES % KS.len()]).unwrap();
    let values = segments.flat_map(twin).map(|s| s.v).collect();
    ArrayD::from_shape_vec(IxDyn(&loops.axes.dims()), values).unwrap()
}

fn integrated(exported: &Path, scores: &str) -> Result<Circulation> {
    integrate(ExportedFile::open(exported)?, Array::open(scores)?, &mut |_| ControlFlow::Continue(()))
}

fn column<'a>(result: &'a Circulation, name: &str) -> &'a [f64] {
    &result.columns.iter().find(|c| c.name == name).unwrap().values
}

#[test]
fn exported_points_are_the_twins_and_close() {
    let loops = export(options());
    let (field, images, nodes, d) = (tilted(), images(), loops.nodes(), SHAPE.len());
    let tolerance = |sigma: f64, y: f64| 2e-6 * (sigma.max(1.0) + y.abs()); // that of the path shaders, PROTOCOL
    for (l, first) in (0..PATHS.len() * KS.len() * SAMPLES).map(|l| (l, l * N * d)) {
        let (path, k, sample) = (PATHS[l / SAMPLES / KS.len()], KS[l / SAMPLES % KS.len()], l % SAMPLES);
        let (a, sigma) = field.process().noise(k).unwrap();
        let x0 = &images.values[sample * d..(sample + 1) * d];
        let (sample, k, segments) = (sample as u32, k as u32, N as u32);
        let anchor = Anchor { seed: 11, sample, k, a, sigma, bridge_scale: 1.0, x0, segments, arcs: 4, nodes: &[] };
        let twin: Vec<Vec<f64>> = (0..=segments).map(|node| find(path).unwrap().1.point(&anchor, node)).collect();
        for (i, c) in (0..N).flat_map(|i| (0..d).map(move |c| (i, c))) {
            let (p, q, at) = (twin[i][c], twin[i + 1][c], first + i * d + c);
            let [m, step, node] = [loops.midpoints[at], loops.steps[at], nodes[at]].map(f64::from);
            let bound = tolerance(sigma, p.abs().max(q.abs()));
            assert!((m - 0.5 * (p + q)).abs() <= bound, "{path} k {k} midpoint {i}: {m} against {}", 0.5 * (p + q));
            assert!((step - (q - p)).abs() <= 2.0 * bound, "{path} k {k} step {i}: {step} against {}", q - p);
            assert!((node - p).abs() <= 2.0 * bound, "{path} k {k} node {i}: {node} against {p}");
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
    let loops = export(options());
    loops.write(&at("loops.npz")).unwrap();
    export(Options { tile: Some(7), ..options() }).write(&at("again.npz")).unwrap();
    assert_eq!(data::sha256_file(at("loops.npz")).unwrap(), data::sha256_file(at("again.npz")).unwrap());

    let scores = scores(&loops);
    write_npy(at("scores.npy"), &scores).unwrap();
    write_npy(at("scores32.npy"), &scores.mapv(|v| v as f32)).unwrap();
    let (gpu, images, field) = (gpu(), images(), tilted());
    let job = CirculationRun::new(&gpu, field.as_ref(), &images, options()).unwrap();
    let own = job.run(&mut |_| ControlFlow::Continue(())).unwrap();
    for file in ["scores.npy", "scores32.npy"] {
        let result = integrated(&at("loops.npz"), at(file).to_str().unwrap()).unwrap();
        assert_eq!((&result.paths, &result.timesteps, &result.noise), (&own.paths, &own.timesteps, &own.noise));
        assert_eq!((result.samples, result.points), (own.samples, own.points));
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
        assert!(result.loops().is_ok());
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
    let loops = export(options());
    loops.write(&at("loops.npz")).unwrap();
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
    write_npy(at("bytes.npy"), &ArrayD::<u8>::zeros(IxDyn(&loops.axes.dims()))).unwrap();
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

#[test]
fn an_export_beyond_the_limit_is_refused_before_any_work() {
    let paper = Options { timesteps: (1..1000).step_by(10).collect(), samples: 256, points: 1000, ..options() };
    assert_eq!(exported_bytes(&paper, Shape::new(1, 28, 28)), Some(3 * 100 * 256 * 1000 * 784 * 12));
    assert!(exported_bytes(&paper, Shape::new(1, 28, 28)).unwrap() > MOST_EXPORTED);
    assert_eq!(exported_bytes(&Options { points: usize::MAX, ..paper.clone() }, SHAPE), None);
    let (gpu, images, field) = (gpu(), images(), tilted());
    let error = PathExport::new(&gpu, field.as_ref(), &images, paper).err().unwrap().to_string();
    assert!(error.contains("4 GiB") && error.contains("samples") && error.contains("9.68e10"), "{error}");
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
    let images = data::load(&format!("{}#x", file.display()), 2, [-1.0, 1.0]).unwrap();
    assert_eq!((images.shape, images.values), (SHAPE, values.into_raw_vec_and_offset().0));
    assert_eq!(images.sha256, data::sha256_file(&file).unwrap());
    let error = data::load(file.to_str().unwrap(), 2, [-1.0, 1.0]).unwrap_err().to_string();
    assert!(error.contains("other, x") && error.contains("FILE#array"), "{error}");
}
