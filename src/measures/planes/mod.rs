//! Planes: A = (J - J')/2 = sum_j omega_j (u_j w_j' - w_j u_j'), the linearised field turns the plane (u_j, w_j) at omega_j. The
//! fastest ones by Lanczos, each with its residual, and its vectors as pictures. In: rows of `run`, one per plane, sample and
//! timestep. Out: the run's table; text, JSON rows.
mod columns;
mod run;

pub use run::PlanesOptions;

use super::rows;
use crate::diagnostics::Selection;
use crate::error::Result;
use crate::run::{
    About, Claim, Figure, Kind, Labels, Measure, MeasureInfo, PLANE, Pairs, Parameter, Part, Pictures, SAMPLE, SAMPLES,
    SEED, Settings, Subject, TIMESTEP, TIMESTEPS, Table, TableAxis, Taken, Task,
};
use crate::summary::timesteps::{self, Shown};
use crate::summary::verdict;
use columns::{COLUMNS, RULES, Row};
use serde_json::Value;

/// The measure.
pub struct Turning;

static INFO: MeasureInfo = MeasureInfo {
    name: "planes",
    help: "Find the planes in which the score turns fastest: pairs of pictures, and how fast.\n\n\
           The antisymmetric half of the Jacobian, A = (J - J')/2, turns planes; the fastest are found by Lanczos with J v and \
           J'v, without ever holding J.",
    title: "Planes in which the field turns",
    prose: "The antisymmetric half of the Jacobian turns planes: near a noisy sample the field carries u towards −w and w \
            towards u, at the rate ω. Both are pictures. σ²ω compares with 1, the size of σ²J of pure noise; the share is that of \
            all turning. A gradient turns nothing.",
    source: "the canonical form of antisymmetric matrices",
    axes: &[PLANE, TIMESTEP, SAMPLE],
    marked: "omega",
    headline: "omega",
    claim: Claim::new("the field turns"),
    rules: RULES,
    mean: None,
    compared: &[("omega", Taken::Median), ("share", Taken::Median)],
    shown: &[("omega", "ω"), ("turn", "σ²ω"), ("share", "2ω²/|A|²")],
    figures: &[
        Figure::new("omega", "How fast the planes turn", "ω  (nat/x²)"),
        Figure::new("turn", "Beside the size of pure noise", "σ²ω"),
        Figure::new("share", "Share of all turning", "2ω² / |A|²"),
    ],
    matrices: None,
    pictures: Some(Pictures::Pairs(PAIRS)),
};

/// What the page shows of each plane.
const PAIRS: Pairs = Pairs {
    vectors: "vectors",
    said: &[("omega", "ω"), ("turn", "σ²ω"), ("share", "share"), ("residual", "residual")],
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "omega",    column: "omega",      quartiles: true },
    Shown { heading: "s^2 omega", column: "turn",      quartiles: false },
    Shown { heading: "share",    column: "share",      quartiles: false },
    Shown { heading: "residual", column: "residual",   quartiles: false },
    Shown { heading: "arithm.",  column: "arithmetic", quartiles: false },
];

/// Planes unless told otherwise.
const PLANES: usize = 4;

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES.or("16"),
    SEED,
    TIMESTEPS.or("1..1000:100"),
    Parameter::new(
        "planes",
        Kind::Count,
        "Planes per sample and timestep, the fastest [default: 4, or half of the components where there are fewer]",
    ),
    Parameter::new(
        "block",
        Kind::Count,
        "Random vectors that each search begins with: planes that turn equally fast are all found if they are no more than this",
    )
    .or("2"),
    Parameter::new("steps", Kind::Count, "Most products of such a block with the Jacobian and its transpose").or("60"),
    Parameter::new(
        "tolerance",
        Kind::Number,
        "A search ends where all residuals are under this share of the largest omega, or at float32's rounding",
    )
    .or("0.001"),
    Parameter::new("probes", Kind::Count, "Random vectors for |A|, of which each plane has its share").or("8"),
    Parameter::new(
        "verify",
        Kind::Count,
        "Planes, spread over the run, whose products are repeated in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

impl Measure for Turning {
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
        let plain = PLANES.min(subject.dim() / 2).max(1);
        Ok(Box::new(PlanesOptions {
            selection: Selection::asked(asked)?,
            planes: asked.count_if("planes")?.unwrap_or(plain),
            block: asked.count("block")?.min(subject.dim()),
            steps: asked.count("steps")?,
            tolerance: asked.number("tolerance")?,
            probes: asked.count("probes")?,
            verified: asked.count("verify")?,
        }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        let count: usize = part.facts["table"]["planes_each"].as_u64().map_or(0, |n| n as usize);
        let axis = TableAxis::of(PLANE, Labels::Numbers((1..=count).collect()));
        let settle = |rows: &mut [Row]| {
            let worst = rows.iter().map(|row| row.checked).fold(f64::NAN, f64::max);
            rows.iter_mut().for_each(|row| row.arithmetic = 2f64.sqrt() * worst * row.size);
        };
        rows::several(part, COLUMNS, settle, &["vectors"], Some(axis))
    }

    fn text(&self, table: &Table) -> Result<String> {
        let said = "The field turns the plane of u and w at omega: A w = omega u, A u = -omega w, A = (J - J')/2; vectors are in \
                    planes.npz.\n";
        Ok(timesteps::text(table, SHOWN)? + &verdict::text(table)? + said)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, SHOWN)
    }
}
