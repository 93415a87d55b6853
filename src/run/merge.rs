//! Shards on disk. In: a part with some of the samples, or the directories of all shards. Out: `shard.npz` and its manifest,
//! or the part that has all samples, put together.
use super::difference::difference;
use super::measure::Measure;
use super::npz;
use super::part::{Part, PartArray};
use super::shard::Shard;
use super::table::Numbers;
use super::{RunDir, manifest};
use crate::data::{sha256_bytes, sha256_file, text};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The data file of a shard.
const DATA: &str = "shard.npz";
/// Version of the layout of a shard, and those that are read: in the first sigma is called `noise`.
const SCHEMA: u32 = 2;
const SCHEMAS: [u32; 2] = [1, SCHEMA];
/// Missing shards that a message names.
const LISTED: usize = 8;
/// The key of a manifest for what each shard was made of, such as files of scores.
const SOURCES: &str = "sources";
/// The array of the largest error that the f64 twin found.
const WORST: &str = "worst";

/// What the manifest says of an array.
#[derive(Debug, Deserialize, Serialize)]
struct About {
    name: String,
    kind: String,
    axis: Option<usize>,
}

/// What the manifest of a shard says under `shard`.
#[derive(Debug, Deserialize, Serialize)]
struct Sharded {
    number: usize,
    of: usize,
    samples: usize,
    title: String,
    facts: Value,
    arrays: Vec<About>,
}

/// A shard's directory, read.
struct Opened {
    place: PathBuf,
    part: Part,
    /// What all shards must have in common, the title among it.
    common: Value,
    /// What it was made of and others were not, a list.
    sources: Vec<Value>,
    log: Value,
}

/// All shards of a run, put together.
#[derive(Debug)]
pub struct Merged {
    /// All samples.
    pub part: Part,
    /// The facts for the manifest, those of one run.
    pub facts: Value,
    /// The line on model and samples in plots.
    pub title: String,
    /// The shards' logs.
    pub logs: Vec<Value>,
}

impl Part {
    /// Writes the directory of a shard; `facts` are those of the run's manifest.
    pub fn write(&self, dir: &RunDir, facts: &Value, title: &str, log: &Value) -> Result<()> {
        let data = self.data()?;
        dir.write(DATA, &data)?;
        dir.write("manifest.json", &self.manifest_of(&data, facts, title)?)?;
        dir.write("run_log.json", &manifest::pretty("run_log.json", log)?)
    }

    /// The bytes of the manifest that `write` writes.
    pub fn manifest(&self, facts: &Value, title: &str) -> Result<Vec<u8>> {
        self.manifest_of(&self.data()?, facts, title)
    }

    fn worst(&self) -> PartArray {
        PartArray { name: WORST.into(), shape: vec![1], axis: None, values: Numbers::F64(vec![self.worst]) }
    }

    /// The bytes of the data file.
    fn data(&self) -> Result<Vec<u8>> {
        let worst = self.worst();
        let arrays: Vec<&PartArray> = self.arrays.iter().chain([&worst]).collect();
        npz::of_arrays(DATA, arrays.iter().map(|a| (a.name.as_str(), &a.shape[..], &a.values)))
    }

    fn manifest_of(&self, data: &[u8], facts: &Value, title: &str) -> Result<Vec<u8>> {
        let about = |a: &PartArray| About { name: a.name.clone(), kind: a.values.kind().into(), axis: a.axis };
        let sharded = Sharded {
            number: self.shard.number(),
            of: self.shard.of(),
            samples: self.samples,
            title: title.into(),
            facts: self.facts.clone(),
            arrays: self.arrays.iter().chain([&self.worst()]).map(about).collect(),
        };
        let mut manifest = facts.clone();
        manifest["schema"] = json!(SCHEMA);
        manifest["shard"] = json!(sharded);
        manifest["files"] = json!({ DATA: { "bytes": data.len(), "sha256": sha256_bytes(data) } });
        manifest::pretty("manifest.json", &manifest)
    }
}

