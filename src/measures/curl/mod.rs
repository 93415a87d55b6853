//! Curl: |J_ab - J_ba| over pairs of components of all samples (Figs. 2c, 2d, 8c). In: rows of `run`, one per sample and
//! timestep, and their sub-Jacobians. Out: the run's table; text, JSON, and two box plots: score and raw output.
#[cfg(feature = "cli")]
mod plots;
mod run;

pub use run::{CurlOptions, Method, STEP};

use super::rows;
use crate::diagnostics::Selection;
use crate::error::Result;
use crate::run::{
    About, Applied, At, Figure, Kind, Matrices, Measure, MeasureInfo, Parameter, Part, Rule, SAMPLE, SAMPLES, SEED,
    Settings, Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::timesteps::{self, Shown};
use run::{COLUMNS, Row};
use serde_json::Value;

/// The measure.
pub struct Curl;

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
    help: "Measure the asymmetry of the score's Jacobian at random components (the paper's eq. 5).\n\n\
           Writes OUT/curl.csv, curl.npz (with every sub-Jacobian), manifest.json, run_log.json and plots/*.svg \
           (docs/FORMATS.md), and prints a table. The defaults are the paper's protocol: 100 timesteps, 256 samples, 64 \
           components.",
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

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    TIMESTEPS,
    Parameter::new(
        "components",
        Kind::Count,
        "Components K per sample, chosen at random, the same for rows and columns: a K x K sub-Jacobian",
    )
    .or("64"),
    Parameter::new(
        "method",
        Kind::Choice(&["jvp", "fd", "both"]),
        "jvp: exact tangents; fd: central differences, forward passes only; both: the results of jvp, and how far fd is off",
    )
    .or("jvp"),
    Parameter::new(
        "step",
        Kind::Number,
        "Step h of the differences in units of sigma; the default balances truncation against f32 rounding",
    )
    .or("0.03"),
    Parameter::new(
        "richardson",
        Kind::Flag,
        "Eliminate the differences' h^2 error with a second step 2h, for twice the evaluations",
    ),
    Parameter::new(
        "verify",
        Kind::Count,
        "Columns of the Jacobian, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4"),
];

impl Measure for Curl {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn task(&self, asked: &Settings, _: &Subject) -> Result<Box<dyn Task>> {
        Ok(Box::new(CurlOptions {
            selection: Selection::asked(asked)?,
            components: asked.count("components")?,
            method: Method::named(asked.text("method")?),
            step: asked.number("step")?,
            richardson: asked.flag("richardson"),
            verified: asked.count("verify")?,
        }))
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
