//! Entries of Jacobians taken in pairs, a < b, of all samples together. In: the run's table with its matrices. Out: sizes of
//! their differences.
use crate::error::{Error, Result};
use crate::run::{Numbers, Table};

/// |J_ab - J_ba| of the score, a < b, of all samples at one timestep.
pub fn pairs(table: &Table, timestep: usize) -> Result<Vec<f64>> {
    let array = table.array("jacobian")?;
    let (Numbers::F32(values), &[_, samples, n, _]) = (&array.values, &array.shape[..]) else {
        return Err(Error::invalid(table.measure, "its sub-Jacobians are not [timestep, sample, K, K] in f32"));
    };
    let size = samples * n * n;
    let Some(blocks) = values.chunks_exact(size.max(1)).nth(timestep) else {
        return Err(Error::invalid(table.measure, format!("it has no sub-Jacobians at timestep number {timestep}")));
    };
    let mut found = Vec::with_capacity(size / 2);
    for block in blocks.chunks_exact(n * n) {
        for a in 0..n {
            found.extend((a + 1..n).map(|b| f64::from((block[a * n + b] - block[b * n + a]).abs())));
        }
    }
    Ok(found)
}
