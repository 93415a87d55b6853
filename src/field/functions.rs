//! Functions of somebody's own on batches of points, and what is known of their derivatives. In: points, vectors. Out: numbers; an
//! error where they are not as many as they should be.
use crate::error::{Error, Result};

/// Points where a function is asked for, `N` of them.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a, T> {
    /// `[N, C, H, W]`, C order.
    pub x: &'a [T],
    /// Timestep of each.
    pub ks: &'a [usize],
    /// Its sigma.
    pub sigmas: &'a [f64],
}

/// f at every point, `[N, D]`.
pub type Values<T> = Box<dyn Fn(&Points<T>) -> Result<Vec<T>> + Send + Sync>;

/// J v, or J'u, of f with one vector at every point, `[N, D]` both.
pub type Product<T> = Box<dyn Fn(&Points<T>, &[T]) -> Result<Vec<T>> + Send + Sync>;

/// A function and what is known of its derivatives. A point's value must not depend on the others of its batch.
pub struct Functions<T> {
    /// The function: what the prediction says, such as eps.
    pub values: Values<T>,
    /// J v; none: central differences of the function.
    pub jvp: Option<Product<T>>,
    /// J'u; none: what needs it is refused or found by tangents, and in f64 found by differences.
    pub vjp: Option<Product<T>>,
}

/// Refuses numbers that are not as many as the points have.
pub(super) fn as_many(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid(format!("field {name}"), format!("returned {found} numbers, expected {expected}")))
}
