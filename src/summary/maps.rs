//! Maps as pictures: squares in the shape of a sample as heat over the grey sample. In: a run's table and which of its arrays are
//! maps. Out: tiles, three per timestep: the mean over the samples, its share of the whole, the first sample.
use super::{evenly, number};
use crate::error::{Error, Result};
use crate::run::{CLEAR, Labels, Maps, Numbers, TIMESTEP, Table};

/// Most timesteps.
const SHOWN: usize = 4;
/// Colours of the heat, from nothing to the end of the scale.
const HEAT: [[f64; 3]; 4] = [[190.0, 20.0, 30.0], [235.0, 75.0, 0.0], [255.0, 165.0, 0.0], [255.0, 240.0, 110.0]];
/// Opacity of the heat is the share of the scale's end to this power: what is small is seen, and the picture too.
const OPACITY: f64 = 0.75;

/// One map, drawn.
pub struct Tile {
    /// What it is.
    pub title: String,
    /// Red, green, blue and opacity of its pixels.
    pub rgba: Vec<u8>,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Where the colours end; 0 if no pixel is resolved.
    pub end: f64,
    /// Of what is drawn.
    pub unit: &'static str,
    /// In words, for a person who cannot see it.
    pub about: String,
    /// False where an error that applies was not measured.
    pub checked: bool,
}

/// The tiles of one timestep.
pub struct Column {
    /// k
    pub timestep: usize,
    /// The mean over the samples, its share, and the first sample.
    pub tiles: [Tile; 3],
}

/// Squares and what they are uncertain by, over the picture on which they lie.
struct Layer<'a> {
    squares: Vec<f64>,
    errors: Vec<f64>,
    picture: &'a [f64],
}

/// The colour bar: the heat over a middling grey.
pub fn bar() -> (Vec<u8>, [usize; 2]) {
    ((0..128).flat_map(|i| over(f64::from(i) / 127.0, 0.5)).collect(), [1, 128])
}

/// Up to four timesteps of a run.
///
/// # Errors
/// Arrays that are missing, or of other shapes than maps have.
pub fn columns(table: &Table, maps: &Maps) -> Result<Vec<Column>> {
    let (shape, squares) = numbers(table, maps.squares)?;
    let &[timesteps, samples, c, h, w] = shape else {
        return Err(Error::invalid(maps.squares, format!("has shape {shape:?}, expected [timestep, sample, C, H, W]")));
    };
    let (d, all) = (c * h * w, squares.len());
    let others = [numbers(table, maps.errors)?.1, numbers(table, maps.others)?.1];
    let clean = numbers(table, maps.samples)?.1;
    let component = &table.column(maps.component)?.values;
    if others.iter().any(|o| o.len() != all) || clean.len() != samples * d || component.len() != timesteps * samples {
        return Err(Error::invalid(table.measure, "its maps, their errors and its samples are not of one size"));
    }
    let ks = table.axes.iter().find(|a| a.name == TIMESTEP.name).map(|a| &a.labels);
    let Some(Labels::Numbers(ks)) = ks else { return Err(Error::invalid(table.measure, "its maps have no timesteps")) };
    let grey: Vec<Vec<f64>> = clean.chunks_exact(d).map(|own| grey(own, c)).collect();
    let middle = scaled((0..h * w).map(|i| grey.iter().map(|g| g[i]).sum::<f64>()).collect());
    let first = scaled(grey[0].clone());
    let one = |t: usize| {
        let of = |values: &[f32], s: usize| summed(&values[(t * samples + s) * d..][..d], c);
        let finite = |s: &usize| squares[(t * samples + s) * d..][..d].iter().all(|v| v.is_finite());
        let own: Vec<usize> = (0..samples).filter(finite).collect();
        let n = own.len() as f64;
        let mean = |values: &[f32]| -> Vec<f64> {
            let rows: Vec<Vec<f64>> = own.iter().map(|&s| of(values, s)).collect();
            (0..h * w).map(|i| rows.iter().map(|r| r[i]).sum::<f64>() / n).collect()
        };
        // Of a sum over channels the errors of the components add.
        let off = |s: usize| component[t * samples + s] * (c as f64).sqrt();
        let worst = own.iter().map(|&s| off(s)).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
        let arithmetic = |square: f64, e: f64| 2.0 * e * square.max(0.0).sqrt() + e * e;
        let errors: Vec<Vec<f64>> = own.iter().map(|&s| of(others[0], s)).collect();
        let squares_of = mean(squares);
        let over_probes = |i: usize| errors.iter().map(|e| e[i] * e[i]).sum::<f64>().sqrt() / n;
        let error = |i: usize| larger(over_probes(i), arithmetic(squares_of[i], worst));
        let errors_of: Vec<f64> = (0..h * w).map(error).collect();
        let others_of = mean(others[1]);
        let share = |i: usize| 1.0 / (squares_of[i] + others_of[i]).max(f64::MIN_POSITIVE);
        let shares = Layer {
            squares: (0..h * w).map(|i| squares_of[i] * share(i)).collect(),
            errors: (0..h * w).map(|i| errors_of[i] * share(i)).collect(),
            picture: &middle,
        };
        let sample = of(squares, 0);
        let alone: Vec<f64> =
            of(others[0], 0).iter().zip(&sample).map(|(&se, &r)| larger(se, arithmetic(r, off(0)))).collect();
        let k = ks[t];
        let means = Layer { squares: squares_of, errors: errors_of, picture: &middle };
        let alone = Layer { squares: sample, errors: alone, picture: &first };
        Column {
            timestep: k,
            tiles: [
                means.tile(k, format!("mean of {} samples", own.len()), maps.unit, [h, w]),
                shares.tile(k, "share of the whole".into(), "", [h, w]),
                alone.tile(k, "first sample".into(), maps.unit, [h, w]),
            ],
        }
    };
    Ok(evenly(timesteps, SHOWN).into_iter().map(one).collect())
}

