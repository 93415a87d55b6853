//! Runs that end before they are complete: killed, interrupted, out of disk, their journal torn or damaged. The same command
//! then goes on, and what it writes is byte for byte what an uninterrupted run writes.
use crate::cli::text;
use crate::common::noise;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A circulation of a second or so: rough and smooth paths, adaptively, with all checks, on five images of 4 x 5 pixels.
fn command(out: &Path, more: &[&str]) -> Command {
    let images = out.with_file_name("images-idx3-ubyte");
    if !images.exists() {
        let head = [0x803u32, 5, 4, 5].map(u32::to_be_bytes).concat();
        fs::write(&images, [head, (0..100).map(|i| (i * 37 + 11) as u8).collect()].concat()).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_vorticity"));
    command.args(["circulation", "field:tilted", "--data", text(&images)]);
    if !more.contains(&"--timesteps") {
        command.args(["--timesteps", "300,600,900"]);
    }
    command.args(["--samples", "5", "--points", "200", "--quadrature-check", "0.3", "--out", text(out)]).args(more);
    if !more.contains(&"--quadrature") {
        command.args(["--quadrature", "adaptive", "--tol", "1e-9"]);
    }
    if !more.contains(&"--tile") {
        command.args(["--tile", "48"]);
    }
    if let Ok(adapter) = std::env::var("VORTICITY_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end; the exit code and what was said on standard output and standard error.
fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let streams = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    (output.status.code(), streams.concat())
}

fn partial(out: &Path) -> PathBuf {
    out.with_extension("partial")
}

/// Every file below a folder, by name, but for the log of volatile facts.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    for name in ["", "plots"] {
        for entry in fs::read_dir(folder.join(name)).into_iter().flatten().flatten().filter(|e| e.path().is_file()) {
            let place = format!("{name}/{}", entry.file_name().to_string_lossy());
            all.push((place, fs::read(entry.path()).unwrap()));
        }
    }
    all.retain(|(name, _)| name != "/run_log.json");
    all.sort();
    all
}

/// Refuses directories that differ in a byte, and `OUT.partial` that was left.
pub fn same(found: &Path, expected: &Path) {
    let (found_files, expected) = (files(found), files(expected));
    assert!(expected.len() >= 3, "{}", expected.len());
    for (ours, theirs) in found_files.iter().zip(&expected) {
        assert_eq!(ours.0, theirs.0);
        assert!(ours.1 == theirs.1, "{} differs", ours.0);
    }
    assert_eq!(found_files.len(), expected.len());
    assert!(!partial(found).exists(), "{} was left", partial(found).display());
}

/// Starts a run, waits until its journal has this many bytes, and does something to the process.
fn until(out: &Path, bytes: u64, more: &[&str], then: impl FnOnce(&mut Child)) -> (Option<i32>, String) {
    stopped(command(out, more), out, bytes, then)
}

fn stopped(mut command: Command, out: &Path, bytes: u64, then: impl FnOnce(&mut Child)) -> (Option<i32>, String) {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while fs::metadata(partial(out).join("journal")).map_or(0, |about| about.len()) < bytes {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60), "it ended too soon");
        std::thread::sleep(Duration::from_millis(1));
    }
    then(&mut child);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The run, uninterrupted, and how long it took.
fn uninterrupted(folder: &Path) -> (PathBuf, Duration) {
    let (out, start) = (folder.join("whole"), Instant::now());
    let (code, words) = said(&mut command(&out, &[]));
    assert_eq!(code, Some(0), "{words}");
    (out, start.elapsed())
}

/// `VORTICITY_KILLS` sets how many runs are killed.
#[test]
fn killed_at_any_moment_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, time) = uninterrupted(folder.path());
    let kills: usize = std::env::var("VORTICITY_KILLS").map_or(4, |n| n.parse().unwrap());
    let moments = noise(kills, u64::from(std::process::id()));
    let (mut identical, mut with_work) = (0, 0);
    for (nth, moment) in moments.iter().enumerate() {
        let out = folder.path().join(format!("killed-{nth}"));
        let mut child = command(&out, &[]).spawn().unwrap();
        // From before the journal is begun to after the run directory is in its place.
        std::thread::sleep(time.mul_f64(0.55 + 0.55 * f64::from(*moment)));
        child.kill().unwrap();
        child.wait().unwrap();
        if !out.exists() {
            let (code, words) = said(&mut command(&out, &["--tile", ["48", "300", "77"][nth % 3]]));
            assert_eq!(code, Some(0), "{words}");
            with_work += usize::from(words.contains("goes on"));
        }
        let _ = fs::remove_dir_all(partial(&out)); // killed between its last two steps: OUT is whole, this is in nobody's way
        same(&out, &whole);
        identical += 1;
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{identical} of {kills} byte-identical, {with_work} of them with work done before");
    assert_eq!(identical, kills);
}

