//! Runs: what was measured just now, or lies in a run directory. In: a finished run or a directory. Out: NumPy arrays of everything in
//! its NPZ, its manifest and log as JSON, its text, its directory.
use crate::arrays::shown;
use crate::errors::{Told, guard, raise};
use numpy::Element;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use vorticity::error::{Error, Result};
use vorticity::report::page;
use vorticity::report::stored::{self, Stored};
use vorticity::run::{Labels, Numbers, RunDir, Table, VERDICT, Verdict, check_file, verdicts, write_file};
use vorticity::session::{self, Finished, Found};
use vorticity::summary::verdict::{self, Point};
use vorticity::summary::{BoxStats, Cell, Results};

/// A run that came to its end.
#[pyclass(frozen, module = "vorticity._native")]
pub struct Run {
    what: What,
    out: Option<PathBuf>,
}

enum What {
    Measured(Box<Finished>),
    Stored(Box<Stored>),
}

impl Run {
    /// Just now.
    pub fn finished(finished: Finished, out: Option<PathBuf>) -> Self {
        Self { what: What::Measured(Box::new(finished)), out }
    }

    /// From its directory.
    pub fn read(directory: &Path) -> Result<Self> {
        Ok(Self { what: What::Stored(Box::new(stored::read(directory)?)), out: Some(directory.into()) })
    }

    fn found(&self) -> Found {
        match &self.what {
            What::Measured(finished) => finished.found.clone(),
            What::Stored(stored) => Found::Table(stored.table.clone()),
        }
    }
}

#[pymethods]
impl Run {
    /// Name of the measure.
    #[getter]
    fn measure(&self) -> &'static str {
        match &self.what {
            What::Measured(finished) => finished.found.measure().name(),
            What::Stored(stored) => stored.table.measure.name(),
        }
    }

    /// The run directory, if there is one.
    #[getter]
    fn out(&self) -> Option<PathBuf> {
        self.out.clone()
    }

    /// `i/n` of the samples; `1/1` are all.
    #[getter]
    fn shard(&self) -> String {
        match &self.what {
            What::Measured(finished) => finished.found.shard().to_string(),
            What::Stored(_) => "1/1".into(),
        }
    }

    /// `manifest.json`, as it lies in the run directory or would lie there.
    #[getter]
    fn manifest(&self, py: Python) -> PyResult<String> {
        guard(py, || match &self.what {
            What::Stored(stored) => Ok(stored.manifest.to_string()),
            What::Measured(finished) => {
                let bytes = py.detach(|| finished.manifest()).told(py)?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        })
    }

    /// `run_log.json`.
    #[getter]
    fn log(&self) -> String {
        match &self.what {
            What::Stored(stored) => stored.log.to_string(),
            What::Measured(finished) => finished.record.log.to_string(),
        }
    }

    /// Everything in the NPZ by name, labels of the axes and verdicts among it. Numbers that were measured just now are shown where they
    /// lie, and cannot be written to.
    fn arrays<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        guard(py, || {
            let all = PyDict::new(py);
            match &slf.get().what {
                What::Measured(finished) => match &finished.found {
                    Found::Table(table) => of_table(slf, table, &all)?,
                    Found::Shard(part) => {
                        for array in &part.arrays {
                            all.set_item(&array.name, numbers(slf, &array.values, &array.shape)?)?;
                        }
                    }
                },
                What::Stored(stored) => {
                    let file = slf.get().out.clone().unwrap_or_default().join(format!("{}.npz", stored.table.measure));
                    let options = PyDict::new(py);
                    options.set_item("allow_pickle", false)?;
                    let npz = py.import("numpy")?.getattr("load")?.call((file,), Some(&options))?;
                    for name in npz.getattr("files")?.try_iter()? {
                        let name = name?;
                        all.set_item(&name, npz.get_item(&name)?)?;
                    }
                    npz.call_method0("close")?;
                }
            }
            Ok(all)
        })
    }

    /// What a run ends with on a terminal.
    fn text(&self, py: Python) -> PyResult<String> {
        guard(py, || self.found().text().told(py))
    }

    /// The verdict, in two sentences.
    fn summary(&self, py: Python) -> PyResult<String> {
        guard(py, || self.found().summary().told(py))
    }

    /// What the verdict is on at every place: its label, its unit, whether it is a mean, and per path, plane or end a list per timestep
    /// of value, largest error and verdict; JSON.
    fn told(&self, py: Python) -> PyResult<String> {
        guard(py, || match self.found() {
            Found::Table(table) => told(&table).told(py),
            Found::Shard(_) => Err(no_results(py)),
        })
    }

    /// A column over the samples at every place: a list per path, plane or end of a list per timestep of quartiles, the largest error
    /// that applies, and the verdict; JSON.
    fn cells(&self, py: Python, column: &str) -> PyResult<String> {
        guard(py, || match self.found() {
            Found::Table(table) => cells(&table, column).told(py),
            Found::Shard(_) => Err(no_results(py)),
        })
    }

    /// Writes the run directory, byte for byte as the run itself would have written it.
    fn save(&self, py: Python, directory: PathBuf) -> PyResult<()> {
        guard(py, || {
            py.detach(|| {
                let out = RunDir::fresh(&directory)?;
                match (&self.what, &self.out) {
                    (What::Measured(finished), _) => finished.write(out),
                    (What::Stored(_), Some(from)) => copied(from, "", &out).and_then(|()| out.finish()),
                    (What::Stored(_), None) => Err(Error::file(&directory, "there is no run to copy")),
                }
            })
            .told(py)
        })
    }
}

