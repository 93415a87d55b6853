//! Faults on purpose: memory that is refused, devices that are lost, singly and too often, on one device and on two. A run
//! finishes with the bytes of an undisturbed one, or stops cleanly and goes on later to those bytes.
use crate::cli::text;
use crate::common::{bounds, choice};
use crate::resume::same;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use vorticity::error::Error;
use vorticity::evaluate::Room;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{FAILURES, Gpu};
use vorticity::shape::Shape;

const DEVICE_TROUBLE: Option<i32> = Some(4);

/// Some hundred tiles of a circulation, rough and smooth paths, adaptively, with all checks.
const CIRCULATION: &[&str] = &[
    "circulation",
    "field:tilted",
    "--timesteps",
    "300",
    "--points",
    "60",
    "--quadrature",
    "adaptive",
    "--tol",
    "1e-9",
    "--quadrature-check",
    "0.3",
    "--tile",
    "48",
];
const ASYMMETRY: &[&str] = &["asymmetry", "field:tilted", "--timesteps", "300,600,900", "--probes", "5"];
const CURL: &[&str] = &["curl", "field:tilted", "--timesteps", "300,600,900", "--components", "7", "--method", "both"];
const LIKELIHOOD: &[&str] = &["likelihood", "field:tilted", "--timesteps", "1..992:99", "--probes", "3"];

/// Runs on five images of 4 x 5 pixels; exit code, what was said, and run_log.json.
fn ran(out: &Path, arguments: &[&str], faults: &str) -> (Option<i32>, String, Value) {
    let images = out.with_file_name("images-idx3-ubyte");
    if !images.exists() {
        let head = [0x803u32, 5, 4, 5].map(u32::to_be_bytes).concat();
        fs::write(&images, [head, (0..100).map(|i| (i * 37 + 11) as u8).collect()].concat()).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_vorticity"));
    command.args(arguments).args(["--data", text(&images), "--samples", "5", "--out", text(out)]);
    if let (Ok(adapter), false) = (std::env::var("VORTICITY_ADAPTER"), arguments.contains(&"--adapter")) {
        command.args(["--adapter", &adapter]);
    }
    let output = command.env("VORTICITY_FAULTS", faults).output().unwrap();
    let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
    let log = fs::read(out.join("run_log.json")).map_or(Value::Null, |log| serde_json::from_slice(&log).unwrap());
    (output.status.code(), said, log)
}

/// The troubles of a kind that a log tells of.
fn troubles(log: &Value, what: &str) -> Vec<u64> {
    let all = log["troubles"].as_array().unwrap();
    all.iter().filter(|t| t["what"] == what).map(|t| t["room_lanes"].as_u64().unwrap()).collect()
}

fn undisturbed(folder: &Path, arguments: &[&str]) -> PathBuf {
    let out = folder.join(format!("whole-{}", arguments[0]));
    let (code, said, log) = ran(&out, arguments, "");
    assert_eq!(code, Some(0), "{said}");
    assert!(log["troubles"].as_array().unwrap().is_empty() && !said.contains("warning"), "{said}");
    out
}

#[test]
fn out_of_memory_halves_the_room_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = undisturbed(folder.path(), CIRCULATION);
    let out = folder.path().join("out");
    let (code, said, log) = ran(&out, CIRCULATION, "oom:5");
    assert_eq!(code, Some(0), "{said}");
    same(&out, &whole);
    let room = troubles(&log, "out of memory");
    assert!(room.len() > 10 && room[..6] == [24, 12, 6, 3, 1, 1], "{room:?}");
    assert_eq!(said.matches("warning: out of memory").count(), 1, "{said}");
    assert!(said.contains("tiles have 1 lanes since"), "{said}");
    // Refused at the very beginning, until it fits; and never.
    fs::remove_dir_all(&out).unwrap();
    let (code, said, log) = ran(&out, CIRCULATION, "room:10");
    assert!(code == Some(0) && troubles(&log, "out of memory") == [24, 12, 6], "{said}");
    same(&out, &whole);
    let (code, said, _) = ran(&folder.path().join("never"), CIRCULATION, "room:0");
    assert!(code == DEVICE_TROUBLE && said.contains("no room for 1 lanes"), "{said}");
}

#[test]
fn a_lost_device_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let whole = undisturbed(folder.path(), CIRCULATION);
    let out = folder.path().join("out");
    let (code, said, log) = ran(&out, CIRCULATION, "lost:7:3");
    assert_eq!(code, Some(0), "{said}");
    same(&out, &whole);
    assert_eq!(troubles(&log, "device lost"), [48; 3]);
    assert!(said.contains("warning: device lost and opened again 3 times"), "{said}");
    // Both troubles in one run.
    fs::remove_dir_all(&out).unwrap();
    let (code, said, log) = ran(&out, CIRCULATION, "lost:9:2,oom:5:3");
    assert_eq!(code, Some(0), "{said}");
    same(&out, &whole);
    assert_eq!((troubles(&log, "device lost").len(), troubles(&log, "out of memory")), (2, vec![24, 12, 6]));
}

