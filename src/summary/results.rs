//! Any run in one form: its statistics at every path and timestep, each with the errors that belong to it.
//! In: a run's table. Out: `Results`, from which the page and `compare` take their numbers. What a statistic is uncertain
//! by its measure says, and the verdict on it `run::verdict`.
use super::stats::{BoxStats, quantile};
use crate::error::{Error, Result};
use crate::run::{About, Axis, Errors, Labels, Measure, SAMPLE, SEVERAL, TIMESTEP, Table, Verdict};

/// The statistics of a run.
#[derive(Clone, Debug)]
pub struct Results {
    /// Of which they are.
    pub measure: &'static dyn Measure,
    /// Names of the paths, or of what else is measured several times (`SEVERAL`); one empty name where the measure has none.
    pub paths: Vec<String>,
    /// Timesteps k and sigma of each; none where the measure has none.
    pub timesteps: Vec<(usize, f64)>,
    /// Images.
    pub samples: usize,
    /// Every column of the run that is neither an error of another nor says whether that is resolved.
    pub statistics: Vec<Statistic>,
    /// Means with standard errors, for measures that have such.
    pub means: Vec<Mean>,
}

/// A column and its errors.
#[derive(Clone, Debug)]
pub struct Statistic {
    /// What it says.
    pub about: About,
    /// `[path, timestep, sample]`
    pub values: Vec<f64>,
    /// The errors that apply, by the name of their column, in this statistic's unit, same axes, none negative; NaN where not
    /// measured.
    pub errors: Errors,
    samples: usize,
}

/// A statistic over the samples at one place.
#[derive(Clone, Debug)]
pub struct Cell {
    /// None if no sample has a finite value.
    pub stats: Option<BoxStats>,
    /// Medians of the errors, in the order of `Statistic::errors`; NaN if unknown.
    pub errors: Vec<f64>,
}

/// A mean over the samples by timestep.
#[derive(Clone, Debug)]
pub struct Mean {
    /// What it is.
    pub name: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// (value, standard error over the samples) by timestep; one where there are no timesteps.
    pub points: Vec<(f64, f64)>,
    /// The errors that apply besides, those of sampling excepted, which are in the standard error: by place, means of their sizes.
    pub errors: Errors,
}

impl Mean {
    /// The verdict at a place.
    pub fn verdict(&self, place: usize) -> Verdict {
        let (value, error) = self.points[place];
        Verdict::of(value, [error].into_iter().chain(self.errors.iter().map(|e| e.1[place])))
    }
}

impl Results {
    /// Of a run's table.
    ///
    /// # Errors
    /// A table without the columns that its errors are made of, or without samples.
    pub fn of(table: &Table) -> Result<Self> {
        if table.shape().contains(&0) {
            let found = format!("has the shape {:?}: it holds no results", table.shape());
            return Err(Error::invalid(table.measure, found));
        }
        Self::even_empty(table)
    }

    /// `of`, also of a table that holds no results.
    pub(crate) fn even_empty(table: &Table) -> Result<Self> {
        let axis = |own: Axis| table.axes.iter().find(|a| a.name == own.name).map(|a| &a.labels);
        let several = SEVERAL.iter().find_map(|&own| Some((own.name, axis(own)?)));
        let paths = match several {
            Some((_, Labels::Text(names))) => names.clone(),
            Some((name, labels)) => (0..labels.len()).map(|i| format!("{name} {}", labels.text(i))).collect(),
            None => vec![String::new()],
        };
        let timesteps = match (axis(TIMESTEP), table.levels()) {
            (Some(Labels::Numbers(ks)), Ok(sigma)) => ks.iter().copied().zip(sigma.iter().copied()).collect(),
            _ => vec![],
        };
        let samples = axis(SAMPLE).map_or(0, Labels::len);
        let errors = table.measure.errors(table)?;
        let owned = |name: &str| errors.iter().flat_map(|e| &e.1).any(|(e, _)| *e == name);
        let statistics = table.columns.iter().filter(|c| !owned(c.about.name) && c.about.name != "error");
        let statistics = statistics.map(|c| Statistic {
            about: c.about,
            values: c.values.clone(),
            errors: errors.iter().find(|e| e.0 == c.about.name).map_or(vec![], |e| e.1.clone()),
            samples,
        });
        let statistics = statistics.collect();
        let means = means(table, &errors)?;
        Ok(Results { measure: table.measure, paths, timesteps, samples, statistics, means })
    }

    /// Places of a statistic along a path: timesteps, or the one that there is without them.
    pub fn places(&self) -> usize {
        self.timesteps.len().max(1)
    }

