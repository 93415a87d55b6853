//! The noising process x = a x_0 + sigma eps and its schedules, in f64, k = 0..T-1 (PROTOCOL, "Fields").
//! VP: a = sqrt(abar_k), sigma = sqrt(1 - abar_k), abar_k = prod_{q<=k} (1 - beta_q).
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the noise grows with the timestep: f gives beta and abar (PROTOCOL; the paper's eq. 6 is the cosine).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// f(q) = cos^2((q/T + 0.008) / 1.008 * pi/2), beta = 1 - f(k+1)/f(k), at most 0.999 (arXiv 2102.09672).
    Cosine,
    /// f(q) = (S(3) - S(-3 + 6 q/T)) / (S(3) - S(-3)), S the logistic function (arXiv 2212.11972).
    Sigmoid,
    /// beta from 1e-4 to 0.02, scaled by 1000/T (arXiv 2006.11239).
    Linear,
}

/// The process as `config.json` names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "kind")]
pub enum ProcessConfig {
    /// Variance preserving: a^2 + sigma^2 = 1.
    Vp {
        /// How abar falls with k.
        schedule: Schedule,
        /// T.
        timesteps: usize,
    },
}

/// A process with its table of noise levels.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where the table comes from.
    pub config: ProcessConfig,
    alphabar: Vec<f64>,
}

impl Schedule {
    /// abar_k for k = 0..T-1.
    pub fn alphabar(self, steps: usize) -> Vec<f64> {
        let t = steps as f64;
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let f = |q: usize| {
            let u = q as f64 / t;
            match self {
                Schedule::Cosine => ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2),
                _ => (logistic(3.0) - logistic(-3.0 + 6.0 * u)) / (logistic(3.0) - logistic(-3.0)),
            }
        };
        let beta = |k: usize| match self {
            Schedule::Linear => {
                let (lo, hi) = (1e-4 * 1000.0 / t, 0.02 * 1000.0 / t);
                (lo + (hi - lo) * k as f64 / (t - 1.0).max(1.0)).min(0.999)
            }
            _ => (1.0 - f(k + 1) / f(k)).min(0.999),
        };
        let mut product = 1.0;
        (0..steps)
            .map(|k| {
                product *= 1.0 - beta(k);
                product
            })
            .collect()
    }
}

impl Process {
    /// Tabulates the noise levels in f64.
    pub fn new(config: &ProcessConfig) -> Result<Self> {
        let ProcessConfig::Vp { schedule, timesteps } = *config;
        if !(1..=1_000_000).contains(&timesteps) {
            return Err(Error::invalid("process.timesteps", format!("{timesteps} is outside 1..=1000000")));
        }
        Ok(Self { config: config.clone(), alphabar: schedule.alphabar(timesteps) })
    }

    /// Number of timesteps T.
    pub fn timesteps(&self) -> usize {
        self.alphabar.len()
    }

    /// (a, sigma) at timestep k.
    pub fn noise(&self, k: usize) -> Result<(f64, f64)> {
        let abar = self
            .alphabar
            .get(k)
            .ok_or_else(|| Error::invalid("timestep", format!("{k} is outside 0..={}", self.alphabar.len() - 1)))?;
        Ok((abar.sqrt(), (1.0 - abar).sqrt()))
    }

    /// Scale of the brownian bridge at timestep k: 1 on VP.
    pub fn bridge_scale(&self, _k: usize) -> f64 {
        1.0
    }
}
