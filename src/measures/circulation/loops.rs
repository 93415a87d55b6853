//! The loops of a circulation run, checked, as a table. In: what was measured of each, by path, timestep and sample. Out:
//! `run::Table`, measured and derived columns in the order of the schema.
use super::columns::{COLUMNS, Loop};
use crate::error::{Error, Result};
use crate::measures::rows::{columns, levels};
use crate::run::{Labels, PATH, SAMPLE, SCHEMA, TIMESTEP, Table, TableAxis};
use serde_json::json;

/// The measure; what it says of itself is in `mod.rs`.
pub struct Circulation;

/// What was measured of every loop.
#[derive(Clone, Debug)]
pub struct Loops {
    /// Names of the paths.
    pub paths: Vec<String>,
    /// The network's 0-based indices k.
    pub timesteps: Vec<usize>,
    /// sigma per timestep.
    pub sigma: Vec<f64>,
    /// Images, from the first of the data file.
    pub samples: usize,
    /// Segments N of each loop.
    pub points: usize,
    /// `[path, timestep, sample]` in C order.
    pub loops: Vec<Loop>,
}

impl Loops {
    /// The run's table.
    ///
    /// # Errors
    /// Numbers that do not fit the axes; names of paths that are empty, repeated or not printable.
    pub fn table(&self) -> Result<Table> {
        let expected = [self.paths.len(), self.timesteps.len(), self.samples];
        let fail = |found: String| Err(Error::invalid("circulation", found));
        if self.sigma.len() != self.timesteps.len() {
            return fail(format!("{} noise levels for {} timesteps", self.sigma.len(), self.timesteps.len()));
        }
        for (i, path) in self.paths.iter().enumerate() {
            if path.is_empty() || path.chars().any(char::is_control) || self.paths[..i].contains(path) {
                return fail(format!("path name {path:?} is empty, repeated or not printable"));
            }
        }
        if self.loops.len() != expected.iter().product::<usize>() {
            return fail(format!("{} loops, expected {expected:?} (path, timestep, sample)", self.loops.len()));
        }
        Ok(Table {
            measure: &Circulation,
            schema: SCHEMA,
            axes: vec![
                TableAxis::of(PATH, Labels::Text(self.paths.clone())),
                TableAxis::of(TIMESTEP, Labels::Numbers(self.timesteps.clone())),
                TableAxis::of(SAMPLE, Labels::Count(self.samples)),
            ],
            columns: columns(COLUMNS, &self.loops),
            arrays: vec![levels(self.sigma.clone())],
            facts: json!({ "sigma": self.sigma, "points": self.points }),
        })
    }
}
