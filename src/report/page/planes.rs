//! Planes on the page: u and w of each side by side, and what is known of it below. In: a run whose measure has planes. Out: markup with
//! PNG as data URIs.
use super::matrices::Labelled;
use super::words::formula;
use crate::error::Result;
use crate::run::{Pairs, Verdict};
use crate::summary::planes::{Pair, rows};
use crate::summary::raster;
use maud::{Markup, html};

/// Largest side of a picture on the page, pixels.
const SIDE: usize = 112;

/// The planes of a run.
pub fn draw((name, colour, table): Labelled, pairs: &Pairs) -> Result<Markup> {
    let rows = rows(table, pairs)?;
    let quiet: Vec<&str> = rows.iter().filter(|row| row.quiet()).map(|row| row.title.as_str()).collect();
    Ok(html! {
        figure {
            figcaption {
                span class={ "key s" (colour % 6) } {} b { (name) ": the fastest planes" } ", u and w of each side by side: the field carries u \
                towards −w and w towards u. Blue is negative, vermilion positive, nothing is zero (three channels: as colours about a grey \
                zero); both pictures of a plane have one scale, and one component in 200 is beyond its end."
            }
            @for row in rows.iter().filter(|row| !row.quiet()) {
                p.head.row { (row.title) }
                div.maps.close { @for own in &row.pairs { (pair(own)?) } }
            }
            @if !quiet.is_empty() { p.note { "Zero within the error, all planes: " (quiet.join("; ")) "." } }
        }
    })
}

fn pair(pair: &Pair) -> Result<Markup> {
    let [u, w_of] = &pair.pictures;
    let pictures = [(raster::uri(u, pair.size)?, "u"), (raster::uri(w_of, pair.size)?, "w")];
    let [h, w] = pair.size.map(|side| (side * SIDE / pair.size[0].max(pair.size[1]).max(1)).max(1));
    Ok(html! {
        div class=(if pair.verdict == Verdict::NotResolved { "map pair faint" } else { "map pair" }) {
            div.two { @for (i, (uri, which)) in pictures.iter().enumerate() {
                img src=(uri) width=(w) height=(h) alt=(if i == 0 { pair.about.as_str() } else { *which }) title=(which);
            } }
            p.small { b { (pair.title) } @if pair.verdict != Verdict::Resolved { ", " (pair.verdict.word()) } }
            @for line in &pair.said { p.small { (formula(line)) } }
        }
    })
}
