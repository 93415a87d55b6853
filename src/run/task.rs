//! A measurement on its way: what is measured, what it will cost, and what came of it. In: a subject and a measure's options.
//! Out: `Ready`, plain facts and one call that measures; `Measured`.
use super::measure::Measure;
use super::part::Part;
use super::progress::Progress;
use super::shard::Shard;
use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::Gpu;
use crate::spec::Spec;
use crate::sweep::Log;
use serde_json::Value;
use std::sync::Arc;

/// What is measured: a field on clean images, on one device or several. A handle: cheap to clone, and it may be sent.
#[derive(Clone)]
pub struct Subject {
    gpus: Vec<Gpu>,
    /// The field.
    pub field: Arc<dyn Field>,
    /// Clean images, or what the field's autoencoder makes of them.
    pub images: Arc<Images>,
    /// What the images were opened from, if that has a name.
    pub data: Option<Spec>,
}

impl Subject {
    /// A field on images, on these devices.
    ///
    /// # Errors
    /// No device.
    pub fn new(gpus: Vec<Gpu>, field: Arc<dyn Field>, images: impl Into<Arc<Images>>) -> Result<Self> {
        if gpus.is_empty() {
            return Err(Error::NoAdapter("a run was given none".into()));
        }
        Ok(Self { gpus, field, images: images.into(), data: None })
    }

    /// The same whose images were opened from what has this name.
    pub fn of(self, data: Spec) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The devices, at least one.
    pub fn gpus(&self) -> &[Gpu] {
        &self.gpus
    }

    /// The first device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpus[0]
    }

    /// Components of a point.
    pub fn dim(&self) -> usize {
        self.field.shape().len()
    }
}

/// What was asked of a measure, read: its options, by their types.
pub trait Task: Send + Sync {
    /// Of which measure they are.
    fn measure(&self) -> &'static dyn Measure;

    /// Refuses what does not fit the subject, and makes everything ready to measure the samples of a shard.
    ///
    /// # Errors
    /// Options that do not fit the subject, a device that has no room, more shards than samples.
    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>>;
}

/// What a measurement takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Evaluations of the field by the shard, a tangent counted as one.
    pub evaluations: u64,
    /// True where they may be fewer.
    pub at_most: bool,
    /// Evaluations that must be timed before the whole is known: more than a tile where several devices take turns.
    pub least: u64,
    /// Checks by the f64 twin, after the evaluations.
    pub checks: usize,
    /// Bytes that it writes, where that is much: for each evaluation while it runs, and for its results.
    pub bytes: [u64; 2],
}

/// What measures: told how it goes on, it says what came of it.
pub type Run<'a> = Box<dyn FnOnce(&mut Progress) -> Result<Measured> + Send + 'a>;

/// A measurement, ready to run. What it says of itself beforehand are JSON objects.
pub struct Ready<'a> {
    /// Of which samples.
    pub shard: Shard,
    /// Samples of the whole run.
    pub samples: usize,
    /// What it takes.
    pub cost: Cost,
    /// Options, for the manifest.
    pub facts: Value,
    /// What else decides on its numbers, for the journal.
    pub decides: Value,
    /// Behind the model's name in titles of plots: samples, and whatever sizes matter.
    pub title: String,
    /// What follows from the options, in lines for people, before anything else is said.
    pub notes: String,
    /// The work that there is, in lines for people.
    pub text: String,
    /// The same for programs.
    pub work: Value,
    /// What may be wrong with what was asked.
    pub warnings: Vec<String>,
    /// What measures.
    pub run: Run<'a>,
}

impl<'a> Ready<'a> {
    /// A measurement that `run` does; what it says of itself is still empty.
    pub fn new(
        shard: Shard,
        samples: usize,
        cost: Cost,
        run: impl FnOnce(&mut Progress) -> Result<Measured> + Send + 'a,
    ) -> Self {
        let (facts, title) = (Value::Object(Default::default()), format!("{samples} samples"));
        Ready {
            shard,
            samples,
            cost,
            decides: facts.clone(),
            work: facts.clone(),
            facts,
            title,
            notes: String::new(),
            text: String::new(),
            warnings: vec![],
            run: Box::new(run),
        }
    }

    /// Measures, going on where the journal ends.
    ///
    /// # Errors
    /// What the device says; `Error::Interrupted` where the observer stopped it; a journal of another run.
    pub fn run(self, progress: &mut Progress) -> Result<Measured> {
        (self.run)(progress)
    }
}

/// What was measured.
pub struct Measured {
    /// The numbers.
    pub part: Part,
    /// Evaluations that it took, recorded ones among them.
    pub evaluations: u64,
    /// Lanes per tile of each device, and which of them ran what, where devices share the work.
    pub devices: Option<(Vec<usize>, Log)>,
}
