//! ONNX files as models. In: `FILE.onnx`, `FILE.toml` beside it and what a user says, or a directory that `import` wrote. Out: the
//! configuration, with what was guessed; then the graph, and the file's own nodes as its second opinion. What nobody can know from
//! a file (process, prediction) is asked for by name.
use super::condition::{Conditions, Given, Wanted};
use super::config::{Config, Posterior, SCHEMA};
use super::facts::{Fact, Sources};
use super::prediction::Prediction;
use super::process::ProcessConfig;
use super::said::Said;
use super::weights::Files;
use crate::data;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::onnx::{File, Found, Named, Reference, Roles, Tensor, found, input, onto};
use crate::ops::add::Add;
use crate::shape::Shape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As `config.json` names it.
pub(super) const FAMILY: &str = "onnx";
/// The file of a model directory that `import` makes.
pub(super) const GRAPH: &str = "graph.onnx";

/// What `hyper` of a config.json says of an ONNX file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyper {
    /// The file, in the model's directory.
    graph: String,
    /// Names of the file's inputs and output.
    x: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    output: String,
    /// How many of the output's first channels are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<usize>,
    /// Sizes of x behind the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
}

/// `FILE.toml`, beside `FILE.onnx`: what the file itself cannot say. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Beside {
    x: Option<String>,
    label: Option<String>,
    output: Option<String>,
    channels: Option<usize>,
    shape: Option<Vec<usize>>,
    process: Option<ProcessConfig>,
    prediction: Option<Prediction>,
    data_range: Option<[f64; 2]>,
    conditions: BTreeMap<String, Given>,
    null: BTreeMap<String, Given>,
    guidance: Option<f64>,
    autoencoder: Option<String>,
    posterior: Option<Posterior>,
    provenance: serde_json::Value,
}

/// An ONNX file, read, its inputs told apart.
pub(super) struct Opened {
    file: Arc<File>,
    found: Found,
    channels: Option<usize>,
    /// Sizes of x behind the batch, where somebody says them.
    shape: Option<Vec<usize>>,
    /// Of a file that is in memory: the others are read once more for theirs.
    sha256: Option<String>,
}

/// An ONNX file as a model: where it is, its configuration, and what settled what.
pub(super) struct Described {
    pub path: PathBuf,
    pub config: Config,
    pub opened: Opened,
    pub sources: Sources,
    /// What its inputs are taken for.
    pub facts: Vec<Fact>,
}

/// The network of an ONNX file: what it is as a graph, and by its own nodes.
pub(super) struct Built {
    pub graph: Graph,
    pub second: Second,
    pub conditions: Conditions,
    /// What guidance compares with.
    pub null: Option<Conditions>,
}

/// The second opinion of a file's network: a sum of its own nodes' outputs.
#[derive(Clone, Debug)]
pub(super) struct Second(Vec<(f64, Reference)>);

impl Second {
    /// The output at `x` for a label and under a condition.
    pub fn evaluate(&self, x: &[Dual], label: f64, condition: usize) -> Result<Vec<Dual>> {
        let mut sum: Vec<Dual> = vec![];
        for (weight, part) in &self.0 {
            let made = part.evaluate(x, label, condition)?;
            sum = match sum.is_empty() {
                true => made.iter().map(|&y| y * *weight).collect(),
                false => sum.iter().zip(&made).map(|(&s, &y)| s + y * *weight).collect(),
            };
        }
        Ok(sum)
    }
}

/// The ONNX file that a path means: itself, or the one of a folder without a config.json.
pub(super) fn file_of(path: &Path) -> Option<PathBuf> {
    if path.is_file() || (is_onnx(path) && !path.is_dir()) {
        return Some(path.to_path_buf());
    }
    let inside = path.join("model.onnx");
    (inside.is_file() && !path.join("config.json").is_file()).then_some(inside)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
}

/// A file of another name, which cannot be read as ONNX, may be something else that is no model.
fn not_meant(path: &Path, error: Error) -> Error {
    match error {
        Error::File { message, .. } if !is_onnx(path) => {
            let models = "a model is a model directory, an ONNX file, or a closed form field:NAME";
            Error::file(path, format!("{message}; {models}"))
        }
        other => other,
    }
}

