//! How far apart the spaces are that the fastest planes of two runs span: planes that turn equally fast may be mixed in either, so
//! single vectors are not compared. In: two tables with planes, of the same samples. Out: by timestep and number of planes the mean
//! of cos^2 of the angles between both spaces: 1 where they are one space, n/(D/2) for n planes of random directions.
use crate::error::{Error, Result};
use crate::run::{Labels, Numbers, Pairs, Pictures, TIMESTEP, Table};
use crate::summary::BoxStats;
use serde_json::{Value, json};
use std::fmt::Write;

/// The spaces of the first planes at one timestep.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// k
    pub timestep: usize,
    /// How many planes span them.
    pub planes: usize,
    /// Mean of cos^2 of the angles between both: quartile, median and quartile over the samples; NaN where none is finite.
    pub overlap: [f64; 3],
    /// What random spaces have in the mean.
    pub chance: f64,
}

/// The planes of a run, as they lie in its file.
struct Planes<'a> {
    values: &'a [f32],
    ks: &'a [usize],
    samples: usize,
    planes: usize,
    dim: usize,
}

/// Of every common timestep and of every number of planes that both runs have; none of measures without planes.
///
/// # Errors
/// Arrays that do not fit each other.
pub fn spaces(tables: [&Table; 2]) -> Result<Vec<Space>> {
    let Some(Pictures::Pairs(pairs)) = tables[0].measure.info().pictures else { return Ok(vec![]) };
    let [a, b] = [Planes::of(tables[0], &pairs)?, Planes::of(tables[1], &pairs)?];
    if (a.dim, a.samples) != (b.dim, b.samples) {
        return Ok(vec![]);
    }
    let mut found = vec![];
    for (t, k) in a.ks.iter().enumerate() {
        let Some(u) = b.ks.iter().position(|other| other == k) else { continue };
        let most = a.planes.min(b.planes);
        let each: Vec<Vec<f64>> = (0..a.samples).map(|s| overlaps(a.at(t, s), b.at(u, s), most, a.dim)).collect();
        for n in 1..=most {
            let of_samples: Vec<f64> = each.iter().map(|own| own[n - 1]).collect();
            let overlap = BoxStats::of(&of_samples).map_or([f64::NAN; 3], |s| [s.q1, s.median, s.q3]);
            found.push(Space { timestep: *k, planes: n, overlap, chance: 2.0 * n as f64 / a.dim as f64 });
        }
    }
    Ok(found)
}

impl<'a> Planes<'a> {
    fn of(table: &'a Table, pairs: &Pairs) -> Result<Self> {
        let array = table.array(pairs.vectors)?;
        let ks = table.axes.iter().find(|a| a.name == TIMESTEP.name).map(|a| &a.labels);
        match (&array.values, &array.shape[..], ks) {
            (Numbers::F32(values), &[_, samples, planes, 2, c, h, w], Some(Labels::Numbers(ks))) => {
                Ok(Planes { values, ks, samples, planes, dim: c * h * w })
            }
            _ => Err(Error::invalid(pairs.vectors, format!("has shape {:?}, which planes do not have", array.shape))),
        }
    }

    /// u and w of all planes of a sample.
    fn at(&self, timestep: usize, sample: usize) -> &'a [f32] {
        let each = self.planes * 2 * self.dim;
        &self.values[(timestep * self.samples + sample) * each..][..each]
    }
}

/// |U'V|^2 / 2n of the first n planes, n = 1..=most; vectors are orthonormal to f32.
fn overlaps(a: &[f32], b: &[f32], most: usize, dim: usize) -> Vec<f64> {
    let square = |i: usize, j: usize| {
        let (x, y) = (&a[i * dim..(i + 1) * dim], &b[j * dim..(j + 1) * dim]);
        x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>().powi(2)
    };
    let (mut sum, mut found) = (0.0, vec![]);
    for n in 1..=most {
        // What the last plane of either adds.
        for i in 0..2 * n {
            for j in (0..2 * n).filter(|&j| i >= 2 * (n - 1) || j >= 2 * (n - 1)) {
                sum += square(i, j);
            }
        }
        found.push(sum / (2.0 * n as f64));
    }
    found
}

/// For a terminal; nothing where there are none.
pub fn text(spaces: &[Space]) -> String {
    let Some(most) = spaces.iter().map(|s| s.planes).max() else { return String::new() };
    let mut text =
        format!("\nspaces of the first n planes, n = 1..{most}: median of cos^2 between A and B, [by chance]\n");
    for own in spaces.chunk_by(|a, b| a.timestep == b.timestep) {
        let _ = write!(text, "{:>6}", own[0].timestep);
        for space in own {
            let _ = write!(text, " {:>8.4} [{:.4}]", space.overlap[1], space.chance);
        }
        text.push('\n');
    }
    text
}

/// JSON, one object per timestep and number of planes.
pub fn rows(spaces: &[Space]) -> Vec<Value> {
    let row = |s: &Space| {
        let [q1, median, q3] = s.overlap;
        json!({ "timestep": s.timestep, "planes": s.planes, "q1": q1, "median": median, "q3": q3, "chance": s.chance })
    };
    spaces.iter().map(row).collect()
}
