//! What a run is: the caller's facts (model, data, options, adapter), the schema, and checksums of the data files.
//! In: a JSON object and the data files' bytes. Out: the bytes of `manifest.json`. Nothing volatile belongs here.
use super::circulation::Loops;
use super::schema::{AXES, COLUMNS, SCHEMA};
use crate::data::sha256_bytes;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// Adds `schema`, `circulation` and `files` to what the caller knows; these three keys are not the caller's.
pub fn bytes(facts: Value, loops: &Loops, files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let Value::Object(mut manifest) = facts else {
        return Err(Error::invalid("manifest.json", "expected a JSON object from the caller"));
    };
    let data = loops.data();
    let columns: Vec<Value> = COLUMNS
        .iter()
        .map(|c| json!({ "name": c.name, "formula": c.formula, "unit": c.unit, "meaning": c.meaning }))
        .collect();
    let circulation = json!({
        "axes": AXES,
        "shape": [data.paths.len(), data.timesteps.len(), data.samples],
        "paths": data.paths,
        "timesteps": data.timesteps,
        "noise": data.noise,
        "samples": data.samples,
        "points": data.points,
        "columns": columns,
    });
    let files: Map<String, Value> = files
        .iter()
        .map(|(name, bytes)| (name.to_string(), json!({ "bytes": bytes.len(), "sha256": sha256_bytes(bytes) })))
        .collect();
    for (key, value) in [("schema", json!(SCHEMA)), ("circulation", circulation), ("files", Value::Object(files))] {
        if manifest.insert(key.into(), value).is_some() {
            return Err(Error::invalid("manifest.json", format!("the key '{key}' is reserved for the run directory")));
        }
    }
    pretty("manifest.json", &Value::Object(manifest))
}

/// JSON as it lies in a run directory: indented, with a final newline.
pub fn pretty(name: &str, value: &Value) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::invalid(name, e))?;
    bytes.push(b'\n');
    Ok(bytes)
}
