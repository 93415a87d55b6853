//! A run directory, read back: the table of any measure, its manifest and its log. In: a directory that `run::write_table`
//! wrote. Out: `Stored`; what is missing, of another version or not what the manifest promises is refused by its name.
use crate::data::{Array as Values, npz, sha256_file, text};
use crate::error::{Error, Result};
use crate::measures::MEASURES;
use crate::run::{
    Array, Axis, END, Labels, Matrices, Numbers, PATH, PLANE, Pictures, SAMPLE, SCHEMA, SIGMA, TIMESTEP, Table,
    TableAxis, TableColumn, VERDICT,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Versions of the layout that are read, see docs/FORMATS.md. The first has no words of verdict, and a column `resolved` that
/// passed over errors which had not been measured; verdicts are the errors' to give, in all. Up to the second sigma is called `noise`.
const SCHEMAS: [u64; 3] = [1, 2, SCHEMA as u64];
/// Columns that say what follows from others.
const SAID: [&str; 2] = ["resolved", VERDICT.name];
/// Every axis that a measure may have.
const AXES: [Axis; 5] = [PATH, PLANE, END, TIMESTEP, SAMPLE];

/// A finished run.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Name of the directory.
    pub name: String,
    /// What was measured, columns in the order of this program's schema. Of other arrays it holds `sigma` (f64
    /// `[timestep]`) and, where the measure has them, `jacobian` and `components`, and its pictures.
    pub table: Table,
    /// All of `manifest.json`.
    pub manifest: Value,
    /// `run_log.json`; null if there is none.
    pub log: Value,
    /// Columns that the run has and this program does not know.
    pub unknown: Vec<String>,
}

