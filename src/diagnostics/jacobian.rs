//! The full Jacobian J_ab = d s_a / d x_b of a field in few dimensions, column by column.
//! In: a field, clean images, a selection. Out: `run::Table`, columns [timestep, sample], with the matrices in it.
use super::derivatives::Derivatives;
use super::points::{Column, Noisy, Progress, Selection, check_matrices, columns};
use super::queries::spread;
use crate::data::Images;
use crate::dual::Dual;
use crate::error::Result;
use crate::field::Field;
use crate::gpu::Gpu;
use crate::run::{About, Array, Numbers, Table};
use serde_json::json;
use std::ops::ControlFlow;

#[derive(Clone, Copy)]
pub(super) struct Row {
    nasym: f64,
    fro2: f64,
    trace: f64,
    trace2: f64,
    asymmetry: f64,
    arithmetic: f64,
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",         "|J - J'|^2 / (4 |J|^2)", "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym),
    (About::new("fro2",          "|J|^2, Frobenius",       "nat^2/x^4", "squared size of the Jacobian"),                      |r| r.fro2),
    (About::new("trace",         "tr J",                   "nat/x^2",   "divergence of the field"),                           |r| r.trace),
    (About::new("trace2",        "tr J^2",                 "nat^2/x^4", "equals fro2 for a symmetric Jacobian"),              |r| r.trace2),
    (About::new("asymmetry_max", "max |J_ab - J_ba|",      "nat/x^2",   "largest difference of two entries"),                 |r| r.asymmetry),
    (About::new("arithmetic",    "max |J| max |J_ab - f64| / max |J|", "nat/x^2", "error of an entry: columns recomputed in f64"), |r| r.arithmetic),
];

/// Lanes that a run takes, a sample's value counted once however many tangents fit at a time.
pub fn jacobian_lanes(selection: &Selection, dim: usize) -> u64 {
    (selection.timesteps.len() * selection.samples * (1 + dim)) as u64
}

/// Measures; `verified` columns, spread over the run, are computed again by the f64 twin; `observe` is told the lanes that
/// ran and may stop the run.
pub fn jacobian(
    gpu: &Gpu,
    field: &dyn Field,
    images: &Images,
    selection: &Selection,
    verified: usize,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    let (d, samples) = (field.shape().len(), selection.samples);
    selection.check(field, images)?;
    check_matrices(selection.timesteps.len() * samples, d)?;
    let mut derivatives = Derivatives::new(gpu, field, &selection.timesteps, samples, d)?;
    let mut progress = Progress { done: 0, observe };
    let mut all = vec![];
    for batch in selection.batches(derivatives.batch()) {
        let mut blocks = vec![0f32; batch.samples.len() * d * d];
        derivatives.run(
            &selection.points(field, images, &batch)?,
            &batch.ks(),
            d,
            |_, j, v| v[j] = 1.0,
            |point, j, jv| jv.iter().enumerate().for_each(|(a, &v)| blocks[(point * d + a) * d + j] = v),
            &mut progress,
        )?;
        all.extend(blocks);
    }
    let mut rows: Vec<Row> = all.chunks_exact(d * d).map(|block| describe(block, d)).collect();
    let largest = |block: &[f32]| block.iter().fold(f64::MIN_POSITIVE, |most, &v| f64::from(v.abs()).max(most));
    let mut worst = if verified == 0 { f64::NAN } else { 0f64 };
    for (place, share) in spread(rows.len(), verified) {
        let (k, sample, j) = (selection.timesteps[place / samples], place % samples, (share * d as f64) as usize);
        let Noisy { x, .. } = selection.noisy(field, images, sample, k)?;
        let v: Vec<f32> = (0..d).map(|i| f32::from(i == j)).collect();
        let block = &all[place * d * d..(place + 1) * d * d];
        for (a, twin) in field.twin(&Dual::along(&x, &v), k)?.iter().enumerate() {
            worst = worst.max((f64::from(block[a * d + j]) - twin.d).abs() / largest(block));
        }
    }
    for (row, block) in rows.iter_mut().zip(all.chunks_exact(d * d)) {
        row.arithmetic = worst * largest(block);
    }
    let shape = vec![selection.timesteps.len(), samples, d, d];
    let matrices = vec![Array { name: "jacobian", shape, values: Numbers::F32(all) }];
    selection.table("jacobian", field, columns(COLUMNS, &rows), matrices, json!({ "dimensions": d }))
}

fn describe(block: &[f32], d: usize) -> Row {
    let at = |a: usize, b: usize| f64::from(block[a * d + b]);
    let mut row = Row { nasym: 0.0, fro2: 0.0, trace: 0.0, trace2: 0.0, asymmetry: 0.0, arithmetic: f64::NAN };
    let mut asymmetric = 0.0;
    for a in 0..d {
        row.trace += at(a, a);
        for b in 0..d {
            let gap = at(a, b) - at(b, a);
            row.fro2 += at(a, b) * at(a, b);
            row.trace2 += at(a, b) * at(b, a);
            row.asymmetry = row.asymmetry.max(gap.abs());
            asymmetric += gap * gap;
        }
    }
    row.nasym = asymmetric / (4.0 * row.fro2);
    row
}
