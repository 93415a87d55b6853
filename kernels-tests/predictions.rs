//! What networks put out: scores of ideal ones under every process, the bare F of EDM, and maps that are no score.
use crate::circulation::{images, options};
use crate::common::{gpu, max_norm_error, measured, noise};
use crate::flows::{draw, likelihood};
use crate::processes::{ALL, named};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::dual::Dual;
use vorticity::evaluate::Room;
use vorticity::field;
use vorticity::measures::asymmetry::{AsymmetryOptions, Estimator};
use vorticity::measures::circulation::CirculationRun;
use vorticity::measures::lid::LidOptions;
use vorticity::measures::planes::PlanesOptions;
use vorticity::measures::spectrum::SpectrumOptions;
use vorticity::measures::stein::SteinOptions;
use vorticity::model::{self, Config, Prediction, configuration, init};
use vorticity::sample::Method;
use vorticity::twin;

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
    // Four predictions for all; v for the four that preserve variance, edm_f for the four that explode, flow_velocity for two processes.
    assert_eq!(seen, 3 * (4 * 10 + 4 + 4 + 2));
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
            "prediction edm_f: needs a process that keeps the data as they are, a = 1; this one is flow along straight lines"
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
pub fn network(folder: &Path, process: Value, prediction: Value) -> Config {
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
        model::network(&config.family, &config.hyper, &folder.path().join("model.safetensors")).unwrap();
    bare.labels = field.process().labels();
    let d = field.shape().len();
    let (x, v) = (noise(d, 1), noise(d, 2));
    let room = Room { samples: 1, tangents: 1, cotangents: 0 };
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

/// A map has curl, Jacobian and asymmetry, which are those of the network's output; it has no circulation.
#[test]
fn a_map_is_measured_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        network(folder.path(), json!({"kind": "edm", "sigmas": [0.5, 2.0, 80.0], "label": "c_noise"}), json!("map"));
    let field = field::open(folder.path(), None, Default::default()).unwrap();
    let (mut raw, _) = model::network(&config.family, &config.hyper, &folder.path().join("model.safetensors")).unwrap();
    raw.labels = field.process().labels();
    let x = noise(field.shape().len(), 1);
    let [ours, theirs] =
        [field.twin(&Dual::lift(&x), 1, 0).unwrap(), twin::evaluate(&raw, &Dual::lift(&x), 1).unwrap()];
    assert!(ours.iter().zip(&theirs).all(|(a, b)| a.v == b.v));
    let clean = images(field.shape(), 2);
    let selection = Selection { timesteps: vec![0, 1], samples: 2, seed: 1 };
    let asymmetry =
        AsymmetryOptions { selection: selection.clone(), estimator: Estimator::Forward, probes: Some(2), verified: 1 };
    let table = measured(&gpu(), &field, &clean, &asymmetry).unwrap();
    assert!(table.column("nasym").unwrap().values.iter().all(|v| v.is_finite() && *v > 0.0));
    // Of a map there is no denoiser, and nothing to compare a rate with.
    let (block, steps, tolerance, verified) = (1, 4, 0.1, 1);
    let own = selection.clone();
    let planes = PlanesOptions { selection: own, planes: 1, block, steps, tolerance, probes: 2, verified };
    let table = measured(&gpu(), &field, &clean, &planes).unwrap();
    assert!(table.column("omega").unwrap().values.iter().all(|v| v.is_finite() && *v > 0.0));
    assert!(table.column("turn").unwrap().values.iter().all(|v| v.is_nan()) && table.marked().is_empty());
    let spectrum = SpectrumOptions { selection: selection.clone(), ends: 1, block, steps, tolerance, verified };
    let table = measured(&gpu(), &field, &clean, &spectrum).unwrap();
    assert!(table.column("value").unwrap().values.iter().all(|v| v.is_finite()) && table.marked().is_empty());
    assert!(table.column("denoiser").unwrap().values.iter().all(|v| v.is_nan()));
    assert!(table.measure.text(&table).unwrap().contains(" -"));
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
    let selection = Selection { timesteps: vec![0], samples: 2, seed: 1 };
    let lid = LidOptions { selection, divergence: Divergence::Exact, verified: 0 };
    refused("lid", measured(&gpu(), &field, &clean, &lid).unwrap_err().to_string());
    let error = measured(&gpu(), &field, &clean, &likelihood(vec![0, 1, 2], 2)).unwrap_err();
    refused("likelihood", error.to_string());
    refused("sample", draw(&field, 2, Method::Ode, 2).unwrap_err().to_string());
}
