//! The plots of a run of maps: box plots of nasym, and the maps themselves. In: the run's table, a line about the run. Out: SVG files
//! by name.
use super::{MAPS, SHOWN};
use crate::error::Result;
use crate::run::{Plots, Table};
use crate::summary::maps::{Column, Tile, bar, columns};
use crate::summary::{number, timesteps};
use maud::{Markup, html};

/// Sides of a picture, and what lies around it.
const SIDE: usize = 224;
const GAP: [usize; 2] = [24, 58];
const TOP: usize = 64;

/// Every plot, as (name in the run directory, SVG).
pub fn all(table: &Table, about: &str) -> Result<Plots> {
    let (title, label) = ("Asymmetry of the whole Jacobian", "|A|² / |J|²  (scale-free)");
    Ok(vec![
        ("plots/nasym.svg", timesteps::boxes(table, &SHOWN[0], title, label, about)?),
        ("plots/map.svg", maps(&columns(table, &MAPS)?, about)?),
    ])
}

fn maps(columns: &[Column], about: &str) -> Result<String> {
    let bar = bar()?;
    let (width, height) = (columns.len() * (SIDE + GAP[0]) + GAP[0], TOP + 3 * (SIDE + GAP[1]) + 8);
    let place = |column: usize, row: usize| (GAP[0] + column * (SIDE + GAP[0]), TOP + row * (SIDE + GAP[1]));
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#282828" {
            rect width=(width) height=(height) fill="white" {}
            text x=(GAP[0]) y="24" font-size="18" { "Where the field turns: " (MAPS.title) }
            text x=(GAP[0]) y="42" fill="#787878" { (about) }
            @for (i, column) in columns.iter().enumerate() { @for (j, own) in column.tiles.iter().enumerate() {
                (tile(own, place(i, j), &bar))
            } }
        }
    };
    Ok(drawn.into_string() + "\n")
}

fn tile(tile: &Tile, (x, y): (usize, usize), bar: &str) -> Markup {
    let [h, w] = tile.size;
    let scale = SIDE as f64 / h.max(w) as f64;
    let below = y + 16 + SIDE;
    html! {
        text x=(x) y=(y + 10) { (tile.title) }
        image x=(x) y=(y + 16) width=(w as f64 * scale) height=(h as f64 * scale) href=(tile.uri) style="image-rendering:pixelated" preserveAspectRatio="none" {
            title { (tile.about) }
        }
        @if tile.end > 0.0 {
            text x=(x) y=(below + 14) { "0" }
            image x=(x + 14) y=(below + 4) width="96" height="12" href=(bar) preserveAspectRatio="none" {}
            text x=(x + 116) y=(below + 14) { (number(tile.end)) " " (tile.unit) @if !tile.checked { ", not checked" } }
        } @else {
            text x=(x) y=(below + 14) { "zero within the error" }
        }
    }
}
