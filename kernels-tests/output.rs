//! What scripts rely on: one JSON document per verb, silence where it is asked for, exit codes, completions and man pages.
use crate::cli::{DIGITS, MODEL, short, text, vorticity};
use crate::folder::png;
use assert_cmd::Command;
use png::{BitDepth, ColorType};
use serde_json::Value;
use std::fs;
use std::path::Path;
use vorticity::data::load;
use vorticity::error::{EXIT_CODES, Error};

const CASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/mnist_shuffle_unet");

/// What a command prints and its exit code; lines about XDG_RUNTIME_DIR are the Vulkan loader's.
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = vorticity(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let error = error.lines().filter(|l| !l.contains("XDG_RUNTIME_DIR")).collect::<Vec<_>>().join("\n");
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), error)
}

/// The document of a command, which must be all of its standard output, and the exit code.
pub fn document(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, printed, error) = run(&[arguments, &["--json"]].concat());
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{e}: {printed}{error}"));
    assert_eq!((&document["schema"], &document["verb"]), (&3.into(), &arguments[0].into()), "{document}");
    (code, document)
}

/// `--quiet` prints nothing at all.
fn silent(arguments: &[&str]) {
    assert_eq!(run(&[arguments, &["--quiet"]].concat()), (Some(0), String::new(), String::new()), "{arguments:?}");
}

#[test]
fn devices_and_inspect_as_json() {
    let (code, devices) = document(&["devices"]);
    let usable = |a: &Value| a["usable"] == true && a["unusable"].is_null() && a["limits"].is_object();
    assert!(code == Some(0) && devices["adapters"].as_array().unwrap().iter().any(usable), "{devices}");
    silent(&["devices"]);

    let (code, plan) = document(&["inspect", MODEL, "--plan"]);
    assert_eq!((code, &plan["config"]["family"]), (Some(0), &"mnist_shuffle_unet".into()));
    let steps = plan["steps"].as_array().unwrap();
    let flops: u64 = steps.iter().map(|s| s["flops"].as_u64().unwrap()).sum();
    assert_eq!(
        (plan["dispatches"].as_u64(), plan["flops_per_evaluation"].as_u64()),
        (Some(steps.len() as u64), Some(flops))
    );
    let bytes: u64 = plan["buffers"].as_array().unwrap().iter().map(|b| b["bytes_per_lane"].as_u64().unwrap()).sum();
    assert!(bytes > 0 && bytes <= plan["bytes_per_lane"].as_u64().unwrap(), "{plan}");
    assert!(document(&["inspect", MODEL]).1.get("steps").is_none());
    silent(&["inspect", MODEL]);
    // A document is whole or absent.
    let (code, printed, error) = run(&["inspect", "no/such", "--json"]);
    assert!(code == Some(2) && printed.is_empty() && error.contains("no/such"), "{error}");
}

#[test]
fn circulation_as_json_holds_the_run_s_medians() {
    let folder = tempfile::tempdir().unwrap();
    let (loud, quiet) = (folder.path().join("loud"), folder.path().join("quiet"));
    let (code, run) = document(&short("field:rotor?omega=1", DIGITS, text(&loud)));
    assert_eq!((code, &run["dry_run"], &run["work"]["loops"]), (Some(0), &false.into(), &12.into()), "{run}");
    assert_eq!((&run["out"], &run["evaluations"]), (&text(&loud).into(), &run["work"]["most_evaluations"]));
    let table = run["table"].as_array().unwrap();
    assert_eq!(table.len(), 3 * 2);
    let row = &table[3];
    assert_eq!((&row["path"], &row["timestep"]), (&"rotation".into(), &900.into()));
    // The median of two samples is their mean.
    let written = fs::read_to_string(loud.join("circulation.csv")).unwrap();
    let mut lines = written.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let heading = lines.next().unwrap();
    let at = heading.iter().position(|n| *n == "abs_integral").unwrap();
    let values: Vec<f64> =
        lines.filter(|l| l[0] == "rotation" && l[1] == "900").map(|l| l[at].parse().unwrap()).collect();
    let median = row["abs_integral"]["median"]["value"].as_f64().unwrap();
    assert!(values.len() == 2 && (median / (values[0] + values[1]) - 0.5).abs() < 1e-12, "{median} of {values:?}");
    assert_eq!(row["abs_integral"]["median"]["verdict"], "resolved", "{row}");
    let found: Vec<&str> = run["found"].as_array().unwrap().iter().map(|f| f["words"].as_str().unwrap()).collect();
    assert!(found.len() == 3 && found[1].starts_with("On rotation loops the field circulates"), "{found:?}");
    assert!(row["integral_over_abs"]["errors"]["rounding"].is_number(), "{row}");

    silent(&short("field:rotor?omega=1", DIGITS, text(&quiet)));
    for file in ["circulation.csv", "manifest.json", "plots/abs_integral.svg"] {
        assert_eq!(fs::read(loud.join(file)).unwrap(), fs::read(quiet.join(file)).unwrap(), "{file}");
    }
    let (code, dry) = document(&["circulation", "field:tilted", "--data", DIGITS, "--dry-run"]);
    assert_eq!((code, &dry["dry_run"], &dry["work"]["loops"]), (Some(0), &true.into(), &76800.into()));
    assert!(dry["work"]["predicted"]["seconds"].as_f64().unwrap() > 0.0 && dry.get("table").is_none(), "{dry}");
}