#[test]
fn lost_too_often_it_stops_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [CIRCULATION, LIKELIHOOD] {
        let whole = undisturbed(folder.path(), arguments);
        let out = folder.path().join(format!("out-{}", arguments[0]));
        let (code, said, _) = ran(&out, arguments, "lost:12+");
        assert_eq!(code, DEVICE_TROUBLE, "{said}");
        assert!(said.contains("error: GPU device lost at") && said.contains("the same command goes on"), "{said}");
        assert!(said.contains(&format!("opened again {} times", FAILURES - 1)), "{said}");
        assert!(!out.exists() && out.with_extension("partial").join("journal").exists());
        let (code, said, _) = ran(&out, arguments, "");
        assert!(code == Some(0) && said.contains("goes on"), "{said}");
        same(&out, &whole);
    }
}

#[test]
fn other_measures_get_over_the_same_troubles() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [ASYMMETRY, CURL, LIKELIHOOD] {
        let whole = undisturbed(folder.path(), arguments);
        let out = folder.path().join(format!("out-{}", arguments[0]));
        let (code, said, log) = ran(&out, arguments, "oom:3:2,lost:4:3");
        assert_eq!(code, Some(0), "{said}");
        same(&out, &whole);
        assert_eq!((troubles(&log, "out of memory").len(), troubles(&log, "device lost").len()), (2, 3), "{log}");
    }
}

/// Both devices count their own runs; the tiles of one that fails go to the other, and only both end the run.
#[test]
fn two_devices_in_trouble_write_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = undisturbed(folder.path(), CIRCULATION);
    let one = std::env::var("VORTICITY_ADAPTER").unwrap_or("0".into());
    let two = format!("{one},{one}");
    let smaller = CIRCULATION.iter().map(|a| if *a == "48" { "16" } else { a });
    let arguments: Vec<&str> = smaller.chain(["--adapter", &two]).collect();
    for (faults, what) in [("oom:5", "out of memory"), ("lost:7:3", "device lost")] {
        let out = folder.path().join(what);
        let (code, said, log) = ran(&out, &arguments, faults);
        assert_eq!(code, Some(0), "{said}");
        same(&out, &whole);
        assert!(!troubles(&log, what).is_empty() && log["failures"].as_array().unwrap().is_empty(), "{log}");
    }
    let out = folder.path().join("out");
    let (code, said, _) = ran(&out, &arguments, "lost:12+");
    assert!(code == DEVICE_TROUBLE && said.contains("the same command goes on"), "{said}");
    // One device goes on with what two have left: it is the same run.
    let (code, said, _) = ran(&out, CIRCULATION, "");
    assert!(code == Some(0) && said.contains("goes on"), "{said}");
    same(&out, &whole);
}

#[test]
fn plans_made_after_a_loss_are_on_the_new_device() {
    let shape = Shape::new(2, 5, 7);
    let field = field::open("field:tilted?omega=0.5", Some(shape), ScoreScale::Definition).unwrap();
    let open = |faults: &str| Gpu::open_within(&choice(), bounds()).unwrap().with_faults(faults).unwrap();
    let (x, v) = (crate::common::noise(4 * shape.len(), 1), crate::common::noise(4 * 3 * shape.len(), 2));
    let jvp = |gpu: &Gpu| {
        let room = Room { samples: 2, tangents: 3, cotangents: 0 };
        field::tangent_evaluator(gpu, &field, &[3, 700], room)?.jvp(&x, &v, &[3, 700, 3, 700])
    };
    let _turn = crate::common::gpu(); // software adapters use every core
    let (whole, gpu) = (jvp(&open("")).unwrap(), open("lost:1:2"));
    assert_eq!(jvp(&gpu).unwrap(), whole);
    assert_eq!(gpu.troubles().iter().filter(|t| t.lost).count(), 2);
    assert_eq!(jvp(&gpu).unwrap(), whole);
    // Nothing but whole samples, and two of them.
    let gpu = open("room:7");
    assert_eq!(jvp(&gpu).unwrap(), whole);
    assert_eq!(gpu.troubles().iter().map(|t| t.lanes).collect::<Vec<_>>(), [4]);
    assert!(matches!(jvp(&open("room:3")), Err(Error::OutOfMemory { .. })));
    assert!(matches!(jvp(&open("lost:1")), Err(Error::DeviceLost { .. })));
    for wrong in ["oom", "lost:x", "room:", "late:3", "oom:1:2:3"] {
        let said = Gpu::open_within(&choice(), bounds()).unwrap().with_faults(wrong).err().unwrap().to_string();
        assert!(said.contains("VORTICITY_FAULTS") && said.contains(wrong), "{said}");
    }
}
