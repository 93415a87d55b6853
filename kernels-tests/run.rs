//! The run directory: whole or absent, byte-identical, and readable by others.
use ndarray::{Array1, Array3};
use ndarray_npy::NpzReader;
use serde_json::{Value, json};
use std::io::Cursor;
use std::path::Path;
use tempfile::TempDir;
use vorticity::data::sha256_file;
use vorticity::error::Result;
use vorticity::measures::Circulation;
use vorticity::measures::circulation::{ERRORS, Loop, Loops, loops, measured};
use vorticity::run::{Measure, RunDir, SCHEMA, Table, write_table};

/// A circulation, column by column of those that are measured.
pub struct Example {
    pub paths: Vec<String>,
    pub timesteps: Vec<usize>,
    pub sigma: Vec<f64>,
    pub samples: usize,
    pub points: usize,
    pub columns: Vec<Column>,
}

pub struct Column {
    pub name: &'static str,
    pub values: Vec<f64>,
}

impl Example {
    pub fn table(&self) -> Result<Table> {
        let one = |i: usize| -> Loop {
            let values: Vec<f64> = self.columns.iter().map(|c| c.values[i]).collect();
            bytemuck::pod_read_unaligned(bytemuck::cast_slice(&values))
        };
        let (paths, timesteps, sigma) = (self.paths.clone(), self.timesteps.clone(), self.sigma.clone());
        let loops = (0..self.columns[0].values.len()).map(one).collect();
        Loops { paths, timesteps, sigma, samples: self.samples, points: self.points, loops }.table()
    }
}

/// 2 paths, 3 timesteps, 5 samples; every number differs from every other.
pub fn example() -> Example {
    let columns = measured().enumerate().map(|(c, name)| {
        let sign = |i: usize| if name == "integral" && i % 2 == 1 { -1.0 } else { 1.0 };
        let scale = if ERRORS.contains(&name) { 1e-6 } else { 1.0 };
        let values = (0..30).map(|i| sign(i) * scale * (1.5 + c as f64 + i as f64 / 7.0)).collect();
        Column { name, values }
    });
    Example {
        paths: vec!["rotation".into(), "brownian, \"π\"".into()],
        timesteps: vec![1, 11, 991],
        sigma: vec![0.01, 0.1, 0.99],
        samples: 5,
        points: 1000,
        columns: columns.collect(),
    }
}

fn written(out: &Path, data: &Example) {
    let dir = RunDir::create(out).unwrap();
    write_table(&dir, &data.table().unwrap(), json!({ "model": "m" }), json!({ "seconds": 1.5 })).unwrap();
    dir.write("plots/a.svg", b"<svg/>").unwrap();
    dir.finish().unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_finished_run_has_its_files_and_nothing_beside_it() {
    let scratch = TempDir::new().unwrap();
    let out = scratch.path().join("out");
    written(&out, &example());
    assert_eq!(names(scratch.path()), ["out"]);
    assert_eq!(names(&out), ["circulation.csv", "circulation.npz", "manifest.json", "plots", "run_log.json"]);
    assert_eq!(std::fs::read(out.join("plots/a.svg")).unwrap(), b"<svg/>");
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["schema"], &manifest["model"]), (&json!(SCHEMA), &json!("m")));
    assert_eq!(manifest["circulation"]["shape"], json!([2, 3, 5]));
    for name in ["circulation.csv", "circulation.npz"] {
        assert_eq!(manifest["files"][name]["sha256"], json!(sha256_file(out.join(name)).unwrap()));
    }
    assert!(!manifest.to_string().contains("seconds"), "volatile facts stay in run_log.json");
}

#[test]
fn equal_results_give_equal_bytes() {
    let scratch = TempDir::new().unwrap();
    let (a, b, c) = (scratch.path().join("a"), scratch.path().join("b"), scratch.path().join("c"));
    let mut data = example();
    written(&a, &data);
    std::thread::sleep(std::time::Duration::from_millis(2100)); // zip's clock ticks every two seconds
    written(&b, &data);
    data.columns[0].values[7] = f64::from_bits(data.columns[0].values[7].to_bits() + 1);
    written(&c, &data);
    for name in ["circulation.csv", "circulation.npz", "manifest.json"] {
        let read = |dir: &Path| std::fs::read(dir.join(name)).unwrap();
        assert!(read(&a) == read(&b), "{name} differs between equal runs");
        assert!(read(&a) != read(&c), "{name} does not show a change in the last bit");
    }
    // Every zip entry carries zip's first day, 1980-01-01, whatever the features of the zip crate.
    let npz = std::fs::read(a.join("circulation.npz")).unwrap();
    let entries: Vec<usize> = (0..npz.len() - 4).filter(|&i| npz[i..].starts_with(b"PK\x03\x04")).collect();
    assert_eq!(entries.len(), 3 + Circulation.columns().len() + 1); // and the verdicts
    assert!(entries.iter().all(|&i| npz[i + 10..i + 14] == [0, 0, 0x21, 0]));
}

