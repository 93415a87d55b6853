//! What a person looks at of a likelihood run. In: the run's table. Out: text and JSON.
use super::BoxStats;
use super::results::Results;
use super::table::number;
use crate::error::Result;
use crate::run::Table;
use serde_json::{Value, json};

/// Mean bits per dimension with its parts.
pub fn text(table: &Table) -> Result<String> {
    let bits = BoxStats::of(&table.column("bits_per_dim")?.values);
    let median =
        |name: &str| -> Result<f64> { Ok(BoxStats::of(&table.column(name)?.values).map_or(f64::NAN, |s| s.median)) };
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
pub fn rows(table: &Table) -> Vec<Value> {
    let row = |i: usize| {
        let values = table.columns.iter().map(|c| (c.about.name.to_string(), json!(c.values[i])));
        Value::Object([("sample".to_string(), json!(i))].into_iter().chain(values).collect())
    };
    (0..table.shape()[0]).map(row).collect()
}
