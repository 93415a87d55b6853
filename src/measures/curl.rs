//! Curl: |J_ab - J_ba| over pairs of components of all samples (Figs. 2c, 2d, 8c). In: rows of `diagnostics::curl`, one per
//! sample and timestep, and their sub-Jacobians. Out: the run's table; text, JSON, and two box plots: score and raw output.
use super::rows::{self, Column};
use crate::error::Result;
use crate::run::{
    About, Applied, At, Figure, Matrices, Measure, MeasureInfo, Part, Rule, SAMPLE, TIMESTEP, Table, Taken,
};
use crate::summary::timesteps::{self, Shown};
use serde_json::Value;

/// The measure.
pub struct Curl;

/// What is known of one sample at one timestep; NaN where not.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Row {
    pub median: f64,
    pub mean: f64,
    pub max: f64,
    pub raw: f64,
    pub entry: f64,
    pub largest: f64,
    pub sub_nasym: f64,
    pub step: f64,
    pub gap: f64,
    pub arithmetic: f64,
    /// 1 if J is of differences, whose step then is an error; else 0.
    pub stepped: f64,
}

impl Row {
    /// The largest error of a |J_ab - J_ba| that is known.
    fn error(&self) -> f64 {
        if self.stepped > 0.0 { self.step.max(self.arithmetic) } else { self.arithmetic }
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("asymmetry",      "median |J_ab - J_ba|, a < b", "nat/x^2", "of the score, over pairs of components (Figs. 2c, 8c)"), |r| r.median),
    (About::new("asymmetry_mean", "mean |J_ab - J_ba|",          "nat/x^2", "of the score"),                                         |r| r.mean),
    (About::new("asymmetry_max",  "max |J_ab - J_ba|",           "nat/x^2", "of the score"),                                         |r| r.max),
    (About::new("raw_asymmetry",  "median |J_ab - J_ba|",        "1/x",     "of the network's raw output"),                          |r| r.median * r.raw),
    (About::new("raw_asymmetry_mean", "mean |J_ab - J_ba|",      "1/x",     "of the network's raw output"),                          |r| r.mean * r.raw),
    (About::new("raw_asymmetry_max",  "max |J_ab - J_ba|",       "1/x",     "of the network's raw output"),                          |r| r.max * r.raw),
    (About::new("entry_rms",      "sqrt(mean J_ab^2), a != b",   "nat/x^2", "size of what is compared"),                             |r| r.entry),
    (About::new("sub_nasym",      "|B - B'|^2 / (4 |B|^2)",      "1",       "of the sub-Jacobian B: 0 symmetric, 1 antisymmetric"),   |r| r.sub_nasym),
    (About::new("step",           "2 max |D(h) - D(2h)|",        "nat/x^2", "error of the differences: one step and the other, on eight columns or more"), |r| r.step),
    (About::new("method_gap",     "max |differences - tangents|", "nat/x^2", "how far apart the two methods are, of an entry"),       |r| r.gap),
    (About::new("arithmetic",     "2 max |B| max |J_ab - f64| / max |J|", "nat/x^2", "error: columns recomputed in f64; of a |J_ab - J_ba|"), |r| r.arithmetic),
    (About::new("error",          "largest of the errors",       "nat/x^2", "what a |J_ab - J_ba| is uncertain by"),                  Row::error),
];

/// The step of differences, which is an error only where J is of differences.
const fn step(size: fn(&At) -> f64) -> Applied {
    Applied { name: "step", size, applies: of_differences }
}

const fn arithmetic(size: fn(&At) -> f64) -> Applied {
    Applied::always("arithmetic", size)
}

/// Which errors apply to what.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { statistics: &["asymmetry", "asymmetry_mean", "asymmetry_max", "entry_rms"], errors: &[
        step(|at| at.get("step")), arithmetic(|at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["raw_asymmetry", "raw_asymmetry_mean", "raw_asymmetry_max"], errors: &[
        step(|at| at.get("step") * raw(at)), arithmetic(|at| at.get("arithmetic") * raw(at)),
    ] },
    Rule { statistics: &["sub_nasym"], errors: &[
        step(|at| of_share(at, at.get("step"))), arithmetic(|at| of_share(at, at.get("arithmetic"))),
    ] },
];

/// The raw output's J over the score's, one factor per timestep.
fn raw(at: &At) -> f64 {
    (at.get("raw_asymmetry_max") / at.get("asymmetry_max")).abs()
}

