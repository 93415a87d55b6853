"""The main question in one call: is the field a gradient, as far as can be measured in the time there is?"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from . import _native
from ._device import Device
from ._device import native as device_of
from ._field import Field
from ._measures import _data
from ._progress import Progress, Told
from .errors import InvalidError
from .result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Check:
    """What a check found: the answer, sentences with numbers and errors, and a `Result` for every stage."""

    def __init__(self, plan: dict[str, Any], verdict: dict[str, Any], results: dict[str, Result], out: str | None) -> None:
        #: What was done, as `plan.json` has it; `check(..., plan=)` takes the file of it.
        self.plan = plan
        #: "not a gradient", "indistinguishable from a gradient" or "not decided".
        self.answer: str = verdict["answer"]
        #: For every thing that was measured a dictionary: `what`, `timesteps`, `values`, `errors`, and at which k it is `resolved`,
        #: `not_resolved`, `not_checked`.
        self.found: list[dict[str, Any]] = verdict["found"]
        #: Stage -> `Result`: "circulation", "asymmetry", "planes", "brownian", as far as they were measured.
        self.results = results
        #: The directory, None if nothing was written.
        self.out = out
        self._words: str = verdict["words"]

    def summary(self) -> str:
        """The verdict in sentences."""
        return self._words

    def report(self, page: str | os.PathLike[str], title: str | None = None) -> str:
        """Writes an HTML page of all stages, in one file that needs nothing else; its path. A check with `out` has one already,
        `OUT/page.html`."""
        from ._runs import report

        return report(list(self.results.values()), page, title)

    def __repr__(self) -> str:
        return f"<Check: {self.answer}; {', '.join(self.results)}>"

    def __str__(self) -> str:
        return self._words


def check(
    field: Field,
    data: str | os.PathLike[str] | NDArray[Any],
    *,
    minutes: float | None = None,
    brownian: bool = False,
    samples: int | None = None,
    timesteps: int | str | Iterable[int] | None = None,
    seed: int | None = None,
    plan: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: Device | int | str | None = None,
    progress: Told = None,
) -> Check:
    """Is the field a gradient? Chooses noise levels, loops (rotation, then projection), random vectors for the Jacobian's asymmetry and
    a search for planes; times each on one image, makes a plan that fits the time, and follows it.

    Args:
        field: a `Field`.
        data: clean images: a path as the command line's --data takes it, or an array [N, C, H, W]: float32 in the field's data range, or
            uint8, scaled to it.
        minutes: how long it may take on this device; 2 by default. The plan follows from it.
        brownian: measure brownian loops too, which are rough and seldom decide anything.
        samples: how many images loops are drawn at, from the first, however long that takes; `minutes` then decides how many of them the
            Jacobian's asymmetry and the planes are measured at, and how many noise levels. By default as many as there is time for.
        timesteps: which timesteps k, as every measure has them, however long that takes. By default as many as there is time for.
        seed: of all randomness; 0 by default. It changes no time.
        plan: `plan.json` of another check: the same is measured here, in place of what this device has the time for. The same model
            gives the same bytes, another checkpoint numbers to compare.
        out: directory to create, or that of a check that did not come to its end, which goes on: plan.json, a run directory for every
            stage, verdict.json, page.html. None: nothing is written, and an interruption loses it.
        device: a `Device` or its adapter, in the place of the field's own.
        progress: as every measure has it.

    Returns:
        A `Check`: `answer`, `summary()`, `results`, `plan`.

    Raises:
        InvalidError: minutes that are none; loops that the field cannot be measured on.
        FileError: a plan for another field, other data, or that was asked something else; `out` with anything else in it.
        Interrupted: Ctrl-C; with `out` the same call goes on where it ended.
        ArrayError, AdapterError, OutOfMemoryError, DeviceLostError, GpuError: as every measure.
    """
    if not isinstance(field, Field):
        raise InvalidError(f"field: {type(field).__name__} is given, expected a Field, which vorticity.open makes")
    given = {"samples": samples, "timesteps": timesteps, "seed": seed}
    beside = [name for name, value in {"minutes": minutes, "brownian": brownian or None, **given}.items() if value is not None]
    if plan is not None and beside:
        raise InvalidError(f"plan: given beside {', '.join(beside)}, which a plan has already")
    place = None if out is None else os.fspath(out)
    with Progress(progress, "check") as observer:
        made, verdict, runs = _native.check(
            field._native,
            _data(data),
            given,
            None if minutes is None else float(minutes),
            bool(brownian),
            None if plan is None else os.fspath(plan),
            place,
            device_of(device),
            observer,
        )
    results = {name: Result(run) for name, run in runs}
    return Check(json.loads(made), json.loads(verdict), results, place)