/// A file in memory: `path` is what messages and facts call it. It has nothing beside it.
pub(super) fn of_bytes(path: &Path, bytes: Vec<u8>, said: &Said) -> Result<Described> {
    let sha256 = data::sha256_bytes(&bytes);
    let file = File::of(path, bytes.into())?;
    if file.parts().len() > 1 {
        return Err(Error::file(path, "has weights in other files, expected all of them in it"));
    }
    let mut described = describe(path, file, Beside::default(), said)?;
    described.opened.sha256 = Some(sha256);
    Ok(described)
}

/// A file, and what lies beside it.
pub(super) fn of_file(path: &Path, said: &Said) -> Result<Described> {
    let toml = path.with_extension("toml");
    let beside: Beside = match toml.is_file() {
        true => toml::from_str(&data::text(&toml)?).map_err(|e| Error::file(&toml, e.to_string().trim_end()))?,
        false => Beside::default(),
    };
    describe(path, File::open(path).map_err(|e| not_meant(path, e))?, beside, said)
}

/// A file that was read, with what is said of it.
fn describe(path: &Path, file: File, beside: Beside, said: &Said) -> Result<Described> {
    let (file, toml) = (Arc::new(file), path.with_extension("toml"));
    let name = file_name(&toml);
    let conditions = said.conditions.keys().chain(beside.conditions.keys()).cloned().collect();
    let named = Named {
        x: said.x.clone().or(beside.x.clone()),
        label: said.label.clone().or(beside.label.clone()),
        output: said.output.clone().or(beside.output.clone()),
        conditions,
    };
    let here = |e| Error::file(path, e);
    let found = found(&file, &named).map_err(here)?;
    let channels = said.channels.or(beside.channels);
    let opened = Opened { channels, shape: beside.shape.clone(), file, found, sha256: None };
    let facts = opened.facts(said, |key, given| given.then(|| format!("{name}: {key}")), &beside);
    let process = match (&beside.process, &said.process) {
        (Some(own), _) => Ok((own.clone(), format!("{name}: process"))),
        (None, Some(given)) => Ok((given.config.clone(), given.source.clone())),
        (None, None) => Err("process"),
    };
    let prediction = match (beside.prediction, said.prediction) {
        (Some(own), _) => Ok((own, format!("{name}: prediction"))),
        (None, Some(given)) => Ok((given, "--prediction".to_string())),
        (None, None) => Err("prediction"),
    };
    let ((process, process_source), (prediction, prediction_source)) = match (process, prediction) {
        (Ok(process), Ok(prediction)) => (process, prediction),
        (process, prediction) => {
            let missing: Vec<&str> = [process.err(), prediction.err()].into_iter().flatten().collect();
            return Err(here(opened.asked(&name, &missing)));
        }
    };
    let (data_range, range_source) = match (beside.data_range, said.data_range) {
        (Some(own), _) => (own, format!("{name}: data_range")),
        (None, Some(given)) => (given, "--data-range".into()),
        (None, None) => ([-1.0, 1.0], "guess: what diffusion models are trained on".into()),
    };
    let config = Config {
        vorticity_config: SCHEMA,
        family: FAMILY.into(),
        hyper: opened.hyper(&file_name(path), said)?,
        process,
        prediction,
        data_range,
        conditions: beside.conditions,
        null: beside.null,
        guidance: beside.guidance,
        autoencoder: beside.autoencoder,
        posterior: beside.posterior,
        provenance: beside.provenance,
    };
    config.check(&toml)?;
    let sources = Sources {
        weights: file_name(path),
        process: process_source,
        prediction: prediction_source,
        data_range: range_source,
    };
    Ok(Described { path: path.to_path_buf(), config, opened, sources, facts })
}