/// Reads a run directory. The checksum of its arrays must be the manifest's; its CSV and plots are not looked at.
///
/// # Errors
/// A file that is missing, damaged, of another schema or not the manifest's; an unknown measure.
pub fn read(dir: &Path) -> Result<Stored> {
    if unfinished(dir) {
        return Err(Error::file(
            dir,
            "is an unfinished run, which has no results yet: its own command goes on with it",
        ));
    }
    if !dir.is_dir() {
        return Err(Error::file(dir, "is no directory, expected a run directory with a manifest.json"));
    }
    let path = dir.join("manifest.json");
    let manifest = json(&path)?;
    let bad = |message: String| Error::file(&path, message);
    match manifest["schema"].as_u64() {
        Some(schema) if SCHEMAS.contains(&schema) => {}
        _ => {
            let known = SCHEMAS.map(|s| s.to_string()).join(", ");
            return Err(bad(format!("has schema {}, this program reads {known}", manifest["schema"])));
        }
    }
    let Some(&measure) = MEASURES.iter().find(|m| manifest[m.name()]["columns"].is_array()) else {
        if manifest["shard"].is_object() {
            return Err(bad("is that of a shard: merge it with the others first (vorticity merge)".into()));
        }
        let names: Vec<&str> = MEASURES.iter().map(|m| m.name()).collect();
        return Err(bad(format!("describes no table of {}", names.join(", "))));
    };
    let (described, abouts) = (&manifest[measure.name()], measure.columns());
    let axes = axes(described).map_err(|e| bad(format!("'{measure}' {e}")))?;
    let arrays = dir.join(format!("{measure}.npz"));
    let promised = manifest["files"][format!("{measure}.npz")]["sha256"].as_str().unwrap_or("nothing");
    let found = sha256_file(&arrays)?;
    if found != promised {
        return Err(Error::file(&arrays, format!("has the SHA-256 {found}, its manifest says {promised}")));
    }
    let names: Vec<&str> =
        described["columns"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
    let shape: Vec<usize> = axes.iter().map(|a| a.labels.len()).collect();
    let mut columns = vec![];
    for &about in abouts.iter().filter(|a| names.contains(&a.name)) {
        columns.push(TableColumn { about, values: floats(&arrays, about.name, Some(&shape))?.1 });
    }
    if columns.is_empty() {
        return Err(bad(format!("'{measure}' has no column that this program knows")));
    }
    let mut table = Table { measure, schema: SCHEMA, axes, columns, arrays: vec![], facts: described.clone() };
    if let Some(levels) = described[SIGMA].as_array().or(described["noise"].as_array()) {
        let sigma: Vec<f64> = levels.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
        let expected = table.axes.iter().find(|a| a.name == TIMESTEP.name).map_or(0, |a| a.labels.len());
        if sigma.len() != expected {
            return Err(bad(format!("'{measure}' has {} noise levels for {expected} timesteps", sigma.len())));
        }
        table.arrays.push(Array { name: SIGMA, shape: vec![expected], values: Numbers::F64(sigma) });
    }
    if let Some(own) = measure.info().matrices {
        matrices(&arrays, own, &mut table)?;
    }
    for name in measure.info().pictures.iter().flat_map(Pictures::arrays) {
        let (shape, values) = floats(&arrays, name, None)?;
        let values = Numbers::F32(values.into_iter().map(|v| v as f32).collect());
        table.arrays.push(Array { name, shape, values });
    }
    let log = dir.join("run_log.json");
    Ok(Stored {
        name: name(dir),
        unknown: names
            .iter()
            .filter(|n| !SAID.contains(n) && !abouts.iter().any(|a| a.name == **n))
            .map(|n| n.to_string())
            .collect(),
        log: if log.exists() { json(&log)? } else { Value::Null },
        table,
        manifest,
    })
}

/// Whether a run is on its way there: in the directory itself, or beside it or in it until it is whole.
fn unfinished(dir: &Path) -> bool {
    let mut beside = dir.as_os_str().to_os_string();
    beside.push(".partial");
    let places = [dir.to_path_buf(), beside.into(), dir.join(".vorticity.partial")];
    !dir.join("manifest.json").exists() && places.iter().any(|place| place.join("journal").is_file())
}

/// The last part of the path, also of `.` and `..`.
fn name(dir: &Path) -> String {
    let whole = dir.canonicalize().unwrap_or_else(|_| PathBuf::from(dir));
    whole.file_name().map_or_else(|| dir.display().to_string(), |n| n.to_string_lossy().into_owned())
}

fn json(path: &Path) -> Result<Value> {
    serde_json::from_str(&text(path)?).map_err(|e| Error::file(path, format!("is not JSON: {e}")))
}

/// The axes as a manifest has them; the message begins after the name of the table.
fn axes(described: &Value) -> Result<Vec<TableAxis>, String> {
    let names = described["axes"].as_array().ok_or("has no list of axes")?;
    let axis = |name: &Value| -> Result<TableAxis, String> {
        let known = AXES.iter().find(|known| name == known.name);
        let &axis = known.ok_or_else(|| format!("has the axis {name}, expected path, timestep or sample"))?;
        let labels = &described[axis.plural];
        let numbers =
            || labels.as_array()?.iter().map(|v| usize::try_from(v.as_u64()?).ok()).collect::<Option<Vec<_>>>();
        let texts = || labels.as_array()?.iter().map(|v| v.as_str().map(str::to_string)).collect::<Option<Vec<_>>>();
        let labels = match axis {
            PATH | END => texts().filter(|t| !t.iter().any(|t| t.chars().any(char::is_control))).map(Labels::Text),
            PLANE | TIMESTEP => numbers().map(Labels::Numbers),
            _ => labels.as_u64().and_then(|n| usize::try_from(n).ok()).map(Labels::Count),
        };
        let labels =
            labels.ok_or_else(|| format!("has no '{}', or not of the kind that this axis has", axis.plural))?;
        Ok(TableAxis::of(axis, labels))
    };
    let axes = names.iter().map(axis).collect::<Result<Vec<_>, _>>()?;
    let shape: Vec<&str> = axes.iter().map(|a| a.name).collect();
    let own = if shape.len() == 3 && ["path", "plane", "end"].contains(&shape[0]) { &shape[1..] } else { &shape[..] };
    if ![&["timestep", "sample"][..], &["sample"]].contains(&own) {
        return Err(format!("has the axes {}, expected [path, timestep, sample] or its end", shape.join(", ")));
    }
    Ok(axes)
}

/// An array of the NPZ and its shape, which is `expected` if that is given. Its length is checked before anything is read.
fn floats(file: &Path, name: &str, expected: Option<&[usize]>) -> Result<(Vec<usize>, Vec<f64>)> {
    let mut array = Values::of(file, name)?;
    let dims = array.dims().to_vec();
    if expected.is_some_and(|e| e != dims) {
        return Err(array.error(format!("has shape {dims:?}, its manifest says {:?}", expected.unwrap_or_default())));
    }
    let mut values = vec![];
    array.read(&mut values, dims.iter().product())?;
    Ok((dims, values))
}

/// `jacobian` `[timestep, sample, K, K]` and, of sub-Jacobians, `components` `[sample, K]`.
fn matrices(file: &Path, own: Matrices, table: &mut Table) -> Result<()> {
    let (shape, values) = floats(file, "jacobian", None)?;
    let places = table.shape();
    if shape.len() != 4 || shape[..2] != places || shape[2] != shape[3] {
        let said = format!("array 'jacobian' has shape {shape:?}, expected K x K matrices at {places:?}");
        return Err(Error::file(file, said));
    }
    let size = shape[3];
    let values = Numbers::F32(values.into_iter().map(|v| v as f32).collect());
    table.arrays.push(Array { name: "jacobian", shape, values });
    if own.components {
        let (shape, values) = npz::counted(file, "components")?;
        if shape != [places[1], size] {
            let said = format!("array 'components' has shape {shape:?}, expected [{}, {size}]", places[1]);
            return Err(Error::file(file, said));
        }
        let values = Numbers::I64(values.into_iter().map(|v| v as i64).collect());
        table.arrays.push(Array { name: "components", shape, values });
    }
    Ok(())
}
