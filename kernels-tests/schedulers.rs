//! Schedulers of diffusers: the process and the score that their configs stand for, against diffusers' own buffers and
//! formulas (`tools/make_scheduler_cases.py`), and every key and value that is refused.
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vorticity::model::{Model, given_process};
use vorticity::spec::Spec;

/// A folder with the small shipped network, whose scheduler's config the caller writes.
fn network(folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden/diffusers_ddpm");
    for name in ["config.json", "diffusion_pytorch_model.safetensors", "scheduler_config.json"] {
        assert!(fs::copy(from.join(name), folder.join(name)).unwrap() > 0);
    }
    folder.join("scheduler_config.json")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Every class, schedule, prediction and option that diffusers writes. In float64 both sides compute the same sums: what is
/// left is the order of a thousand products, 1e-13 of abar, which 1 - abar at small k magnifies by 1/(1 - abar). diffusers' own
/// buffer is a product of k + 1 factors in float32, each rounded twice, and its rescaling divides by what is left of the range.
#[test]
fn schedulers_are_what_diffusers_computes() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/schedulers.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = network(folder.path());
    let (mut worst, mut worst_score, mut worst_f32, mut seen) = (0f64, 0f64, 0f64, 0);
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let text = case["config"].as_str().unwrap();
        fs::write(&place, text).unwrap();
        let model = Model::open(folder.path()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(model.process.timesteps() as u64, case["timesteps"].as_u64().unwrap(), "{text}");
        let rescaled = text.contains("\"rescale_betas_zero_snr\": true");
        let (f32s, f64s) = (numbers(&case["f32"]), numbers(&case["f64"]));
        for (i, k) in numbers(&case["k"]).into_iter().map(|k| k as usize).enumerate() {
            let (a, sigma) = model.process.noise(k).unwrap();
            let (abar, noise) = (a * a, sigma * sigma);
            let error = (abar - f64s[i]).abs() / f64s[i].max(1e-12);
            let noise_error = (noise - (1.0 - f64s[i])).abs();
            assert!(error < 1e-11 && noise_error < 1e-13, "{text}, k = {k}: abar {abar}, diffusers {}", f64s[i]);
            worst = worst.max(error);

            let (alpha, beta) = model.config.prediction.score_coefficients(&model.process, k).unwrap();
            let want = numbers(&case["score"][i]);
            let score = (alpha - want[0]).abs().max((beta - want[1]).abs()) / want[0].hypot(want[1]);
            assert!(score < 1e-11 / noise, "{text}, k = {k}: {alpha} x + {beta} output, expected {want:?}");
            worst_score = worst_score.max(score * noise);

            let unit = f64::from(f32::EPSILON) / 2.0;
            let bound = 2.0 * (k + 2) as f64 * unit * if rescaled { 4.0 } else { 1.0 };
            let off = (abar - f32s[i]).abs();
            assert!(off <= bound, "{text}, k = {k}: {abar}, the buffer of diffusers has {}: {off:.1e}", f32s[i]);
            worst_f32 = worst_f32.max(off);
            seen += 1;
        }
    }
    println!(
        "{} schedulers of diffusers {}, {seen} timesteps: worst error of abar {worst:.1e} (float64), of the score's \
         coefficients {worst_score:.1e} times 1/sigma^2; of its float32 buffer {worst_f32:.1e}",
        cases.len(),
        file["diffusers"]
    );
    assert!(cases.len() > 150 && worst_f32 > 1e-9, "the buffers are float32, so some error must show");
}

