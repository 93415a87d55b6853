//! Maps: where the field turns. With A = (J - J')/2, H = (J + J')/2 and `E[v v'] = I`: `r_i = sum_j A_ij^2 = E (A v)_i^2` and `q_i =
//! sum_j H_ij^2 = E (H v)_i^2`, in the shape of a sample; `sum_i r_i = |A|^2`. In: rows and pictures of `run`, per sample and timestep.
//! Out: the run's table, with the pictures in it; text, JSON rows.
mod columns;
mod run;

pub use run::MapOptions;

use super::rows;
use crate::diagnostics::{Gaps, Selection, parse_probes};
use crate::error::{Error, Result};
use crate::run::{
    About, Array, Claim, Figure, Kind, Maps, Measure, MeasureInfo, Numbers, Parameter, Part, Pictures, SAMPLE, SAMPLES,
    SEED, Settings, Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::timesteps::{self, Shown};
use crate::summary::{stats, verdict};
use columns::{COLUMNS, RULES, Row};
use run::{CLEAN, PICTURES};
use serde_json::Value;

/// The measure.
pub struct Map;

/// What is drawn.
const MAPS: Maps = Maps {
    squares: PICTURES[0],
    errors: PICTURES[1],
    others: PICTURES[2],
    samples: CLEAN,
    component: "pixel_arithmetic",
    title: "r_i = Σ_j |A_ij|²",
    unit: "nat²/x⁴",
};

static INFO: MeasureInfo = MeasureInfo {
    name: "map",
    help: "Map where the field turns: r_i = sum_j A_ij^2 of the antisymmetric half of the Jacobian, in the shape of a \
           sample.\n\n\
           J v and J'v of random vectors v, never a whole Jacobian.",
    title: "Where the field turns",
    prose: "A = (J − J′)/2 is zero for a gradient. r_i = Σ_j |A_ij|² says how much of it acts on pixel i, q_i = Σ_j |H_ij|² the same \
            of the symmetric half H; r_i/(r_i + q_i) is the share of what turns.",
    source: "A = (J - J')/2, its rows' squared norms",
    axes: &[TIMESTEP, SAMPLE],
    marked: "anti2",
    headline: "nasym",
    claim: Claim::new("the field turns"),
    rules: RULES,
    mean: None,
    compared: &[("nasym", Taken::Median), ("anti2", Taken::Median), ("sym2", Taken::Median)],
    shown: &[("nasym", "nasym"), ("anti2", "|A|²"), ("sym2", "|H|²")],
    figures: &[Figure::new("nasym", "nasym by sample", "|A|² / |J|²")],
    matrices: None,
    pictures: Some(Pictures::Maps(MAPS)),
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",   column: "nasym",      quartiles: true },
    Shown { heading: "|A|^2",   column: "anti2",      quartiles: false },
    Shown { heading: "|H|^2",   column: "sym2",       quartiles: false },
    Shown { heading: "error",   column: "error",      quartiles: false },
    Shown { heading: "arithm.", column: "arithmetic", quartiles: false },
];

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES.or("16"),
    SEED,
    TIMESTEPS.or("1..1000:100"),
    Parameter::new(
        "probes",
        Kind::Text,
        "Random vectors v per sample and timestep, or `all`: every unit vector, which is exact and takes D of them",
    )
    .or("32"),
    Parameter::new(
        "verify",
        Kind::Count,
        "Probes, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

impl Measure for Map {
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
        let (selection, probes) = (Selection::asked(asked)?, parse_probes(asked.text("probes")?)?);
        Ok(Box::new(MapOptions { selection, probes, verified: asked.count("verify")? }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        let settle = |rows: &mut [Row]| {
            let worst = rows.iter().map(|row| row.checked).fold(Gaps::NONE, Gaps::max);
            rows.iter_mut().for_each(|row| row.settle(worst));
        };
        let mut table = rows::table_of(part, COLUMNS, settle, &[PICTURES.as_slice(), &[CLEAN]].concat())?;
        for (name, mean, error) in [(PICTURES[0], "r_mean", "r_mean_se"), (PICTURES[2], "q_mean", "q_mean_se")] {
            let [means, errors] = over_samples(table.array(name)?)?;
            table.arrays.push(Array { name: mean, ..means });
            table.arrays.push(Array { name: error, ..errors });
        }
        Ok(table)
    }

    fn text(&self, table: &Table) -> Result<String> {
        let text = timesteps::text(table, SHOWN)? + &verdict::text(table)?;
        let said = "nasym = |A|²/|J|², A = (J-J')/2, H = (J+J')/2. Maps of r_i = sum_j A_ij² and q_i = sum_j H_ij² are in map.npz.\n";
        Ok(text + said)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, SHOWN)
    }
}

/// Means of pictures `[timestep, sample, C, H, W]` over the samples where they are finite, and their standard errors.
fn over_samples(array: &Array) -> Result<[Array; 2]> {
    let (Numbers::F32(values), &[timesteps, samples, c, h, w]) = (&array.values, &array.shape[..]) else {
        return Err(Error::invalid(array.name, "is not [timestep, sample, C, H, W] in f32"));
    };
    let d = c * h * w;
    let (mut means, mut errors) = (vec![], vec![]);
    for own in values.chunks_exact((samples * d).max(1)) {
        for i in 0..d {
            let of_pixel = own.iter().skip(i).step_by(d).map(|&v| f64::from(v)).filter(|v| v.is_finite());
            let (mean, error) = stats::mean(&of_pixel.collect::<Vec<f64>>());
            means.push(mean as f32);
            errors.push(error as f32);
        }
    }
    let made = |values| Array { name: "", shape: vec![timesteps, c, h, w], values: Numbers::F32(values) };
    Ok([made(means), made(errors)])
}
