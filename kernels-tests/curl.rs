//! Laws of the Jacobian's diagnostics: a gradient is symmetric, a rotor antisymmetric, the tilted field in between as its
//! closed form says; differences agree with tangents within their own error; probes agree with the whole matrix.
use crate::circulation::{closed, images, write_mixture};
use crate::common::{gpu, measured};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use vorticity::data::{Images, Levels};
use vorticity::diagnostics::Selection;
use vorticity::error::Result;
use vorticity::field::{self, Field, ScoreScale};
use vorticity::gpu::Gpu;
use vorticity::measures::Asymmetry;
use vorticity::measures::asymmetry::{AsymmetryOptions, Estimator};
use vorticity::measures::curl::{CurlOptions, Method};
use vorticity::measures::jacobian::JacobianOptions;
use vorticity::run::{Measure, Numbers, Progress, Settings, Shard, Subject, Table, Verdict, verdicts};
use vorticity::shape::Shape;

/// Odd, and not a multiple of four.
const SHAPE: Shape = Shape::new(3, 5, 5);

fn selection(timesteps: &[usize], samples: usize) -> Selection {
    Selection { timesteps: timesteps.to_vec(), samples, seed: 5 }
}

fn curl(gpu: &Gpu, field: &Arc<dyn Field>, images: &Images, method: Method, components: usize) -> Result<Table> {
    let options = CurlOptions {
        selection: selection(&[1, 300, 900], 3),
        components,
        method,
        verified: 3,
        ..CurlOptions::default()
    };
    measured(gpu, field, images, &options)
}

fn asymmetry(gpu: &Gpu, field: &Arc<dyn Field>, images: &Images, estimator: Estimator, probes: Option<usize>) -> Table {
    let options = AsymmetryOptions { selection: selection(&[1, 300, 900], 3), estimator, probes, verified: 3 };
    measured(gpu, field, images, &options).unwrap()
}

fn values<'a>(table: &'a Table, name: &str) -> &'a [f64] {
    &table.column(name).unwrap().values
}

fn mixture(folder: &Path) -> Arc<dyn Field> {
    let file = folder.join("mixture.safetensors");
    write_mixture(&file, SHAPE, 4);
    closed(&format!("field:mixture?file={}", file.display()), SHAPE)
}

#[test]
fn a_gradient_is_symmetric_to_rounding() {
    let (gpu, folder, images) = (gpu(), tempfile::tempdir().unwrap(), images(SHAPE, 3));
    let field = mixture(folder.path());
    let table = curl(&gpu, &field, &images, Method::Tangents, 20).unwrap();
    let Numbers::F32(jacobians) = &table.array("jacobian").unwrap().values else { panic!() };
    for (place, block) in jacobians.chunks(400).enumerate() {
        let largest = block.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
        let asymmetry = values(&table, "asymmetry_max")[place];
        // One f32 rounding of a sum of 4 terms, on either side of the diagonal.
        assert!(asymmetry <= 1e-6 * largest, "{asymmetry:e} of {largest}");
    }
    for estimator in [Estimator::Both, Estimator::Forward] {
        let found = asymmetry(&gpu, &field, &images, estimator, Some(8));
        for (nasym, error) in values(&found, "nasym").iter().zip(values(&found, "arithmetic")) {
            assert!(nasym.abs() <= 1e-6 && *error <= 1e-5, "{estimator:?}: {nasym:e} {error:e}");
        }
        assert!(verdicts(&found).unwrap().iter().all(|v| *v == Verdict::NotResolved));
        // So is |A|^2 itself, by its own errors.
        let errors = found.measure.errors(&found).unwrap();
        let own = &errors.iter().find(|e| e.0 == "anti2").unwrap().1;
        for (place, anti2) in values(&found, "anti2").iter().enumerate() {
            assert_ne!(Verdict::of(*anti2, own.iter().map(|e| e.1[place])), Verdict::Resolved, "{anti2:e}");
        }
    }
}

