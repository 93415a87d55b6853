//! The command line, for the program that the wheel installs. In: arguments, the program's name first. Out: the exit code.
use crate::errors::guard;
use pyo3::prelude::*;
use std::ffi::OsString;
use vorticity::cli;

/// Does what the arguments say.
#[pyfunction]
pub fn main(py: Python, arguments: Vec<OsString>) -> PyResult<i32> {
    guard(py, || Ok(py.detach(|| cli::main(&arguments))))
}
