//! A model directory (`config.json` + `model.safetensors`) becomes a network: graph, process, prediction, provenance.
//! Adding a family is one file and one line of `families!`.
mod autoencoder;
mod autoencoder_diffusers;
mod blocks;
mod condition;
mod config;
mod configured;
mod diffusers;
pub mod facts;
mod given;
mod halves;
mod imported;
mod json;
mod latent_space;
mod made;
mod onnx;
mod prediction;
mod process;
mod random;
mod said;
mod schedule;
mod sides;
mod vae_sksq;
mod vae_sld;
mod weights;

pub use autoencoder::{AUTOENCODERS, Autoencoder, AutoencoderConfig, AutoencoderModel, LatentConfig};
pub use autoencoder_diffusers::family as autoencoder_family;
pub use condition::{Conditions, Given, Values, Wanted};
pub use config::{Config, Posterior};
pub use configured::leaves_size_open;
pub use facts::Fact;
pub use given::{given_process, scheduler_process};
pub use imported::{Imported, import};
pub use latent_space::{Codebook, LatentSpace};
pub use made::{RandomModel, init};
pub use prediction::Prediction;
pub use process::{
    Direction, EdmLabel, KINDS, Kind, Label, NEARLY_NOISE, Noising, Process, ProcessConfig, keys as process_keys,
};
pub use said::Said;
pub use schedule::{SCHEDULES, Schedule};
pub use weights::{Files, Weights};

use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ops::add::Add;
use crate::ops::weight_format::{Rounding, WeightFormat};
use crate::shape::Shape;
use crate::spec::Spec;
use crate::twin;
use configured::{Configured, Network, configured, is_sizeless, require_same};
use std::path::{Path, PathBuf};

/// A network architecture, by the tensor names that its authors gave it.
pub struct FamilyInfo {
    /// Name in `config.json`.
    pub name: &'static str,
    /// Where the architecture comes from.
    pub source: &'static str,
    /// Endings of tensor names that checkpoints carry and evaluation does not need.
    pub ignorable: &'static [&'static str],
    /// The noise schedule that the authors train it with; a model's config may name another.
    pub schedule: Option<Schedule>,
    /// Key of the hyper-parameters that has the height and width of images, one number or two.
    pub size: &'static str,
    /// Name and `config.json` of sizes worth having by name, for `init`.
    pub presets: &'static [(&'static str, &'static str)],
    /// How its networks are told more than x and the label, if they can be.
    pub conditional: Option<Conditional>,
    /// Builds the graph from hyper-parameters (JSON) and weights.
    pub build: fn(&serde_json::Value, &Weights) -> Result<Graph>,
}

/// What a family says of conditions.
pub struct Conditional {
    /// What a network takes, from hyper-parameters: contexts of its rows by these names, zeros until they are given.
    pub wanted: fn(&serde_json::Value) -> Result<Vec<Wanted>>,
    /// Appends the network once more to a graph that has its x, its contexts under names with this prefix. Out: what it makes.
    pub onto: fn(&serde_json::Value, &Weights, &mut Graph, &'static str) -> Result<NodeId>,
}

impl FamilyInfo {
    /// What a network of these hyper-parameters takes besides x and the label.
    pub fn conditions(&self, hyper: &serde_json::Value) -> Result<Vec<Wanted>> {
        self.conditional.as_ref().map_or(Ok(vec![]), |own| (own.wanted)(hyper))
    }
}

/// From one line per file: its module, and its rows of `FAMILIES`.
macro_rules! families {
    ($($file:ident [$($family:ident),*])*) => {
        $(mod $file;)*

        /// Every network architecture that model directories may name.
        pub const FAMILIES: &[FamilyInfo] = &[$($($file::$family,)*)*];
    };
}

families! {
    mnist_shuffle_unet [FAMILY]
    lucid_unet [FAMILY]
    ncsnpp [FAMILY]
    unet2d [FAMILY, NCSNPP]
}

/// The family of that name, or an error that lists what there is.
pub fn family(name: &str) -> Result<&'static FamilyInfo> {
    FAMILIES.iter().find(|f| f.name == name).ok_or_else(|| {
        let known: Vec<_> = FAMILIES.iter().map(|f| f.name).collect();
        Error::invalid("family", format!("'{name}' is not known; known: {}", known.join(", ")))
    })
}