#[test]
fn rotor_and_tilted_have_their_closed_forms() {
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    // nasym = w^2 |R|^2 ... / (|a|^2 D + w^2 |R|^2): R has two entries of size w in every row.
    for (spec, want) in [
        ("field:rotor?omega=0.7", 1.0),
        ("field:tilted?omega=0.5", 0.5 / 1.5),
        ("field:tilted?omega=2", 8.0 / 9.0),
        ("field:gaussian", 0.0),
    ] {
        let field = closed(spec, SHAPE);
        for estimator in [Estimator::Both, Estimator::Forward] {
            let exact = asymmetry(&gpu, &field, &images, estimator, None);
            for (nasym, se) in values(&exact, "nasym").iter().zip(values(&exact, "nasym_se")) {
                assert!((nasym - want).abs() <= 1e-5 && *se == 0.0, "{spec}: {nasym} instead of {want}");
            }
            // Probes: within five standard errors, and not much worse than that error says.
            let probed = asymmetry(&gpu, &field, &images, estimator, Some(64));
            for (nasym, se) in values(&probed, "nasym").iter().zip(values(&probed, "nasym_se")) {
                assert!((nasym - want).abs() <= 5.0 * se + 1e-5, "{spec}: {nasym} ± {se} instead of {want}");
            }
            let trace = values(&exact, "trace");
            assert!(spec != "field:rotor?omega=0.7" || trace.iter().all(|t| t.abs() < 1e-4), "{trace:?}");
            // Both columns say the same: |A|^2 = (|J|^2 - tr J^2)/2.
            for place in 0..9 {
                let [anti2, fro2, trace2] = ["anti2", "fro2", "trace2"].map(|name| values(&probed, name)[place]);
                assert!((anti2 - (fro2 - trace2) / 2.0).abs() <= 1e-9 * fro2, "{spec}: {anti2} {fro2} {trace2}");
            }
        }
    }
    // A rotor's sub-Jacobian: entries +-omega on the two cyclic neighbours, nothing else.
    let table = curl(&gpu, &closed("field:rotor?omega=0.7", SHAPE), &images, Method::Tangents, 75).unwrap();
    assert!(values(&table, "sub_nasym").iter().all(|v| (v - 1.0).abs() < 1e-6));
    assert!(values(&table, "asymmetry_max").iter().all(|v| (v - 1.4).abs() < 1e-6));
    let (Numbers::I64(components), Numbers::F32(jacobians)) =
        (&table.array("components").unwrap().values, &table.array("jacobian").unwrap().values)
    else {
        panic!()
    };
    for a in 0..75 {
        for b in 0..75 {
            let want = match (components[b] - components[a]).rem_euclid(75) {
                1 => 0.7,
                74 => -0.7,
                _ => 0.0,
            };
            assert_eq!(jacobians[a * 75 + b], want, "{} {}", components[a], components[b]);
        }
    }
}

#[test]
fn components_differ_by_sample_and_not_by_timestep() {
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    let field = closed("field:tilted?omega=1", SHAPE);
    let table = curl(&gpu, &field, &images, Method::Tangents, 30).unwrap();
    let Numbers::I64(components) = &table.array("components").unwrap().values else { panic!() };
    for own in components.chunks(30) {
        let mut sorted = own.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() == 30 && sorted[0] >= 0 && sorted[29] < 75, "{own:?}");
    }
    assert_ne!(components[..30], components[30..60]);
    assert_eq!(table.array("components").unwrap().shape, [3, 30]);
    assert_eq!(table.array("jacobian").unwrap().shape, [3, 3, 30, 30]);
}

