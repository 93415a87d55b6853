//! The plots of a run of planes: box plots of omega and share, and the planes of the first sample themselves. In: the run's table, a line
//! about the run. Out: SVG files by name.
use super::{PAIRS, SHOWN};
use crate::error::Result;
use crate::run::{Plots, Table, Verdict};
use crate::summary::planes::{Pair, Row, rows};
use crate::summary::timesteps;
use maud::{Markup, html};

/// Sides of a picture, and what lies around a pair of them.
const SIDE: usize = 150;
const BETWEEN: usize = 6;
const GAP: [usize; 2] = [30, 78];
const TOP: usize = 64;

/// Every plot, as (name in the run directory, SVG).
pub fn all(table: &Table, about: &str) -> Result<Plots> {
    let title = "Planes in which the field turns";
    Ok(vec![
        ("plots/omega.svg", timesteps::boxes(table, &SHOWN[0], title, "ω  (nat / x²)", about)?),
        ("plots/share.svg", timesteps::boxes(table, &SHOWN[2], title, "2ω² / |A|²", about)?),
        ("plots/planes.svg", pictures(&rows(table, &PAIRS)?, about)),
    ])
}

/// A row of pairs per timestep, of the first sample.
fn pictures(rows: &[Row], about: &str) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.first).collect();
    let columns = rows.iter().map(|row| row.pairs.len()).max().unwrap_or(0);
    let pair_width = 2 * SIDE + BETWEEN;
    let tall = rows.first().and_then(|row| row.pairs.first()).map_or(SIDE, |pair| height(pair.size));
    let (width, height) = (columns * (pair_width + GAP[0]) + GAP[0], TOP + rows.len() * (tall + GAP[1]) + 8);
    let place = |column: usize, row: usize| (GAP[0] + column * (pair_width + GAP[0]), TOP + row * (tall + GAP[1]));
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#282828" {
            rect width=(width) height=(height) fill="white" {}
            text x=(GAP[0]) y="24" font-size="18" { "The planes in which the field turns fastest: u and w of each" }
            text x=(GAP[0]) y="42" fill="#787878" { (about) }
            @for (i, row) in rows.iter().enumerate() { @for (j, own) in row.pairs.iter().enumerate() {
                (pair(own, &row.title, place(j, i), tall))
            } }
        }
    };
    drawn.into_string() + "\n"
}

/// Of a picture that is as wide as there is room.
fn height([h, w]: [usize; 2]) -> usize {
    (h * SIDE / w.max(1)).clamp(1, SIDE)
}

fn pair(pair: &Pair, title: &str, (x, y): (usize, usize), tall: usize) -> Markup {
    let [h, w] = pair.size;
    let scale = (SIDE as f64 / w as f64).min(SIDE as f64 / h as f64);
    let verdict = if pair.verdict == Verdict::Resolved { "" } else { pair.verdict.word() };
    html! {
        text x=(x) y=(y + 10) font-weight="bold" { (title) ", " (pair.title) @if !verdict.is_empty() { ", " (verdict) } }
        @for (i, uri) in pair.pictures.iter().enumerate() {
            @let x = x + i * (SIDE + BETWEEN);
            rect x=(x) y=(y + 16) width=(w as f64 * scale) height=(h as f64 * scale) fill="none" stroke="#d7d7d7" {}
            image opacity=(if pair.verdict == Verdict::NotResolved { "0.3" } else { "1" }) x=(x) y=(y + 16) width=(w as f64 * scale) height=(h as f64 * scale) href=(uri) style="image-rendering:pixelated" preserveAspectRatio="none" {
                title { (pair.about) }
            }
        }
        @for (i, line) in pair.said.iter().enumerate() { text x=(x) y=(y + 16 + tall + 15 + 15 * i) { (line) } }
    }
}
