//! Conditions: what a network is told besides x and the label, a class, a text's embedding, a number. In: `NAME=VALUE` or
//! `NAME=FILE#tensor` of a config or an option, and what the network's input of that name holds. Out: its numbers, one set for
//! the run or one for each sample, and which of the distinct sets each sample is under.
use super::facts::Fact;
use crate::data;
use crate::error::{Error, Result};
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What is given for a condition, as configs write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// One number.
    Number(f64),
    /// Numbers, in C order.
    Numbers(Vec<f64>),
    /// `FILE` or `FILE#tensor`, from the folder of the config on.
    File(String),
}

impl Given {
    /// Of an option: a number, numbers that commas separate, or a file.
    pub fn parse(spec: &Spec) -> Self {
        let text = spec.to_string();
        let numbers: std::result::Result<Vec<f64>, _> =
            text.split(',').map(|word| word.trim().parse::<f64>()).collect();
        match numbers {
            _ if spec.path().is_file() => Self::File(text),
            Ok(numbers) if numbers.len() == 1 => Self::Number(numbers[0]),
            Ok(numbers) => Self::Numbers(numbers),
            Err(_) => Self::File(text),
        }
    }

    /// In words.
    fn describe(&self) -> String {
        match self {
            Self::Number(v) => v.to_string(),
            Self::Numbers(v) if v.len() <= 8 => format!("{v:?}"),
            Self::Numbers(v) => format!("{} numbers", v.len()),
            Self::File(file) => Spec::from(file.as_str()).file_name(),
        }
    }
}

/// What a network takes as a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Sizes of its axes, the batch of one among them where the network has that; none of an axis that is left open.
    pub shape: Vec<Option<usize>>,
    /// Whole numbers only.
    pub whole: bool,
    /// Numbers from 0 to below this: rows of a table.
    pub below: Option<usize>,
}

/// What was read of a condition.
#[derive(Clone, Debug)]
pub struct Values {
    /// Sizes of the axes, for one sample.
    pub shape: Vec<usize>,
    /// One value, or one for each distinct condition (while it is read, for each sample).
    pub rows: Vec<Vec<f64>>,
    sha256: Option<String>,
}

/// The conditions of a network, by name, and which samples are under which.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// By name.
    pub values: BTreeMap<String, Values>,
    /// The condition that each sample is under; none where all are under the same.
    of_sample: Option<Vec<usize>>,
    /// What manifests say of each.
    facts: BTreeMap<String, Value>,
}

impl Conditions {
    /// Reads what a network's own config, whose files lie in `folder`, and a user give for what is wanted; a user's come first.
    ///
    /// # Errors
    /// A name that the network does not take, one that is missing, numbers that do not fit.
    pub fn of(
        own: &BTreeMap<String, Given>,
        said: &BTreeMap<String, Given>,
        folder: &Path,
        wanted: &[Wanted],
    ) -> Result<Self> {
        let mut given: BTreeMap<&String, (&Given, Option<&Path>)> =
            own.iter().map(|(name, value)| (name, (value, Some(folder)))).collect();
        given.extend(said.iter().map(|(name, value)| (name, (value, None))));
        let known = || match wanted {
            [] => "the network takes none".to_string(),
            _ => format!("the network takes {}", wanted.iter().map(|w| w.name.as_str()).collect::<Vec<_>>().join(", ")),
        };
        if let Some(name) = given.keys().find(|name| !wanted.iter().any(|w| w.name == ***name)) {
            return Err(Error::invalid(
                format!("condition '{name}'"),
                format!("is none of the network's: {}", known()),
            ));
        }
        let (mut all, mut facts) = (BTreeMap::new(), BTreeMap::new());
        for want in wanted {
            let Some((value, folder)) = given.get(&want.name) else {
                let message = format!(
                    "is not given, and the network takes {}: --condition {}=VALUE or =FILE#tensor, or conditions of the model's \
                     config",
                    want.sizes(),
                    want.name
                );
                return Err(Error::invalid(format!("condition '{}'", want.name), message));
            };
            let read = want.read(value, *folder)?;
            let mut fact = json!({ "value": value.describe(), "rows": read.rows.len() });
            if let Some(sha256) = &read.sha256 {
                fact["sha256"] = sha256.clone().into();
            }
            facts.insert(want.name.clone(), fact);
            all.insert(want.name.clone(), read);
        }
        Self::distinct(all, facts)
    }

