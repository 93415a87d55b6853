//! ONNX files as models: what is guessed and what is asked for, the directory that `import` makes, conditions and guidance, cases.
use crate::common::{choice, families, gpu, noise};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::field::{self, Field, NetworkField, ScoreScale};
use vorticity::gpu::Gpu;
use vorticity::model::{Given, Model, Prediction, Process, ProcessConfig, Said, Schedule, import};
use vorticity::onnx::File;
use vorticity::verify::verify;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/onnx").join(name)
}

/// What none of the fixtures says: a process and a prediction.
fn said() -> Said {
    let process = Process::new(&ProcessConfig::vp(Schedule::Cosine, 1000)).unwrap();
    Said { process: Some(process.said("this test")), prediction: Some(Prediction::Eps), ..Said::default() }
}

/// The same with conditions.
fn with(conditions: &[(&str, Given)]) -> Said {
    Said { conditions: conditions.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(), ..said() }
}

fn refused(path: &Path, said: &Said, words: &[&str]) {
    let error = Model::open_said(path, said).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

/// What is settled of a model, and by what.
fn source(model: &Model, what: &str) -> String {
    model.facts.iter().find(|f| f.what == what).unwrap_or_else(|| panic!("{what}")).source.clone()
}

/// Values, and derivatives along one tangent, of a few samples at a timestep.
fn numbers(gpu: &Gpu, model: &Model, k: usize, samples: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let (d, n) = (model.shape().len(), samples.len());
    let mut evaluator =
        Evaluator::with_tangents(gpu, &model.graph, &[k], Room { samples: n, tangents: 1, cotangents: 0 }).unwrap();
    evaluator.jvp_of(&noise(n * d, 3), &noise(n * d, 4), &vec![k; n], samples).unwrap()
}

/// The same of one sample by the f64 twin.
fn twin(model: &Model, k: usize, sample: usize, condition: usize) -> Vec<Dual> {
    let d = model.shape().len();
    let (x, v) = (noise(d * (sample + 1), 3), noise(d * (sample + 1), 4));
    model.twin(&Dual::along(&x[sample * d..], &v[sample * d..]), k, condition).unwrap()
}

fn close(found: impl IntoIterator<Item = f64>, wanted: &[f64], near: f64) {
    let most = wanted.iter().fold(f64::MIN_POSITIVE, |m, w| m.max(w.abs()));
    let gap = found.into_iter().zip(wanted).map(|(f, w)| (f - w).abs() / most).fold(0.0, f64::max);
    assert!(gap <= near, "{gap:e} of the largest");
}

#[test]
fn a_file_and_the_directory_made_of_it_give_the_same_bits() {
    let gpu = gpu();
    for name in ["toy_mlp", "mixer", "mnist", "ffdnet"] {
        let file = fixture(name).join("model.onnx");
        let folder = tempfile::tempdir().unwrap();
        let made = import(&file, &said()).unwrap();
        for (name, bytes) in &made.files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let (of_file, of_folder) = (Model::open_said(&file, &said()).unwrap(), Model::open(folder.path()).unwrap());
        assert_eq!(numbers(&gpu, &of_file, 100, &[0]), numbers(&gpu, &of_folder, 100, &[0]), "{name}");
        let bits =
            |model: &Model| twin(model, 100, 0, 0).iter().map(|y| (y.v.to_bits(), y.d.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&of_file), bits(&of_folder), "{name}");
        assert_eq!(made.config.provenance["sha256"], of_file.sha256);
        assert_eq!(source(&of_folder, "x"), "config.json: hyper.x");
        // Other readers find every weight where the graph says it is.
        let graph = File::open(&folder.path().join("graph.onnx")).unwrap();
        assert_eq!((graph.parameters(), of_file.parameters), (of_file.parameters, of_folder.parameters), "{name}");
        assert_eq!(graph.parts().len(), 2, "{name}");
    }
}

#[test]
fn guesses_say_why_and_what_nobody_can_know_is_asked_for() {
    let toy = fixture("toy_mlp").join("model.onnx");
    let model = Model::open_said(&toy, &said()).unwrap();
    assert_eq!(source(&model, "x"), "guess: the only input of several real numbers");
    assert_eq!(source(&model, "told label"), "guess: the only other input of one number");
    assert!(source(&model, "data range").starts_with("guess: "));
    let named = Said { x: Some("x".into()), label: Some("t".into()), ..said() };
    assert_eq!(source(&Model::open_said(&toy, &named).unwrap(), "x"), "--x");
    refused(&toy, &Said { process: None, ..said() }, &["process: ", "model.toml", "--process", "'t' float [1]"]);
    refused(&toy, &Said::default(), &["process and prediction: ", "--process and --prediction"]);
    refused(&toy, &Said { prediction: None, ..said() }, &["prediction: ", "model.toml", "--prediction"]);
    refused(&toy, &Said { x: Some("y".into()), ..said() }, &["x 'y': is not there; the file has 'x' float [1, 2]"]);
    refused(&toy, &Said { output: Some("y".into()), ..said() }, &["output 'y': is not there"]);
    refused(&toy, &Said { channels: Some(1), ..said() }, &["its output is not a vector field"]);
    refused(&toy, &Said { channels: Some(3), ..said() }, &["3 channels are asked for"]);
    // A timestep that is no whole number is no index of a table.
    let vp = Model::open_said(fixture("mnist").join("model.onnx"), &said()).unwrap();
    assert_eq!(vp.parameters, 49425);
    let native = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/mnist");
    refused(&native, &Said { x: Some("x".into()), ..Said::default() }, &["x: is for ONNX files"]);
    refused(
        &native,
        &Said { prediction: Some(Prediction::V), ..Said::default() },
        &["prediction: v", "eps, the noise [config.json"],
    );
    let error =
        field::open_said("field:gaussian", ScoreScale::Definition, &Said { guidance: Some(2.0), ..Said::default() });
    assert!(error.err().unwrap().to_string().contains("guidance: is for networks"));
}

#[test]
fn a_toml_beside_a_file_says_what_the_file_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let (file, toml) = (folder.path().join("model.onnx"), folder.path().join("model.toml"));
    std::fs::copy(fixture("toy_mlp").join("model.onnx"), &file).unwrap();
    let text = "x = 'x'\nprediction = 'score'\ndata_range = [-2, 2.5]\n[process]\nkind = 'vp'\nschedule = 'linear'\n\
                timesteps = 50\n[provenance]\ndata = 'moons'\n";
    std::fs::write(&toml, text).unwrap();
    // The folder's own name will do.
    for path in [&file, folder.path()] {
        let model = Model::open(path).unwrap();
        assert_eq!((model.process.timesteps(), model.config.prediction), (50, Prediction::Score));
        assert_eq!(model.config.data_range, [-2.0, 2.5]);
        assert_eq!([source(&model, "x"), source(&model, "process")], ["model.toml: x", "model.toml"]);
        assert_eq!(model.config.provenance["data"], "moons");
    }
    refused(
        &file,
        &Said { prediction: Some(Prediction::Eps), ..Said::default() },
        &["prediction: eps", "[model.toml: prediction]"],
    );
    std::fs::write(&toml, text.replace("x = 'x'", "input = 'x'")).unwrap();
    refused(&file, &Said::default(), &["model.toml", "unknown field `input`", "line 1"]);
    std::fs::write(&toml, "x = \n").unwrap();
    refused(&file, &Said::default(), &["model.toml", "line 1"]);
}

