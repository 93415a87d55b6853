//! Variance-exploding processes: noise levels and labels, the laws of every diagnostic on closed forms, sampling along
//! known flows, golden cases by sigma, and what is refused there.
use crate::circulation::{closed, column, images, options, rotor_on_rotation, run, write_mixture};
use crate::common::{gpu, measured, noise};
use crate::golden;
use crate::networks::model;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use vorticity::data::Images;
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::error::Result;
use vorticity::field::Field;
use vorticity::gpu::Gpu;
use vorticity::measures::circulation::Options;
use vorticity::measures::curl::{CurlOptions, Method as CurlMethod};
use vorticity::measures::stein::{self, SteinOptions};
use vorticity::model::{Model, Process, ProcessConfig, Schedule};
use vorticity::paths::normal::normals;
use vorticity::paths::philox::{Purpose, Stream};
use vorticity::run::Table;
use vorticity::sample::{Method, Options as SampleOptions, sample};
use vorticity::shape::Shape;
use vorticity::verify::{Case, check};

const PATHS: [&str; 3] = ["brownian", "rotation", "projection"];
const VE: &str = "process=ve&sigma_min=0.01&sigma_max=348";
/// Smallest, middle (sigma = 1.9) and largest noise.
const KS: [usize; 3] = [0, 501, 999];

fn process(config: Value) -> Result<Process> {
    Process::new(&serde_json::from_value::<ProcessConfig>(config).unwrap())
}

fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).for_each(|(g, w)| assert!((g / w - 1.0).abs() <= 1e-13, "{got:?} against {want:?}"));
}

fn sigmas(process: &Process) -> Vec<f64> {
    (0..process.timesteps()).map(|k| process.noise(k).unwrap().1).collect()
}