#[test]
fn a_torn_or_damaged_journal_is_used_as_far_as_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = uninterrupted(folder.path());
    let damages: [fn(&mut Vec<u8>); 4] = [
        |b| b.truncate(b.len() - 3), // a torn record
        |b| b.extend([0; 100]),      // blocks that were never written
        |b| {
            let middle = b.len() / 2;
            b[middle] ^= 0x10
        }, // a flipped bit
        |b| b[30] ^= 1,              // in the configuration itself: from the start
    ];
    for (nth, damage) in damages.iter().enumerate() {
        let out = folder.path().join(format!("damaged-{nth}"));
        until(&out, 12_000, &[], |child| child.kill().unwrap());
        let journal = partial(&out).join("journal");
        let mut bytes = fs::read(&journal).unwrap();
        damage(&mut bytes);
        fs::write(&journal, bytes).unwrap();
        let (code, words) = said(&mut command(&out, &["--tile", "300"]));
        assert_eq!(code, Some(0), "{words}");
        assert!(nth == 3 || words.contains("goes on"), "{words}");
        assert!(words.contains("torn or damaged") || nth == 3, "{words}");
        same(&out, &whole);
    }
}

#[test]
fn interrupted_it_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = uninterrupted(folder.path());
    let out = folder.path().join("out");
    let (code, words) = until(&out, 6_000, &[], |child| {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    });
    assert_eq!(code, Some(130), "{words}");
    assert!(words.contains("out.partial: the same command goes on from there"), "{words}");
    assert!(words.contains("error: stopped by the user"), "{words}");
    assert!(!out.exists());
    // A second process is killed, a third one ends the run.
    until(&out, 12_000, &["--tile", "77"], |child| child.kill().unwrap());
    let (code, words) = said(&mut command(&out, &[]));
    assert!(code == Some(0) && words.contains("goes on"), "{words}");
    same(&out, &whole);
    the_log_knows_all_processes(&out, &whole);
}

/// Of midpoint loops the journal holds sums, which go on from the middle of a loop and with tiles of another size to the same bits.
#[test]
fn midpoints_are_kept_as_sums() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, out) = (folder.path().join("whole"), folder.path().join("out"));
    let midpoint = ["--quadrature", "midpoint"];
    let (code, words) = said(&mut command(&whole, &midpoint));
    assert_eq!(code, Some(0), "{words}");
    until(&out, 12_000, &midpoint, |child| child.kill().unwrap());
    let bytes = fs::metadata(partial(&out).join("journal")).unwrap().len();
    let (code, words) = said(&mut command(&out, &["--quadrature", "midpoint", "--tile", "131"]));
    assert!(code == Some(0) && words.contains("goes on"), "{words}");
    same(&out, &whole);
    let log: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run_log.json")).unwrap()).unwrap();
    let before = log["evaluations_before"].as_u64().unwrap();
    // Tiles of 48 points, a quarter of a loop: 56 bytes of a record, 88 of each of one or two loops, 8 and the checked terms.
    assert!(before > 0 && bytes < 2000 + before / 48 * 260, "{bytes} bytes after {before} evaluations");
}

/// Of adaptive loops the journal holds one record each, which is written when the loop is done: some loops are lost, and begun anew
/// with tiles of another size, to the same bits.
#[test]
fn adaptive_loops_are_kept_when_they_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let smooth = ["--paths", "rotation,projection", "--timesteps", "100,200,300,400,500,600,700,800", "--tile"];
    let tile = |lanes: &'static str| [&smooth[..], &[lanes]].concat();
    let whole = folder.path().join("whole");
    let (code, words) = said(&mut command(&whole, &tile("16")));
    assert_eq!(code, Some(0), "{words}");
    for (nth, (bytes, lanes)) in [(3_000, "300"), (6_000, "16"), (9_000, "1")].into_iter().enumerate() {
        let out = folder.path().join(format!("out-{nth}"));
        stopped(command(&out, &tile("16")), &out, bytes, |child| child.kill().unwrap());
        let journal = partial(&out).join("journal");
        let kept = records(&journal);
        // 8 loops of 16 points fill a round: rounds of both paths were done, and not all of the 80 loops.
        assert!((1..80).contains(&kept.len()), "{kept:?}");
        // 40 bytes of a head, 88 of sums, 8 of a checksum, and 16 of each of the 8 points that are computed again.
        assert!(kept.iter().all(|&(count, lanes, bytes)| count == 1 && lanes >= 16 && bytes % 16 == 8 && bytes <= 216));
        let (code, words) = said(&mut command(&out, &tile(lanes)));
        assert!(code == Some(0) && words.contains("goes on"), "{words}");
        same(&out, &whole);
        let log: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run_log.json")).unwrap()).unwrap();
        let before: u64 = kept.iter().map(|&(_, lanes, _)| lanes).sum();
        assert_eq!(log["evaluations_before"].as_u64().unwrap(), before);
        // Points of 32 bytes were what a journal of version 2 held.
        let sizes = kept.iter().map(|&(_, _, bytes)| 48 + bytes).sum::<u64>();
        assert!(sizes < 16 * before, "{sizes} bytes of {before} points");
    }
}

