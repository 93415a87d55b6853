//! From rows of plain f64, one per place, to a table. In: a part that has all samples, the columns of its measure. Out:
//! `run::Table`.
use crate::diagnostics::ROWS;
use crate::error::Result;
use crate::run::{
    About, Array, Labels, Numbers, Part, PartArray, SAMPLE, SCHEMA, SIGMA, TIMESTEP, Table, TableAxis, TableColumn,
};
use bytemuck::Pod;
use serde_json::{Map, Value, json};

/// A column: what it says, and its value.
pub(crate) type Column<Row> = (About, fn(&Row) -> f64);

/// What the columns say.
pub(super) fn abouts<Row>(columns: &[Column<Row>]) -> Vec<About> {
    columns.iter().map(|c| c.0).collect()
}

/// The columns of rows in the order of the table's places.
pub(super) fn columns<Row>(columns: &[Column<Row>], rows: &[Row]) -> Vec<TableColumn> {
    columns.iter().map(|&(about, value)| TableColumn { about, values: rows.iter().map(value).collect() }).collect()
}

/// The array of noise levels that tables with timesteps have.
pub(super) fn levels(sigma: Vec<f64>) -> Array {
    Array { name: SIGMA, shape: vec![sigma.len()], values: Numbers::F64(sigma) }
}

/// The results of a part that has all samples: its rows after `settle`, which is told the largest error that the f64 twin
/// found, and the part's arrays of the given names.
pub(super) fn table<Row: Pod>(
    part: Part,
    columns: &[Column<Row>],
    settle: fn(&mut Row, f64),
    names: &[&'static str],
) -> Result<Table> {
    let worst = part.worst;
    table_of(part, columns, |rows| rows.iter_mut().for_each(|row| settle(row, worst)), names)
}

/// The same, where `settle` is shown all rows at once: what was checked at some places says something of all.
pub(super) fn table_of<Row: Pod>(
    part: Part,
    columns: &[Column<Row>],
    settle: impl FnOnce(&mut [Row]),
    names: &[&'static str],
) -> Result<Table> {
    several(part, columns, settle, names, None)
}

/// The same of several rows at each place, whose axis becomes the outermost one.
pub(super) fn several<Row: Pod>(
    mut part: Part,
    columns: &[Column<Row>],
    settle: impl FnOnce(&mut [Row]),
    names: &[&'static str],
    outer: Option<TableAxis>,
) -> Result<Table> {
    part.whole()?;
    let mut rows = part.rows::<Row>(ROWS)?;
    settle(&mut rows);
    if let Some(axis) = &outer {
        // [timestep, sample, n] to [n, timestep, sample].
        let n = axis.labels.len().max(1);
        rows = (0..n).flat_map(|i| rows[i..].iter().step_by(n).copied()).collect();
    }
    let (timesteps, sigma): (Vec<usize>, Vec<f64>) = (part.fact("timesteps")?, part.sigma()?);
    let mut facts: Map<String, Value> = part.fact("table")?;
    facts.insert(SIGMA.into(), json!(sigma));
    let mut arrays = vec![levels(sigma)];
    for &name in names {
        arrays.extend(part.take(name).map(|PartArray { shape, values, .. }| Array { name, shape, values }));
    }
    let inner =
        [TableAxis::of(TIMESTEP, Labels::Numbers(timesteps)), TableAxis::of(SAMPLE, Labels::Count(part.samples))];
    let axes = outer.into_iter().chain(inner).collect();
    let columns = self::columns(columns, &rows);
    Ok(Table { measure: part.measure, schema: SCHEMA, axes, columns, arrays, facts: facts.into() })
}
