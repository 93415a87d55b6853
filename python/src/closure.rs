//! Fields of Python's own functions. In: functions on NumPy arrays, which the package has wrapped to return such, and what is said of the
//! field. Out: a field like any other. The functions are called with the GIL, from whatever thread needs their values.
use crate::arrays::array;
use crate::device::Device;
use crate::errors::{Told, guard};
use crate::field::Field;
use crate::leave::leaving;
use crate::process::Process;
use numpy::{Element, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::Arc;
use vorticity::error::{Error, Result};
use vorticity::field::{About, ClosureField, Functions, Points};
use vorticity::model::Prediction;
use vorticity::shape::Shape;

/// A number that functions take and return.
trait Number: Element + Copy + 'static {
    /// sigma, which the engine has in double precision.
    fn of(v: f64) -> Self;
}

impl Number for f32 {
    fn of(v: f64) -> Self {
        v as f32
    }
}

impl Number for f64 {
    fn of(v: f64) -> Self {
        v
    }
}

/// A function of Python's, of a field of this name and shape.
struct Function {
    function: Py<PyAny>,
    name: String,
    shape: Shape,
}

impl Function {
    /// f(x, k, sigma), or f(x, direction, k, sigma), of these points.
    fn call<T: Number>(&self, at: &Points<T>, direction: Option<&[T]>) -> Result<Vec<T>> {
        if leaving() {
            return Err(Error::Interrupted);
        }
        let called = Python::attach(|py| -> PyResult<Vec<T>> {
            let Shape { c, h, w } = self.shape;
            let rows = |values: &[T]| array(py, values.to_vec(), &[at.ks.len(), c, h, w]);
            let ks = array(py, at.ks.iter().map(|&k| k as i64).collect(), &[at.ks.len()])?;
            let sigmas = array(py, at.sigmas.iter().map(|&sigma| T::of(sigma)).collect(), &[at.ks.len()])?;
            let mut given = vec![rows(at.x)?.into_any()];
            if let Some(direction) = direction {
                given.push(rows(direction)?.into_any());
            }
            given.extend([ks.into_any(), sigmas.into_any()]);
            let made = self.function.bind(py).call1(PyTuple::new(py, given)?).inspect_err(|raised| {
                let note = format!("raised in a function of the field '{}', {}", self.name, words(at));
                let _ = raised.value(py).call_method1("add_note", (note,)); // not before Python 3.11
            })?;
            let made: PyReadonlyArrayDyn<T> = made.extract()?;
            Ok(made.as_slice()?.to_vec())
        });
        called.map_err(|raised| Error::Closure { place: format!("field {}", self.name), source: Box::new(raised) })
    }
}

/// Which points.
fn words<T>(at: &Points<T>) -> String {
    let (first, last) = (at.ks.iter().min(), at.ks.iter().max());
    match (first, last) {
        (Some(first), Some(last)) if first != last => {
            format!("at {} points of the timesteps {first} to {last}", at.ks.len())
        }
        (Some(first), _) => format!("at {} points of the timestep {first}", at.ks.len()),
        _ => "at no points".into(),
    }
}

/// The functions that are given: values, J v, J'u.
fn functions<T: Number>(
    py: Python,
    [values, jvp, vjp]: [&Option<Py<PyAny>>; 3],
    name: &str,
    shape: Shape,
) -> Option<Functions<T>> {
    let own = |function: &Option<Py<PyAny>>| {
        let function = function.as_ref()?.clone_ref(py);
        Some(Function { function, name: name.into(), shape })
    };
    let product = |function| {
        let function = own(function)?;
        Some(Box::new(move |at: &Points<T>, v: &[T]| function.call(at, Some(v))) as vorticity::field::Product<T>)
    };
    let values = own(values)?;
    Some(Functions { values: Box::new(move |at| values.call(at, None)), jvp: product(jvp), vjp: product(vjp) })
}

/// The field of `functions`, (f, jvp, vjp) in float32 and the same in float64, where f alone must be given; `about` has name, shape,
/// process, prediction, data_range and batch.
#[pyfunction]
#[pyo3(signature = (functions, about, device=None))]
#[expect(clippy::type_complexity, reason = "six functions, of which five may be missing")]
pub fn closure(
    py: Python,
    functions: ([Option<Py<PyAny>>; 3], [Option<Py<PyAny>>; 3]),
    about: Bound<'_, PyDict>,
    device: Option<&Device>,
) -> PyResult<Field> {
    guard(py, || {
        let said = |key: &str| about.as_any().get_item(key);
        let (name, shape): (String, String) = (said("name")?.extract()?, said("shape")?.extract()?);
        let shape = Shape::parse(&shape).told(py)?;
        let (low, high) = said("data_range")?.extract()?;
        let prediction: String = said("prediction")?.extract()?;
        let about = About {
            name: name.clone(),
            shape,
            process: said("process")?.cast::<Process>()?.get().process.clone(),
            prediction: Prediction::parse(&prediction).told(py)?,
            data_range: [low, high],
            batch: said("batch")?.extract()?,
        };
        let (single, double) = functions;
        let Some(single) = self::functions(py, single.each_ref(), &name, shape) else {
            return Err(crate::errors::raise(py, "InvalidError", "f: no function is given"));
        };
        let double = self::functions(py, double.each_ref(), &name, shape);
        let field = ClosureField::new(about, single, double).told(py)?;
        Ok(Field::made(Arc::new(field), name, device.map(|d| d.options.clone()).unwrap_or_default()))
    })
}
