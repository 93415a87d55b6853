"""Samples of the distribution whose score a field is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from . import _native
from ._device import Device
from ._device import native as device_of
from ._progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._field import Field
    from ._progress import Told


def sample(
    field: Field,
    n: int,
    *,
    method: str | None = None,
    steps: int = 50,
    seed: int = 0,
    device: Device | int | str | None = None,
    progress: Told = None,
) -> NDArray[np.float32]:
    """Draws n samples by running the noising process backwards from noise.

    Args:
        field: a `Field` that is a score, of one shape.
        n: how many.
        method: "ode" (probability flow, Heun's rule, two evaluations a step; arXiv 2011.13456), "ddim" (deterministic; arXiv 2010.02502)
            or "ddpm" (with fresh noise at every step; arXiv 2006.11239); by default ddim where variance is preserved, else ode.
        steps: noise levels visited, evenly spread over the timesteps.
        seed: seed of the noise.
        device, progress: as for measures.

    Returns:
        float32 [N, C, H, W] in the field's data range (latents are not decoded); samples that are not finite are warned of.

    Raises:
        InvalidError: a field that is no score, steps that there are not.
    """
    with Progress(progress, "sample") as observer:
        x, bad = _native.sample(field._native, n, method, steps, seed, device_of(device), observer)
    if bad:
        warnings.warn(f"{len(bad)} of {n} samples are not finite: {bad[:8]}", stacklevel=2)
    return x