/// The configuration that `spec` names: a preset of the family, or a file like a model's `config.json`.
pub fn configuration(family_name: &str, spec: impl Into<Spec>) -> Result<Config> {
    let (family, spec) = (family(family_name)?, spec.into());
    let path = spec.path();
    if let Some((name, text)) = family.presets.iter().find(|p| path == Path::new(p.0)) {
        return Config::parse(text, Path::new(&format!("preset {name}")));
    }
    if !path.is_file() {
        let presets: Vec<_> = family.presets.iter().map(|p| p.0).collect();
        let known = if presets.is_empty() { "none".into() } else { presets.join(", ") };
        let message = format!("neither a file nor a preset of {family_name}, which are: {known}");
        return Err(Error::file(path, message));
    }
    let config = Config::read(path)?;
    if config.family != family.name {
        return Err(Error::file(path, format!("is of the family {}, expected {}", config.family, family.name)));
    }
    Ok(config)
}

/// The process of a configuration, if the network's prediction is one that it has a score for.
fn process_of(config: &Config) -> Result<Process> {
    let process = Process::new(&config.process)?;
    config.prediction.require(&process)?;
    Ok(process)
}

/// The autoencoder that the configuration of a model in `directory` names, if any; its latents must have the shape that
/// the network works on.
pub fn autoencoder_of(config: &Config, directory: &Path, shape: Shape) -> Result<Option<AutoencoderModel>> {
    let Some(at) = &config.autoencoder else { return Ok(None) };
    let autoencoder = AutoencoderModel::open_for(&directory.join(at), Some(shape))?;
    if autoencoder.shape != shape {
        let found = format!("its autoencoder's latents are {}, the network works on {shape}", autoencoder.shape);
        return Err(Error::file(directory.join("config.json"), found));
    }
    if config.posterior == Some(Posterior::Sample) && !autoencoder.networks.space.distribution {
        let found = format!("posterior 'sample', but {} has no distribution to draw from", autoencoder.config.family);
        return Err(Error::file(directory.join("config.json"), found));
    }
    Ok(Some(autoencoder))
}

/// The network of a model must put out a vector at each point: of one shape, which it is.
fn require_field(graph: &Graph) -> Result<Shape> {
    let [given, found] = graph.end_shapes()?;
    if given == found {
        return Ok(given);
    }
    Err(Error::invalid("hyper", format!("the network makes {found} of {given}: its output is not a vector field")))
}

/// Builds a family's graph from a weights file; every tensor must be used, ignorable or an error.
pub fn network(name: &str, hyper: &serde_json::Value, weights_path: &Path) -> Result<(Graph, u64)> {
    network_of(name, hyper, &Weights::open(weights_path)?)
}

/// `network`, of weights that were opened.
fn network_of(name: &str, hyper: &serde_json::Value, weights: &Weights) -> Result<(Graph, u64)> {
    let family = family(name)?;
    let graph = (family.build)(hyper, weights)?;
    weights.finish(family.ignorable)?;
    Ok((graph, weights.parameters()))
}

