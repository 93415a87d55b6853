//! Tensors of the host, of any rank: what constants are folded with, what depends on the label alone is computed with, and
//! what an imported network is compared with. Floating-point numbers are f64 with a derivative along one tangent.
use crate::dual::Dual;
use crate::error::{Error, Result};

/// Numbers in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Outermost axis first; empty for a single number.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub data: Data,
}

/// Numbers of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Of every floating-point type.
    Float(Vec<Dual>),
    /// Of every integer type.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Data {
    /// As messages call it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Data::Float(_) => "floating-point numbers",
            Data::Int(_) => "integers",
            Data::Bool(_) => "truth values",
        }
    }
}

/// Numbers in a tensor of this shape; an error where they cannot be counted.
pub fn count(shape: &[usize]) -> Result<usize> {
    // Without axes of none, so that steps along the others can be counted too.
    let product = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    let fits = product.is_some_and(|n| n <= isize::MAX as usize / 16) && shape.iter().all(|d| *d <= MOST_ALONG);
    match fits {
        true => Ok(shape.iter().product()),
        false => {
            let shown = &shape[..shape.len().min(8)];
            Err(Error::invalid("shape", format!("{shown:?} is too large")))
        }
    }
}

/// Numbers along an axis.
pub const MOST_ALONG: usize = i32::MAX as usize;

/// Steps between neighbours along each axis, in numbers.
pub fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i] as isize;
    }
    strides
}

/// Where the numbers of a tensor of this shape lie, in C order, if neighbours along each axis are so far apart.
pub fn places(shape: &[usize], strides: &[isize], first: isize) -> Vec<usize> {
    let mut places = vec![first];
    for (&n, &step) in shape.iter().zip(strides) {
        places = places.iter().flat_map(|&at| (0..n as isize).map(move |i| at + i * step)).collect();
    }
    places.into_iter().map(|at| at as usize).collect()
}

/// The shape that both are stretched to (NumPy's rule); none if they do not fit.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (m, n) if m == n || n == 1 => Some(m),
            (1, n) => Some(n),
            _ => None,
        })
        .collect()
}

impl Tensor {
    /// Of the same shape and kind, with these numbers.
    pub(super) fn with(&self, numbers: &[f64]) -> Self {
        let data = match &self.data {
            Data::Float(_) => Data::Float(numbers.iter().map(|&v| Dual::constant(v)).collect()),
            Data::Int(_) => Data::Int(numbers.iter().map(|&v| v as i64).collect()),
            Data::Bool(_) => Data::Bool(numbers.iter().map(|&v| v != 0.0).collect()),
        };
        Self { shape: self.shape.clone(), data }
    }

    /// Of floating-point numbers, which the caller counted.
    pub fn float(shape: impl Into<Vec<usize>>, values: Vec<Dual>) -> Self {
        Self { shape: shape.into(), data: Data::Float(values) }
    }

    /// Of integers.
    pub fn int(shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Self {
        Self { shape: shape.into(), data: Data::Int(values) }
    }

    /// Of truth values.
    pub fn bool(shape: impl Into<Vec<usize>>, values: Vec<bool>) -> Self {
        Self { shape: shape.into(), data: Data::Bool(values) }
    }

    /// One number.
    pub fn number(value: f64) -> Self {
        Self::float([], vec![Dual::constant(value)])
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Float(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its floating-point numbers.
    pub fn floats(&self) -> Result<&[Dual]> {
        match &self.data {
            Data::Float(v) => Ok(v),
            other => Err(Error::invalid("input", format!("{}, expected floating-point numbers", other.kind()))),
        }
    }

    /// Its integers.
    pub fn ints(&self) -> Result<&[i64]> {
        match &self.data {
            Data::Int(v) => Ok(v),
            other => Err(Error::invalid("input", format!("{}, expected integers", other.kind()))),
        }
    }

    /// Its truth values.
    pub fn bools(&self) -> Result<&[bool]> {
        match &self.data {
            Data::Bool(v) => Ok(v),
            other => Err(Error::invalid("input", format!("{}, expected truth values", other.kind()))),
        }
    }

    /// The one number of a tensor that has one, perhaps moving.
    pub fn moving(&self) -> Result<Dual> {
        match &self.data {
            Data::Float(v) if v.len() == 1 => Ok(v[0]),
            Data::Int(v) if v.len() == 1 => Ok(Dual::constant(v[0] as f64)),
            _ => Err(Error::invalid("input", format!("of shape {:?}, expected one number", self.shape))),
        }
    }

    /// The one integer of a tensor that has one.
    pub fn whole(&self) -> Result<i64> {
        match self.ints()? {
            [n] => Ok(*n),
            _ => Err(Error::invalid("input", format!("of shape {:?}, expected one number", self.shape))),
        }
    }

    /// `moving` where it must stand still.
    pub fn one(&self) -> Result<f64> {
        match self.moving()? {
            Dual { v, d: 0.0 } => Ok(v),
            _ => Err(Error::invalid("input", "depends on x, expected a number that does not")),
        }
    }

    /// The numbers at these places, in another shape.
    pub fn at(&self, shape: impl Into<Vec<usize>>, places: &[usize]) -> Self {
        let data = match &self.data {
            Data::Float(v) => Data::Float(places.iter().map(|&i| v[i]).collect()),
            Data::Int(v) => Data::Int(places.iter().map(|&i| v[i]).collect()),
            Data::Bool(v) => Data::Bool(places.iter().map(|&i| v[i]).collect()),
        };
        Self { shape: shape.into(), data }
    }

    /// The same numbers in another shape.
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), data: self.data.clone() }
    }

    /// Axis i is axis `order[i]` of this one.
    pub fn permuted(&self, order: &[usize]) -> Self {
        let (shape, steps) = (&self.shape, strides(&self.shape));
        let (shape, steps): (Vec<_>, Vec<_>) = order.iter().map(|&i| (shape[i], steps[i])).unzip();
        let places = places(&shape, &steps, 0);
        self.at(shape, &places)
    }

    /// Stretched to a shape, which `broadcast` found.
    pub fn stretched(&self, shape: &[usize]) -> Self {
        if self.shape == shape {
            return self.clone();
        }
        let own = strides(&self.shape);
        let first = shape.len() - self.shape.len();
        let step = |i: usize| if i < first || self.shape[i - first] == 1 { 0 } else { own[i - first] };
        let steps: Vec<isize> = (0..shape.len()).map(step).collect();
        self.at(shape, &places(shape, &steps, 0))
    }
}

/// The axis that a number of a file names, counted from the end where it is negative.
pub fn axis(axis: i64, rank: usize) -> Result<usize> {
    let at = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let at = at.and_then(|a| usize::try_from(a).ok()).filter(|a| *a < rank);
    at.ok_or_else(|| Error::invalid("axis", format!("{axis} of a tensor of {rank} axes")))
}
