//! What a run of Jacobians shows: histograms of |J_ab - J_ba| per timestep, and maps of a block's antisymmetric part.
//! In: runs of `curl` or `jacobian`. Out: inline SVG, and PNG as data URIs whose zero is transparent, for light and dark.
use super::plot::{Frame, line, px};
use crate::error::{Error, Result};
use crate::run::{CLEAR, Verdict};
use crate::run::{Numbers, TIMESTEP, Table};
use crate::summary::axis::Axis;
use crate::summary::pairs::pairs;
use crate::summary::raster;
use crate::summary::{evenly, number};
use maud::{Markup, html};

/// Bins of a histogram.
const BINS: usize = 40;
/// Most decades of a histogram: what is smaller is in its first bin.
const DECADES: f64 = 8.0;
/// Most histograms, and most maps of a run.
const SHOWN: [usize; 2] = [12, 3];
/// Most rows of a map; of larger matrices the first ones.
const ROWS: usize = 256;
/// Colours of the largest negative and positive entry (Okabe and Ito's blue and vermilion).
const ENDS: [[u8; 3]; 2] = [[0, 114, 178], [213, 94, 0]];

/// A run, its label and the number of its colour.
pub type Labelled<'a> = (&'a str, usize, &'a Table);

/// Histograms at up to twelve timesteps, all on the same axes; `error` is that of a difference, by run and timestep.
pub fn histograms(ks: &[usize], runs: &[Labelled], error: impl Fn(usize, usize) -> f64) -> Result<Markup> {
    let chosen: Vec<usize> = evenly(ks.len(), SHOWN[0]).into_iter().map(|i| ks[i]).collect();
    let mut found = vec![];
    for &k in &chosen {
        let of = |(_, _, table): &Labelled| place(table, k).map(|t| pairs(table, t)).transpose();
        found.push(runs.iter().map(of).collect::<Result<Vec<Option<Vec<f64>>>>>()?);
    }
    let positive = || found.iter().flatten().flatten().flatten().copied().filter(|v| v.is_finite() && *v > 0.0);
    let high = positive().fold(0.0, f64::max).max(f64::MIN_POSITIVE).log10();
    let low = positive().fold(f64::INFINITY, f64::min).log10().max(high - DECADES).min(high - 0.5) - 0.1;
    let high = high + 0.1;
    let width = (high - low) / BINS as f64;
    let bin = |v: f64| (((v.log10() - low) / width).floor().max(0.0) as usize).min(BINS - 1);
    let shares = |pairs: &Vec<f64>| -> Vec<f64> {
        let mut counts = vec![0.0; BINS];
        pairs.iter().filter(|v| **v > 0.0 && v.is_finite()).for_each(|&v| counts[bin(v)] += 1.0);
        counts.iter().map(|c| c / pairs.len().max(1) as f64).collect()
    };
    let bars: Vec<Vec<Option<Vec<f64>>>> =
        found.iter().map(|runs| runs.iter().map(|p| p.as_ref().map(shares)).collect()).collect();
    // What is below the axis is in the first bin and does not stretch the other axis.
    let most = bars.iter().flatten().flatten().flat_map(|b| &b[1..]).copied().fold(0.05, f64::max);
    let one = |i: usize, k: usize| {
        let title = format!("k = {k}");
        let told =
            runs.iter().zip(&found[i]).filter_map(|(r, p)| Some(format!("{}: {} pairs", r.0, p.as_ref()?.len())));
        let about = format!("Histogram of |J_ab - J_ba| at k = {k}. {}", told.collect::<Vec<_>>().join("; "));
        let frame = Frame {
            width: 272.0,
            height: 190.0,
            title: &title,
            x: "|J_ab − J_ba|  (nat/x²)",
            y: "share of pairs",
            about,
        };
        let decades = Axis::decades([10f64.powf(low), 10f64.powf(high)].into_iter());
        let x = frame.across(Axis { low, high, ..decades }, true);
        let y = frame.up(Axis { low: 0.0, ..Axis::linear([0.0, most].into_iter()) }, false);
        let edge = |b: usize| x.at(10f64.powf(low + width * b as f64));
        let inside = html! {
            @for (r, (name, colour, _)) in runs.iter().enumerate() {
                @if let (Some(bars), Some(pairs)) = (&bars[i][r], &found[i][r]) {
                    @let steps: Vec<(f64, f64)> = bars.iter().enumerate().flat_map(|(b, share)| [(edge(b), y.at(*share)), (edge(b + 1), y.at(*share))]).collect();
                    @let floor = px(y.at(0.0));
                    @let bound = CLEAR * error(r, k);
                    @let zeros = pairs.iter().filter(|v| **v == 0.0).count();
                    g class={ "s" (colour % 6) } {
                        title { (name) ", k = " (k) ": " (pairs.len()) " pairs, " (zeros) " of them 0" }
                        @if bound > 0.0 && bound.log10() > low {
                            path.band d={ "M" (px(edge(0))) " " (px(y.at(most))) "H" (px(x.at(bound))) "V" (floor) "H" (px(edge(0))) "Z" } {}
                            path.bound d=(line(&[(x.at(bound), y.at(most)), (x.at(bound), y.at(0.0))])) {}
                        }
                        path.bars d={ "M" (px(edge(0))) " " (floor) (line(&steps).replacen('M', "L", 1)) "V" (floor) "Z" } {}
                    }
                }
            }
        };
        frame.draw(&x, &y, None, inside)
    };
    Ok(html! { @for (i, k) in chosen.iter().enumerate() { (one(i, *k)) } })
}

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
    for t in evenly(timesteps.min(ks.len()), SHOWN[1]) {
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

/// Number of a timestep in a run.
fn place(table: &Table, k: usize) -> Option<usize> {
    ks(table).iter().position(|own| *own == k)
}