#[test]
fn differences_agree_with_tangents_within_their_own_error() {
    let (gpu, folder, images) = (gpu(), tempfile::tempdir().unwrap(), images(SHAPE, 3));
    let field = mixture(folder.path());
    let both = curl(&gpu, &field, &images, Method::Both, 20).unwrap();
    for (place, (gap, step)) in values(&both, "method_gap").iter().zip(values(&both, "step")).enumerate() {
        assert!(*gap > 0.0 && gap <= step, "place {place}: {gap:e} apart, {step:e} estimated");
    }
    let alone = curl(&gpu, &field, &images, Method::Differences, 20).unwrap();
    let block = |t: &Table, name: &str| match &t.array(name).unwrap().values {
        Numbers::F32(v) => v.clone(),
        _ => panic!(),
    };
    assert_eq!(block(&both, "jacobian_fd"), block(&alone, "jacobian"));
    // The error column is the tangents' where both ran, the step's where differences are the result.
    let errors = |t: &Table| values(t, "error").to_vec();
    assert!(errors(&alone).iter().zip(errors(&both)).all(|(fd, jvp)| *fd > jvp));
    // Richardson, with a step so large that truncation is all there is: the error of h^4, not of h^2.
    let gaps = |richardson| {
        let selection = selection(&[300], 3);
        let options = CurlOptions {
            selection,
            components: 20,
            method: Method::Both,
            step: 0.5,
            richardson,
            verified: 0,
            ..Default::default()
        };
        let table = measured(&gpu, &field, &images, &options).unwrap();
        assert!(values(&table, "arithmetic").iter().all(|v| v.is_nan()));
        values(&table, "method_gap").iter().sum::<f64>()
    };
    assert!(gaps(true) < 0.2 * gaps(false), "{} {}", gaps(true), gaps(false));
}

#[test]
fn what_has_no_curl_is_refused() {
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    let field = closed("field:rotor", SHAPE);
    let says = |change: &dyn Fn(&mut CurlOptions)| {
        let mut options = CurlOptions { selection: selection(&[1], 2), components: 4, ..CurlOptions::default() };
        change(&mut options);
        let run = measured(&gpu, &field, &images, &options);
        run.map(|t| t.measure).unwrap_err().to_string()
    };
    assert!(says(&|o| o.components = 76).contains("components: 76, expected 2..=75"));
    assert!(says(&|o| o.components = 1).contains("components: 1, expected"));
    assert!(says(&|o| o.step = 0.0).contains("step: 0 sigma, expected more than 0"));
    assert!(says(&|o| o.step = f64::NAN).contains("step: NaN sigma"));
    assert!(says(&|o| (o.step, o.method) = (1e-12, Method::Differences)).contains("vanishes beside"));
    assert!(says(&|o| o.selection.timesteps = vec![1000]).contains("1000 is outside 0..=999"));
    assert!(says(&|o| o.selection.samples = 4).contains("samples: 4, expected 1..=3"));
    assert!(says(&|o| o.selection.timesteps = vec![]).contains("timesteps"));
    let options =
        AsymmetryOptions { selection: selection(&[1], 1), probes: Some(1), verified: 0, ..Default::default() };
    let run = measured(&gpu, &field, &images, &options);
    assert!(run.map(|t| t.measure).unwrap_err().to_string().contains("probes: 1, expected at least 2"));
    let large = closed("field:rotor", Shape::new(3, 256, 256));
    let pictures = crate::circulation::images(large.shape(), 1);
    let run =
        measured(&gpu, &large, &pictures, &JacobianOptions { selection: selection(&[1], 1), ..Default::default() });
    assert!(run.map(|t| t.measure).unwrap_err().to_string().contains("1 of 196608 x 196608 are 154.6 GB"));
}

/// The trained network on the middle 8 x 8 pixels of its digits: few enough dimensions for the whole matrix.
pub fn small_network(folder: &Path) -> (Arc<dyn Field>, Images) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/mnist");
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(model.join("config.json")).unwrap()).unwrap();
    config["hyper"]["image_size"] = 8.into();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::copy(model.join("model.safetensors"), folder.join("model.safetensors")).unwrap();
    let field = field::open(folder.to_str().unwrap(), None, ScoreScale::Definition).unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/data/mnist-test-256-idx3-ubyte.gz");
    let digits = vorticity::data::load(data.to_str().unwrap(), 4, field.data_range()).unwrap();
    let crop = |digit: &[f32]| (10..18).flat_map(|i| digit[i * 28 + 10..i * 28 + 18].to_vec()).collect::<Vec<_>>();
    let values_of: Vec<f32> = digits.values.chunks(784).flat_map(crop).collect();
    let images =
        Images { shape: Shape::new(1, 8, 8), count: 4, values: values_of, levels: Levels::Real, sha256: String::new() };
    (field, images)
}

