//! Maps on the page: three pictures per timestep with their colour bars. In: a run whose measure has maps. Out: markup with PNG as
//! data URIs.
use super::matrices::Labelled;
use super::words::formula;
use crate::error::Result;
use crate::run::{CLEAR, Maps, Verdict};
use crate::summary::maps::{Tile, bar, columns};
use crate::summary::{number, raster};
use maud::{Markup, html};

/// Largest side of a picture on the page, pixels.
const SIDE: usize = 256;

/// The maps of a run.
pub fn draw((name, colour, table): Labelled, maps: &Maps) -> Result<Markup> {
    let columns = columns(table, maps)?;
    let (pixels, size) = bar();
    let bar = raster::uri(&pixels, size)?;
    Ok(html! {
        figure {
            figcaption {
                span class={ "key s" (colour % 6) } {} b { (name) ": " (formula(maps.title)) } ", summed over channels, as heat over the grey clean picture: over \
                the mean of all samples, as a share of both halves there, and of the first sample alone. Pixels under " (CLEAR)
                " times their error are left grey; the colours end where one pixel in 200 is above, picture by picture."
            }
            @for column in &columns { div.maps { @for own in &column.tiles { (tile(own, column.timestep, &bar)?) } } }
        }
    })
}

fn tile(tile: &Tile, k: usize, bar: &str) -> Result<Markup> {
    let uri = raster::uri(&tile.rgba, tile.size)?;
    let [h, w] = tile.size.map(|side| side * SIDE / tile.size[0].max(tile.size[1]).max(1));
    Ok(html! {
        div.map {
            p.head { "k = " (k) ", " (tile.title) }
            img.grey src=(uri) width=(w) height=(h) alt=(tile.about);
            @if tile.end > 0.0 {
                p.scale { span { "0" } img.bar.grey src=(bar) width="96" height="12" alt="colour bar"; span { (number(tile.end)) " " (tile.unit) } }
            } @else {
                p.small { "zero within the error" }
            }
            @if !tile.checked { p.small { (Verdict::NotChecked.word()) } }
        }
    })
}
