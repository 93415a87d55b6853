//! The noise levels of a process, in f64, k = 0..T-1, and what networks are told at each. In: a configuration, whose values are
//! checked here. Out: a, sigma and label by timestep.
use super::config::{Direction, EDM, Label, ProcessConfig, given};
use crate::error::{Error, Result};
use crate::model::schedule::{self, Schedule};

/// What a process is at a timestep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub a: f64,
    pub sigma: f64,
    /// What the network is told.
    pub label: f64,
}

/// More timesteps than this are a slip of the pen.
const MOST_TIMESTEPS: usize = 1_000_000;

/// Every level, each with numbers that kernels and scores can have.
pub(super) fn of(config: &ProcessConfig) -> Result<Vec<Level>> {
    counted(config)?;
    let levels = match config {
        ProcessConfig::Vp { .. } | ProcessConfig::Betas { .. } | ProcessConfig::Alphas { .. } => {
            let scale = if let Label::Steps(scale) = config.label() { scale } else { 1.0 };
            scaled(scale)?;
            let label = |k: usize| scale * k as f64;
            let level = |(k, abar): (usize, f64)| Level { a: abar.sqrt(), sigma: (1.0 - abar).sqrt(), label: label(k) };
            alphabar(config)?.into_iter().enumerate().map(level).collect()
        }
        ProcessConfig::VpContinuous { .. } => preserving(config)?,
        ProcessConfig::Flow { .. } => straight(config)?,
        ProcessConfig::Edm { .. }
        | ProcessConfig::Ve { .. }
        | ProcessConfig::Sigmas { .. }
        | ProcessConfig::Fixed { .. } => {
            let label = |sigma: f64| if config.label() == Label::CNoise { 0.25 * sigma.ln() } else { sigma };
            sigmas(config)?.into_iter().map(|sigma| Level { a: 1.0, sigma, label: label(sigma) }).collect()
        }
    };
    sound(config, &levels)?;
    Ok(levels)
}

/// Refuses a number of timesteps that is none, and one beside a list.
fn counted(config: &ProcessConfig) -> Result<()> {
    let (listed, timesteps) = match config {
        ProcessConfig::VpContinuous { timesteps, .. } | ProcessConfig::Flow { timesteps, .. } => ("times", timesteps),
        ProcessConfig::Edm { timesteps, .. } => ("sigmas", timesteps),
        _ => ("", &Some(config.timesteps())),
    };
    if listed.is_empty() || config.listed().is_some() != timesteps.is_some() {
        let steps = config.timesteps();
        return match (1..=MOST_TIMESTEPS).contains(&steps) {
            true => Ok(()),
            false => {
                let found = format!("{steps} is outside 1..={MOST_TIMESTEPS}");
                Err(Error::invalid("process.timesteps", found))
            }
        };
    }
    let found = if timesteps.is_some() { "both are given" } else { "neither is given" };
    Err(Error::invalid(format!("process.timesteps and process.{listed}"), format!("{found}, expected one of them")))
}

/// Kernels have a and sigma in f32, and scores divide by sigma. What divides by a looks at it: pure noise has a = 0.
fn sound(config: &ProcessConfig, levels: &[Level]) -> Result<()> {
    let normal = |v: f64| v > 0.0 && (v as f32).is_normal();
    let signal = |a: f64| normal(a) || (a == 0.0 && config.noising() != super::Noising::Exploding);
    match levels.iter().enumerate().find(|(_, l)| !(signal(l.a) && normal(l.sigma))) {
        None => Ok(()),
        Some((k, Level { a, sigma, .. })) => {
            let found = format!("a = {a}, sigma = {sigma} at timestep {k} of 0..={}", levels.len() - 1);
            Err(Error::invalid("process", format!("{found}, expected numbers above 0 within the range of f32")))
        }
    }
}