#[test]
fn conditions_of_samples_are_those_of_runs() {
    let gpu = gpu();
    for name in ["toy_mlp", "mixer"] {
        let file = fixture(name).join("model.onnx");
        let values = [0.25, 0.75, 0.25, 0.5];
        let each = Model::open_said(&file, &with(&[("t", Given::Numbers(values.to_vec()))])).unwrap();
        assert_eq!(each.graph.rows.conditions(), 3, "two samples are under one condition");
        let numbers_of: Vec<usize> = (0..4).map(|sample| each.conditions.number(sample).unwrap()).collect();
        assert_eq!(numbers_of, [0, 1, 0, 2]);
        assert!(each.conditions.number(4).unwrap_err().to_string().contains("conditions for 4 samples"));
        let (y, jv) = numbers(&gpu, &each, 10, &numbers_of);
        let d = each.shape().len();
        for (sample, value) in values.into_iter().enumerate() {
            let run = Model::open_said(&file, &with(&[("t", Given::Number(value))])).unwrap();
            let (own, all) = (twin(&run, 10, sample, 0), twin(&each, 10, sample, numbers_of[sample]));
            assert!(own.iter().zip(&all).all(|(a, b)| (a.v, a.d) == (b.v, b.d)), "{name}");
            let part =
                |all: &[f32]| all[sample * d..(sample + 1) * d].iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            close(part(&y), &own.iter().map(|y| y.v).collect::<Vec<_>>(), 2e-6);
            close(part(&jv), &own.iter().map(|y| y.d).collect::<Vec<_>>(), 1e-5);
        }
        // A field knows its samples.
        let field = NetworkField::new(each, ScoreScale::Definition);
        assert_eq!((field.conditions(), field.condition(3).unwrap()), (3, 2));
    }
    let toy = fixture("toy_mlp").join("model.onnx");
    refused(&toy, &with(&[("y", Given::Number(1.0))]), &["condition 'y': is not there"]);
    refused(&toy, &with(&[("t", Given::File("no.npy".into()))]), &["condition 't': 'no.npy' is neither a number"]);
    refused(&toy, &with(&[("t", Given::Number(f64::NAN))]), &["condition 't': NaN, expected finite numbers"]);
    let mnist = fixture("mnist").join("model.onnx");
    refused(&mnist, &with(&[("t", Given::Number(1.5))]), &["condition 't': 1.5, expected whole numbers"]);
}

