//! Samples of the distribution whose score a field is. In: a field, how many, how. Out: `[N, C, H, W]`.
use crate::arrays::array;
use crate::device::Device;
use crate::errors::{guard, raise};
use crate::field::Field;
use crate::fork;
use crate::watch::Watch;
use numpy::PyArrayDyn;
use pyo3::prelude::*;
use vorticity::error::{Error, Result};
use vorticity::sample::{METHODS, Method, Options, sample as draw};
use vorticity::session::{Load, timed};

/// Draws samples; those that are not finite are NaN, and which they are comes with them.
#[pyfunction]
#[pyo3(signature = (field, n, method=None, steps=50, seed=0, device=None, observer=None))]
#[expect(clippy::too_many_arguments, reason = "it is called by one function of the package, by name")]
pub fn sample<'py>(
    py: Python<'py>,
    field: &Bound<'py, Field>,
    n: usize,
    method: Option<&str>,
    steps: usize,
    seed: u64,
    device: Option<&Bound<'py, Device>>,
    observer: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyArrayDyn<f32>>, Vec<usize>)> {
    guard(py, || {
        fork::check(py)?;
        let known = method.map(|name| METHODS.iter().find(|m| m.0 == name).map(|m| m.1));
        if known == Some(None) {
            let names: Vec<&str> = METHODS.iter().map(|m| m.0).collect();
            let said = format!("method: '{}' is not one of {}", method.unwrap_or_default(), names.join(", "));
            return Err(raise(py, "InvalidError", said));
        }
        let (field, device, mut watch) = (field.get(), device.map(|d| &d.get().options), Watch::new(observer));
        let drawn = py.detach(|| -> Result<_> {
            let own = field.of_shape(None)?.field.clone();
            let gpus = field.gpus(own.as_ref(), device)?;
            let gpu = gpus.first().ok_or_else(|| Error::NoAdapter("none was opened".into()))?;
            let plain = if own.process().preserves_variance() { Method::Ddim } else { Method::Ode };
            let method = known.flatten().unwrap_or(plain);
            let options = Options { n, method, steps, seed, keep: 0 };
            let each = if method == Method::Ode { steps.saturating_mul(2).saturating_sub(1) } else { steps };
            let load = Load {
                total: n.saturating_mul(each) as u64,
                at_most: false,
                least: 0,
                checks: 0,
                at_once: 1,
                check: &|| Ok(()),
            };
            let work = |told: &mut dyn FnMut(u64) -> std::ops::ControlFlow<()>| draw(gpu, &own, &options, told);
            let drawn = timed(load, &mut |state| watch.see(Some(state)), work)?;
            Ok((drawn.result, own.shape()))
        });
        let (samples, shape) = drawn.map_err(|e| watch.told(py, e, None))?;
        Ok((array(py, samples.x, &[n, shape.c, shape.h, shape.w])?, samples.not_finite))
    })
}