/// abar of a process that is told timesteps.
fn alphabar(config: &ProcessConfig) -> Result<Vec<f64>> {
    let (plain, rescaled_to) = match config {
        ProcessConfig::Vp { schedule, timesteps, beta_start, beta_end, rescaled_to, .. } => {
            let ends = given(*beta_start, *beta_end);
            check_betas(*schedule, ends)?;
            (schedule.alphabar_between(*timesteps, ends), *rescaled_to)
        }
        ProcessConfig::Betas { betas, rescaled_to, .. } => {
            if let Some((k, beta)) = betas.iter().enumerate().find(|(_, b)| !(**b > 0.0 && **b <= 1.0)) {
                let found = format!("{beta} at timestep {k}, expected numbers above 0, at most 1");
                return Err(Error::invalid("process.betas", found));
            }
            (schedule::cumulated(betas.iter().copied()), *rescaled_to)
        }
        _ => {
            let all = config.listed().unwrap_or_default();
            let sound = |k: usize| (0.0..1.0).contains(&all[k]) && (k == 0 || all[k] <= all[k - 1]);
            if let Some(k) = (0..all.len()).find(|k| !sound(*k)) {
                let found = format!("{} at timestep {k}, expected numbers from 0 to below 1 that never rise", all[k]);
                return Err(Error::invalid("process.alphas_cumprod", found));
            }
            (all.to_vec(), None)
        }
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

/// Numbers, the same distance apart, from the first to the last; one of them is the first.
fn between(first: f64, last: f64, count: usize) -> impl Iterator<Item = f64> {
    let steps = (count as f64 - 1.0).max(1.0);
    (0..count).map(move |k| if k > 0 && k + 1 == count { last } else { first + (last - first) * (k as f64 / steps) })
}

/// The first of these that does not lie above the one before it, or above 0 in front.
fn not_rising(all: &[f64]) -> Option<usize> {
    (0..all.len()).find(|&k| !(all[k].is_finite() && all[k] > if k == 0 { 0.0 } else { all[k - 1] }))
}

/// `vp_continuous`: with B the integral of beta, a = e^(-B/2), sigma = sqrt(1 - e^-B), to the last digit also where B is small.
fn preserving(config: &ProcessConfig) -> Result<Vec<Level>> {
    let ProcessConfig::VpContinuous { beta_min, beta_max, timesteps, t_min, t_max, times, label_scale } = config else {
        return Ok(vec![]);
    };
    if !(*beta_min >= 0.0 && beta_min <= beta_max && *beta_max > 0.0 && beta_max.is_finite()) {
        let found = format!("{beta_min} and {beta_max}, expected 0 <= beta_min <= beta_max and beta_max above 0");
        return Err(Error::invalid("process.beta_min and beta_max", found));
    }
    scaled(*label_scale)?;
    let times = match (times, t_min, t_max) {
        (Some(times), None, None) => times.clone(),
        (Some(_), ..) => {
            let message = "are given beside process.times, expected one of the two";
            return Err(Error::invalid("process.t_min and t_max", message));
        }
        (None, Some(first), Some(last)) => between(*first, *last, timesteps.unwrap_or(0)).collect(),
        (None, ..) => {
            let message = "are not both given, expected the t of the first and of the last level, or process.times";
            return Err(Error::invalid("process.t_min and t_max", message));
        }
    };
    if let Some(k) = not_rising(&times) {
        let found = format!("t = {} at timestep {k}, expected numbers above 0 that rise: t = 0 has no noise", times[k]);
        return Err(Error::invalid("process.times", found));
    }
    let level = |t: f64| {
        let integral = t * (beta_min + 0.5 * (beta_max - beta_min) * t);
        Level { a: (-0.5 * integral).exp(), sigma: (-(-integral).exp_m1()).sqrt(), label: label_scale * t }
    };
    Ok(times.into_iter().map(level).collect())
}

/// `flow`: a = 1 - t, sigma = t, whatever the network calls that t.
fn straight(config: &ProcessConfig) -> Result<Vec<Level>> {
    let ProcessConfig::Flow { timesteps, times, direction, label_scale } = config else { return Ok(vec![]) };
    scaled(*label_scale)?;
    let turned = |t: f64| if *direction == Direction::ToNoise { t } else { 1.0 - t };
    let own: Vec<f64> = match times {
        Some(times) => times.clone(),
        None => {
            let last = timesteps.unwrap_or(1) as f64;
            (1..=timesteps.unwrap_or(0)).map(|k| turned(k as f64 / last)).collect()
        }
    };
    let noise: Vec<f64> = own.iter().copied().map(turned).collect();
    if let Some(k) = not_rising(&noise).or_else(|| noise.iter().position(|t| *t > 1.0)) {
        let expected = match direction {
            Direction::ToNoise => "numbers above 0, at most 1, that rise: t = 0 has no noise",
            Direction::ToData => "numbers from 0 to below 1 that fall: t = 1 has no noise (direction to_data)",
        };
        return Err(Error::invalid("process.times", format!("t = {} at timestep {k}, expected {expected}", own[k])));
    }
    let level = |(own, t): (f64, f64)| Level { a: 1.0 - t, sigma: t, label: label_scale * own };
    Ok(own.into_iter().zip(noise).map(level).collect())
}

fn scaled(label_scale: f64) -> Result<()> {
    match label_scale.is_finite() && label_scale != 0.0 {
        true => Ok(()),
        false => Err(Error::invalid("process.label_scale", format!("{label_scale}, expected a number that is not 0"))),
    }
}

/// sigma of processes that keep the data as they are.
fn sigmas(config: &ProcessConfig) -> Result<Vec<f64>> {
    let range = |first: f64, last: f64| match first > 0.0 && first < last && last.is_finite() {
        true => Ok(()),
        false => {
            let found = format!("sigma_min {first} and sigma_max {last}");
            Err(Error::invalid("process", format!("{found}, expected 0 < sigma_min < sigma_max")))
        }
    };
    match config {
        ProcessConfig::Ve { sigma_min, sigma_max, timesteps } => {
            range(*sigma_min, *sigma_max)?;
            let last = (*timesteps as f64 - 1.0).max(1.0);
            Ok((0..*timesteps).map(|k| sigma_min * (sigma_max / sigma_min).powf(k as f64 / last)).collect())
        }
        ProcessConfig::Edm { sigma_min, sigma_max, rho, timesteps, sigmas: None, .. } => {
            let [first, last, power] = EDM;
            let (first, last) = (sigma_min.unwrap_or(first), sigma_max.unwrap_or(last));
            range(first, last)?;
            let rho = rho.unwrap_or(power);
            if !(rho > 0.0 && rho.is_finite()) {
                return Err(Error::invalid("process.rho", format!("{rho}, expected a number above 0")));
            }
            let steps = timesteps.unwrap_or(0);
            let middle = between(first.powf(1.0 / rho), last.powf(1.0 / rho), steps).map(|root| root.powf(rho));
            // The ends are what was asked for, to the last digit.
            let end = |(k, sigma): (usize, f64)| {
                if k == 0 {
                    first
                } else if k + 1 == steps {
                    last
                } else {
                    sigma
                }
            };
            Ok(middle.enumerate().map(end).collect())
        }
        ProcessConfig::Edm { sigma_min: None, sigma_max: None, rho: None, sigmas: Some(sigmas), .. }
        | ProcessConfig::Sigmas { sigmas } => rising(sigmas),
        ProcessConfig::Fixed { sigma } if *sigma > 0.0 && sigma.is_finite() => Ok(vec![*sigma]),
        ProcessConfig::Fixed { sigma } => Err(Error::invalid(
            "process.sigma",
            format!("{sigma}, expected a number above 0: without noise there is no score"),
        )),
        _ => {
            let message = "sigma_min, sigma_max and rho belong to levels that are not listed, expected one of the two";
            Err(Error::invalid("process.sigmas", message))
        }
    }
}

fn rising(sigmas: &[f64]) -> Result<Vec<f64>> {
    match not_rising(sigmas) {
        None => Ok(sigmas.to_vec()),
        Some(_) => {
            let message = "expected strictly increasing numbers above 0, the noise level of each timestep";
            Err(Error::invalid("process.sigmas", message))
        }
    }
}