#[test]
fn guidance_goes_beyond_the_null_condition_in_values_and_derivatives() {
    let gpu = gpu();
    let file = fixture("mixer").join("model.onnx");
    let at = |t: f64| Model::open_said(&file, &with(&[("t", Given::Number(t))])).unwrap();
    let null = BTreeMap::from([("t".to_string(), Given::Number(0.9))]);
    let guided = |g| Said { guidance: Some(g), null: null.clone(), ..with(&[("t", Given::Number(0.2))]) };
    for family in families(&gpu) {
        let gpu = gpu.clone().with_family(family);
        let [cond, null] = [at(0.2), at(0.9)].map(|model| numbers(&gpu, &model, 10, &[0]));
        for g in [2.5, 0.0, 1.0] {
            let model = Model::open_said(&file, &guided(g)).unwrap();
            let (y, jv) = numbers(&gpu, &model, 10, &[0]);
            let along = |c: &[f32], n: &[f32]| -> Vec<f64> {
                c.iter().zip(n).map(|(&c, &n)| f64::from(n) + g * (f64::from(c) - f64::from(n))).collect()
            };
            close(y.iter().map(|&y| y.into()), &along(&cond.0, &null.0), 2e-6);
            close(jv.iter().map(|&y| y.into()), &along(&cond.1, &null.1), 2e-6);
            let twin = twin(&model, 10, 0, 0);
            close(twin.iter().map(|y| y.v), &y.iter().map(|&y| f64::from(y)).collect::<Vec<_>>(), 2e-6);
        }
    }
    refused(
        &file,
        &Said { null: BTreeMap::new(), ..guided(2.0) },
        &["guidance: compares with a null condition", "--null NAME=VALUE"],
    );
    let several = BTreeMap::from([("t".to_string(), Given::Numbers(vec![0.1, 0.2]))]);
    refused(&file, &Said { null: several, ..guided(2.0) }, &["null condition 't': has a value for each sample"]);
    refused(&file, &Said { guidance: Some(2.0), ..said() }, &["guidance: the network takes no condition"]);
    // What `import` writes says all of it.
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in import(&file, &guided(2.5)).unwrap().files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let (again, once) = (Model::open(folder.path()).unwrap(), Model::open_said(&file, &guided(2.5)).unwrap());
    assert_eq!(numbers(&gpu, &again, 10, &[0]), numbers(&gpu, &once, 10, &[0]));
}

