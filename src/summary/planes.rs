//! Planes as pairs of pictures: u and w side by side, blue where negative, vermilion where positive, nothing at zero. In: a run's
//! table and which of its arrays and columns belong to planes. Out: rows of pairs, one for each timestep and sample shown.
use super::{evenly, number};
use crate::error::{Error, Result};
use crate::run::{Labels, Numbers, Pairs, TIMESTEP, Table, Verdict, verdicts};

/// Most timesteps, samples of each and planes of each.
const SHOWN: [usize; 3] = [4, 2, 4];
/// Share of components that lie beyond the end of the colours.
const BEYOND: f64 = 0.005;
/// Colours of the largest negative and positive component (Okabe and Ito's blue and vermilion).
pub const ENDS: [[u8; 3]; 2] = [[0, 114, 178], [213, 94, 0]];

/// A plane, drawn.
pub struct Pair {
    /// What stands above it.
    pub title: String,
    /// Red, green, blue and opacity of the pixels of u and w, on one scale.
    pub pictures: [Vec<u8>; 2],
    /// Rows and columns of a picture.
    pub size: [usize; 2],
    /// What stands below it, a line for every two columns.
    pub said: Vec<String>,
    /// Of the first column.
    pub verdict: Verdict,
    /// In words, for a person who cannot see it.
    pub about: String,
}

/// The fastest planes of one sample at one timestep.
pub struct Row {
    /// Which.
    pub title: String,
    /// Whether it is of the first sample.
    pub first: bool,
    /// Fastest first.
    pub pairs: Vec<Pair>,
}

impl Row {
    /// Whether none of its planes turns beyond its error: their pictures would be noise.
    pub fn quiet(&self) -> bool {
        self.pairs.iter().all(|pair| pair.verdict == Verdict::NotResolved)
    }
}

/// Up to four planes of up to two samples at up to four timesteps.
///
/// # Errors
/// Arrays that are missing, or of other shapes than planes have.
pub fn rows(table: &Table, pairs: &Pairs) -> Result<Vec<Row>> {
    let array = table.array(pairs.vectors)?;
    let (Numbers::F32(values), &[timesteps, samples, planes, 2, c, h, w]) = (&array.values, &array.shape[..]) else {
        let said = format!("has shape {:?}, expected [timestep, sample, plane, 2, C, H, W] in f32", array.shape);
        return Err(Error::invalid(pairs.vectors, said));
    };
    if table.shape() != [planes, timesteps, samples] {
        return Err(Error::invalid(table.measure, "its planes and its columns are not of one size"));
    }
    let ks = table.axes.iter().find(|a| a.name == TIMESTEP.name).map(|a| &a.labels);
    let Some(Labels::Numbers(ks)) = ks else {
        return Err(Error::invalid(table.measure, "its planes have no timesteps"));
    };
    let (d, all, size) = (c * h * w, verdicts(table), sides([c, h, w]));
    let mut rows = vec![];
    for t in evenly(timesteps, SHOWN[0]) {
        for s in 0..samples.min(SHOWN[1]) {
            let title = format!("k = {}, sample {s}", ks[t]);
            let pair = |j: usize| -> Result<Pair> {
                let at = (j * timesteps + t) * samples + s;
                let own = &values[((t * samples + s) * planes + j) * 2 * d..][..2 * d];
                let said = |(column, label): &(&'static str, &'static str)| -> Result<String> {
                    Ok(format!("{label} {}", number(table.column(column)?.values[at])))
                };
                let said: Vec<String> = pairs.said.iter().map(said).collect::<Result<_>>()?;
                let verdict = all.as_ref().map_or(Verdict::NotChecked, |all| all[at]);
                let end = end(own);
                let draw = |v: &[f32]| pixels(v, [c, h, w], end);
                Ok(Pair {
                    title: format!("plane {}", j + 1),
                    about: format!("{title}, plane {}: {}; {}", j + 1, said.join(", "), verdict.word()),
                    pictures: [draw(&own[..d]), draw(&own[d..])],
                    size,
                    said: said.chunks(2).map(|two| two.join(", ")).collect(),
                    verdict,
                })
            };
            let pairs = (0..planes.min(SHOWN[2])).map(pair).collect::<Result<_>>()?;
            rows.push(Row { title, first: s == 0, pairs });
        }
    }
    Ok(rows)
}

/// Where the colours end.
fn end(values: &[f32]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|v| f64::from(v.abs())).filter(|v| v.is_finite()).collect();
    sizes.sort_by(f64::total_cmp);
    let place = (sizes.len() as f64 * (1.0 - BEYOND)) as usize;
    sizes.get(place.min(sizes.len().saturating_sub(1))).copied().unwrap_or(0.0).max(f64::MIN_POSITIVE)
}

/// Rows and columns of a picture: three channels are red, green and blue, others stand side by side.
fn sides([c, h, w]: [usize; 3]) -> [usize; 2] {
    if c == 3 { [h, w] } else { [h, c * w + c - 1] }
}

/// Red, green, blue and opacity of each pixel.
fn pixels(v: &[f32], [c, h, w]: [usize; 3], end: f64) -> Vec<u8> {
    let share = |i: usize| {
        let share = f64::from(v[i]) / end;
        if share.is_finite() { share.clamp(-1.0, 1.0) } else { 0.0 }
    };
    if c == 3 {
        let colour = |i: usize| (127.5 + 127.5 * share(i)).round() as u8;
        return (0..h * w).flat_map(|i| [colour(i), colour(h * w + i), colour(2 * h * w + i), 255]).collect();
    }
    let mut pixels = vec![];
    for y in 0..h {
        for channel in 0..c {
            // Between two channels a column of grey.
            if channel > 0 {
                pixels.extend([127, 127, 127, 127]);
            }
            for x in 0..w {
                let share = share((channel * h + y) * w + x);
                pixels.extend(ENDS[usize::from(share > 0.0)]);
                pixels.push((share.abs() * 255.0).round() as u8);
            }
        }
    }
    pixels
}
