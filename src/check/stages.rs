//! The stages that a check may have: measures with all that they are asked. In: noise levels, samples, random vectors. Out: stages, as they
//! are written down and as they are run.
use crate::error::{Error, Result};
use crate::measures;
use crate::run::{Measure, SEED, Settings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most evaluations of one smooth loop, and segments of a rough one.
pub(super) const POINTS: u64 = 1000;

/// Planes that are searched for, where there are as many.
const PLANES: usize = 2;

/// Segments of a brownian loop.
const ROUGH: usize = 200;

/// One measure with all that it is asked beyond its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Of its directory.
    pub name: String,
    /// The verb.
    pub measure: String,
    /// Options as a user writes them, by their names.
    pub options: BTreeMap<String, String>,
}

/// What a check does not measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// What would have been measured.
    pub what: String,
    /// A sentence without its full stop.
    pub why: String,
}

impl Stage {
    fn of(name: &str, measure: &'static str, options: &[(&str, String)]) -> Result<Self> {
        let options = options.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
        let stage = Stage { name: name.into(), measure: measure.into(), options };
        stage.settings().map(|_| stage)
    }

    /// The same with this seed of all randomness.
    pub(super) fn seeded(mut self, seed: u64) -> Result<Self> {
        self.options.insert(SEED.name.into(), seed.to_string());
        self.settings().map(|_| self)
    }

    /// What the measure is asked.
    ///
    /// # Errors
    /// A measure or an option that there is not.
    pub fn settings(&self) -> Result<Settings> {
        let place = format!("stage '{}'", self.name);
        let known = measures::find(&self.measure);
        let measure: &'static dyn Measure =
            known.ok_or_else(|| Error::invalid(&place, format!("'{}' is no measure", self.measure)))?;
        self.options.iter().try_fold(Settings::of(measure)?, |all, (name, value)| all.with(name, value.as_str()))
    }

    /// As a command of one's own, without the noise levels, which all stages but that of planes share.
    pub fn command(&self, ks: &[usize]) -> String {
        let own = self.options.iter().filter(|(name, value)| *name != "timesteps" || **value != listed(ks));
        let options = own.map(|(name, value)| {
            let quoted = if value.contains(['?', ',', '*']) { format!("'{value}'") } else { value.clone() };
            format!(" --{name} {quoted}")
        });
        format!("{}{}", self.measure, options.collect::<String>())
    }
}

/// Noise levels as a user writes them.
pub(super) fn listed(ks: &[usize]) -> String {
    ks.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Smooth loops, by nested rules.
pub(super) fn loops(ks: &[usize], samples: usize, projection: bool) -> Result<Stage> {
    let paths = if projection { "rotation,projection?arcs=8" } else { "rotation" };
    Stage::of(
        "circulation",
        "circulation",
        &[
            ("paths", paths.into()),
            ("quadrature", "adaptive".into()),
            ("points", POINTS.to_string()),
            ("timesteps", listed(ks)),
            ("samples", samples.to_string()),
        ],
    )
}

/// Rough loops, by midpoints, every sample checked by a second rule.
pub(super) fn brownian(ks: &[usize], samples: usize) -> Result<Stage> {
    Stage::of(
        "brownian",
        "circulation",
        &[
            ("paths", "brownian".into()),
            ("points", ROUGH.to_string()),
            ("quadrature-check", "1".into()),
            ("timesteps", listed(ks)),
            ("samples", samples.to_string()),
        ],
    )
}

/// The whole Jacobian, by random vectors.
pub(super) fn asymmetry(ks: &[usize], samples: usize, probes: usize) -> Result<Stage> {
    Stage::of(
        "asymmetry",
        "asymmetry",
        &[("probes", probes.to_string()), ("timesteps", listed(ks)), ("samples", samples.to_string())],
    )
}

/// Where it turns fastest, at the second lowest level: low enough for structure, and not the noise of the last step.
pub(super) fn planes(ks: &[usize], samples: usize, dim: usize) -> Result<Stage> {
    let k = ks.get(1).or(ks.first()).copied().unwrap_or_default();
    Stage::of(
        "planes",
        "planes",
        &[
            ("planes", (dim / 2).clamp(1, PLANES).to_string()),
            ("steps", "40".into()),
            ("timesteps", k.to_string()),
            ("samples", samples.to_string()),
        ],
    )
}