#[test]
fn noise_levels_and_labels() {
    let ve = process(json!({"kind": "ve", "sigma_min": 0.02, "sigma_max": 50.0, "timesteps": 5})).unwrap();
    near(&sigmas(&ve), &[0.02, 0.1414213562373095, 1.0, 7.0710678118654755, 50.0]);
    assert_eq!(ve.labels().unwrap(), sigmas(&ve));
    assert_eq!((ve.noise(3).unwrap().0, ve.bridge_scale(0)), (1.0, 0.02));
    let list = process(json!({"kind": "sigmas", "sigmas": [0.5, 1.25, 80.0]})).unwrap();
    assert_eq!((sigmas(&list), list.labels().unwrap()), (vec![0.5, 1.25, 80.0], vec![0.5, 1.25, 80.0]));
    let vp = Process::new(&ProcessConfig::vp(Schedule::Cosine, 9)).unwrap();
    assert_eq!((vp.labels(), vp.bridge_scale(7)), (None, 1.0));
    for process in [ve, list, vp] {
        let last = process.timesteps() - 1;
        let error = process.noise(last + 1).unwrap_err().to_string();
        assert!(error.contains(&format!("{} is outside 0..={last}", last + 1)), "{error}");
        assert_eq!(process.require_vp("velocity").is_ok(), process.labels().is_none());
        let back: ProcessConfig = serde_json::from_value(serde_json::to_value(&process.config).unwrap()).unwrap();
        assert_eq!(back, process.config);
    }
    for (wrong, said) in [
        (json!({"kind": "ve", "sigma_min": 2.0, "sigma_max": 1.0, "timesteps": 5}), "0 < sigma_min < sigma_max"),
        (json!({"kind": "ve", "sigma_min": 0.0, "sigma_max": 1.0, "timesteps": 5}), "0 < sigma_min < sigma_max"),
        (json!({"kind": "ve", "sigma_min": 0.1, "sigma_max": 1.0, "timesteps": 0}), "0 is outside 1..=1000000"),
        (json!({"kind": "sigmas", "sigmas": []}), "0 is outside"),
        (json!({"kind": "sigmas", "sigmas": [1.0, 1.0]}), "strictly increasing"),
        (json!({"kind": "sigmas", "sigmas": [-1.0, 1.0]}), "above 0"),
        (
            json!({"kind": "vp", "schedule": "cosine", "timesteps": 9, "beta_end": 0.1}),
            "belong to the schedules linear",
        ),
        (json!({"kind": "vp", "schedule": "linear", "timesteps": 9, "beta_end": 1.5}), "0.0001 and 1.5"),
        // abar = (1 - 0.999)^(k + 1) leaves f32 at a = 10^-39, and f64 later; 1 - abar rounds to zero; f32 has no 1e39.
        (
            json!({"kind": "vp", "schedule": "linear", "timesteps": 30, "beta_start": 0.999, "beta_end": 0.999}),
            "sigma = 1 at timestep 25 of 0..=29, expected numbers above 0",
        ),
        (
            json!({"kind": "vp", "schedule": "linear", "timesteps": 9, "beta_start": 1e-17, "beta_end": 0.1}),
            "a = 1, sigma = 0 at timestep 0 of 0..=8",
        ),
        (json!({"kind": "sigmas", "sigmas": [1.0, 1e39]}), "at timestep 1 of 0..=1"),
    ] {
        let error = process(wrong.clone()).unwrap_err().to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn linear_schedules_between_given_betas() {
    let alphabar = |config: Value| -> Vec<f64> {
        let process = process(config).unwrap();
        (0..process.timesteps()).map(|k| process.noise(k).unwrap().0.powi(2)).collect()
    };
    let given = |name: &str, first: f64, last: f64| {
        alphabar(json!({"kind": "vp", "schedule": name, "timesteps": 4, "beta_start": first, "beta_end": last}))
    };
    near(&given("linear", 0.001, 0.5), &[0.999, 0.831834, 0.554278722, 0.277139361]);
    let scaled = [0.99915, 0.9960221081323412, 0.9892021261268856, 0.9773317006133629];
    near(&given("scaled_linear", 0.00085, 0.012), &scaled);
    // Not given, they are 1e-4 and 0.02 for T = 1000, and ten times that for T = 100.
    let plain = |t: usize| alphabar(json!({"kind": "vp", "schedule": "linear", "timesteps": t}));
    near(&[plain(1000)[0], plain(100)[0]], &[1.0 - 1e-4, 1.0 - 1e-3]);
    let words = ProcessConfig::vp(Schedule::ScaledLinear, 7).describe();
    assert_eq!(words, "variance preserving, scaled_linear schedule, T = 7");
}

#[test]
fn gradient_fields_have_no_circulation() {
    let (gpu, shape) = (gpu(), Shape::new(1, 28, 28));
    let images = images(shape, 2);
    let options = options(&PATHS, &KS, 2, 1000);
    // Of R = sum |s||d|, which for this field is M / (1 + sigma^2).
    let worst = |spec: &str| {
        let result = run(&gpu, &closed(spec, shape), &images, options.clone());
        let r = column(&result, "score_norm_sum");
        column(&result, "integral").iter().zip(r).fold(0f64, |m, (g, r)| m.max(g.abs() / r))
    };
    let gaussian = worst(&format!("field:gaussian?{VE}"));
    assert!(gaussian <= 1e-8, "{gaussian:e}");
    assert!(worst(&format!("field:rotor?{VE}")) > 1e-8);
}

#[test]
fn rotor_on_rotation_paths_has_the_closed_form() {
    let (gpu, shape, n) = (gpu(), Shape::new(1, 28, 28), 1000);
    let images = images(shape, 2);
    let field = closed(&format!("field:rotor?omega=1&{VE}"), shape);
    let result = run(&gpu, &field, &images, options(&["rotation", "brownian"], &KS, 2, n));
    for (t, &k) in KS.iter().enumerate() {
        let (a, sigma) = field.process().noise(k).unwrap();
        for sample in 0..2 {
            let at = |name: &str| column(&result, name)[t * 2 + sample];
            let want = rotor_on_rotation(a, sigma, &images, sample, k, n);
            let (got, r) = (at("integral"), at("score_norm_sum"));
            assert!((got - want).abs() <= 1e-6 * r, "k {k} sample {sample}: {got} against {want}, R = {r}");
            assert!(want.abs() > 1e-3 * at("abs_terms"), "the test would not notice a zero");
            // The brownian path is as long as sigma times a bridge of U = 9 in N steps: sigma sqrt(U N D).
            let length = column(&result, "length")[(KS.len() + t) * 2 + sample] / sigma;
            assert!((length / (9.0 * n as f64 * 784.0).sqrt() - 1.0).abs() < 0.02, "k {k}: {length} sigma");
        }
    }
}

fn mixture(folder: &Path, shape: Shape, n: usize, more: &str) -> Arc<dyn Field> {
    let file = folder.join("mixture.safetensors");
    write_mixture(&file, shape, n);
    closed(&format!("field:mixture?file={}&{VE}{more}", file.display()), shape)
}

#[test]
fn a_mixture_is_conservative_within_its_errors() {
    let (gpu, shape, folder) = (gpu(), Shape::new(1, 8, 8), tempfile::tempdir().unwrap());
    let (field, images) = (mixture(folder.path(), shape, 3, ""), images(shape, 4));
    let paths = ["brownian", "rotation", "projection?arcs=8"];
    let checks = Options { verify_points: 20, quadrature_check: 1.0, ..options(&paths, &[300, 501, 999], 4, 64) };
    let result = run(&gpu, &field, &images, checks);
    let errors = ["rounding", "quadrature", "arithmetic"].map(|name| column(&result, name));
    for (i, gamma) in column(&result, "integral").iter().enumerate() {
        let error = errors.iter().map(|e| e[i].abs()).sum::<f64>();
        assert!(gamma.abs() <= error, "loop {i}: {gamma} against {:?}", errors.map(|e| e[i]));
        assert!(error <= 0.05 * column(&result, "score_norm_sum")[i], "loop {i}: errors that hide everything, {error}");
    }
    // Its Jacobian is symmetric, and differences with a step in units of sigma agree with tangents at every level.
    let selection = Selection { timesteps: KS.to_vec(), samples: 3, seed: 5 };
    let curl = CurlOptions { selection, components: 12, method: CurlMethod::Both, verified: 3, ..Default::default() };
    let table = measured(&gpu, &field, &images, &curl).unwrap();
    let of = |name: &str| &table.column(name).unwrap().values;
    for (place, gap) in of("method_gap").iter().enumerate() {
        let (step, largest, arithmetic) = (of("step")[place], of("asymmetry_max")[place], of("arithmetic")[place]);
        let sigma = field.process().noise(KS[place / 3]).unwrap().1;
        // Entries are of the order of 1 / V, V = v + sigma^2, v = 0.5 to 2.5.
        let entry = 1.0 / (0.5 + sigma * sigma);
        assert!(*gap <= 2.0 * step + 1e-4 * entry, "{place}: {gap:e} apart, step {step:e}");
        assert!(
            step <= 0.1 * entry && largest <= 1e-5 * entry && arithmetic <= 1e-4 * entry,
            "{place}: {step:e} {largest:e}"
        );
    }
}

fn stein(gpu: &Gpu, field: &Arc<dyn Field>, images: &Images) -> Table {
    let selection = Selection { timesteps: KS.to_vec(), samples: images.count, seed: 3 };
    let divergence = Divergence::Exact;
    let options = SteinOptions { selection, divergence, reference: None, warnings: vec![], verified: 4 };
    measured(gpu, field, images, &options).unwrap()
}

#[test]
fn the_stein_operator_has_mean_zero() {
    let (gpu, shape) = (gpu(), Shape::new(2, 5, 3));
    let images = images(shape, 200);
    for spec in [format!("field:gaussian?{VE}"), format!("field:tilted?omega=1&{VE}")] {
        let table = stein(&gpu, &closed(&spec, shape), &images);
        for t in 0..KS.len() {
            let (mean, error) = stein::mean(&table, t).unwrap();
            assert!(mean.abs() <= 3.0 * error, "{spec} timestep {t}: {mean} ± {error}");
        }
    }
}

fn draw(gpu: &Gpu, field: &Arc<dyn Field>, method: Method, steps: usize) -> Result<Vec<f32>> {
    let options = SampleOptions { n: 3, method, steps, seed: 9, keep: 0 };
    sample(gpu, field, &options, &mut |_| ControlFlow::Continue(())).map(|s| s.x)
}

#[test]
fn the_ode_follows_known_flows() {
    let (gpu, shape, folder) = (gpu(), Shape::new(1, 4, 5), tempfile::tempdir().unwrap());
    let noise_of = |sample| normals(&Stream { seed: 9, purpose: Purpose::Sample, draw: 0, sample, k: 0 }, 20);
    let start: Vec<f64> = (0..3).flat_map(noise_of).map(|z| 348.0 * z).collect();
    let worst = |x: &[f32], want: &dyn Fn(usize) -> f64| {
        x.iter().enumerate().fold(0f64, |most, (i, x)| most.max((f64::from(*x) - want(i)).abs()))
    };
    // N(0, I) data: x / sqrt(1 + sigma^2) stands still, in the angle exactly so.
    let gaussian = draw(&gpu, &closed(&format!("field:gaussian?{VE}"), shape), Method::Ode, 20).unwrap();
    let error = worst(&gaussian, &|i| start[i] / (1.0 + 348.0 * 348.0f64).sqrt());
    assert!(error <= 1e-4, "{error}");
    // One Gaussian, mean m and variance v = 0.5: x = m + (x_T - m) sqrt(v / (v + sigma_max^2)), by a rule of second order.
    let field = mixture(folder.path(), shape, 1, "");
    let means = noise(20, 5);
    let end = |i: usize| {
        let m = f64::from(means[i % 20]);
        m + (start[i] - m) * (0.5 / (0.5 + 348.0 * 348.0f64)).sqrt()
    };
    let [few, many] = [25, 100].map(|steps| worst(&draw(&gpu, &field, Method::Ode, steps).unwrap(), &end));
    assert!(many <= 2e-3 && many < few / 8.0, "{few} then {many}");
}

#[test]
fn what_needs_preserved_variance_is_refused() {
    let (gpu, shape) = (gpu(), Shape::new(1, 4, 5));
    let field = closed(&format!("field:gaussian?{VE}"), shape);
    let refused = |error: String, what: &str| {
        let words = [what, "variance-preserving process", "variance exploding, sigma 0.01 to 348, T = 1000"];
        words.iter().for_each(|word| assert!(error.contains(word), "'{word}' not in '{error}'"));
    };
    for (method, name) in [(Method::Ddim, "method ddim"), (Method::Ddpm, "method ddpm")] {
        refused(draw(&gpu, &field, method, 20).unwrap_err().to_string(), name);
    }

    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["process"] = json!({"kind": "ve", "sigma_min": 0.01, "sigma_max": 348.0, "timesteps": 1000});
    config["prediction"] = "v".into();
    std::fs::write(&path, config.to_string()).unwrap();
    refused(Model::open(folder.path()).unwrap_err().to_string(), "prediction v");
    config["prediction"] = "eps".into();
    std::fs::write(&path, config.to_string()).unwrap();
    // This family's time table has rows of timesteps.
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it tells its network sigma; 'encoder_blocks.0.time_mlp'"), "{error}");
    assert!(error.ends_with("of this one is made of timesteps"), "{error}");
    // And no more than its table has.
    config["process"] = json!({"kind": "vp", "schedule": "cosine", "timesteps": 8});
    std::fs::write(&path, config.to_string()).unwrap();
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("the timestep, 0..=7") && error.ends_with("made of timesteps 0..=6"), "{error}");
    config["process"]["timesteps"] = 7.into();
    std::fs::write(&path, config.to_string()).unwrap();
    Model::open(folder.path()).unwrap();
}

/// Every family's embedding under the process of the other kind, in `init` as in a directory.
#[test]
fn networks_are_told_what_they_embed() {
    let vp = ProcessConfig::vp(Schedule::Linear, 10);
    let ve = ProcessConfig::Ve { sigma_min: 0.01, sigma_max: 50.0, timesteps: 10 };
    for (family, preset, width, process, said) in [
        ("ncsnpp", "celebahq-64", "nf", &vp, "tells its network the timestep, 0..=9"),
        ("lucid_unet", "cifar10-latent", "dim", &ve, "is made of timesteps"),
    ] {
        let config = vorticity::model::configuration(family, preset).unwrap();
        let mut config = vorticity::model::Config { process: process.clone(), ..config };
        config.hyper[width] = 32.into();
        let error = vorticity::model::init(&config, 0).err().unwrap().to_string();
        assert!(error.contains(said), "{family}: {error}");
    }
}

#[test]
fn field_parameters_of_the_process() {
    let open = |spec: &str| vorticity::field::open(spec, Some(Shape::new(1, 2, 3)), Default::default());
    assert_eq!(open("field:gaussian?process=vp&schedule=scaled_linear&timesteps=8").unwrap().process().timesteps(), 8);
    for (spec, said) in [
        ("field:gaussian?process=ve&sigma_min=1", "needs sigma_min=.. and sigma_max=.."),
        ("field:gaussian?process=sub", "process=sub is not one of vp, ve, vp_continuous, flow, edm, fixed"),
        ("field:gaussian?process=ve&sigma_min=1&sigma_max=2&schedule=cosine", "'schedule' is not a parameter"),
        ("field:gaussian?sigma_min=1", "'sigma_min' is not a parameter"),
        ("field:gaussian?schedule=square", "'square' is not one of cosine, sigmoid, linear, scaled_linear"),
    ] {
        let error = open(spec).err().unwrap().to_string();
        assert!(error.contains(said), "{spec}: {error}");
    }
}

/// The golden case told by sigma: its network looks rows up by the label, so the timesteps themselves will do for sigmas.
#[test]
fn a_case_may_have_sigmas_and_lack_the_rest() {
    let (gpu, graph) = (gpu(), golden::network());
    let mut case = Case::open(golden::folder()).unwrap();
    for gone in ["jdiag", "alphabar", "alphabar_f64"] {
        case.tensors.remove(gone).unwrap();
    }
    for prefix in ["", "loop_rotation.", "loop_bridge.", "loop_projection."] {
        let told = case.tensors.remove(&format!("{prefix}t")).unwrap();
        case.tensors.insert(format!("{prefix}sigma"), told);
    }
    let report = check(&gpu, &case, &graph).unwrap();
    let rows = |word: &str| report.rows.iter().filter(|r| r.quantity.contains(word)).count();
    assert!(report.passed(), "{:?}", report.rows);
    assert_eq!((report.rows.len(), rows("schedule"), rows("loop_")), (9 + 3 * 5, 0, 15));
    assert!(
        report.rows.iter().all(|r| r.quantity.contains("length") || r.worst.contains("sigma ")),
        "{:?}",
        report.rows
    );

    case.tensors.retain(|name, _| ["x", "y", "sigma"].contains(&name.as_str()));
    let report = check(&gpu, &case, &graph).unwrap();
    let quantities: Vec<&str> = report.rows.iter().map(|r| r.quantity.as_str()).collect();
    assert_eq!((report.passed(), quantities), (true, vec!["forward", "forward, f64 twin"]));
    // Negative control: another label is another network.
    case.tensors.get_mut("sigma").unwrap().values[0] += 1.0;
    assert!(!check(&gpu, &case, &graph).unwrap().passed());
}