/// An opened model directory.
#[derive(Clone, Debug)]
pub struct Model {
    /// The directory.
    pub path: PathBuf,
    /// Its `config.json`.
    pub config: Config,
    /// The network, which knows what it is told at each timestep.
    pub graph: Graph,
    /// Noise levels by timestep.
    pub process: Process,
    /// Trained parameters, as PyTorch counts them.
    pub parameters: u64,
    /// SHA-256 of the weights' file; of shards as `Files::sha256` has it.
    pub sha256: String,
    /// What is settled about it, and what settled that.
    pub facts: Vec<Fact>,
    /// The autoencoder on whose latents the network works.
    pub autoencoder: Option<AutoencoderModel>,
    /// What it is told besides x and the label.
    pub conditions: Conditions,
    /// What guidance compares with, where there is guidance.
    pub null: Option<Conditions>,
    /// g of s_null + g (s_cond - s_null).
    pub guidance: Option<f64>,
    /// What holding the network's weights as f16 does to them; none where they are held as they are.
    pub rounding: Option<Rounding>,
    shape: Shape,
    /// The file's own nodes, of a network that was imported from one.
    second: Option<onnx::Second>,
}

/// A network's graph, and what it came with.
struct Built {
    graph: Graph,
    parameters: u64,
    sha256: String,
    /// Types of its weights, in words.
    weights: String,
    conditions: Conditions,
    null: Option<Conditions>,
    second: Option<onnx::Second>,
}

impl Model {
    /// Reads and checks a model directory, ours or one of diffusers, what a cache of the Hugging Face hub has of that name, or an
    /// ONNX file with what its `.toml` says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_said(path, &Said::default())
    }

    /// `open`, with what a user says beyond its files. Weights that the device is to hold as f16 are the network's; an
    /// autoencoder's stay f32: it makes the data.
    pub fn open_said(path: impl AsRef<Path>, said: &Said) -> Result<Self> {
        Self::held(Self::of(configured(path.as_ref(), said)?, said)?, said)
    }

    /// An ONNX file that is in memory, under a name for messages and facts.
    ///
    /// # Errors
    /// As `open_said`; weights that are not in it.
    pub fn of_onnx(name: &str, bytes: Vec<u8>, said: &Said) -> Result<Self> {
        Self::held(Self::of(onnx::of_bytes(Path::new(name), bytes, said)?.into(), said)?, said)
    }

    /// The network with its weights as they are to be held.
    fn held(mut model: Self, said: &Said) -> Result<Self> {
        if said.weights == WeightFormat::F16 {
            model.rounding = Some(model.graph.hold_f16().map_err(|e| Error::file(&model.path, e))?);
        }
        Ok(model)
    }

    fn of(read: Configured, said: &Said) -> Result<Self> {
        let Configured { path, mut config, network, sources, facts: more } = read;
        let here = |e: Error| if matches!(e, Error::Invalid { .. }) { Error::file(&path, e) } else { e };
        require_same(&config, &sources, said).map_err(here)?;
        if let (Some(shape), true) = (said.shape, is_sizeless(&config)) {
            unet2d::give_size(&mut config.hyper, shape).map_err(here)?;
        }
        let process = process_of(&config).map_err(here)?.said(sources.process);
        if let Some(given) = said.process.as_ref().filter(|given| !given.same_levels(&process)) {
            let (theirs, own) = (given.config.describe(), process.config.describe());
            let message =
                format!("its process is {own} [{}]; {} gives another: {theirs}", process.source, given.source);
            return Err(Error::file(&path, message));
        }
        let folder = if path.is_dir() { path.clone() } else { path.parent().unwrap_or(Path::new("")).to_path_buf() };
        let Built { mut graph, parameters, sha256, weights, conditions, null, second } =
            built(&config, network, &folder, said).map_err(here)?;
        let shape = require_field(&graph).map_err(here)?;
        process.require_told(&graph).map_err(here)?;
        graph.labels = process.labels();
        config.prediction.scale_input(&mut graph, &process).map_err(here)?;
        let autoencoder = autoencoder_of(&config, &folder, shape)?;
        let mut facts = facts::of_process(&process);
        facts.extend([
            Fact::new("prediction", config.prediction.describe(), sources.prediction),
            facts::of_range(config.data_range, sources.data_range),
            Fact::new("weights", weights, sources.weights),
        ]);
        facts.extend(more);
        facts.extend(conditions.facts(&said.conditions));
        let guidance = said.guidance.or(config.guidance);
        if let Some(g) = guidance {
            let source = if said.guidance.is_some() { "--guidance" } else { "config" };
            facts.push(Fact::new("guidance", format!("s_null + {g} (s_cond - s_null)"), source));
        }
        if let Some((at, latents)) = config.autoencoder.as_ref().zip(autoencoder.as_ref()) {
            let value = format!("{}, of images of {}", latents.config.family, latents.image());
            facts.push(Fact::new("autoencoder", value, at.trim_start_matches("../").to_string()));
        }
        let rounding = None;
        Ok(Self {
            path,
            config,
            graph,
            process,
            parameters,
            sha256,
            facts,
            autoencoder,
            conditions,
            null,
            guidance,
            rounding,
            shape,
            second,
        })
    }

    /// `[C, H, W]` of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The raw output at `x` (flat, D), timestep k and under a condition, counted from 0, in f64: by the graph's twin, or of a
    /// network that was imported by the nodes of its file, which know nothing of the graph.
    pub fn twin(&self, x: &[Dual], k: usize, condition: usize) -> Result<Vec<Dual>> {
        match &self.second {
            Some(second) => {
                let (a, sigma) = self.process.noise(k)?;
                let scale = self.config.prediction.input_scale(a, sigma);
                let x: Vec<Dual> = x.iter().map(|&x| x * scale).collect();
                second.evaluate(&x, self.graph.label(k)?, condition)
            }
            None => twin::under(&self.graph, x, k, condition),
        }
    }
}

