//! Fields: a network or a closed form, opened once, evaluated with its derivatives as often as is wanted. In: what a user names, then
//! points. Out: values, J v, J'u, Jacobians on the device, and all of them in f64 by the twin.
use crate::arrays::{array, slice};
use crate::device::{Device, Lazy};
use crate::errors::{Told, guard};
use crate::fork::{self, Kept};
use crate::plans::Plans;
use crate::process::{Process, facts, spec};
use crate::products::{Points, columns, products};
use crate::said::{read, scale};
use crate::turns;
use crate::watch::Watch;
use numpy::{PyArrayDyn, PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Mutex, PoisonError};
use vorticity::dual::Dual;
use vorticity::error::{Error, Result};
use vorticity::evaluate::Products;
use vorticity::field::{self, FIELDS, Field as Learned, ScoreScale};
use vorticity::gpu::Gpu;
use vorticity::model::{Said, leaves_size_open};
use vorticity::session::as_given;
use vorticity::shape::Shape;
use vorticity::spec::Spec;

/// Arrays of values, J v and J'u; the last two where they were asked for.
type Made<'py> =
    (Bound<'py, PyArrayDyn<f32>>, Option<Bound<'py, PyArrayDyn<f32>>>, Option<Bound<'py, PyArrayDyn<f32>>>);

/// A field. What leaves its size open has the shape of the points that it is given.
#[pyclass(frozen, module = "vorticity._native")]
pub struct Field {
    /// In titles of plots, and for people.
    pub name: String,
    device: Lazy,
    /// What it is opened from at every size; none of a field of one size.
    open: Option<(Spec, ScoreScale, Said)>,
    sized: Mutex<Vec<Arc<Sized>>>,
}

/// A field of one size.
pub struct Sized {
    pub field: Arc<dyn Learned>,
    plans: Mutex<Option<Kept<Plans>>>,
}

impl Field {
    /// A field that is there.
    pub fn made(field: Arc<dyn Learned>, name: String, device: Lazy) -> Self {
        let sized = Sized { field, plans: Mutex::new(None) };
        Self { name, device, open: None, sized: Mutex::new(vec![Arc::new(sized)]) }
    }

    /// Its devices, or those of another choice, with variants chosen. Without the GIL.
    pub fn gpus(&self, field: &dyn Learned, device: Option<&Lazy>) -> Result<Vec<Gpu>> {
        device.unwrap_or(&self.device).open(field)
    }

    /// Whether it has the shape of what it is given.
    pub fn leaves_size_open(&self) -> bool {
        self.open.is_some()
    }

    /// The field of this shape. Without the GIL.
    pub fn of_shape(&self, shape: Option<Shape>) -> Result<Arc<Sized>> {
        let mut sized = self.sized.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((model, scale, said)) = &self.open else { return Ok(sized[0].clone()) };
        let Some(shape) = shape else {
            return Err(Error::invalid(&self.name, "leaves its size open: open it with shape=, such as \"1x28x28\""));
        };
        if let Some(known) = sized.iter().find(|s| s.field.shape() == shape) {
            return Ok(known.clone());
        }
        let said = Said { shape: Some(shape), ..said.clone() };
        let made = Arc::new(Sized { field: field::open_said(model, *scale, &said)?, plans: Mutex::new(None) });
        sized.push(made.clone());
        Ok(made)
    }

    /// The field of points `[N, C, H, W]`. Without the GIL.
    fn of_points(&self, dims: &[usize]) -> Result<Arc<Sized>> {
        let &[_, c, h, w] = dims else {
            return Err(Error::invalid("x", format!("has shape {dims:?}, expected [N, C, H, W]")));
        };
        let found = self.of_shape(Some(Shape::new(c, h, w)))?;
        let shape = found.field.shape();
        if [shape.c, shape.h, shape.w] != [c, h, w] {
            let expected = [shape.c, shape.h, shape.w];
            return Err(Error::invalid(
                "x",
                format!("has shape {dims:?}, expected [N, C, H, W] with [C, H, W] = {expected:?}"),
            ));
        }
        Ok(found)
    }

    /// `work` on the plans of a field, which are one thread's at a time. Without the GIL.
    fn planned<T>(&self, sized: &Sized, work: impl FnOnce(&mut Plans) -> Result<T>) -> Result<T> {
        let (mut plans, _held) = turns::take(&sized.plans, &self.name)?;
        if plans.is_none() {
            let gpus = self.gpus(sized.field.as_ref(), None)?;
            let gpu = gpus.into_iter().next().ok_or_else(|| Error::NoAdapter("none was opened".into()))?;
            *plans = Some(Kept::new(Plans::new(sized.field.clone(), gpu)));
        }
        match plans.as_mut() {
            Some(plans) => work(plans),
            None => Err(Error::NoAdapter("none was opened".into())),
        }
    }
}

#[pymethods]
impl Field {
    /// A model directory, a folder of diffusers, an ONNX file, or a closed form.
    #[staticmethod]
    #[pyo3(signature = (model, said, device=None))]
    fn open(py: Python, model: Bound<'_, PyAny>, said: Bound<'_, PyDict>, device: Option<&Device>) -> PyResult<Self> {
        guard(py, || {
            let (model, device) = (spec(&model)?, device.map(|d| d.options.clone()).unwrap_or_default());
            let (said, scale) = (read(py, &said)?, scale(py, &said)?);
            let name = model.file_name();
            let opened = py.detach(|| -> Result<_> {
                let open = said.shape.is_none()
                    && match model.named("field:")? {
                        Some((name, _)) if FIELDS.iter().any(|f| f.0 == name) => true,
                        Some(_) => false, // opened to be refused
                        None => leaves_size_open(model.path(), &said)?,
                    };
                if open {
                    return Ok(None);
                }
                let field = field::open_said(&model, scale, &said)?;
                as_given(said.shape, field.shape())?;
                Ok(Some(field))
            });
            Ok(match opened.told(py)? {
                Some(field) => Self::made(field, name, device),
                None => Self { name, device, open: Some((model, scale, said)), sized: Mutex::new(vec![]) },
            })
        })
    }

    /// `[C, H, W]` of a point; none of a field that leaves its size open.
    #[getter]
    fn shape(&self) -> Option<(usize, usize, usize)> {
        let sized = self.of_shape(None).ok()?;
        let shape = sized.field.shape();
        Some((shape.c, shape.h, shape.w))
    }

    /// What it is called.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Values, J v and J'u at x `[N, C, H, W]`, of v `[N, T, C, H, W]` and u `[N, K, C, H, W]`.
    #[pyo3(signature = (x, k, v=None, u=None, sample=None))]
    fn products<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        k: PyReadonlyArray1<'py, i64>,
        v: Option<PyReadonlyArrayDyn<'py, f32>>,
        u: Option<PyReadonlyArrayDyn<'py, f32>>,
        sample: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Made<'py>> {
        guard(py, || {
            fork::check(py)?;
            let dims = x.shape().to_vec();
            let count =
                |a: &Option<PyReadonlyArrayDyn<f32>>| a.as_ref().map_or(0, |a| a.shape().get(1).copied().unwrap_or(0));
            let directions = [count(&v), count(&u)];
            let (x, k) = (slice(&x)?, k.as_slice()?);
            let (v, u) = (v.as_ref().map_or(Ok(&[][..]), slice)?, u.as_ref().map_or(Ok(&[][..]), slice)?);
            let sample = sample.as_ref().map(|s| s.as_slice()).transpose()?;
            let mut watch = Watch::new(None);
            let found = py.detach(|| {
                let sized = self.of_points(&dims)?;
                let points = Points::of(sized.field.as_ref(), x, k, sample)?;
                let mut look = || if watch.see(None).is_break() { Err(Error::Interrupted) } else { Ok(()) };
                self.planned(&sized, |plans| products(plans, &points, [v, u], directions, &mut look))
            });
            let Products { y, jv, jtu } = found.map_err(|e| watch.told(py, e, None))?;
            let of = |values: Vec<f32>, count: usize| -> PyResult<Option<_>> {
                let shape = [&dims[..1], &[count], &dims[1..]].concat();
                if count > 0 { array(py, values, &shape).map(Some) } else { Ok(None) }
            };
            Ok((array(py, y, &dims)?, of(jv, directions[0])?, of(jtu, directions[1])?))
        })
    }

    /// The Jacobians at x `[N, C, H, W]`, of these components: `[N, M, M]`.
    #[pyo3(signature = (x, k, components, sample=None))]
    fn jacobian<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f32>,
        k: PyReadonlyArray1<'py, i64>,
        components: Vec<usize>,
        sample: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        guard(py, || {
            fork::check(py)?;
            let (dims, m) = (x.shape().to_vec(), components.len());
            let (x, k) = (slice(&x)?, k.as_slice()?);
            let sample = sample.as_ref().map(|s| s.as_slice()).transpose()?;
            let mut watch = Watch::new(None);
            let found = py.detach(|| {
                let sized = self.of_points(&dims)?;
                let points = Points::of(sized.field.as_ref(), x, k, sample)?;
                let mut look = || if watch.see(None).is_break() { Err(Error::Interrupted) } else { Ok(()) };
                self.planned(&sized, |plans| columns(plans, &points, &components, &mut look))
            });
            array(py, found.map_err(|e| watch.told(py, e, None))?, &[dims[0], m, m])
        })
    }

    /// Values and, along v, derivatives at x (both `[N, C, H, W]`) in f64 on the CPU.
    #[pyo3(signature = (x, k, v=None, sample=None))]
    fn twin<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArrayDyn<'py, f64>,
        k: PyReadonlyArray1<'py, i64>,
        v: Option<PyReadonlyArrayDyn<'py, f64>>,
        sample: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<(Bound<'py, PyArrayDyn<f64>>, Option<Bound<'py, PyArrayDyn<f64>>>)> {
        guard(py, || {
            let dims = x.shape().to_vec();
            let (x, k) = (slice(&x)?, k.as_slice()?);
            let v = v.as_ref().map(slice).transpose()?;
            let sample = sample.as_ref().map(|s| s.as_slice()).transpose()?;
            let mut watch = Watch::new(None);
            let found = py.detach(|| -> Result<_> {
                let sized = self.of_points(&dims)?;
                let Points { ks, samples, .. } = Points::of(sized.field.as_ref(), &[], k, sample)?;
                let (d, mut values, mut derivatives) = (sized.field.shape().len(), vec![], vec![]);
                for (i, (&k, &sample)) in ks.iter().zip(&samples).enumerate() {
                    let at = i * d..(i + 1) * d;
                    let along = |j: usize| v.map_or(0.0, |v| v[j]);
                    let point: Vec<Dual> = at.map(|j| Dual::new(x[j], along(j))).collect();
                    let made = sized.field.twin(&point, k, sample)?;
                    values.extend(made.iter().map(|y| y.v));
                    derivatives.extend(made.iter().filter(|_| v.is_some()).map(|y| y.d));
                    if watch.see(None).is_break() {
                        return Err(Error::Interrupted);
                    }
                }
                Ok((values, derivatives))
            });
            let (values, derivatives) = found.map_err(|e| watch.told(py, e, None))?;
            let along = v.map(|_| array(py, derivatives, &dims)).transpose()?;
            Ok((array(py, values, &dims)?, along))
        })
    }

    /// The noising process.
    #[getter]
    fn process(&self, py: Python) -> PyResult<Process> {
        Ok(Process { process: self.any(py)?.field.process().clone() })
    }

    /// What 0 and 255 of 8-bit images are to it.
    #[getter]
    fn data_range(&self, py: Python) -> PyResult<(f64, f64)> {
        let [low, high] = self.any(py)?.field.data_range();
        Ok((low, high))
    }

    /// What is settled about it: what, value, what settled it.
    #[getter]
    fn facts(&self, py: Python) -> PyResult<Vec<(String, String, String)>> {
        Ok(facts(self.any(py)?.field.facts()))
    }

    /// What manifests say of it, JSON.
    fn describe(&self, py: Python) -> PyResult<String> {
        Ok(self.any(py)?.field.describe().to_string())
    }

    /// Whether J v is known by tangents.
    #[getter]
    fn has_jvp(&self, py: Python) -> PyResult<bool> {
        Ok(self.any(py)?.field.has_tangents())
    }

    /// Whether J'u is known.
    #[getter]
    fn has_vjp(&self, py: Python) -> PyResult<bool> {
        Ok(self.any(py)?.field.has_adjoint())
    }

    /// Conditions that samples are under.
    #[getter]
    fn conditions(&self, py: Python) -> PyResult<usize> {
        Ok(self.any(py)?.field.conditions())
    }
}

impl Field {
    /// The field of the only size, or of the one that was asked for last, of which everything but the shape is the same.
    fn any(&self, py: Python) -> PyResult<Arc<Sized>> {
        guard(py, || {
            py.detach(|| {
                let last = self.sized.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
                last.map_or_else(|| self.of_shape(None), Ok)
            })
            .told(py)
        })
    }
}
