//! Asymmetry: nasym of whole Jacobians per timestep, sample by sample and of all samples together. In: rows of
//! `diagnostics::asymmetry`, one per sample and timestep. Out: the run's table; text, JSON rows, a box plot.
use super::rows::{self, Column};
use crate::error::Result;
use crate::run::{About, Applied, Figure, MeanOf, Measure, MeasureInfo, Part, Rule, SAMPLE, TIMESTEP, Table, Taken};
use crate::summary::number;
use crate::summary::timesteps::{self, Shown, levels, samples};
use serde_json::{Value, json};
use std::fmt::Write;

/// The measure.
pub struct Asymmetry;

/// Estimates at one sample and timestep, each with its standard error.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Row {
    pub nasym: [f64; 2],
    pub fro2: [f64; 2],
    pub trace: [f64; 2],
    pub trace2: [f64; 2],
    pub arithmetic: f64,
}

impl Row {
    fn error(&self) -> f64 {
        self.nasym[1].max(self.arithmetic)
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",      "(|J|^2 - tr J^2) / (2 |J|^2)", "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym[0]),
    (About::new("nasym_se",   "standard error over probes",   "1",         "error; 0 where all unit vectors were taken"),        |r| r.nasym[1]),
    (About::new("fro2",       "|J|^2, Frobenius",             "nat^2/x^4", "squared size of the Jacobian"),                      |r| r.fro2[0]),
    (About::new("fro2_se",    "standard error over probes",   "nat^2/x^4", "error of fro2"),                                     |r| r.fro2[1]),
    (About::new("trace",      "tr J",                         "nat/x^2",   "divergence of the field"),                           |r| r.trace[0]),
    (About::new("trace_se",   "standard error over probes",   "nat/x^2",   "error of trace"),                                    |r| r.trace[1]),
    (About::new("trace2",     "tr J^2",                       "nat^2/x^4", "equals fro2 for a symmetric Jacobian"),              |r| r.trace2[0]),
    (About::new("trace2_se",  "standard error over probes",   "nat^2/x^4", "error of trace2"),                                   |r| r.trace2[1]),
    (About::new("arithmetic", "max |a probe's nasym - f64|",  "1",         "error: probes recomputed in f64"),                   |r| r.arithmetic),
    (About::new("error",      "largest of the errors",        "1",         "what nasym is uncertain by"),                        Row::error),
];

/// Which errors apply to what. `arithmetic` is at least half of what |J v|^2 and v.J J v of a probe are off by, in units of
/// |J v|^2, and all of what v.J v is off by in units of |v| |J v|.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { statistics: &["nasym"], errors: &[
        Applied::always("nasym_se", |at| at.get("nasym_se")), Applied::always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["fro2"], errors: &[
        Applied::always("fro2_se", |at| at.get("fro2_se")),
        Applied::always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.get("fro2")),
    ] },
    Rule { statistics: &["trace"], errors: &[
        Applied::always("trace_se", |at| at.get("trace_se")),
        Applied::always("arithmetic", |at| at.get("arithmetic") * (at.get("fro2") * at.fact("dimensions")).sqrt()),
    ] },
    Rule { statistics: &["trace2"], errors: &[
        Applied::always("trace2_se", |at| at.get("trace2_se")),
        Applied::always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.get("fro2")),
    ] },
];

static INFO: MeasureInfo = MeasureInfo {
    name: "asymmetry",
    title: "Asymmetry of the whole Jacobian",
    prose: "nasym = |J − J′|² / 4|J|² is 0 for a gradient and 1 for an antisymmetric Jacobian. It is estimated with random \
            tangents, without ever holding J.",
    source: "after arXiv 2209.12753",
    axes: &[TIMESTEP, SAMPLE],
    marked: "fro2",
    headline: "nasym",
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
    shown: &[("nasym", "nasym"), ("fro2", "|J|²"), ("trace", "tr J"), ("trace2", "tr J²")],
    figures: &[Figure::new("nasym", "nasym by sample", "|J − J′|² / 4|J|²")],
    matrices: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
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

impl Measure for Asymmetry {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn finish(&self, part: Part) -> Result<Table> {
        rows::table::<Row>(part, COLUMNS, |row, worst| row.arithmetic = worst, &[])
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
        text += &timesteps::verdicts(table)?;
        text += "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian.\n";
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

    #[cfg(feature = "cli")]
    fn plots(&self, table: &Table, about: &str) -> Result<crate::run::Plots> {
        let (title, label) = ("Asymmetry of the whole Jacobian", "|J − Jᵀ|² / 4|J|²  (scale-free)");
        Ok(vec![("plots/nasym.svg", timesteps::boxes(table, &SHOWN[0], title, label, about)?)])
    }
}