/// In front of the names of contexts that guidance compares with.
const NULL: &str = "null.";

/// The network of a model.
fn built(config: &Config, network: Network, folder: &Path, said: &Said) -> Result<Built> {
    match network {
        Network::Tensors(files) => of_tensors(config, &files, folder, said),
        Network::Onnx(opened) => {
            let onnx::Built { graph, second, conditions, null } = opened.build(config, folder, said)?;
            let file = opened.file();
            let (parameters, sha256) = (file.parameters(), opened.sha256()?);
            let weights = format!("{} numbers, opset {} by {}", file.parameters(), file.opset, file.producer);
            Ok(Built { graph, parameters, sha256, weights, conditions, null, second: Some(second) })
        }
    }
}

/// The network of a family, guided where that is asked for.
fn of_tensors(config: &Config, files: &Files, folder: &Path, said: &Said) -> Result<Built> {
    let (weights, family) = (Weights::open_files(files)?, family(&config.family)?);
    let wanted = family.conditions(&config.hyper)?;
    let conditions = Conditions::of(&config.conditions, &said.conditions, folder, &wanted)?;
    let (mut graph, parameters) = network_of(&config.family, &config.hyper, &weights)?;
    conditions.values.iter().try_for_each(|(name, own)| graph.rows.give(name, &own.rows))?;
    let mut null = None;
    if let Some(g) = said.guidance.or(config.guidance) {
        let other = conditions.without(&config.null, &said.null, folder, &wanted)?;
        // Whoever takes no condition has no null condition either.
        let Some(Conditional { onto, .. }) = &family.conditional else {
            return Err(Error::invalid("guidance", "has none"));
        };
        let (name, made) = graph.outputs.swap_remove(0);
        let unguided = onto(&config.hyper, &weights, &mut graph, NULL)?;
        other.values.iter().try_for_each(|(name, own)| graph.rows.give(&format!("{NULL}{name}"), &own.rows))?;
        let guided = graph.push("guidance", Add { scales: [g, 1.0 - g] }, &[made, unguided])?;
        graph.output(name, guided)?;
        null = Some(other);
    }
    let sha256 = files.sha256()?;
    Ok(Built { graph, parameters, sha256, weights: weights.describe(), conditions, null, second: None })
}
