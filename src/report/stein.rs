//! What a person looks at of a Stein run (Fig. 4): |e| per timestep, and the mean of the Stein operator with its error.
//! In: the run's table. Out: text, JSON rows, two plots.
use super::table::number;
use super::timesteps::{self, Shown, levels, samples};
use crate::error::Result;
use crate::run::Table;
use serde_json::{Value, json};
use std::fmt::Write;

/// What the table shows.
#[rustfmt::skip]
pub const SHOWN: &[Shown] = &[
    Shown { heading: "|e|",     column: "error_norm",  quartiles: true },
    Shown { heading: "S",       column: "stein",       quartiles: true },
    Shown { heading: "div s_th", column: "div_model",  quartiles: false },
    Shown { heading: "arithm.", column: "arithmetic",  quartiles: false },
];

/// A mean over samples this many standard errors from 0 or nearer is taken for 0.
pub const NEAR: f64 = 3.0;

/// Mean of S over the samples where it is finite, and its standard error, which the probes' is part of.
pub fn mean(table: &Table, timestep: usize) -> Result<(f64, f64)> {
    let values: Vec<f64> = samples(table, "stein", timestep)?.iter().copied().filter(|v| v.is_finite()).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    Ok((mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0) / n).sqrt()))
}

/// The table, and where the mean is not zero.
pub fn text(table: &Table) -> Result<String> {
    let mut text = timesteps::text(table, SHOWN)?;
    let (ks, noise) = levels(table)?;
    let _ = writeln!(text, "{:>6} {:>9} {:>11} {:>11} {:>7}", "k", "sigma", "mean S", "its error", "ratio");
    let mut far = vec![];
    let chosen = super::evenly(ks.len(), 12);
    for (t, &k) in ks.iter().enumerate() {
        let (mean, error) = mean(table, t)?;
        if chosen.contains(&t) {
            let (mean, error, ratio) = (number(mean), number(error), mean / error);
            let _ = writeln!(text, "{k:>6} {:>9} {mean:>11} {error:>11} {ratio:>7.2}", number(noise[t]));
        }
        if mean.abs() > NEAR * error || error.is_nan() {
            far.push(k.to_string());
        }
    }
    text += &match far.len() {
        0 => format!("The mean of S is zero within {NEAR} standard errors at all {} timesteps.\n", ks.len()),
        n => format!(
            "The mean of S is beyond {NEAR} standard errors, or has none, at {n} of {} timesteps: k = {}.\n",
            ks.len(),
            far.join(", ")
        ),
    };
    text += "e = s - s_theta, S = div e + s·e. With s the conditional score -eps/sigma the mean is zero for any model, and\n";
    text += "|e| includes the gap between conditional and marginal score, which no training removes.\n";
    Ok(text)
}

/// JSON, one object per timestep.
pub fn rows(table: &Table) -> Result<Vec<Value>> {
    let mut rows = timesteps::rows(table, SHOWN)?;
    for (t, row) in rows.iter_mut().enumerate() {
        let (mean, error) = mean(table, t)?;
        row["mean_stein"] = json!({ "value": mean, "standard_error": error });
    }
    Ok(rows)
}

/// Every plot, as (name in the run directory, SVG).
#[cfg(feature = "cli")]
pub fn all(table: &Table, about: &str) -> Result<Vec<(&'static str, String)>> {
    use super::curve::{Curve, svg};
    let (timesteps, noise) = levels(table)?;
    // In units of what div s is per component: of order one at every noise level.
    let points = (0..timesteps.len())
        .map(|t| mean(table, t).map(|(mean, error)| (mean * noise[t] * noise[t], NEAR * error * noise[t] * noise[t])))
        .collect::<Result<_>>()?;
    Ok(vec![
        (
            "plots/error_norm.svg",
            timesteps::boxes(
                table,
                &SHOWN[0],
                "Error field of the learned score",
                "|e| = |s − s_θ|  (nat / x)",
                about,
            )?,
        ),
        (
            "plots/stein.svg",
            svg(&Curve {
                title: "Stein operator on the error field",
                about,
                bars: "mean over samples; bars: three standard errors",
                label: "σ² (∇·e + s·e)",
                timesteps,
                points,
            })?,
        ),
    ])
}
