//! Curl: |J_ab - J_ba| over pairs of components of all samples (Figs. 2c, 2d, 8c). In: rows of `run`, one per sample and
//! timestep, and their sub-Jacobians. Out: the run's table; text, JSON.
mod columns;
mod run;

pub(super) use columns::of_ratio;
pub use run::{CurlOptions, Method, STEP};

use super::rows;
use crate::diagnostics::{SIDES, Selection, Sides};
use crate::error::{Error, Result};
use crate::run::{
    About, Claim, Figure, Kind, Matrices, Measure, MeasureInfo, Parameter, Part, SAMPLE, SAMPLES, SEED, Settings,
    Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::timesteps::{self, Shown};
use crate::summary::verdict;
use columns::{COLUMNS, RULES, Row};
use serde_json::Value;

/// The measure.
pub struct Curl;

static INFO: MeasureInfo = MeasureInfo {
    name: "curl",
    help: "Measure the asymmetry of the score's Jacobian at random components (the paper's eq. 5).\n\n\
           The defaults are the paper's protocol: 100 timesteps, 256 samples, 64 \
           components.",
    title: "Curl",
    prose: "The Jacobian of a gradient is symmetric. J_ab = ∂s_a/∂x_b is taken between random components of each sample; \
            |J_ab − J_ba| over all pairs is how asymmetric the learned score is.",
    source: "the paper, Figs. 2c, 2d and 8c",
    axes: &[TIMESTEP, SAMPLE],
    marked: "asymmetry",
    headline: "asymmetry",
    claim: Claim::new("the Jacobian is asymmetric"),
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
    pictures: None,
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
        "Components K per sample, chosen at random, the same for rows and columns: a K x K sub-Jacobian [default: 64, or all \
         where there are fewer]",
    ),
    Parameter::new(
        "method",
        Kind::Choice(&["jvp", "fd", "both"]),
        "jvp: exact derivatives; fd: central differences, forward passes only; both: the results of jvp, and how far fd is off",
    )
    .or("jvp"),
    SIDES,
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
    .or("4")
    .checking(),
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

    fn task(&self, asked: &Settings, subject: &Subject) -> Result<Box<dyn Task>> {
        let plain = CurlOptions::default().components.min(subject.dim());
        let (method, sides) = (Method::named(asked.text("method")?), asked.text(SIDES.name)?);
        if method == Method::Differences && sides == Sides::Rows.name() {
            let said = "rows, but differences are of columns: expected --method jvp or both beside it";
            return Err(Error::invalid(SIDES.name, said));
        }
        Ok(Box::new(CurlOptions {
            selection: Selection::asked(asked)?,
            components: asked.count_if("components")?.unwrap_or(plain),
            method,
            sides: Sides::asked(sides, subject.field.as_ref()),
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
        text += &verdict::text(table)?;
        text += "J of the score in nat/x²; raw: of the network's output; arithm.: error of |Jab-Jba|;\n";
        text += "step: error of differences; gap: largest difference of an entry between the two methods.\n";
        Ok(text)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, &shown(table))
    }
}