fn no_results(py: Python) -> PyErr {
    raise(py, "InvalidError", "a shard has no results of its own: merge all of them")
}

fn told(table: &Table) -> Result<String> {
    let results = Results::of(table)?;
    let told = verdict::Told::of(&results)?;
    let cell = |p: &Point| json!({ "value": p.value, "error": p.error, "verdict": p.verdict.word() });
    let path = |path: usize| told.points.iter().filter(|p| p.path == path).map(cell).collect::<Value>();
    let points = (0..results.paths.len()).map(path).collect::<Value>();
    let mean = table.measure.info().claim.of_mean;
    Ok(json!({ "label": told.label, "unit": told.unit, "mean": mean, "points": points }).to_string())
}

fn cells(table: &Table, column: &str) -> Result<String> {
    let results = Results::of(table)?;
    let cell = |path: usize, place: usize| -> Result<Value> {
        let cell = match results.statistic(column) {
            Ok(statistic) => results.cell(statistic, path, place),
            // A column that is an error itself has none.
            Err(_) => {
                let (n, at) = (results.samples, path * results.places() + place);
                Cell::of(&table.column(column)?.values[at * n..(at + 1) * n], [].into_iter())
            }
        };
        let (error, verdict) = (cell.error(), cell.of_median().map(Verdict::word));
        let of = |pick: fn(&BoxStats) -> f64| cell.stats.as_ref().map(pick);
        Ok(json!({
            "q1": of(|s| s.q1), "median": of(|s| s.median), "q3": of(|s| s.q3), "error": error, "verdict": verdict,
        }))
    };
    let path = |path: usize| (0..results.places()).map(|place| cell(path, place)).collect::<Result<Vec<_>>>();
    Ok(json!((0..results.paths.len()).map(path).collect::<Result<Vec<_>>>()?).to_string())
}

/// Copies the files of a run directory, those in folders too.
fn copied(from: &Path, below: &str, out: &RunDir) -> Result<()> {
    let bad = |e: std::io::Error| Error::file(from, format!("cannot be read: {e}"));
    for entry in std::fs::read_dir(from.join(below)).map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(bad)?.is_dir() {
            copied(from, &format!("{name}/"), out)?;
        } else {
            out.write(&name, &std::fs::read(entry.path()).map_err(bad)?)?;
        }
    }
    Ok(())
}

