//! Noising processes. In: numbers, names, a file, a scheduler's config. Out: noise levels by timestep.
use crate::errors::{Told, guard, raise};
use pyo3::prelude::*;
use vorticity::model::{self, Process as Levels, ProcessConfig, given_process, scheduler_process};
use vorticity::spec::Spec;

/// A noising process: a table of noise levels (a, sigma), x = a x_0 + sigma eps, for the timesteps k = 0 .. T-1.
#[pyclass(frozen, module = "vorticity._native")]
pub struct Process {
    pub process: Levels,
}

fn of(py: Python, config: ProcessConfig, source: &str) -> PyResult<Process> {
    let process = Levels::new(&config).told(py)?.said(source);
    Ok(Process { process })
}

#[pymethods]
impl Process {
    /// Variance preserving, by alphas_cumprod.
    #[staticmethod]
    #[pyo3(signature = (alphas_cumprod, label_scale=None))]
    fn alphas(py: Python, alphas_cumprod: Vec<f64>, label_scale: Option<f64>) -> PyResult<Self> {
        guard(py, || of(py, ProcessConfig::Alphas { alphas_cumprod, label_scale }, "Process.vp(alphas_cumprod)"))
    }

    /// Variance exploding, by noise levels.
    #[staticmethod]
    fn sigmas(py: Python, sigmas: Vec<f64>) -> PyResult<Self> {
        guard(py, || of(py, ProcessConfig::Sigmas { sigmas }, "Process.ve(sigmas)"))
    }

    /// What --process names: a file, a folder, or KIND?key=value&..
    #[staticmethod]
    fn open(py: Python, name: Bound<'_, PyAny>) -> PyResult<Self> {
        guard(py, || {
            let spec = spec(&name)?;
            let process = given_process(Some(&spec), None, None).told(py)?;
            process.map(|process| Self { process }).ok_or_else(|| raise(py, "InvalidError", "process: none is given"))
        })
    }

    /// Of a scheduler's config, JSON.
    #[staticmethod]
    fn scheduler(py: Python, config: &str) -> PyResult<Self> {
        guard(py, || {
            let config = serde_json::from_str(config)
                .map_err(|e| raise(py, "InvalidError", format!("scheduler: its config is no JSON object: {e}")))?;
            Ok(Self { process: scheduler_process(config).told(py)? })
        })
    }

    /// Of another process's `state`.
    #[staticmethod]
    fn restored(py: Python, config: &str, source: &str) -> PyResult<Self> {
        guard(py, || {
            let config = serde_json::from_str(config)
                .map_err(|e| raise(py, "InvalidError", format!("process: '{config}' is no configuration: {e}")))?;
            of(py, config, source)
        })
    }

    /// What makes it again: its configuration as JSON, and what said so.
    fn state(&self) -> (String, String) {
        (serde_json::json!(self.process.config).to_string(), self.process.source.clone())
    }

    /// T, the number of timesteps.
    #[getter]
    fn timesteps(&self) -> usize {
        self.process.timesteps()
    }

    /// (a, sigma) at timestep k.
    fn noise(&self, py: Python, k: usize) -> PyResult<(f64, f64)> {
        self.process.noise(k).told(py)
    }

    /// (a, sigma) of all timesteps.
    fn levels(&self, py: Python) -> PyResult<Vec<(f64, f64)>> {
        (0..self.process.timesteps()).map(|k| self.process.noise(k)).collect::<vorticity::error::Result<_>>().told(py)
    }

    /// In words.
    fn describe(&self) -> String {
        self.process.config.describe()
    }

    /// What said so.
    #[getter]
    fn source(&self) -> &str {
        &self.process.source
    }

    /// True if a^2 + sigma^2 = 1 at every timestep.
    #[getter]
    fn preserves_variance(&self) -> bool {
        self.process.preserves_variance()
    }
}

/// A path or a name, whatever bytes a path has.
pub fn spec(value: &Bound<'_, PyAny>) -> PyResult<Spec> {
    Ok(Spec::from(&value.extract::<std::path::PathBuf>()?))
}

/// What is settled about a field: what, value, source.
pub fn facts(all: Vec<model::Fact>) -> Vec<(String, String, String)> {
    all.into_iter().map(|f| (f.what.to_string(), f.value, f.source)).collect()
}
