//! Files and folders of any name that the system allows, in every argument of every verb: spaces, what separates parameters
//! and tensors elsewhere, names as long as they may be and, on Unix, names that are no Unicode text.
use crate::data::npy;
use crate::{networks, weights};
use assert_cmd::Command;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// A name with everything in it.
fn odd() -> OsString {
    let mut name = OsString::from("a b&c=d?e#f%20 'g' \u{e9}");
    #[cfg(all(unix, not(target_os = "macos")))] // Apple's file systems take Unicode alone
    name.push(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"));
    name
}

/// Runs a verb; arguments are text or paths.
fn run(arguments: &[&dyn AsRef<OsStr>]) {
    let mut command = Command::cargo_bin("vorticity").unwrap();
    arguments.iter().for_each(|a| {
        command.arg(a.as_ref());
    });
    let takes_adapter = !["inspect", "integrate", "report", "compare", "merge", "init", "paths"]
        .iter()
        .any(|v| arguments[0].as_ref() == *v);
    if let Some(adapter) = std::env::var_os("VORTICITY_ADAPTER").filter(|_| takes_adapter) {
        command.arg("--adapter").arg(adapter);
    }
    let output = command.output().unwrap();
    let shown: Vec<_> = arguments.iter().map(|a| a.as_ref().display().to_string()).collect();
    assert!(output.status.success(), "{shown:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A small network and data, all in a folder of an odd name, each of an odd name itself.
fn place(root: &Path) -> [PathBuf; 2] {
    let folder = root.join(odd());
    let model = folder.join(odd());
    fs::create_dir_all(&model).unwrap();
    networks::model(&model);
    let mut data = odd();
    data.push(".npy");
    let (data, images) = (folder.join(data), 4);
    let pixels: Vec<u8> = (0..images * 144).map(|i| (i * 37 % 256) as u8).collect();
    fs::write(&data, npy("|u1", "(4, 1, 12, 12)", &pixels)).unwrap();
    [model, data]
}

#[test]
fn runs_are_made_and_read_under_any_name() {
    let root = tempfile::tempdir().unwrap();
    let [model, data] = place(root.path());
    let out = |name: &str| {
        let mut odd = odd();
        odd.push(name);
        root.path().join(odd)
    };
    let loops: [&dyn AsRef<OsStr>; 8] =
        [&"--timesteps", &"1", &"--samples", &"2", &"--points", &"20", &"--paths", &"rotation"];
    let with = |head: &[&dyn AsRef<OsStr>], tail: &[&dyn AsRef<OsStr>]| run(&[head, &loops, tail].concat());
    let subject: [&dyn AsRef<OsStr>; 4] = [&"circulation", &model, &"--data", &data];
    with(&subject, &[&"--out", &out("run")]);
    for shard in ["1/2", "2/2"] {
        with(&subject, &[&"--shard", &shard, &"--out", &out(&shard.replace('/', " of "))]);
    }
    run(&[&"merge", &out("1 of 2"), &out("2 of 2"), &"--out", &out("merged")]);
    assert_eq!(
        fs::read(out("merged").join("circulation.npz")).unwrap(),
        fs::read(out("run").join("circulation.npz")).unwrap()
    );
    run(&[&"compare", &out("run"), &out("merged"), &"--csv", &out("c.csv")]);
    run(&[&"report", &out("run"), &"--out", &out("page.html")]);
    assert!(fs::read_to_string(out("page.html")).unwrap().contains("<html"), "a page");

    with(
        &[&"paths", &"export", &"field:gaussian", &"--data", &data, &"--process", &model],
        &[&"--out", &out("loops.npz")],
    );
    // Scores that are zero everywhere.
    let scores = out("scores.npy");
    fs::write(&scores, npy("<f4", "(1, 1, 2, 20, 1, 12, 12)", &[0; 4 * 2 * 20 * 144])).unwrap();
    run(&[&"integrate", &scores, &"--exported", &out("loops.npz"), &"--out", &out("elsewhere")]);

    let points = out("x.npy");
    fs::write(&points, npy("<f4", "(1, 12, 12)", &0.5f32.to_le_bytes().repeat(144))).unwrap();
    run(&[
        &"evaluate",
        &model,
        &"--points",
        &points,
        &"--directions",
        &points,
        &"--timestep",
        &"3",
        &"--out",
        &out("e.npz"),
    ]);
    run(&[&"inspect", &model]);
    run(&[&"sample", &model, &"--out", &out("grid.png"), &"--n", &"1", &"--steps", &"2", &"--method", &"ddim"]);
    run(&[&"init", &"mnist_shuffle_unet", &"--config", &model.join("config.json"), &"--out", &out("made")]);
}

#[test]
fn closed_forms_have_files_of_any_name() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join(odd());
    let tensors =
        [("means", weights::Stored::f32(&[1, 4], &[0.0; 4])), ("variances", weights::Stored::f32(&[1], &[0.5]))];
    weights::write(&file, &tensors.into_iter().map(|(name, t)| (name.to_string(), t)).collect());
    let mut spec = OsString::from("field:mixture?file=");
    spec.push(&file);
    spec.push("&schedule=linear");
    let out = root.path().join("out");
    let shape: [&dyn AsRef<OsStr>; 6] = [&"--shape", &"1x2x2", &"--timesteps", &"1", &"--samples", &"1"];
    let data: [&dyn AsRef<OsStr>; 4] = [&"--data", &"data:gaussian", &"--out", &out];
    run(&[&[&"asymmetry" as &dyn AsRef<OsStr>, &spec, &"--probes", &"2"], &shape[..], &data[..]].concat());
}

/// Loops around a file's nodes, with commas in its name besides; the export has the same loops, and the manifest the file.
#[test]
fn paths_have_files_of_any_name() {
    let root = tempfile::tempdir().unwrap();
    let mut name = odd();
    name.push(",x,y.npy");
    let file = root.path().join(name);
    let nodes: Vec<u8> = (0..12 * 16).flat_map(|i| ((i * 37 % 64) as f32 / 64.0).to_le_bytes()).collect();
    fs::write(&file, npy("<f4", "(12, 1, 4, 4)", &nodes)).unwrap();
    let mut paths = OsString::from("rotation,polyline?file=");
    paths.push(&file);
    paths.push(",projection?arcs=3");
    let small: [&dyn AsRef<OsStr>; 8] =
        [&"--timesteps", &"1", &"--samples", &"2", &"--shape", &"1x4x4", &"--data", &"data:gaussian"];
    let loops: [&dyn AsRef<OsStr>; 4] = [&"--points", &"12", &"--paths", &paths];
    let [out, file_of_loops] = ["out", "loops.npz"].map(|name| root.path().join(name));
    run(&[&[&"circulation" as &dyn AsRef<OsStr>, &"field:gaussian"], &small[..], &loops[..], &[&"--out", &out]]
        .concat());
    run(&[
        &[&"paths" as &dyn AsRef<OsStr>, &"export", &"field:gaussian"],
        &small[..],
        &loops[..],
        &[&"--out", &file_of_loops],
    ]
    .concat());
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let sha256 = vorticity::data::sha256_file(&file).unwrap();
    let own = serde_json::json!({ "rotation": {}, "polyline": { "sha256": sha256 }, "projection": { "arcs": 3 } });
    assert_eq!(manifest["path_parameters"], own);
    assert_eq!(manifest["circulation"]["paths"], serde_json::json!(["rotation", "polyline", "projection"]));
}

#[test]
fn names_may_be_as_long_as_the_system_allows() {
    let root = tempfile::tempdir().unwrap();
    let long = |end: &str| root.path().join("n".repeat(250 - end.len()) + end);
    let out = long("");
    let small: [&dyn AsRef<OsStr>; 8] =
        [&"--timesteps", &"1", &"--samples", &"1", &"--shape", &"1x4x4", &"--data", &"data:gaussian"];
    let loops: [&dyn AsRef<OsStr>; 4] = [&"--points", &"20", &"--paths", &"rotation"];
    run(&[&[&"circulation" as &dyn AsRef<OsStr>, &"field:gaussian"], &small[..], &loops[..], &[&"--out", &out]]
        .concat());
    run(&[&"report", &out, &"--out", &long(".html")]);
    let export: [&dyn AsRef<OsStr>; 3] = [&"paths", &"export", &"field:gaussian"];
    run(&[&export, &small[..], &loops[..], &[&"--out", &long(".npz")]].concat());
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.len() == 3 && !left.iter().any(|n| n.to_string_lossy().contains("partial")), "{left:?}");
}

/// What is there and is no regular file is not written over: `--out /dev/null` would take the device's place.
#[cfg(unix)]
#[test]
fn devices_and_directories_are_no_files_to_write() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let points = root.path().join("x.npy");
    fs::write(&points, npy("<f4", "(1, 2, 2)", &[0; 16])).unwrap();
    for (place, said) in [
        (Path::new("/dev/null"), "is no regular file"),
        (&folder, "is a directory"),
        (Path::new("/absent/x"), "is in no directory"),
    ] {
        let output = Command::cargo_bin("vorticity")
            .unwrap()
            .args(["evaluate", "field:gaussian", "--shape", "1x2x2", "--timestep", "1", "--points"])
            .arg(&points)
            .arg("--out")
            .arg(place)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(said), "{}: {error}", place.display());
    }
    assert!(!fs::metadata("/dev/null").unwrap().is_file(), "the device is still there");
}
