//! Any run in one form: its statistics at every path and timestep, each with the errors that belong to it.
//! In: a run's table. Out: `Results`, from which the page and `compare` take their numbers. What a statistic is uncertain
//! by is decided here, as in the tables of single runs: circulation's errors by the formula of each column.
use super::{BoxStats, asymmetry, stein};
use crate::error::{Error, Result};
use crate::run::schema::{self, CLEAR, ERRORS};
use crate::run::{About, Circulation, Labels, Numbers, Table};

/// The statistics of a run.
#[derive(Clone, Debug)]
pub struct Results {
    /// circulation, curl, ..
    pub measure: &'static str,
    /// Names of the paths; one empty name where the measure has none.
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
    /// Errors by the name of their column, in this statistic's unit, same axes, none negative.
    pub errors: Vec<(&'static str, Vec<f64>)>,
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
}

/// Which columns are errors of which, by measure: those of `circulation` are in `schema`, all others are here.
#[rustfmt::skip]
const ERRORS_OF: &[(&str, &[&str], &[&str])] = &[
    ("curl",       &["asymmetry", "asymmetry_mean", "asymmetry_max", "entry_rms"], &["step", "arithmetic"]),
    ("asymmetry",  &["nasym"],         &["nasym_se", "arithmetic"]),
    ("asymmetry",  &["fro2"],          &["fro2_se"]),
    ("asymmetry",  &["trace"],         &["trace_se"]),
    ("asymmetry",  &["trace2"],        &["trace2_se"]),
    ("stein",      &["stein"],         &["stein_se", "arithmetic"]),
    ("jacobian",   &["asymmetry_max"], &["arithmetic"]),
    ("likelihood", &["bits_per_dim"],  &["probe_se", "grid"]),
];

/// Columns of the raw output, the column of the score that each is a multiple of.
const RAW: [(&str, &str); 3] =
    [("raw_asymmetry", "asymmetry"), ("raw_asymmetry_mean", "asymmetry_mean"), ("raw_asymmetry_max", "asymmetry_max")];

impl Results {
    /// Of a run's table.
    ///
    /// # Errors
    /// A circulation without its measured columns, or a table without samples.
    pub fn of(table: &Table) -> Result<Self> {
        let axis = |name: &str| table.axes.iter().find(|a| a.name == name).map(|a| &a.labels);
        let paths = match axis("path") {
            Some(Labels::Text(paths)) => paths.clone(),
            _ => vec![String::new()],
        };
        let timesteps = match (axis("timestep"), table.array("noise").map(|a| &a.values)) {
            (Some(Labels::Numbers(ks)), Ok(Numbers::F64(noise))) => ks.iter().copied().zip(noise.clone()).collect(),
            _ => vec![],
        };
        let samples = axis("sample").map_or(0, Labels::len);
        let places = table.shape().iter().product::<usize>();
        if places == 0 {
            return Err(Error::invalid(
                table.measure,
                format!("has the shape {:?}: it holds no results", table.shape()),
            ));
        }
        let column = |name: &str| table.columns.iter().find(|c| c.about.name == name).map(|c| &c.values);
        let mut errors: Vec<(&str, Vec<(&'static str, Vec<f64>)>)> = vec![];
        if table.measure == "circulation" {
            errors = of_circulation(table)?;
        }
        for &(_, owners, names) in ERRORS_OF.iter().filter(|e| e.0 == table.measure) {
            let sizes =
                |name: &&'static str| Some((*name, column(name)?.iter().map(|v| v.abs()).collect::<Vec<f64>>()));
            let found: Vec<_> = names.iter().filter(|n| **n != "step" || stepped(table)).filter_map(sizes).collect();
            errors.extend(owners.iter().map(|owner| (*owner, found.clone())));
        }
        for (raw, score) in RAW {
            let (Some(part), Some(whole)) = (column(raw), column(score)) else { continue };
            let Some((_, found)) = errors.iter().find(|e| e.0 == score) else { continue };
            let scaled = |e: &[f64]| e.iter().zip(part).zip(whole).map(|((e, p), w)| e * (p / w).abs()).collect();
            let found = found.iter().map(|(name, e)| (*name, scaled(e))).collect();
            errors.push((raw, found));
        }
        let owned = |name: &str| errors.iter().flat_map(|e| &e.1).any(|(error, _)| *error == name);
        let statistics = table.columns.iter().filter(|c| !owned(c.about.name) && !SAID.contains(&c.about.name));
        let statistics = statistics.map(|c| Statistic {
            about: c.about,
            values: c.values.clone(),
            errors: errors.iter().find(|e| e.0 == c.about.name).map_or(vec![], |e| e.1.clone()),
            samples,
        });
        let statistics = statistics.collect();
        Ok(Results { measure: table.measure, paths, timesteps, samples, statistics, means: means(table)? })
    }

    /// Places of a statistic along a path: timesteps, or the one that there is without them.
    pub fn places(&self) -> usize {
        self.timesteps.len().max(1)
    }

    /// The statistic of that column.
    pub fn statistic(&self, column: &str) -> Result<&Statistic> {
        let names = || self.statistics.iter().map(|s| s.about.name).collect::<Vec<_>>().join(", ");
        let found = self.statistics.iter().find(|s| s.about.name == column);
        found.ok_or_else(|| Error::invalid(self.measure, format!("has no statistic '{column}', it has {}", names())))
    }

    /// The statistic at a path and a timestep, by their numbers.
    pub fn cell(&self, statistic: &Statistic, path: usize, place: usize) -> Cell {
        statistic.cell(path * self.places() + place)
    }
}

/// Columns that say of others how large their error is, or whether they stand clear of it.
const SAID: [&str; 2] = ["error", "resolved"];

impl Statistic {
    /// Its samples at one path and timestep, counted in C order.
    pub fn at(&self, place: usize) -> &[f64] {
        &self.values[place * self.samples..][..self.samples]
    }

    /// Over the samples.
    pub fn cell(&self, place: usize) -> Cell {
        let median =
            |sizes: &[f64]| BoxStats::of(&sizes[place * self.samples..][..self.samples]).map_or(f64::NAN, |e| e.median);
        Cell { stats: BoxStats::of(self.at(place)), errors: self.errors.iter().map(|(_, e)| median(e)).collect() }
    }
}

impl Cell {
    /// The largest error that is known; NaN if none is.
    pub fn error(&self) -> f64 {
        self.errors.iter().copied().fold(f64::NAN, f64::max)
    }

    /// Whether a statistic is at least three times its error. An error that was not measured resolves nothing; None if
    /// the statistic has no errors at all.
    pub fn resolves(&self, statistic: f64) -> Option<bool> {
        (!self.errors.is_empty()).then(|| statistic.abs() >= CLEAR * self.error())
    }

    /// Whether the median is known and not drowned in its error.
    pub fn clear(&self) -> bool {
        self.stats.as_ref().is_some_and(|s| self.resolves(s.median) != Some(false))
    }
}

/// Errors of the columns that follow from Gamma: their formula with the error in its place.
fn of_circulation(table: &Table) -> Result<Vec<(&'static str, Vec<(&'static str, Vec<f64>)>)>> {
    let data = Circulation::of(table)?;
    let loops = data.loops()?;
    let follows = |c: &&schema::ColumnSpec| {
        let of = |integral: f64| (c.value)(&schema::Loop::from([1.0; schema::MEASURED.len()]).with_integral(integral));
        !SAID.contains(&c.name) && of(2.0) != of(1.0)
    };
    let sizes = |c: &schema::ColumnSpec, kind: usize| {
        let size = |l: schema::Loop| (c.value)(&l.with_integral(l.errors()[kind])).abs();
        (0..loops.len()).map(|i| size(loops.get(i))).collect()
    };
    let errors = |c: &schema::ColumnSpec| (0..ERRORS.len()).map(|kind| (ERRORS[kind], sizes(c, kind))).collect();
    Ok(schema::COLUMNS.iter().filter(follows).map(|c| (c.name, errors(c))).collect())
}

/// Whether a curl run's J is of differences, whose step then is an error: `error` is the largest of those that count.
fn stepped(table: &Table) -> bool {
    let (Ok(step), Ok(error)) = (table.column("step"), table.column("error")) else { return false };
    let known = step.values.iter().any(|s| s.is_finite());
    known && !step.values.iter().zip(&error.values).any(|(s, e)| s > e)
}

fn means(table: &Table) -> Result<Vec<Mean>> {
    let points = |of: fn(&Table, usize) -> Result<(f64, f64)>| {
        (0..table.shape()[0]).map(|t| of(table, t)).collect::<Result<Vec<_>>>()
    };
    let mean = |name, formula, unit, points| vec![Mean { name, formula, unit, points }];
    Ok(match table.measure {
        "asymmetry" => mean("nasym of all samples", "E|J - J'|^2 / (4 E|J|^2)", "1", points(asymmetry::pooled)?),
        "stein" => mean("mean S", "E[div e + s.e]", "nat/x^2", points(stein::mean)?),
        "likelihood" => {
            let bits = &table.column("bits_per_dim")?.values;
            let bits: Vec<f64> = bits.iter().copied().filter(|b| b.is_finite()).collect();
            let n = bits.len() as f64;
            let mean_bits = bits.iter().sum::<f64>() / n;
            let spread = bits.iter().map(|b| (b - mean_bits) * (b - mean_bits)).sum::<f64>();
            mean(
                "mean bits per dimension",
                "E[bits_per_dim]",
                "bit",
                vec![(mean_bits, (spread / (n - 1.0) / n).sqrt())],
            )
        }
        _ => vec![],
    })
}