/// Reads the directories of all shards of a run, in any order, and puts their samples where they belong. `measures` are
/// those that there are.
pub fn merge(places: &[PathBuf], measures: &[&'static dyn Measure]) -> Result<Merged> {
    let mut shards = places.iter().map(|place| Opened::read(place, measures)).collect::<Result<Vec<_>>>()?;
    shards.sort_by_key(|s| s.part.shard.number());
    let Some(first) = shards.first() else { return Err(Error::invalid("merge", "no shards given")) };
    for other in &shards[1..] {
        if let Some(difference) = difference(&other.common, &first.common) {
            let said = format!("does not belong to {}: {difference}", first.place.display());
            return Err(Error::file(&other.place, said));
        }
    }
    if let Some(pair) = shards.windows(2).find(|pair| pair[0].part.shard == pair[1].part.shard) {
        let said = format!("is shard {}, as {} is", pair[1].part.shard, pair[0].place.display());
        return Err(Error::file(&pair[1].place, said));
    }
    let of = first.part.shard.of();
    let missing = (1..=of).filter(|number| !shards.iter().any(|s| s.part.shard.number() == *number));
    let missing: Vec<String> = missing.take(LISTED).map(|number| format!("{number}/{of}")).collect();
    if !missing.is_empty() {
        let more = if shards.len() + missing.len() < of { ", .." } else { "" };
        let said = format!("{} of {of} shards given, missing: {}{more}", shards.len(), missing.join(", "));
        return Err(Error::invalid("merge", said));
    }
    let (mut facts, title) =
        (first.common.clone(), first.common["shard"]["title"].as_str().unwrap_or_default().to_string());
    if let Value::Object(facts) = &mut facts {
        facts.remove("shard");
    }
    let sources: Vec<&Value> = shards.iter().flat_map(|s| &s.sources).collect();
    if !sources.is_empty() {
        facts[SOURCES] = json!(sources);
    }
    let logs = shards.iter().map(|s| s.log.clone()).collect();
    let part = join(shards.into_iter().map(|s| (s.place, s.part)).collect())?;
    Ok(Merged { part, facts, title, logs })
}

impl Opened {
    fn read(place: &Path, measures: &[&'static dyn Measure]) -> Result<Self> {
        let at = |name: &str| place.join(name);
        let json = |name: &str| -> Result<Value> {
            serde_json::from_str(&text(&at(name))?).map_err(|e| Error::file(at(name), e))
        };
        let mut manifest = json("manifest.json")?;
        let fail = |message: String| Error::file(at("manifest.json"), message);
        if manifest["shard"].is_null() {
            return Err(fail("is of a whole run, expected that of a shard (--shard i/n)".into()));
        }
        if !SCHEMAS.iter().any(|schema| manifest["schema"] == json!(schema)) {
            return Err(fail(format!("schema {}, expected {} or {SCHEMA}", manifest["schema"], SCHEMAS[0])));
        }
        let Some(&measure) = measures.iter().find(|m| manifest["measure"] == m.name()) else {
            let known: Vec<&str> = measures.iter().map(|m| m.name()).collect();
            return Err(fail(format!("measure {}, expected one of {}", manifest["measure"], known.join(", "))));
        };
        let sharded: Sharded = serde_json::from_value(manifest["shard"].clone()).map_err(|e| fail(e.to_string()))?;
        let shard = Shard::new(sharded.number, sharded.of)?;
        shard.check(sharded.samples)?;
        if !sharded.facts.is_object() {
            return Err(fail(format!("shard.facts {}, expected an object", sharded.facts)));
        }
        let (found, said) = (sha256_file(at(DATA))?, &manifest["files"][DATA]["sha256"]);
        if *said != json!(found) {
            return Err(Error::file(at(DATA), format!("has SHA-256 {found}, the manifest says {said}")));
        }
        let mut arrays: Vec<PartArray> = vec![];
        for about in &sharded.arrays {
            if arrays.iter().any(|a| a.name == about.name) {
                return Err(fail(format!("shard.arrays has two '{}', expected one of each name", about.name)));
            }
            let (shape, values) = npz::read(&at(DATA), &about.name, &about.kind)?;
            let held = about.axis.map(|axis| shape.get(axis).copied());
            if held.is_some_and(|held| held != Some(shard.count(sharded.samples))) {
                let found = format!("array '{}' of shape {shape:?}", about.name);
                return Err(Error::file(at(DATA), format!("{found}, expected shard {shard} of {}", sharded.samples)));
            }
            arrays.push(PartArray { name: about.name.clone(), shape, axis: about.axis, values });
        }
        let (facts, samples) = (sharded.facts, sharded.samples);
        let mut part = Part { measure, shard, samples, facts, arrays, worst: f64::NAN, origin: None };
        part.worst = part.rows::<f64>(WORST)?.first().copied().unwrap_or(f64::NAN);
        let sources = manifest[SOURCES].as_array().cloned().unwrap_or_default();
        for key in ["schema", "files", SOURCES] {
            manifest.as_object_mut().map(|m| m.remove(key));
        }
        manifest["shard"].as_object_mut().map(|s| s.remove("number"));
        Ok(Opened { place: place.into(), part, common: manifest, sources, log: json("run_log.json")? })
    }
}

/// Parts in the order of their numbers, all there, to one.
fn join(parts: Vec<(PathBuf, Part)>) -> Result<Part> {
    let numbers = |(place, part): &(PathBuf, Part), nth: usize| -> Result<PartArray> {
        let missing = || Error::file(place.join(DATA), format!("array {nth} is missing"));
        part.arrays.get(nth).cloned().ok_or_else(missing)
    };
    let Some((_, first)) = parts.first() else { return Err(Error::invalid("merge", "no shards given")) };
    let (of, samples) = (parts.len(), first.samples);
    let mut whole = Part { shard: Shard::WHOLE, arrays: vec![], ..first.clone() };
    for nth in 0..first.arrays.len() {
        let arrays = parts.iter().map(|p| numbers(p, nth)).collect::<Result<Vec<_>>>()?;
        let head = &arrays[0];
        let Some(axis) = head.axis else {
            if let Some(((place, _), other)) = parts.iter().zip(&arrays).find(|(_, a)| a.values != head.values) {
                let said = format!("array '{}' is another than that of {}", other.name, parts[0].0.display());
                return Err(Error::file(place.join(DATA), said));
            }
            whole.arrays.push(head.clone());
            continue;
        };
        let mut shape = head.shape.clone();
        shape[axis] = samples;
        let fits = |a: &PartArray| {
            let others =
                |s: &[usize]| s.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, n)| *n).collect::<Vec<_>>();
            a.shape.len() == shape.len() && others(&a.shape) == others(&shape) && a.values.kind() == head.values.kind()
        };
        if let Some(at) = arrays.iter().position(|a| !fits(a)) {
            let said = format!("array '{}' has shape {:?}, {:?} there", head.name, arrays[at].shape, head.shape);
            return Err(Error::file(parts[at].0.join(DATA), said));
        }
        let inner: usize = shape[axis + 1..].iter().product();
        // Sample i of the run is number i / n of shard i % n + 1.
        let pick = |i: usize| {
            let (row, sample) = (i / inner / samples, i / inner % samples);
            let shard = sample % of;
            (shard, (row * arrays[shard].shape[axis] + sample / of) * inner + i % inner)
        };
        let total = shape.iter().product();
        whole.arrays.push(PartArray {
            name: head.name.clone(),
            values: Numbers::pick(&arrays.iter().map(|a| &a.values).collect::<Vec<_>>(), total, pick),
            shape,
            axis: Some(axis),
        });
    }
    whole.worst = parts.iter().fold(f64::NAN, |worst, (_, part)| worst.max(part.worst));
    Ok(whole)
}
