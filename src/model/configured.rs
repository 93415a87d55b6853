//! What is known of a network before its weights are read. In: a path, and what a user says. Out: a configuration, what settled
//! each part of it, and where the network itself lies: tensors by a family's names, or an ONNX file.
use super::config::Config;
use super::facts::{Fact, Sources};
use super::onnx::{self, Described, Opened};
use super::said::Said;
use super::weights::Files;
use super::{diffusers, unet2d};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where a network lies.
pub(super) enum Network {
    /// Tensors by the names of the configuration's family.
    Tensors(Files),
    /// An ONNX file, whose inputs are told apart.
    Onnx(Box<Opened>),
}

/// A model, where it is, its configuration, its network, and what settled what.
pub(super) struct Configured {
    pub path: PathBuf,
    pub config: Config,
    pub network: Network,
    pub sources: Sources,
    /// What else is settled.
    pub facts: Vec<Fact>,
}

impl From<Described> for Configured {
    fn from(Described { path, config, opened, sources, facts }: Described) -> Self {
        Self { path, config, network: Network::Onnx(Box::new(opened)), sources, facts }
    }
}

/// What is known of a model: a directory, ours or one of diffusers, what a cache of the Hugging Face hub has of that name, or an
/// ONNX file.
pub(super) fn configured(path: &Path, said: &Said) -> Result<Configured> {
    if let Some(file) = onnx::file_of(path) {
        return Ok(onnx::of_file(&file, said)?.into());
    }
    let path = diffusers::hub::folder(path)?;
    if let Some(diffusers::Found { config, weights, sources }) = diffusers::find(&path)? {
        said.require_none_of_onnx(&format!("{}, of diffusers,", path.display()))?;
        return Ok(Configured { path, config, network: Network::Tensors(weights), sources, facts: vec![] });
    }
    let config = Config::read(&path.join("config.json"))?;
    let key = |name: &str| format!("config.json: {name}");
    let sources = Sources {
        weights: "model.safetensors".into(),
        process: key("process"),
        prediction: key("prediction"),
        data_range: key("data_range"),
    };
    if config.family == onnx::FAMILY {
        return Ok(onnx::of_directory(path, config, sources, said)?.into());
    }
    said.require_none_of_onnx(&format!("{}, of the family {},", path.display(), config.family))?;
    let network = Network::Tensors(Files::one(path.join("model.safetensors")));
    Ok(Configured { path, config, network, sources, facts: vec![] })
}

/// Whether a family's networks work at any size and this configuration names none.
pub(super) fn is_sizeless(config: &Config) -> bool {
    [unet2d::FAMILY.name, unet2d::NCSNPP.name].contains(&config.family.as_str()) && unet2d::is_sizeless(&config.hyper)
}

/// Whether the network of a model works at any size, and its configuration names none: `sample_size` null in diffusers, open
/// axes in an ONNX file. It is then told one as it is opened (`Said::shape`).
pub fn leaves_size_open(path: impl AsRef<Path>, said: &Said) -> Result<bool> {
    let Configured { config, network, .. } = configured(path.as_ref(), said)?;
    Ok(match network {
        Network::Onnx(opened) => opened.leaves_size_open(),
        Network::Tensors(_) => config.autoencoder.is_none() && is_sizeless(&config),
    })
}

/// Refuses what a user says where the network's own files say another thing.
pub(super) fn require_same(config: &Config, sources: &Sources, said: &Said) -> Result<()> {
    let differs = |what: &str, own: String, source: &str, given: String| {
        Err(Error::invalid(what, format!("{given} is given; that of the network is {own} [{source}]")))
    };
    if let Some(given) = said.prediction.filter(|p| *p != config.prediction) {
        let [own, given] = [config.prediction, given].map(|p| p.describe().to_string());
        return differs("prediction", own, &sources.prediction, given);
    }
    if let Some(given) = said.data_range.filter(|r| *r != config.data_range) {
        let [own, given] = [config.data_range, given].map(|r| format!("{r:?}"));
        return differs("data range", own, &sources.data_range, given);
    }
    Ok(())
}