/// The larger of two errors; NaN where one is not known.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

impl Layer<'_> {
    fn tile(&self, k: usize, title: String, unit: &'static str, size: [usize; 2]) -> Tile {
        let checked = self.errors.iter().all(|e| !e.is_nan());
        // What is not checked is drawn, and said to be so.
        let clear = |i: usize| {
            let (square, error) = (self.squares[i], self.errors[i]);
            square > 0.0 && (error.is_nan() || square >= CLEAR * error)
        };
        let mut resolved: Vec<f64> = (0..self.squares.len()).filter(|&i| clear(i)).map(|i| self.squares[i]).collect();
        resolved.sort_by(f64::total_cmp);
        let end = resolved.get(resolved.len() * 199 / 200).copied().unwrap_or(0.0);
        let mut pixels = vec![];
        for (i, &grey) in self.picture.iter().enumerate() {
            let share = if clear(i) && end > 0.0 { (self.squares[i] / end).min(1.0) } else { 0.0 };
            pixels.extend(over(share, grey));
        }
        let about = format!(
            "k = {k}, {title}: {} of {} pixels are resolved, the largest {}",
            resolved.len(),
            pixels.len() / 4,
            number(resolved.last().copied().unwrap_or(0.0))
        );
        Tile { title, rgba: pixels, size, end, unit, about, checked }
    }
}

/// Heat of this share of the scale over a grey from 0 to 1.
fn over(share: f64, grey: f64) -> [u8; 4] {
    let place = share * (HEAT.len() - 1) as f64;
    let below = (place.floor() as usize).min(HEAT.len() - 2);
    let (part, alpha) = (place - below as f64, share.powf(OPACITY));
    // The picture is dimmed, so that heat is what is bright.
    let base = 255.0 * (0.1 + 0.5 * grey);
    let channel = |i: usize| {
        let heat = HEAT[below][i] * (1.0 - part) + HEAT[below + 1][i] * part;
        (base * (1.0 - alpha) + heat * alpha).round() as u8
    };
    [channel(0), channel(1), channel(2), 255]
}

/// The mean over channels.
fn grey(sample: &[f32], channels: usize) -> Vec<f64> {
    summed(sample, channels).into_iter().map(|v| v / channels as f64).collect()
}

fn summed(values: &[f32], channels: usize) -> Vec<f64> {
    let pixels = values.len() / channels.max(1);
    (0..pixels).map(|i| (0..channels).map(|c| f64::from(values[c * pixels + i])).sum()).collect()
}

/// From 0, the least, to 1, the largest.
fn scaled(values: Vec<f64>) -> Vec<f64> {
    let ends = |(a, b): (f64, f64), v: &f64| (a.min(*v), b.max(*v));
    let (low, high) = values.iter().filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), ends);
    let span = (high - low).max(f64::MIN_POSITIVE);
    values.iter().map(|v| if v.is_finite() { (v - low) / span } else { 0.0 }).collect()
}

fn numbers<'a>(table: &'a Table, name: &str) -> Result<(&'a [usize], &'a [f32])> {
    let array = table.array(name)?;
    match &array.values {
        Numbers::F32(values) if !values.is_empty() => Ok((&array.shape, values)),
        _ => Err(Error::invalid(name, "is not in f32, or empty")),
    }
}
