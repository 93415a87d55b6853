//! What a person looks at of an asymmetry run: nasym per timestep, sample by sample and of all samples together.
//! In: the run's table. Out: text, JSON rows, a box plot.
use super::table::number;
use super::timesteps::{self, Shown, levels, samples};
use crate::error::Result;
use crate::run::Table;
use serde_json::{Value, json};
use std::fmt::Write;

/// What the table shows.
#[rustfmt::skip]
pub const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",   column: "nasym",      quartiles: true },
    Shown { heading: "|J|^2",   column: "fro2",       quartiles: false },
    Shown { heading: "tr J",    column: "trace",      quartiles: false },
    Shown { heading: "tr J^2",  column: "trace2",     quartiles: false },
    Shown { heading: "error",   column: "error",      quartiles: false },
    Shown { heading: "arithm.", column: "arithmetic", quartiles: false },
];

/// nasym of all samples together, E|J - J'|^2 / (4 E|J|^2), and its standard error over the samples;
/// over those where it is finite.
pub fn pooled(table: &Table, timestep: usize) -> Result<(f64, f64)> {
    let (fro2, trace2) = (samples(table, "fro2", timestep)?, samples(table, "trace2", timestep)?);
    let finite = fro2.iter().copied().zip(trace2.iter().copied()).filter(|(f, t)| f.is_finite() && t.is_finite());
    let (fro2, trace2): (Vec<f64>, Vec<f64>) = finite.unzip();
    let n = fro2.len() as f64;
    let size: f64 = fro2.iter().sum::<f64>() / n;
    let nasym = (size - trace2.iter().sum::<f64>() / n) / (2.0 * size);
    let left = fro2.iter().zip(&trace2).map(|(f, t)| (f - t - 2.0 * nasym * f) / (2.0 * size));
    Ok((nasym, (left.map(|v| v * v).sum::<f64>() / (n - 1.0) / n).sqrt()))
}

/// The table, and the range of the pooled nasym.
pub fn text(table: &Table) -> Result<String> {
    let mut text = timesteps::text(table, SHOWN)?;
    let (ks, _) = levels(table)?;
    let mut all = (0..ks.len()).map(|t| Ok((ks[t], pooled(table, t)?))).collect::<Result<Vec<_>>>()?;
    all.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    if let [(low, from), .., (high, to)] = all[..] {
        let _ = writeln!(
            text,
            "All samples together: nasym from {} ± {} at k = {low} to {} ± {} at k = {high} (± over samples).",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        );
    }
    text += &timesteps::verdicts(table)?;
    text += "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian.\n";
    Ok(text)
}

/// JSON, one object per timestep.
pub fn rows(table: &Table) -> Result<Vec<Value>> {
    let mut rows = timesteps::rows(table, SHOWN)?;
    for (t, row) in rows.iter_mut().enumerate() {
        let (nasym, error) = pooled(table, t)?;
        row["pooled"] = json!({ "nasym": nasym, "standard_error": error });
    }
    Ok(rows)
}

/// Every plot, as (name in the run directory, SVG).
#[cfg(feature = "cli")]
pub fn all(table: &Table, about: &str) -> Result<Vec<(&'static str, String)>> {
    let title = "Asymmetry of the whole Jacobian";
    Ok(vec![("plots/nasym.svg", timesteps::boxes(table, &SHOWN[0], title, "|J − Jᵀ|² / 4|J|²  (scale-free)", about)?)])
}
