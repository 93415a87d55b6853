//! A table for people and data frames: one row per place of its axes.
//! In: a checked table. Out: the bytes of the CSV, floats in their shortest form that reads back exactly, verdicts as words.
use super::table::Table;
use super::verdict::{VERDICT, verdicts};
use crate::error::{Error, Result};

pub fn bytes(table: &Table) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::invalid(format!("{}.csv", table.measure), e);
    let mut out = csv::Writer::from_writer(Vec::new());
    let names = table.axes.iter().map(|a| a.name).chain(table.columns.iter().map(|c| c.about.name));
    let verdicts = verdicts(table);
    let names = names.chain(verdicts.as_ref().map(|_| VERDICT.name));
    out.write_record(names).map_err(|e| failed(&e))?;
    let shape = table.shape();
    for i in 0..shape.iter().product() {
        let mut rest = i;
        let mut place = vec![String::new(); shape.len()];
        for (label, (axis, n)) in place.iter_mut().zip(table.axes.iter().zip(&shape)).rev() {
            *label = axis.labels.text(rest % n);
            rest /= n;
        }
        // Debug, not Display: 1e300 instead of 301 digits, and still the shortest exact form.
        let values = table.columns.iter().map(|c| format!("{:?}", c.values[i]));
        let verdict = verdicts.as_ref().map(|v| v[i].word().to_string());
        out.write_record(place.into_iter().chain(values).chain(verdict)).map_err(|e| failed(&e))?;
    }
    out.into_inner().map_err(|e| failed(e.error()))
}
