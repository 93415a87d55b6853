//! The closed loops of a case: terms of the midpoint sum on the GPU's network, and the path's lengths and norms.
//! Points are float32 in the file; midpoints, steps and sums are f64 here, midpoints rounded to f32 for the network only.
use super::case::{Case, Told};
use super::{GEOMETRY, INTEGRAL, Row, TERM, Worst, to_f32};
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::shape::Shape;

/// One loop, read and cut into segments.
pub(super) struct Loop {
    name: &'static str,
    /// The timestep, the same at all points, and in the case's words.
    pub k: usize,
    at: String,
    score_scale: f64,
    /// `[segments][D]`
    mids: Vec<f64>,
    steps: Vec<f64>,
    dim: usize,
    terms: Vec<f64>,
    integral: f64,
    integral_over_norm: f64,
    norm_sum: f64,
    length: f64,
}

/// The loops that the case has, of the three that cases may have.
pub(super) fn read(case: &Case, told: &Told, shape: Shape) -> Result<Vec<Loop>> {
    let names = ["loop_rotation", "loop_bridge", "loop_projection"];
    names
        .into_iter()
        .filter(|name| case.has(&format!("{name}.path")))
        .map(|name| one(case, told, name, shape))
        .collect()
}

fn one(case: &Case, told: &Told, name: &'static str, shape: Shape) -> Result<Loop> {
    let of = |part: &str| format!("{name}.{part}");
    let dim = shape.len();
    let (points, path) = case.rows(&of("path"), &[shape.c, shape.h, shape.w])?;
    let (first, last) = (&path[..dim], &path[(points - 1) * dim..]);
    if points < 3 || first != last {
        return Err(case.error(&of("path"), format!("{points} points that do not form a closed loop")));
    }
    let k = told.timesteps(case, &of(""), 1)?[0];
    let pairs = || path.iter().zip(&path[dim..]);
    Ok(Loop {
        name,
        k,
        at: told.name(k),
        score_scale: case.scalar(&of("score_scale"))?,
        mids: pairs().map(|(a, b)| (a + b) / 2.0).collect(),
        steps: pairs().map(|(a, b)| b - a).collect(),
        dim,
        terms: case.exactly(&of("terms"), points - 1, &[])?.to_vec(),
        integral: case.scalar(&of("integral"))?,
        integral_over_norm: case.scalar(&of("integral_over_norm"))?,
        norm_sum: case.scalar(&of("norm_sum"))?,
        length: case.scalar(&of("length"))?,
    })
}

impl Loop {
    pub fn check(&self, evaluator: &mut Evaluator) -> Result<Vec<Row>> {
        let net = evaluator.evaluate(&to_f32(&self.mids), &vec![self.k; self.terms.len()])?;
        let dot = |(y, d): (&[f32], &[f64])| y.iter().zip(d).map(|(&y, d)| f64::from(y) * d).sum::<f64>();
        let got: Vec<f64> =
            net.chunks(self.dim).zip(self.steps.chunks(self.dim)).map(|c| self.score_scale * dot(c)).collect();

        let mut worst = Worst::default();
        let largest = self.terms.iter().fold(0f64, |m, t| m.max(t.abs()));
        got.iter().zip(&self.terms).enumerate().for_each(|(i, (a, b))| worst.see(i, (a - b).abs() / largest));
        let whole = format!("{}, {} segments", self.at, self.terms.len());
        let row = |what: &str, error: f64, tolerance: f64, worst: String| Row {
            quantity: format!("{}, {what}", self.name),
            error: if error.is_nan() { f64::INFINITY } else { error },
            tolerance: Some(tolerance),
            worst,
        };

        let norms = |rows: &[f64]| -> Vec<f64> {
            rows.chunks(self.dim).map(|r| r.iter().map(|v| v * v).sum::<f64>().sqrt()).collect()
        };
        let (mids, steps) = (norms(&self.mids), norms(&self.steps));
        let length: f64 = steps.iter().sum();
        let norm_sum: f64 = mids.iter().zip(&steps).map(|(m, d)| m * d).sum();
        // The file's own terms over our norms: this row is about the geometry, the rows above are about the network.
        let over_norm = || self.terms.iter().zip(&mids).map(|(t, m)| t / m);
        let over_norm_size: f64 = over_norm().map(f64::abs).sum();

        let s: f64 = self.terms.iter().map(|t| t.abs()).sum();
        let integral = (got.iter().sum::<f64>() - self.integral).abs() / s;
        let relative = |found: f64, want: f64, scale: f64| (found - want).abs() / scale;
        Ok(vec![
            row("integral, of S", integral, INTEGRAL, whole.clone()),
            row("terms, of the largest", worst.error, TERM, format!("segment {}, {}", worst.at, self.at)),
            row("length", relative(length, self.length, self.length), GEOMETRY, whole.clone()),
            row("norm_sum", relative(norm_sum, self.norm_sum, self.norm_sum), GEOMETRY, whole.clone()),
            row(
                "integral_over_norm",
                relative(over_norm().sum(), self.integral_over_norm, over_norm_size),
                GEOMETRY,
                whole,
            ),
        ])
    }
}