/// Of the measured records of a journal: points, evaluations, and bytes of values.
fn records(journal: &Path) -> Vec<(u64, u64, u64)> {
    let bytes = fs::read(journal).unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (mut at, mut found) = (20, vec![]);
    while at + 48 <= bytes.len() && at + 48 + word(at + 32) as usize <= bytes.len() {
        if word(at) < u64::MAX - 1 {
            found.push((word(at + 16), word(at + 24), word(at + 32)));
        }
        at += 48 + word(at + 32) as usize;
    }
    found
}

/// Each of three with its command and what it recorded, which adds up to what one process evaluates.
fn the_log_knows_all_processes(resumed: &Path, whole: &Path) {
    let [resumed, whole] = [resumed, whole].map(|out| -> serde_json::Value {
        serde_json::from_slice(&fs::read(out.join("run_log.json")).unwrap()).unwrap()
    });
    let processes = resumed["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 3, "{processes:?}");
    assert_eq!(whole["processes"].as_array().unwrap().len(), 1);
    let tiles = processes.iter().map(|p| p["command"].as_array().unwrap().iter().any(|word| word == "77"));
    assert_eq!(tiles.collect::<Vec<_>>(), [false, true, false]);
    let made: Vec<u64> = processes.iter().map(|p| p["evaluations"].as_u64().unwrap()).collect();
    assert!(made.iter().all(|&n| n > 0), "{made:?}");
    assert_eq!(made.iter().sum::<u64>(), whole["evaluations"].as_u64().unwrap());
    assert_eq!(made[0] + made[1], resumed["evaluations_before"].as_u64().unwrap());
}

#[test]
fn another_configuration_is_refused_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    until(&out, 12_000, &[], |child| child.kill().unwrap());
    let before = fs::read(partial(&out).join("journal")).unwrap();
    let refused = |more: &[&str], words: &[&str]| {
        let (code, said) = said(&mut command(&out, more));
        assert_eq!(code, Some(2), "{said}");
        for word in words {
            assert!(said.contains(word), "'{word}' not in {said}");
        }
        assert!(fs::read(partial(&out).join("journal")).unwrap() == before, "the journal was touched");
    };
    refused(&["--seed", "1"], &["out.partial/journal: belongs to another run: seed: found 0, expected 1"]);
    refused(&["--shard", "1/2"], &["shard: found \"1/1\", expected \"1/2\""]);
    let (paths, says) =
        ("brownian,rotation,projection?arcs=5", "path_parameters.projection.arcs: found 10, expected 5");
    refused(&["--paths", paths], &[says]);
    // Another data file, and another field.
    let with = |from: &str, to: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vorticity"));
        command.args(self::command(&out, &[]).get_args().map(|a| if a == from { to.as_ref() } else { a }));
        said(&mut command)
    };
    let images = folder.path().join("images-idx3-ubyte");
    let other = folder.path().join("other");
    let mut bytes = fs::read(&images).unwrap();
    bytes[20] ^= 1;
    fs::write(&other, bytes).unwrap();
    let (code, words) = with(text(&images), text(&other));
    assert!(code == Some(2) && words.contains("data.sha256: found"), "{words}");
    let (code, words) = with("field:tilted", "field:rotor");
    assert!(code == Some(2) && words.contains("field.name: found \"tilted\", expected \"rotor\""), "{words}");
    // What is not a journal is not touched.
    fs::write(partial(&out).join("journal"), "notes of mine").unwrap();
    assert!(said(&mut command(&out, &[])).1.contains("is no journal of this version"));
    assert_eq!(fs::read(partial(&out).join("journal")).unwrap(), b"notes of mine");
    fs::rename(partial(&out).join("journal"), partial(&out).join("notes")).unwrap();
    assert!(said(&mut command(&out, &[])).1.contains("out.partial: is in the way"));
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(partial(&out)).unwrap();
    let journal = fs::File::create(partial(&out).join("journal")).unwrap();
    journal.lock().unwrap(); // as the other process has it
    let (code, words) = said(&mut command(&out, &[]));
    assert!(code == Some(2) && words.contains("another process is at work on this run"), "{words}");
    drop(journal);
    assert_eq!(said(&mut command(&out, &[])).0, Some(0));
}

/// A limit on the size of files stands for a full disk.
#[test]
#[cfg(unix)]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, _) = uninterrupted(folder.path());
    let out = folder.path().join("out");
    let run = command(&out, &[]);
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 10; exec \"$@\"", "bash"]).arg(run.get_program()).args(run.get_args());
    let (code, words) = said(&mut limited);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("out.partial/journal: cannot be written"), "{words}");
    assert!(words.contains("the same command goes on from there"), "{words}");
    let (code, words) = said(&mut command(&out, &[]));
    assert!(code == Some(0) && words.contains("goes on"), "{words}");
    same(&out, &whole);
}
