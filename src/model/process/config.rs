//! A noising process as `config.json` names it. In: the object `process`. Out: `ProcessConfig`, which says itself in words.
use crate::model::schedule::{self, Schedule};
use serde::{Deserialize, Serialize};

/// The process as `config.json` names it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "kind")]
pub enum ProcessConfig {
    /// Variance preserving: a^2 + sigma^2 = 1.
    Vp {
        /// How abar falls with k.
        schedule: Schedule,
        /// T.
        timesteps: usize,
        /// First beta of a linear schedule. Given one of the two, neither is scaled by 1000/T.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beta_start: Option<f64>,
        /// Last beta of a linear schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beta_end: Option<f64>,
        /// If given, abar is rescaled to end at zero (arXiv 2305.08891), and its last value is then this: 0, or the 2^-24
        /// of schedulers that divide by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rescaled_to: Option<f64>,
    },
    /// Variance preserving, with these betas.
    Betas {
        /// One per timestep, above 0, at most 1.
        betas: Vec<f64>,
        /// As with a schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rescaled_to: Option<f64>,
    },
    /// Variance preserving, with these products of 1 - beta.
    Alphas {
        /// abar of each timestep: below 1, never rising, 0 at the lowest.
        alphas_cumprod: Vec<f64>,
    },
    /// Variance exploding: a = 1, sigma in geometric progression.
    Ve {
        /// At k = 0.
        sigma_min: f64,
        /// At k = T-1.
        sigma_max: f64,
        /// T.
        timesteps: usize,
    },
    /// Variance exploding through these noise levels.
    Sigmas {
        /// Strictly increasing.
        sigmas: Vec<f64>,
    },
}

impl ProcessConfig {
    /// Variance preserving with the schedule's own betas.
    pub fn vp(schedule: Schedule, timesteps: usize) -> Self {
        Self::Vp { schedule, timesteps, beta_start: None, beta_end: None, rescaled_to: None }
    }

    /// In words, for people.
    pub fn describe(&self) -> String {
        let words = format!("{}, {}", self.kind(), self.schedule());
        match self {
            Self::Vp { timesteps, .. } | Self::Ve { timesteps, .. } => format!("{words}, T = {timesteps}"),
            _ => words, // a list says how long it is
        }
    }

    /// What is kept or grows, in words.
    pub fn kind(&self) -> &'static str {
        if self.preserves_variance() { "variance preserving" } else { "variance exploding" }
    }

    /// How the noise grows with the timestep, in words.
    pub fn schedule(&self) -> String {
        let rescaled = |to: &Option<f64>| match to {
            Some(last) => format!(", rescaled to zero terminal SNR (last abar {last})"),
            None => String::new(),
        };
        match self {
            Self::Vp { schedule, beta_start, beta_end, rescaled_to, .. } => {
                let betas = match given(*beta_start, *beta_end) {
                    Some([first, last]) => format!(" (beta {first} to {last})"),
                    None => String::new(),
                };
                format!("{} schedule{betas}{}", schedule.name(), rescaled(rescaled_to))
            }
            Self::Betas { betas, rescaled_to } => format!("{} betas{}", betas.len(), rescaled(rescaled_to)),
            Self::Alphas { alphas_cumprod } => format!("{} values of alphas_cumprod", alphas_cumprod.len()),
            Self::Ve { sigma_min, sigma_max, .. } => format!("sigma {sigma_min} to {sigma_max}"),
            Self::Sigmas { sigmas } => format!("{} noise levels", sigmas.len()),
        }
    }

    /// T.
    pub fn timesteps(&self) -> usize {
        match self {
            Self::Vp { timesteps, .. } | Self::Ve { timesteps, .. } => *timesteps,
            Self::Betas { betas, .. } => betas.len(),
            Self::Alphas { alphas_cumprod } => alphas_cumprod.len(),
            Self::Sigmas { sigmas } => sigmas.len(),
        }
    }

    /// True if a^2 + sigma^2 = 1 at every timestep; else a = 1.
    pub fn preserves_variance(&self) -> bool {
        matches!(self, Self::Vp { .. } | Self::Betas { .. } | Self::Alphas { .. })
    }
}

/// Both ends of beta, if one was given.
pub(super) fn given(start: Option<f64>, end: Option<f64>) -> Option<[f64; 2]> {
    let [first, last] = schedule::ENDS;
    (start.is_some() || end.is_some()).then(|| [start.unwrap_or(first), end.unwrap_or(last)])
}
