//! Full Jacobians in few dimensions. In: rows of `diagnostics::jacobian`, one per sample and timestep, and the matrices. Out:
//! the run's table; text and JSON rows.
use super::curl::of_ratio;
use super::rows::{self, Column};
use crate::error::Result;
use crate::run::{About, Applied, Figure, Matrices, Measure, MeasureInfo, Part, Rule, SAMPLE, TIMESTEP, Table, Taken};
use crate::summary::timesteps::{self, Shown};
use serde_json::Value;

/// The measure.
pub struct Jacobian;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Row {
    pub nasym: f64,
    pub fro2: f64,
    pub trace: f64,
    pub trace2: f64,
    pub asymmetry: f64,
    /// max |J|, the unit of the arithmetic error.
    pub largest: f64,
    pub arithmetic: f64,
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",         "|J - J'|^2 / (4 |J|^2)", "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym),
    (About::new("fro2",          "|J|^2, Frobenius",       "nat^2/x^4", "squared size of the Jacobian"),                      |r| r.fro2),
    (About::new("trace",         "tr J",                   "nat/x^2",   "divergence of the field"),                           |r| r.trace),
    (About::new("trace2",        "tr J^2",                 "nat^2/x^4", "equals fro2 for a symmetric Jacobian"),              |r| r.trace2),
    (About::new("asymmetry_max", "max |J_ab - J_ba|",      "nat/x^2",   "largest difference of two entries"),                 |r| r.asymmetry),
    (About::new("arithmetic",    "max |J| max |J_ab - f64| / max |J|", "nat/x^2", "error of an entry: columns recomputed in f64"), |r| r.arithmetic),
];

/// Which errors apply to what. `arithmetic` is that of an entry.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { statistics: &["asymmetry_max"], errors: &[Applied::always("arithmetic", |at| 2.0 * at.get("arithmetic"))] },
    Rule { statistics: &["nasym"], errors: &[Applied::always("arithmetic", |at| {
        of_ratio(at.get("nasym"), 2.0 * at.get("arithmetic") * at.fact("dimensions"), at.get("fro2").sqrt())
    })] },
    Rule { statistics: &["fro2", "trace2"], errors: &[Applied::always("arithmetic", |at| {
        2.0 * at.get("arithmetic") * at.fact("dimensions") * at.get("fro2").sqrt()
    })] },
    Rule { statistics: &["trace"], errors: &[
        Applied::always("arithmetic", |at| at.get("arithmetic") * at.fact("dimensions")),
    ] },
];

static INFO: MeasureInfo = MeasureInfo {
    name: "jacobian",
    title: "Full Jacobians",
    prose: "All of J_ab = ∂s_a/∂x_b at noisy samples, in few dimensions. It is symmetric for a gradient.",
    source: "a gradient's Jacobian is symmetric (Schwarz)",
    axes: &[TIMESTEP, SAMPLE],
    marked: "fro2",
    headline: "asymmetry_max",
    rules: RULES,
    mean: None,
    compared: &[
        ("asymmetry_max", Taken::Median),
        ("nasym", Taken::Median),
        ("fro2", Taken::Median),
        ("trace", Taken::Median),
    ],
    shown: &[("asymmetry_max", "max |J_ab − J_ba|"), ("nasym", "|J − J′|²/4|J|²"), ("fro2", "|J|²"), ("trace", "tr J")],
    figures: &[
        Figure::new("asymmetry_max", "Largest difference of two entries", "max |J_ab − J_ba|  (nat/x²)"),
        Figure::new("nasym", "Share of the antisymmetric part", "|J − J′|² / 4|J|²"),
    ],
    matrices: Some(Matrices { difference: "asymmetry_max", components: false }),
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",       column: "nasym",         quartiles: true },
    Shown { heading: "|J|^2",       column: "fro2",          quartiles: false },
    Shown { heading: "tr J",        column: "trace",         quartiles: false },
    Shown { heading: "tr J^2",      column: "trace2",        quartiles: false },
    Shown { heading: "max dJ",      column: "asymmetry_max", quartiles: false },
    Shown { heading: "arithm.",     column: "arithmetic",    quartiles: false },
];

impl Measure for Jacobian {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn finish(&self, part: Part) -> Result<Table> {
        rows::table::<Row>(part, COLUMNS, |row, worst| row.arithmetic = worst * row.largest, &["jacobian"])
    }

    fn text(&self, table: &Table) -> Result<String> {
        let text = timesteps::text(table, SHOWN)? + &timesteps::verdicts(table)?;
        let said =
            "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian; max dJ: largest |Jab-Jba|.\n";
        Ok(text + said)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, SHOWN)
    }
}
