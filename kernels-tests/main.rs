//! Kernels against their f64 twins and against the laws; one module per room.
mod circulation;
mod cli;
mod common;
mod data;
mod golden;
mod ops;
mod paths;
mod report;
mod run;
