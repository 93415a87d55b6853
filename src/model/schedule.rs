//! How the noise of a variance-preserving process grows with the timestep: abar_k = prod_{q<=k} (1 - beta_q), in f64, for
//! k = 0..T-1 (PROTOCOL, "Fields"). In: a schedule's name, T, perhaps the betas at its ends. Out: abar.
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the noise grows with the timestep: f gives beta and abar (PROTOCOL; the paper's eq. 6 is the cosine).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Schedule {
    /// f(q) = cos^2((q/T + 0.008) / 1.008 * pi/2), beta = 1 - f(k+1)/f(k), at most 0.999 (arXiv 2102.09672).
    Cosine,
    /// f(q) = (S(3) - S(-3 + 6 q/T)) / (S(3) - S(-3)), S the logistic function (arXiv 2212.11972).
    Sigmoid,
    /// beta from 1e-4 to 0.02, scaled by 1000/T (arXiv 2006.11239); or from and to what the config says, as it says.
    Linear,
    /// sqrt(beta) is linear, between the same ends (arXiv 2112.10752).
    ScaledLinear,
    /// beta goes from its first to its last value as S(-6) goes to S(6) (arXiv 2203.02923; diffusers calls it `sigmoid`).
    SigmoidBeta,
    /// f(q) = sqrt(r / (1 + r)), ln r = -sgn(1/2 - u)/2 ln(1 - 2 |1/2 - u| + 1e-6), u = q/T (diffusers' `laplace`).
    Laplace,
    /// f(q) = e^(-12 q/T) (diffusers' `exp`).
    Exponential,
}

/// Every schedule by the name that config files give it.
pub const SCHEDULES: &[(&str, Schedule)] = &[
    ("cosine", Schedule::Cosine),
    ("sigmoid", Schedule::Sigmoid),
    ("linear", Schedule::Linear),
    ("scaled_linear", Schedule::ScaledLinear),
    ("sigmoid_beta", Schedule::SigmoidBeta),
    ("laplace", Schedule::Laplace),
    ("exponential", Schedule::Exponential),
];

/// beta at the ends of the linear schedules unless told otherwise, for T = 1000.
pub(super) const ENDS: [f64; 2] = [1e-4, 0.02];
/// What beta is cut off at.
const MOST_BETA: f64 = 0.999;

impl TryFrom<String> for Schedule {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
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

    /// Whether the schedule is one of betas between two ends.
    pub fn has_ends(self) -> bool {
        matches!(self, Schedule::Linear | Schedule::ScaledLinear | Schedule::SigmoidBeta)
    }

    /// `alphabar`; the schedules that have ends with these betas there, if there are any.
    pub fn alphabar_between(self, steps: usize, ends: Option<[f64; 2]>) -> Vec<f64> {
        let t = steps as f64;
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let f = |q: usize| {
            let u = q as f64 / t;
            match self {
                Schedule::Cosine => ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2),
                Schedule::Laplace => laplace(u),
                Schedule::Exponential => (-12.0 * u).exp(),
                _ => (logistic(3.0) - logistic(-3.0 + 6.0 * u)) / (logistic(3.0) - logistic(-3.0)),
            }
        };
        let [lo, hi] = ends.unwrap_or(ENDS.map(|beta| beta * 1000.0 / t));
        let between = |lo: f64, hi: f64, k: usize| lo + (hi - lo) * k as f64 / (t - 1.0).max(1.0);
        let beta = |k: usize| match self {
            Schedule::Linear => between(lo, hi, k),
            Schedule::ScaledLinear => between(lo.sqrt(), hi.sqrt(), k).powi(2),
            Schedule::SigmoidBeta => lo + (hi - lo) * logistic(between(-6.0, 6.0, k)),
            Schedule::Cosine | Schedule::Sigmoid | Schedule::Laplace | Schedule::Exponential => 1.0 - f(k + 1) / f(k),
        };
        cumulated((0..steps).map(|k| beta(k).min(MOST_BETA)))
    }
}

/// f of `Schedule::Laplace` at u = q/T.
fn laplace(u: f64) -> f64 {
    let ratio = (-0.5 * (0.5 - u).signum() * (1.0 - 2.0 * (0.5 - u).abs() + 1e-6).ln()).exp();
    (ratio / (1.0 + ratio)).sqrt()
}

/// abar of betas, one per timestep.
pub(super) fn cumulated(betas: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut product = 1.0;
    let next = |beta: f64| {
        product *= 1.0 - beta;
        product
    };
    betas.into_iter().map(next).collect()
}

/// abar whose root is shifted and scaled so that it keeps its first value and ends at 0 (arXiv 2305.08891, algorithm 1);
/// `last` is then put in the last place: 0, or what stands for it where something is divided by abar.
pub(super) fn rescaled(alphabar: &[f64], last: f64) -> Result<Vec<f64>> {
    let wrong = |found: String| Error::invalid("process.rescaled_to", found);
    let [first, .., end] = alphabar else {
        return Err(wrong(format!("{} timesteps, expected two or more", alphabar.len())));
    };
    let (first, end) = (first.sqrt(), end.sqrt());
    let mut all: Vec<f64> = alphabar.iter().map(|abar| ((abar.sqrt() - end) * first / (first - end)).powi(2)).collect();
    let before = all[all.len() - 2];
    if !(0.0..before).contains(&last) {
        return Err(wrong(format!("{last}, expected 0 or more, and less than the {before} of the timestep before")));
    }
    all[alphabar.len() - 1] = last;
    Ok(all)
}
