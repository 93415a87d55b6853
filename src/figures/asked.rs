//! What a figure for paper is asked to show, and how it is written. In: runs of one measure, a column, paths, timesteps, a kind. Out: a
//! drawing in points, and what it shows.
use super::runs::{self, Column, Run};
use super::sheet::{self, Paper};
use super::{Drawing, Figure, pictures};
use crate::error::{Error, Result};

/// Most runs of a figure: so many colours and signs are told apart.
pub const MOST: usize = 6;

/// How runs are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Box plots of sizes.
    Boxes,
    /// Medians with their signs.
    Medians,
    /// Means over the samples.
    Means,
    /// Every sample, of measures without timesteps.
    Samples,
    /// Histograms of pairs.
    Histograms,
    /// Maps or planes.
    Pictures,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boxes => "boxes",
            Kind::Medians => "medians",
            Kind::Means => "means",
            Kind::Samples => "samples",
            Kind::Histograms => "histograms",
            Kind::Pictures => "pictures",
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// A column; else the measure's headline.
    pub column: Option<String>,
    /// Paths, planes or ends by name, or by the beginning of their name up to a `?`; else all.
    pub paths: Vec<String>,
    /// Timesteps; else all.
    pub timesteps: Option<Vec<usize>>,
    /// How; else as the measure says.
    pub kind: Option<Kind>,
    /// All timesteps in one box.
    pub pooled: bool,
}

/// What is drawn.
pub struct Shown {
    /// As marks.
    pub drawing: Drawing,
    /// What it is called.
    pub title: String,
    /// The column; none of histograms and pictures.
    pub column: Option<String>,
    /// How.
    pub kind: Kind,
}

/// Draws what is asked.
///
/// # Errors
/// No runs, too many, or runs of several measures; a column, a path, a timestep or a kind that they do not have; a size in which it
/// cannot be drawn.
pub fn draw(runs: &[Run], asked: &Asked, paper: &Paper) -> Result<Shown> {
    let Some(first) = runs.first() else { return Err(Error::invalid("plot", "no runs, expected at least one")) };
    let measure = first.results.measure;
    if let Some(other) = runs.iter().find(|r| r.results.measure != measure) {
        let found = format!("runs of {measure} and of {}, expected runs of one measure", other.results.measure);
        return Err(Error::invalid("plot", found));
    }
    if runs.len() > MOST {
        return Err(Error::invalid("plot", format!("{} runs, at most {MOST} can be told apart", runs.len())));
    }
    let info = measure.info();
    let (paths, ks) = (paths(runs, asked)?, timesteps(runs, asked)?);
    let statistic = first.results.statistic(asked.column.as_deref().unwrap_or(info.headline))?;
    for run in runs {
        run.results.statistic(statistic.about.name)?;
    }
    let mut column = Column::named(measure, statistic);
    let kind = asked.kind.unwrap_or(match asked.column {
        _ if asked.pooled => Kind::Boxes,
        _ if ks.is_empty() => Kind::Samples,
        None if info.claim.of_mean => Kind::Means,
        _ if column.signed => Kind::Medians,
        _ => Kind::Boxes,
    });
    if asked.pooled && kind != Kind::Boxes {
        return Err(Error::invalid("pooled", format!("is of boxes, not of {}", kind.name())));
    }
    if asked.column.is_some() && [Kind::Means, Kind::Histograms, Kind::Pictures].contains(&kind) {
        return Err(Error::invalid("column", format!("{} are not of a column", kind.name())));
    }
    if ks.is_empty() && !asked.pooled && kind != Kind::Samples {
        let found = format!("{} are over timesteps, of which there are none: samples, or pooled", kind.name());
        return Err(Error::invalid("kind", found));
    }
    if kind == Kind::Pictures && (asked.timesteps.is_some() || !asked.paths.is_empty()) {
        return Err(Error::invalid(
            "kind",
            "pictures are of the first sample at up to four timesteps, which are not chosen",
        ));
    }
    column.signed = kind == Kind::Medians;
    let figure = match kind {
        Kind::Boxes if asked.pooled => runs::pooled(runs, &column, &paths, &ks),
        Kind::Boxes | Kind::Medians => runs::over_timesteps(runs, &column, &paths, &ks),
        Kind::Means => match first.results.means.first() {
            Some(mean) => Figure { title: info.title.into(), ..runs::mean(runs, mean, &ks) },
            None => return Err(Error::invalid("kind", format!("{measure} has no mean, its kind is boxes or medians"))),
        },
        Kind::Samples if ks.is_empty() => runs::strips(runs, &column),
        Kind::Samples => {
            return Err(Error::invalid("kind", format!("{measure} has timesteps, its kind is boxes or medians")));
        }
        Kind::Histograms => runs::histograms(runs, &ks)?,
        Kind::Pictures => return one(runs, paper),
    };
    let own = ![Kind::Means, Kind::Histograms].contains(&kind);
    let Figure { title, .. } = &figure;
    let (title, column) = (title.clone(), own.then(|| column.name.to_string()));
    Ok(Shown { drawing: sheet::draw(&figure, paper)?, title, column, kind })
}

/// Pictures, which are of one run.
fn one(runs: &[Run], paper: &Paper) -> Result<Shown> {
    let [run] = runs else {
        return Err(Error::invalid("kind", format!("pictures are of one run, not of {}", runs.len())));
    };
    let drawing = pictures::draw(run, "", paper)?;
    let title = run.results.measure.info().pictures.as_ref().map(pictures::title).unwrap_or_default();
    Ok(Shown { drawing, title, column: None, kind: Kind::Pictures })
}

/// The paths that are asked for, in their order.
fn paths<'a>(runs: &[Run<'a>], asked: &Asked) -> Result<Vec<&'a str>> {
    let all = runs::paths(runs);
    if asked.paths.is_empty() {
        return Ok(all);
    }
    let mut found = vec![];
    for own in &asked.paths {
        let begins = |path: &&&str| **path == own || path.split_once('?').is_some_and(|(name, _)| name == own);
        let fit: Vec<&str> = all.iter().filter(begins).copied().collect();
        if fit.is_empty() {
            let said = match all.iter().any(|p| !p.is_empty()) {
                true => format!("'{own}' is not in the runs, they have {}", all.join(", ")),
                false => format!("'{own}': the runs have one thing at each timestep"),
            };
            return Err(Error::invalid("path", said));
        }
        found.extend(fit);
    }
    Ok(found)
}

/// The timesteps that are asked for, ascending.
fn timesteps(runs: &[Run], asked: &Asked) -> Result<Vec<usize>> {
    let all = runs::timesteps(runs);
    let Some(own) = &asked.timesteps else { return Ok(all) };
    if let Some(k) = own.iter().find(|k| !all.contains(k)) {
        let has = all.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        return Err(Error::invalid("timesteps", format!("{k} is in none of the runs, they have {has}")));
    }
    Ok(all.into_iter().filter(|k| own.contains(k)).collect())
}
