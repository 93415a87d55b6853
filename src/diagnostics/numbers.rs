//! Small arithmetic that measures share. In: vectors, rows of numbers. Out: numbers in f64.

/// Whether all numbers are finite.
pub(crate) fn finite(values: &[f32]) -> bool {
    values.iter().all(|v| v.is_finite())
}

/// The largest of numbers that are not negative; NaN if one of them is.
pub(crate) fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most, v| if most.is_nan() || v <= most { most } else { v })
}

/// x.y in f64.
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}
