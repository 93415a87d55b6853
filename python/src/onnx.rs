//! Networks that were exported just now: an ONNX file in memory as a field, and how its network is called. In: the file's bytes and what
//! is said of them. Out: a `Field`; the label at a timestep, and what makes scores of outputs.
use crate::device::Device;
use crate::errors::{Told, guard};
use crate::field::Field;
use crate::said::read;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;
use vorticity::error::{Error, Result};
use vorticity::field::{NetworkField, ScoreScale};
use vorticity::model::Model;

/// An ONNX file in memory, under a name for messages and facts; `said` as `Field.open` takes it.
#[pyfunction]
#[pyo3(signature = (name, content, said, device=None))]
pub fn of_onnx(
    py: Python,
    name: String,
    content: Vec<u8>,
    said: Bound<'_, PyDict>,
    device: Option<&Device>,
) -> PyResult<Field> {
    guard(py, || {
        let (said, device) = (read(py, &said)?, device.map(|d| d.options.clone()).unwrap_or_default());
        let model = py.detach(|| Model::of_onnx(&name, content, &said)).told(py)?;
        Ok(Field::made(Arc::new(NetworkField::new(model, ScoreScale::Definition)), name, device))
    })
}

/// (what the network is told, alpha, beta) at timestep k, score = alpha x + beta output.
#[pyfunction]
pub fn called(py: Python, field: &Field, k: usize) -> PyResult<(f64, f64, f64)> {
    guard(py, || {
        let found = || -> Result<_> {
            let sized = field.of_shape(None)?;
            let none = || Error::invalid(&field.name, "is no network: nothing is told to it");
            let label = sized.field.graph().ok_or_else(none)?.label(k)?;
            let (alpha, beta) = sized.field.raw_coefficients(k)?.ok_or_else(none)?;
            Ok((label, alpha, beta))
        };
        py.detach(found).told(py)
    })
}
