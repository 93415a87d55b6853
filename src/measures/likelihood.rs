//! Likelihood: bits per dimension of each sample, with their mean. In: rows of `diagnostics::likelihood`, one per sample. Out:
//! the run's table; text and JSON.
use super::rows::{self, Column, ROWS};
use crate::error::Result;
use crate::run::{
    About, Applied, Labels, MeanOf, Measure, MeasureInfo, Part, Rule, SAMPLE, SCHEMA, Table, TableAxis, Taken,
};
use crate::summary::{BoxStats, Results, number, stats};
use serde_json::{Value, json};

/// The measure.
pub struct Likelihood;

/// What is known of one sample.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Row {
    pub bits: f64,
    pub nats: f64,
    pub prior: f64,
    pub flow: f64,
    pub probes: f64,
    pub grid: f64,
    /// The integral of |div s|, bits: the unit of the arithmetic error.
    pub size: f64,
    pub arithmetic: f64,
}

impl Row {
    /// The largest error that is known.
    fn error(&self) -> f64 {
        self.probes.max(self.grid).max(self.arithmetic)
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("bits_per_dim",   "-ln p_0 / (D ln 2) + offset", "bit", "per component; of levels where data were dequantised"), |r| r.bits),
    (About::new("log_likelihood", "ln p_0",                      "nat", "density of the data in the field's units"),                   |r| r.nats),
    (About::new("log_prior",      "ln N(x_T; 0, I)",             "nat", "where the flow ends"),                                        |r| r.prior),
    (About::new("flow",           "integral of (D + div s) dt",  "nat", "what the flow compresses"),                                   |r| r.flow),
    (About::new("probe_se",       "standard error over probes",  "bit", "error of bits_per_dim; 0 where the divergence is exact"),      |r| r.probes),
    (About::new("grid",           "|bits - on every second timestep|", "bit", "error of bits_per_dim: the grid's"),                     |r| r.grid),
    (About::new("arithmetic",     "(D T + |flow|) max |v.J v - f64| / |v.J v|", "bit", "error of bits_per_dim: tangents recomputed in f64; T the time of the flow"), |r| r.arithmetic),
    (About::new("error",          "largest of the errors",       "bit", "what bits_per_dim is uncertain by"),                          Row::error),
];

/// Which errors apply to what.
const RULES: &[Rule] = &[Rule {
    statistics: &["bits_per_dim"],
    errors: &[
        Applied::always("probe_se", |at| at.get("probe_se")),
        Applied::always("grid", |at| at.get("grid")),
        Applied::always("arithmetic", |at| at.get("arithmetic")),
    ],
}];

static INFO: MeasureInfo = MeasureInfo {
    name: "likelihood",
    title: "Likelihood",
    prose: "Bits per dimension of each sample by the probability-flow ODE. Less is better; it is a property of the learned \
            field's flow and says by itself nothing of gradients.",
    source: "arXiv 2011.13456, appendix D.2",
    axes: &[SAMPLE],
    marked: "bits_per_dim",
    headline: "bits_per_dim",
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
};

/// Mean over the samples where it is finite, and its standard error.
fn mean(bits: &[f64]) -> (f64, f64) {
    stats::mean(&bits.iter().copied().filter(|b| b.is_finite()).collect::<Vec<f64>>())
}

impl Measure for Likelihood {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
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
        let verdict = Results::of(table)?.means.first().map_or("", |m| m.verdict(0).word());
        let (mean, se) = (facts["mean_bits_per_dim"].as_f64(), facts["standard_error"].as_f64());
        let (count, low, high) = bits.map_or((0, f64::NAN, f64::NAN), |b| (b.count, b.min, b.max));
        Ok(format!(
            "bits/dim     {:.4} ± {} over {count} samples ({low:.4} to {high:.4})\n\
         errors       of a sample, median: probes {}, grid {}, arithmetic {} bits/dim: {verdict}\n\
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
        ) + &table.left_out())
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