#[test]
fn a_folder_of_png_is_measured_like_the_same_idx() {
    let folder = tempfile::tempdir().unwrap();
    let images = load(DIGITS, 2, [0.0, 255.0]).unwrap();
    let digits = folder.path().join("digits");
    fs::create_dir(&digits).unwrap();
    let write = |name: &str, color, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().map(|&v| v as u8).collect();
        fs::write(digits.join(name), png(color, BitDepth::Eight, 28, 28, &bytes)).unwrap();
    };
    images.values.chunks(784).zip(["a.png", "b.png"]).for_each(|(v, name)| write(name, ColorType::Grayscale, v));
    let outs = ["png", "idx"].map(|name| folder.path().join(name));
    for (out, data) in outs.iter().zip([text(&digits), DIGITS]) {
        silent(&short("field:tilted?omega=1", data, text(out)));
    }
    let [a, b] = outs.each_ref().map(|out| fs::read(out.join("circulation.csv")).unwrap());
    assert_eq!(a, b);
    let manifest: Value = serde_json::from_slice(&fs::read(outs[0].join("manifest.json")).unwrap()).unwrap();
    let sum = load(text(&digits), 1, [0.0, 1.0]).unwrap().sha256;
    assert_eq!((&manifest["data"]["file"], &manifest["data"]["sha256"]), (&"digits".into(), &sum.into()));

    // RGB for a network of one channel.
    write("a.png", ColorType::Rgb, &vec![9.0; 3 * 784]);
    let out = folder.path().join("out");
    let (code, printed, error) = run(&short(MODEL, text(&digits), text(&out)));
    assert_eq!((code, printed.as_str(), out.exists()), (Some(2), "", false), "{error}");
    assert!(error.contains("a.png") && error.contains("3x28x28") && error.contains("expected 1x28x28"), "{error}");
}

#[test]
fn selftest_and_bench_and_sample_as_json() {
    let (code, checks) = document(&["selftest"]);
    assert_eq!((code, &checks["passed"], &checks["trusted"]["igemm"]), (Some(0), &true.into(), &true.into()));
    let check = &checks["checks"][0];
    assert!(check["error"].as_f64().unwrap() <= check["tolerance"].as_f64().unwrap(), "{check}");

    let (code, bench) = document(&["bench", MODEL, "--tile", "2", "--rounds", "1"]);
    let cost = &bench["costs"][0];
    assert!(code == Some(0) && cost["seconds"]["best"].as_f64().unwrap() > 0.0, "{bench}");
    assert!(cost["ops"].as_array().unwrap().iter().any(|op| op["op"] == "conv"), "{bench}");
    silent(&["bench", MODEL, "--tile", "2", "--rounds", "1"]);

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("grid.png");
    let arguments = ["sample", "field:gaussian", "--shape", "1x4x5", "--n", "3", "--steps", "5", "--out", text(&out)];
    let (code, sample) = document(&arguments);
    assert_eq!((code, &sample["evaluations"], &sample["out"]), (Some(0), &15.into(), &text(&out).into()));
    fs::remove_file(&out).unwrap();
    silent(&arguments);
    assert!(out.is_file());
}