/// Error of nasym = |J - J'|^2 / (4 |J|^2) where |J - J'| is off by `gap` and `size` is |J|, or less.
pub(super) fn of_ratio(nasym: f64, gap: f64, size: f64) -> f64 {
    gap * nasym.abs().sqrt() / size + gap * gap / (4.0 * size * size)
}

/// Error of a K x K block's nasym where a |J_ab - J_ba| is off by `error`. Its size is at least that of the entries off the
/// diagonal.
fn of_share(at: &At, error: f64) -> f64 {
    let k = at.fact("components");
    of_ratio(at.get("sub_nasym"), error * (k * (k - 1.0)).sqrt(), at.get("entry_rms") * (k * (k - 1.0)).sqrt())
}

/// Whether a run's J is of differences. Runs of schema 1 do not say so: there `error` is the largest of those that count.
fn of_differences(table: &Table) -> bool {
    if let Some(said) = table.facts["differences"].as_bool() {
        return said;
    }
    let (Ok(step), Ok(error)) = (table.column("step"), table.column("error")) else { return false };
    let known = step.values.iter().any(|s| s.is_finite());
    known && !step.values.iter().zip(&error.values).any(|(s, e)| s > e)
}

static INFO: MeasureInfo = MeasureInfo {
    name: "curl",
    title: "Curl",
    prose: "The Jacobian of a gradient is symmetric. J_ab = ∂s_a/∂x_b is taken between random components of each sample; \
            |J_ab − J_ba| over all pairs is how asymmetric the learned score is.",
    source: "the paper, Figs. 2c, 2d and 8c",
    axes: &[TIMESTEP, SAMPLE],
    marked: "asymmetry",
    headline: "asymmetry",
    rules: RULES,
    mean: None,
    compared: &[
        ("asymmetry", Taken::Median),
        ("raw_asymmetry", Taken::Median),
        ("entry_rms", Taken::Median),
        ("sub_nasym", Taken::Median),
    ],
    shown: &[("asymmetry", "|J_ab − J_ba|"), ("entry_rms", "rms J_ab"), ("sub_nasym", "|B − B′|²/4|B|²")],
    figures: &[
        Figure::new("asymmetry", "All pairs of all samples, score", "|J_ab − J_ba|  (nat/x²)").of_pairs(),
        Figure::new("raw_asymmetry", "Medians by sample, network's raw output", "|J_ab − J_ba|  (1/x)"),
    ],
    matrices: Some(Matrices { difference: "asymmetry", components: true }),
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: [Shown; 6] = [
    Shown { heading: "|Jab-Jba|", column: "asymmetry",     quartiles: true },
    Shown { heading: "raw",       column: "raw_asymmetry", quartiles: false },
    Shown { heading: "rms Jab",   column: "entry_rms",     quartiles: false },
    Shown { heading: "sub_nasym", column: "sub_nasym",     quartiles: false },
    Shown { heading: "step",      column: "step",          quartiles: false },
    Shown { heading: "arithm.",   column: "arithmetic",    quartiles: false },
];

const GAP: Shown = Shown { heading: "gap", column: "method_gap", quartiles: false };

/// What the table shows of this run: how far the methods are apart, if both ran.
fn shown(table: &Table) -> Vec<Shown> {
    let both = table.array("jacobian_fd").is_ok();
    SHOWN.into_iter().chain(both.then_some(GAP)).collect()
}

impl Measure for Curl {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn finish(&self, part: Part) -> Result<Table> {
        let settle = |row: &mut Row, worst: f64| row.arithmetic = 2.0 * worst * row.largest;
        rows::table::<Row>(part, COLUMNS, settle, &["components", "jacobian", "jacobian_fd"])
    }

    /// The table, and what may be said at which timesteps.
    fn text(&self, table: &Table) -> Result<String> {
        let mut text = timesteps::text(table, &shown(table))?;
        text += &timesteps::verdicts(table)?;
        text += "J of the score in nat/x²; raw: of the network's output; arithm.: error of |Jab-Jba|;\n";
        text += "step: error of differences; gap: largest difference of an entry between the two methods.\n";
        Ok(text)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, &shown(table))
    }

    #[cfg(feature = "cli")]
    fn plots(&self, table: &Table, about: &str) -> Result<crate::run::Plots> {
        plots::all(table, about)
    }
}

#[cfg(feature = "cli")]
mod plots {
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
}
