//! Fields: a network or a closed form, opened once, evaluated with its derivatives as often as is wanted. In: what a user names, then
//! points. Out: values, J v, J'u, Jacobians on the device, and all of them in f64 by the twin.
use crate::arrays::{array, slice};
use crate::device::{Device, Lazy};
use crate::errors::{Told, guard, raise};
use crate::fork::{self, Kept};
use crate::plans::Plans;
use crate::process::{Process, facts, spec};
use crate::watch::Watch;
use numpy::{PyArrayDyn, PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Mutex, PoisonError};
use vorticity::dual::Dual;
use vorticity::error::{Error, Result};
use vorticity::evaluate::Products;
use vorticity::field::{self, FIELDS, Field as Learned, ScoreScale, WeightFormat};
use vorticity::gpu::Gpu;
use vorticity::model::{Given, Prediction, Said, leaves_size_open};
use vorticity::session::as_given;
use vorticity::shape::Shape;
use vorticity::spec::Spec;

/// Tangents at a time where a Jacobian is wanted.
const COLUMNS: usize = 32;
/// Tiles between two looks for signals.
const TILES: usize = 8;

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
        device.unwrap_or(&self.device).open(field, &mut |_| {})
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
        let mut plans = sized.plans.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Points, with a timestep and a sample each.
struct Points<'a> {
    x: &'a [f32],
    ks: Vec<usize>,
    samples: Vec<usize>,
}

impl<'a> Points<'a> {
    fn of(field: &dyn Learned, x: &'a [f32], ks: &[i64], samples: Option<&[i64]>) -> Result<Self> {
        let whole = |what: &str, all: &[i64]| {
            let one = |n: &i64| {
                usize::try_from(*n).map_err(|_| Error::invalid(what, format!("{n}, expected a number from 0")))
            };
            all.iter().map(one).collect::<Result<Vec<_>>>()
        };
        let ks = whole("k", ks)?;
        let samples = match samples {
            Some(samples) => whole("sample", samples)?,
            None if field.conditions() == 1 => vec![0; ks.len()],
            None => {
                let message =
                    format!("has {} conditions: sample= says which sample each point belongs to", field.conditions());
                return Err(Error::invalid("field", message));
            }
        };
        Ok(Self { x, ks, samples })
    }
}

/// Values and products of all points, some tiles at a time; `look` says between them whether it goes on. Directions `[N, T, D]`
/// beyond those that fit beside each other are taken in turn.
fn products(
    plans: &mut Plans,
    points: &Points,
    [v, u]: [&[f32]; 2],
    [tangents, cotangents]: [usize; 2],
    look: &mut dyn FnMut() -> Result<()>,
) -> Result<Products> {
    let (n, d) = (points.ks.len(), points.x.len() / points.ks.len().max(1));
    let evaluator = plans.get([tangents, cotangents], &points.ks, n)?;
    let [fit_t, fit_k] = [evaluator.tangents(), evaluator.cotangents()];
    let mut found = Products::default();
    let step = evaluator.max_samples().max(1) * TILES;
    for first in (0..n).step_by(step) {
        let last = (first + step).min(n);
        let (ks, samples) = (&points.ks[first..last], &points.samples[first..last]);
        let x = &points.x[first * d..last * d];
        if (fit_t, fit_k) == (tangents, cotangents) {
            let (v, u) =
                (&v[first * tangents * d..last * tangents * d], &u[first * cotangents * d..last * cotangents * d]);
            let part = evaluator.products_of(x, v, u, ks, samples)?;
            found.y.extend(part.y);
            found.jv.extend(part.jv);
            found.jtu.extend(part.jtu);
        } else {
            let rounds = tangents.div_ceil(fit_t.max(1)).max(cotangents.div_ceil(fit_k.max(1)));
            let (mut jv, mut jtu) =
                (vec![0f32; (last - first) * tangents * d], vec![0f32; (last - first) * cotangents * d]);
            for round in 0..rounds {
                let own_v = taken(v, first..last, [tangents, fit_t, round * fit_t], d);
                let own_u = taken(u, first..last, [cotangents, fit_k, round * fit_k], d);
                let part = evaluator.products_of(x, &own_v, &own_u, ks, samples)?;
                given_back(&mut jv, &part.jv, [tangents, fit_t, round * fit_t], d);
                given_back(&mut jtu, &part.jtu, [cotangents, fit_k, round * fit_k], d);
                if round == 0 {
                    found.y.extend(part.y);
                }
                look()?;
            }
            found.jv.extend(jv);
            found.jtu.extend(jtu);
        }
        look()?;
    }
    Ok(found)
}

