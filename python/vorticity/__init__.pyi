# Made by tools/python_stubs.py from the package's list of names and the engine's table of measures.
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, Literal

from numpy.typing import NDArray

from ._callable import from_callable as from_callable
from ._check import Check as Check
from ._check import check as check
from ._derivatives import jax_jvp as jax_jvp
from ._derivatives import jax_vjp as jax_vjp
from ._derivatives import torch_jvp as torch_jvp
from ._derivatives import torch_vjp as torch_vjp
from ._device import Device as Device
from ._device import devices as devices
from ._field import Field as Field
from ._field import open as open
from ._process import Process as Process
from ._progress import Told as Told
from ._runs import load as load
from ._runs import merge as merge
from ._runs import report as report
from ._sample import sample as sample
from ._torch import from_torch as from_torch
from .errors import AdapterError as AdapterError
from .errors import ArrayError as ArrayError
from .errors import DeviceLostError as DeviceLostError
from .errors import Error as Error
from .errors import FileError as FileError
from .errors import ForkError as ForkError
from .errors import GpuError as GpuError
from .errors import InternalError as InternalError
from .errors import Interrupted as Interrupted
from .errors import InvalidError as InvalidError
from .errors import MissingDependency as MissingDependency
from .errors import OutOfMemoryError as OutOfMemoryError
from .result import Result as Result

__version__: str

def circulation(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    paths: str | Sequence[str] = "brownian,rotation,projection",
    timesteps: int | str | Iterable[int] = "1..1000:10",
    samples: int | None = None,
    points: int = 1000,
    quadrature: Literal["midpoint", "adaptive"] = "midpoint",
    tol: float = 0.001,
    quadrature_check: float = 0.05,
    verify_fraction: float | None = None,
    seed: int = 0,
    tile: int | None = None,
) -> Result:
    """Integrate the field around closed paths (the paper's eq. 4)."""

def curl(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:10",
    components: int | None = None,
    method: Literal["jvp", "fd", "both"] = "jvp",
    sides: Literal["auto", "columns", "rows"] = "auto",
    step: float = 0.03,
    richardson: bool = False,
    verify: int = 4,
) -> Result:
    """Measure the asymmetry of the score's Jacobian at random components (the paper's eq. 5)."""

def asymmetry(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:10",
    estimator: Literal["both", "forward"] | None = None,
    probes: str | int | float = "16",
    verify: int = 4,
) -> Result:
    """Measure how asymmetric the score's whole Jacobian is, by random vectors v (nasym, |A|, |J|, tr J, tr J^2)."""

def map(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:100",
    probes: str | int | float = "32",
    verify: int = 4,
) -> Result:
    """Map where the field turns: r_i = sum_j A_ij^2 of the antisymmetric half of the Jacobian, in the shape of a sample."""

def planes(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:100",
    planes: int | None = None,
    block: int = 2,
    steps: int = 60,
    tolerance: float = 0.001,
    probes: int = 8,
    verify: int = 4,
) -> Result:
    """Find the planes in which the score turns fastest: pairs of pictures, and how fast."""

def spectrum(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:100",
    ends: int | None = None,
    block: int = 2,
    steps: int = 60,
    tolerance: float = 0.001,
    verify: int = 4,
) -> Result:
    """Find the ends of the spectrum of the score's Jacobian, and of the denoiser's."""

def stein(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:10",
    probes: str | int | float | None = None,
    reference: str | PathLike[str] | None = None,
    verify: int = 4,
) -> Result:
    """Apply the Stein operator to the error of the score, e = s - s_theta (the paper's eq. 20, 21, Fig. 4)."""

def lid(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..302:50",
    probes: str | int | float | None = None,
    verify: int = 4,
) -> Result:
    """Estimate the local intrinsic dimension of the data at clean samples: D + sigma^2 (tr J + |s|^2) (FLIPD)."""

def jacobian(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "1..1000:100",
    sides: Literal["auto", "columns", "rows"] = "auto",
    verify: int = 4,
) -> Result:
    """Write the score's full Jacobian, D x D, at noisy samples: for few dimensions."""

def likelihood(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
    samples: int | None = None,
    seed: int = 0,
    timesteps: int | str | Iterable[int] = "0..991:15",
    probes: str | int | float | None = None,
    levels: Literal["8-bit", "16-bit", "continuous"] | None = None,
    continuous: bool = False,
    verify: int = 4,
) -> Result:
    """Measure the likelihood of data under the model's probability-flow ODE, in bits per dimension."""
