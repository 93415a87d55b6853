//! Values and derivatives of many points by the plans of a field, some tiles at a time. In: points, directions. Out: values, J v, J'u,
//! entries of J; between tiles somebody may look for signals and stop it.
use crate::plans::Plans;
use vorticity::error::{Error, Result};
use vorticity::evaluate::Products;
use vorticity::field::Field as Learned;

/// Tangents at a time where a Jacobian is wanted.
const COLUMNS: usize = 32;
/// Tiles between two looks for signals.
const TILES: usize = 8;

/// Points, with a timestep and a sample each.
pub struct Points<'a> {
    x: &'a [f32],
    pub ks: Vec<usize>,
    pub samples: Vec<usize>,
}

impl<'a> Points<'a> {
    /// Timesteps and samples of each point; where there is one condition, samples need not be said.
    pub fn of(field: &dyn Learned, x: &'a [f32], ks: &[i64], samples: Option<&[i64]>) -> Result<Self> {
        let whole = |what: &str, all: &[i64]| {
            let one = |n: &i64| {
                usize::try_from(*n).map_err(|_| Error::invalid(what, format!("{n}, expected a number from 0")))
            };
            all.iter().map(one).collect::<Result<Vec<_>>>()
        };
        let ks = whole("k", ks)?;
        let samples = match samples {
            Some(samples) => whole("sample", samples)?,
            None if field.conditions() == 1 => vec![0; ks.len()],
            None => {
                let message =
                    format!("has {} conditions: sample= says which sample each point belongs to", field.conditions());
                return Err(Error::invalid("field", message));
            }
        };
        Ok(Self { x, ks, samples })
    }
}

/// Values and products of all points, some tiles at a time; `look` says between them whether it goes on. Directions `[N, T, D]`
/// beyond those that fit beside each other are taken in turn.
pub fn products(
    plans: &mut Plans,
    points: &Points,
    [v, u]: [&[f32]; 2],
    [tangents, cotangents]: [usize; 2],
    look: &mut dyn FnMut() -> Result<()>,
) -> Result<Products> {
    let (n, d) = (points.ks.len(), points.x.len() / points.ks.len().max(1));
    let evaluator = plans.get([tangents, cotangents], &points.ks, n)?;
    let [fit_t, fit_k] = [evaluator.tangents(), evaluator.cotangents()];
    let mut found = Products::default();
    let step = evaluator.max_samples().max(1) * TILES;
    for first in (0..n).step_by(step) {
        let last = (first + step).min(n);
        let (ks, samples) = (&points.ks[first..last], &points.samples[first..last]);
        let x = &points.x[first * d..last * d];
        if (fit_t, fit_k) == (tangents, cotangents) {
            let (v, u) =
                (&v[first * tangents * d..last * tangents * d], &u[first * cotangents * d..last * cotangents * d]);
            let part = evaluator.products_of(x, v, u, ks, samples)?;
            found.y.extend(part.y);
            found.jv.extend(part.jv);
            found.jtu.extend(part.jtu);
        } else {
            let rounds = tangents.div_ceil(fit_t.max(1)).max(cotangents.div_ceil(fit_k.max(1)));
            let (mut jv, mut jtu) =
                (vec![0f32; (last - first) * tangents * d], vec![0f32; (last - first) * cotangents * d]);
            for round in 0..rounds {
                let own_v = taken(v, first..last, [tangents, fit_t, round * fit_t], d);
                let own_u = taken(u, first..last, [cotangents, fit_k, round * fit_k], d);
                let part = evaluator.products_of(x, &own_v, &own_u, ks, samples)?;
                given_back(&mut jv, &part.jv, [tangents, fit_t, round * fit_t], d);
                given_back(&mut jtu, &part.jtu, [cotangents, fit_k, round * fit_k], d);
                if round == 0 {
                    found.y.extend(part.y);
                }
                look()?;
            }
            found.jv.extend(jv);
            found.jtu.extend(jtu);
        }
        look()?;
    }
    Ok(found)
}

/// `fit` of the `all` directions of each of these points from number `from` on, zeros where there are no more.
fn taken(values: &[f32], points: std::ops::Range<usize>, [all, fit, from]: [usize; 3], d: usize) -> Vec<f32> {
    let mut own = vec![0f32; points.len() * fit * d];
    let count = all.saturating_sub(from).min(fit);
    for (own, point) in own.chunks_exact_mut((fit * d).max(1)).zip(points) {
        let at = (point * all + from) * d;
        own[..count * d].copy_from_slice(&values[at..at + count * d]);
    }
    own
}

/// Puts what came of `taken` where it belongs.
fn given_back(all_values: &mut [f32], own: &[f32], [all, fit, from]: [usize; 3], d: usize) {
    let count = all.saturating_sub(from).min(fit);
    for (point, own) in own.chunks_exact((fit * d).max(1)).enumerate() {
        let at = (point * all + from) * d;
        all_values[at..at + count * d].copy_from_slice(&own[..count * d]);
    }
}

/// Entries of J of these rows and columns, `[N, M, M]`, by tangents.
pub fn columns(
    plans: &mut Plans,
    points: &Points,
    components: &[usize],
    look: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<f32>> {
    let (n, m) = (points.ks.len(), components.len());
    let d = points.x.len() / n.max(1);
    if let Some(wrong) = components.iter().find(|c| **c >= d) {
        return Err(Error::invalid("components", format!("{wrong}, expected numbers below D = {d}")));
    }
    let mut found = vec![0f32; n * m * m];
    let at_once = COLUMNS.min(m);
    for first in (0..m).step_by(at_once.max(1)) {
        let own = &components[first..(first + at_once).min(m)];
        let mut v = vec![0f32; n * at_once * d];
        for i in 0..n {
            own.iter().enumerate().for_each(|(t, &c)| v[(i * at_once + t) * d + c] = 1.0);
        }
        let made = products(plans, points, [&v, &[]], [at_once, 0], look)?.jv;
        for i in 0..n {
            for t in 0..own.len() {
                for (row, &c) in components.iter().enumerate() {
                    found[(i * m + row) * m + first + t] = made[(i * at_once + t) * d + c];
                }
            }
        }
    }
    Ok(found)
}
