//! Every process: levels, labels and words, processes by name, what networks are told, closed forms under all of them, and one
//! noise level alone.
use crate::circulation::{closed, images, options, write_mixture};
use crate::common::{gpu, max_norm_error, measured, noise};
use crate::predictions::network;
use serde_json::{Value, json};
use std::fs;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::field;
use vorticity::model::{Config, Kind, Process, ProcessConfig, Said, configuration, given_process, init};
use vorticity::shape::Shape;
use vorticity::spec::Spec;

/// One of each kind, most of which end in noise.
pub const ALL: [&str; 9] = [
    "vp?schedule=linear",
    "vp?label_scale=0.001",
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

pub fn named(text: &str) -> Result<Process> {
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
    // What runs the other way is another process, though its noise is the same.
    assert!(!flow.same_levels(&other) && flow.same_levels(&named("flow?times=0.25,0.5,0.75,1").unwrap()));
    assert_eq!((flow.noise(0).unwrap(), flow.noise(3).unwrap()), ((0.75, 0.25), (0.0, 1.0)));
    assert_eq!((flow.bridge_scale(1), flow.last_with_signal()), (0.5, 2));
    let listed = process(json!({"kind": "flow", "times": [0.9, 0.5], "direction": "to_data"})).unwrap();
    assert_eq!((listed.labels().unwrap(), listed.noise(1).unwrap()), (vec![0.9, 0.5], (0.5, 0.5)));

    let real = named("vp?timesteps=4&label_scale=0.25").unwrap();
    assert_eq!((real.labels().unwrap(), real.label_words()), (vec![0.0, 0.25, 0.5, 0.75], "0.25 k, 0 to 0.75".into()));
    let whole = named("vp?timesteps=4").unwrap();
    assert_eq!((whole.labels(), whole.noise(2).unwrap()), (None, real.noise(2).unwrap()));

    let fixed = process(json!({"kind": "fixed", "sigma": 0.1})).unwrap();
    assert_eq!((fixed.timesteps(), fixed.noise(0).unwrap(), fixed.labels().unwrap()), (1, (1.0, 0.1), vec![0.1]));
    for (p, words) in [
        (flow, "flow along straight lines, uniform in t, t = 1 is noise, T = 4"),
        (listed, "flow along straight lines, 2 times, t = 1 is data"),
        (told, "variance exploding (EDM), 3 noise levels"),
        (fixed, "fixed noise level, sigma 0.1, T = 1"),
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
        (
            json!({"kind": "alphas", "alphas_cumprod": [0.9, 0.5], "label_scale": 0}),
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
    told(json!({"kind": "vp", "schedule": "cosine", "timesteps": 4, "label_scale": 0.25})).unwrap();
    let error = told(json!({"kind": "edm", "timesteps": 4})).unwrap_err().to_string();
    assert!(error.contains("it tells its network sigma;") && error.ends_with("is made of timesteps"), "{error}");
    // A network that divides by sigma is not told anything else.
    let mut config = configuration("ncsnpp", "celebahq-64").unwrap();
    config.hyper["nf"] = 32.into();
    for (process, said) in [
        (json!({"kind": "edm", "timesteps": 4, "label": "c_noise"}), "it tells its network ln(sigma) / 4;"),
        (json!({"kind": "flow", "timesteps": 4}), "it tells its network t;"),
        (
            json!({"kind": "vp", "schedule": "cosine", "timesteps": 4, "label_scale": 0.25}),
            "it tells its network 0.25 k;",
        ),
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
            let alphas = ProcessConfig::Alphas { alphas_cumprod: vec![(a / c).powi(2)], label_scale: None };
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

#[test]
fn an_image_at_one_noise_level_has_loops() {
    let shape = Shape::new(1, 3, 4);
    let field = closed("field:gaussian?process=fixed&sigma=0.1", shape);
    let clean = images(shape, 2);
    let table = measured(&gpu(), &field, &clean, &options(&["rotation", "brownian"], &[0], 2, 64)).unwrap();
    let of = |name: &str| &table.column(name).unwrap().values;
    for (gamma, r) in of("integral").iter().zip(of("score_norm_sum")) {
        assert!(gamma.abs() <= 1e-6 * r && *r > 0.0, "{gamma} of {r}");
    }
}
