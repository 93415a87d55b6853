//! What every verb says before it measures, the options that give a process, and names in the hub's cache: the program as a
//! user runs it.
use crate::cli::{DIGITS, MODEL, text, vorticity};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const FUNNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/funnel");
const DDPM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/diffusers_ddpm");

/// Standard output and error of a command that must end well.
fn said(arguments: &[&str]) -> (String, String) {
    let output = vorticity(arguments).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    (out, err)
}

fn refused(arguments: &[&str], words: &[&str]) {
    let output = vorticity(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    words.iter().for_each(|word| assert!(error.contains(word), "{arguments:?}: '{word}' not in '{error}'"));
}

fn linear(folder: &Path) -> PathBuf {
    let file = folder.join("scheduler_config.json");
    let config = json!({"_class_name": "DDIMScheduler", "num_train_timesteps": 50, "beta_end": 0.4});
    fs::write(&file, config.to_string()).unwrap();
    file
}

/// Every verb that measures, of a closed form: what is said without options, and with one.
#[test]
fn verbs_say_what_is_settled_and_by_what() {
    let folder = tempfile::tempdir().unwrap();
    let scheduler = linear(folder.path());
    let points = folder.path().join("x.npy");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 4), }\n";
    let npy = [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 32]].concat();
    fs::write(&points, npy).unwrap();
    let data = ["--data", "data:gaussian", "--samples", "2"];
    let measures = |verb: &str, more: &[&str]| -> Vec<String> {
        let list = [&[verb, "field:gaussian", "--shape", "1x2x4", "--dry-run"], &data[..], more].concat();
        list.into_iter().map(String::from).collect()
    };
    let words = |list: &[&str]| list.iter().map(|w| w.to_string()).collect::<Vec<_>>();
    let export = folder.path().join("loops");
    let out = folder.path().join("y");
    let commands: Vec<Vec<String>> = vec![
        measures("circulation", &["--timesteps", "5", "--points", "10"]),
        measures("curl", &["--timesteps", "5", "--components", "4"]),
        measures("asymmetry", &["--timesteps", "5"]),
        measures("map", &["--timesteps", "5"]),
        measures("planes", &["--timesteps", "5"]),
        measures("spectrum", &["--timesteps", "5"]),
        measures("stein", &["--timesteps", "5"]),
        measures("lid", &["--timesteps", "5"]),
        measures("jacobian", &["--timesteps", "5"]),
        measures("likelihood", &["--timesteps", "0,10,40"]),
        words(&[
            "sample",
            "field:gaussian",
            "--shape",
            "1x2x4",
            "--steps",
            "3",
            "--n",
            "1",
            "--method",
            "ode",
            "--dry-run",
        ]),
        words(&["evaluate", "field:gaussian", "--shape", "1x2x4", "--timestep", "5", "--points", text(&points)]),
        [
            words(&["paths", "export", "field:gaussian", "--shape", "1x2x4", "--timesteps", "5", "--points", "10"]),
            words(&["--paths", "rotation"]),
            words(&data),
        ]
        .concat(),
    ];
    for (i, command) in commands.iter().enumerate() {
        let run = |more: &[&str]| {
            let file = if command[0] == "paths" { &export } else { &out };
            let name = format!("{}{i}{}.npz", file.display(), more.first().unwrap_or(&""));
            let mut list: Vec<&str> = command.iter().map(String::as_str).collect();
            list.extend(more);
            if ["paths", "evaluate"].contains(&list[0]) {
                list.extend(["--out", &name]);
            }
            said(&list).0
        };
        let plain = run(&[]);
        for line in [
            "process      variance preserving, T = 1000 [default; --process, --alphas, --sigmas or ?schedule= name another]",
            "schedule     cosine schedule [default; ",
            "label        the timestep k, 0..=999 [",
            "data range   [-1, 1] [default of closed forms]",
        ] {
            assert!(plain.contains(line), "{command:?}: '{line}' not in {plain}");
        }
        let given = run(&["--process", text(&scheduler)]);
        let line = "schedule     linear schedule (beta 0.0001 to 0.4) [--process scheduler_config.json, DDIMScheduler of \
                    scheduler_config.json: num_train_timesteps, beta_end; the defaults of its class for beta_schedule, beta_start]";
        assert!(given.contains("T = 50 [--process ") && given.contains(line), "{command:?}: {given}");
        if command[0] != "likelihood" {
            let given = run(&["--sigmas", "0.1,0.2,0.3,1,2,3,4"]);
            assert!(given.contains("schedule     7 noise levels [--sigmas 0.1,0.2,0.3,1,2,3,4]"), "{given}");
        }
    }
}

