//! Every process: levels, labels and words, names of processes and predictions, scores of ideal networks, closed forms and their
//! laws under all of them, samples and likelihoods of known distributions, and what is refused.
use crate::circulation::{closed, images, options, write_mixture};
use crate::common::{gpu, max_norm_error, measured, noise};
use serde_json::{Value, json};
use std::f64::consts::TAU;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use vorticity::data::{Images, Levels};
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::evaluate::Room;
use vorticity::field::{self, Field};
use vorticity::measures::asymmetry::AsymmetryOptions;
use vorticity::measures::circulation::CirculationRun;
use vorticity::measures::likelihood::LikelihoodOptions;
use vorticity::measures::stein::SteinOptions;
use vorticity::model::{Config, Kind, Prediction, Process, ProcessConfig, Said, configuration, given_process, init};
use vorticity::paths::normal::normals;
use vorticity::paths::philox::{Purpose, Stream};
use vorticity::sample::{Method, Options as SampleOptions, sample};
use vorticity::shape::Shape;
use vorticity::spec::Spec;
use vorticity::twin;

/// One of each kind, most of which end in noise.
const ALL: [&str; 8] = [
    "vp?schedule=linear",
    "ve?sigma_min=0.01&sigma_max=80&timesteps=200",
    "vp_continuous?beta_min=1&beta_max=1&t_min=0.001&t_max=10&timesteps=200",
    "vp_continuous?beta_min=0.1&beta_max=20&t_min=0.001&t_max=1&timesteps=200&label_scale=999",
    "flow?timesteps=200",
    "flow?timesteps=200&direction=to_data&label_scale=1000",
    "edm?timesteps=200",
    "edm?timesteps=200&label=c_noise&sigma_min=0.01",
];

fn process(config: Value) -> Result<Process> {
    Process::new(&serde_json::from_value::<ProcessConfig>(config).unwrap())
}

fn named(text: &str) -> Result<Process> {
    given_process(Some(&Spec::from(text)), None, None).map(|given| given.unwrap())
}

fn near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs().max(1e-300), "{got:e} against {want:e}");
}

#[test]
fn levels_and_labels_of_every_kind() {
    // a = e^(-t/2), sigma^2 = 1 - e^-t, to the last digits also at small t, where 1 - a^2 has none.
    let times: [f64; 4] = [1e-9, 1e-3, 0.7, 10.0];
    let p = process(json!({"kind": "vp_continuous", "beta_min": 1, "beta_max": 1, "times": times})).unwrap();
    for (k, t) in times.into_iter().enumerate() {
        let (a, sigma) = p.noise(k).unwrap();
        near(a, (-t / 2.0).exp(), 1e-15);
        let series = t * (1.0 - t / 2.0 * (1.0 - t / 3.0 * (1.0 - t / 4.0)));
        near(sigma * sigma, if t < 0.01 { series } else { 1.0 - (-t).exp() }, 1e-11);
        near(a * a + sigma * sigma, 1.0, 1e-15);
        assert_eq!((p.labels().unwrap()[k], p.bridge_scale(k)), (t, 1.0));
    }
    // The integral of 0.1 + 19.9 t up to 0.5 is 2.5375.
    let p = process(json!({"kind": "vp_continuous", "beta_min": 0.1, "beta_max": 20, "timesteps": 3, "t_min": 0.25,
        "t_max": 0.75, "label_scale": 999}))
    .unwrap();
    near(p.noise(1).unwrap().0, (-2.5375f64 / 2.0).exp(), 1e-15);
    assert_eq!(p.labels().unwrap(), [249.75, 499.5, 749.25]);

    // The levels that EDM's authors sample with at 18 steps, as they are published, from the other end.
    let p = process(json!({"kind": "edm", "timesteps": 18})).unwrap();
    let want = [0.002, 0.0075, 0.0228, 0.0599, 0.1395, 0.2964, 0.5853, 1.0881, 1.9233, 3.2565, 5.3151, 8.4009, 12.9101];
    for (k, want) in want.into_iter().enumerate() {
        near(p.noise(k).unwrap().1, want, 7e-3);
    }
    assert_eq!((p.noise(0).unwrap(), p.noise(17).unwrap()), ((1.0, 0.002), (1.0, 80.0)));
    assert_eq!((p.labels().unwrap()[17], p.bridge_scale(17), p.prior_scale()), (80.0, 80.0, 80.0));
    let told = process(json!({"kind": "edm", "sigmas": [0.5, 1.0, 2.0], "label": "c_noise"})).unwrap();
    assert_eq!(told.labels().unwrap(), [0.5f64.ln() / 4.0, 0.0, 2f64.ln() / 4.0]);

    let flow = process(json!({"kind": "flow", "timesteps": 4})).unwrap();
    let other = process(json!({"kind": "flow", "timesteps": 4, "direction": "to_data", "label_scale": 1000})).unwrap();
    assert_eq!(
        (flow.labels().unwrap(), other.labels().unwrap()),
        (vec![0.25, 0.5, 0.75, 1.0], vec![750.0, 500.0, 250.0, 0.0])
    );
    assert!(flow.same_levels(&other));
    assert_eq!((flow.noise(0).unwrap(), flow.noise(3).unwrap()), ((0.75, 0.25), (0.0, 1.0)));
    assert_eq!((flow.bridge_scale(1), flow.last_with_signal()), (0.5, 2));
    let listed = process(json!({"kind": "flow", "times": [0.9, 0.5], "direction": "to_data"})).unwrap();
    assert_eq!((listed.labels().unwrap(), listed.noise(1).unwrap()), (vec![0.9, 0.5], (0.5, 0.5)));

    let fixed = process(json!({"kind": "fixed", "sigma": 0.1})).unwrap();
    assert_eq!((fixed.timesteps(), fixed.noise(0).unwrap(), fixed.labels().unwrap()), (1, (1.0, 0.1), vec![0.1]));
    for (p, words) in [
        (flow, "straight lines from data to noise (flow), uniform in t, t = 1 is noise, T = 4"),
        (listed, "straight lines from data to noise (flow), 2 times, t = 1 is data"),
        (told, "variance exploding (EDM), 3 noise levels"),
        (fixed, "one noise level (fixed), sigma 0.1, T = 1"),
    ] {
        assert_eq!(p.config.describe(), words);
        let back: ProcessConfig = serde_json::from_value(serde_json::to_value(&p.config).unwrap()).unwrap();
        assert_eq!(back, p.config);
    }
}

