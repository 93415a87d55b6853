"""Fields: a network or a closed form, evaluated and differentiated."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from . import _native
from ._device import Device
from ._device import native as device_of
from ._process import Process
from .errors import InvalidError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # One number for all points, or one for each.
    Numbers = int | Sequence[int] | NDArray[np.integer[Any]]

# NumPy in, NumPy out; torch in, torch out.
Array = TypeVar("Array")


class Field:
    """A field s(x, k): R^D -> R^D, a score (unit nat/x, x the unit of the data) or whatever its prediction makes of a network.

    Made by `open`, `from_torch`, `from_callable`. Points are x = a x_0 + sigma eps at a timestep k, `[N, C, H, W]` or `[C, H, W]` (of
    shape (D, 1, 1) also vectors, `[N, D]` or `[D]`), NumPy arrays (C-contiguous float32 is read without a copy; float64 is rounded to
    float32) or torch tensors, and results are of the same kind and on the same device. k is a timestep, or one for each point. `sample`
    says, where the network is under several conditions, which sample's condition each point is under.

    The first call of a kind plans and compiles, which takes from a tenth of a second to seconds; the plan is kept. Two threads may call
    at once: they take turns on the device.
    """

    def __init__(self, native: _native.Field, again: Callable[[], Field] | None = None) -> None:
        self._native = native
        # What makes it in another process, if that can be said.
        self._again = again
        self._shape = native.shape
        # How far the engine is from what it was made from, in units of the output's size; None where that was not compared.
        self.agreement: float | None = None

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of a point; None of a field that takes that of its data."""
        return self._shape

    @property
    def name(self) -> str:
        """What it is called: a file, a closed form."""
        return self._native.name

    @property
    def process(self) -> Process:
        """The noising process."""
        return Process(self._native.process)

    @property
    def data_range(self) -> tuple[float, float]:
        """What 0 and 255 of 8-bit images are to it."""
        return self._native.data_range

    @property
    def facts(self) -> dict[str, tuple[str, str]]:
        """What is settled about it: {what: (value, what settled it)}."""
        return {what: (value, source) for what, value, source in self._native.facts}

    @property
    def has_jvp(self) -> bool:
        """Whether J v is known by tangents; else measures take differences."""
        return self._native.has_jvp

    @property
    def has_vjp(self) -> bool:
        """Whether J'u is known."""
        return self._native.has_vjp

    def describe(self) -> dict[str, Any]:
        """What manifests say of it, a dictionary."""
        return json.loads(self._native.describe())

    def __call__(self, x: Array, k: Numbers, *, sample: Numbers | None = None) -> Array:
        """s at x, shaped like x, float32."""
        points, k, sample = self._points(x, k, sample)
        s, _, _ = self._native.products(points.x, k, None, None, sample)
        return points.values(s)

    def jvp(self, x: Array, v: Array, k: Numbers, *, sample: Numbers | None = None) -> tuple[Array, Array]:
        """(s, J v) at x along v, which is shaped like x, or `[N, T, C, H, W]` for T directions of each point. J v is shaped like v;
        J_ij = ds_i/dx_j, unit nat/x^2 for a score. Exact tangents in float32."""
        points, k, sample = self._points(x, k, sample)
        v, shape = points.directions("v", v)
        s, jv, _ = self._native.products(points.x, k, v, None, sample)
        return points.values(s), points.like(jv.reshape(shape))

    def vjp(self, x: Array, u: Array, k: Numbers, *, sample: Numbers | None = None) -> tuple[Array, Array]:
        """(s, J'u) at x from u, which is shaped like x, or `[N, T, C, H, W]` for T cotangents of each point. J'u is shaped like u."""
        points, k, sample = self._points(x, k, sample)
        u, shape = points.directions("u", u)
        s, _, jtu = self._native.products(points.x, k, None, u, sample)
        return points.values(s), points.like(jtu.reshape(shape))

    def jacobian(self, x: Array, k: Numbers, components: Iterable[int] | None = None, *, sample: Numbers | None = None) -> Array:
        """J at x, float32 `[N, D, D]` (`[D, D]` of one point), J_ij = ds_i/dx_j, components in C order; or of these M components alone,
        `[N, M, M]`. Exact tangents, one for each column."""
        points, k, sample = self._points(x, k, sample)
        d = points.x[0].size
        components = list(range(d)) if components is None else [int(c) for c in components]
        if not components:
            raise InvalidError("components: none are given, expected numbers of components")
        if any(not 0 <= c < d for c in components):
            raise InvalidError(f"components: {components}, expected numbers from 0 to below D = {d}")
        j = self._native.jacobian(points.x, k, components, sample)
        return points.back(j[0] if points.single else j)

    def twin(self, x: Array, k: Numbers, v: Array | None = None, *, sample: Numbers | None = None) -> Array | tuple[Array, Array]:
        """s at x in float64 on the CPU, the second opinion of every kernel; with v, shaped like x, (s, J v). Takes its time: a network's
        twin is plain loops, a point after the other."""
        import numpy as np

        from . import _arrays

        points, k, sample = self._points(x, k, sample, np.float64)
        if v is not None:
            v = _arrays.Points("v", v, points.x.shape[1:], np.float64).x
            if v.shape != points.x.shape:
                raise _arrays.ArrayError(f"v: shape {list(v.shape)}, expected that of x, {list(points.x.shape)}")
        s, jv = self._native.twin(points.x, k, v, sample)
        return points.values(s) if jv is None else (points.values(s), points.values(jv))

    def _points(self, x, k, sample, dtype=None):
        from . import _arrays

        points = _arrays.Points("x", x, self._shape, dtype or _arrays.np.float32)
        k = _arrays.wholes("k", k, len(points.x))
        sample = None if sample is None else _arrays.wholes("sample", sample, len(points.x))
        return points, k, sample

    def __reduce__(self):
        if self._again is None:
            raise InvalidError(f"field {self.name}: is made of a module, which only the process that exported it has: make it there anew")
        return self._again, ()

    def __repr__(self) -> str:
        shape = "any shape" if self._shape is None else "x".join(str(n) for n in self._shape)
        return f"<Field {self.name}: {shape}>"