/// What is said where a key of the shipped scheduler's config has another value.
fn refusal(edits: &[(&str, Value)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let place = network(folder.path());
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&place).unwrap()).unwrap();
    edits.iter().for_each(|(key, value)| config[key] = value.clone());
    fs::write(&place, config.to_string()).unwrap();
    let error = Model::open(folder.path()).expect_err(&format!("{edits:?} was taken"));
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn keys_and_values_without_code_are_refused_by_name() {
    let class = |name: &str| ("_class_name", json!(format!("{name}Scheduler")));
    let cases: &[(&[(&str, Value)], &str)] = &[
        (&[("beta_shedule", json!("linear"))], "beta_shedule: \"linear\": not a known key of DDPMScheduler"),
        (&[("_hidden", json!(1))], "_hidden: 1: not a known key"),
        (&[("snr_shift_scale", json!(3.0))], "snr_shift_scale: 3.0: not a known key"),
        (
            &[("timestep_type", json!("continuous"))],
            "timestep_type: \"continuous\": the network is then told 0.25 ln sigma",
        ),
        (&[class("EulerDiscrete"), ("timestep_type", json!("continuous"))], "timestep_type: \"continuous\""),
        (&[class("UniPCMultistep"), ("use_flow_sigmas", json!(true))], "use_flow_sigmas: true"),
        (&[class("UniPCMultistep"), ("shift_terminal", json!(0.1))], "shift_terminal: 0.1"),
        (&[class("DEISMultistep"), ("use_dynamic_shifting", json!(true))], "use_dynamic_shifting: true"),
        (
            &[("variance_type", json!("learned_range"))],
            "variance_type: \"learned_range\": the network then puts out variances",
        ),
        (&[("predict_epsilon", json!(false))], "predict_epsilon: false"),
        (
            &[("prediction_type", json!("flow_prediction"))],
            "'flow_prediction' is not one of epsilon, v_prediction, sample",
        ),
        (&[("prediction_type", json!(3))], "prediction_type: 3, expected text"),
        (&[("beta_schedule", json!("exp"))], "'exp' is not one that DDPMScheduler has: linear, scaled_linear"),
        (&[class("DDIM"), ("beta_schedule", json!("sigmoid"))], "'sigmoid' is not one that DDIMScheduler has"),
        (&[("beta_start", json!("0.1"))], "beta_start: \"0.1\", expected a number"),
        (&[("beta_end", json!(1.5))], "1.5, expected numbers between 0 and 1"),
        (&[("num_train_timesteps", json!(0))], "process.timesteps: 0 is outside"),
        (&[("num_train_timesteps", json!(10.5))], "num_train_timesteps: 10.5, expected a whole number"),
        (&[("trained_betas", json!([0.1]))], "trained_betas: 1 of them, num_train_timesteps is 1000"),
        (&[("trained_betas", json!([0.1, 2.0])), ("num_train_timesteps", json!(2))], "process.betas: 2 at timestep 1"),
        (&[("trained_betas", json!("x"))], "trained_betas: \"x\", expected a list of numbers"),
        (&[("rescale_betas_zero_snr", json!("yes"))], "rescale_betas_zero_snr: \"yes\", expected true or false"),
        (
            &[class("PNDM"), ("rescale_betas_zero_snr", json!(true))],
            "is true, which PNDMScheduler leaves out of account",
        ),
        (&[class("EDMEuler")], "'EDMEulerScheduler': it scales the network's input and output by sigma_data"),
        (&[class("FlowMatchEulerDiscrete")], "'FlowMatchEulerDiscreteScheduler': its network puts out a velocity"),
        (&[class("LCM")], "'LCMScheduler': its network is a consistency model"),
        (&[class("IPNDM")], "'IPNDMScheduler' is not one of DDPMScheduler, "),
        (&[class("ScoreSdeVe"), ("beta_start", json!(0.1))], "not a known key of ScoreSdeVeScheduler"),
    ];
    for (edits, expected) in cases {
        let said = refusal(edits);
        assert!(said.contains(expected) && said.contains("scheduler_config.json"), "'{expected}' not in '{said}'");
    }
}