    /// Numbers the distinct conditions.
    fn distinct(mut all: BTreeMap<String, Values>, facts: BTreeMap<String, Value>) -> Result<Self> {
        let Some((most, samples)) = all.iter().map(|(name, v)| (name, v.rows.len())).max_by_key(|(_, n)| *n) else {
            return Ok(Self::default());
        };
        if samples == 1 {
            return Ok(Self { values: all, of_sample: None, facts });
        }
        if let Some((name, other)) = all.iter().find(|(_, v)| v.rows.len() != 1 && v.rows.len() != samples) {
            let message = format!("has values for {} samples, '{most}' for {samples}", other.rows.len());
            return Err(Error::invalid(format!("condition '{name}'"), message));
        }
        let bits = |sample: usize| -> Vec<u64> {
            let own = all.values().map(|v| &v.rows[sample % v.rows.len()]);
            own.flatten().map(|v| v.to_bits()).collect()
        };
        let (mut numbers, mut firsts, mut of_sample) = (BTreeMap::new(), vec![], vec![]);
        for sample in 0..samples {
            let number = *numbers.entry(bits(sample)).or_insert_with(|| {
                firsts.push(sample);
                firsts.len() - 1
            });
            of_sample.push(number);
        }
        for values in all.values_mut().filter(|v| v.rows.len() > 1) {
            values.rows = firsts.iter().map(|&sample| values.rows[sample].clone()).collect();
        }
        Ok(Self { values: all, of_sample: Some(of_sample), facts })
    }

    /// The conditions without which guidance compares: these, with those changed that a config or a user names; each is one
    /// for the run.
    ///
    /// # Errors
    /// None is named; what `of` says; one for each sample.
    pub fn without(
        &self,
        own: &BTreeMap<String, Given>,
        said: &BTreeMap<String, Given>,
        folder: &Path,
        wanted: &[Wanted],
    ) -> Result<Self> {
        if own.is_empty() && said.is_empty() {
            let names: Vec<&str> = wanted.iter().map(|w| w.name.as_str()).collect();
            let message = match names[..] {
                [] => "the network takes no condition to be guided by".to_string(),
                _ => format!(
                    "compares with a null condition, which nobody names: --null NAME=VALUE or null of the model's config, \
                     NAME one of {}",
                    names.join(", ")
                ),
            };
            return Err(Error::invalid("guidance", message));
        }
        let changed: Vec<Wanted> =
            wanted.iter().filter(|w| own.contains_key(&w.name) || said.contains_key(&w.name)).cloned().collect();
        let named =
            |map: &BTreeMap<String, Given>| map.keys().find(|name| !wanted.iter().any(|w| w.name == **name)).cloned();
        if let Some(name) = named(own).or_else(|| named(said)) {
            return Err(Error::invalid(format!("null condition '{name}'"), "is none of the network's"));
        }
        let null = Self::of(own, said, folder, &changed)?;
        if let Some((name, _)) = null.values.iter().find(|(_, v)| v.rows.len() > 1) {
            return Err(Error::invalid(
                format!("null condition '{name}'"),
                "has a value for each sample, expected one",
            ));
        }
        let mut values = self.values.clone();
        values.extend(null.values);
        Ok(Self { values, of_sample: self.of_sample.clone(), facts: null.facts })
    }

    /// The values of each name: one for the run, or one for each sample.
    pub(super) fn each_sample(&self) -> BTreeMap<String, Values> {
        let mut values = self.values.clone();
        if let Some(of_sample) = &self.of_sample {
            for own in values.values_mut().filter(|v| v.rows.len() > 1) {
                own.rows = of_sample.iter().map(|&number| own.rows[number].clone()).collect();
            }
        }
        values
    }

