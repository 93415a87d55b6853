//! Devices: which adapter, and what a run may take of it. In: options as the command line has them. Out: open devices, one for each
//! set of options and process, shared by everything.
use crate::errors::{Told, guard};
use crate::fork;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use vorticity::cli::device::Device as Options;
use vorticity::cli::devices::document;
use vorticity::error::Result;
use vorticity::field::Field;
use vorticity::gpu::{Gpu, adapters};
use vorticity::target::AttentionWay;
use vorticity::tune::{Mode, tuned};

/// What a device is asked for: adapter, memory, binding, limits.
type Bounds = [Option<String>; 4];

/// All that makes one open device another: also the way of attention, and whether indices are checked.
type Key = (Bounds, &'static str, bool);

/// Every device that is open. Never dropped: a driver may have gone before it.
static OPEN: Mutex<BTreeMap<Key, Vec<Gpu>>> = Mutex::new(BTreeMap::new());

/// A device that is opened when it is first needed.
#[pyclass(frozen, module = "vorticity._native")]
pub struct Device {
    pub options: Lazy,
}

/// The options of a device.
#[derive(Clone, Debug)]
pub struct Lazy {
    bounds: Bounds,
    attention: AttentionWay,
    checked: bool,
    tune: String,
}

impl Default for Lazy {
    fn default() -> Self {
        let (bounds, attention) = ([None, None, None, None], AttentionWay::Auto);
        Self { bounds, attention, checked: false, tune: "auto".into() }
    }
}

impl Lazy {
    /// The devices, one or several, with variants of their kernels chosen for the networks of a field. The GIL must be free: others may
    /// be opening devices.
    pub fn open(&self, field: &dyn Field) -> Result<Vec<Gpu>> {
        let autoencoder = field.autoencoder().into_iter().flat_map(|a| [&a.networks.encoder, &a.networks.decoder]);
        let graphs: Vec<_> = field.graph().into_iter().chain(autoencoder).collect();
        tuned(self.gpus()?, &Mode::parse(&self.tune), &graphs, &mut |text| note(&format!("tuning: {text}")))
    }

    fn gpus(&self) -> Result<Vec<Gpu>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.bounds.clone(), self.attention.name(), self.checked);
        if let Some(gpus) = open.get(&key) {
            return Ok(gpus.clone());
        }
        let gpus = self.options().open_all()?;
        open.insert(key, gpus.clone());
        Ok(gpus)
    }

    fn options(&self) -> Options {
        let ([adapter, memory, binding, limits], attention) = (self.bounds.clone(), self.attention);
        Options { adapter, memory, binding, limits, attention, checked: self.checked }
    }
}

/// Something for the log "vorticity", where Python says who reads it.
fn note(text: &str) {
    Python::attach(|py| {
        let log = py.import("logging").and_then(|logging| logging.call_method1("getLogger", ("vorticity",)));
        // A log that fails is no reason to end what it tells of.
        let _ = log.and_then(|log| log.call_method1("info", (text,)));
    });
}

#[pymethods]
impl Device {
    #[new]
    #[pyo3(signature = (adapter=None, memory=None, binding=None, limits=None, tune="auto".to_string(), attention="auto", checked=false))]
    #[expect(clippy::too_many_arguments, reason = "it is called by one class of the package")]
    fn new(
        py: Python,
        adapter: Option<String>,
        memory: Option<String>,
        binding: Option<String>,
        limits: Option<String>,
        tune: String,
        attention: &str,
        checked: bool,
    ) -> PyResult<Self> {
        guard(py, || {
            let (bounds, attention) = ([adapter, memory, binding, limits], AttentionWay::parse(attention).told(py)?);
            let options = Lazy { bounds, attention, checked, tune };
            options.options().bounds().told(py)?;
            Ok(Self { options })
        })
    }

    /// Opens it, and says what it is: a line for each adapter.
    fn describe(&self, py: Python) -> PyResult<Vec<String>> {
        guard(py, || {
            fork::check(py)?;
            let opened = py.detach(|| self.options.gpus());
            Ok(opened.told(py)?.iter().map(Gpu::describe).collect())
        })
    }

    /// Adapter, memory, binding and limits, then tune, attention and checked as they were given.
    #[getter]
    fn given(&self) -> (Vec<Option<String>>, (&str, &str, bool)) {
        let Lazy { bounds, attention, checked, tune } = &self.options;
        (bounds.to_vec(), (tune, attention.name(), *checked))
    }
}

/// Every adapter of this machine, as `vorticity devices --json` has them: JSON.
#[pyfunction]
pub fn devices(py: Python) -> PyResult<String> {
    guard(py, || {
        fork::check(py)?;
        Ok(py.detach(|| document(&adapters())["adapters"].to_string()))
    })
}
