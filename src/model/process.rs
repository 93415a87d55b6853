//! The noising process x = a x_0 + sigma eps and its schedules, in f64, k = 0..T-1 (PROTOCOL, "Fields").
//! VP: a = sqrt(abar_k), sigma = sqrt(1 - abar_k), abar_k = prod_{q<=k} (1 - beta_q); networks are told k.
//! VE: a = 1, sigma_k = sigma_min (sigma_max / sigma_min)^(k / (T-1)), or a list; networks are told sigma (arXiv 2011.13456).
use crate::error::{Error, Result};
use crate::graph::{Graph, RowLayer};
use serde::{Deserialize, Serialize};

/// How the noise grows with the timestep: f gives beta and abar (PROTOCOL; the paper's eq. 6 is the cosine).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// f(q) = cos^2((q/T + 0.008) / 1.008 * pi/2), beta = 1 - f(k+1)/f(k), at most 0.999 (arXiv 2102.09672).
    Cosine,
    /// f(q) = (S(3) - S(-3 + 6 q/T)) / (S(3) - S(-3)), S the logistic function (arXiv 2212.11972).
    Sigmoid,
    /// beta from 1e-4 to 0.02, scaled by 1000/T (arXiv 2006.11239); or from and to what the config says, as it says.
    Linear,
    /// sqrt(beta) is linear, between the same ends (arXiv 2112.10752).
    ScaledLinear,
}

/// Every schedule by the name that config files give it.
pub const SCHEDULES: &[(&str, Schedule)] = &[
    ("cosine", Schedule::Cosine),
    ("sigmoid", Schedule::Sigmoid),
    ("linear", Schedule::Linear),
    ("scaled_linear", Schedule::ScaledLinear),
];

/// beta at the ends of the linear schedules unless told otherwise, for T = 1000.
const ENDS: [f64; 2] = [1e-4, 0.02];
/// What beta is cut off at.
const MOST_BETA: f64 = 0.999;

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
        Self::Vp { schedule, timesteps, beta_start: None, beta_end: None }
    }

    /// In words, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Vp { schedule, timesteps, beta_start, beta_end } => {
                let betas = match given(*beta_start, *beta_end) {
                    Some([first, last]) => format!(" (beta {first} to {last})"),
                    None => String::new(),
                };
                let name = schedule.name();
                format!("variance preserving, {name} schedule{betas}, T = {timesteps}")
            }
            Self::Ve { sigma_min, sigma_max, timesteps } => {
                format!("variance exploding, sigma {sigma_min} to {sigma_max}, T = {timesteps}")
            }
            Self::Sigmas { sigmas } => format!("variance exploding, {} noise levels", sigmas.len()),
        }
    }
}

/// Both ends of beta, if one was given.
fn given(start: Option<f64>, end: Option<f64>) -> Option<[f64; 2]> {
    (start.is_some() || end.is_some()).then(|| [start.unwrap_or(ENDS[0]), end.unwrap_or(ENDS[1])])
}

/// A process with its table of noise levels.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where the table comes from.
    pub config: ProcessConfig,
    /// (a, sigma) by timestep.
    levels: Vec<(f64, f64)>,
}

impl Schedule {
    /// In `SCHEDULES`.
    pub fn name(self) -> &'static str {
        SCHEDULES.iter().find(|s| s.1 == self).map_or("", |s| s.0)
    }

    /// The schedule of that name, or an error that lists what there is.
    pub fn parse(name: &str) -> Result<Self> {
        SCHEDULES.iter().find(|s| s.0 == name).map(|s| s.1).ok_or_else(|| {
            let known: Vec<_> = SCHEDULES.iter().map(|s| s.0).collect();
            Error::invalid("schedule", format!("'{name}' is not one of {}", known.join(", ")))
        })
    }

    /// abar_k for k = 0..T-1.
    pub fn alphabar(self, steps: usize) -> Vec<f64> {
        self.alphabar_between(steps, None)
    }

    /// `alphabar`; the linear schedules with these betas at their ends, if there are any.
    pub fn alphabar_between(self, steps: usize, ends: Option<[f64; 2]>) -> Vec<f64> {
        let t = steps as f64;
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let f = |q: usize| {
            let u = q as f64 / t;
            match self {
                Schedule::Cosine => ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2),
                _ => (logistic(3.0) - logistic(-3.0 + 6.0 * u)) / (logistic(3.0) - logistic(-3.0)),
            }
        };
        let [lo, hi] = ends.unwrap_or(ENDS.map(|beta| beta * 1000.0 / t));
        let between = |lo: f64, hi: f64, k: usize| lo + (hi - lo) * k as f64 / (t - 1.0).max(1.0);
        let beta = |k: usize| match self {
            Schedule::Linear => between(lo, hi, k),
            Schedule::ScaledLinear => between(lo.sqrt(), hi.sqrt(), k).powi(2),
            Schedule::Cosine | Schedule::Sigmoid => 1.0 - f(k + 1) / f(k),
        };
        let mut product = 1.0;
        (0..steps)
            .map(|k| {
                product *= 1.0 - beta(k).min(MOST_BETA);
                product
            })
            .collect()
    }
}

