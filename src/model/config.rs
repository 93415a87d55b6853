//! `config.json` of a model directory, schema version 1 (docs/FORMATS.md). Unknown keys are errors, so that a
//! misspelt option cannot silently mean its default.
use super::condition::Given;
use super::prediction::Prediction;
use super::process::ProcessConfig;
use crate::data;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of `config.json` that is read (docs/FORMATS.md).
pub const SCHEMA: u32 = 1;

/// `config.json` of a model directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Schema version of this file.
    pub vorticity_config: u32,
    /// Name in `FAMILIES`.
    pub family: String,
    /// The family's own hyper-parameters.
    pub hyper: serde_json::Value,
    /// The noising process that it was trained on.
    pub process: ProcessConfig,
    /// What the network puts out.
    pub prediction: Prediction,
    /// What 0 and 255 of an 8-bit image map to.
    pub data_range: [f64; 2],
    /// Values of the network's conditions, by name: a number, numbers, or `FILE#tensor` in this directory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, Given>,
    /// Those of them that guidance compares with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub null: BTreeMap<String, Given>,
    /// g of s_null + g (s_cond - s_null); none: no guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// Directory of the autoencoder on whose latents the network works, from this one on; none: it works on images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoencoder: Option<String>,
    /// Which latent an image has; the mean unless told otherwise. Only with an autoencoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<Posterior>,
    /// Free text and numbers about where the weights come from; copied into manifests.
    #[serde(default)]
    pub provenance: serde_json::Value,
}

/// What stands for the distribution over latents that an encoder gives to an image.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Posterior {
    /// Its mean.
    #[default]
    Mode,
    /// A draw from it, by the run's seed.
    Sample,
}

impl Config {
    /// Reads and checks `config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&data::text(path)?, path)
    }

    /// Checks the text of a `config.json`; `path` is what errors call it.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let config: Config = serde_json::from_str(text).map_err(|e| Error::file(path, e))?;
        if config.vorticity_config != SCHEMA {
            let found = config.vorticity_config;
            return Err(Error::file(path, format!("schema version {found}, this program reads {SCHEMA}")));
        }
        config.check(path)?;
        Ok(config)
    }

    /// Refuses what does not go together; `path` is what errors call it.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        if self.posterior.is_some() && self.autoencoder.is_none() {
            return Err(Error::file(path, "posterior is given, but no autoencoder"));
        }
        let [lo, hi] = self.data_range;
        if !(lo.is_finite() && hi.is_finite() && lo < hi) {
            return Err(Error::file(path, format!("data_range [{lo}, {hi}] is not an increasing pair of numbers")));
        }
        if let Some(g) = self.guidance.filter(|g| !g.is_finite()) {
            return Err(Error::file(path, format!("guidance {g} is not a finite number")));
        }
        Ok(())
    }
}
