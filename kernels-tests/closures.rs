//! Fields that the host computes: every measure of one, with derivatives of its own and with differences; what cannot be checked
//! is not; what goes wrong in a closure stops the run, loses nothing, and the same run goes on.
use crate::common::{gpu, noise};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vorticity::error::{Error, Result};
use vorticity::evaluate::Room;
use vorticity::field::{self, About, ClosureField, Field, Functions, Points};
use vorticity::gpu::Gpu;
use vorticity::measures::{Circulation, MEASURES};
use vorticity::model::{Prediction, Process, ProcessConfig, Schedule};
use vorticity::run::{Measure, RunDir, Settings, Table, VERDICT, Verdict, verdicts};
use vorticity::session::{How, Session};
use vorticity::shape::Shape;

const SHAPE: Shape = Shape { c: 1, h: 3, w: 3 };

/// f_i = x_{i+1}^2 / 2 - x_i, i cyclic, which is no gradient; and its products.
fn values(x: &[f64]) -> Vec<f64> {
    (0..x.len()).map(|i| x[(i + 1) % x.len()].powi(2) / 2.0 - x[i]).collect()
}

fn jvp(x: &[f64], v: &[f64]) -> Vec<f64> {
    (0..x.len()).map(|i| (i + 1) % x.len()).enumerate().map(|(i, next)| x[next] * v[next] - v[i]).collect()
}

fn vjp(x: &[f64], u: &[f64]) -> Vec<f64> {
    (0..x.len()).map(|i| x[i] * u[(i + x.len() - 1) % x.len()] - u[i]).collect()
}

/// A function of points in f64 as one of batches in either type.
trait Number: Copy + Into<f64> + 'static {
    fn of(v: f64) -> Self;
}
impl Number for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
}
impl Number for f64 {
    fn of(v: f64) -> Self {
        v
    }
}

fn rows<T: Number>(all: &[T]) -> impl Iterator<Item = Vec<f64>> + '_ {
    all.chunks_exact(SHAPE.len()).map(|row| row.iter().map(|&v| v.into()).collect())
}

fn functions<T: Number>(own: bool) -> Functions<T> {
    let product = |of: fn(&[f64], &[f64]) -> Vec<f64>| -> field::Product<T> {
        Box::new(move |at, v| Ok(rows(at.x).zip(rows(v)).flat_map(|(x, v)| of(&x, &v)).map(T::of).collect()))
    };
    Functions {
        values: Box::new(|at| Ok(rows(at.x).flat_map(|x| values(&x)).map(T::of).collect())),
        jvp: own.then(|| product(jvp)),
        vjp: own.then(|| product(vjp)),
    }
}

fn about(prediction: Prediction, batch: usize) -> About {
    let process = Process::new(&ProcessConfig::vp(Schedule::Cosine, 1000)).unwrap();
    About { name: "own".into(), shape: SHAPE, process, prediction, data_range: [-1.0, 1.0], batch }
}

fn closure(batch: usize, own: bool, double: Option<bool>) -> Arc<dyn Field> {
    let about = about(Prediction::Score, batch);
    Arc::new(ClosureField::new(about, functions(own), double.map(functions)).unwrap())
}

fn session(gpu: &Gpu, field: Arc<dyn Field>) -> Session {
    let images = field::open_data("data:gaussian?seed=4", 5, [-1.0, 1.0], Some(SHAPE)).unwrap();
    Session::new(vec![gpu.clone()], field, images).unwrap()
}

/// A measure made small.
fn small(measure: &'static dyn Measure) -> Settings {
    let mut asked = Settings::of(measure).unwrap();
    let few = [("samples", "4"), ("timesteps", "100,400,900"), ("points", "60"), ("components", "4"), ("probes", "3")];
    for (name, value) in few.into_iter().chain([("levels", "continuous")]) {
        if measure.parameters().iter().any(|p| p.name == name) {
            asked.set(name, value).unwrap();
        }
    }
    asked
}

fn table(session: &Session, asked: &Settings) -> Table {
    session.table(session.task(asked).unwrap().as_ref()).unwrap()
}