/// `fit` of the `all` directions of each of these points from number `from` on, zeros where there are no more.
fn taken(values: &[f32], points: std::ops::Range<usize>, [all, fit, from]: [usize; 3], d: usize) -> Vec<f32> {
    let mut own = vec![0f32; points.len() * fit * d];
    let count = all.saturating_sub(from).min(fit);
    for (own, point) in own.chunks_exact_mut((fit * d).max(1)).zip(points) {
        let at = (point * all + from) * d;
        own[..count * d].copy_from_slice(&values[at..at + count * d]);
    }
    own
}

/// Puts what came of `taken` where it belongs.
fn given_back(all_values: &mut [f32], own: &[f32], [all, fit, from]: [usize; 3], d: usize) {
    let count = all.saturating_sub(from).min(fit);
    for (point, own) in own.chunks_exact((fit * d).max(1)).enumerate() {
        let at = (point * all + from) * d;
        all_values[at..at + count * d].copy_from_slice(&own[..count * d]);
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

/// Entries of J of these rows and columns, `[N, M, M]`, by tangents.
fn columns(
    plans: &mut Plans,
    points: &Points,
    components: &[usize],
    look: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<f32>> {
    let (n, m) = (points.ks.len(), components.len());
    let d = points.x.len() / n.max(1);
    if let Some(wrong) = components.iter().find(|c| **c >= d) {
        return Err(Error::invalid("components", format!("{wrong}, expected numbers below D = {d}")));
    }
    let mut found = vec![0f32; n * m * m];
    let at_once = COLUMNS.min(m);
    for first in (0..m).step_by(at_once.max(1)) {
        let own = &components[first..(first + at_once).min(m)];
        let mut v = vec![0f32; n * at_once * d];
        for i in 0..n {
            own.iter().enumerate().for_each(|(t, &c)| v[(i * at_once + t) * d + c] = 1.0);
        }
        let made = products(plans, points, [&v, &[]], [at_once, 0], look)?.jv;
        for i in 0..n {
            for t in 0..own.len() {
                for (row, &c) in components.iter().enumerate() {
                    found[(i * m + row) * m + first + t] = made[(i * at_once + t) * d + c];
                }
            }
        }
    }
    Ok(found)
}

/// How eps-predictions become scores.
fn scale(py: Python, said: &Bound<'_, PyDict>) -> PyResult<ScoreScale> {
    match text(said, "score_scale")?.as_deref() {
        None | Some("definition") => Ok(ScoreScale::Definition),
        Some("notebook") => Ok(ScoreScale::Notebook),
        Some(other) => {
            Err(raise(py, "InvalidError", format!("score_scale: '{other}' is not one of definition, notebook")))
        }
    }
}

fn text(said: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<String>> {
    said.get_item(key)?.map(|value| value.extract()).transpose()
}

/// What is said of a network beyond its files; `said` has no key that was not given.
pub fn read(py: Python, said: &Bound<'_, PyDict>) -> PyResult<Said> {
    let given = |key: &str| -> PyResult<std::collections::BTreeMap<String, Given>> {
        let mut all = std::collections::BTreeMap::new();
        let Some(named) = said.get_item(key)? else { return Ok(all) };
        for (name, value) in named.cast_into::<PyDict>()?.iter() {
            let value = match value.extract::<f64>() {
                Ok(number) => Given::Number(number),
                Err(_) => match value.extract::<Vec<f64>>() {
                    Ok(numbers) => Given::Numbers(numbers),
                    Err(_) => Given::parse(&spec(&value)?),
                },
            };
            all.insert(name.extract()?, value);
        }
        Ok(all)
    };
    let process = said.get_item("process")?.map(|process| match process.cast::<Process>() {
        Ok(process) => Ok(process.get().process.clone()),
        Err(_) => Err(raise(py, "InvalidError", "process: expected a Process")),
    });
    let (shape, prediction) = (text(said, "shape")?, text(said, "prediction")?);
    let weights = text(said, "weights")?.unwrap_or_else(|| "f32".into());
    let range: Option<(f64, f64)> = said.get_item("data_range")?.map(|range| range.extract()).transpose()?;
    Ok(Said {
        shape: shape.as_deref().map(Shape::parse).transpose().told(py)?,
        weights: WeightFormat::parse(&weights).told(py)?,
        x: text(said, "x")?,
        label: text(said, "label")?,
        output: text(said, "output")?,
        channels: said.get_item("channels")?.map(|n| n.extract()).transpose()?,
        process: process.transpose()?,
        prediction: prediction.as_deref().map(Prediction::parse).transpose().told(py)?,
        data_range: range.map(|(low, high)| [low, high]),
        conditions: given("conditions")?,
        null: given("null")?,
        guidance: said.get_item("guidance")?.map(|g| g.extract()).transpose()?,
    })
}
