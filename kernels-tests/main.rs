//! Kernels against their f64 twins and against the laws; one module per room.
mod paths;