/// A directory that `import` wrote.
pub(super) fn of_directory(path: PathBuf, config: Config, sources: Sources, said: &Said) -> Result<Described> {
    let at = path.join("config.json");
    let hyper: Hyper =
        serde_json::from_value(config.hyper.clone()).map_err(|e| Error::file(&at, format!("hyper: {e}")))?;
    if Path::new(&hyper.graph).file_name().is_none_or(|name| name != hyper.graph.as_str()) {
        return Err(Error::file(&at, format!("hyper: graph: '{}' is not a file of this directory", hyper.graph)));
    }
    let file = Arc::new(File::open(&path.join(&hyper.graph))?);
    let named = Named {
        x: said.x.clone().or(Some(hyper.x)),
        label: said.label.clone().or(hyper.label),
        output: said.output.clone().or(Some(hyper.output)),
        conditions: said.conditions.keys().chain(config.conditions.keys()).cloned().collect(),
    };
    let found = found(&file, &named).map_err(|e| Error::file(&at, e))?;
    let channels = said.channels.or(hyper.channels);
    let opened = Opened { file, found, channels, shape: hyper.shape, sha256: None };
    let facts = opened.facts(said, |key, _| Some(format!("config.json: hyper.{key}")), &Beside::default());
    let sources = Sources { weights: "model.safetensors".into(), ..sources };
    Ok(Described { path, config, opened, sources, facts })
}

impl Opened {
    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Of the file's bytes; with others beside it as `Files::sha256` has it.
    pub fn sha256(&self) -> Result<String> {
        self.sha256.clone().map_or_else(|| Files::parts(self.file.parts()).sha256(), Ok)
    }

    /// As a config says it of a file of this name.
    pub fn hyper(&self, graph: &str, said: &Said) -> Result<serde_json::Value> {
        let of = |s: Shape| match self.found.x.shape.as_ref().map_or(0, Vec::len) {
            2 => vec![s.len()],
            3 => vec![s.h, s.w],
            _ => vec![s.c, s.h, s.w],
        };
        let hyper = Hyper {
            graph: graph.into(),
            x: self.found.x.name.clone(),
            label: self.found.label.as_ref().map(|p| p.name.clone()),
            output: self.found.output.name.clone(),
            channels: self.channels,
            shape: self.shape.clone().or(said.shape.filter(|_| self.leaves_size_open()).map(of)),
        };
        serde_json::to_value(hyper).map_err(|e| Error::invalid("hyper", e))
    }

