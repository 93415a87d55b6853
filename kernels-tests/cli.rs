//! The program as a user runs it: good input ends in files that open, bad input in one clear line, a non-zero exit code
//! and nothing half-written.
use assert_cmd::Command;
use std::fs;
use std::path::Path;

pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/mnist");
pub const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/mnist-test-256-idx3-ubyte.gz");

pub fn vorticity(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("vorticity").unwrap();
    command.args(arguments);
    if let Ok(adapter) = std::env::var("VORTICITY_ADAPTER")
        && !matches!(
            arguments.first(),
            Some(
                &("compare"
                    | "completions"
                    | "devices"
                    | "init"
                    | "inspect"
                    | "integrate"
                    | "man"
                    | "merge"
                    | "paths"
                    | "plot"
                    | "report")
            )
        )
    {
        command.args(["--adapter", &adapter]);
    }
    command
}

/// Runs, expects `code`, one line of error that holds every one of `words`, and that OUT was not made.
pub fn refused(arguments: &[&str], code: i32, words: &[&str], out: &Path) {
    let output = vorticity(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    let lines: Vec<_> = error.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect();
    assert_eq!(lines.len(), 1, "{arguments:?}: {error}");
    for word in words {
        assert!(lines[0].contains(word), "{arguments:?}: '{}' lacks '{word}'", lines[0]);
    }
    assert!(!out.is_dir(), "{} was left behind", out.display());
    if let Some(parent) = out.parent() {
        let left: Vec<_> = fs::read_dir(parent).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(!left.iter().any(|n| n.to_string_lossy().contains("partial")), "{left:?}");
    }
}

/// Flags of a short circulation into `out`.
pub fn short<'a>(model: &'a str, data: &'a str, out: &'a str) -> Vec<&'a str> {
    vec![
        "circulation",
        model,
        "--data",
        data,
        "--timesteps",
        "400,900",
        "--samples",
        "2",
        "--points",
        "10",
        "--out",
        out,
    ]
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A copy of the shipped model directory whose weights file went through `edit`.
fn damaged(folder: &Path, edit: impl Fn(&mut Vec<u8>)) -> String {
    let model = folder.join("model");
    fs::create_dir_all(&model).unwrap();
    fs::copy(Path::new(MODEL).join("config.json"), model.join("config.json")).unwrap();
    let mut bytes = fs::read(Path::new(MODEL).join("model.safetensors")).unwrap();
    edit(&mut bytes);
    fs::write(model.join("model.safetensors"), bytes).unwrap();
    text(&model).to_string()
}

#[test]
fn the_same_command_twice_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let runs = [("one", None), ("two", None), ("tile", Some("7"))];
    for (name, tile) in runs {
        let out = folder.path().join(name);
        let mut arguments = short(MODEL, DIGITS, text(&out));
        arguments.extend(tile.iter().flat_map(|t| ["--tile", t]));
        let output = vorticity(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("brownian") && printed.contains("evaluations/s"), "{printed}");
    }
    for file in ["circulation.csv", "circulation.npz", "manifest.json", "plots/abs_integral.svg"] {
        let bytes = runs.map(|(name, _)| fs::read(folder.path().join(name).join(file)).unwrap());
        assert!(!bytes[0].is_empty());
        assert_eq!(bytes[0], bytes[1], "{file} of two equal commands");
        assert_eq!(bytes[0], bytes[2], "{file} with another tile size");
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("one/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["field"]["config"]["family"], "mnist_shuffle_unet");
    let here = env!("CARGO_MANIFEST_DIR");
    assert!(!manifest.to_string().contains(here), "the manifest tells where the data lay");
    // A run directory is never overwritten.
    let out = folder.path().join("one");
    let again = vorticity(&short(MODEL, DIGITS, text(&out))).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
}

#[test]
fn bad_models_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let truncated = damaged(folder.path(), |b| b.truncate(b.len() / 2));
    refused(&short(&truncated, DIGITS, text(&out)), 2, &["model.safetensors", "not a whole safetensors"], &out);

    let renamed = damaged(folder.path(), |b| rename(b, "final_conv.weight", "final_conv.weighd"));
    refused(&short(&renamed, DIGITS, text(&out)), 2, &["final_conv.weight", "missing"], &out);

    // The first number of the data section becomes NaN.
    let nan = damaged(folder.path(), |b| {
        let header = u64::from_le_bytes(b[..8].try_into().unwrap()) as usize;
        b[8 + header..8 + header + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    refused(&short(&nan, DIGITS, text(&out)), 2, &["tensor '", "NaN", "finite"], &out);

    refused(&short("no/such/model", DIGITS, text(&out)), 2, &["no/such/model", "model is a folder"], &out);
    refused(&short("field:vortex", DIGITS, text(&out)), 2, &["vortex", "gaussian"], &out);
    refused(&short("field:rotor?omeg=1", DIGITS, text(&out)), 2, &["omeg", "rotor"], &out);
}

/// Renames a tensor in a safetensors header; the names have the same length.
fn rename(bytes: &mut [u8], from: &str, to: &str) {
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[test]
fn bad_requests_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // 27x28 images, IDX: magic, 2 images, sizes, pixels.
    let odd = folder.path().join("odd-idx3-ubyte");
    let sizes = [0x803u32, 2, 27, 28].map(u32::to_be_bytes).concat();
    fs::write(&odd, [sizes, vec![100u8; 2 * 27 * 28]].concat()).unwrap();
    refused(&short(MODEL, text(&odd), text(&out)), 2, &["1x27x28", "1x28x28"], &out);

    let with = |flag: &'static str, value: &'static str| {
        let mut arguments = short(MODEL, DIGITS, text(&out));
        match arguments.iter().position(|a| *a == flag) {
            Some(i) => arguments[i + 1] = value,
            None => arguments.extend([flag, value]),
        }
        arguments
    };
    refused(&with("--timesteps", "1000"), 2, &["1000", "0..=999"], &out);
    refused(&with("--timesteps", "9..3"), 2, &["9..3"], &out);
    refused(&with("--timesteps", "5,5"), 2, &["increasing"], &out);
    refused(&with("--samples", "257"), 2, &["256"], &out);
    refused(&with("--paths", "spiral"), 2, &["spiral", "brownian"], &out);
    refused(&with("--points", "7"), 2, &["projection", "7"], &out);
    refused(&with("--tile", "0"), 2, &["tile"], &out);

    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    refused(&short(MODEL, DIGITS, text(&file)), 2, &["file"], &file);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn no_adapter_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut arguments = short(MODEL, DIGITS, text(&out));
    arguments.extend(["--adapter", "no such adapter"]);
    let mut command = Command::cargo_bin("vorticity").unwrap();
    let output = command.args(&arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("no usable GPU adapter") && error.contains("no such adapter"), "{error}");
    assert!(!out.exists());
}

#[test]
fn dry_run_predicts_and_writes_nothing() {
    let arguments = [
        "circulation",
        "field:tilted",
        "--data",
        DIGITS,
        "--timesteps",
        "1..1000:100",
        "--samples",
        "4",
        "--points",
        "100",
        "--dry-run",
    ];
    let output = vorticity(&arguments).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("120 loops, N = 100: 15960 evaluations with checks"), "{printed}");
    assert!(printed.contains("evaluations/s") && printed.contains("FLOP"), "{printed}");
}
