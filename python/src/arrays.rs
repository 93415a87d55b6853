//! Numbers between NumPy and the library. In: arrays that Python has made float32 (or uint8) and C-contiguous. Out: slices of them,
//! without a copy, and arrays of vectors, without a copy either.
use numpy::{Element, IntoPyArray, PyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use vorticity::data::Images;
use vorticity::shape::Shape;

/// An array of these sizes.
pub fn array<'py, T: Element>(py: Python<'py>, values: Vec<T>, shape: &[usize]) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    values.into_pyarray(py).reshape(shape)
}

/// An array that shows numbers which `owner` holds; it cannot be written to.
///
/// # Safety
/// `owner` keeps the numbers where they are, and unchanged, as long as it lives.
pub unsafe fn shown<'py, T: Element>(
    values: &[T],
    shape: &[usize],
    owner: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let view = ndarray(values, shape)?;
    // Safety: the caller's.
    let array = unsafe { PyArray::borrow_from_array(&view, owner) };
    let array = array.into_any();
    array.call_method1("setflags", (false,))?;
    Ok(array)
}

fn ndarray<'a, T>(values: &'a [T], shape: &[usize]) -> PyResult<numpy::ndarray::ArrayViewD<'a, T>> {
    numpy::ndarray::ArrayViewD::from_shape(shape, values)
        .map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}

/// The numbers of an array that is contiguous.
pub fn slice<'a, T: Element>(array: &'a PyReadonlyArrayDyn<'_, T>) -> PyResult<&'a [T]> {
    Ok(array.as_slice()?)
}

/// `[C, H, W]` of `[N, C, H, W]`.
fn shape_of(dims: &[usize]) -> PyResult<Shape> {
    match dims {
        [_, c, h, w] => Ok(Shape::new(*c, *h, *w)),
        _ => Err(pyo3::exceptions::PyValueError::new_err(format!("shape {dims:?}, expected [N, C, H, W]"))),
    }
}

/// An array as data, if it is one: its shape, and what makes images of it.
pub enum Data<'py> {
    Reals(PyReadonlyArrayDyn<'py, f32>),
    Bytes(PyReadonlyArrayDyn<'py, u8>),
}

impl<'py> Data<'py> {
    /// Nothing of what is no array.
    pub fn of(value: &Bound<'py, PyAny>) -> Option<Self> {
        match value.extract() {
            Ok(reals) => Some(Data::Reals(reals)),
            Err(_) => value.extract().ok().map(Data::Bytes),
        }
    }

    /// Of an image, and how many there are.
    pub fn shape(&self) -> PyResult<(Shape, usize)> {
        let dims = match self {
            Data::Reals(array) => array.shape(),
            Data::Bytes(array) => array.shape(),
        };
        Ok((shape_of(dims)?, dims[0]))
    }

    /// The first so many as images; `range` is that of 8-bit numbers.
    pub fn images(&self, limit: usize, range: [f64; 2]) -> PyResult<vorticity::error::Result<Images>> {
        let (shape, _) = self.shape()?;
        Ok(match self {
            Data::Reals(array) => Images::of_reals(slice(array)?, shape, limit),
            Data::Bytes(array) => Images::of_bytes(slice(array)?, shape, limit, range),
        })
    }
}
