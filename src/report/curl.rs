//! What a person looks at of a curl run: |J_ab - J_ba| over all pairs of components of all samples (Figs. 2c, 2d, 8c).
//! In: the run's table with its sub-Jacobians. Out: text, JSON, and two box plots: score and raw output.
use super::timesteps::{self, Shown};
use crate::error::{Error, Result};
use crate::run::{Numbers, Table};

/// What the table shows.
#[rustfmt::skip]
pub const SHOWN: [Shown; 6] = [
    Shown { heading: "|Jab-Jba|", column: "asymmetry",     quartiles: true },
    Shown { heading: "raw",       column: "raw_asymmetry", quartiles: false },
    Shown { heading: "rms Jab",   column: "entry_rms",     quartiles: false },
    Shown { heading: "sub_nasym", column: "sub_nasym",     quartiles: false },
    Shown { heading: "step",      column: "step",          quartiles: false },
    Shown { heading: "arithm.",   column: "arithmetic",    quartiles: false },
];

const GAP: Shown = Shown { heading: "gap", column: "method_gap", quartiles: false };

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

/// The table, and what may be said at which timesteps.
pub fn text(table: &Table) -> Result<String> {
    let mut text = timesteps::text(table, &shown(table))?;
    text += &timesteps::verdicts(table)?;
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
    use crate::report::results::Results;
    use crate::report::timesteps::{levels, samples};
    use crate::report::{BoxStats, Cell};

    /// Every plot, as (name in the run directory, SVG).
    pub fn all(table: &Table, about: &str) -> Result<Vec<(&'static str, String)>> {
        let ((timesteps, _), results) = (levels(table)?, Results::of(table)?);
        let n = table.shape()[1];
        let (mut score, mut raw) = (vec![], vec![]);
        for t in 0..timesteps.len() {
            let pairs = pairs(table, t)?;
            // One factor per timestep.
            let (whole, part) = (samples(table, "asymmetry_max", t)?, samples(table, "raw_asymmetry_max", t)?);
            let sum = |values: &[f64]| values.iter().filter(|v| v.is_finite()).sum::<f64>();
            let scale = sum(part) / sum(whole);
            let errors = results.statistic("asymmetry")?.cell(t).errors;
            let boxed = |scale: f64| {
                let stats = BoxStats::of(&pairs.iter().map(|p| p * scale).collect::<Vec<_>>());
                Boxed::of(&Cell { stats, errors: errors.iter().map(|e| e * scale).collect() })
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
