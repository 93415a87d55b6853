//! What a user names: a path, `FILE#tensor`, or something made by name, `field:NAME?key=value&..` and `data:NAME?..`.
//! In: text as the system has it, since paths need not be Unicode. Out: its parts; what the parameters leave over is an error.
use crate::error::{Error, Result};
use os_str_bytes::OsStrBytesExt;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A model, data, or an array, as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec(OsString);

impl Spec {
    /// What follows `scheme` (`field:`, `data:`), if it begins so.
    pub fn after(&self, scheme: &str) -> Option<&OsStr> {
        self.0.strip_prefix(scheme)
    }

    /// True for a closed form, `field:NAME?..`.
    pub fn is_closed_form(&self) -> bool {
        self.after("field:").is_some()
    }

    /// The whole of it, as a path.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The last part of a path: where a file lies on this machine is nobody's business.
    pub fn file_name(&self) -> String {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        match self.after("data:").or(self.after("field:")) {
            None => name(self.path()).unwrap_or_else(|| self.to_string()),
            // Of a file among the parameters too.
            Some(_) => self.to_string().rsplit(['/', '\\']).next().unwrap_or_default().to_string(),
        }
    }

    /// `FILE#tensor` to its parts; a file whose own name has a '#' wins.
    pub fn tensor(&self) -> (PathBuf, Option<String>) {
        if self.path().exists() {
            return (self.path().into(), None);
        }
        match self.0.rsplit_once('#') {
            Some((file, tensor)) => (file.into(), Some(tensor.to_string_lossy().into_owned())),
            None => (self.path().into(), None),
        }
    }

    /// The tensor `name` of this file.
    pub fn with_tensor(&self, name: &str) -> Self {
        let mut text = self.0.clone();
        text.push("#");
        text.push(name);
        Self(text)
    }

    /// The parts of a list that commas separate. The name of a file, `NAME?file=..`, may have commas: the longest stretch
    /// that is a file is its name.
    pub fn list(&self) -> Vec<Self> {
        let pieces: Vec<&OsStr> = self.0.split(',').collect();
        let (mut parts, mut next) = (vec![], 0);
        while next < pieces.len() {
            let joined = |end: usize| Self(pieces[next..end].join(OsStr::new(",")));
            // Commas that are not in the name of a file separate.
            let whole = |part: &Self, end: usize| match part.named("") {
                Ok(Some((_, params))) => {
                    params.values.get(FILE).is_some_and(|file| is_file(file) && file.split(',').count() == end - next)
                }
                _ => false,
            };
            let found =
                (next + 2..=pieces.len()).rev().map(|end| (end, joined(end))).find(|(end, part)| whole(part, *end));
            let (end, part) = found.unwrap_or_else(|| (next + 1, joined(next + 1)));
            parts.push(part);
            next = end;
        }
        parts
    }

    /// Name and parameters of what follows `scheme`; none if it does not begin so.
    pub fn named(&self, scheme: &str) -> Result<Option<(String, Params)>> {
        let Some(rest) = self.after(scheme) else { return Ok(None) };
        let (name, query) = rest.split_once('?').unwrap_or((rest, OsStr::new("")));
        let name = name.to_str().ok_or_else(|| Error::invalid(self, "its name is no Unicode text"))?;
        Ok(Some((name.to_string(), Params::of(self, query)?)))
    }
}

impl<T: AsRef<OsStr> + ?Sized> From<&T> for Spec {
    fn from(text: &T) -> Self {
        Self(text.as_ref().to_os_string())
    }
}

impl From<OsString> for Spec {
    fn from(text: OsString) -> Self {
        Self(text)
    }
}

impl From<String> for Spec {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl AsRef<OsStr> for Spec {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The parameter that names a file.
const FILE: &str = "file";

/// True of `FILE` and of `FILE#tensor`; what separates parameters and lists may be in the file's name, not in the tensor's.
fn is_file(name: &OsStr) -> bool {
    let (file, tensor) = Spec::from(name).tensor();
    file.exists() && tensor.is_none_or(|tensor| !tensor.contains(['&', ',']))
}

/// Parameters `key=value&..`; what nobody takes is an error.
#[derive(Debug)]
pub struct Params {
    /// What has them, for messages.
    pub place: String,
    values: BTreeMap<String, OsString>,
    /// What somebody has asked for.
    known: Vec<String>,
}

impl Params {
    fn of(spec: &Spec, query: &OsStr) -> Result<Self> {
        let mut params = Self { place: spec.to_string(), values: BTreeMap::new(), known: vec![] };
        let pairs: Vec<&OsStr> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let mut next = 0;
        while next < pairs.len() {
            let key_value = |pair: &OsStr| {
                let (key, value) = pair.split_once('=')?;
                Some((key.to_str()?.to_string(), value.to_os_string()))
            };
            let Some((key, mut value)) = key_value(pairs[next]) else {
                return Err(params.error(format!("'{}' is not key=value", pairs[next].display())));
            };
            next += 1;
            // A file's name may hold what separates parameters: the longest stretch that is a file is its name.
            if key == FILE {
                let stretches = (next..=pairs.len()).rev().map(|end| {
                    let mut name = value.clone();
                    for piece in &pairs[next..end] {
                        name.push("&");
                        name.push(piece);
                    }
                    (end, name)
                });
                if let Some((end, name)) = stretches.into_iter().find(|(_, name)| is_file(name)) {
                    (next, value) = (end, name);
                }
            }
            if params.values.insert(key.clone(), value).is_some() {
                return Err(params.error(format!("'{key}' is given twice")));
            }
        }
        Ok(params)
    }

