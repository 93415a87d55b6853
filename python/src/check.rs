//! Checks: whether a field is a gradient, as the verb `check` answers it. In: a field, data, minutes. Out: the plan, the verdict, a `Run`
//! for every stage; with a directory everything that the verb writes there.
use crate::arrays::Data;
use crate::device::Device;
use crate::errors::{Told, guard};
use crate::field::Field;
use crate::fork;
use crate::measure::{Images, learned, of_data, warn};
use crate::process::spec;
use crate::result::Run;
use crate::settings::settings;
use crate::watch::Watch;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::check::{Directory, Opens, Plan, SAMPLES as CHOICES, Staged, Wanted, measure, verdict};
use vorticity::data;
use vorticity::error::Result;
use vorticity::field::{Field as Learned, held};
use vorticity::gpu::Gpu;
use vorticity::measures::circulation::Circulation;
use vorticity::run::{SAMPLES, SEED, TIMESTEPS};
use vorticity::session::{Source, State};
use vorticity::spec::Spec;

/// Clean images, by name or as a program holds them.
enum Clean {
    Named(Spec),
    Held(data::Images),
}

/// A field on data, and what there is to warn of.
struct Opener<'a> {
    field: &'a Field,
    own: Arc<dyn Learned>,
    clean: Clean,
    device: Option<&'a crate::device::Lazy>,
    warnings: RefCell<Vec<String>>,
}

impl Opens for Opener<'_> {
    fn held(&self) -> Result<Option<usize>> {
        match &self.clean {
            Clean::Named(spec) => held(spec.clone()),
            Clean::Held(images) => Ok(Some(images.count)),
        }
    }

    fn source(&self, samples: usize) -> Result<Source> {
        let (own, name) = (self.own.clone(), self.field.name.clone());
        match &self.clean {
            Clean::Named(spec) => Source::of(own, name, spec, samples),
            Clean::Held(images) => {
                let count = samples.min(images.count);
                let values = images.values[..count * images.shape.len()].to_vec();
                Source::in_memory(own, name, data::Images { count, values, ..images.clone() })
            }
        }
    }

    fn gpus(&self, field: &dyn Learned) -> Result<Vec<Gpu>> {
        self.field.gpus(field, self.device)
    }
}

/// Plan and verdict as JSON, and the stages by name.
type Checked = (String, String, Vec<(String, Run)>);

/// Checks. `given` has samples, timesteps and seed, as far as they are asked for, as `circulation` takes them. `plan` is a plan of another check to follow; `out` a directory as the verb has it.
#[pyfunction]
#[pyo3(signature = (field, data, given, minutes=None, brownian=false, plan=None, out=None, device=None, observer=None))]
#[expect(clippy::too_many_arguments, reason = "it is called by one function of the package, by name")]
pub fn check(
    py: Python,
    field: &Bound<'_, Field>,
    data: &Bound<'_, PyAny>,
    given: &Bound<'_, PyDict>,
    minutes: Option<f64>,
    brownian: bool,
    plan: Option<PathBuf>,
    out: Option<PathBuf>,
    device: Option<&Bound<'_, Device>>,
    observer: Option<Py<PyAny>>,
) -> PyResult<Checked> {
    guard(py, || {
        fork::check(py)?;
        let wanted = wanted(py, minutes, brownian, given)?;
        let images = match Data::of(data) {
            Some(array) => Images::Array(array),
            None => Images::Named(spec(data)?),
        };
        let field = field.get();
        let (own, clean) = match &images {
            Images::Named(spec) => (py.detach(|| of_data(field, spec)).told(py)?, Clean::Named(spec.clone())),
            Images::Array(array) => {
                let (shape, count) = array.shape()?;
                let own = py.detach(|| learned(field, Some(shape))).told(py)?;
                let most = most(&wanted, plan.as_deref(), out.as_deref()).told(py)?;
                let taken = array.images(count.min(most), own.data_range())?.told(py)?;
                (own, Clean::Held(taken))
            }
        };
        let device = device.map(|device| &device.get().options);
        let mut watch = Watch::new(observer);
        let made = py.detach(|| {
            let opener = Opener { field, own, clean, device, warnings: RefCell::default() };
            let found = checked(&opener, wanted, plan, out.as_deref(), &mut watch)?;
            Ok((found, opener.warnings.take()))
        });
        match made {
            Ok((found, warnings)) => {
                warnings.iter().try_for_each(|warning| warn(py, warning))?;
                Ok(found)
            }
            Err(error) => Err(watch.told(py, error, out.as_deref())),
        }
    })
}

