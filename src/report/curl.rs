//! What a person looks at of a curl run: |J_ab - J_ba| over all pairs of components of all samples (Figs. 2c, 2d, 8c).
//! In: the run's table with its sub-Jacobians. Out: text, JSON, and two box plots: score and raw output.
#[cfg(feature = "cli")]
use super::BoxStats;
use super::timesteps::{self, Shown, levels, samples};
use crate::error::{Error, Result};
use crate::run::{Numbers, Table};
use std::fmt::Write;

/// What the table shows.
#[rustfmt::skip]
pub const SHOWN: [Shown; 6] = [
    Shown { heading: "|Jab-Jba|", column: "asymmetry",     error: "error", quartiles: true },
    Shown { heading: "raw",       column: "raw_asymmetry", error: "",      quartiles: false },
    Shown { heading: "rms Jab",   column: "entry_rms",     error: "",      quartiles: false },
    Shown { heading: "sub_nasym", column: "sub_nasym",     error: "",      quartiles: false },
    Shown { heading: "step",      column: "step",          error: "",      quartiles: false },
    Shown { heading: "arithm.",   column: "arithmetic",    error: "",      quartiles: false },
];

const GAP: Shown = Shown { heading: "gap", column: "method_gap", error: "", quartiles: false };

/// What the table shows of this run: how far the methods are apart, if both ran.
pub fn shown(table: &Table) -> Vec<Shown> {
    let both = table.array("jacobian_fd").is_ok();
    SHOWN.into_iter().chain(both.then_some(GAP)).collect()
}

/// |J_ab - J_ba| of the score, a < b, of all samples at one timestep.
pub fn pairs(table: &Table, timestep: usize) -> Result<Vec<f64>> {
    let array = table.array("jacobian")?;
    let (Numbers::F32(values), &[_, samples, n, _]) = (&array.values, &array.shape[..]) else {
        return Err(Error::invalid("curl", "its sub-Jacobians are not [timestep, sample, K, K] in f32"));
    };
    let size = samples * n * n;
    let Some(blocks) = values.chunks_exact(size.max(1)).nth(timestep) else {
        return Err(Error::invalid("curl", format!("it has no sub-Jacobians at timestep number {timestep}")));
    };
    let mut found = Vec::with_capacity(size / 2);
    for block in blocks.chunks_exact(n * n) {
        for a in 0..n {
            found.extend((a + 1..n).map(|b| f64::from((block[a * n + b] - block[b * n + a]).abs())));
        }
    }
    Ok(found)
}

/// The table, and at which timesteps it is resolved.
pub fn text(table: &Table) -> Result<String> {
    let mut text = timesteps::text(table, &shown(table))?;
    let (ks, _) = levels(table)?;
    let resolved = (0..ks.len())
        .map(|t| {
            let (marks, sizes) = (samples(table, "resolved", t)?, samples(table, "asymmetry", t)?);
            let marks: Vec<f64> = marks.iter().zip(sizes).filter(|(_, s)| s.is_finite()).map(|(m, _)| *m).collect();
            Ok(!marks.is_empty() && marks.iter().sum::<f64>() * 2.0 >= marks.len() as f64)
        })
        .collect::<Result<Vec<bool>>>()?;
    let drowned: Vec<String> = ks.iter().zip(&resolved).filter(|(_, r)| !**r).map(|(k, _)| k.to_string()).collect();
    let n = ks.len();
    match drowned.len() {
        0 => text += &format!("The Jacobian is asymmetric beyond its errors at all {n} timesteps.\n"),
        d => {
            let shown = if d > 8 { format!("{} ..", drowned[..8].join(", ")) } else { drowned.join(", ") };
            let _ = writeln!(text, "Asymmetric beyond the errors at {} of {n} timesteps; not at k = {shown}.", n - d);
        }
    }
    text += "J of the score in nat/x²; raw: of the network's output; arithm.: error of |Jab-Jba|;\n";
    text += "step: error of differences; gap: largest difference of an entry between the two methods.\n";
    Ok(text)
}

#[cfg(feature = "cli")]
pub use plots::all;

#[cfg(feature = "cli")]
mod plots {
    use super::*;
    use crate::report::boxplot::{Boxed, Figure, Series, svg};

    /// Every plot, as (name in the run directory, SVG).
    pub fn all(table: &Table, about: &str) -> Result<Vec<(&'static str, String)>> {
        let (timesteps, _) = levels(table)?;
        let n = table.shape()[1];
        let (mut score, mut raw) = (vec![], vec![]);
        for t in 0..timesteps.len() {
            let pairs = pairs(table, t)?;
            let error = BoxStats::of(samples(table, "error", t)?).map_or(f64::NAN, |e| e.median);
            // One factor per timestep.
            let (whole, part) = (samples(table, "asymmetry_max", t)?, samples(table, "raw_asymmetry_max", t)?);
            let sum = |values: &[f64]| values.iter().filter(|v| v.is_finite()).sum::<f64>();
            let scale = sum(part) / sum(whole);
            let boxed = |scale: f64| Boxed {
                stats: BoxStats::of(&pairs.iter().map(|p| p * scale).collect::<Vec<_>>()),
                error: error * scale,
            };
            score.push(boxed(1.0));
            raw.push(boxed(scale));
        }
        let figure = |title, label, name: &str, boxes| {
            let of = format!("all pairs of {n} samples");
            svg(&Figure { title, about, label, timesteps, of, series: vec![Series { name: name.into(), boxes }] })
        };
        Ok(vec![
            ("plots/asymmetry.svg", figure("Curl of the learned score", "|∂ₐsᵦ − ∂ᵦsₐ|  (nat / x²)", "score", score)?),
            (
                "plots/raw_asymmetry.svg",
                figure("Curl of the network's raw output", "|∂ₐfᵦ − ∂ᵦfₐ|  (1 / x)", "raw output", raw)?,
            ),
        ])
    }
}
