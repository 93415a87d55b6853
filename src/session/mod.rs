//! The library as programs hold it: a model or field on data and devices, and every measure that can be run on it, with
//! journal, shards, progress and interruption. Handles are owned and may be sent to other threads. In: names or values of
//! one's own. Out: tables, run directories. It knows neither the command line nor any particular measure.
mod clock;
mod finished;
pub mod fleet;
mod integrate;
mod marked;
mod prepared;
mod source;

pub use clock::{Load, MovingRate, Prediction, State, Timed, predicted, timed};
pub use finished::{Finished, Found, Record, merge};
pub use integrate::{Elsewhere, Integration, integrate};
pub use marked::Marked;
pub use prepared::{About, Prepared};
pub use source::{Opening, Source, as_given, encoded};

use crate::data::Images;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::gpu::Gpu;
use crate::run::{Measure, RunDir, Settings, Shard, Subject, Table, Task};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The program that manifests name.
pub(crate) fn program() -> String {
    format!("vorticity {}", env!("CARGO_PKG_VERSION"))
}

/// A field on data, on one device or several, ready for measures. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    subject: Subject,
    /// In titles of plots.
    name: String,
    /// What manifests say of the data.
    data: Value,
}

/// How a task is run; all samples and no directory by default.
#[derive(Debug, Default)]
pub struct How {
    /// Which of the samples.
    pub shard: Shard,
    /// Where the run is written; none: it is returned, and an interruption loses it.
    pub out: Option<RunDir>,
    /// For the log: the arguments of the process, or whatever asked for this.
    pub command: Vec<String>,
}

impl Session {
    /// A field and images of one's own, on these devices. With an autoencoder the images are what it encodes (`encoded`).
    ///
    /// # Errors
    /// No device.
    pub fn new(gpus: Vec<Gpu>, field: Arc<dyn Field>, images: impl Into<Arc<Images>>) -> Result<Self> {
        let name = field.describe()["name"].as_str().unwrap_or("field").to_string();
        let subject = Subject::new(gpus, field, images)?;
        let data = json!({ "sha256": subject.images.sha256, "shape": subject.images.shape.to_string() });
        Ok(Self { subject, name, data })
    }

    /// What is measured.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What manifests say of the data, a JSON object.
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// What a measure is asked, in its own words: its defaults, with these changed; of default timesteps those that the process has.
    /// Of a field without a twin nothing is computed again in f64.
    ///
    /// # Errors
    /// A name that the measure does not have, a value that does not fit it or the subject.
    pub fn task(&self, asked: &Settings) -> Result<Box<dyn Task>> {
        let asked = asked.clone().fitting(self.subject.field.process().timesteps());
        match self.subject.field.has_twin() {
            true => asked.measure().task(&asked, &self.subject),
            false => asked.measure().task(&asked.unchecked()?, &self.subject),
        }
    }

    /// Makes a task ready: refuses what does not fit, allocates, compiles, opens the journal. Nothing is measured yet.
    ///
    /// # Errors
    /// What does not fit the field, the data or the device; the journal of another run.
    pub fn prepare<'a>(&'a self, task: &'a dyn Task, how: How) -> Result<Prepared<'a>> {
        let devices = self.subject.gpus().len();
        if devices > 1 && !task.measure().shares_devices() {
            return Err(Error::invalid(
                "devices",
                format!("{devices} of them, expected one: {} runs on one", task.measure()),
            ));
        }
        Prepared::new(self, task, how)
    }

    /// Runs a task to its end, going on where its journal ends. `observe` sees how far it is and may stop it.
    ///
    /// # Errors
    /// As `prepare`; what the device says; `Error::Interrupted`.
    pub fn run(
        &self,
        task: &dyn Task,
        how: How,
        observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
    ) -> Result<Finished> {
        self.prepare(task, how)?.run(observe)
    }

    /// The table of a task, of all samples; nothing is written.
    ///
    /// # Errors
    /// As `run`.
    pub fn table(&self, task: &dyn Task) -> Result<Table> {
        match self.run(task, How::default(), &mut |_| ControlFlow::Continue(()))?.found {
            Found::Table(table) => Ok(table),
            Found::Shard(part) => part.finish(),
        }
    }

    /// What a manifest says of a measurement before its own facts.
    fn facts(&self, measure: &'static dyn Measure) -> Value {
        let Subject { field, .. } = &self.subject;
        let mut facts = json!({
            "program": program(), "measure": measure.name(), "field": field.describe(), "data": self.data,
        });
        extend(&mut facts, Value::Object(fleet::facts(self.subject.gpus())));
        facts
    }
}

/// Adds the keys of another object.
fn extend(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}