    /// The statistic of that column.
    pub fn statistic(&self, column: &str) -> Result<&Statistic> {
        let names = || self.statistics.iter().map(|s| s.about.name).collect::<Vec<_>>().join(", ");
        let found = self.statistics.iter().find(|s| s.about.name == column);
        found.ok_or_else(|| {
            let near = nearest(column, self.statistics.iter().map(|s| s.about.name));
            let near = near.map_or(String::new(), |near| format!(" ('{near}' is near)"));
            Error::invalid(self.measure, format!("has no statistic '{column}'{near}, it has {}", names()))
        })
    }

    /// The statistic at a path and a timestep, by their numbers.
    pub fn cell(&self, statistic: &Statistic, path: usize, place: usize) -> Cell {
        statistic.cell(path * self.places() + place)
    }
}

/// The name that is most like this one, if a third of its letters or fewer are otherwise.
fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = |name: &&str| edits(given, name);
    names.min_by_key(far).filter(|name| edits(given, name) <= name.chars().count().div_ceil(3))
}

/// Letters that must be put in, taken out or replaced to make one of the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let (mut before, mut left) = (row[0], i + 1);
        row[0] = left;
        for (j, b) in to.iter().enumerate() {
            left = (before + usize::from(a != *b)).min(left + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], left);
        }
    }
    row[to.len()]
}

impl Statistic {
    /// Its samples at one path and timestep, counted in C order.
    pub fn at(&self, place: usize) -> &[f64] {
        &self.values[place * self.samples..][..self.samples]
    }

    /// Over the samples. An error that is not known of every finite value is not known.
    pub fn cell(&self, place: usize) -> Cell {
        let own = |all: &[f64]| all[place * self.samples..][..self.samples].to_vec();
        Cell::of(self.at(place), self.errors.iter().map(|(_, sizes)| own(sizes)))
    }
}

impl Cell {
    /// Of samples and, kind by kind, the errors that apply to each of them.
    pub fn of(values: &[f64], errors: impl Iterator<Item = Vec<f64>>) -> Self {
        let median = |sizes: Vec<f64>| {
            let known: Vec<f64> = values.iter().zip(&sizes).filter(|(v, _)| v.is_finite()).map(|(_, e)| *e).collect();
            // An infinite error is known, and larger than all.
            let mut known = if known.iter().any(|e| e.is_nan()) { vec![] } else { known };
            known.sort_by(f64::total_cmp);
            let middle = quantile(&known, 0.5);
            if middle.is_nan() && !known.is_empty() { f64::INFINITY } else { middle }
        };
        Cell { stats: BoxStats::of(values), errors: errors.map(median).collect() }
    }

    /// The largest error that is known; NaN if none is.
    pub fn error(&self) -> f64 {
        self.errors.iter().copied().fold(f64::NAN, f64::max)
    }

    /// What may be said of a statistic of these samples; none if no errors apply to it.
    pub fn verdict(&self, statistic: f64) -> Option<Verdict> {
        (!self.errors.is_empty()).then(|| Verdict::of(statistic, self.errors.iter().copied()))
    }

    /// What may be said of the median; none if no errors apply, or no sample has a finite value.
    pub fn of_median(&self) -> Option<Verdict> {
        self.stats.as_ref().and_then(|s| self.verdict(s.median))
    }

    /// Whether the median is there and nothing speaks against it.
    pub fn clear(&self) -> bool {
        self.stats.is_some() && self.of_median().is_none_or(|v| v == Verdict::Resolved)
    }
}

/// Means over the samples, for measures that have such, with the errors of the columns that they are of.
fn means(table: &Table, errors: &[(&'static str, Errors)]) -> Result<Vec<Mean>> {
    let Some(own) = table.measure.info().mean else { return Ok(vec![]) };
    let (name, formula, unit, column) = (own.name, own.formula, own.unit, own.column);
    let places = table.axes.iter().find(|a| a.name == TIMESTEP.name).map_or(1, |a| a.labels.len());
    let points = (0..places).map(|t| (own.of)(table, t)).collect::<Result<Vec<_>>>()?;
    let values = &table.column(column)?.values;
    let samples = values.len() / places.max(1);
    // NaN where it is not known of every finite value.
    let mean = |sizes: &[f64], t: usize| {
        let at = t * samples..(t + 1) * samples;
        let own = values[at.clone()].iter().zip(&sizes[at]).filter(|(v, _)| v.is_finite()).map(|(_, e)| *e);
        let own: Vec<f64> = own.collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    let all = errors.iter().find(|e| e.0 == column).map_or(&[][..], |e| &e.1);
    let besides = all.iter().filter(|e| !e.0.ends_with("_se"));
    let errors = besides.map(|(name, sizes)| (*name, (0..places).map(|t| mean(sizes, t)).collect())).collect();
    Ok(vec![Mean { name, formula, unit, points, errors }])
}
