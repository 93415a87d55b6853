//! A model directory made of an ONNX file. In: what opens the file as a model. Out: the files of the directory: configuration with
//! provenance and every guess in it, graph, weights, and conditions that are arrays; the directory gives the same bits as the file.
use super::condition::{Conditions, Given, Values};
use super::configured::{Configured, Network, configured};
use super::onnx::{FAMILY, GRAPH};
use super::said::Said;
use super::{Config, Fact, Model};
use crate::data;
use crate::error::{Error, Result};
use crate::onnx::written;
use crate::shape::Shape;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Weights, which the graph names.
const WEIGHTS: &str = "model.safetensors";
/// Conditions of more numbers than a config should show.
const CONDITIONS: &str = "conditions.safetensors";
/// Numbers that a config shows.
const SHOWN: usize = 16;

/// The files of a model directory, and what they hold.
pub struct Imported {
    /// What the directory's `config.json` says.
    pub config: Config,
    /// Name and bytes of each file.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Parameters of the network.
    pub parameters: u64,
    /// `[C, H, W]` of one sample.
    pub shape: Shape,
    /// What is settled, and what settled it.
    pub facts: Vec<Fact>,
}

/// The model directory of an ONNX file, as `Model::open_said` opens it.
///
/// # Errors
/// What opening says; a model that is no ONNX file.
pub fn import(path: &Path, said: &Said) -> Result<Imported> {
    let model = Model::open_said(path, said)?;
    let Configured { mut config, network, .. } = configured(path, said)?;
    let Network::Onnx(opened) = network else {
        return Err(Error::file(path, format!("is a model directory already, of the family {}", config.family)));
    };
    let file = opened.file();
    let (mut arrays, null) = (BTreeMap::new(), model.null.clone().unwrap_or_default());
    let named = |of: &Conditions, prefix: &str, arrays: &mut BTreeMap<String, Values>| {
        let all = of.each_sample();
        let own = of.names().filter_map(|name| Some((name, all.get(name)?)));
        own.map(|(name, values)| (name.clone(), given(&format!("{prefix}{name}"), values, arrays)))
            .collect::<BTreeMap<_, _>>()
    };
    config.conditions = named(&model.conditions, "", &mut arrays);
    config.null = named(&null, "null.", &mut arrays);
    config.guidance = said.guidance.or(config.guidance);
    config.family = FAMILY.into();
    config.hyper = opened.hyper(GRAPH, said)?;
    let guesses: Vec<&Fact> = model.facts.iter().filter(|f| f.source.starts_with("guess")).collect();
    let own = config.provenance.take();
    config.provenance = json!({
        "imported_from": file.path.file_name().map(|name| name.to_string_lossy()),
        "sha256": model.sha256,
        "producer": file.producer,
        "opset": file.opset,
        "guessed": guesses.iter().map(|f| json!({ f.what: f.value, "why": f.source })).collect::<Vec<_>>(),
        "program": concat!("vorticity ", env!("CARGO_PKG_VERSION")),
    });
    if own != Value::Null {
        config.provenance["of_the_file"] = own;
    }
    let parts = written(file, WEIGHTS)?;
    let mut text = serde_json::to_vec_pretty(&config).map_err(|e| Error::invalid("config.json", e))?;
    text.push(b'\n');
    let mut files = vec![("config.json", text), (GRAPH, parts.graph), (WEIGHTS, parts.weights)];
    if !arrays.is_empty() {
        files.push((CONDITIONS, stored(&arrays)?));
    }
    Ok(Imported { config, files, parameters: model.parameters, shape: model.shape(), facts: model.facts })
}

/// How a config says a condition: its numbers, or a tensor beside it, which is added to `arrays`.
fn given(name: &str, values: &Values, arrays: &mut BTreeMap<String, Values>) -> Given {
    match &values.rows[..] {
        [row] if row.len() == 1 => Given::Number(row[0]),
        [row] if row.len() <= SHOWN && values.shape.iter().product::<usize>() == row.len() => {
            Given::Numbers(row.clone())
        }
        _ => {
            arrays.insert(name.to_string(), values.clone());
            Given::File(format!("{CONDITIONS}#{name}"))
        }
    }
}

/// A safetensors file of conditions, in f64.
fn stored(arrays: &BTreeMap<String, Values>) -> Result<Vec<u8>> {
    let fail = |e| Error::invalid("conditions", e);
    let bytes: Vec<Vec<u8>> =
        arrays.values().map(|v| v.rows.iter().flatten().flat_map(|n| n.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|((name, values), bytes)| {
        let mut shape = values.shape.clone();
        if values.rows.len() > 1 {
            shape.insert(0, values.rows.len());
        }
        Ok((name.as_str(), TensorView::new(Dtype::F64, shape, bytes).map_err(fail)?))
    });
    let made = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(fail)?;
    // What is written can be read.
    data::tensors::of_file(&made).map(|_| ()).map_err(|e| Error::invalid("conditions", e))?;
    Ok(made)
}