#[test]
fn npz_and_csv_hold_every_bit_of_every_column() {
    let scratch = TempDir::new().unwrap();
    let out = scratch.path().join("out");
    let mut data = example();
    data.columns[1].values[3] = 0.0; // |Gamma| / 0
    data.columns[0].values[4] = 1.2345678901234567e-300;
    written(&out, &data);
    let mut npz = NpzReader::new(Cursor::new(std::fs::read(out.join("circulation.npz")).unwrap())).unwrap();
    let timesteps: Array1<i64> = npz.by_name("timesteps").unwrap();
    assert_eq!(timesteps.to_vec(), [1, 11, 991]);
    let sigma: Array1<f64> = npz.by_name("sigma").unwrap();
    assert_eq!(sigma.to_vec(), data.sigma);
    let mut table = csv::Reader::from_path(out.join("circulation.csv")).unwrap();
    let header = table.headers().unwrap().clone();
    assert_eq!(header.iter().take(4).collect::<Vec<_>>(), ["path", "timestep", "sigma", "sample"]);
    let columns = Circulation.columns().into_iter().map(|c| c.name).chain(["verdict"]);
    assert_eq!(header.iter().skip(4).collect::<Vec<_>>(), columns.collect::<Vec<_>>());
    let rows: Vec<_> = table.records().map(|r| r.unwrap()).collect();
    assert_eq!(rows.len(), 30);
    let place = |i: usize| {
        let k = i / 5 % 3;
        [data.paths[i / 15].clone(), data.timesteps[k].to_string(), data.sigma[k].to_string(), (i % 5).to_string()]
    };
    for (c, spec) in Circulation.columns().into_iter().enumerate() {
        let array: Array3<f64> = npz.by_name(spec.name).unwrap();
        assert_eq!(array.shape(), [2, 3, 5]);
        for (i, (value, row)) in array.iter().zip(&rows).enumerate() {
            let read: f64 = row[c + 4].parse().unwrap();
            assert_eq!(read.to_bits(), value.to_bits(), "{} row {i}", spec.name);
            assert_eq!(row.iter().take(4).collect::<Vec<_>>(), place(i));
        }
        if let Some(measured) = data.columns.iter().find(|m| m.name == spec.name) {
            assert_eq!(array.iter().copied().collect::<Vec<_>>(), measured.values);
        }
    }
    let lengths: Array3<f64> = npz.by_name("integral_over_length").unwrap();
    assert_eq!(lengths[[0, 0, 3]], f64::INFINITY);
}

#[test]
fn path_names_are_a_fixed_width_unicode_array() {
    let scratch = TempDir::new().unwrap();
    let out = scratch.path().join("out");
    written(&out, &example());
    let npz = std::fs::read(out.join("circulation.npz")).unwrap();
    let at = npz.windows(6).position(|w| w == b"\x93NUMPY").unwrap(); // paths is the first entry
    let length = u16::from_le_bytes([npz[at + 8], npz[at + 9]]) as usize;
    assert_eq!((10 + length) % 64, 0);
    let header = std::str::from_utf8(&npz[at + 10..at + 10 + length]).unwrap();
    assert!(header.contains("'descr': '<U13'") && header.contains("'shape': (2,)"), "{header}");
    let data = &npz[at + 10 + length..][..2 * 13 * 4];
    let text: String =
        data.as_chunks::<4>().0.iter().map(|&b| char::from_u32(u32::from_le_bytes(b)).unwrap()).collect();
    assert_eq!(text, format!("rotation{}brownian, \"π\"", "\0".repeat(5)));
}

#[test]
fn derived_columns_follow_their_formulas() {
    let l = Loop {
        integral: -6.0,
        length: 2.0,
        norm_sum: 4.0,
        abs_terms: 12.0,
        score_norm_sum: 24.0,
        authors: 5.0,
        rounding: -2.0,
        quadrature: f64::NAN,
        arithmetic: 0.5,
        evaluations: 7.0,
    };
    let columns = |l: Loop| {
        let (paths, timesteps, sigma) = (vec!["rotation".to_string()], vec![1], vec![0.1]);
        Loops { paths, timesteps, sigma, samples: 1, points: 8, loops: vec![l] }.table().unwrap()
    };
    let value = |name: &str, l: Loop| columns(l).column(name).unwrap().values[0];
    let expected = [
        ("integral", -6.0),
        ("authors", 5.0),
        ("abs_integral", 6.0),
        ("integral_over_norm_sum", 1.5),
        ("eq7", -3.0),
        ("integral_over_length", 3.0),
        ("integral_over_abs", 0.5),
        ("integral_over_score_norm", 0.25),
        ("error", 2.0),
    ];
    for (name, number) in expected {
        assert_eq!(value(name, l), number, "{name}");
    }
    assert_eq!(value("eq7", l.with_integral(l.rounding)), -1.0);
    // Measured columns are the fields of a loop in their order, and are read back as such.
    let numbered: [f64; 10] = std::array::from_fn(|i| i as f64);
    let table = columns(bytemuck::cast(numbered));
    for (i, name) in measured().enumerate() {
        assert_eq!(table.column(name).unwrap().values, [i as f64], "{name}");
    }
    assert_eq!(bytemuck::cast::<Loop, [f64; 10]>(loops(&table).unwrap()[0]), numbered);
}

