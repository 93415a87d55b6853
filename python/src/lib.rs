//! What the Python package is made of: fields, processes, devices, measures and their results, each a thin layer over the library.
//! In: Python objects. Out: NumPy arrays, or an exception of `vorticity.errors`. The GIL is free while a device works.
mod arrays;
mod check;
mod closure;
mod command;
mod device;
mod errors;
mod field;
mod fork;
mod leave;
mod measure;
mod onnx;
mod plans;
mod process;
mod products;
mod result;
mod said;
mod sampling;
mod settings;
mod turns;
mod watch;

/// The module as Python sees it.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::check::check;
    #[pymodule_export]
    use crate::closure::closure;
    #[pymodule_export]
    use crate::command::main;
    #[pymodule_export]
    use crate::device::{Device, devices};
    #[pymodule_export]
    use crate::errors::panic;
    #[pymodule_export]
    use crate::field::Field;
    #[pymodule_export]
    use crate::leave::_leave;
    #[pymodule_export]
    use crate::measure::{measures, run};
    #[pymodule_export]
    use crate::onnx::{called, of_onnx};
    #[pymodule_export]
    use crate::process::Process;
    #[pymodule_export]
    use crate::result::{Run, load, merge, report};
    #[pymodule_export]
    use crate::sampling::sample;

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        use pyo3::types::{PyAnyMethods, PyModuleMethods};
        crate::errors::keep_panics_silent();
        crate::leave::loaded();
        let leave = module.getattr("_leave")?;
        module.py().import("atexit")?.call_method1("register", (leave,))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
