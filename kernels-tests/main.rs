//! Kernels against their f64 twins and against the laws; one module per room.
mod common;
mod golden;
mod ops;
mod paths;