#[test]
fn networks_say_which_file_said_what() {
    let (out, _) = said(&["inspect", MODEL]);
    for line in [
        "process                variance preserving, T = 1000 [config.json]",
        "schedule               cosine schedule [config.json: process]",
        "prediction             eps, the noise [config.json: prediction]",
        "data range             [-1, 1] [config.json: data_range]",
    ] {
        assert!(out.contains(line), "'{line}' not in {out}");
    }
    let (out, _) = said(&["inspect", DDPM, "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let settled = document["settled"].as_array().unwrap();
    let of =
        |what: &str| settled.iter().find(|f| f["what"] == what).unwrap_or_else(|| panic!("{what} not in {settled:?}"));
    assert!(of("prediction")["source"].as_str().unwrap().contains("scheduler_config.json"));
    assert!(of("data range")["source"].as_str().unwrap().starts_with("default of pipelines with DDPMScheduler"));
    assert_eq!(of("weights")["source"], "diffusion_pytorch_model.safetensors");
}

/// The manifest has the process and what settled it; the numbers are those of the process that was given.
#[test]
fn manifests_record_the_process_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let scheduler = linear(folder.path());
    let measure = |name: &str, field: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let base =
            ["jacobian", field, "--shape", "1x2x2", "--data", "data:gaussian", "--samples", "1", "--timesteps", "7"];
        said(&[&base, &["--out", text(&out), "--quiet"][..], more].concat());
        let manifest: Value = serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap();
        (manifest, fs::read(out.join("jacobian.csv")).unwrap())
    };
    let (given, table) = measure("a", "field:gaussian", &["--process", text(&scheduler)]);
    assert_eq!(given["field"]["process"]["beta_end"], 0.4);
    assert!(given["field"]["sources"]["process"].as_str().unwrap().starts_with("--process scheduler_config.json"));
    let (plain, other) = measure("b", "field:gaussian", &[]);
    assert!(plain["field"]["sources"]["process"].as_str().unwrap().starts_with("default"));
    assert!(table != other, "the noise levels are others");
    let (own, _) = measure("c", "field:gaussian?schedule=linear&timesteps=50", &[]);
    let source = own["field"]["sources"]["process"].as_str().unwrap();
    assert_eq!(source, "schedule=linear&timesteps=50, its parameters; the rest default");
}

#[test]
fn two_processes_for_one_field_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let scheduler = linear(folder.path());
    let base = ["sample", "--n", "1", "--steps", "3", "--dry-run"];
    let run = |field: &str, more: &[&str], words: &[&str]| {
        refused(&[&base[..1], &[field][..], &base[1..], more].concat(), words);
    };
    run(
        MODEL,
        &["--process", text(&scheduler)],
        &["its process is variance preserving, cosine schedule", "gives another: "],
    );
    let shape = ["--shape", "1x2x4", "--process", text(&scheduler)];
    run("field:gaussian?schedule=linear", &shape, &["says schedule=linear, and --process scheduler_config.json"]);
    run("field:gaussian", &["--shape", "1x2x4", "--alphas", "a", "--sigmas", "1"], &["--alphas", "--sigmas"]);
    let same = Path::new(MODEL).join("config.json");
    said(&["sample", MODEL, "--n", "1", "--steps", "3", "--dry-run", "--process", text(&same)]);
}