def open(
    model: str | os.PathLike[str],
    *,
    shape: str | Sequence[int] | None = None,
    process: Process | str | os.PathLike[str] | None = None,
    weights: str = "f32",
    score_scale: str = "definition",
    prediction: str | None = None,
    x: str | None = None,
    label: str | None = None,
    output: str | None = None,
    channels: int | None = None,
    data_range: Sequence[float] | None = None,
    conditions: Mapping[str, Any] | None = None,
    null: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    device: Device | int | str | None = None,
) -> Field:
    """Opens a field: a model directory, a folder of diffusers, an ONNX file, or a closed form such as "field:gaussian".

    Args:
        model: path, name in a cache of the Hugging Face hub, or "field:NAME?key=value&..".
        shape: (C, H, W), (H, W), (D,) or "CxHxW", of a closed form, or of a network that leaves its size open; by default that of its data.
        process: a `Process`, what `Process.open` takes, or alphas_cumprod as numbers [T]; of a network whose files say it, the same.
        weights: "f32", or "f16" for weights in half the memory (arithmetic stays float32).
        score_scale: eps-prediction to score: "definition", -eps/sigma, or "notebook", -eps/sigma^2.
        prediction: what an ONNX file's network puts out: "eps", "score", "v", "x0", .. (docs/FORMATS.md); never guessed.
        x, label, output: names of an ONNX file's input x, of the input that is told the noise, of its output; guessed where that is plain.
        channels: how many of the output's first channels are the prediction.
        data_range: (low, high): what 0 and 255 of 8-bit images are to the network; (-1, 1) by default.
        conditions: {name: number, numbers, or "FILE#tensor"}: what a conditional network is told, for all samples or one for each.
        null: what guidance compares with, likewise.
        guidance: g of s_null + g (s_cond - s_null).
        device: a `Device`, or its adapter; the best adapter by default. It is opened when it is first needed.

    Returns:
        A `Field`.

    Raises:
        FileError: a file is missing, damaged, or not what it should be.
        InvalidError: something that is said does not fit the model.
    """
    given = {
        "shape": _shape(shape),
        "process": _process(process),
        "weights": weights,
        "score_scale": score_scale,
        "prediction": prediction,
        "x": x,
        "label": label,
        "output": output,
        "channels": channels,
        "data_range": None if data_range is None else tuple(data_range),
        "conditions": _conditions("conditions", conditions),
        "null": _conditions("null", null),
        "guidance": guidance,
    }
    said = {key: value for key, value in given.items() if value is not None}
    again = partial(open, model, **{**given, "process": process}, device=device)
    return Field(_native.Field.open(os.fspath(model), said, device_of(device)), again)


def _shape(shape):
    """A shape as the engine has it; (D,) are D channels of one pixel, (H, W) one channel."""
    if shape is None or isinstance(shape, str):
        return shape
    sizes = [int(n) for n in shape]
    sizes = {1: [*sizes, 1, 1], 2: [1, *sizes]}.get(len(sizes), sizes)
    return "x".join(str(n) for n in sizes)


def _process(process):
    if process is None:
        return None
    if isinstance(process, (str, os.PathLike)):
        process = Process.open(process)
    elif not isinstance(process, Process):
        process = Process.vp(process)  # alphas_cumprod, of whatever library
    return process._native


def _conditions(name, given):
    if given is None:
        return None
    if not hasattr(given, "items"):
        raise InvalidError(f"{name}: {type(given).__name__} is given, expected a dictionary of conditions by name")

    def value(one):
        if isinstance(one, (str, os.PathLike)):
            return os.fspath(one)
        return one.tolist() if hasattr(one, "tolist") else one

    return {key: value(one) for key, one in given.items()}
