"""Packages that one thing or another needs and that are not installed with this one. In: a module, what needs it. Out: the module, or an
error that says what to install."""

import importlib

from .errors import missing

# Packages by the extra of this one that installs them.
_EXTRAS = {
    "dask": "scale",
    "jax": "jax",
    "joblib": "scale",
    "matplotlib": "plot",
    "onnx": "torch",
    "onnxscript": "torch",
    "pandas": "frame",
    "torch": "torch",
    "xarray": "xarray",
}


def need(module, what):
    """The module, imported; `what` needs it. Raises MissingDependency if its package is not installed."""
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != package:
            raise  # it is installed, and broken by itself
        raise missing(package, _EXTRAS.get(package, "all"), what) from None
