//! The noising process x = a x_0 + sigma eps as a table of noise levels, in f64, k = 0..T-1 (PROTOCOL, "Fields" and "More
//! processes"), and what else follows from it: labels, scales, what is defined for it. Adding a process is a variant of
//! `ProcessConfig`, its levels and its row of `KINDS`.
mod config;
mod levels;
mod named;

pub use config::{Direction, EdmLabel, Label, Noising, ProcessConfig};
pub use named::{KINDS, Kind, keys};

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::rows::Told;
use levels::Level;

/// Share of the data in the last noise level, a of hypot(a, sigma), beyond which that is not taken for a Gaussian.
pub const NEARLY_NOISE: f64 = 0.05;

/// A process with its table of noise levels.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where the table comes from.
    pub config: ProcessConfig,
    /// What said so, in words that follow a comma: a file and its keys, an option, or that it is a default.
    pub source: String,
    /// By timestep.
    levels: Vec<Level>,
}

impl Process {
    /// Tabulates the noise levels in f64.
    ///
    /// # Errors
    /// A value that is none of its key; a level without noise, or beyond the range of f32.
    pub fn new(config: &ProcessConfig) -> Result<Self> {
        let levels = levels::of(config)?;
        Ok(Self { config: config.clone(), source: "as the program that embeds the engine says".into(), levels })
    }

    /// The same process, and what said so.
    pub fn said(self, source: impl Into<String>) -> Self {
        Self { source: source.into(), ..self }
    }

    /// True if both have the same noise levels, however they are written down, and run in the same direction.
    pub fn same_levels(&self, other: &Self) -> bool {
        let kind = |process: &Self| (process.config.noising(), process.velocity_sign());
        let noise = |process: &Self| process.levels.iter().map(|l| (l.a, l.sigma)).collect::<Vec<_>>();
        kind(self) == kind(other) && noise(self) == noise(other)
    }

    /// The last timestep at which something of the data is left, a > 0: the last of all, unless the process ends in pure
    /// noise (zero terminal SNR).
    pub fn last_with_signal(&self) -> usize {
        self.levels.iter().rposition(|l| l.a > 0.0).unwrap_or(0)
    }

    /// Refuses a timestep of pure noise, a = 0, for what divides by a; `what` is that.
    pub fn require_signal(&self, k: usize, what: &str) -> Result<()> {
        match self.noise(k)? {
            (a, _) if a > 0.0 => Ok(()),
            _ => {
                let last = self.last_with_signal();
                let found = format!(
                    "{k} is pure noise (a = 0), of which {what} is not defined; the last one with a > 0 is {last}"
                );
                Err(Error::invalid("timestep", found))
            }
        }
    }

    /// Number of timesteps T.
    pub fn timesteps(&self) -> usize {
        self.levels.len()
    }

    /// (a, sigma) at timestep k.
    pub fn noise(&self, k: usize) -> Result<(f64, f64)> {
        let last = self.levels.len() - 1;
        let level = self.levels.get(k).map(|l| (l.a, l.sigma));
        level.ok_or_else(|| Error::invalid("timestep", format!("{k} is outside 0..={last}")))
    }

    /// Share of the data in the noisy data of timestep k, 0 to 1: a of hypot(a, sigma).
    pub fn data_share(&self, k: usize) -> Result<f64> {
        self.noise(k).map(|(a, sigma)| a / a.hypot(sigma))
    }

    /// True if a^2 + sigma^2 = 1 at every timestep.
    pub fn preserves_variance(&self) -> bool {
        self.config.noising() == Noising::Preserving
    }

    /// Refuses what is defined for a variance-preserving process only; `what` is that.
    pub fn require_vp(&self, what: &str) -> Result<()> {
        self.require(Noising::Preserving, what)
    }

    /// Refuses what is defined for processes only in which that becomes of the data; `what` it is.
    pub fn require(&self, noising: Noising, what: &str) -> Result<()> {
        let needed = match noising {
            _ if self.config.noising() == noising => return Ok(()),
            Noising::Preserving => "a variance-preserving process, a^2 + sigma^2 = 1",
            Noising::Exploding => "a process that keeps the data as they are, a = 1",
            Noising::Straight => "the process flow, a + sigma = 1",
        };
        Err(Error::invalid(what, format!("needs {needed}; this one is {}", self.config.describe())))
    }

