"""Devices: which adapter a field runs on, and what it may take of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from . import _native
from .errors import InvalidError

# How torch and JAX name devices, which no adapter is called.
_ELSEWHERE = ("cuda", "mps", "xpu", "rocm")


def devices() -> list[dict[str, Any]]:
    """Every adapter of this machine, as `vorticity devices --json` has them: a list of dictionaries with index, name, kind, backend,
    driver, usable, limits and features."""
    return json.loads(_native.devices())


class Device:
    """An adapter, opened when it is first needed; one open device for each set of options, shared by everything in a process.

    adapter: its number in `devices()`, "software", or part of its name; a list of these, or "all", for a circulation on several.
    memory: bytes that each plan may take on the device, a number or text such as "4GiB"; by default half of the adapter's own.
    binding: lowers the adapter's limit on how much of a buffer a kernel sees; results stay the same.
    limits: "webgpu" opens the adapter with the least that any browser's adapter has, by default with all that it has.
    tune: "auto" times the variants of the kernels once per GPU, "off" takes the built-in ones, "force" tunes software adapters too, a
        path repeats those of a run's manifest.json.
    attention: "fused", as one kernel without a number of every two pixels in memory, or "apart", as logits, softmax and sums; "auto" takes
        the faster one.
    checked: keep to kernels whose indices are checked as they run.
    """

    __slots__ = ("_native",)

    def __init__(
        self,
        adapter: int | str | Sequence[int | str] | None = None,
        *,
        memory: int | str | None = None,
        binding: int | str | None = None,
        limits: str | None = None,
        tune: str = "auto",
        attention: str = "auto",
        checked: bool = False,
    ) -> None:
        def text(value):
            return None if value is None else str(value)

        for one in adapter if isinstance(adapter, (list, tuple)) else [adapter]:
            if str(one).lower().partition(":")[0] in _ELSEWHERE:
                raise InvalidError(
                    f"adapter: '{one}' is what other programs call a device, expected its number or a part of its name, as "
                    "`vorticity devices` lists them, or software"
                )
        if isinstance(adapter, (list, tuple)):
            adapter = ",".join(str(one) for one in adapter)
        self._native = _native.Device(text(adapter), text(memory), text(binding), text(limits), str(tune), str(attention), bool(checked))

    def describe(self) -> str:
        """Opens it, and says what it is: adapter, back end and driver, a line for each."""
        return "\n".join(self._native.describe())

    def _given(self):
        (adapter, memory, binding, limits), (tune, attention, checked) = self._native.given
        given = {"adapter": adapter, "memory": memory, "binding": binding, "limits": limits}
        given["tune"] = None if tune == "auto" else tune
        given["attention"] = None if attention == "auto" else attention
        given["checked"] = checked or None
        return {key: value for key, value in given.items() if value is not None}

    def __reduce__(self):
        return partial(Device, **self._given()), ()

    def __repr__(self) -> str:
        return f"Device({', '.join(f'{key}={value!r}' for key, value in self._given().items())})"


def native(device: Device | int | str | Sequence[int | str] | None) -> _native.Device | None:
    """What the engine takes for a device; None where none is given."""
    if device is None:
        return None
    if not isinstance(device, Device):
        device = Device(device)
    return device._native
