//! What was measured of some samples, or of all, before anything that depends on the samples of other shards. In: a
//! diagnostic's numbers. Out: a part, of which its measure makes a table once all samples are there.
use super::measure::Measure;
use super::shard::Shard;
use super::table::{Numbers, SIGMA, Table};
use crate::error::{Error, Result};
use bytemuck::Pod;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Numbers of some samples, or of all.
#[derive(Clone, Debug)]
pub struct Part {
    /// Of which it is.
    pub measure: &'static dyn Measure,
    /// Which of the samples.
    pub shard: Shard,
    /// Samples of the whole run.
    pub samples: usize,
    /// What is the same in all shards, by name.
    pub facts: Value,
    /// The numbers.
    pub arrays: Vec<PartArray>,
    /// The largest error that the f64 twin found, in units that the diagnostic knows; NaN if nothing was checked.
    pub worst: f64,
    /// Where the field first was not finite, in words, if this process saw it. Shards do not keep it.
    pub origin: Option<String>,
}

/// Numbers of a part.
#[derive(Clone, Debug)]
pub struct PartArray {
    /// Name in the NPZ.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Which axis is the samples; none: the array is the same in all shards.
    pub axis: Option<usize>,
    /// C order.
    pub values: Numbers,
}

impl Part {
    /// Refuses a part that does not have all samples.
    pub fn whole(&self) -> Result<()> {
        if self.shard.is_whole() {
            return Ok(());
        }
        Err(Error::invalid(self.measure, format!("shard {} alone, expected all of them: merge them", self.shard)))
    }

    /// The table of a part that has all samples.
    ///
    /// # Errors
    /// A part of some samples only, or one whose arrays and facts do not fit each other.
    pub fn finish(self) -> Result<Table> {
        self.measure.finish(self)
    }

    /// One of the facts.
    pub fn fact<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let wrong = |e| Error::invalid(format!("{}, fact '{name}'", self.measure), e);
        serde_json::from_value(self.facts[name].clone()).map_err(wrong)
    }

    /// The noise level of each timestep. Shards of earlier versions have it as `noise`.
    pub fn sigma(&self) -> Result<Vec<f64>> {
        let earlier = self.facts[SIGMA].is_null() && !self.facts["noise"].is_null();
        self.fact(if earlier { "noise" } else { SIGMA })
    }

    /// Takes an array out; none if there is no array of that name.
    pub fn take(&mut self, name: &str) -> Option<PartArray> {
        let at = self.arrays.iter().position(|a| a.name == name)?;
        Some(self.arrays.remove(at))
    }

    /// Takes the array of f64 of that name out, as rows of plain numbers.
    pub fn rows<T: Pod>(&mut self, name: &str) -> Result<Vec<T>> {
        match self.take(name) {
            Some(PartArray { values: Numbers::F64(values), .. }) if size_of_val(&values[..]) % size_of::<T>() == 0 => {
                Ok(bytemuck::pod_collect_to_vec(&values))
            }
            _ => Err(Error::invalid(self.measure, format!("array '{name}' of f64 is missing or of another size"))),
        }
    }
}