    /// Names that somebody gave here; of null conditions those that differ from the others.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.facts.keys()
    }

    /// The number of the condition that a sample is under.
    pub fn number(&self, sample: usize) -> Result<usize> {
        let Some(of_sample) = &self.of_sample else { return Ok(0) };
        of_sample.get(sample).copied().ok_or_else(|| {
            let message = format!("there are conditions for {} samples, none for number {sample}", of_sample.len());
            Error::invalid("conditions", message)
        })
    }

    /// What is settled, and by whom: a user's options, or else the model's config.
    pub(super) fn facts(&self, said: &BTreeMap<String, Given>) -> Vec<Fact> {
        let one = |(name, fact): (&String, &Value)| {
            let each = if fact["rows"] == 1 { "" } else { ", one for each sample" };
            let value = format!("{name} = {}{each}", fact["value"].as_str().unwrap_or_default());
            Fact::new(
                "condition",
                value,
                if said.contains_key(name) { "--condition" } else { "conditions of its config" },
            )
        };
        self.facts.iter().map(one).collect()
    }

    /// For manifests: what is given for each, with checksums of files.
    pub fn json(&self) -> Value {
        json!(self.facts)
    }
}

impl Wanted {
    /// Its shape in words.
    fn sizes(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(|n| n.map_or("?".into(), |n| n.to_string())).collect();
        format!("[{}]", sizes.join(", "))
    }

    fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::invalid(format!("condition '{}'", self.name), message)
    }

    /// What its numbers are below.
    fn most(&self) -> f64 {
        self.below.map_or(f64::INFINITY, |n| n as f64)
    }

    fn read(&self, value: &Given, folder: Option<&Path>) -> Result<Values> {
        let read = match value {
            Given::Number(v) => self.values(vec![*v], &[1])?,
            Given::Numbers(v) => self.values(v.clone(), &[v.len()])?,
            Given::File(file) => self.file(file, folder)?,
        };
        for row in &read.rows {
            if let (Some(n), Some(v)) = (self.below, row.iter().find(|v| !(0.0..self.most()).contains(*v))) {
                return Err(self.error(format!("{v} is outside 0..={}", n.saturating_sub(1))));
            }
            if let Some(v) = row.iter().find(|v| !v.is_finite() || (self.whole && v.fract() != 0.0)) {
                let want = if self.whole { "whole numbers" } else { "finite numbers" };
                return Err(self.error(format!("{v}, expected {want}")));
            }
        }
        Ok(read)
    }

    /// Numbers of this shape, or of one more axis for the samples in front.
    fn values(&self, numbers: Vec<f64>, dims: &[usize]) -> Result<Values> {
        let known: Option<Vec<usize>> = self.shape.iter().copied().collect();
        let shape = known.or_else(|| self.open(dims)).filter(|shape| !shape.contains(&0));
        let own = shape.as_ref().map_or(0, |shape| shape.iter().product());
        let rows = match dims.first() {
            _ if own == 0 => None,
            _ if numbers.len() == own => Some(vec![numbers]),
            Some(&n) if n > 0 && numbers.len() == n * own => {
                Some(numbers.chunks_exact(own).map(<[f64]>::to_vec).collect())
            }
            _ => None,
        };
        match rows.zip(shape) {
            Some((rows, shape)) => Ok(Values { shape, rows, sha256: None }),
            None => {
                let message = format!("shape {dims:?}, the network takes {}, or that for each sample", self.sizes());
                Err(self.error(message))
            }
        }
    }

    /// The shape for one sample where axes are open: what an array of these sizes has there, the batch or none in front.
    fn open(&self, dims: &[usize]) -> Option<Vec<usize>> {
        let behind = self.shape.get(1..)?;
        let own = if dims.len() == self.shape.len() { &dims[1..] } else { dims };
        let fits = own.len() == behind.len() && own.iter().zip(behind).all(|(n, want)| want.is_none_or(|w| w == *n));
        fits.then(|| [1].into_iter().chain(own.iter().copied()).collect())
    }

    fn file(&self, name: &str, folder: Option<&Path>) -> Result<Values> {
        let spec = folder.map_or_else(|| Spec::from(name), |folder| Spec::from(folder.join(name).as_os_str()));
        let (path, _) = spec.tensor();
        if !path.is_file() {
            return Err(self.error(format!("'{name}' is neither a number, nor numbers with commas, nor a file")));
        }
        let mut file = data::Array::numbers(&spec)?;
        let dims = file.dims().to_vec();
        let mut numbers = vec![];
        file.read(&mut numbers, dims.iter().product())?;
        Ok(Values { sha256: Some(data::sha256_file(&path)?), ..self.values(numbers, &dims)? })
    }
}
