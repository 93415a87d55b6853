//! The plots of a run directory: every figure of its measure, its mean, its pictures. In: the run's table, a line about the run. Out: SVG
//! files by name.
use super::runs::{self, Column, Run};
use super::sheet::{self, Paper};
use super::{Figure, Theme, pictures, svg};
use crate::error::Result;
use crate::run::{Pictures, Table};
use crate::summary::Results;

/// Seven inches, the width of a page's text.
const PAPER: Paper = Paper { width: 504.0, height: None, title: true };

/// Every plot, as (name in the run directory, SVG).
///
/// # Errors
/// A table without the columns or arrays that are drawn.
pub fn all(table: &Table, about: &str) -> Result<Vec<(String, String)>> {
    let (info, results) = (table.measure.info(), Results::even_empty(table)?);
    let own = [Run { name: info.title, colour: 0, table, results: &results }];
    let (paths, ks) = (runs::paths(&own), runs::timesteps(&own));
    let mut found = vec![];
    let write = |figure: Figure| -> Result<String> {
        svg::write(&sheet::draw(&Figure { about: about.into(), ..figure }, &PAPER)?, Theme::Paper)
    };
    for figure in info.figures {
        let drawn = runs::over_timesteps(&own, &Column::of(figure), &paths, &ks);
        found.push((format!("plots/{}.svg", figure.column), write(drawn)?));
    }
    for (mean, of) in results.means.iter().zip(info.mean) {
        let shown = info.figures.iter().any(|f| f.column == of.column);
        if !shown && !ks.is_empty() {
            found.push((
                format!("plots/{}.svg", of.column),
                write(Figure { title: info.title.into(), ..runs::mean(&own, mean, &ks) })?,
            ));
        }
    }
    if let Some(own_pictures) = info.pictures {
        let name = match own_pictures {
            Pictures::Maps(_) => "plots/map.svg",
            Pictures::Pairs(_) => "plots/planes.svg",
        };
        found.push((name.into(), svg::write(&pictures::draw(&own[0], about, &PAPER)?, Theme::Paper)?));
    }
    Ok(found)
}
