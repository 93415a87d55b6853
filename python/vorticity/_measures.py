"""A function for every measure of the engine, made from its table: name, parameters with defaults and units, columns, source."""

import inspect
import json
import os

from . import _native
from ._device import native as device_of
from ._field import Field
from ._progress import Progress
from .errors import InvalidError

TABLE = json.loads(_native.measures())

_SHARED = """\
    field: a `Field`.
    data: clean images: a path as the command line's --data takes it (IDX, NPY, NPZ or safetensors with #tensor, also .gz; a folder of PNG;
        exact samples such as "data:gaussian?seed=0"), or an array [N, C, H, W]: float32 in the field's data range, or uint8, scaled to it.
    out: run directory to create (CSV, NPZ, manifest.json, run_log.json, plots: docs/FORMATS.md), the same to the byte as the command
        line's; until the run is whole it is kept in OUT.partial, from where the same call goes on. None: nothing is written.
    shard: (i, n), or "i/n", counted from 1: every nth sample, from the ith; `out` is then for `merge`.
    device: a `Device` or its adapter, in the place of the field's own.
    progress: None: a bar of tqdm's if it is installed, else lines on standard error after a minute; False: nothing; or a function that is
        called with {"done", "total", "at_most", "seconds", "rate", "left", "predicted"} at most ten times a second. Where
        `at_most` is true, the run may end sooner (adaptive quadrature does): total, left and predicted are then the most that it takes."""

_ERRORS = """\
    ArrayError: data of another type or shape, or not finite.
    InvalidError: a parameter that makes no sense, or does not fit field and data.
    FileError: a file that is missing or damaged; `out` that is in use.
    Interrupted: Ctrl-C; the same call goes on where it ended.
    AdapterError, OutOfMemoryError, DeviceLostError, GpuError: what the device says."""

_KINDS = {
    "count": "int",
    "number": "float",
    "flag": "bool",
    "text": "str | int | float",
    "choice": "str",
    "list": "str | Sequence[str]",
    "timesteps": "int | str | Iterable[int]",
    "file": "str | PathLike",
}


def default(parameter):
    """A parameter's default as Python has it; None where the measure decides."""
    text = parameter["default"]
    if parameter["name"] == "samples":
        return None
    if parameter["kind"] == "flag":
        return False
    if text is None:
        return None
    return {"count": int, "number": float}.get(parameter["kind"], str)(text)


def keyword(parameter):
    """The name of a parameter as a keyword."""
    return parameter["name"].replace("-", "_")


def annotation(parameter):
    """The type of a parameter, in words."""
    if parameter["kind"] == "choice":
        words = ", ".join(repr(word) for word in parameter["words"])
        kind = f"Literal[{words}]"
    else:
        kind = _KINDS[parameter["kind"]]
    return kind if default(parameter) is not None else f"{kind} | None"


def _signature(about):
    keyword_only, either = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("field", either), inspect.Parameter("data", either)]
    parameters += [inspect.Parameter(name, keyword_only, default=None) for name in ("out", "shard", "device", "progress")]
    for parameter in about["parameters"]:
        own = inspect.Parameter(keyword(parameter), keyword_only, default=default(parameter), annotation=annotation(parameter))
        parameters.append(own)
    return inspect.Signature(parameters, return_annotation="Result")


def documentation(about):
    """The docstring of a measure."""
    lines = [about["help"], "", "Args:", _SHARED]
    for parameter in about["parameters"]:
        unit = f", {parameter['unit']}" if parameter["unit"] else ""
        if parameter["name"] == "samples":
            said = "by default all of an array, 256 of a file"
        else:
            said = "by default the measure decides" if default(parameter) is None else f"by default {default(parameter)!r}"
        lines.append(f"    {keyword(parameter)} ({annotation(parameter)}{unit}): {parameter['help']}; {said}.")
    axes = ", ".join(axis["name"] for axis in about["axes"])
    lines += ["", "Returns:", f"    A `Result`. Columns over [{axes}], float64:"]
    lines += [f"    {column['name']} [{column['unit']}]: {column['meaning']}" for column in about["columns"]]
    lines += ["", "Raises:", _ERRORS, "", f"Source: {about['source']}"]
    return "\n".join(lines)


def _shard(shard):
    if isinstance(shard, str):
        number, slash, of = shard.partition("/")
        if not (slash and number.strip().isdigit() and of.strip().isdigit()):
            raise InvalidError(f"shard: '{shard}', expected i/n with i from 1 to n, such as 1/4")
        return int(number), int(of)
    if shard is None:
        return None
    try:
        number, of = shard
        return int(number), int(of)
    except (TypeError, ValueError):
        raise InvalidError(f"shard: {shard!r}, expected (i, n) with i from 1 to n") from None


def _data(data):
    if isinstance(data, (str, os.PathLike)):
        return os.fspath(data)
    from . import _arrays

    return _arrays.images("data", data)


def _function(about):
    signature = _signature(about)
    names = {keyword(parameter): parameter["name"] for parameter in about["parameters"]}

    def measure(field, data, *, out=None, shard=None, device=None, progress=None, **parameters):
        from .result import Result

        unknown = [name for name in parameters if name not in names]
        if unknown:
            raise TypeError(f"{about['name']}() has no parameter '{unknown[0]}', expected one of {', '.join(names)}")
        if not isinstance(field, Field):
            raise InvalidError(f"field: {type(field).__name__} is given, expected a Field, which vorticity.open makes")
        shard = _shard(shard)
        if shard is not None and out is None:
            raise InvalidError("shard: given without out, expected a directory for merge to find")
        given = {names[name]: value for name, value in parameters.items() if value is not None and value is not False}
        with Progress(progress, about["name"]) as observer:
            run = _native.run(
                about["name"],
                field._native,
                _data(data),
                given,
                None if out is None else os.fspath(out),
                shard,
                device_of(device),
                observer,
            )
        return Result(run)

    measure.__name__ = measure.__qualname__ = about["name"]
    measure.__module__ = "vorticity"
    measure.__signature__ = signature
    measure.__doc__ = documentation(about)
    return measure


FUNCTIONS = {about["name"]: _function(about) for about in TABLE}
