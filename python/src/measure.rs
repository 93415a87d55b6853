//! Measures: every entry of `MEASURES` on a field and data, as the command line runs it. In: keywords. Out: a `Run`, or a run directory
//! beside it.
use crate::arrays::Data;
use crate::device::Device;
use crate::errors::{Told, guard, raise};
use crate::field::Field;
use crate::fork;
use crate::process::spec;
use crate::result::Run;
use crate::settings::{call, settings};
use crate::watch::Watch;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;
use vorticity::error::Result;
use vorticity::field::{Field as Learned, open_data};
use vorticity::measures::{MEASURES, find};
use vorticity::run::{Kind, Measure, Parameter, RunDir, SAMPLES, SEED, Settings, Shard};
use vorticity::session::{Finished, How, Session, Source};
use vorticity::spec::Spec;

/// Where the clean images come from.
pub enum Images<'py> {
    Named(Spec),
    Array(Data<'py>),
}

/// Every measure with its parameters, columns and axes: JSON, a list.
#[pyfunction]
pub fn measures(py: Python) -> PyResult<String> {
    guard(py, || Ok(MEASURES.iter().map(|m| about(*m)).collect::<Value>().to_string()))
}

fn about(measure: &dyn Measure) -> Value {
    let info = measure.info();
    let parameters = measure.parameters().iter().filter(|p| !p.hidden).map(parameter);
    let column = |c: vorticity::run::About| json!({ "name": c.name, "formula": c.formula, "unit": c.unit, "meaning": c.meaning });
    let axes = info.axes.iter().map(|axis| json!({ "name": axis.name, "plural": axis.plural }));
    json!({
        "name": info.name, "help": info.help, "title": info.title, "prose": info.prose, "source": info.source,
        "headline": info.headline, "labels": info.shown.iter().copied().collect::<BTreeMap<_, _>>(), "axes": axes.collect::<Vec<_>>(), "devices": measure.shares_devices(),
        "columns": measure.columns().into_iter().map(column).collect::<Vec<_>>(),
        "parameters": parameters.collect::<Vec<_>>(),
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let (kind, words) = match parameter.kind {
        Kind::Count => ("count", &[][..]),
        Kind::Number => ("number", &[][..]),
        Kind::Flag => ("flag", &[][..]),
        Kind::Text => ("text", &[][..]),
        Kind::Choice(words) => ("choice", words),
        Kind::List => ("list", &[][..]),
        Kind::Timesteps => ("timesteps", &[][..]),
        Kind::File => ("file", &[][..]),
    };
    json!({
        "name": parameter.name, "kind": kind, "words": words, "default": parameter.default, "unit": parameter.unit,
        "help": parameter.help, "excludes": parameter.excludes,
    })
}

/// Measures. `data` is a path, a name, or an array `[N, C, H, W]` of float32 or uint8; `observer` is called with how far the run is.
#[pyfunction]
#[pyo3(signature = (measure, field, data, given, out=None, shard=None, device=None, observer=None))]
#[expect(clippy::too_many_arguments, reason = "it is called by one function of the package, by name")]
pub fn run(
    py: Python,
    measure: &str,
    field: &Bound<'_, Field>,
    data: &Bound<'_, PyAny>,
    given: &Bound<'_, PyDict>,
    out: Option<PathBuf>,
    shard: Option<(usize, usize)>,
    device: Option<&Bound<'_, Device>>,
    observer: Option<Py<PyAny>>,
) -> PyResult<Run> {
    guard(py, || {
        fork::check(py)?;
        let Some(measure) = find(measure) else {
            return Err(raise(py, "InvalidError", format!("measure: '{measure}' is not known")));
        };
        let mut asked = settings(py, measure, given)?;
        let shard = shard.map_or(Ok(Shard::WHOLE), |(number, of)| Shard::new(number, of)).told(py)?;
        let images = match Data::of(data) {
            Some(array) => Images::Array(array),
            None => Images::Named(spec(data)?),
        };
        if let (Images::Array(array), None) = (&images, given.get_item(SAMPLES.name)?.filter(|n| !n.is_none())) {
            asked.set(SAMPLES.name, array.shape()?.1).told(py)?;
        }
        let dir = out.as_ref().map(|out| RunDir::create(out)).transpose().told(py)?;
        let source = source(py, field.get(), &images, asked.count(SAMPLES.name).told(py)?)?;
        if let Some(misfit) = source.misfit() {
            warn(py, &format!("data: {misfit}"))?;
        }
        let command = vec!["python".into(), call(measure.name(), given)];
        let device = device.map(|device| &device.get().options);
        let mut kept = None;
        let mut watch = Watch::new(observer);
        let (field, seed) = (field.get(), asked.count(SEED.name).told(py)? as u64);
        let made = py.detach(|| -> Result<_> {
            let gpus = field.gpus(source.field.as_ref(), device)?;
            let session = source.on(gpus, seed)?;
            measured(&session, &asked, How { shard, out: dir, command }, &mut watch, &mut kept)
        });
        match made {
            Ok((finished, warnings)) => {
                warnings.iter().try_for_each(|warning| warn(py, warning))?;
                Ok(Run::finished(finished, out))
            }
            Err(error) => Err(watch.told(py, error, kept.as_deref())),
        }
    })
}

/// What was measured, and what there is to warn of. `kept` becomes where it is kept if it ends too early.
fn measured(
    session: &Session,
    asked: &Settings,
    how: How,
    watch: &mut Watch,
    kept: &mut Option<PathBuf>,
) -> Result<(Finished, Vec<String>)> {
    let task = session.task(asked)?;
    let mut prepared = session.prepare(task.as_ref(), how)?;
    let mut warnings = prepared.about().warnings.clone();
    let finished = prepared.run(&mut |state| watch.see(Some(state)));
    *kept = prepared.kept().map(Into::into);
    let finished = finished?;
    warnings.extend(session.subject().gpus().iter().flat_map(|gpu| gpu.warnings()));
    let lost =
        |f: &vorticity::sweep::Failure| format!("device {} was lost, others ran its tiles: {}", f.device, f.message);
    warnings.extend(finished.failures.iter().map(lost));
    warnings.extend(finished.marked.lines().map(String::from));
    Ok((finished, warnings))
}

/// The field, at the images' size where it leaves that open, on the first so many of them.
fn source(py: Python, field: &Field, images: &Images, samples: usize) -> PyResult<Source> {
    let name = field.name.clone();
    match images {
        Images::Named(spec) => py.detach(|| Source::of(of_data(field, spec)?, name, spec, samples)).told(py),
        Images::Array(array) => {
            let (shape, _) = array.shape()?;
            let own = py.detach(|| learned(field, Some(shape))).told(py)?;
            let images = array.images(samples, own.data_range())?.told(py)?;
            Source::in_memory(own, name, images).told(py)
        }
    }
}

/// The field, at the size of the images of that name where it leaves that open.
pub fn of_data(field: &Field, spec: &Spec) -> Result<Arc<dyn Learned>> {
    let shape = match field.leaves_size_open() {
        true => Some(open_data(spec, 1, [-1.0, 1.0], None)?.shape),
        false => None,
    };
    learned(field, shape)
}

/// The field of this shape.
pub fn learned(field: &Field, shape: Option<vorticity::shape::Shape>) -> Result<Arc<dyn Learned>> {
    Ok(field.of_shape(shape)?.field.clone())
}

/// A warning, which a filter may make an exception.
pub fn warn(py: Python, message: &str) -> PyResult<()> {
    let message = CString::new(message).unwrap_or_default();
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &message, 2)
}
