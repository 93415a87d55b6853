//! A model directory (`config.json` + `model.safetensors`) becomes a network: graph, process, prediction, provenance.
//! Adding a family is one file and one line of `FAMILIES`.
mod autoencoder;
mod blocks;
mod config;
mod lucid_unet;
mod mnist_shuffle_unet;
mod ncsnpp;
mod process;
mod unet2d;
mod vae_sksq;
mod vae_sld;
mod weights;

pub use autoencoder::{AUTOENCODERS, Autoencoder};
pub use config::{Config, Prediction};
pub use process::{Process, ProcessConfig, Schedule};
pub use weights::Weights;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::shape::Shape;
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
    /// Builds the graph from hyper-parameters (JSON) and weights.
    pub build: fn(&serde_json::Value, &Weights) -> Result<Graph>,
}

/// Every network architecture that model directories may name.
pub const FAMILIES: &[FamilyInfo] =
    &[mnist_shuffle_unet::FAMILY, lucid_unet::FAMILY, ncsnpp::FAMILY, unet2d::FAMILY, unet2d::NCSNPP];

/// The family of that name, or an error that lists what there is.
pub fn family(name: &str) -> Result<&'static FamilyInfo> {
    FAMILIES.iter().find(|f| f.name == name).ok_or_else(|| {
        let known: Vec<_> = FAMILIES.iter().map(|f| f.name).collect();
        Error::invalid("family", format!("'{name}' is not known; known: {}", known.join(", ")))
    })
}

/// Builds a family's graph from a weights file; every tensor must be used, ignorable or an error.
pub fn network(name: &str, hyper: &serde_json::Value, weights_path: &Path) -> Result<(Graph, u64)> {
    let family = family(name)?;
    let weights = Weights::open(weights_path)?;
    let graph = (family.build)(hyper, &weights)?;
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
    /// The network.
    pub graph: Graph,
    /// Noise levels by timestep.
    pub process: Process,
    /// Trained parameters, as PyTorch counts them.
    pub parameters: u64,
    /// SHA-256 of `model.safetensors`.
    pub sha256: String,
}

impl Model {
    /// Reads and checks a model directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(Error::file(
                path,
                "not a directory; a model is a folder with config.json and model.safetensors",
            ));
        }
        let config = Config::read(&path.join("config.json"))?;
        let weights = path.join("model.safetensors");
        let (graph, parameters) = network(&config.family, &config.hyper, &weights)?;
        let process = Process::new(&config.process)?;
        Ok(Self {
            path: path.to_path_buf(),
            sha256: crate::data::sha256_file(&weights)?,
            config,
            graph,
            process,
            parameters,
        })
    }

    /// `[C, H, W]` of one sample.
    pub fn shape(&self) -> Shape {
        self.graph.shape(self.graph.input())
    }
}