/// The column that a measure is about, and the largest of its errors, by place; NaN where one was not measured.
fn headline(table: &Table) -> Vec<(f64, f64)> {
    let name = table.measure.info().headline;
    let errors = table.measure.errors(table).unwrap();
    let errors = &errors.iter().find(|e| e.0 == name).unwrap().1;
    let worst = |i: usize| errors.iter().map(|e| e.1[i]).fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
    table.column(name).unwrap().values.iter().enumerate().map(|(i, &v)| (v, worst(i))).collect()
}

/// By derivatives of its own and by differences: both are checked in f64, and differ by no more than their errors say.
#[test]
fn every_measure_of_a_closure_is_checked() {
    let gpu = gpu();
    let own = session(&gpu, closure(7, true, Some(true)));
    let bare = session(&gpu, closure(64, false, Some(false)));
    for measure in MEASURES {
        let exact = table(&own, &small(*measure));
        let said = verdicts(&exact).unwrap();
        assert!(!said.contains(&Verdict::NotChecked), "{measure}: {said:?}");
        // Without a vjp of their own, planes and spectra have nothing to go by, maps likewise.
        let asked = match measure.name() {
            "map" | "planes" | "spectrum" => {
                let error = bare.task(&small(*measure)).and_then(|task| bare.table(task.as_ref())).unwrap_err();
                assert!(error.to_string().contains("has no adjoint"), "{measure}: {error}");
                continue;
            }
            "asymmetry" => small(*measure).with("estimator", "forward").unwrap(),
            _ => small(*measure),
        };
        // All columns, or as many vectors: the error of a few is an estimate.
        let asked = match measure.parameters().iter().any(|p| p.name == "verify") {
            true => asked.with("verify", "108").unwrap(),
            false => asked,
        };
        let reference = headline(&table(&own, &asked));
        for (place, ((a, e), (b, f))) in reference.into_iter().zip(headline(&table(&bare, &asked))).enumerate() {
            let rounding = 1e-6 * a.abs().max(1.0);
            assert!(f.is_finite() && (a - b).abs() <= e + f + rounding, "{measure} at {place}: {a} +- {e}, {b} +- {f}");
        }
    }
}

/// Of a field with nothing in f64, no verdict is more than not checked, and checks that are asked for are refused.
#[test]
fn nothing_is_claimed_without_a_second_opinion() {
    let gpu = gpu();
    let session = session(&gpu, closure(64, true, None));
    for measure in MEASURES {
        let asked = small(*measure);
        let found = table(&session, &asked);
        assert!(verdicts(&found).unwrap().iter().all(|v| *v == Verdict::NotChecked), "{measure} by {}", VERDICT.name);
        let checks = measure.parameters().iter().find(|p| p.checks).unwrap();
        let one = asked.with(checks.name, "1").unwrap();
        let error = session.task(&one).err().unwrap().to_string();
        assert!(error.contains("no values in f64"), "{measure}: {error}");
    }
}

/// s, J v and J'u of every prediction are those of the score that follows, whatever the batches.
#[test]
fn products_are_those_of_the_score() {
    let (gpu, d, n) = (gpu(), SHAPE.len(), 5);
    let (x, v, u) = (noise(n * d, 1), noise(n * d, 2), noise(n * d, 3));
    for prediction in [Prediction::Score, Prediction::Eps, Prediction::V, Prediction::X0] {
        let made = |batch| -> Arc<dyn Field> {
            let field = ClosureField::new(about(prediction, batch), functions(true), Some(functions(false)));
            Arc::new(field.unwrap())
        };
        let field = made(2);
        let room = Room { samples: n, tangents: 1, cotangents: 1 };
        let products =
            |field| field::product_evaluator(&gpu, field, &[300], room).unwrap().products(&x, &v, &u, &[300; 5]);
        let found = products(&field).unwrap();
        assert_eq!(found, products(&made(100)).unwrap(), "{prediction:?}: batches change bits");
        let (alpha, beta) = field.coefficients(300).unwrap();
        for i in 0..n {
            let [x, v, u]: [Vec<f64>; 3] = [&x, &v, &u].map(|all| rows(all).nth(i).unwrap());
            let score = |of: Vec<f64>, x: &[f64]| -> Vec<f64> {
                of.iter().zip(x).map(|(raw, x)| alpha * x + beta * raw).collect()
            };
            let expected = [score(values(&x), &x), score(jvp(&x, &v), &v), score(vjp(&x, &u), &u)];
            for (found, expected) in [&found.y, &found.jv, &found.jtu].into_iter().zip(&expected) {
                let size = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                for (a, b) in found[i * d..(i + 1) * d].iter().zip(expected) {
                    assert!((f64::from(*a) - b).abs() <= 1e-6 * size, "{prediction:?}: {a}, expected {b}");
                }
            }
            // Differences in f64 are a second opinion of ten digits.
            let along: Vec<_> = x.iter().zip(&v).map(|(&x, &v)| vorticity::dual::Dual::new(x, v)).collect();
            let twin: Vec<f64> = field.twin(&along, 300, 0).unwrap().iter().map(|y| y.d).collect();
            let back = field.twin_vjp(&x, &u, 300, 0).unwrap();
            for (found, expected) in [(&twin, &expected[1]), (&back, &expected[2])] {
                let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                let size = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                assert!(off <= 1e-9 * size, "{prediction:?}: differences in f64 are off by {off} of {size}");
            }
        }
    }
}

