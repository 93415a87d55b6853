"""Noising processes: which a and sigma a timestep has, x = a x_0 + sigma eps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import InvalidError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class Process:
    """A noising process: a table of noise levels (a, sigma) for the timesteps k = 0 .. T-1, x = a x_0 + sigma eps.

    Made by `vp`, `ve`, `edm`, `flow`, `from_diffusers`, or `open` (whatever the command line's --process takes).
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Process) -> None:
        if not isinstance(native, _native.Process):
            raise InvalidError(f"process: {type(native).__name__} is given; processes are made by Process.vp, .ve, .edm, .flow, .open")
        self._native = native

    @classmethod
    def vp(cls, alphas_cumprod: ArrayLike, label_scale: float | None = None) -> Process:
        """Variance preserving: a^2 = alphas_cumprod[k], sigma^2 = 1 - a^2 (arXiv 2006.11239). Networks are told the timestep k, or
        label_scale times k (1 / T where they are told t = k / T).

        alphas_cumprod: numbers [T] between 0 and 1, never rising; a tensor, such as `scheduler.alphas_cumprod`, an array or a list.
        """
        return cls(_native.Process.alphas(_numbers("alphas_cumprod", alphas_cumprod), label_scale))

    @classmethod
    def ve(
        cls,
        sigmas: ArrayLike | None = None,
        *,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        timesteps: int | None = None,
    ) -> Process:
        """Variance exploding: a = 1, through these noise levels [T], strictly increasing, in the unit of the data; or from sigma_min to
        sigma_max in geometric progression. Networks are told sigma (arXiv 2011.13456)."""
        keys = {"sigma_min": sigma_min, "sigma_max": sigma_max, "timesteps": timesteps}
        if sigmas is None:
            return cls._kind("ve", keys)
        if any(value is not None for value in keys.values()):
            raise InvalidError("sigmas: given with sigma_min, sigma_max or timesteps, expected either")
        return cls(_native.Process.sigmas(_numbers("sigmas", sigmas)))

    @classmethod
    def edm(cls, **keys: Any) -> Process:
        """Variance exploding with the levels of EDM (arXiv 2206.00364): keys timesteps, sigma_min (0.002), sigma_max (80), rho (7), or
        sigmas; label ("sigma" or "c_noise") is what networks are told."""
        return cls._kind("edm", keys)

    @classmethod
    def flow(cls, **keys: Any) -> Process:
        """Straight lines from data to noise (arXiv 2209.03003), a = 1 - t, sigma = t: keys timesteps or times, direction ("to_noise" or
        "to_data", what is at the network's t = 1), label_scale (networks are told this times t)."""
        return cls._kind("flow", keys)

    @classmethod
    def from_diffusers(cls, scheduler: Any) -> Process:
        """The process that a scheduler of diffusers was made for: the scheduler, or its config."""
        import json

        config = getattr(scheduler, "config", scheduler)
        if hasattr(scheduler, "to_json_string"):
            text = scheduler.to_json_string()  # as it would save it
        else:
            try:
                text = json.dumps(dict(config))
            except (TypeError, ValueError) as error:
                raise InvalidError(f"scheduler: {type(scheduler).__name__} has no config that is JSON: {error}") from None
        return cls(_native.Process.scheduler(text))

    @classmethod
    def open(cls, name: str | os.PathLike[str]) -> Process:
        """What --process takes: a config.json of a model, a scheduler_config.json, the folder of either, a file of the process alone
        (JSON, TOML), or its kind and keys such as "vp?schedule=linear" (docs/FORMATS.md)."""
        return cls(_native.Process.open(os.fspath(name)))

    @classmethod
    def _kind(cls, kind, keys):
        def text(value):
            if hasattr(value, "__iter__") and not isinstance(value, str):
                return ",".join(repr(number) for number in _numbers(kind, value))
            return str(value)

        given = "&".join(f"{key}={text(value)}" for key, value in keys.items() if value is not None)
        return cls(_native.Process.open(f"{kind}?{given}" if given else kind))

    @property
    def timesteps(self) -> int:
        """T, the number of timesteps."""
        return self._native.timesteps

    def noise(self, k: int) -> tuple[float, float]:
        """(a, sigma) at timestep k, float64; sigma in the unit of the data."""
        return self._native.noise(k)

    @property
    def alphas_cumprod(self) -> NDArray[np.float64]:
        """a^2 of every timestep, float64 [T], of a process that preserves variance."""
        import numpy as np

        if not self._native.preserves_variance:
            raise InvalidError(f"alphas_cumprod: this process does not preserve variance: {self._native.describe()}")
        return np.array([a * a for a, _ in self._native.levels()])

    @property
    def levels(self) -> NDArray[np.float64]:
        """(a, sigma) of every timestep, float64 [T, 2]."""
        import numpy as np

        return np.array(self._native.levels())

    def __len__(self) -> int:
        return self.timesteps

    def __reduce__(self):
        return _restored, self._native.state()

    def __repr__(self) -> str:
        return f"<Process: {self._native.describe()} [{self._native.source}]>"


def _restored(config, source):
    return Process(_native.Process.restored(config, source))


def _numbers(name, values):
    import numpy as np

    from ._arrays import floats

    if isinstance(values, (list, tuple, range)):
        try:
            values = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise InvalidError(f"{name}: {values!r:.60}, expected [T], a number for each timestep") from None
    array, _ = floats(name, values, np.float64)
    if array.ndim != 1:
        raise InvalidError(f"{name}: shape {list(array.shape)}, expected [T], a number for each timestep")
    return array.tolist()
