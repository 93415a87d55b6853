//! JSON as Python writes it: `Infinity`, `-Infinity` and `NaN` may stand where numbers do. In: text. Out: a `Value` in which
//! these three are strings of the same letters, for a `Value` has no such numbers and JSON that is written has none either;
//! whoever wants a finite number refuses them like any other string. Keys that come twice are refused.
use crate::data;
use crate::error::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// What Python calls numbers that JSON does not have, the longer first.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The object that a file holds.
pub(super) fn read(file: &Path) -> Result<Map<String, Value>> {
    let text = data::text(file)?;
    data::not_a_pointer(file, text.as_bytes())?;
    match parse(&text).map_err(|e| Error::file(file, e))? {
        Value::Object(map) => Ok(map),
        other => Err(Error::file(file, format!("holds {}, expected an object of keys and values", kind(&other)))),
    }
}

/// What a value is, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Parses; errors have the line and column of the text as it is in the file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let (quoted, places) = quote(text);
    serde_json::from_str::<Once>(&quoted).map(|once| once.0).map_err(|e| {
        // The quotes that `quote` put in before this place have moved it.
        let before = places.iter().filter(|p| p.0 == e.line() && p.1 < e.column()).count();
        let (told, at) = (e.to_string(), format!(" at line {} column {}", e.line(), e.column()));
        match told.strip_suffix(&at) {
            Some(message) => format!("{message} at line {} column {}", e.line(), e.column() - 2 * before),
            None => told,
        }
    })
}

/// The text with quotes around Python's words where they are values, and the line and column of each such place.
fn quote(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut out, mut places) = (String::with_capacity(text.len()), vec![]);
    let (mut inside, mut escaped, mut line, mut start, mut at) = (false, false, 1, 0, 0);
    // The last character that is no space: a value follows one of `:[,` or begins the text.
    let mut last = ':';
    while let Some(c) = text[at..].chars().next() {
        let word = WORDS.iter().find(|w| {
            let rest = text[at..].strip_prefix(**w);
            rest.is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        if let Some(word) = word.filter(|_| !inside && matches!(last, ':' | '[' | ',')) {
            places.push((line, out.len() - start));
            out.push('"');
            out.push_str(word);
            out.push('"');
            at += word.len();
            last = '"';
            continue;
        }
        inside ^= c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
        out.push(c);
        at += c.len_utf8();
        if c == '\n' {
            (line, start) = (line + 1, out.len());
        }
        if !c.is_whitespace() {
            last = c;
        }
    }
    (out, places)
}

/// A value none of whose objects has a key twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Any).map(Once)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(Once(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = pairs.next_key::<String>()? {
            let Once(value) = pairs.next_value()?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("key '{key}' comes twice")));
            }
            map.insert(key, value);
        }
        Ok(map.into())
    }
}