    /// Refuses what goes from noise to data or back, where there is one noise level; `what` is that.
    pub fn require_levels(&self, what: &str) -> Result<()> {
        match self.config {
            ProcessConfig::Fixed { .. } => {
                let found = "needs noise levels from data to noise; this process has one:";
                Err(Error::invalid(what, format!("{found} {}", self.config.describe())))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what takes the end of the process for a Gaussian, where too much of the data is left in it; `what` is that.
    pub fn require_prior(&self, what: &str) -> Result<()> {
        self.require_levels(what)?;
        let last = self.levels.len() - 1;
        let share = self.data_share(last)?;
        if share <= NEARLY_NOISE {
            return Ok(());
        }
        let (a, sigma) = self.noise(last)?;
        let found = format!(
            "needs a process whose last noise level is a Gaussian, a / hypot(a, sigma) up to {NEARLY_NOISE}; that is {share:.2} \
             at a = {a}, sigma = {sigma}: {}",
            self.config.describe()
        );
        Err(Error::invalid(what, found))
    }

    /// `Graph::labels` of networks of this process: what they are told at each timestep; none where that is k itself.
    pub fn labels(&self) -> Option<Vec<f64>> {
        (self.config.label() != Label::Timestep).then(|| self.levels.iter().map(|l| l.label).collect())
    }

    /// What networks are told, in words.
    pub fn label_words(&self) -> String {
        let last = self.timesteps() - 1;
        match self.config.label() {
            Label::Timestep => format!("the timestep k, 0..={last}"),
            Label::Steps(scale) => format!("{scale} k, 0 to {}", self.levels[last].label),
            Label::Sigma if last == 0 => format!("sigma, {}", self.levels[0].label),
            Label::Sigma => format!("sigma of the timesteps 0..={last}"),
            Label::CNoise => format!("ln(sigma) / 4 of the timesteps 0..={last}"),
            Label::Time(scale) => {
                let [first, end] = [0, last].map(|k| self.levels[k].label);
                let times = if scale == 1.0 { "t".into() } else { format!("{scale} t") };
                format!("{times} of the timesteps 0..={last}, {first} to {end}")
            }
        }
    }

    /// What a velocity of this process is in terms of eps - x_0, which points to the noise: the same, 1, or the opposite, -1.
    pub fn velocity_sign(&self) -> f64 {
        match self.config {
            ProcessConfig::Flow { direction: Direction::ToData, .. } => -1.0,
            _ => 1.0,
        }
    }

    /// Refuses a network that embeds what this process does not tell it: noise levels where it is told timesteps,
    /// timesteps where it is told a noise level, or fewer timesteps than there are.
    pub fn require_told(&self, graph: &Graph) -> Result<()> {
        let (label, steps) = (self.config.label(), self.timesteps());
        for (name, function) in graph.rows.of_label() {
            let embeds = match (function.told(), label) {
                (Some(Told::Timestep(Some(rows))), Label::Timestep) if rows < steps => {
                    format!("timesteps 0..={}", rows.saturating_sub(1))
                }
                // Waves of a real number are no different from those of a whole one; rows of a table are.
                (Some(Told::Timestep(Some(_))), Label::Steps(_) | Label::Time(_) | Label::CNoise) => "timesteps".into(),
                (Some(Told::Timestep(_)), Label::Sigma) => "timesteps".into(),
                (Some(Told::NoiseLevel), Label::Timestep | Label::Steps(_) | Label::Time(_) | Label::CNoise) => {
                    "noise levels".into()
                }
                (Some(Told::Number), Label::Timestep) => "noise levels".into(),
                _ => continue,
            };
            let told = match label {
                Label::Timestep => format!("the timestep, 0..={}", steps - 1),
                Label::Steps(scale) => format!("{scale} k"),
                Label::Sigma => "sigma".into(),
                Label::CNoise => "ln(sigma) / 4".into(),
                Label::Time(_) => "t".into(),
            };
            let process = self.config.describe();
            let message = format!("{process}: it tells its network {told}; '{name}' of this one is made of {embeds}");
            return Err(Error::invalid("process", message));
        }
        Ok(())
    }

    /// Scale of the brownian bridge at timestep k: 1 where variance is preserved, else sigma.
    pub fn bridge_scale(&self, k: usize) -> f64 {
        if self.preserves_variance() { 1.0 } else { self.levels.get(k).map_or(1.0, |l| l.sigma) }
    }

    /// Standard deviation of the noise that sampling starts from, at the last timestep with signal: sigma where a = 1, where
    /// that is far more than the data; else that of N(0, I) data there.
    pub fn prior_scale(&self) -> f64 {
        let Level { a, sigma, .. } = self.levels[self.last_with_signal()];
        if self.config.noising() == Noising::Exploding { sigma } else { a.hypot(sigma) }
    }
}