/// Numbers in place of a picture: the same ones, of any shape, and data for other verbs.
#[test]
fn samples_are_written_as_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (grid, values) = (folder.path().join("grid.png"), folder.path().join("values.npz"));
    let drawn = |shape: &str, files: &[&str]| {
        let fixed = ["sample", "field:gaussian", "--shape", shape, "--n", "3", "--steps", "5", "--method", "ode"];
        document(&[&fixed[..], files].concat())
    };
    let (code, sample) = drawn("2x1x1", &["--values", text(&values)]);
    assert_eq!((code, &sample["out"], &sample["values"]), (Some(0), &Value::Null, &text(&values).into()));
    let images = load(values.as_path(), usize::MAX, [-1.0, 1.0]).unwrap();
    assert_eq!((images.count, images.shape.c, images.shape.pixels()), (3, 2, 1));
    assert!(images.values.iter().all(|v| v.abs() < 6.0) && images.values[0] != images.values[1], "{images:?}");
    let (code, _) = drawn("1x4x5", &["--values", text(&values), "--out", text(&grid)]);
    let images = load(values.as_path(), usize::MAX, [-1.0, 1.0]).unwrap();
    let png = image_levels(&grid);
    // The grid of three is two by two; a level is what the number is of the field's range.
    let level = ((f64::from(images.values[0]) + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    assert_eq!((code, images.count, png[0]), (Some(0), 3, level));
    let refused = ["sample", "field:gaussian", "--shape", "2x1x1", "--n", "3", "--out", text(&grid)];
    vorticity(&refused).assert().code(2).stderr(predicates::str::contains("--values writes numbers"));
}

/// The bytes of a PNG's pixels.
fn image_levels(path: &Path) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    let mut levels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut levels).unwrap();
    levels
}

/// A copy of the golden case whose first reference output is another number.
fn wrong_case(folder: &Path) -> String {
    let wrong = folder.join("wrong");
    fs::create_dir(&wrong).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(Path::new(CASE).join(file), wrong.join(file)).unwrap();
    }
    let mut bytes = fs::read(Path::new(CASE).join("case.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensors: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let at = 8 + header + tensors["y"]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 8].copy_from_slice(&9f64.to_le_bytes());
    fs::write(wrong.join("case.safetensors"), bytes).unwrap();
    text(&wrong).to_string()
}

#[test]
fn verify_as_json_and_its_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = wrong_case(folder.path());
    let (code, report) = document(&["verify", CASE, &wrong]);
    assert_eq!((code, &report["passed"]), (Some(1), &false.into()), "{report}");
    let (sound, broken) = (&report["cases"][0], &report["cases"][1]);
    assert_eq!((&sound["passed"], &broken["passed"]), (&true.into(), &false.into()), "{report}");
    let failed = |case: &Value| {
        case["quantities"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|q| q["passed"] == false)
            .map(|q| q["quantity"].clone())
            .collect()
    };
    assert_eq!(
        (failed(sound), failed(broken)),
        (vec![], vec!["forward".into(), "forward, f64 twin".into()]) as (Vec<Value>, Vec<Value>)
    );

    let (code, report) = document(&["verify", "no/case"]);
    assert_eq!((code, &report["passed"]), (Some(2), &false.into()));
    assert!(report["cases"][0]["error"].as_str().unwrap().contains("no/case"), "{report}");
}

