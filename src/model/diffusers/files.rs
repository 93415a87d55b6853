//! Where a network's weights lie in a folder that diffusers wrote. In: the folder. Out: one file, or shards and which tensors
//! each of them has. What is there in another format is named with the way to this one.
use crate::data;
use crate::error::{Error, Result};
use crate::model::json;
use crate::model::weights::Files;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The file's name without its ending.
const STEM: &str = "diffusion_pytorch_model";
/// Endings of files of other formats.
const OTHERS: [&str; 6] = ["bin", "pth", "pt", "ckpt", "msgpack", "h5"];

/// The weights below `folder`, of a network of that class, and a sentence about what else was there.
pub(super) fn find(folder: &Path, class: &str) -> Result<(Files, Option<String>)> {
    let names = names(folder)?;
    let (mut single, mut indexed) = (vec![], vec![]);
    for name in &names {
        if let Some(variant) = middle(name, STEM, ".safetensors").filter(|v| !is_shard(v)) {
            single.push((variant, name));
        } else if let Some(variant) = middle(name, &format!("{STEM}.safetensors.index"), ".json") {
            indexed.push((variant, name));
        }
    }
    // As diffusers has it: full weights before variants, and an index before a single file.
    let all: Vec<(&str, &String, bool)> =
        indexed.iter().map(|f| (f.0, f.1, true)).chain(single.iter().map(|f| (f.0, f.1, false))).collect();
    let full = all.iter().find(|f| f.0.is_empty());
    let variants: Vec<&(&str, &String, bool)> = all.iter().filter(|f| !f.0.is_empty()).collect();
    let (_, name, is_index) = match (full, &variants[..]) {
        (Some(full), _) => full,
        (None, [only]) => only,
        (None, []) => return Err(missing(folder, class, &names)),
        (None, several) => {
            let list = several.iter().map(|f| f.1.as_str()).collect::<Vec<_>>().join(", ");
            let message =
                format!("holds several variants of the weights and none without a variant's name: {list}; keep one");
            return Err(Error::file(folder, message));
        }
    };
    let left: Vec<&str> = all.iter().map(|f| f.1.as_str()).filter(|n| n != name).collect();
    let note = (!left.is_empty()).then(|| format!("not {}, which is there too", left.join(", ")));
    let path = folder.join(name);
    Ok((if *is_index { shards(folder, &path)? } else { Files::one(path) }, note))
}

/// What stands between `start` and `end`, without its dot: a variant, or nothing.
fn middle<'a>(name: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(start)?.strip_suffix(end)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.').or_else(|| rest.starts_with('-').then_some(rest)) }
}

/// Whether a variant's name is a shard's: `fp16-00001-of-00002`, `-00001-of-00002` or `-00001-of-00002.fp16`.
fn is_shard(variant: &str) -> bool {
    variant.contains("-of-")
}

/// Names of what lies in the folder, in order.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::file(folder, format!("cannot be listed: {e}")))?;
    let mut names: Vec<String> =
        entries.filter_map(|e| e.ok()).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// What to say where no weights are.
fn missing(folder: &Path, class: &str, names: &[String]) -> Error {
    let others: Vec<&str> = names
        .iter()
        .filter(|n| OTHERS.iter().any(|o| n.strip_suffix(o).is_some_and(|n| n.ends_with('.'))))
        .map(String::as_str)
        .collect();
    let strays: Vec<&str> = names.iter().filter(|n| n.ends_with(".safetensors")).map(String::as_str).collect();
    let message = match (&others[..], &strays[..]) {
        ([], []) => "missing: the folder holds no weights".into(),
        (_, [_, ..]) => format!("missing, and no index beside it says what {} holds", strays.join(", ")),
        (others, []) => format!(
            "missing: the folder holds weights as {} only, which may run code when they are read; write them as safetensors: \
             python -c \"from diffusers import {class}; {class}.from_pretrained('DIR', \
             use_safetensors=False).save_pretrained('OUT')\"",
            others.join(", ")
        ),
    };
    Error::file(folder.join(format!("{STEM}.safetensors")), message)
}

/// The shards that an index names.
fn shards(folder: &Path, index: &Path) -> Result<Files> {
    let fail = |m: String| Error::file(index, m);
    let map = json::read(index)?;
    // `metadata` is about sizes, which the files themselves tell.
    if let Some((key, value)) = map.iter().find(|(k, _)| !["metadata", "weight_map"].contains(&k.as_str())) {
        return Err(fail(format!("key '{key}': {value}, expected metadata and weight_map only")));
    }
    let Some(Value::Object(weight_map)) = map.get("weight_map") else {
        return Err(fail("has no object 'weight_map', which says what tensor lies in what file".into()));
    };
    let mut tensors: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in weight_map {
        let plain = |f: &&str| Path::new(f).file_name().is_some_and(|n| n == *f) && !f.contains(['/', '\\']);
        let Some(name) = file.as_str().filter(plain) else {
            return Err(fail(format!(
                "tensor '{tensor}': is said to lie in {file}, expected the name of a file beside it"
            )));
        };
        let path = folder.join(name);
        if !path.is_file() {
            return Err(fail(format!("tensor '{tensor}': is said to lie in {name}, which is missing")));
        }
        if !data::lies_in(folder, &path) {
            let message =
                format!("tensor '{tensor}': is said to lie in {name}, a link that leaves the model's folder: refused");
            return Err(fail(message));
        }
        tensors.entry(path).or_default().insert(tensor.clone());
    }
    if tensors.is_empty() {
        return Err(fail("names no tensors".into()));
    }
    Ok(Files::sharded(index.to_path_buf(), tensors))
}
