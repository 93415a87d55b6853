//! What a run is: the caller's facts (model, data, options, adapter), the schema, and checksums of the data files.
//! In: a JSON object and the data files' bytes. Out: the bytes of `manifest.json`. Nothing volatile belongs here.
use super::table::{About, Table};
use super::verdict::{VERDICT, Verdict, verdicts};
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
        [("schema", json!(table.schema)), (table.measure.name(), of_table(table)?), ("files", Value::Object(files))]
    {
        if manifest.insert(key.into(), value).is_some() {
            return Err(Error::invalid("manifest.json", format!("the key '{key}' is reserved for the run directory")));
        }
    }
    pretty("manifest.json", &Value::Object(manifest))
}

/// Axes, labels, columns and facts of a table.
fn of_table(table: &Table) -> Result<Value> {
    let Value::Object(mut described) = table.facts.clone() else {
        return Err(Error::invalid(table.measure, "facts are no JSON object"));
    };
    let column = |a: About| json!({ "name": a.name, "formula": a.formula, "unit": a.unit, "meaning": a.meaning });
    let mut columns: Vec<Value> = table.columns.iter().map(|c| column(c.about)).collect();
    if let Some(verdicts) = verdicts(table) {
        columns.push(column(VERDICT));
        let count = |v: Verdict| (v.word().to_string(), json!(verdicts.iter().filter(|own| **own == v).count()));
        described.insert("verdicts".into(), Value::Object(Verdict::ALL.map(count).into_iter().collect()));
    }
    let axes: Vec<&str> = table.axes.iter().map(|a| a.name).collect();
    let labels = table.axes.iter().map(|a| (a.plural.to_string(), a.labels.json()));
    let own = [("axes", json!(axes)), ("shape", json!(table.shape())), ("columns", json!(columns))];
    let own = own.into_iter().map(|(key, value)| (key.to_string(), value));
    for (key, value) in labels.chain(own).collect::<Map<_, _>>() {
        described.insert(key, value);
    }
    let marked = table.marked().len();
    if marked > 0 {
        described.insert("not_finite".into(), marked.into());
    }
    Ok(Value::Object(described))
}

/// JSON as it lies in a run directory: indented, with a final newline.
pub fn pretty(name: &str, value: &Value) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::invalid(name, e))?;
    bytes.push(b'\n');
    Ok(bytes)
}