#[test]
fn a_dropped_run_leaves_nothing() {
    let scratch = TempDir::new().unwrap();
    let out = scratch.path().join("out");
    let dir = RunDir::create(&out).unwrap();
    dir.write("plots/a.svg", b"half").unwrap();
    assert_eq!(names(scratch.path()).len(), 1, "the temporary directory is a sibling");
    assert!(!out.exists());
    drop(dir);
    assert!(names(scratch.path()).is_empty());
}

#[test]
fn a_taken_place_is_refused_before_any_work() {
    let scratch = TempDir::new().unwrap();
    let said = |out: &Path| RunDir::create(out).unwrap_err().to_string();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"precious").unwrap();
    assert!(said(&file).contains("is a file, expected a new or empty directory"));
    let full = scratch.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("x"), b"precious").unwrap();
    assert!(said(&full).contains("is a directory with files in it"));
    assert!(said(&scratch.path().join("absent/out")).contains("absent: no directory can be made here"));
    assert!(said(Path::new("..")).contains("expected a new directory"));
    assert_eq!(names(scratch.path()), ["file", "full"], "refusals leave no temporary directory");
    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    written(&empty, &example());
    assert!(empty.join("manifest.json").exists());
}

#[test]
fn a_place_taken_during_the_run_does_not_lose_the_run() {
    let scratch = TempDir::new().unwrap();
    let out = scratch.path().join("out");
    let dir = RunDir::create(&out).unwrap();
    dir.write("a", b"result").unwrap();
    std::fs::write(&out, b"someone else's").unwrap();
    let message = dir.finish().unwrap_err().to_string();
    assert_eq!(std::fs::read(&out).unwrap(), b"someone else's");
    let kept = message.split(": ").next().unwrap();
    assert_eq!(std::fs::read(Path::new(kept).join("a")).unwrap(), b"result", "{message}");
}

#[test]
fn files_stay_inside_the_directory() {
    let scratch = TempDir::new().unwrap();
    let dir = RunDir::create(&scratch.path().join("out")).unwrap();
    for name in ["", "../escape", "/escape", "plots/../../escape", "."] {
        assert!(dir.write(name, b"").unwrap_err().to_string().contains("is not a name inside it"), "{name}");
    }
    dir.write("a", b"1").unwrap();
    assert!(dir.write("a", b"2").is_err(), "no file is written twice");
}

#[test]
fn inconsistent_results_are_refused() {
    let scratch = TempDir::new().unwrap();
    let said = |change: fn(&mut Loops)| {
        let Example { paths, timesteps, sigma, samples, points, .. } = example();
        let loops = loops(&example().table().unwrap()).unwrap();
        let mut data = Loops { paths, timesteps, sigma, samples, points, loops };
        assert!(data.table().is_ok());
        change(&mut data);
        data.table().unwrap_err().to_string()
    };
    assert!(said(|d| d.loops.truncate(29)).contains("29 loops, expected [2, 3, 5]"));
    assert!(said(|d| d.sigma.truncate(2)).contains("2 noise levels for 3 timesteps"));
    assert!(said(|d| d.paths[1] = "rotation".into()).contains("repeated"));
    let mut short = example().table().unwrap();
    short.columns[2].values.truncate(29);
    let dir = RunDir::create(&scratch.path().join("out")).unwrap();
    let refused = write_table(&dir, &short, json!({}), json!({})).unwrap_err().to_string();
    assert!(refused.contains("'norm_sum': 29 values, expected [2, 3, 5]"), "{refused}");
    short.columns.remove(6);
    assert!(loops(&short).unwrap_err().to_string().contains("column 'rounding' is missing"));
    let manifest = |m: Value| write_table(&dir, &example().table().unwrap(), m, json!({})).unwrap_err().to_string();
    assert!(manifest(json!([1])).contains("expected a JSON object"));
    assert!(manifest(json!({ "files": 1 })).contains("the key 'files' is reserved"));
}