fn how(out: &Path) -> How {
    How { out: Some(RunDir::create(out).unwrap()), ..How::default() }
}

/// A closure that fails at call number 30, once: the run says so and keeps what there is; the same run then has the bytes of one
/// that never failed.
#[test]
fn a_closure_that_fails_stops_the_run_and_loses_nothing() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let inner = functions::<f32>(true);
    let failing = Functions {
        values: Box::new(move |at: &Points<f32>| -> Result<Vec<f32>> {
            match counted.fetch_add(1, Ordering::Relaxed) {
                30 => Err(Error::invalid("closure", "fails as it was told to")),
                _ => (inner.values)(at),
            }
        }),
        ..functions::<f32>(true)
    };
    let field: Arc<dyn Field> =
        Arc::new(ClosureField::new(about(Prediction::Score, 16), failing, Some(functions(true))).unwrap());
    let asked = small(&Circulation).with("paths", ["rotation"]).unwrap();
    let mut go_on = |_: &_| ControlFlow::Continue(());
    let broken = session(&gpu, field);
    let (out, whole) = (folder.path().join("out"), folder.path().join("whole"));
    let task = broken.task(&asked).unwrap();
    let error = broken.run(task.as_ref(), how(&out), &mut go_on).unwrap_err().to_string();
    assert!(error.contains("fails as it was told to"), "{error}");
    assert!(folder.path().join("out.partial").is_dir() && !out.exists());
    let resumed = broken.run(task.as_ref(), how(&out), &mut go_on).unwrap();
    assert!(resumed.recorded > 0, "nothing was kept");
    let sound = session(&gpu, closure(16, true, Some(true)));
    sound.run(sound.task(&asked).unwrap().as_ref(), how(&whole), &mut go_on).unwrap();
    for name in ["circulation.csv", "circulation.npz", "manifest.json"] {
        assert!(fs::read(out.join(name)).unwrap() == fs::read(whole.join(name)).unwrap(), "{name} differs");
    }
    assert!(calls.load(Ordering::Relaxed) > 30);
}

/// What makes no field is refused in words, and so is a closure that returns too few numbers.
#[test]
fn bad_closures_are_refused() {
    let make = |about: About| ClosureField::new(about, functions(true), None).err().unwrap().to_string();
    assert!(make(about(Prediction::EdmF { sigma_data: 0.5 }, 4)).contains("edm_f"));
    assert!(make(about(Prediction::FlowVelocity, 4)).contains("flow"));
    assert!(make(about(Prediction::Score, 0)).contains("batch: 0"));
    let short = Functions::<f32> { values: Box::new(|at| Ok(at.x[1..].to_vec())), jvp: None, vjp: None };
    let field: Arc<dyn Field> = Arc::new(ClosureField::new(about(Prediction::Score, 4), short, None).unwrap());
    let gpu = gpu();
    let error = field::evaluator(&gpu, &field, &[3], 2).unwrap().evaluate(&[0.0; 18], &[3, 3]).unwrap_err().to_string();
    assert!(error.contains("returned 17 numbers, expected 18"), "{error}");
}