    fn error(&self, message: String) -> Error {
        let hint = match self.values.get(FILE) {
            Some(file) => format!(
                "; '&' ends a file's name unless that makes the name of a file, and '{}' is none",
                file.display()
            ),
            None => String::new(),
        };
        Error::invalid(&self.place, message + &hint)
    }

    /// Refuses what nobody has taken; `name` is what does not take it.
    pub fn finish(self, name: &str) -> Result<()> {
        let Some(key) = self.values.keys().next() else { return Ok(()) };
        let known = match self.known.is_empty() {
            true => "it has none".into(),
            false => format!("known: {}", self.known.join(", ")),
        };
        Err(self.error(format!("'{key}' is not a parameter of {name}; {known}")))
    }

    fn asked(&mut self, key: &str) {
        if !self.known.iter().any(|known| known == key) {
            self.known.push(key.into());
        }
    }

    /// What is given for `key`, in words.
    pub fn shown(&self, key: &str) -> Option<String> {
        self.values.get(key).map(|value| value.display().to_string())
    }

    /// The value of `key`, if it is given.
    pub fn take<T: FromStr>(&mut self, key: &str) -> Result<Option<T>> {
        self.asked(key);
        let Some(text) = self.values.remove(key) else { return Ok(None) };
        let wrong =
            || Error::invalid(&self.place, format!("{key}={} is not a value of the right kind", text.display()));
        text.to_str().and_then(|text| text.parse().ok()).map(Some).ok_or_else(wrong)
    }

    /// The file of `file=PATH`, if it is given.
    pub fn take_file(&mut self) -> Option<PathBuf> {
        self.asked(FILE);
        self.values.remove(FILE).map(PathBuf::from)
    }

    /// A finite number, or `default`.
    pub fn finite(&mut self, key: &str, default: f64) -> Result<f64> {
        let value = self.take(key)?.unwrap_or(default);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::invalid(&self.place, format!("{key}={value} is not finite")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_called_anything() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a&b=c?d#e f");
        std::fs::write(&odd, "x").unwrap();
        let of = |text: OsString| Spec::from(text).named("field:").unwrap().unwrap();
        let mut text = OsString::from("field:mixture?file=");
        text.push(&odd);
        text.push("&schedule=linear");
        let (name, mut params) = of(text);
        assert_eq!((name.as_str(), params.take_file()), ("mixture", Some(odd.clone())));
        assert_eq!(params.take::<String>("schedule").unwrap().as_deref(), Some("linear"));
        params.finish("mixture").unwrap();

        let list =
            |text: OsString| -> Vec<OsString> { Spec::from(text).list().into_iter().map(|part| part.0).collect() };
        assert_eq!(list("a,b?c=1,,d".into()), ["a", "b?c=1", "", "d"]);
        assert_eq!(list("a?file=no,b".into()), ["a?file=no", "b"], "no file has that name");
        for name in ["a,b.npy", "a,b&c,d=e?f", ","] {
            let file = folder.path().join(name);
            std::fs::write(&file, "x").unwrap();
            for tensor in ["", "#x"] {
                let mut one = OsString::from("polyline?file=");
                one.push(&file);
                one.push(tensor);
                one.push("&c=1");
                let mut all = OsString::from("rotation,");
                all.push(&one);
                all.push(",projection?arcs=5,brownian");
                assert_eq!(
                    list(all),
                    [OsStr::new("rotation"), &one, "projection?arcs=5".as_ref(), "brownian".as_ref()]
                );
            }
        }

        let absent = Spec::from("field:mixture?file=no&b=c");
        let (_, mut params) = absent.named("field:").unwrap().unwrap();
        assert_eq!(params.shown("file").as_deref(), Some("no"));
        let error = params.take::<usize>("b").unwrap_err().to_string();
        assert!(error.contains("b=c is not a value of the right kind"), "{error}");
        let error = Spec::from("field:mixture?file=no&b").named("field:").unwrap_err().to_string();
        assert!(error.contains("'b' is not key=value; '&' ends a file's name"), "{error}");
        assert!(Spec::from("field:x?a=1&a=2").named("field:").unwrap_err().to_string().contains("'a' is given twice"));

        assert_eq!(Spec::from(&odd).tensor(), (odd.clone(), None), "a file whose own name has a '#'");
        let mut with = odd.clone().into_os_string();
        with.push("#x");
        assert_eq!(Spec::from(with).tensor(), (odd, Some("x".into())));
    }
}
