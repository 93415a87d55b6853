//! Spectrum: the ends of the spectrum of H = (J + J')/2 by Lanczos, and the largest singular values of J and of the denoiser's
//! Jacobian (I + sigma^2 J)/a by bidiagonalisation. In: rows of `run`, one per end, sample and timestep. Out: the run's table;
//! text, JSON rows.
mod columns;
mod run;
mod search;

pub use run::SpectrumOptions;

use super::rows;
use crate::diagnostics::Selection;
use crate::error::Result;
use crate::run::{
    About, Claim, END, Figure, Kind, Labels, Measure, MeasureInfo, Parameter, Part, SAMPLE, SAMPLES, SEED, Settings,
    Subject, TIMESTEP, TIMESTEPS, Table, TableAxis, Taken, Task,
};
use crate::summary::timesteps::{self, Shown};
use crate::summary::verdict;
use columns::{COLUMNS, RULES, Row};
use serde_json::Value;

/// The measure.
pub struct Spectrum;

static INFO: MeasureInfo = MeasureInfo {
    name: "spectrum",
    help: "Find the ends of the spectrum of the score's Jacobian, and of the denoiser's.\n\n\
           The lowest and highest eigenvalues of the symmetric half, H = (J + J')/2, by Lanczos, and the largest singular values \
           of J and of the denoiser's Jacobian (I + sigma^2 J)/a, with J v and J'v, without ever holding J.",
    title: "Ends of the spectrum",
    prose: "The eigenvalues λ of the symmetric half of the Jacobian say how the score pulls along its steepest and its flattest \
            directions. The denoiser E[x₀|x] has (1 + σ²λ)/a in their place: 0 where it takes a direction out, about 1 where it \
            lets it pass, beyond 1/a where the score pushes away. The largest singular value of the Jacobian differs from the \
            largest size of an eigenvalue where the field turns.",
    source: "Tweedie's formula, second order",
    axes: &[END, TIMESTEP, SAMPLE],
    marked: "value",
    headline: "value",
    claim: Claim::new("the spectrum is known"),
    rules: RULES,
    mean: None,
    compared: &[("value", Taken::Median), ("denoiser", Taken::Median)],
    shown: &[("value", "λ"), ("denoiser", "(1 + σ²λ)/a")],
    figures: &[
        Figure::new("value", "Eigenvalues of H, singular value of J", "|λ|  (nat/x²)"),
        Figure::new("denoiser", "Ends of the denoiser's Jacobian", "(1 + σ²λ)/a").signed(),
    ],
    matrices: None,
    pictures: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "value",    column: "value",             quartiles: true },
    Shown { heading: "residual", column: "residual",          quartiles: false },
    Shown { heading: "arithm.",  column: "arithmetic",        quartiles: false },
    Shown { heading: "denoiser", column: "denoiser",          quartiles: false },
    Shown { heading: "residual", column: "denoiser_residual", quartiles: false },
];

/// Eigenvalues from each end unless told otherwise.
const ENDS: usize = 2;

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES.or("16"),
    SEED,
    TIMESTEPS.or("1..1000:100"),
    Parameter::new(
        "ends",
        Kind::Count,
        "Eigenvalues from each end, the lowest and the highest [default: 2, or half of the components where there are fewer]",
    ),
    Parameter::new(
        "block",
        Kind::Count,
        "Random vectors that each search begins with: eigenvalues that repeat are all found if they are no more than this",
    )
    .or("2"),
    Parameter::new("steps", Kind::Count, "Most products of such a block with the Jacobian and its transpose").or("60"),
    Parameter::new(
        "tolerance",
        Kind::Number,
        "A search ends where all residuals are under this share of the largest value, or at float32's rounding",
    )
    .or("0.001"),
    Parameter::new(
        "verify",
        Kind::Count,
        "Ends, spread over the run, whose products are repeated in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

/// What each row of a place is called: `count` ends from the outermost inwards, low and high, and the singular values.
fn names(count: usize) -> Vec<String> {
    let name = |end: &str, i: usize| if i == 1 { end.to_string() } else { format!("{end} {i}") };
    let ends = ["lowest", "highest"].into_iter().flat_map(|end| (1..=count).map(move |i| name(end, i)));
    ends.chain(["singular".to_string()]).collect()
}

impl Measure for Spectrum {
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
        let plain = ENDS.min(subject.dim() / 2).max(1);
        Ok(Box::new(SpectrumOptions {
            selection: Selection::asked(asked)?,
            ends: asked.count_if("ends")?.unwrap_or(plain),
            block: asked.count("block")?.min(subject.dim()),
            steps: asked.count("steps")?,
            tolerance: asked.number("tolerance")?,
            verified: asked.count("verify")?,
        }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        let count: usize = part.facts["table"]["ends_each"].as_u64().map_or(0, |n| n as usize);
        let settle = |rows: &mut [Row]| {
            let worst = rows.iter().map(|row| row.checked).fold(f64::NAN, f64::max);
            rows.iter_mut().for_each(|row| row.arithmetic = worst * row.size);
        };
        let axis = TableAxis::of(END, Labels::Text(names(count)));
        rows::several(part, COLUMNS, settle, &["eigenvectors", "singular_vectors"], Some(axis))
    }

    fn text(&self, table: &Table) -> Result<String> {
        let said = "Eigenvalues of H = (J + J')/2, and (1 + sigma^2 value)/a of the denoiser; singular: the largest singular value \
                    of J,\nand of (I + sigma^2 J)/a. Vectors are in spectrum.npz.\n";
        Ok(timesteps::text(table, SHOWN)? + &verdict::text(table)? + said)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, SHOWN)
    }
}