impl Process {
    /// Tabulates the noise levels in f64.
    pub fn new(config: &ProcessConfig) -> Result<Self> {
        let steps = |timesteps: usize| match timesteps {
            1..=1_000_000 => Ok(timesteps),
            _ => Err(Error::invalid("process.timesteps", format!("{timesteps} is outside 1..=1000000"))),
        };
        let levels: Vec<(f64, f64)> = match config {
            ProcessConfig::Vp { schedule, timesteps, beta_start, beta_end } => {
                let ends = given(*beta_start, *beta_end);
                check_betas(*schedule, ends)?;
                let alphabar = schedule.alphabar_between(steps(*timesteps)?, ends);
                alphabar.into_iter().map(|abar| (abar.sqrt(), (1.0 - abar).sqrt())).collect()
            }
            ProcessConfig::Ve { sigma_min, sigma_max, timesteps } => {
                if !(*sigma_min > 0.0 && sigma_min < sigma_max && sigma_max.is_finite()) {
                    let found = format!("sigma_min {sigma_min} and sigma_max {sigma_max}");
                    return Err(Error::invalid("process", format!("{found}, expected 0 < sigma_min < sigma_max")));
                }
                let last = (steps(*timesteps)? as f64 - 1.0).max(1.0);
                (0..*timesteps).map(|k| (1.0, sigma_min * (sigma_max / sigma_min).powf(k as f64 / last))).collect()
            }
            ProcessConfig::Sigmas { sigmas } => {
                steps(sigmas.len())?;
                let increasing = sigmas.is_sorted_by(|a, b| a < b);
                if !(increasing && sigmas.iter().all(|s| *s > 0.0 && s.is_finite())) {
                    let message = "expected strictly increasing numbers above 0, the noise level of each timestep";
                    return Err(Error::invalid("process.sigmas", message));
                }
                sigmas.iter().map(|&sigma| (1.0, sigma)).collect()
            }
        };
        // Kernels have both in f32; scores divide by sigma, samplers by a.
        let sound = |v: f64| v > 0.0 && (v as f32).is_normal();
        if let Some((k, (a, sigma))) = levels.iter().enumerate().find(|(_, l)| !(sound(l.0) && sound(l.1))) {
            let found = format!("a = {a}, sigma = {sigma} at timestep {k} of 0..={}", levels.len() - 1);
            return Err(Error::invalid(
                "process",
                format!("{found}, expected numbers above 0 within the range of f32"),
            ));
        }
        Ok(Self { config: config.clone(), levels })
    }

    /// Number of timesteps T.
    pub fn timesteps(&self) -> usize {
        self.levels.len()
    }

    /// (a, sigma) at timestep k.
    pub fn noise(&self, k: usize) -> Result<(f64, f64)> {
        let last = self.levels.len() - 1;
        self.levels.get(k).copied().ok_or_else(|| Error::invalid("timestep", format!("{k} is outside 0..={last}")))
    }

    /// True if a^2 + sigma^2 = 1 at every timestep; else a = 1.
    pub fn preserves_variance(&self) -> bool {
        matches!(self.config, ProcessConfig::Vp { .. })
    }

    /// Refuses what is defined for a variance-preserving process only; `what` is that.
    pub fn require_vp(&self, what: &str) -> Result<()> {
        if self.preserves_variance() {
            return Ok(());
        }
        let found = self.config.describe();
        Err(Error::invalid(
            what,
            format!("needs a variance-preserving process, a^2 + sigma^2 = 1; this one is {found}"),
        ))
    }

    /// `Graph::labels` of networks of this process: every sigma on VE; none on VP, where the label is k.
    pub fn labels(&self) -> Option<Vec<f64>> {
        (!self.preserves_variance()).then(|| self.levels.iter().map(|l| l.1).collect())
    }

    /// Refuses a network that embeds what this process does not tell it: noise levels on VP, timesteps on VE, or
    /// fewer timesteps than there are.
    pub fn require_told(&self, graph: &Graph) -> Result<()> {
        let (vp, steps) = (self.preserves_variance(), self.timesteps());
        for table in &graph.rows {
            let embeds = match table.layers.first() {
                Some(RowLayer::Lookup { rows, .. }) if vp && *rows < steps => {
                    format!("timesteps 0..={}", rows.saturating_sub(1))
                }
                Some(RowLayer::Lookup { .. } | RowLayer::Sinusoid { .. }) if !vp => "timesteps".into(),
                Some(RowLayer::Fourier { .. } | RowLayer::Reciprocal) if vp => "noise levels".into(),
                _ => continue,
            };
            let told = if vp { format!("the timestep, 0..={}", steps - 1) } else { "sigma".into() };
            let process = self.config.describe();
            let message =
                format!("{process}: it tells its network {told}; '{}' of this one is made of {embeds}", table.name);
            return Err(Error::invalid("process", message));
        }
        Ok(())
    }

    /// Scale of the brownian bridge at timestep k: 1 on VP, sigma on VE.
    pub fn bridge_scale(&self, k: usize) -> f64 {
        if self.preserves_variance() { 1.0 } else { self.levels.get(k).map_or(1.0, |l| l.1) }
    }

    /// Standard deviation of the noise that sampling starts from: that of N(0, I) data at the last timestep on VP,
    /// sigma_max on VE.
    pub fn prior_scale(&self) -> f64 {
        let (a, sigma) = self.levels[self.levels.len() - 1];
        if self.preserves_variance() { (a * a + sigma * sigma).sqrt() } else { sigma }
    }
}

fn check_betas(schedule: Schedule, ends: Option<[f64; 2]>) -> Result<()> {
    let Some([first, last]) = ends else { return Ok(()) };
    if !matches!(schedule, Schedule::Linear | Schedule::ScaledLinear) {
        let message = format!("belong to the schedules linear and scaled_linear, this is {}", schedule.name());
        return Err(Error::invalid("process.beta_start and beta_end", message));
    }
    let sound = |beta: f64| beta > 0.0 && beta < 1.0;
    if !(sound(first) && sound(last)) {
        let message = format!("{first} and {last}, expected numbers between 0 and 1");
        return Err(Error::invalid("process.beta_start and beta_end", message));
    }
    Ok(())
}