#[test]
fn verify_reads_cases_of_onnx_files_and_sees_what_is_wrong() {
    let gpu = gpu();
    for name in ["toy_mlp", "mixer", "uvit"] {
        for family in families(&gpu) {
            let report = verify(&gpu.clone().with_family(family), &fixture(name)).unwrap();
            assert!(report.passed() && report.rows.len() >= 10, "{report:?}");
        }
    }
    // A number of the truth is off by a thousandth of the largest.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("toy_mlp")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let at = copy.path().join("case.safetensors");
    let sound = std::fs::read(&at).unwrap();
    let [tangents, cotangents] = ["model.onnx: tangents", "model.onnx: cotangents"];
    for (tensor, seen, fine) in [("jvp", tangents, cotangents), ("vjp", cotangents, tangents)] {
        let mut bytes = sound.clone();
        let place = {
            let (first, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
            8 + first + header.info(tensor).unwrap().data_offsets.0
        };
        let old = f64::from_le_bytes(bytes[place..place + 8].try_into().unwrap());
        bytes[place..place + 8].copy_from_slice(&(old * 1.01 + 1e-2).to_le_bytes());
        std::fs::write(&at, bytes).unwrap();
        let report = verify(&gpu, copy.path()).unwrap();
        let failed: Vec<&str> = report.rows.iter().filter(|r| !r.passed()).map(|r| r.quantity.as_str()).collect();
        let others = [fine, "model.onnx: forward"].iter().any(|name| failed.contains(name));
        assert!(failed.contains(&seen) && !others, "{failed:?}");
    }
    std::fs::remove_file(copy.path().join("model.onnx")).unwrap();
    let error = verify(&gpu, copy.path()).unwrap_err().to_string();
    assert!(error.contains("model.onnx: is not there") && error.contains("--model FILE.onnx"), "{error}");
}

#[test]
fn an_onnx_file_is_measured_like_any_model() {
    drop(gpu()); // one adapter at a time: others may hold it
    let _ = choice();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = assert_cmd::Command::cargo_bin("vorticity").unwrap();
    command.args(["jacobian"]).arg(fixture("toy_mlp").join("model.onnx")).args(["--data", "data:gaussian?seed=0"]);
    command
        .args(["--prediction", "score", "--process"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/mnist"));
    command.args(["--samples", "3", "--timesteps", "500", "--shape", "2x1x1", "--out"]).arg(&out);
    if let Ok(adapter) = std::env::var("VORTICITY_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    let told = String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap();
    assert!(told.contains("[guess: the only input of several real numbers]"), "{told}");
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    assert!(
        manifest.contains("\"family\": \"onnx\"") && manifest.contains("guess: the only other input"),
        "{manifest}"
    );
}

/// Bytes in memory are the network that they are on disk, under the name that they are given; weights beside them are not there.
#[test]
fn a_file_in_memory_is_the_same_network() {
    let path = fixture("ffdnet/model.onnx");
    let said = Said { conditions: BTreeMap::new(), ..said() };
    let on_disk = Model::open_said(&path, &said);
    let in_memory = Model::of_onnx("module.onnx", std::fs::read(&path).unwrap(), &said);
    match (on_disk, in_memory) {
        (Ok(on_disk), Ok(in_memory)) => {
            assert_eq!(on_disk.sha256, in_memory.sha256);
            assert_eq!(source(&in_memory, "weights"), "module.onnx");
            let [a, b] = [&on_disk, &in_memory].map(|m| twin(m, 3, 0, 0));
            assert_eq!(a, b);
        }
        (a, b) => panic!("{:?}, {:?}", a.err(), b.err()),
    }
    let bytes = std::fs::read(fixture("mixer/model.onnx")).unwrap();
    let error = Model::of_onnx("module.onnx", bytes, &said).unwrap_err().to_string();
    assert!(error.contains("module.onnx") && error.contains("model.onnx.data"), "{error}");
}
