//! What differs between two configurations. In: two JSON values, the one found and the one expected. Out: a line that names
//! the keys and both values; nothing if they are equal.
use serde_json::Value;
use std::collections::BTreeMap;

/// Differences that are named; the others are counted.
const NAMED: usize = 3;
/// Characters of a value that are shown.
const SHOWN: usize = 80;

/// The keys that differ, each with what was found and what was expected.
pub fn difference(found: &Value, expected: &Value) -> Option<String> {
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    flatten("", found, &mut ours);
    flatten("", expected, &mut theirs);
    let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| ours.get(*key) != theirs.get(*key));
    let line = |key: &&String| format!("{key}: found {}, expected {}", show(ours.get(*key)), show(theirs.get(*key)));
    let mut lines: Vec<String> = keys.iter().take(NAMED).map(line).collect();
    if keys.len() > NAMED {
        lines.push(format!("and {} more", keys.len() - NAMED));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// Objects by their keys, joined by dots; everything else as it is.
fn flatten(key: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                flatten(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, value, out);
            }
        }
        Value::Null => {} // an option that is not there
        value => {
            out.insert(key.to_string(), value.clone());
        }
    }
}

fn show(value: Option<&Value>) -> String {
    let text = value.map_or("nothing".to_string(), Value::to_string);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}
