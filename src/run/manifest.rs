//! What a run is: the caller's facts (model, data, options, adapter), the schema, and checksums of the data files.
//! In: a JSON object and the data files' bytes. Out: the bytes of `manifest.json`. Nothing volatile belongs here.
use super::table::Table;
use crate::data::sha256_bytes;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// Adds `schema`, the table under its measure's name, and `files` to what the caller knows; these keys are not the caller's.
pub fn bytes(facts: Value, table: &Table, files: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let Value::Object(mut manifest) = facts else {
        return Err(Error::invalid("manifest.json", "expected a JSON object from the caller"));
    };
    let files: Map<String, Value> = files
        .iter()
        .map(|(name, bytes)| (name.to_string(), json!({ "bytes": bytes.len(), "sha256": sha256_bytes(bytes) })))
        .collect();
    for (key, value) in
        [("schema", json!(table.schema)), (table.measure, table.json()?), ("files", Value::Object(files))]
    {
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
