//! The full Jacobian J_ab = d s_a / d x_b of a field in few dimensions, column by column.
//! In: a field, clean images, a selection. Out: `run::Table`, columns [timestep, sample], with the matrices in it.
use super::derivatives::Derivatives;
use super::numbers::{finite, largest};
use super::points::{Noisy, Pick, Selection, check_matrices};
use super::progress::Progress;
use crate::data::Images;
use crate::dual::Dual;
use crate::error::Result;
use crate::field::Field;
use crate::gpu::Gpu;
use crate::measures::Jacobian;
use crate::measures::jacobian::Row;
use crate::run::{Numbers, Part, PartArray, Table};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Lanes that a run takes, a sample's value counted once however many tangents fit at a time.
pub fn jacobian_lanes(selection: &Selection, dim: usize) -> u64 {
    (selection.timesteps.len() * selection.samples * (1 + dim)) as u64
}

/// Measures; `verified` columns, spread over the run, are computed again by the f64 twin; `observe` is told the lanes that
/// ran and may stop the run.
pub fn jacobian(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    selection: &Selection,
    verified: usize,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Table> {
    jacobian_part(gpu, field, images, selection, verified, Progress::new(observe))?.finish()
}

/// `jacobian` of a shard, going on where its journal ends, up to what shards have in common.
pub fn jacobian_part(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    selection: &Selection,
    verified: usize,
    mut progress: Progress,
) -> Result<Part> {
    let (d, shard) = (field.shape().len(), progress.shard);
    selection.check(field.as_ref(), images, shard)?;
    let places = selection.places(shard);
    check_matrices(places, d)?;
    let mut derivatives = Derivatives::new(gpu, field, &selection.timesteps, shard.count(selection.samples), d)?;
    let mut all: Vec<f32> = progress.recorded(places, d * d)?;
    for batch in selection.batches(shard, all.len() / (d * d), derivatives.batch()) {
        let mut blocks = vec![0f32; batch.samples.len() * d * d];
        derivatives.run(
            &selection.points(field.as_ref(), images, &batch)?,
            &batch.at(),
            d,
            |_, j, v| v[j] = 1.0,
            |point, j, jv| jv.iter().enumerate().for_each(|(a, &v)| blocks[(point * d + a) * d + j] = v),
            &mut progress,
        )?;
        progress.keep(batch.first, batch.samples.len(), &blocks)?;
        all.extend(blocks);
    }
    let rows: Vec<Row> = all.chunks_exact(d * d).map(|block| describe(block, d)).collect();
    let worst = progress.worst(verified, &selection.picks(shard, verified), |&Pick { place, k, sample, share }| {
        let j = (share * d as f64) as usize;
        let Noisy { x, .. } = selection.noisy(field.as_ref(), images, sample, k)?;
        let v: Vec<f32> = (0..d).map(|i| f32::from(i == j)).collect();
        let block = &all[place * d * d..(place + 1) * d * d];
        let twin = field.twin(&Dual::along(&x, &v), k)?;
        let gap = |(a, twin): (usize, &Dual)| (f64::from(block[a * d + j]) - twin.d).abs() / rows[place].largest;
        Ok(largest(twin.iter().enumerate().map(gap)))
    })?;
    let mut part = selection.part(&Jacobian, field.as_ref(), shard, &rows, worst, json!({ "dimensions": d }))?;
    let shape = vec![selection.timesteps.len(), shard.count(selection.samples), d, d];
    part.arrays.push(PartArray { name: "jacobian".into(), shape, axis: Some(1), values: Numbers::F32(all) });
    part.origin = progress.origin;
    Ok(part)
}

/// NaN where it is not finite.
fn describe(block: &[f32], d: usize) -> Row {
    let at = |a: usize, b: usize| f64::from(block[a * d + b]);
    if !finite(block) {
        let nan = f64::NAN;
        return Row { nasym: nan, fro2: nan, trace: nan, trace2: nan, asymmetry: nan, largest: nan, arithmetic: nan };
    }
    let largest = block.iter().fold(f64::MIN_POSITIVE, |most, &v| f64::from(v.abs()).max(most));
    let mut row = Row { nasym: 0.0, fro2: 0.0, trace: 0.0, trace2: 0.0, asymmetry: 0.0, largest, arithmetic: f64::NAN };
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
