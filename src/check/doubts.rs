//! What speaks against what a network is taken to be, before anything is measured: data that are none of its range, and an estimate of the
//! noise that is wrong in a simple way. In: a session. Out: sentences without their full stops.
use crate::diagnostics::Selection;
use crate::error::Result;
use crate::field;
use crate::session::Session;

/// Numbers of all images at a level that the second is judged by, at least, and images at most.
const NUMBERS: usize = 1 << 10;
const IMAGES: usize = 64;

/// Share of an estimate's error that a straight line takes away, above which it is doubted. A trained network leaves a few percent; where
/// prediction or schedule are not the network's it is nearly all.
const SIMPLE: f64 = 0.5;

/// How many images the second doubt wants, of points of `dim` numbers.
pub(super) fn images(dim: usize) -> usize {
    NUMBERS.div_ceil(dim).clamp(2, IMAGES)
}

/// Whether what the network says of the noise could be mended by scaling it or by adding x, at most of these timesteps: the error of the best
/// estimate is orthogonal to whatever is made of x. Fields that are no scores, or no network's, are not asked.
///
/// # Errors
/// What the device says.
pub(super) fn of(session: &Session, ks: &[usize], samples: usize) -> Result<Option<String>> {
    let subject = session.subject();
    let (field, about) = (&subject.field, subject.field.describe());
    let closed =
        about["kind"] == "closed form" || about["score_scale"].as_str().is_some_and(|s| s.contains("notebook"));
    if closed || samples == 0 || ks.iter().any(|&k| field.coefficients(k).is_err()) {
        return Ok(None);
    }
    let selection = Selection { timesteps: ks.to_vec(), samples: samples.min(subject.images.count), seed: 0 };
    let mut evaluator = field::evaluator(subject.gpu(), field, ks, selection.samples)?;
    let mut found = vec![];
    for &k in ks {
        let (_, sigma) = field.process().noise(k)?;
        let own: Vec<usize> = (0..selection.samples).collect();
        let points = own.iter().map(|&i| selection.noisy(subject, i, k)).collect::<Result<Vec<_>>>()?;
        let x: Vec<f32> = points.iter().flat_map(|p| p.x.iter().copied()).collect();
        let eps: Vec<f64> = points.iter().flat_map(|p| p.eps.iter().copied()).collect();
        let s = evaluator.evaluate_of(&x, &vec![k; own.len()], &own)?;
        let estimate: Vec<f64> = s.iter().map(|&s| -sigma * f64::from(s)).collect();
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        found.push((k, simple(&eps, &estimate, &x)));
    }
    let simple: Vec<_> = found.iter().filter(|(_, share)| *share > SIMPLE).collect();
    if 2 * simple.len() <= found.len() {
        return Ok(None);
    }
    let (k, most) = simple.iter().fold((0, 0.0), |most, found| if found.1 > most.1 { **found } else { most });
    Ok(Some(format!(
        "the network's estimate of the noise is wrong in a simple way at {} of {} noise levels: at k = {k} {:.0} % of its error goes away if \
         it is scaled and a multiple of x added. Either prediction, process or label are not what it was trained with, or it is hardly trained",
        simple.len(),
        found.len(),
        100.0 * most,
    )))
}

fn sum(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Share of the error of `estimate` of `eps` that the best sum of multiples of `estimate` and `x` takes away; of none nothing.
fn simple(eps: &[f64], estimate: &[f64], x: &[f64]) -> f64 {
    let error: Vec<f64> = eps.iter().zip(estimate).map(|(e, h)| e - h).collect();
    let [hh, hx, xx] = [sum(estimate, estimate), sum(estimate, x), sum(x, x)];
    let [h, x] = [sum(estimate, &error), sum(x, &error)];
    let (whole, pivot) = (sum(&error, &error), hh * xx - hx * hx);
    let taken = match pivot > 1e-9 * hh * xx {
        true => (xx * h * h - 2.0 * hx * h * x + hh * x * x) / pivot,
        false => x * x / xx, // the one is a multiple of the other
    };
    if whole > 0.0 && taken.is_finite() { taken / whole } else { 0.0 }
}
