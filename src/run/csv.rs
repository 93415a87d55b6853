//! A table for people and data frames: one row per place of its axes, with sigma beside its timestep.
//! In: a checked table. Out: the bytes of the CSV, floats in their shortest form that reads back exactly, verdicts as words.
use super::measure::TIMESTEP;
use super::table::{SIGMA, Table};
use super::verdict::{VERDICT, verdicts};
use crate::error::{Error, Result};

pub fn bytes(table: &Table) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::invalid(format!("{}.csv", table.measure), e);
    let mut out = csv::Writer::from_writer(Vec::new());
    let verdicts = verdicts(table);
    let mut names: Vec<&str> = table.axes.iter().map(|a| a.name).collect();
    let beside = names.iter().position(|name| *name == TIMESTEP.name).filter(|_| table.sigma(0).is_some());
    if let Some(timestep) = beside {
        names.insert(timestep + 1, SIGMA);
    }
    names.extend(table.columns.iter().map(|c| c.about.name).chain(verdicts.as_ref().map(|_| VERDICT.name)));
    out.write_record(names).map_err(|e| failed(&e))?;
    // Debug, not Display: 1e300 instead of 301 digits, and still the shortest exact form.
    let text = |value: f64| format!("{value:?}");
    let shape = table.shape();
    for i in 0..shape.iter().product() {
        let mut rest = i;
        let mut row = vec![String::new(); shape.len()];
        for (label, (axis, n)) in row.iter_mut().zip(table.axes.iter().zip(&shape)).rev() {
            *label = axis.labels.text(rest % n);
            rest /= n;
        }
        if let (Some(timestep), Some(sigma)) = (beside, table.sigma(i)) {
            row.insert(timestep + 1, text(sigma));
        }
        row.extend(table.columns.iter().map(|c| text(c.values[i])));
        row.extend(verdicts.as_ref().map(|v| v[i].word().to_string()));
        out.write_record(row).map_err(|e| failed(&e))?;
    }
    out.into_inner().map_err(|e| failed(e.error()))
}
