//! Stein: |e| per timestep (Fig. 4), and the mean of the Stein operator with its error. In: rows of `run`, one per sample and
//! timestep. Out: the run's table; text, JSON rows, two plots.
mod columns;
mod reference;
mod run;

pub use run::SteinOptions;

use super::rows;
use crate::diagnostics::{Divergence, PROBES, Selection};
use crate::error::Result;
use crate::run::{
    About, Claim, Figure, Kind, MeanOf, Measure, MeasureInfo, Parameter, Part, SAMPLE, SAMPLES, SEED, Settings,
    Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::timesteps::{self, Shown, levels, samples};
use crate::summary::{evenly, number, stats, verdict};
use columns::{COLUMNS, RULES, Row};
use serde_json::{Value, json};
use std::fmt::Write;

/// The measure.
pub struct Stein;

static INFO: MeasureInfo = MeasureInfo {
    name: "stein",
    help: "Apply the Stein operator to the error of the score, e = s - s_theta (the paper's eq. 20, 21, Fig. 4).\n\n\
           s is the conditional score -eps/sigma of the noise that made each sample, or a field given with --reference, which \
           should then be the marginal score of the data.",
    title: "Stein operator",
    prose: "e = s − s_θ is the score's error and S = ∇·e + s·e. For s the score that made the samples the mean of S is \
            zero, for any model; |e| against the conditional score includes a gap that no training removes.",
    source: "the paper, eq. 20 and 21, Fig. 4",
    axes: &[TIMESTEP, SAMPLE],
    marked: "stein",
    headline: "stein",
    claim: Claim::of_mean("the mean of S is not zero"),
    rules: RULES,
    mean: Some(MeanOf {
        name: "mean S",
        formula: "E[div e + s.e]",
        unit: "nat/x^2",
        column: "stein",
        of: mean,
        scaled: true,
        caption: "Bars: three standard errors over the samples.",
    }),
    compared: &[("error_norm", Taken::Median), ("stein", Taken::Mean)],
    shown: &[("stein", "S"), ("error_norm", "|e|")],
    figures: &[Figure::new("error_norm", "Error field of the learned score", "|e| = |s − s_θ|  (nat/x)")],
    matrices: None,
    pictures: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "|e|",     column: "error_norm",  quartiles: true },
    Shown { heading: "S",       column: "stein",       quartiles: true },
    Shown { heading: "div s_th", column: "div_model",  quartiles: false },
    Shown { heading: "arithm.", column: "arithmetic",  quartiles: false },
];

/// A mean over samples this many standard errors from 0 or nearer is taken for 0.
pub const NEAR: f64 = 3.0;

/// Mean of S over the samples where it is finite, and its standard error, which the probes' is part of.
pub fn mean(table: &Table, timestep: usize) -> Result<(f64, f64)> {
    let values = samples(table, "stein", timestep)?.iter().copied().filter(|v| v.is_finite());
    Ok(stats::mean(&values.collect::<Vec<f64>>()))
}

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    TIMESTEPS,
    PROBES,
    Parameter::new(
        "reference",
        Kind::File,
        "The marginal score of the data, where it is known, such as field:mixture?file=F, or field:funnel of data:funnel. Its \
         process is that of MODEL unless its parameters name another",
    )
    .of("field"),
    Parameter::new(
        "verify",
        Kind::Count,
        "Tangents, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

impl Measure for Stein {
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
        let spec = asked.file("reference");
        Ok(Box::new(SteinOptions {
            selection: Selection::asked(asked)?,
            divergence: Divergence::asked(asked.text_if(PROBES.name), subject.dim())?,
            reference: spec.map(|spec| reference::open(spec, subject)).transpose()?,
            warnings: spec.map_or(vec![], |spec| reference::strangers(spec, subject)),
            verified: asked.count("verify")?,
        }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        rows::table::<Row>(part, COLUMNS, |row, worst| row.arithmetic = worst * row.size, &[])
    }

    /// Two tables, of the samples and of the mean, and what is to be said of the mean.
    fn text(&self, table: &Table) -> Result<String> {
        let mut text = timesteps::text(table, SHOWN)?;
        let (ks, noise) = levels(table)?;
        let _ = writeln!(text, "{:>6} {:>9} {:>11} {:>11} {:>7}", "k", "sigma", "mean S", "its error", "ratio");
        let chosen = evenly(ks.len(), 12);
        for (t, &k) in ks.iter().enumerate() {
            let (mean, error) = mean(table, t)?;
            if chosen.contains(&t) {
                let (mean, error, ratio) = (number(mean), number(error), mean / error);
                let _ = writeln!(text, "{k:>6} {:>9} {mean:>11} {error:>11} {ratio:>7.2}", number(noise[t]));
            }
        }
        text += &verdict::text(table)?;
        text += "e = s - s_theta, S = div e + s·e. With s the conditional score -eps/sigma the mean is zero for any model, and\n";
        text += "|e| includes the gap between conditional and marginal score, which no training removes.\n";
        Ok(text)
    }

    /// JSON, one object per timestep.
    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        let mut rows = timesteps::rows(table, SHOWN)?;
        for (t, row) in rows.iter_mut().enumerate() {
            let (mean, error) = mean(table, t)?;
            row["mean_stein"] = json!({ "value": mean, "standard_error": error });
        }
        Ok(rows)
    }
}
