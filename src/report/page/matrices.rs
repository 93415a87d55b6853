//! Maps of the antisymmetric part of a block of Jacobians. In: runs of `curl` or `jacobian`. Out: PNG as data URIs whose zero is
//! transparent, for light and dark.
use crate::error::{Error, Result};
use crate::run::{CLEAR, Verdict};
use crate::run::{Numbers, TIMESTEP, Table};
use crate::summary::raster;
use crate::summary::{evenly, number};
use maud::{Markup, html};

/// Most maps of a run.
const SHOWN: usize = 3;
/// Most rows of a map; of larger matrices the first ones.
const ROWS: usize = 256;
/// Colours of the largest negative and positive entry (Okabe and Ito's blue and vermilion).
const ENDS: [[u8; 3]; 2] = [[0, 114, 178], [213, 94, 0]];

/// A run, its label and the number of its colour.
pub type Labelled<'a> = (&'a str, usize, &'a Table);

/// A map and what is said of it.
struct Map {
    k: usize,
    /// Where the colours end; 0 if no entry is resolved.
    end: f64,
    /// Largest size of an entry, resolved or not.
    largest: f64,
    /// Of the entries of B.
    rms: f64,
    /// False where the error of an entry was not measured.
    checked: bool,
    uri: String,
}

/// Maps of (B - B') / 2 of a run's first sample at its first, middle and last timestep; `error` is that of a difference
/// B_ab - B_ba at a timestep k, NaN if unknown. Entries under three times their error are left blank.
pub fn maps((name, colour, table): Labelled, error: impl Fn(usize) -> f64) -> Result<Markup> {
    let array = table.array("jacobian")?;
    let (Numbers::F32(values), &[timesteps, samples, n, _]) = (&array.values, &array.shape[..]) else {
        return Err(Error::invalid(table.measure, "its matrices are not [timestep, sample, K, K] in f32"));
    };
    let ks = ks(table);
    let order = order(table, n);
    let mut pictures = vec![];
    for t in evenly(timesteps.min(ks.len()), SHOWN) {
        let block = &values[t * samples * n * n..][..n * n];
        let half = |a: usize, b: usize| f64::from(block[a * n + b] - block[b * n + a]) / 2.0;
        let bound = CLEAR * error(ks[t]) / 2.0;
        let sizes = || (0..n * n).map(|i| half(i / n, i % n).abs()).filter(|v| v.is_finite() && *v > 0.0);
        let mut resolved: Vec<f64> = sizes().filter(|v| bound.is_nan() || *v >= bound).collect();
        resolved.sort_by(f64::total_cmp);
        let end = resolved.get(resolved.len() * 99 / 100).copied().unwrap_or(0.0);
        let rms = (block.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / (n * n).max(1) as f64).sqrt();
        let mut pixels = vec![];
        for &a in &order {
            for &b in &order {
                let own = half(a, b);
                let share = if own.abs() < bound || end == 0.0 { 0.0 } else { (own / end).clamp(-1.0, 1.0) };
                let alpha = if share.is_finite() { (share.abs() * 255.0).round() as u8 } else { 0 };
                pixels.extend(ENDS[usize::from(share > 0.0)].into_iter().chain([alpha]));
            }
        }
        let uri = raster::uri(&pixels, [order.len(); 2])?;
        pictures.push(Map { k: ks[t], end, largest: sizes().fold(0.0, f64::max), rms, checked: !bound.is_nan(), uri });
    }
    Ok(html! {
        @for Map { k, end, largest, rms, checked, uri } in &pictures {
            div.map {
                p.head { span class={ "key s" (colour % 6) } {} (name) ", k = " (k) }
                @if *end > 0.0 {
                    img src=(uri) width="256" height="256" alt={
                        "Antisymmetric part of the sub-Jacobian of the first sample at k = " (k) ", " (order.len()) " components; largest entry "
                        (number(*largest)) ", root mean square of the sub-Jacobian " (number(*rms))
                    };
                    p.scale { span { "−" (number(*end)) } span.ramp {} span { "+" (number(*end)) " nat/x²" } }
                } @else {
                    p.blank { "zero within the error" }
                }
                p.small { "largest " (number(*largest)) "; rms of B " (number(*rms)) @if !checked { "; " (Verdict::NotChecked.word()) } }
            }
        }
    })
}

/// Rows of a map: components in C order, so that neighbours are neighbours; the first of many.
fn order(table: &Table, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    if let Ok(Numbers::I64(components)) = table.array("components").map(|a| &a.values) {
        order.sort_by_key(|&i| components.get(i));
    }
    order.truncate(ROWS);
    order
}

fn ks(table: &Table) -> Vec<usize> {
    match table.axes.iter().find(|a| a.name == TIMESTEP.name).map(|a| &a.labels) {
        Some(crate::run::Labels::Numbers(ks)) => ks.clone(),
        _ => vec![],
    }
}
