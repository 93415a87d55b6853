//! The plots of a curl run: all pairs of all samples, of the score and of the network's raw output. In: the run's table, a line
//! about the run. Out: SVG files by name.
use crate::error::Result;
use crate::run::{Plots, Table};
use crate::summary::boxplot::{Boxed, Figure, Series, svg};
use crate::summary::pairs::pairs;
use crate::summary::timesteps::{levels, samples};
use crate::summary::{BoxStats, Cell, Results};

/// Every plot, as (name in the run directory, SVG).
pub fn all(table: &Table, about: &str) -> Result<Plots> {
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
