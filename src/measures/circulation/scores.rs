//! Circulation of scores that were evaluated elsewhere, at exported midpoints. In: an NPZ of loops, an array of scores of the
//! same shape and, for the errors to be known, scores at the Gauss points and float64 scores at the points to be repeated.
//! Out: `run::Part`, of the shard that the loops are; sums on the host in f64, one segment in memory at a time.
use super::columns::{Dots, Sums};
use super::finish::sums_part;
use super::work::GAUSS_TOO;
use crate::data::Array;
use crate::error::{Error, Result};
use crate::run::{ExportedFile, LoopAxes, LoopLayout, Part};
use serde_json::json;
use std::ops::ControlFlow;

/// Scores from elsewhere.
pub struct Scores {
    /// At the midpoints, `[path, timestep, sample, segment, C, H, W]`.
    pub midpoints: Array,
    /// At the Gauss points of the loops that are checked, `[path, timestep, sample, segment, 2, C, H, W]`.
    pub gauss: Option<Array>,
    /// At the points to be repeated, computed in float64: `[point, C, H, W]`.
    pub repeated: Option<Array>,
}

/// What came of integrating them.
pub struct Integrated {
    /// Sums of the shard's loops, and the largest error of a term that float64 found.
    pub part: Part,
    /// True if every float64 score that was handed back is a float32 number: perhaps it was only cast.
    pub cast: bool,
}

/// A set of scores as it is read along the loops.
struct Reader {
    array: Array,
    values: Vec<f64>,
}

impl Reader {
    /// Refuses an array of another shape than the points', which `what` names.
    fn new(array: Array, dims: &[usize], what: &str) -> Result<Self> {
        if array.dims() != dims {
            return Err(array.error(format!("has shape {:?}, the {what} have {dims:?}", array.dims())));
        }
        Ok(Self { array, values: vec![] })
    }

    /// The next d numbers, all of them finite.
    fn next(&mut self, d: usize, axes: &LoopAxes, segment: usize) -> Result<&[f64]> {
        self.array.read(&mut self.values, d)?;
        match self.values.iter().position(|v| !v.is_finite()) {
            None => Ok(&self.values),
            Some(i) => {
                let place = axes.place(segment * d + i);
                Err(self.array.error(format!("holds {} at {place}, expected finite numbers", self.values[i])))
            }
        }
    }
}

/// Scores at Gauss points; refused where the loops have none.
fn at_gauss(array: Array, layout: &LoopLayout) -> Result<Reader> {
    if layout.checked() == 0 {
        let said = format!("scores at Gauss points, but the loops of shard {} have none", layout.shard);
        return Err(array.error(said));
    }
    Reader::new(array, &layout.axes.gauss_dims(layout.checked()), "Gauss points")
}

/// Scores at points to be repeated, in float64; refused where the loops have none.
fn at_repeated(array: Array, layout: &LoopLayout) -> Result<Reader> {
    if array.kind() != "f64" {
        let said = format!("holds {} values, expected f64: scores computed again in float64", array.kind());
        return Err(array.error(said));
    }
    if layout.repeat.is_empty() {
        let said = format!("float64 scores, but the loops of shard {} have no points to be repeated", layout.shard);
        return Err(array.error(said));
    }
    let shape = layout.axes.shape;
    Reader::new(array, &[layout.repeat.len(), shape.c, shape.h, shape.w], "points to be repeated")
}

/// Integrates `scores` along `loops`. Errors that cannot be told from what was handed back are NaN: that of the quadrature
/// without scores at Gauss points, that of the arithmetic without float64 scores. Rounding is that of the exported points.
/// `observe` is told the segments done and may stop.
///
/// # Errors
/// Arrays of other shapes than the points', numbers that are not finite, float64 scores of another type, scores for points
/// that the file does not have.
pub fn integrate(
    loops: ExportedFile,
    scores: Scores,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Integrated> {
    let ExportedFile { layout, midpoints, steps } = loops;
    let (axes, checked) = (&layout.axes, layout.checked());
    let (dims, shape) = (axes.dims(), axes.shape);
    let [mut own, mut m, mut step] = [scores.midpoints, midpoints, steps].map(|array| Reader { array, values: vec![] });
    own = Reader::new(own.array, &dims, "midpoints")?;
    let mut gauss = scores.gauss.map(|array| at_gauss(array, &layout)).transpose()?;
    let mut repeated = scores.repeated.map(|array| at_repeated(array, &layout)).transpose()?;
    // Merged, NaN gives way to what other shards found.
    let mut worst = f64::NAN;
    let mut cast = repeated.is_some();
    let (p, t, n, d) = (axes.paths.len(), axes.timesteps.len(), axes.samples, shape.len());
    let mut sums = vec![Sums { quadrature: f64::NAN, ..Sums::default() }; p * t * n];
    let mut picks = layout.repeat.iter().peekable();
    for place in 0..p * t * n {
        let (path, timestep, sample) = (place / n / t, place / n % t, place % n);
        let (a, sigma) = (axes.a[timestep], axes.sigma[timestep]);
        let sums = &mut sums[(timestep * n + sample) * p + path];
        let mut other = 0.0;
        for segment in 0..axes.segments {
            let at = place * axes.segments + segment;
            let (s, m) = (own.next(d, axes, at)?, m.next(d, axes, at)?);
            let step = step.next(d, axes, at)?;
            let dots = Dots::of(s, m, step);
            if !dots.is_finite() {
                return Err(own.array.error(format!("has scores too large to square at {}", axes.place(at * d))));
            }
            sums.add(&dots, 1.0, a * a + sigma * sigma);
            sums.evaluations += 1.0;
            if let Some(gauss) = gauss.as_mut().filter(|_| sample < checked) {
                for _ in 0..2 {
                    let s = gauss.next(d, axes, at)?;
                    other += 0.5 * s.iter().zip(step).map(|(s, d)| s * d).sum::<f64>();
                    sums.evaluations += 1.0;
                }
            }
            if picks.next_if_eq(&&[path, timestep, sample, segment]).is_some()
                && let Some(repeated) = &mut repeated
            {
                let s = repeated.next(d, axes, at)?;
                cast &= s.iter().all(|v| f64::from(*v as f32) == *v);
                let twin: f64 = s.iter().zip(step).map(|(s, d)| s * d).sum();
                worst = worst.max((dots.sd - twin).abs() / dots.size().max(f64::MIN_POSITIVE));
            }
            if observe(at as u64 + 1).is_break() {
                return Err(Error::Interrupted);
            }
        }
        if gauss.is_some() && sample < checked {
            sums.quadrature = GAUSS_TOO * (sums.integral - other).abs();
        }
    }
    let facts = json!({
        "paths": axes.paths, "timesteps": axes.timesteps, "sigma": axes.sigma, "points": axes.segments,
        "checked": layout.run.checked,
    });
    Ok(Integrated { part: sums_part(layout.shard, layout.run.samples, [t, n, p], &sums, facts, worst), cast })
}
