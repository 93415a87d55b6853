//! A noising process as `config.json` names it. In: the object `process`. Out: `ProcessConfig`, which says itself in words.
use crate::model::schedule::{self, Schedule};
use serde::{Deserialize, Serialize};

/// The process as `config.json` names it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
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
        /// The network is told this times k, in the place of k: 0.001 of T = 1000 is t = k / T.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label_scale: Option<f64>,
    },
    /// Variance preserving, with these betas.
    Betas {
        /// One per timestep, above 0, at most 1.
        betas: Vec<f64>,
        /// As with a schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rescaled_to: Option<f64>,
        /// As with a schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label_scale: Option<f64>,
    },
    /// Variance preserving, with these products of 1 - beta.
    Alphas {
        /// abar of each timestep: below 1, never rising, 0 at the lowest.
        alphas_cumprod: Vec<f64>,
        /// As with a schedule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label_scale: Option<f64>,
    },
    /// Variance preserving in real time t (arXiv 2011.13456): beta(t) = beta_min + (beta_max - beta_min) t, and with B its integral
    /// from 0 to t, a = e^(-B/2). beta_min = beta_max = 1 is a = e^(-t/2).
    VpContinuous {
        /// beta at t = 0.
        beta_min: f64,
        /// beta at t = 1.
        beta_max: f64,
        /// T levels, uniform in t from `t_min` to `t_max`; or `times`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timesteps: Option<usize>,
        /// t at k = 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t_min: Option<f64>,
        /// t at k = T-1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t_max: Option<f64>,
        /// t of each level, above 0, strictly increasing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Vec<f64>>,
        /// The network is told this times t.
        #[serde(default = "one")]
        label_scale: f64,
    },
    /// Straight lines from data to noise (arXiv 2209.03003): a = 1 - t, sigma = t, where t = 1 is noise.
    Flow {
        /// T levels, t = (k+1)/T; or `times`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timesteps: Option<usize>,
        /// The network's own t of each level, in the order of growing noise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<Vec<f64>>,
        /// What is at the network's t = 1.
        #[serde(default)]
        direction: Direction,
        /// The network is told this times its own t.
        #[serde(default = "one")]
        label_scale: f64,
    },
    /// Variance exploding with the levels of EDM (arXiv 2206.00364): sigma^(1/rho) is linear in k.
    Edm {
        /// At k = 0; 0.002 if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_min: Option<f64>,
        /// At k = T-1; 80 if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_max: Option<f64>,
        /// 7 if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rho: Option<f64>,
        /// T; or `sigmas`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timesteps: Option<usize>,
        /// These noise levels, strictly increasing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigmas: Option<Vec<f64>>,
        /// What the network is told.
        #[serde(default)]
        label: EdmLabel,
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
    /// The one noise level of a denoiser: a = 1, T = 1.
    Fixed {
        /// That level, of which the network may be told.
        sigma: f64,
    },
}

/// What is at the t = 1 of a flow's network.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Noise: x_t = (1-t) x_0 + t eps, and the velocity is eps - x_0.
    #[default]
    ToNoise,
    /// Data: x_t = t x_0 + (1-t) eps, and the velocity is x_0 - eps.
    ToData,
}

/// What the network of an `edm` process is told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EdmLabel {
    /// sigma.
    #[default]
    Sigma,
    /// ln(sigma) / 4.
    CNoise,
}

/// What becomes of the data as noise is added to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noising {
    /// They shrink as the noise grows, a^2 + sigma^2 = 1.
    Preserving,
    /// They stay as they are, a = 1.
    Exploding,
    /// They shrink along straight lines, a + sigma = 1.
    Straight,
}

/// What a network is told of the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label {
    /// The timestep k.
    Timestep,
    /// This multiple of k.
    Steps(f64),
    /// sigma.
    Sigma,
    /// ln(sigma) / 4.
    CNoise,
    /// This multiple of the network's own t.
    Time(f64),
}

/// sigma_min, sigma_max and rho of `edm`, if not given.
pub(super) const EDM: [f64; 3] = [0.002, 80.0, 7.0];

const fn one() -> f64 {
    1.0
}

impl ProcessConfig {
    /// Variance preserving with the schedule's own betas.
    pub fn vp(schedule: Schedule, timesteps: usize) -> Self {
        Self::Vp { schedule, timesteps, beta_start: None, beta_end: None, rescaled_to: None, label_scale: None }
    }

    /// In words, for people.
    pub fn describe(&self) -> String {
        let words = format!("{}, {}", self.kind(), self.schedule());
        match self.listed() {
            Some(_) => words, // a list says how long it is
            None => format!("{words}, T = {}", self.timesteps()),
        }
    }