#[test]
fn probes_agree_with_the_whole_jacobian_of_the_trained_network() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let (field, images) = small_network(folder.path());
    let selection = selection(&[100, 600], 4);
    let whole =
        measured(&gpu, &field, &images, &JacobianOptions { selection: selection.clone(), ..Default::default() })
            .unwrap();
    let mut errors = vec![];
    for estimator in [Estimator::Forward, Estimator::Both] {
        let options = AsymmetryOptions { selection: selection.clone(), estimator, probes: Some(48), verified: 2 };
        let probed = measured(&gpu, &field, &images, &options).unwrap();
        let unit = measured(&gpu, &field, &images, &AsymmetryOptions { probes: None, ..options }).unwrap();
        for (place, want) in values(&whole, "nasym").iter().enumerate() {
            let (got, se) = (values(&probed, "nasym")[place], values(&probed, "nasym_se")[place]);
            println!("nasym {want:.5}, {} {got:.5} ± {se:.5}", estimator.name());
            // Eight estimates: one beyond four standard errors of 48 probes would be one in a thousand runs.
            assert!(*want > 0.0 && se < 0.5 * want && (got - want).abs() <= 4.0 * se, "{got} ± {se}, {want}");
            assert!((values(&unit, "nasym")[place] - want).abs() < 1e-5);
            for name in ["fro2", "trace", "trace2"] {
                let (want, got) = (values(&whole, name)[place], values(&unit, name)[place]);
                let bound = 1e-5 * values(&whole, "fro2")[place].max(want.abs());
                assert!((got - want).abs() <= bound, "{name}: {got} {want}");
                let (got, se) = (values(&probed, name)[place], values(&probed, &format!("{name}_se"))[place]);
                assert!((got - want).abs() <= 4.0 * se + 1e-5 * want.abs(), "{name}: {got} ± {se}, {want}");
            }
        }
        errors.push(values(&probed, "nasym_se").to_vec());
    }
    // Cross terms of A and H scatter in forward mode only.
    let [forward, both] = [0, 1].map(|i: usize| errors[i].iter().sum::<f64>());
    assert!(both < 0.7 * forward, "standard errors {both} in both modes, {forward} in one");
}

/// A small antisymmetric half beside a large symmetric one.
#[test]
fn both_estimators_agree() {
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    let field = closed("field:tilted?omega=0.05", SHAPE);
    let [both, forward] =
        [Estimator::Both, Estimator::Forward].map(|own| asymmetry(&gpu, &field, &images, own, Some(48)));
    for place in 0..9 {
        let of = |table: &Table, name: &str| values(table, name)[place];
        let [one, other] = [&both, &forward].map(|t| (of(t, "nasym"), of(t, "nasym_se")));
        // Nine estimates: one beyond four standard errors would be one in two thousand runs.
        assert!((one.0 - other.0).abs() <= 4.0 * one.1.hypot(other.1), "{one:?} {other:?}");
    }
    let said = |table: &Table| table.measure.text(table).unwrap();
    assert!(said(&both).contains("both modes") && said(&forward).contains("forward mode"));
}

/// A^2 that float32 alone makes is told from one that is there, and what was not repeated is not checked.
#[test]
fn noise_of_float32_is_not_resolved() {
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    let of = |omega: f64, verified| {
        let field = closed(&format!("field:tilted?omega={omega}"), SHAPE);
        let selection = selection(&[300], 3);
        let options = AsymmetryOptions { selection, estimator: Estimator::Both, probes: Some(8), verified };
        measured(&gpu, &field, &images, &options).unwrap()
    };
    // 2 w^2 of J = -1 + noise of 2^-24: seen down to w of a few 1e-7, and not below.
    let verdict = |omega, verified, want| {
        let table = of(omega, verified);
        let found = verdicts(&table).unwrap();
        let [nasym, error] = ["nasym", "arithmetic"].map(|name| values(&table, name)[0]);
        assert!(found.iter().all(|v| *v == want), "{omega}: {nasym:e}, {error:e}, {found:?}");
    };
    verdict(1e-3, 3, Verdict::Resolved);
    verdict(1e-9, 3, Verdict::NotResolved);
    verdict(1e-3, 0, Verdict::NotChecked);
}