fn of_table(slf: &Bound<'_, Run>, table: &Table, all: &Bound<'_, PyDict>) -> PyResult<()> {
    let (py, shape) = (slf.py(), table.shape());
    let numpy = py.import("numpy")?;
    for axis in &table.axes {
        match &axis.labels {
            Labels::Text(names) => {
                all.set_item(axis.plural, numpy.call_method1("array", (PyList::new(py, names)?,))?)?
            }
            Labels::Numbers(numbers) => {
                let labels = numpy.call_method1("array", (PyList::new(py, numbers)?, "int64"))?;
                all.set_item(axis.plural, labels)?;
            }
            Labels::Count(_) => {}
        }
    }
    for array in &table.arrays {
        all.set_item(array.name, numbers(slf, &array.values, &array.shape)?)?;
    }
    for column in &table.columns {
        all.set_item(column.about.name, of(slf, &column.values, &shape)?)?;
    }
    if let Some(verdicts) = verdicts(table) {
        let words = PyList::new(py, verdicts.iter().map(|v| v.word()))?;
        let words = numpy.call_method1("array", (words,))?.call_method1("reshape", (shape,))?;
        all.set_item(VERDICT.name, words)?;
    }
    Ok(())
}

fn numbers<'py>(slf: &Bound<'py, Run>, values: &Numbers, shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    match values {
        Numbers::F64(values) => of(slf, values, shape),
        Numbers::F32(values) => of(slf, values, shape),
        Numbers::I64(values) => of(slf, values, shape),
    }
}

fn of<'py, T: Element>(slf: &Bound<'py, Run>, values: &[T], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    // Safety: a run is frozen, its numbers lie on the heap and belong to it as long as it lives.
    unsafe { shown(values, shape, slf.clone().into_any()) }
}

/// A run directory, read back.
#[pyfunction]
pub fn load(py: Python, directory: PathBuf) -> PyResult<Run> {
    guard(py, || py.detach(|| Run::read(&directory)).told(py))
}

/// Joins the directories of all shards of a run to the one that one process would have written.
#[pyfunction]
pub fn merge(py: Python, shards: Vec<PathBuf>, out: PathBuf, command: Vec<String>) -> PyResult<Run> {
    guard(py, || {
        let stored = py.detach(|| {
            session::merge(&shards, RunDir::fresh(&out)?, command)?;
            stored::read(&out)
        });
        Ok(Run { what: What::Stored(Box::new(stored.told(py)?)), out: Some(out) })
    })
}

/// Puts runs on one HTML page, under these names or those of their directories.
#[pyfunction]
#[pyo3(signature = (runs, page, title=None, names=None))]
pub fn report(
    py: Python,
    runs: Vec<PathBuf>,
    page: PathBuf,
    title: Option<String>,
    names: Option<Vec<String>>,
) -> PyResult<()> {
    guard(py, || {
        if names.as_ref().is_some_and(|names| names.len() != runs.len()) {
            return Err(raise(
                py,
                "InvalidError",
                format!("names: expected as many as there are runs, {}", runs.len()),
            ));
        }
        let title = title.unwrap_or_else(|| vorticity::cli::report::TITLE.into());
        py.detach(|| written(&runs, &page, &title, names.as_deref())).told(py)
    })
}

fn written(runs: &[PathBuf], out: &Path, title: &str, names: Option<&[String]>) -> Result<()> {
    check_file(out)?;
    let mut all = vec![];
    for (i, dir) in runs.iter().enumerate() {
        let stored = stored::read(dir)?;
        all.push((names.map_or(&stored.name, |names| &names[i]).clone(), stored));
    }
    write_file(out, page::html(title, &all, &[])?.as_bytes())
}
