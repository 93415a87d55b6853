//! From the sums of all loops to the columns of a circulation run. In: a part that has all samples, as `part` makes it and
//! shards are merged to. Out: `run::Circulation`, with the two errors that loops have in common: that of the quadrature,
//! which a loop that was not checked takes from those that were, and that of the arithmetic.
use super::sums::Sums;
use super::work::{Work, checked_samples};
use crate::error::{Error, Result};
use crate::run::{Circulation, Column, Numbers, Part, PartArray};
use serde_json::json;

/// The array of a part, [timestep, sample, path, sums].
const SUMS: &str = "sums";

/// What the work of a shard came to. `worst` is the largest error of a term in units of |s| |d|.
pub(super) fn part(work: &Work, worst: f64) -> Part {
    let shape = vec![work.levels.len(), work.samples, work.paths.len(), size_of::<Sums>() / size_of::<f64>()];
    let values = Numbers::F64(bytemuck::cast_slice(&work.sums).to_vec());
    Part {
        measure: "circulation",
        shard: work.shard,
        samples: work.options.samples,
        facts: json!({
            "paths": work.options.paths,
            "timesteps": work.options.timesteps,
            "noise": work.levels.iter().map(|l| l.sigma).collect::<Vec<f64>>(),
            "points": work.options.points,
            "checked": checked_samples(&work.options),
        }),
        arrays: vec![PartArray { name: SUMS.into(), shape, axis: Some(1), values }],
        worst,
        origin: None,
    }
}

/// Evaluations of the field on the loops of a part.
pub fn circulation_evaluations(part: &Part) -> Result<u64> {
    let sums: Vec<Sums> = part.clone().rows(SUMS)?;
    Ok(sums.iter().map(|s| s.evaluations).sum::<f64>() as u64)
}

/// The columns of a part that has all samples.
pub fn circulation(mut part: Part) -> Result<Circulation> {
    part.whole()?;
    let sums: Vec<Sums> = part.rows(SUMS)?;
    let (paths, timesteps): (Vec<String>, Vec<usize>) = (part.fact("paths")?, part.fact("timesteps")?);
    let (p, t, n, checked) = (paths.len(), timesteps.len(), part.samples, part.fact::<usize>("checked")?);
    // Facts may come from a shard's manifest.
    let loops = p.checked_mul(t).and_then(|loops| loops.checked_mul(n));
    if loops != Some(sums.len()) || checked > n {
        let found = format!("{} loops and {checked} checked samples, expected {p} x {t} x {n}", sums.len());
        return Err(Error::invalid("circulation", found));
    }
    let place = move |path: usize, timestep: usize, sample: usize| (timestep * n + sample) * p + path;
    let values = |value: &dyn Fn(usize, usize, usize) -> f64| -> Vec<f64> {
        (0..p * t * n).map(|i| value(i / (t * n), i / n % t, i % n)).collect()
    };
    let column = |&(name, value): &(&'static str, fn(&Sums) -> f64)| Column {
        name,
        values: values(&|path, timestep, sample| value(&sums[place(path, timestep, sample)])),
    };
    // A loop that was not checked takes the largest error among those of its path and timestep that were.
    let known = |path, timestep, sample| sums[place(path, timestep, sample)].quadrature;
    let quadrature = values(&|path, timestep, sample| match known(path, timestep, sample) {
        error if error.is_nan() && !sums[place(path, timestep, sample)].integral.is_nan() => {
            (0..checked).fold(error, |most, other| most.max(known(path, timestep, other)))
        }
        error => error,
    });
    // Errors of terms are taken to add up: the bound that holds for a wrong kernel as for rounding.
    let bound = values(&|path, timestep, sample| part.worst * sums[place(path, timestep, sample)].score_norm_sum);
    let mut columns: Vec<Column> = Sums::COLUMNS.iter().map(column).collect();
    columns.push(Column { name: "quadrature", values: quadrature });
    columns.push(Column { name: "arithmetic", values: bound });
    let (noise, points) = (part.fact("noise")?, part.fact("points")?);
    Ok(Circulation { paths, timesteps, noise, samples: n, points, columns })
}
