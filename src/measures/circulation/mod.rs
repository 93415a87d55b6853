//! Circulation (paper, eq. 4): Gamma = sum_i s(m_i) . d_i over closed loops, with what it is compared with, and three errors.
//! In: a subject, options; or scores that were evaluated elsewhere at exported points. Out: the run's table; text, what was
//! found in words.
mod adaptive;
mod asked;
mod columns;
mod export;
mod finish;
mod loops;
mod nested;
mod options;
mod queries;
mod run;
mod scores;
mod state;
mod text;
mod work;

pub use adaptive::FLOOR;
pub use asked::chosen;
pub use columns::{ERRORS, Loop, loops, measured};
pub use export::PathExport;
pub use finish::circulation_evaluations;
pub use loops::{Circulation, Loops};
pub use nested::{Nested, Node};
pub use options::{Options, Quadrature, verify_points};
pub use run::CirculationRun;
pub use scores::{Integrated, Scores, integrate};

use super::rows;
use crate::error::Result;
use crate::run::{
    About, Claim, Errors, Figure, Measure, MeasureInfo, PATH, Parameter, Part, SAMPLE, Settings, Subject, TIMESTEP,
    Table, Taken, Task,
};
use asked::PARAMETERS;
use columns::{COLUMNS, follows};
use serde_json::Value;

static INFO: MeasureInfo = MeasureInfo {
    name: "circulation",
    help: "Integrate the field around closed paths (the paper's eq. 4).\n\n\
           The defaults are the paper's protocol: 76.8 million evaluations.",
    title: "Circulation",
    prose: "The integral of a gradient around any closed path is zero. Γ = ∮ s·dx is that integral of the learned field s, \
            one loop per path, timestep and sample; what it is beyond its errors is not a gradient. The normalisations \
            say how large it is: M = ∮|x||dx| is the work of the flow −x, L the loop's length, S = ∮|s·dx| what would \
            be left if nothing cancelled, R = ∮|s||dx| the most that a field of this strength allows.",
    source: "the paper, eq. 4 and 7, Figs. 3, 6, 7 and 10 to 12",
    axes: &[PATH, TIMESTEP, SAMPLE],
    marked: "integral",
    headline: "abs_integral",
    claim: Claim::new("the field circulates"),
    rules: &[],
    mean: None,
    compared: &[
        ("abs_integral", Taken::Median),
        ("integral_over_norm_sum", Taken::Median),
        ("integral_over_length", Taken::Median),
        ("integral_over_abs", Taken::Median),
    ],
    shown: &[("abs_integral", "|Γ|"), ("integral_over_norm_sum", "|Γ|/M"), ("integral_over_abs", "|Γ|/S")],
    figures: &[
        Figure::new("abs_integral", "Circulation", "|Γ|  (nat)"),
        Figure::new("integral_over_abs", "Share of the field's work that does not cancel", "|Γ| / S  (scale-free)"),
        Figure::new("integral_over_norm_sum", "Circulation relative to the flow −x", "|Γ| / M  (nat/x²)"),
        Figure::new("integral_over_length", "Circulation per unit of path length", "|Γ| / L  (nat/x)"),
        Figure::new(
            "integral_over_score_norm",
            "Circulation relative to the field's strength",
            "|Γ| / R  (scale-free)",
        ),
    ],
    matrices: None,
    pictures: None,
};

impl Measure for Circulation {
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
        Ok(Box::new(asked::options(asked, subject)?))
    }

    fn shares_devices(&self) -> bool {
        true
    }

    fn finish(&self, part: Part) -> Result<Table> {
        finish::finish(part)
    }

    /// Of the columns that follow from Gamma: their formula with the error in its place. It is the same for scores from
    /// elsewhere.
    fn errors(&self, table: &Table) -> Result<Vec<(&'static str, Errors)>> {
        let loops = loops(table)?;
        let sizes = |value: fn(&Loop) -> f64, kind: usize| -> Vec<f64> {
            loops.iter().map(|l| value(&l.with_integral(l.errors()[kind])).abs()).collect()
        };
        let of = |value| ERRORS.iter().enumerate().map(|(kind, name)| (*name, sizes(value, kind))).collect();
        Ok(COLUMNS.iter().filter(|c| follows(c)).map(|&(about, value)| (about.name, of(value))).collect())
    }

    fn text(&self, table: &Table) -> Result<String> {
        text::text(table)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        text::rows(table)
    }
}