    /// What is kept or grows, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vp { .. } | Self::Betas { .. } | Self::Alphas { .. } => "variance preserving",
            Self::VpContinuous { .. } => "variance preserving in real time",
            Self::Flow { .. } => "flow along straight lines",
            Self::Edm { .. } => "variance exploding (EDM)",
            Self::Ve { .. } | Self::Sigmas { .. } => "variance exploding",
            Self::Fixed { .. } => "fixed noise level",
        }
    }

    /// What becomes of the data.
    pub fn noising(&self) -> Noising {
        match self {
            Self::Vp { .. } | Self::Betas { .. } | Self::Alphas { .. } | Self::VpContinuous { .. } => {
                Noising::Preserving
            }
            Self::Flow { .. } => Noising::Straight,
            Self::Edm { .. } | Self::Ve { .. } | Self::Sigmas { .. } | Self::Fixed { .. } => Noising::Exploding,
        }
    }

    /// What networks are told.
    pub fn label(&self) -> Label {
        match self {
            Self::Vp { label_scale, .. } | Self::Betas { label_scale, .. } | Self::Alphas { label_scale, .. } => {
                label_scale.map_or(Label::Timestep, Label::Steps)
            }
            Self::VpContinuous { label_scale, .. } | Self::Flow { label_scale, .. } => Label::Time(*label_scale),
            Self::Edm { label: EdmLabel::CNoise, .. } => Label::CNoise,
            Self::Edm { .. } | Self::Ve { .. } | Self::Sigmas { .. } | Self::Fixed { .. } => Label::Sigma,
        }
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
            Self::Betas { betas, rescaled_to, .. } => format!("{} betas{}", betas.len(), rescaled(rescaled_to)),
            Self::Alphas { alphas_cumprod, .. } => format!("{} values of alphas_cumprod", alphas_cumprod.len()),
            Self::VpContinuous { beta_min, beta_max, t_min, t_max, times, .. } => {
                let beta = format!("beta {beta_min} at t = 0 to {beta_max} at t = 1");
                match (times, t_min, t_max) {
                    (None, Some(first), Some(last)) => format!("{beta}, t {first} to {last}"),
                    _ => format!("{beta}, {} times", self.timesteps()),
                }
            }
            Self::Flow { times, direction, .. } => {
                let end = if *direction == Direction::ToNoise { "noise" } else { "data" };
                match times {
                    Some(times) => format!("{} times, t = 1 is {end}", times.len()),
                    None => format!("uniform in t, t = 1 is {end}"),
                }
            }
            Self::Edm { sigmas: Some(sigmas), .. } | Self::Sigmas { sigmas } => {
                format!("{} noise levels", sigmas.len())
            }
            Self::Edm { sigma_min, sigma_max, rho, .. } => {
                let [first, last, power] = EDM;
                let (first, last) = (sigma_min.unwrap_or(first), sigma_max.unwrap_or(last));
                format!("sigma {first} to {last}, rho {}", rho.unwrap_or(power))
            }
            Self::Ve { sigma_min, sigma_max, .. } => format!("sigma {sigma_min} to {sigma_max}"),
            Self::Fixed { sigma } => format!("sigma {sigma}"),
        }
    }

    /// T.
    pub fn timesteps(&self) -> usize {
        match self {
            Self::Vp { timesteps, .. } | Self::Ve { timesteps, .. } => *timesteps,
            Self::VpContinuous { timesteps, .. } | Self::Flow { timesteps, .. } | Self::Edm { timesteps, .. } => {
                self.listed().map_or(timesteps.unwrap_or(0), <[f64]>::len)
            }
            Self::Fixed { .. } => 1,
            Self::Betas { .. } | Self::Alphas { .. } | Self::Sigmas { .. } => self.listed().map_or(0, <[f64]>::len),
        }
    }

    /// The numbers of a process that lists what each of its timesteps is.
    pub(super) fn listed(&self) -> Option<&[f64]> {
        match self {
            Self::Betas { betas, .. } => Some(betas),
            Self::Alphas { alphas_cumprod, .. } => Some(alphas_cumprod),
            Self::Sigmas { sigmas } => Some(sigmas),
            Self::VpContinuous { times, .. } | Self::Flow { times, .. } => times.as_deref(),
            Self::Edm { sigmas, .. } => sigmas.as_deref(),
            Self::Vp { .. } | Self::Ve { .. } | Self::Fixed { .. } => None,
        }
    }
}

/// Both ends of beta, if one was given.
pub(super) fn given(start: Option<f64>, end: Option<f64>) -> Option<[f64; 2]> {
    let [first, last] = schedule::ENDS;
    (start.is_some() || end.is_some()).then(|| [start.unwrap_or(first), end.unwrap_or(last)])
}
