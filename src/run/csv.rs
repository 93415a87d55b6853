//! The table of a run for people and data frames: one row per loop.
//! In: checked loops. Out: the bytes of `circulation.csv`, floats in their shortest form that reads back exactly.
use super::circulation::Loops;
use super::schema::{AXES, COLUMNS};
use crate::error::{Error, Result};

pub fn bytes(loops: &Loops) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::invalid("circulation.csv", e);
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(AXES.into_iter().chain(COLUMNS.iter().map(|c| c.name))).map_err(|e| failed(&e))?;
    let data = loops.data();
    for (p, path) in data.paths.iter().enumerate() {
        for (t, timestep) in data.timesteps.iter().enumerate() {
            for (sample, values) in loops.at(p, t).enumerate() {
                let place = [path.clone(), timestep.to_string(), sample.to_string()];
                // Debug, not Display: 1e300 instead of 301 digits, and still the shortest exact form.
                let values = COLUMNS.iter().map(|c| format!("{:?}", (c.value)(&values)));
                table.write_record(place.into_iter().chain(values)).map_err(|e| failed(&e))?;
            }
        }
    }
    table.into_inner().map_err(|e| failed(e.error()))
}
