//! Circulation results as the sweep hands them over: one number per loop and column, in C order.
//! In: columns `[path, timestep, sample]`. Out: the same, checked, one loop at a time for the derived columns.
use super::schema::{AXES, COLUMNS, ColumnSpec, Loop, MEASURED, SCHEMA};
use super::table::{About, Array, Labels, Numbers, Table, TableAxis, TableColumn};
use crate::error::{Error, Result};
use serde_json::json;

/// Circulation results: every column is `[path, timestep, sample]` in C order, f64.
#[derive(Clone, Debug)]
pub struct Circulation {
    /// Names of the paths.
    pub paths: Vec<String>,
    /// The network's 0-based indices k.
    pub timesteps: Vec<usize>,
    /// sigma per timestep.
    pub noise: Vec<f64>,
    /// Images, from the first of the data file.
    pub samples: usize,
    /// Segments N of each loop.
    pub points: usize,
    /// The measured columns, one each of `schema::MEASURED`.
    pub columns: Vec<Column>,
}

/// One measured column; the names are those of the measured rows of `schema::COLUMNS`.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name in `schema::MEASURED`.
    pub name: &'static str,
    /// `[path, timestep, sample]` in C order; unit as in `schema::COLUMNS`.
    pub values: Vec<f64>,
}

/// The measured columns of a `Circulation` that has been checked.
pub struct Loops<'a> {
    data: &'a Circulation,
    columns: [&'a [f64]; MEASURED.len()],
}

impl Circulation {
    /// Checks names and lengths, and gives access loop by loop.
    pub fn loops(&self) -> Result<Loops<'_>> {
        let expected = [self.paths.len(), self.timesteps.len(), self.samples];
        if self.noise.len() != self.timesteps.len() {
            let found = format!("{} noise levels for {} timesteps", self.noise.len(), self.timesteps.len());
            return Err(Error::invalid("circulation", found));
        }
        for (i, path) in self.paths.iter().enumerate() {
            if path.is_empty() || path.chars().any(char::is_control) || self.paths[..i].contains(path) {
                let found = format!("path name {path:?} is empty, repeated or not printable");
                return Err(Error::invalid("circulation", found));
            }
        }
        for (i, column) in self.columns.iter().enumerate() {
            if !MEASURED.contains(&column.name) || self.columns[..i].iter().any(|c| c.name == column.name) {
                let found = format!("column '{}' twice or unknown, expected {}", column.name, MEASURED.join(", "));
                return Err(Error::invalid("circulation", found));
            }
            if column.values.len() != expected.iter().product::<usize>() {
                let found = format!("{} values, expected {expected:?} (path, timestep, sample)", column.values.len());
                return Err(Error::invalid(format!("circulation column '{}'", column.name), found));
            }
        }
        let mut columns: [&[f64]; MEASURED.len()] = [&[]; MEASURED.len()];
        for (slot, name) in columns.iter_mut().zip(MEASURED) {
            let Some(column) = self.columns.iter().find(|c| c.name == *name) else {
                return Err(Error::invalid("circulation", format!("column '{name}' is missing")));
            };
            *slot = &column.values;
        }
        Ok(Loops { data: self, columns })
    }
}

impl Circulation {
    /// From a run's table: the measured columns of `schema::MEASURED`, to be checked by `loops`.
    ///
    /// # Errors
    /// A table of other axes, or without one of these columns.
    pub fn of(table: &Table) -> Result<Self> {
        let (Ok([paths, timesteps, samples]), Array { values: Numbers::F64(noise), .. }) =
            (<&[TableAxis; 3]>::try_from(&table.axes[..]), table.array("noise")?)
        else {
            return Err(Error::invalid(table.measure, "has no axes path, timestep and sample, or no noise levels"));
        };
        let (Labels::Text(paths), Labels::Numbers(timesteps)) = (&paths.labels, &timesteps.labels) else {
            return Err(Error::invalid(table.measure, "paths are not named or timesteps not numbered"));
        };
        let column = |&name: &&'static str| Ok(Column { name, values: table.column(name)?.values.clone() });
        Ok(Self {
            paths: paths.clone(),
            timesteps: timesteps.clone(),
            noise: noise.clone(),
            samples: samples.labels.len(),
            points: table.facts["points"].as_u64().unwrap_or(0) as usize,
            columns: MEASURED.iter().map(column).collect::<Result<_>>()?,
        })
    }
}

impl<'a> Loops<'a> {
    /// What was checked.
    pub fn data(&self) -> &'a Circulation {
        self.data
    }

    /// Number of loops.
    pub fn len(&self) -> usize {
        self.data.paths.len() * self.data.timesteps.len() * self.data.samples
    }

    /// True if there are no loops.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The measured values of one loop, by its position in C order.
    pub fn get(&self, i: usize) -> Loop {
        Loop::from(self.columns.map(|c| c[i]))
    }

    /// The samples of one path and timestep, by position.
    pub fn at(&self, path: usize, timestep: usize) -> impl Iterator<Item = Loop> + '_ {
        let start = (path * self.data.timesteps.len() + timestep) * self.data.samples;
        (start..start + self.data.samples).map(|i| self.get(i))
    }

    /// Everything that is written: measured and derived columns in the order of the schema.
    pub fn table(&self) -> Table {
        let data = self.data;
        let axis = |i: usize, plural, labels| TableAxis { name: AXES[i], plural, labels };
        let column = |spec: &ColumnSpec| TableColumn {
            about: About { name: spec.name, formula: spec.formula, unit: spec.unit, meaning: spec.meaning },
            values: (0..self.len()).map(|i| (spec.value)(&self.get(i))).collect(),
        };
        Table {
            measure: "circulation",
            schema: SCHEMA,
            axes: vec![
                axis(0, "paths", Labels::Text(data.paths.clone())),
                axis(1, "timesteps", Labels::Numbers(data.timesteps.clone())),
                axis(2, "samples", Labels::Count(data.samples)),
            ],
            columns: COLUMNS.iter().map(column).collect(),
            arrays: vec![Array {
                name: "noise",
                shape: vec![data.noise.len()],
                values: Numbers::F64(data.noise.clone()),
            }],
            facts: json!({ "noise": data.noise, "points": data.points }),
        }
    }
}
