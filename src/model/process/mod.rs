//! The noising process x = a x_0 + sigma eps as a table of noise levels, in f64, k = 0..T-1 (PROTOCOL, "Fields").
//! VP: a = sqrt(abar_k), sigma = sqrt(1 - abar_k), abar_k = prod_{q<=k} (1 - beta_q); networks are told k.
//! VE: a = 1, sigma_k = sigma_min (sigma_max / sigma_min)^(k / (T-1)), or a list; networks are told sigma (arXiv 2011.13456).
mod config;

pub use config::ProcessConfig;

use super::schedule::{self, Schedule};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::rows::Told;
use config::given;

/// More timesteps than this are a slip of the pen.
const MOST_TIMESTEPS: usize = 1_000_000;

/// A process with its table of noise levels.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where the table comes from.
    pub config: ProcessConfig,
    /// What said so, in words that follow a comma: a file and its keys, an option, or that it is a default.
    pub source: String,
    /// (a, sigma) by timestep.
    levels: Vec<(f64, f64)>,
}

impl Process {
    /// Tabulates the noise levels in f64.
    pub fn new(config: &ProcessConfig) -> Result<Self> {
        let steps = config.timesteps();
        if !(1..=MOST_TIMESTEPS).contains(&steps) {
            let found = format!("{steps} is outside 1..={MOST_TIMESTEPS}");
            return Err(Error::invalid("process.timesteps", found));
        }
        let levels: Vec<(f64, f64)> = match config {
            ProcessConfig::Ve { sigma_min, sigma_max, timesteps } => {
                if !(*sigma_min > 0.0 && sigma_min < sigma_max && sigma_max.is_finite()) {
                    let found = format!("sigma_min {sigma_min} and sigma_max {sigma_max}");
                    return Err(Error::invalid("process", format!("{found}, expected 0 < sigma_min < sigma_max")));
                }
                let last = (steps as f64 - 1.0).max(1.0);
                (0..*timesteps).map(|k| (1.0, sigma_min * (sigma_max / sigma_min).powf(k as f64 / last))).collect()
            }
            ProcessConfig::Sigmas { sigmas } => {
                let increasing = sigmas.is_sorted_by(|a, b| a < b);
                if !(increasing && sigmas.iter().all(|s| *s > 0.0 && s.is_finite())) {
                    let message = "expected strictly increasing numbers above 0, the noise level of each timestep";
                    return Err(Error::invalid("process.sigmas", message));
                }
                sigmas.iter().map(|&sigma| (1.0, sigma)).collect()
            }
            _ => alphabar(config)?.into_iter().map(|abar| (abar.sqrt(), (1.0 - abar).sqrt())).collect(),
        };
        // Kernels have both in f32, and scores divide by sigma. What divides by a looks at it: pure noise has a = 0.
        let sound = |v: f64| v > 0.0 && (v as f32).is_normal();
        let signal = |a: f64| sound(a) || (a == 0.0 && config.preserves_variance());
        if let Some((k, (a, sigma))) = levels.iter().enumerate().find(|(_, l)| !(signal(l.0) && sound(l.1))) {
            let found = format!("a = {a}, sigma = {sigma} at timestep {k} of 0..={}", levels.len() - 1);
            return Err(Error::invalid(
                "process",
                format!("{found}, expected numbers above 0 within the range of f32"),
            ));
        }
        Ok(Self { config: config.clone(), source: "as the program that embeds the engine says".into(), levels })
    }

    /// The same process, and what said so.
    pub fn said(self, source: impl Into<String>) -> Self {
        Self { source: source.into(), ..self }
    }

    /// True if both have the same noise levels, however they are written down.
    pub fn same_levels(&self, other: &Self) -> bool {
        self.preserves_variance() == other.preserves_variance() && self.levels == other.levels
    }

    /// The last timestep at which something of the data is left, a > 0: the last of all, unless the process ends in pure
    /// noise (zero terminal SNR).
    pub fn last_with_signal(&self) -> usize {
        self.levels.iter().rposition(|l| l.0 > 0.0).unwrap_or(0)
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
        self.levels.get(k).copied().ok_or_else(|| Error::invalid("timestep", format!("{k} is outside 0..={last}")))
    }

    /// True if a^2 + sigma^2 = 1 at every timestep; else a = 1.
    pub fn preserves_variance(&self) -> bool {
        self.config.preserves_variance()
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
        for (name, function) in graph.rows.of_label() {
            let embeds = match function.told() {
                Some(Told::Timestep(Some(rows))) if vp && rows < steps => {
                    format!("timesteps 0..={}", rows.saturating_sub(1))
                }
                Some(Told::Timestep(_)) if !vp => "timesteps".into(),
                Some(Told::NoiseLevel) if vp => "noise levels".into(),
                _ => continue,
            };
            let told = if vp { format!("the timestep, 0..={}", steps - 1) } else { "sigma".into() };
            let process = self.config.describe();
            let message = format!("{process}: it tells its network {told}; '{name}' of this one is made of {embeds}");
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

/// abar of a variance-preserving process.
fn alphabar(config: &ProcessConfig) -> Result<Vec<f64>> {
    let (plain, rescaled_to) = match config {
        ProcessConfig::Vp { schedule, timesteps, beta_start, beta_end, rescaled_to } => {
            let ends = given(*beta_start, *beta_end);
            check_betas(*schedule, ends)?;
            (schedule.alphabar_between(*timesteps, ends), *rescaled_to)
        }
        ProcessConfig::Betas { betas, rescaled_to } => {
            if let Some((k, beta)) = betas.iter().enumerate().find(|(_, b)| !(**b > 0.0 && **b <= 1.0)) {
                let found = format!("{beta} at timestep {k}, expected numbers above 0, at most 1");
                return Err(Error::invalid("process.betas", found));
            }
            (schedule::cumulated(betas.iter().copied()), *rescaled_to)
        }
        ProcessConfig::Alphas { alphas_cumprod: all } => {
            let sound = |k: usize| (0.0..1.0).contains(&all[k]) && (k == 0 || all[k] <= all[k - 1]);
            if let Some(k) = (0..all.len()).find(|k| !sound(*k)) {
                let found = format!("{} at timestep {k}, expected numbers from 0 to below 1 that never rise", all[k]);
                return Err(Error::invalid("process.alphas_cumprod", found));
            }
            (all.clone(), None)
        }
        ProcessConfig::Ve { .. } | ProcessConfig::Sigmas { .. } => (vec![], None),
    };
    rescaled_to.map_or(Ok(plain.clone()), |last| schedule::rescaled(&plain, last))
}

fn check_betas(schedule: Schedule, ends: Option<[f64; 2]>) -> Result<()> {
    let Some([first, last]) = ends else { return Ok(()) };
    if !schedule.has_ends() {
        let message =
            format!("belong to the schedules linear, scaled_linear and sigmoid_beta, this is {}", schedule.name());
        return Err(Error::invalid("process.beta_start and beta_end", message));
    }
    let sound = |beta: f64| beta > 0.0 && beta < 1.0;
    if !(sound(first) && sound(last)) {
        let message = format!("{first} and {last}, expected numbers between 0 and 1");
        return Err(Error::invalid("process.beta_start and beta_end", message));
    }
    Ok(())
}