/// A process that ends in pure noise: what needs x_0 there begins one timestep earlier, or is refused.
#[test]
fn pure_noise_is_left_out_of_samples() {
    let folder = tempfile::tempdir().unwrap();
    let alphas = folder.path().join("alphas.txt");
    fs::write(&alphas, "0.99\n0.9\n0.5\n0.1\n0\n").unwrap();
    for method in ["ode", "ddim", "ddpm"] {
        let png = folder.path().join(format!("{method}.png"));
        let base = ["sample", "field:gaussian", "--shape", "1x2x4", "--n", "2", "--method", method];
        let (out, _) =
            said(&[&base[..], &["--steps", "4", "--alphas", text(&alphas), "--out", text(&png), "--json"]].concat());
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["not_finite"], Value::Null, "{method}: {out}");
        let many = [&base[..], &["--steps", "5", "--alphas", text(&alphas), "--out", text(&png)]].concat();
        refused(&many, &["steps: 5, expected 2..=4"]);
    }
    let out = folder.path().join("run");
    let base =
        ["curl", "field:funnel", "--shape", "1x2x4", "--data", "data:funnel", "--samples", "1", "--components", "4"];
    let run =
        |k: &'static str| [&base[..], &["--timesteps", k, "--alphas", text(&alphas), "--out", text(&out)]].concat();
    refused(&run("4"), &["timestep: 4 is pure noise (a = 0), of which the funnel's quadrature is not defined"]);
    said(&run("3"));
}

/// A reference has the process of what it is compared with, and is named where it is another system's.
#[test]
fn references_of_other_systems_are_named() {
    let run = |model: &str, data: &str, reference: &str| {
        let base = ["stein", model, "--data", data, "--samples", "1", "--timesteps", "5", "--dry-run"];
        let (out, err) = said(&[&base[..], &["--reference", reference]].concat());
        assert!(out.contains("schedule     "), "{out}");
        err
    };
    let warnings = |text: &str| text.lines().filter(|l| l.starts_with("warning: --reference")).count();
    assert_eq!(warnings(&run(FUNNEL, "data:funnel", "field:funnel")), 0);
    let error = run(MODEL, DIGITS, "field:funnel");
    assert!(error.contains("field:funnel is the score of data:funnel, --data is mnist-test-256"), "{error}");
    assert!(error.contains("the network was trained on: ") && warnings(&error) == 2, "{error}");
    assert!(run(FUNNEL, "data:funnel", "field:rotor").contains("field:rotor is the score of no data"));
    let folder = tempfile::tempdir().unwrap();
    let scheduler = linear(folder.path());
    let base = [
        "stein",
        "field:gaussian",
        "--shape",
        "1x2x4",
        "--data",
        "data:gaussian",
        "--samples",
        "1",
        "--timesteps",
        "5",
    ];
    let more = ["--process", text(&scheduler), "--dry-run", "--reference", "field:gaussian"];
    assert_eq!(warnings(&said(&[&base[..], &more].concat()).1), 0, "the reference takes the given process too");
    let other = ["--process", text(&scheduler), "--out", "x", "--reference", "field:gaussian?schedule=cosine"];
    refused(&[&base[..], &other].concat(), &["reference: has (a, sigma)"]);
}

/// Names of the hub are looked up in the user's cache, wherever the variables say that it is.
#[test]
fn names_are_found_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder.path().join("hub/models--google--ddpm-tiny/snapshots/abc");
    fs::create_dir_all(&entry).unwrap();
    for name in ["config.json", "diffusion_pytorch_model.safetensors", "scheduler_config.json"] {
        fs::copy(Path::new(DDPM).join(name), entry.join(name)).unwrap();
    }
    let (home, hub) = (text(folder.path()).to_string(), text(&folder.path().join("hub")).to_string());
    let run = |variable: &str, value: &str, name: &str| {
        let mut command = vorticity(&["inspect", name]);
        for other in ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"] {
            command.env_remove(other);
        }
        let output = command.env(variable, value).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for (variable, value) in [("HF_HUB_CACHE", &hub), ("HUGGINGFACE_HUB_CACHE", &hub), ("HF_HOME", &home)] {
        let (code, out) = run(variable, value, "google/ddpm-tiny");
        assert!(code == Some(0) && out.contains("DDPMScheduler"), "{variable}: {out}");
    }
    let (code, out) = run("HF_HUB_CACHE", &hub, "google/ddpm-large");
    let words = format!("no models--google--ddpm-large in {hub} (HF_HUB_CACHE");
    assert!(code == Some(2) && out.contains(&words) && out.contains("nothing is downloaded"), "{out}");
}