/// Python's JSON: infinities and NaN outside of texts, errors where the file has them, no key twice.
#[test]
fn json_is_read_as_python_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = network(folder.path());
    let base = r#""_class_name": "DPMSolverMultistepScheduler", "_name_or_path": "a: Infinity, \"NaN""#;
    fs::write(&place, format!(r#"{{{base}, "lambda_min_clipped": -Infinity, "disable_corrector": [NaN,Infinity]}}"#))
        .unwrap();
    let model = Model::open(folder.path()).unwrap();
    let said = &model.config.provenance["scheduler"];
    assert_eq!(said["lambda_min_clipped"], "-Infinity");
    assert_eq!(said["disable_corrector"], json!(["NaN", "Infinity"]));
    assert_eq!(said["_name_or_path"], "a: Infinity, \"NaN");
    let cases = [
        (r#"{"a": -Infinity, "b": }"#, "expected value at line 1 column 23"),
        ("{\"a\": NaN,\n \"b\": Infinity, \"c\" 1}", "expected `:` at line 2 column 21"),
        (r#"{"a": Infinityx}"#, "expected value at line 1 column 7"),
        (r#"{"a": NaN NaN}"#, "expected `,` or `}` at line 1 column 11"),
        (r#"{"a": --Infinity}"#, "invalid number at line 1 column 8"),
        (r#"{"a": NaN, "a": 2}"#, "key 'a' comes twice at line 1 column "),
        (r#"{"_class_name": "DDPMScheduler", "beta_end": NaN}"#, "beta_end: \"NaN\", expected a number"),
        ("[1]", "holds a list, expected an object of keys and values"),
    ];
    for (text, expected) in cases {
        fs::write(&place, text).unwrap();
        let error = Model::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "'{expected}' not in '{error}' of {text}");
    }
}

/// Zero terminal SNR: the last timestep is pure noise, where v- and x0-predictions say nothing of the score but -x.
#[test]
fn zero_terminal_snr_ends_in_pure_noise() {
    let folder = tempfile::tempdir().unwrap();
    let place = network(folder.path());
    let config =
        json!({"_class_name": "DDPMScheduler", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"});
    fs::write(&place, config.to_string()).unwrap();
    let model = Model::open(folder.path()).unwrap();
    assert_eq!(model.process.noise(999).unwrap(), (0.0, 1.0));
    assert_eq!(model.config.prediction.score_coefficients(&model.process, 999).unwrap(), (-1.0, 0.0));
    assert_eq!(model.process.last_with_signal(), 998);
    assert!(model.process.require_signal(998, "x").is_ok());
    let error = model.process.require_signal(999, "the flow").unwrap_err().to_string();
    assert!(
        error.contains("999 is pure noise (a = 0), of which the flow is not defined") && error.contains("998"),
        "{error}"
    );
}

/// What `--process`, `--alphas` and `--sigmas` read.
#[test]
fn processes_are_given_by_files_and_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (at, scheduler) = (folder.path(), network(folder.path()));
    let text = |p: &Path| p.to_str().unwrap().to_string();
    let given = |spec: &str| given_process(Some(&spec.into()), None, None);
    let own = Model::open(at).unwrap().process;
    for spec in [text(at), format!("{}/", text(at)), text(&scheduler)] {
        let process = given(&spec).unwrap().unwrap();
        assert!(process.same_levels(&own) && process.source.contains("scheduler_config.json"), "{}", process.source);
    }
    let pipeline = at.join("pipeline");
    fs::create_dir_all(pipeline.join("scheduler")).unwrap();
    fs::copy(&scheduler, pipeline.join("scheduler/scheduler_config.json")).unwrap();
    for spec in [&pipeline, &pipeline.join("scheduler")] {
        assert!(given(&text(spec)).unwrap().unwrap().same_levels(&own));
    }
    let mnist = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/mnist");
    let cosine = Model::open(&mnist).unwrap().process;
    for spec in [mnist.clone(), mnist.join("config.json")] {
        assert!(given(&text(&spec)).unwrap().unwrap().same_levels(&cosine));
    }
    let bare = at.join("bare.json");
    fs::write(&bare, r#"{"kind": "vp", "schedule": "linear", "timesteps": 1000}"#).unwrap();
    assert!(given(&text(&bare)).unwrap().unwrap().same_levels(&own));

    let alphas = at.join("alphas.txt");
    fs::write(&alphas, "[0.9, 0.5,\n0.25 0]").unwrap();
    let process = given_process(None, Some(&Spec::from(&text(&alphas))), None).unwrap().unwrap();
    assert_eq!(process.noise(2).unwrap(), (0.5, 0.75f64.sqrt()));
    assert_eq!((process.noise(3).unwrap(), process.source.as_str()), ((0.0, 1.0), "--alphas alphas.txt"));
    let process = given_process(None, None, Some(&Spec::from("0.1,0.5,20"))).unwrap().unwrap();
    assert_eq!((process.timesteps(), process.noise(2).unwrap()), (3, (1.0, 20.0)));

    let refusals = [
        (given_process(Some(&Spec::from("a")), None, Some(&Spec::from("1"))), "--process: given with --sigmas"),
        (
            given_process(None, None, Some(&Spec::from("3,2"))),
            "--sigmas 3,2: process.sigmas: expected strictly increasing",
        ),
        (
            given_process(None, None, Some(&Spec::from("x.txt"))),
            "--sigmas x.txt: 'x.txt' is neither a file nor a number",
        ),
        (given_process(None, Some(&Spec::from("0.5,0.6")), None), "process.alphas_cumprod: 0.6 at timestep 1"),
        (given_process(None, Some(&Spec::from("1.0")), None), "process.alphas_cumprod: 1 at timestep 0"),
        (given_process(None, Some(&Spec::from(",")), None), "holds no numbers"),
        (given("/no/such"), "is not there, expected config.json"),
        (given(&text(&pipeline.join("unet"))), "is not there"),
    ];
    for (result, expected) in refusals {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "'{expected}' not in '{error}'");
    }
}