#[test]
fn values_that_are_none_are_refused_by_name() {
    for (wrong, said) in [
        (json!({"kind": "flow"}), "process.timesteps and process.times: neither is given, expected one of them"),
        (
            json!({"kind": "flow", "timesteps": 2, "times": [0.5]}),
            "process.timesteps and process.times: both are given",
        ),
        (json!({"kind": "flow", "timesteps": 0}), "process.timesteps: 0 is outside 1..=1000000"),
        (
            json!({"kind": "flow", "times": [0.0, 0.5]}),
            "t = 0 at timestep 0, expected numbers above 0, at most 1, that rise: t = 0 has no noise",
        ),
        (json!({"kind": "flow", "times": [0.5, 1.1]}), "t = 1.1 at timestep 1"),
        (
            json!({"kind": "flow", "times": [0.5, 0.9], "direction": "to_data"}),
            "t = 0.9 at timestep 1, expected numbers from 0 to below 1 that fall",
        ),
        (
            json!({"kind": "flow", "timesteps": 2, "label_scale": 0}),
            "process.label_scale: 0, expected a number that is not 0",
        ),
        (json!({"kind": "edm"}), "process.timesteps and process.sigmas: neither is given"),
        (
            json!({"kind": "edm", "timesteps": 3, "sigma_min": 0}),
            "sigma_min 0 and sigma_max 80, expected 0 < sigma_min < sigma_max",
        ),
        (json!({"kind": "edm", "timesteps": 3, "rho": -1}), "process.rho: -1, expected a number above 0"),
        (
            json!({"kind": "edm", "sigmas": [1, 2], "rho": 7}),
            "sigma_min, sigma_max and rho belong to levels that are not listed",
        ),
        (json!({"kind": "edm", "sigmas": [0, 2]}), "process.sigmas: expected strictly increasing numbers above 0"),
        (
            json!({"kind": "fixed", "sigma": 0}),
            "process.sigma: 0, expected a number above 0: without noise there is no score",
        ),
        (
            json!({"kind": "vp_continuous", "beta_min": 2, "beta_max": 1, "times": [1]}),
            "process.beta_min and beta_max: 2 and 1, expected 0 <= beta_min",
        ),
        (
            json!({"kind": "vp_continuous", "beta_min": 1, "beta_max": 1, "times": [0, 1]}),
            "t = 0 at timestep 0, expected numbers above 0 that rise",
        ),
        (
            json!({"kind": "vp_continuous", "beta_min": 1, "beta_max": 1, "timesteps": 3, "t_min": 0.1}),
            "process.t_min and t_max: are not both given",
        ),
        (
            json!({"kind": "vp_continuous", "beta_min": 1, "beta_max": 1, "times": [1], "t_max": 2}),
            "are given beside process.times",
        ),
        // a = e^-150 is below f32.
        (
            json!({"kind": "vp_continuous", "beta_min": 1, "beta_max": 1, "times": [1, 300]}),
            "at timestep 1 of 0..=1, expected numbers above 0 within the range of f32",
        ),
    ] {
        let error = process(wrong.clone()).unwrap_err().to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    for wrong in [
        json!({"kind": "edm", "timesteps": 3, "beta": 1}),
        json!({"kind": "flow", "direction": "up"}),
        json!({"kind": "vpc"}),
    ] {
        assert!(serde_json::from_value::<ProcessConfig>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_process_by_name_is_that_of_its_keys() {
    let flow = |timesteps| json!({"kind": "flow", "timesteps": timesteps});
    for (text, object) in [
        ("flow", flow(1000)),
        ("flow?timesteps=100", flow(100)),
        ("flow?times=0.25,0.5", json!({"kind": "flow", "times": [0.25, 0.5]})),
        ("vp?schedule=linear", json!({"kind": "vp", "schedule": "linear", "timesteps": 1000})),
        (
            "edm?sigma_min=0.002&sigma_max=80&timesteps=50",
            json!({"kind": "edm", "sigma_min": 0.002, "sigma_max": 80, "timesteps": 50}),
        ),
        ("edm?label=c_noise&sigmas=1,2", json!({"kind": "edm", "label": "c_noise", "sigmas": [1, 2]})),
        ("fixed?sigma=0.1", json!({"kind": "fixed", "sigma": 0.1})),
        ("sigmas?sigmas=1,2", json!({"kind": "sigmas", "sigmas": [1, 2]})),
        ("betas?betas=0.1,0.2", json!({"kind": "betas", "betas": [0.1, 0.2]})),
    ] {
        let got = named(text).unwrap();
        assert_eq!(got.config, serde_json::from_value::<ProcessConfig>(object).unwrap(), "{text}");
        assert_eq!(got.source, format!("--process {text}"));
        // A closed form's own parameters are the same keys.
        let own = format!("field:gaussian?process={}", text.replacen('?', "&", 1));
        assert_eq!(
            field::open(own.as_str(), Some(Shape::new(1, 1, 2)), Default::default()).unwrap().process().config,
            got.config
        );
    }
    for (text, said) in [
        ("flow?steps=3", "'steps' is not a parameter of flow; known: timesteps, times, direction, label_scale"),
        ("ve?sigma_min=1", "ve needs sigma_min=.. and sigma_max=.."),
        ("fixed", "fixed needs sigma=.."),
        ("edm?timesteps=2.5", "expected usize"),
        ("edm?rho=high", "expected f64"),
        ("flow?direction=up", "unknown variant `up`, expected `to_noise` or `to_data`"),
        ("vp?schedule=square", "'square' is not one of cosine"),
        (
            "flw?timesteps=3",
            "is not there, expected config.json, scheduler_config.json, a folder of one, or a process: vp, ve, vp_continuous, flow",
        ),
    ] {
        let error = named(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    // A file of either kind is the process alone, or what lies beside an ONNX file.
    let folder = tempfile::tempdir().unwrap();
    for (file, text, process) in [
        ("a.json", r#"{"kind": "flow", "timesteps": 7}"#, Ok(flow(7))),
        ("a.toml", "kind = 'flow'\ntimesteps = 7\n", Ok(flow(7))),
        ("b.toml", "prediction = 'eps'\n[process]\nkind = 'flow'\ntimesteps = 7\n", Ok(flow(7))),
        ("c.toml", "prediction = 'eps'\n", Err("c.toml: has no 'kind' and no table 'process', expected a process")),
        ("d.toml", "kind = 'flow\n", Err("d.toml: TOML parse error at line 1")),
        ("e.toml", "kind = 'flow'\nsteps = 7\n", Err("e.toml: unknown field `steps`")),
        ("flow", r#"{"kind": "flow", "timesteps": 7}"#, Ok(flow(7))),
    ] {
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        let got = named(path.to_str().unwrap());
        match process {
            Ok(object) => {
                assert_eq!(got.unwrap().config, serde_json::from_value::<ProcessConfig>(object).unwrap(), "{file}")
            }
            Err(said) => assert!(got.as_ref().unwrap_err().to_string().contains(said), "{file}: {}", got.unwrap_err()),
        }
    }
    // Every kind is one of `ProcessConfig`, and every key one of its keys: else serde would refuse them.
    assert_eq!(Kind::names(), "vp, ve, vp_continuous, flow, edm, fixed, betas, alphas, sigmas");
}

/// What an ideal network puts out for x = a x_0 + sigma eps, if it knew x_0 and eps: its score is -eps / sigma.
#[test]
fn predictions_of_an_ideal_network_are_the_score() {
    let (x0, eps) = (0.7, -1.3);
    let mut seen = 0;
    for text in ALL.into_iter().chain(["fixed?sigma=0.1"]) {
        let process = named(text).unwrap();
        let sign = if text.contains("to_data") { -1.0 } else { 1.0 };
        let sd: f64 = 0.5;
        for k in [0, process.last_with_signal() / 2, process.last_with_signal()] {
            let (a, sigma) = process.noise(k).unwrap();
            let x = a * x0 + sigma * eps;
            let var = sigma * sigma + sd * sd;
            let f = (x0 - sd * sd / var * x) / (sigma * sd / var.sqrt());
            for (prediction, y) in [
                ("eps", eps),
                ("score", -eps / sigma),
                ("v", a * eps - sigma * x0),
                ("x0", x0),
                ("denoised", x0),
                ("edm_f?sigma_data=0.5", f),
                ("flow_velocity", sign * (eps - x0)),
            ] {
                let prediction = Prediction::parse(prediction).unwrap();
                if prediction.require(&process).is_err() {
                    continue;
                }
                let (alpha, beta) = prediction.score_coefficients(&process, k).unwrap();
                let got = alpha * x + beta * y;
                // x0 and D lose what sigma^2 loses of x; the others do not.
                let lost = if prediction.name() == "x0" || prediction.name() == "denoised" {
                    1e-15 / sigma / sigma
                } else {
                    0.0
                };
                assert!(
                    (got + eps / sigma).abs() <= 1e-12 / sigma + lost,
                    "{text}, {prediction:?}, k {k}: {got} not {}",
                    -eps / sigma
                );
                seen += 1;
            }
        }
    }
    // Four predictions for all; v for three and one, edm_f for five, flow_velocity for two processes.
    assert_eq!(seen, 3 * (4 * 9 + 3 + 4 + 2));
    let edm = Prediction::parse("edm_f?sigma_data=0.5").unwrap();
    assert_eq!((edm.input_scale(1.0, 1.2), Prediction::Eps.input_scale(1.0, 1.2)), (1.0 / 1.3, 1.0));
    assert_eq!(serde_json::to_value(edm).unwrap(), json!({"edm_f": {"sigma_data": 0.5}}));
    assert_eq!(serde_json::to_value(Prediction::FlowVelocity).unwrap(), json!("flow_velocity"));
    assert!(serde_json::from_value::<Prediction>(json!({"edm_f": {"sigma_data": 0.5, "rho": 7}})).is_err());
    for (text, said) in [
        ("edm_f", "prediction: edm_f needs sigma_data=.."),
        ("eps?sigma_data=1", "sigma_data is a parameter of edm_f, not of eps"),
        ("noise", "prediction: 'noise' is not one of eps, score, v, x0, denoised, edm_f, flow_velocity, map"),
        ("edm_f?sigma_data=1&a=2", "'a' is not a parameter of edm_f; known: sigma_data"),
    ] {
        let error = Prediction::parse(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let refused =
        |prediction: Prediction, process: &str| prediction.require(&named(process).unwrap()).unwrap_err().to_string();
    let words = refused(edm, "flow");
    assert!(
        words.contains(
            "prediction edm_f: needs a process that keeps the data as they are, a = 1; this one is straight lines"
        ),
        "{words}"
    );
    let words = refused(Prediction::FlowVelocity, "edm");
    assert!(
        words.contains(
            "prediction flow_velocity: needs the process flow, a + sigma = 1; this one is variance exploding (EDM)"
        ),
        "{words}"
    );
    let words = refused(Prediction::EdmF { sigma_data: 0.0 }, "edm");
    assert!(words.contains("sigma_data is 0, expected a number above 0"), "{words}");
}

/// A small network of random weights in a directory, of this process and prediction.
fn network(folder: &Path, process: Value, prediction: Value) -> Config {
    let config = configuration("lucid_unet", "cifar10-latent").unwrap();
    let (process, prediction) = (serde_json::from_value(process).unwrap(), serde_json::from_value(prediction).unwrap());
    let mut config = Config { process, prediction, autoencoder: None, posterior: None, ..config };
    config.hyper["dim"] = 32.into();
    config.hyper["image_size"] = 8.into();
    let made = init(&config, 3).unwrap();
    fs::write(folder.join("config.json"), made.config).unwrap();
    fs::write(folder.join("model.safetensors"), made.weights).unwrap();
    config
}

/// The bare F of EDM: its input is scaled by c_in, in values and in tangents, in the twin and on the device.
#[test]
fn a_bare_f_is_scaled_on_its_way_in_and_out() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let process = json!({"kind": "edm", "sigmas": [0.002, 0.3, 5.0, 80.0], "label": "c_noise"});
    let config = network(folder.path(), process, json!({"edm_f": {"sigma_data": 0.5}}));
    let field = field::open(folder.path(), None, Default::default()).unwrap();
    let (mut bare, _) =
        vorticity::model::network(&config.family, &config.hyper, &folder.path().join("model.safetensors")).unwrap();
    bare.labels = field.process().labels();
    let d = field.shape().len();
    let (x, v) = (noise(d, 1), noise(d, 2));
    let room = Room { samples: 1, tangents: 1 };
    let mut evaluator = field::tangent_evaluator(&gpu, &field, &[0, 1, 2, 3], room).unwrap();
    for k in 0..4 {
        let (_, sigma) = field.process().noise(k).unwrap();
        let var = sigma * sigma + 0.25;
        let scaled: Vec<Dual> = Dual::along(&x, &v).into_iter().map(|x| x * (1.0 / var.sqrt())).collect();
        let f = twin::evaluate(&bare, &scaled, k).unwrap();
        // D = c_skip x + c_out F, s = (D - x) / sigma^2.
        let want: Vec<Dual> = f
            .iter()
            .zip(Dual::along(&x, &v))
            .map(|(&f, x)| x * (-1.0 / var) + f * (0.5 / (sigma * var.sqrt())))
            .collect();
        let scale = want.iter().fold(0f64, |m, w| m.max(w.v.abs()));
        let got = field.twin(&Dual::along(&x, &v), k, 0).unwrap();
        got.iter().zip(&want).for_each(|(g, w)| {
            assert!((g.v - w.v).abs() <= 1e-11 * scale && (g.d - w.d).abs() <= 1e-9 * scale, "k {k}: {g:?} {w:?}")
        });
        let (y, jv) = evaluator.jvp(&x, &v, &[k]).unwrap();
        let [values, slopes] = [|w: &Dual| w.v, |w: &Dual| w.d].map(|of| want.iter().map(of).collect::<Vec<f64>>());
        let errors = [max_norm_error(&y, &values), max_norm_error(&jv, &slopes)];
        assert!(errors[0] <= 1e-5 && errors[1] <= 1e-4, "k {k}: {errors:?}");
        // Negative control: without c_in it is another network.
        let plain = twin::evaluate(&bare, &Dual::along(&x, &v), k).unwrap();
        assert!(plain.iter().zip(&f).any(|(p, f)| (p.v - f.v).abs() > 1e-3), "k {k}");
    }
}

#[test]
fn networks_are_told_what_their_process_says() {
    let folder = tempfile::tempdir().unwrap();
    let told = |process: Value| {
        let config = network(folder.path(), json!({"kind": "vp", "schedule": "linear", "timesteps": 5}), json!("eps"));
        init(&Config { process: serde_json::from_value(process).unwrap(), ..config }, 0).map(drop)
    };
    // Sinusoids take real times and c_noise, no sigma.
    told(json!({"kind": "flow", "timesteps": 4})).unwrap();
    told(json!({"kind": "edm", "timesteps": 4, "label": "c_noise"})).unwrap();
    let error = told(json!({"kind": "edm", "timesteps": 4})).unwrap_err().to_string();
    assert!(error.contains("it tells its network sigma;") && error.ends_with("is made of timesteps"), "{error}");
    // A network that divides by sigma is not told anything else.
    let mut config = configuration("ncsnpp", "celebahq-64").unwrap();
    config.hyper["nf"] = 32.into();
    for (process, said) in [
        (json!({"kind": "edm", "timesteps": 4, "label": "c_noise"}), "it tells its network ln(sigma) / 4;"),
        (json!({"kind": "flow", "timesteps": 4}), "it tells its network t;"),
    ] {
        let error =
            init(&Config { process: serde_json::from_value(process).unwrap(), ..config.clone() }, 0).err().unwrap();
        assert!(error.to_string().contains(said) && error.to_string().ends_with("is made of noise levels"), "{error}");
    }
    let edm = serde_json::from_value(json!({"kind": "edm", "timesteps": 4})).unwrap();
    assert!(init(&Config { process: edm, ..config }, 0).is_ok());
}

/// With c = |(a, sigma)|, x / c is variance preserving: s(c y) = s_vp(y) / c.
#[test]
fn closed_forms_are_those_of_a_general_noise() {
    let (gpu, shape, folder) = (gpu(), Shape::new(1, 3, 3), tempfile::tempdir().unwrap());
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, shape, 3);
    let y = noise(9, 4);
    for text in ALL.into_iter().chain(["fixed?sigma=0.4"]) {
        let process = named(text).unwrap();
        for k in [process.last_with_signal() / 3, process.last_with_signal() / 2] {
            let (a, sigma) = process.noise(k).unwrap();
            let c = a.hypot(sigma);
            let alphas = ProcessConfig::Alphas { alphas_cumprod: vec![(a / c).powi(2)] };
            let vp = Process::new(&alphas).unwrap();
            for name in ["gaussian".to_string(), "funnel".into(), format!("mixture?file={}", file.display())] {
                let open = |process: &Process| {
                    let said = Said { shape: Some(shape), process: Some(process.clone()), ..Said::default() };
                    field::open_said(format!("field:{name}"), Default::default(), &said).unwrap()
                };
                let (ours, theirs) = (open(&process), open(&vp));
                let at =
                    |scale: f64| -> Vec<Dual> { y.iter().map(|&y| Dual::constant(scale * f64::from(y))).collect() };
                let (got, want) = (ours.twin(&at(c), k, 0).unwrap(), theirs.twin(&at(1.0), 0, 0).unwrap());
                let size = want.iter().fold(0f64, |m, w| m.max(w.v.abs())) / c;
                for (g, w) in got.iter().zip(&want) {
                    assert!((g.v - w.v / c).abs() <= 1e-8 * size, "{text}, {name}, k {k}: {} not {}", g.v, w.v / c);
                }
                let x: Vec<f32> = y.iter().map(|&y| (c * f64::from(y)) as f32).collect();
                let twin: Vec<f64> = ours.twin(&Dual::lift(&x), k, 0).unwrap().iter().map(|y| y.v).collect();
                let device = field::evaluator(&gpu, &ours, &[k], 1).unwrap().evaluate(&x, &[k]).unwrap();
                let error = max_norm_error(&device, &twin);
                assert!(error <= 2e-5, "{text}, {name}, k {k}: {error:e}");
            }
        }
    }
    // And one in absolute terms: N(m, v) under a flow at t = 0.25.
    write_mixture(&file, shape, 1);
    let field = closed(&format!("field:mixture?file={}&process=flow&timesteps=4", file.display()), shape);
    let (means, got) = (noise(9, 5), field.twin(&Dual::lift(&y), 0, 0).unwrap());
    for i in 0..9 {
        near(got[i].v, (0.75 * f64::from(means[i]) - f64::from(y[i])) / (0.5625 * 0.5 + 0.0625), 1e-12);
    }
}

/// N(m, 0.5 I), and m.
fn one_gaussian(folder: &Path, shape: Shape, process: &str) -> (Arc<dyn Field>, Vec<f64>) {
    let file = folder.join("one.safetensors");
    write_mixture(&file, shape, 1);
    let spec = format!("field:mixture?file={}&process={}", file.display(), process.replacen('?', "&", 1));
    (closed(&spec, shape), noise(shape.len(), 5).into_iter().map(f64::from).collect())
}

fn draw(field: &Arc<dyn Field>, n: usize, method: Method, steps: usize) -> Result<Vec<f32>> {
    let options = SampleOptions { n, method, steps, seed: 9, keep: 0 };
    sample(&gpu(), field, &options, &mut |_| ControlFlow::Continue(())).map(|s| s.x)
}

/// (x - a m) / sqrt(a^2 v + sigma^2) does not change along the flow of N(m, v) data.
#[test]
fn samples_follow_the_flow_of_every_process() {
    let (shape, folder) = (Shape::new(1, 4, 5), tempfile::tempdir().unwrap());
    for text in ALL {
        let (field, means) = one_gaussian(folder.path(), shape, text);
        let process = field.process();
        let (a, sigma) = process.noise(process.last_with_signal()).unwrap();
        let start = |sample| normals(&Stream { seed: 9, purpose: Purpose::Sample, draw: 0, sample, k: 0 }, 20);
        let start: Vec<f64> = (0..3).flat_map(start).map(|z| process.prior_scale() * z).collect();
        let end =
            |i: usize| means[i % 20] + (start[i] - a * means[i % 20]) * (0.5 / (a * a * 0.5 + sigma * sigma)).sqrt();
        let [few, many] = [25, 100].map(|steps| {
            let x = draw(&field, 3, Method::Ode, steps).unwrap();
            x.iter().enumerate().fold(0f64, |m, (i, x)| m.max((f64::from(*x) - end(i)).abs()))
        });
        // The last step, from the first level to none, is of first order: its level's angle, squared.
        let (a0, sigma0) = process.noise(0).unwrap();
        let last = 4.0 * (sigma0 / a0).powi(2);
        assert!(many <= 3e-3 + last && many < 0.25 * few + last, "{text}: {few} then {many}, last step {last}");
    }
}

#[test]
fn samples_have_mean_and_variance_of_the_data() {
    let (shape, folder, n) = (Shape::new(1, 1, 2), tempfile::tempdir().unwrap(), 1000);
    let file = folder.path().join("two.safetensors");
    write_mixture(&file, shape, 2);
    // Means of two components of equal weight, variances 0.5 and 1.5 (`write_mixture`).
    let means: Vec<f64> = noise(4, 5).into_iter().map(f64::from).collect();
    let (weights, variances) = ([0.5, 0.5], [0.5, 1.5]);
    for text in ALL {
        let spec = format!("field:mixture?file={}&process={}", file.display(), text.replacen('?', "&", 1));
        let field = closed(&spec, shape);
        let x = draw(&field, n, Method::Ode, 40).unwrap();
        let left = field.process().data_share(field.process().last_with_signal()).unwrap();
        for i in 0..2 {
            let mean: f64 = (0..2).map(|c| weights[c] * means[2 * c + i]).sum();
            let square: f64 = (0..2).map(|c| weights[c] * (variances[c] + means[2 * c + i].powi(2))).sum();
            let var = square - mean * mean;
            let got: Vec<f64> = x.iter().skip(i).step_by(2).map(|&x| f64::from(x)).collect();
            let found = got.iter().sum::<f64>() / n as f64;
            let spread = got.iter().map(|x| (x - found).powi(2)).sum::<f64>() / (n as f64 - 1.0);
            // Four standard errors, and what the start does not know of the data.
            let (se, se_var) = ((var / n as f64).sqrt(), var * (6.0 / n as f64).sqrt());
            assert!((found - mean).abs() <= 4.0 * se + 2.0 * left, "{text}: mean {found} not {mean} ± {se}");
            assert!(
                (spread - var).abs() <= 4.0 * se_var + 2.0 * left * var,
                "{text}: variance {spread} not {var} ± {se_var}"
            );
        }
    }
}

fn likelihood(timesteps: Vec<usize>, samples: usize) -> LikelihoodOptions {
    let selection = Selection { timesteps, samples, seed: 1 };
    LikelihoodOptions { selection, divergence: Divergence::Exact, levels: None, notes: String::new(), verified: 4 }
}

#[test]
fn likelihoods_are_the_density_within_their_errors() {
    let (shape, folder) = (Shape::new(1, 2, 3), tempfile::tempdir().unwrap());
    for text in ALL {
        let (field, means) = one_gaussian(folder.path(), shape, text);
        let last = field.process().last_with_signal();
        let mut timesteps: Vec<usize> = (0..=40).map(|i| i * last / 40).collect();
        timesteps.dedup();
        let images = images(shape, 3);
        let table = measured(&gpu(), &field, &images, &likelihood(timesteps.clone(), 3)).unwrap();
        let of = |name: &str| &table.column(name).unwrap().values;
        // What the grid's ends leave out: noise taken for none, data taken for none.
        let (a0, sigma0) = field.process().noise(timesteps[0]).unwrap();
        let share = field.process().data_share(timesteps[timesteps.len() - 1]).unwrap();
        let ends = 8.0 * (sigma0 / a0).powi(2) + 2.0 * share;
        for i in 0..3 {
            let x = images.values[i * 6..(i + 1) * 6].iter().map(|&v| f64::from(v));
            let square: f64 = x.zip(&means).map(|(x, m)| (x - m).powi(2)).sum();
            let exact = -0.5 * (square / 0.5 + 6.0 * (TAU * 0.5).ln());
            let bits = -exact / (6.0 * std::f64::consts::LN_2);
            let (got, error) = (of("bits_per_dim")[i], of("error")[i]);
            assert!((got - bits).abs() <= error + ends, "{text}: {got} not {bits}, error {error}, ends {ends}");
            assert!(
                error + ends <= 0.1 * bits.abs(),
                "{text}: errors that hide everything, {error} and {ends} of {bits}"
            );
        }
    }
}

#[test]
fn what_has_no_flow_is_refused() {
    let shape = Shape::new(1, 2, 3);
    let clean = images(shape, 2);
    let of = |process: &str| closed(&format!("field:gaussian?process={}", process.replacen('?', "&", 1)), shape);
    let fixed = of("fixed?sigma=0.1");
    let error = draw(&fixed, 2, Method::Ode, 5).unwrap_err().to_string();
    assert!(
        error.contains("sample: needs noise levels from data to noise; this process has one: one noise level (fixed)"),
        "{error}"
    );
    let refused = |field: &Arc<dyn Field>, ks: &[usize]| {
        measured(&gpu(), field, &clean, &likelihood(ks.to_vec(), 2)).unwrap_err().to_string()
    };
    for (process, said) in [
        ("fixed?sigma=0.1", "likelihood: needs noise levels from data to noise"),
        (
            "ve?sigma_min=0.01&sigma_max=10&timesteps=9",
            "likelihood: needs a process whose last noise level is a Gaussian, a / hypot(a, sigma) up to 0.05; that is 0.10",
        ),
        ("edm?sigma_max=2&timesteps=9", "variance exploding (EDM), sigma 0.002 to 2, rho 7, T = 9"),
        ("flow?times=0.1,0.2,0.3", "that is 0.92 at a = 0.7, sigma = 0.3"),
    ] {
        let error = refused(&of(process), &[0, 1, 2]);
        assert!(error.contains(said), "{process}: {error}");
    }
    let error = refused(&of("flow?timesteps=3"), &[0, 1, 2]);
    assert!(error.contains("2 is pure noise (a = 0), of which the flow's velocity is not defined"), "{error}");
    for method in [Method::Ddim, Method::Ddpm] {
        let error = draw(&of("flow?timesteps=9"), 2, method, 5).unwrap_err().to_string();
        assert!(error.contains("needs a variance-preserving process") && error.contains("(flow)"), "{error}");
    }
}

/// A map has curl, Jacobian and asymmetry, which are those of the network's output; it has no circulation.
#[test]
fn a_map_is_measured_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        network(folder.path(), json!({"kind": "edm", "sigmas": [0.5, 2.0, 80.0], "label": "c_noise"}), json!("map"));
    let field = field::open(folder.path(), None, Default::default()).unwrap();
    let (mut raw, _) =
        vorticity::model::network(&config.family, &config.hyper, &folder.path().join("model.safetensors")).unwrap();
    raw.labels = field.process().labels();
    let x = noise(field.shape().len(), 1);
    let [ours, theirs] =
        [field.twin(&Dual::lift(&x), 1, 0).unwrap(), twin::evaluate(&raw, &Dual::lift(&x), 1).unwrap()];
    assert!(ours.iter().zip(&theirs).all(|(a, b)| a.v == b.v));
    let clean = images(field.shape(), 2);
    let selection = Selection { timesteps: vec![0, 1], samples: 2, seed: 1 };
    let asymmetry = AsymmetryOptions { selection: selection.clone(), probes: Some(2), verified: 1 };
    let table = measured(&gpu(), &field, &clean, &asymmetry).unwrap();
    assert!(table.column("nasym").unwrap().values.iter().all(|v| v.is_finite() && *v > 0.0));
    let stein = SteinOptions {
        selection,
        divergence: Divergence::Hutchinson(2),
        reference: None,
        warnings: vec![],
        verified: 0,
    };
    let refused = |what: &str, error: String| {
        let said =
            format!("{what}: needs a score; this network puts out a map that is none (prediction map), of which curl");
        assert!(error.contains(&said), "{error}");
    };
    let loops = CirculationRun::new(&gpu(), &field, &clean, options(&["rotation"], &[0], 2, 8)).err().unwrap();
    refused("circulation", loops.to_string());
    let error = measured(&gpu(), &field, &clean, &stein).unwrap_err();
    refused("stein", error.to_string());
    let error = measured(&gpu(), &field, &clean, &likelihood(vec![0, 1, 2], 2)).unwrap_err();
    refused("likelihood", error.to_string());
    refused("sample", draw(&field, 2, Method::Ode, 2).unwrap_err().to_string());
}

#[test]
fn an_image_at_one_noise_level_has_loops() {
    let shape = Shape::new(1, 3, 4);
    let field = closed("field:gaussian?process=fixed&sigma=0.1", shape);
    let clean = Images { levels: Levels::Real, ..images(shape, 2) };
    let table = measured(&gpu(), &field, &clean, &options(&["rotation", "brownian"], &[0], 2, 64)).unwrap();
    let of = |name: &str| &table.column(name).unwrap().values;
    for (gamma, r) in of("integral").iter().zip(of("score_norm_sum")) {
        assert!(gamma.abs() <= 1e-6 * r && *r > 0.0, "{gamma} of {r}");
    }
}
