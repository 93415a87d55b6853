//! Likelihood: bits per dimension of each sample, with their mean. In: rows of `run`, one per sample. Out: the run's table;
//! text and JSON.
mod columns;
mod flow;
mod levels;
mod run;

pub use run::LikelihoodOptions;

use super::rows;
use crate::diagnostics::{Divergence, PROBES, ROWS, Selection};
use crate::error::Result;
use crate::run::{
    About, Claim, Kind, Labels, MeanOf, Measure, MeasureInfo, Parameter, Part, SAMPLE, SAMPLES, SCHEMA, SEED, Settings,
    Subject, TIMESTEPS, Table, TableAxis, Taken, Task,
};
use crate::summary::{BoxStats, number, stats, verdict};
use columns::{COLUMNS, RULES, Row};
use serde_json::{Value, json};

/// The measure.
pub struct Likelihood;

static INFO: MeasureInfo = MeasureInfo {
    name: "likelihood",
    help: "Measure the likelihood of data under the model's probability-flow ODE, in bits per dimension.\n\n\
           Heun's rule over the given timesteps, twice: on all of them, and on every second one for the error. Writes \
           OUT/likelihood.csv, likelihood.npz, manifest.json and run_log.json (docs/FORMATS.md).",
    title: "Likelihood",
    prose: "Bits per dimension of each sample by the probability-flow ODE. Less is better; it is a property of the learned \
            field's flow and says by itself nothing of gradients.",
    source: "arXiv 2011.13456, appendix D.2",
    axes: &[SAMPLE],
    marked: "bits_per_dim",
    headline: "bits_per_dim",
    claim: Claim::of_mean("the likelihood is known"),
    rules: RULES,
    mean: Some(MeanOf {
        name: "mean bits per dimension",
        formula: "E[bits_per_dim]",
        unit: "bit",
        column: "bits_per_dim",
        of: |table, _| Ok(mean(&table.column("bits_per_dim")?.values)),
        scaled: false,
        caption: "",
    }),
    compared: &[("bits_per_dim", Taken::Mean), ("log_likelihood", Taken::Mean), ("flow", Taken::Mean)],
    shown: &[("bits_per_dim", "bits per dimension"), ("log_likelihood", "ln p₀"), ("flow", "flow")],
    figures: &[],
    matrices: None,
    pictures: None,
};

/// Mean over the samples where it is finite, and its standard error.
fn mean(bits: &[f64]) -> (f64, f64) {
    stats::mean(&bits.iter().copied().filter(|b| b.is_finite()).collect::<Vec<f64>>())
}

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    Parameter {
        help: "The grid, an odd number of timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list",
        ..TIMESTEPS.or("0..991:15")
    },
    PROBES,
    Parameter::new(
        "levels",
        Kind::Choice(&["8-bit", "16-bit", "continuous"]),
        "What the data are: 8-bit or 16-bit levels (dequantised; bits are counted per level), or continuous, real numbers (no \
         dequantisation, no bits for their scaling) [default: what the file holds; floating-point data are 8-bit levels if \
         every value is one, else continuous]",
    ),
    Parameter::new("continuous", Kind::Flag, "The same as --levels continuous").without(&["levels"]),
    Parameter::new(
        "verify",
        Kind::Count,
        "Tangents, spread over the run, to compute again in f64 for the arithmetic error; with 0 the verdict is \"not checked\"",
    )
    .of("n")
    .or("4")
    .checking(),
];

impl Measure for Likelihood {
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
        let word = if asked.flag("continuous") { Some("continuous") } else { asked.text_if("levels") };
        let (levels, why) = levels::of(word, subject.field.as_ref(), &subject.images)?;
        Ok(Box::new(LikelihoodOptions {
            selection: Selection::asked(asked)?,
            divergence: Divergence::asked(asked.text_if(PROBES.name), subject.dim())?,
            levels: levels.most(),
            notes: format!("levels       the data are {levels} ({why})\n"),
            verified: asked.count("verify")?,
        }))
    }

    fn finish(&self, mut part: Part) -> Result<Table> {
        part.whole()?;
        let mut rows: Vec<Row> = part.rows(ROWS)?;
        rows.iter_mut().for_each(|row| row.arithmetic = part.worst * row.size);
        let (bits, se) = mean(&rows.iter().map(|r| r.bits).collect::<Vec<_>>());
        let mut facts = part.facts;
        facts["mean_bits_per_dim"] = json!(bits);
        facts["standard_error"] = json!(se);
        let axes = vec![TableAxis::of(SAMPLE, Labels::Count(part.samples))];
        let columns = rows::columns(COLUMNS, &rows);
        Ok(Table { measure: part.measure, schema: SCHEMA, axes, columns, arrays: vec![], facts })
    }

    /// Mean bits per dimension with its parts.
    fn text(&self, table: &Table) -> Result<String> {
        let bits = BoxStats::of(&table.column("bits_per_dim")?.values);
        let median = |name: &str| -> Result<f64> {
            Ok(BoxStats::of(&table.column(name)?.values).map_or(f64::NAN, |s| s.median))
        };
        let facts = &table.facts;
        let (mean, se) = (facts["mean_bits_per_dim"].as_f64(), facts["standard_error"].as_f64());
        let (count, low, high) = bits.map_or((0, f64::NAN, f64::NAN), |b| (b.count, b.min, b.max));
        Ok(format!(
            "bits/dim     {:.4} ± {} over {count} samples ({low:.4} to {high:.4})\n\
         errors       of a sample, median: probes {}, grid {}, arithmetic {} bits/dim\n\
         likelihood   ln p_0 = {} nat in the median: prior {}, flow {}\n\
         offset       {:.4} bits for the scaling of the data{}\n",
            mean.unwrap_or(f64::NAN),
            se.map_or("unknown".into(), number),
            number(median("probe_se")?),
            number(median("grid")?),
            number(median("arithmetic")?),
            number(median("log_likelihood")?),
            number(median("log_prior")?),
            number(median("flow")?),
            facts["offset_bits"].as_f64().unwrap_or(f64::NAN),
            facts["levels"].as_u64().map_or(", real numbers".into(), |n| format!(", {n} levels dequantised")),
        ) + &table.left_out()
            + &verdict::text(table)?)
    }

    /// JSON, one object per sample.
    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        let row = |i: usize| {
            let values = table.columns.iter().map(|c| (c.about.name.to_string(), json!(c.values[i])));
            Value::Object([("sample".to_string(), json!(i))].into_iter().chain(values).collect())
        };
        Ok((0..table.shape()[0]).map(row).collect())
    }
}