/// A field with tangents and without an adjoint keeps the forward estimator, and says so.
#[test]
fn a_field_without_an_adjoint_keeps_the_forward_estimator() {
    struct Bare(Arc<dyn Field>);
    impl Field for Bare {
        fn shape(&self) -> Shape {
            self.0.shape()
        }
        fn process(&self) -> &vorticity::model::Process {
            self.0.process()
        }
        fn coefficients(&self, k: usize) -> Result<(f64, f64)> {
            self.0.coefficients(k)
        }
        fn launch(&self, cx: field::FieldLaunch) -> Result<()> {
            self.0.launch(cx)
        }
        fn has_tangents(&self) -> bool {
            true
        }
        fn twin(&self, x: &[vorticity::dual::Dual], k: usize, sample: usize) -> Result<Vec<vorticity::dual::Dual>> {
            self.0.twin(x, k, sample)
        }
        fn describe(&self) -> serde_json::Value {
            serde_json::json!({ "name": "bare" })
        }
    }
    let field: Arc<dyn Field> = Arc::new(Bare(closed("field:tilted?omega=1", SHAPE)));
    let subject = Subject::new(vec![gpu().clone()], field, images(SHAPE, 2)).unwrap();
    let asked = || Settings::of(&Asymmetry).unwrap().with("timesteps", [300]).unwrap().with("samples", 2).unwrap();
    let task = Asymmetry.task(&asked(), &subject).unwrap();
    let ready = task.ready(&subject, Shard::WHOLE).unwrap();
    assert_eq!(ready.facts["options"]["estimator"], "forward");
    assert_eq!(ready.facts["options"]["estimator_because"], "the field has no adjoint");
    assert!(ready.notes.contains("forward: the field has no adjoint"), "{}", ready.notes);
    let table = ready.run(&mut Progress::new(&mut |_| ControlFlow::Continue(()))).unwrap().part.finish().unwrap();
    assert!(values(&table, "nasym").iter().all(|v| (v - 2.0 / 3.0).abs() < 0.5));
    let both = Asymmetry.task(&asked().with("estimator", "both").unwrap(), &subject).unwrap();
    let error = both.ready(&subject, Shard::WHOLE).err().unwrap().to_string();
    assert!(error.contains("field bare: has no adjoint") && error.contains("--estimator forward"), "{error}");
}

/// The trained network at full size, at low noise and at high: both estimators are the same number, and where the field is
/// nearly a gradient both modes need far fewer probes for it.
#[test]
fn both_estimators_agree_on_the_trained_network() {
    let (gpu, root) = (gpu(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let field = field::open(&root.join("assets/models/mnist"), None, ScoreScale::Definition).unwrap();
    let data = root.join("assets/data/mnist-test-256-idx3-ubyte.gz");
    let images = vorticity::data::load(data.to_str().unwrap(), 1, field.data_range()).unwrap();
    let selection = Selection { timesteps: vec![1, 101, 501, 901], samples: 1, seed: 0 };
    let [both, forward] = [Estimator::Both, Estimator::Forward].map(|estimator| {
        let options = AsymmetryOptions { selection: selection.clone(), estimator, probes: Some(48), verified: 1 };
        measured(&gpu, &field, &images, &options).unwrap()
    });
    let of = |table: &Table, place: usize| (values(table, "nasym")[place], values(table, "nasym_se")[place]);
    for place in 0..4 {
        let (one, other) = (of(&both, place), of(&forward, place));
        println!("nasym {:.3e} ± {:.1e} by both modes, {:.3e} ± {:.1e} by one", one.0, one.1, other.0, other.1);
        assert!((one.0 - other.0).abs() <= 3.0 * one.1.hypot(other.1), "{one:?} {other:?}");
    }
    // k = 101: of eight images 21 to 43 times fewer probes for one error were seen.
    let gain = (of(&forward, 1).1 / of(&both, 1).1).powi(2);
    assert!(gain > 10.0, "{gain} times fewer probes");
    assert!(verdicts(&both).unwrap().iter().all(|v| *v == Verdict::Resolved));
    let error = values(&both, "arithmetic").iter().fold(0f64, |m, e| m.max(*e));
    assert!(error < 1e-6, "{error:e}: what float32 makes of J v - J'v");
}
