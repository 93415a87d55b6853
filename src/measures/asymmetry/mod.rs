//! Asymmetry of the whole Jacobian without ever holding it: with A = (J - J')/2 and `E[v v'] = I`, `nasym = |A|^2 / |J|^2`, 0 for a
//! gradient, 1 for an antisymmetric J. In both modes `|A|^2 = E |A v|^2`, `|J|^2 = E (|J v|^2 + |J'v|^2)/2`; in forward mode alone
//! (after arXiv 2209.12753) `|J|^2 = E |J v|^2`, `tr J^2 = E v.J(J v)`, `|A|^2 = (|J|^2 - tr J^2)/2`. In: rows of `run`, one per
//! sample and timestep. Out: the run's table; text, JSON rows, a plot.
mod columns;
mod run;

pub use run::{AsymmetryOptions, Estimator};

use super::rows;
use crate::diagnostics::{Selection, parse_probes};
use crate::error::Result;
use crate::run::{
    About, Claim, Figure, Kind, MeanOf, Measure, MeasureInfo, Parameter, Part, SAMPLE, SAMPLES, SEED, Settings,
    Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::timesteps::{self, Shown, levels, samples};
use crate::summary::{number, verdict};
use columns::{COLUMNS, Checked, RULES, Row};
use serde_json::{Value, json};
use std::fmt::Write;

/// The measure.
pub struct Asymmetry;

static INFO: MeasureInfo = MeasureInfo {
    name: "asymmetry",
    help: "Measure how asymmetric the score's whole Jacobian is, by random vectors v (nasym, |A|, |J|, tr J, tr J^2).\n\n\
           Its products J v and J'v per probe, or J v and J(J v), and never a whole Jacobian, so any size will do.",
    title: "Asymmetry of the whole Jacobian",
    prose: "nasym = |J − J′|² / 4|J|² is 0 for a gradient and 1 for an antisymmetric Jacobian. It is estimated with random \
            vectors v, from J v and J′v, without ever holding J.",
    source: "after arXiv 2209.12753",
    axes: &[TIMESTEP, SAMPLE],
    marked: "fro2",
    headline: "nasym",
    claim: Claim::new("the Jacobian is asymmetric"),
    rules: RULES,
    mean: Some(MeanOf {
        name: "nasym of all samples",
        formula: "E|J - J'|^2 / (4 E|J|^2)",
        unit: "1",
        column: "nasym",
        of: pooled,
        scaled: false,
        caption: "Bars: three standard errors over the samples, all of which the curve takes together.",
    }),
    compared: &[
        ("nasym", Taken::Median),
        ("nasym", Taken::Pooled { size: "fro2", square: "trace2" }),
        ("fro2", Taken::Median),
        ("trace", Taken::Median),
    ],
    shown: &[("nasym", "nasym"), ("anti2", "|A|²"), ("fro2", "|J|²"), ("trace", "tr J"), ("trace2", "tr J²")],
    figures: &[Figure::new("nasym", "nasym by sample", "|J − J′|² / 4|J|²")],
    matrices: None,
    pictures: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",   column: "nasym",      quartiles: true },
    Shown { heading: "|A|^2",   column: "anti2",      quartiles: false },
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

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    TIMESTEPS,
    Parameter::new(
        "estimator",
        Kind::Choice(&["both", "forward"]),
        "both: J v and J'v of every probe, whose |A v|^2 scatters least; forward: J v and J(J v), without cotangents [default: \
         both, or forward of a field that has no adjoint]",
    ),
    Parameter::new(
        "probes",
        Kind::Text,
        "Random vectors v per sample and timestep, or `all`: every unit vector, which is exact and takes D of them",
    )
    .or("16"),
    Parameter::new(
        "verify",
        Kind::Count,
        "Probes, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

impl Measure for Asymmetry {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn task(&self, asked: &Settings, subject: &Subject) -> Result<Box<dyn Task>> {
        let (selection, probes) = (Selection::asked(asked)?, parse_probes(asked.text("probes")?)?);
        let usual = Estimator::of(subject.field.as_ref());
        let estimator = asked.text_if("estimator").map_or(usual, Estimator::named);
        Ok(Box::new(AsymmetryOptions { selection, estimator, probes, verified: asked.count("verify")? }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        let both = part.fact::<Value>("table")?["estimator"] == Estimator::Both.name();
        let settle = |rows: &mut [Row]| {
            let worst = rows.iter().map(|row| row.checked).fold(Checked::NOTHING, Checked::max);
            rows.iter_mut().for_each(|row| row.settle(worst, both));
        };
        rows::table_of(part, COLUMNS, settle, &[])
    }

    /// The table, and the range of the pooled nasym.
    fn text(&self, table: &Table) -> Result<String> {
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
        text += &verdict::text(table)?;
        text += "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian.\n";
        match table.facts["estimator"].as_str() {
            Some("both") => text += "Estimator: both modes, J v and J'v of every probe.\n",
            Some(_) => text += "Estimator: forward mode, J v and J(J v) of every probe.\n",
            None => {}
        }
        Ok(text)
    }

    /// JSON, one object per timestep.
    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        let mut rows = timesteps::rows(table, SHOWN)?;
        for (t, row) in rows.iter_mut().enumerate() {
            let (nasym, error) = pooled(table, t)?;
            row["pooled"] = json!({ "nasym": nasym, "standard_error": error });
        }
        Ok(rows)
    }
}