/// What is said of the plan.
fn wanted(py: Python, minutes: Option<f64>, brownian: bool, given: &Bound<'_, PyDict>) -> PyResult<Wanted> {
    let asked = settings(py, &Circulation, given)?;
    let has = |name: &str| Ok::<_, PyErr>(given.get_item(name)?.is_some_and(|value| !value.is_none()));
    let [samples, seed, timesteps] = [SAMPLES.name, SEED.name, TIMESTEPS.name];
    Ok(Wanted {
        minutes,
        brownian,
        samples: has(samples)?.then(|| asked.count(samples)).transpose().told(py)?,
        seed: has(seed)?.then(|| asked.count(seed)).transpose().told(py)?.map(|seed| seed as u64),
        timesteps: has(timesteps)?.then(|| asked.timesteps(timesteps)).transpose().told(py)?,
    })
}

/// The most images that a check may take, of a plan that is there or a new one.
fn most(wanted: &Wanted, like: Option<&Path>, out: Option<&Path>) -> Result<usize> {
    let there = out.map(Directory::of).transpose()?.and_then(|directory| directory.plan());
    match there.as_deref().or(like) {
        Some(plan) => Ok(Plan::read(plan)?.samples),
        None => Ok(wanted.samples.unwrap_or(CHOICES[0])),
    }
}

fn checked(
    opener: &Opener,
    wanted: Wanted,
    plan: Option<PathBuf>,
    out: Option<&Path>,
    watch: &mut Watch,
) -> Result<Checked> {
    let directory = out.map(Directory::of).transpose()?;
    let there = directory.as_ref().and_then(Directory::plan);
    let mut observe = |state: &State| watch.see(Some(state));
    let (plan, session) = Plan::followed(there.as_deref(), plan.as_deref(), wanted, opener, &mut observe)?;
    if let Some(directory) = &directory {
        directory.begin(&plan)?;
    }
    let command = vec!["python".to_string(), "vorticity.check".to_string()];
    let (mut tables, mut runs) = (vec![], vec![]);
    for stage in &plan.stages {
        let staged = measure(&session, stage, out, command.clone(), |prepared| {
            prepared.run(&mut |state| watch.see(Some(state)))
        })?;
        if let Staged::Now(finished) = &staged {
            opener.warnings.borrow_mut().extend(finished.marked.lines().map(String::from));
        }
        let place = out.map(|out| out.join(&stage.name));
        let run = match &staged {
            Staged::Now(finished) => Run::finished(finished.as_ref().clone(), place),
            Staged::Before(_) => Run::read(&place.unwrap_or_default())?,
        };
        runs.push((stage.name.clone(), run));
        tables.push(staged.table()?);
    }
    let found = verdict(&tables, &plan.left_out, &plan.doubts)?;
    opener.warnings.borrow_mut().extend(plan.doubts.iter().cloned());
    let warned = session.subject().gpus().iter().flat_map(|gpu| gpu.warnings());
    opener.warnings.borrow_mut().extend(warned);
    if let Some(directory) = &directory {
        directory.end(&opener.field.name, &plan, &found)?;
    }
    Ok((json!(plan).to_string(), found.json().to_string(), runs))
}