    /// What its inputs are taken for; `own` is what says a key, if the file beside it does.
    fn facts(&self, said: &Said, own: impl Fn(&str, bool) -> Option<String>, beside: &Beside) -> Vec<Fact> {
        let source = |key: &'static str, by_option: bool, by_file: bool| -> String {
            if by_option {
                return format!("--{key}");
            }
            let guess = self.found.guesses.iter().find(|g| g.what == key).map(|g| format!("guess: {}", g.why));
            guess.or_else(|| own(key, by_file)).unwrap_or_else(|| "the file has no other".into())
        };
        let shown = |p: &crate::onnx::Port| format!("'{}', {}", p.name, p.describe());
        let mut facts = vec![Fact::new("x", shown(&self.found.x), source("x", said.x.is_some(), beside.x.is_some()))];
        if let Some(label) = &self.found.label {
            facts.push(Fact::new(
                "told label",
                shown(label),
                source("label", said.label.is_some(), beside.label.is_some()),
            ));
        }
        let by = source("output", said.output.is_some(), beside.output.is_some());
        let first = self.channels.map_or(String::new(), |n| format!(", its first {n} channels"));
        facts.push(Fact::new("output", format!("'{}'{first}", self.found.output.name), by));
        facts
    }

    /// What is said where a file leaves out what nobody can guess.
    fn asked(&self, toml: &str, missing: &[&str]) -> Error {
        let inputs: Vec<String> = self.file.inputs.iter().map(|p| format!("'{}' {}", p.name, p.describe())).collect();
        let options: Vec<String> = missing.iter().map(|what| format!("--{what}")).collect();
        let found = format!(
            "an ONNX file does not say what it is: say it in {toml} beside the file, or with {}",
            options.join(" and ")
        );
        Error::invalid(missing.join(" and "), format!("{found} (its inputs are {})", inputs.join(", ")))
    }

    /// Whether x has axes of no size yet.
    pub fn leaves_size_open(&self) -> bool {
        let open = self.found.x.shape.as_ref().is_some_and(|s| s.iter().skip(1).any(|n| n.is_err()));
        open && self.shape.is_none()
    }

    /// What its conditions must be.
    fn wanted(&self) -> Vec<Wanted> {
        let of = |port: &crate::onnx::Port| {
            let size = |(i, n): (usize, &std::result::Result<usize, String>)| match n {
                Ok(n) => Some(*n),
                Err(_) => (i == 0).then_some(1),
            };
            Wanted {
                name: port.name.clone(),
                shape: port.shape.iter().flatten().enumerate().map(size).collect(),
                whole: port.element.is_some_and(|e| !e.is_float()),
                below: None,
            }
        };
        self.found.conditions.iter().map(of).collect()
    }

    /// Sizes along the axes of x that the file leaves open.
    fn open_sizes(&self, said: &Said) -> Result<Vec<usize>> {
        let axes: Vec<_> = self.found.x.shape.iter().flatten().skip(1).collect();
        let given: Option<Vec<usize>> = match (&self.shape, said.shape) {
            (Some(shape), _) => Some(shape.clone()),
            (None, Some(s)) => match axes.len() {
                1 => Some(vec![s.len()]),
                2 => Some(vec![s.h, s.w]),
                _ => Some(vec![s.c, s.h, s.w]),
            },
            (None, None) => None,
        };
        let Some(given) = given else { return Ok(vec![]) };
        let fits =
            given.len() == axes.len() && axes.iter().zip(&given).all(|(a, g)| a.as_ref().ok().is_none_or(|a| a == g));
        if !fits {
            let message = format!("{given:?} is given; input '{}' is {}", self.found.x.name, self.found.x.describe());
            return Err(Error::invalid("shape", message));
        }
        Ok(axes.iter().zip(&given).filter(|(axis, _)| axis.is_err()).map(|(_, size)| *size).collect())
    }

    fn roles(&self, conditions: &Conditions, sizes: &[usize]) -> Roles {
        let tensor = |name: &str, shape: &[usize], row: &[f64]| {
            let whole = self.found.conditions.iter().find(|p| p.name == name).and_then(|p| p.element);
            match whole {
                Some(element) if element.is_truth() => Tensor::bool(shape, row.iter().map(|&v| v != 0.0).collect()),
                Some(element) if !element.is_float() => Tensor::int(shape, row.iter().map(|&v| v as i64).collect()),
                _ => Tensor::float(shape, row.iter().map(|&v| Dual::constant(v)).collect()),
            }
        };
        let of = |(name, values): (&String, &super::condition::Values)| {
            (name.clone(), values.rows.iter().map(|row| tensor(name, &values.shape, row)).collect())
        };
        Roles {
            x: self.found.x.name.clone(),
            label: self.found.label.as_ref().map(|p| p.name.clone()),
            contexts: conditions.values.iter().map(of).collect(),
            shape: sizes.to_vec(),
            output: self.found.output.name.clone(),
            channels: self.channels,
        }
    }

    /// The network under its conditions, guided where that is asked for.
    pub fn build(&self, config: &Config, folder: &Path, said: &Said) -> Result<Built> {
        let wanted = self.wanted();
        let conditions = Conditions::of(&config.conditions, &said.conditions, folder, &wanted)?;
        let (sizes, guidance) = (self.open_sizes(said)?, said.guidance.or(config.guidance));
        let roles = self.roles(&conditions, &sizes);
        let mut graph = Graph::new(input(&self.file, &roles)?);
        let x = graph.input("x")?;
        let made = onto(&mut graph, x, &self.file, &roles)?;
        let Some(g) = guidance else {
            graph.output("output", made)?;
            let second = Second(vec![(1.0, Reference::new(self.file.clone(), roles)?)]);
            return Ok(Built { graph, second, conditions, null: None });
        };
        let null = conditions.without(&config.null, &said.null, folder, &wanted)?;
        let unguided = self.roles(&null, &sizes);
        let other = onto(&mut graph, x, &self.file, &unguided)?;
        let guided = graph.push("guidance", Add { scales: [g, 1.0 - g] }, &[made, other])?;
        graph.output("output", guided)?;
        let part = |weight: f64, roles| Ok::<_, Error>((weight, Reference::new(self.file.clone(), roles)?));
        let second = Second(vec![part(g, roles)?, part(1.0 - g, unguided)?]);
        Ok(Built { graph, second, conditions, null: Some(null) })
    }
}
