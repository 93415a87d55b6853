"""How far a diffusion model's learned field is from being a gradient, measured on any GPU.

>>> import vorticity as vt
>>> field = vt.open("assets/models/mnist")
>>> result = vt.circulation(field, "digits-idx3-ubyte.gz", samples=8, timesteps=[1, 501, 991])
>>> print(result.text())

What there is: `open`, `from_torch` and `from_callable` make a `Field`; a field is evaluated (`field(x, k)`, `field.jvp`, ..) and measured
(`circulation`, `asymmetry`, ..; every measure has its parameters as keywords, and `help(vt.circulation)` says what they are).
Whatever goes wrong is an exception of `vorticity.errors`. Nothing but NumPy is needed; what needs more says what to install.
"""

import importlib

# Names and where they are: nothing is imported before it is used, so that the command starts at once.
_PLACES = {
    "_field": ("Field", "open"),
    "_callable": ("from_callable",),
    "_check": ("Check", "check"),
    "_process": ("Process",),
    "_device": ("Device", "devices"),
    "_runs": ("load", "merge", "report"),
    "_sample": ("sample",),
    "_derivatives": ("jax_jvp", "jax_vjp", "torch_jvp", "torch_vjp"),
    "_torch": ("from_torch",),
    "result": ("Result",),
    "errors": (
        "AdapterError",
        "ArrayError",
        "DeviceLostError",
        "Error",
        "FileError",
        "ForkError",
        "GpuError",
        "Interrupted",
        "InternalError",
        "InvalidError",
        "MissingDependency",
        "OutOfMemoryError",
    ),
}
# Every other name without an underscore is a measure's, if there is one of that name.
_MEASURES = "_measures"

_WHERE = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name):
    if name == "__version__":
        from . import _native

        return _native.__version__
    if name == "__all__":
        return [*_WHERE, *_functions()]
    if name in _WHERE:
        value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    elif not name.startswith("_") and name in _functions():
        value = _functions()[name]
    else:
        raise AttributeError(f"module 'vorticity' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*_WHERE, *_functions(), "__version__"])


def _functions():
    return importlib.import_module(f".{_MEASURES}", __name__).FUNCTIONS