/// The other codes: 0 and 1 are tested with `verify`, 130 below.
#[test]
fn exit_codes_are_what_the_help_says() {
    let help = run(&["--help"]).1;
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/GUIDE.md")).unwrap();
    for (code, meaning) in EXIT_CODES {
        assert!(help.contains(&format!("{code}  {meaning}")), "{code} is not in\n{help}");
        assert!(guide.contains(&format!("| {code} | {meaning} |")), "{code} is not in the guide");
    }
    assert!(help.contains("--json") && help.contains("--quiet"), "{help}");
    let place = || ("here".to_string(), "why".to_string());
    let gpu = [
        Error::OutOfMemory { place: place().0, message: place().1 },
        Error::DeviceLost { place: place().0, message: place().1 },
        Error::Gpu { place: place().0, message: place().1 },
    ];
    assert!(gpu.iter().all(|e| e.exit_code() == 4));
    let codes = [Error::file("a", "b"), Error::NoAdapter("c".into()), Error::Interrupted].map(|e| e.exit_code());
    assert_eq!(codes, [2, 3, 130]);

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("grid.png");
    let sample = |more: &[&str]| {
        let mut command = Command::cargo_bin("vorticity").unwrap(); // not the tests' adapter
        command.args(["sample", "field:gaussian", "--quiet", "--out", text(&out)]).args(more);
        let output = command.output().unwrap();
        assert!(output.stdout.is_empty() && !out.exists());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for wrong in
        [&["--shape", "1x2"][..], &["--shape", "1x2x2", "--steps", "0", "--method", "ode"], &["--no-such-flag"]]
    {
        let (code, error) = sample(wrong);
        assert!(code == Some(2) && error.contains("error: "), "{wrong:?}: {code:?} {error}");
    }
    let (code, error) = sample(&["--shape", "1x2x2", "--adapter", "no such adapter"]);
    assert!(code == Some(3) && error.contains("no such adapter"), "{error}");
    // 3.6 GB in one binding are more than any adapter takes.
    let (code, error) = sample(&["--shape", "1x30000x30000", "--n", "1"]);
    assert!(code == Some(4) && error.contains("out of memory"), "{error}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_with_130_and_keeps_it() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vorticity"));
    command.args(["circulation", "field:rotor", "--data", DIGITS, "--paths", "rotation", "--samples", "2", "--yes"]);
    command.args(["--points", "100000", "--tile", "64", "--out", text(&out)]); // hours of small tiles
    if let Ok(adapter) = std::env::var("VORTICITY_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|l| l.unwrap().starts_with("predicted")), "the run ended by itself");
    std::thread::sleep(std::time::Duration::from_secs(1)); // the prediction is printed just before the run starts
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["out.partial"]);
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script, error) = run(&["completions", shell]);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{shell}");
        for part in ["circulation", "quadrature-check", "completions"] {
            assert!(script.contains(part), "{shell}: no {part}");
        }
    }
    let (code, _, error) = run(&["completions", "tcsh"]);
    assert!(code == Some(2) && error.contains("bash"), "{error}");
}

#[test]
fn man_pages_of_the_program_and_of_every_verb() {
    let (code, page, _) = run(&["man"]);
    assert!(
        code == Some(0) && page.contains(".TH vorticity 1") && page.contains("vorticity\\-circulation(1)"),
        "{page}"
    );
    assert!(page.contains(".SH \"EXIT STATUS\"") && page.contains("no usable GPU adapter"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/man1");
    assert_eq!(run(&["man", "--out", text(&out)]), (Some(0), String::new(), String::new()));
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let verbs = [
        "-asymmetry",
        "-bench",
        "-check",
        "-circulation",
        "-compare",
        "-completions",
        "-curl",
        "-devices",
        "-evaluate",
        "-import",
        "-init",
        "-inspect",
        "-integrate",
        "-jacobian",
        "-kernels",
        "-lid",
        "-likelihood",
        "-man",
        "-map",
        "-merge",
        "-paths-export",
        "-paths",
        "-planes",
        "-plot",
        "-report",
        "-sample",
        "-selftest",
        "-spectrum",
        "-stein",
        "-verify",
        "",
    ];
    assert_eq!(names, verbs.map(|v| format!("vorticity{v}.1")));
    assert_eq!(fs::read_to_string(out.join("vorticity.1")).unwrap(), page);
    let circulation = fs::read_to_string(out.join("vorticity-circulation.1")).unwrap();
    for part in ["\\-\\-quadrature\\-check", "\\-\\-json", "EXIT STATUS"] {
        assert!(circulation.contains(part), "no {part} in\n{circulation}");
    }
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let (code, _, error) = run(&["man", "--out", text(&file)]);
    assert!(code == Some(2) && error.contains("file: cannot be created"), "{error}");
}
