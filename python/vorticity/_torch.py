"""Fields from torch modules: exported to ONNX in memory, run by the engine, and compared with the module. In: a module, an example of
what it takes, a process. Out: a `Field` that says how far it is from the module."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ._need import need
from .errors import ArrayError, Error, InvalidError, missing

if TYPE_CHECKING:
    import os

    import torch

    from ._device import Device
    from ._field import Field
    from ._process import Process

# How far the engine may be from the module, in units of the root mean square of its output. Both compute in float32, in another
# order: networks of any depth were seen to differ by 1e-6 to 1e-4; a wrong weight, layout or label differs by 1e-1 and more.
BOUND = 1e-3
# The most that one ONNX file without others beside it can hold: a message of protobuf ends at 2 GiB.
MOST = (1 << 31) - (1 << 20)
# What each exporter of torch needs beside it.
EXPORTERS = {"dynamo": ("onnx", "onnxscript"), "legacy": ("onnx",)}


def _installed(package):
    return importlib.util.find_spec(package) is not None


def _exporter(asked):
    """The exporter to use, and the one to name if it fails."""
    if asked not in (None, *EXPORTERS):
        raise InvalidError(f"exporter: '{asked}' is unknown, expected dynamo or legacy")
    absent = []
    for name in [asked] if asked else EXPORTERS:
        absent = [package for package in EXPORTERS[name] if not _installed(package)]
        if not absent:
            return name
    raise missing(absent[0], "torch", "torch's export to ONNX, on which from_torch rests,")


def _only(output):
    """The tensor that a network puts out: itself, `.sample` as diffusers has it, or the first of several."""
    import torch

    if isinstance(output, torch.Tensor):
        return output
    if hasattr(output, "sample") and isinstance(output.sample, torch.Tensor):
        return output.sample
    if isinstance(output, dict) and isinstance(output.get("sample"), torch.Tensor):
        return output["sample"]
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], torch.Tensor):
        return output[0]
    raise ArrayError(f"module: returned {type(output).__name__}, expected a tensor, something with .sample, or a tuple of tensors")


def _bare(module, labelled, rest, named):
    """A module that takes x, and t if it is told one, alone; the rest is fixed."""
    import torch

    class Bare(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = module
            for i, value in enumerate(rest):
                self._hold(f"rest_{i}", value)
            for name, value in named.items():
                self._hold(f"named_{name}", value)

        def _hold(self, name, value):
            if isinstance(value, torch.Tensor):
                self.register_buffer(name, value.detach())
            else:
                setattr(self, name, value)

        def _call(self, *given):
            fixed = [getattr(self, f"rest_{i}") for i in range(len(rest))]
            return _only(self.net(*given, *fixed, **{name: getattr(self, f"named_{name}") for name in named}))

        if labelled:

            def forward(self, x, t):
                return self._call(x, t)

        else:

            def forward(self, x):
                return self._call(x)

    return Bare()


@contextlib.contextmanager
def _evaluating(module):
    """The module as it is measured: not training; each part goes back to what it was."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _in_float32(module):
    """The module itself where it computes in float32, else a copy that does."""
    import copy

    import torch

    tensors = [*module.parameters(), *module.buffers()]
    if any(t.is_complex() for t in tensors):
        raise ArrayError("module: has complex weights, which the engine does not compute with")
    if any(t.is_floating_point() and t.dtype != torch.float32 for t in tensors):
        return copy.deepcopy(module).float(), True
    return module, False


@contextlib.contextmanager
def _quiet():
    """Without what exporters say of packages that are not there and of themselves."""
    log, level = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _exported(bare, given, exporter, opset):
    """The bytes of an ONNX file."""
    import torch

    size = sum(t.numel() * t.element_size() for t in [*bare.parameters(), *bare.buffers()])
    if size > MOST:
        raise InvalidError(
            f"module: has {size} bytes of weights, which one ONNX file cannot hold (2 GiB): export it with "
            "torch.onnx.export(.., external_data=True) and open that with vt.open"
        )
    names = {"input_names": ["x", "t"][: len(given)], "output_names": ["y"], "opset_version": opset}
    try:
        with torch.no_grad(), _quiet():
            if exporter == "legacy":
                file = io.BytesIO()
                torch.onnx.export(bare, given, file, dynamo=False, **names)
                return file.getvalue()
            program = torch.onnx.export(bare, given, dynamo=True, verbose=False, **names)
        for node in program.model.graph:
            node.metadata_props.clear()  # traces of the exporter's stack: more bytes than small weights
        return program.model_proto.SerializeToString()
    except Exception as error:
        other = "legacy" if exporter == "dynamo" else "dynamo"
        said = _reason(error)
        raise Error(
            f"module: torch's exporter to ONNX ({exporter}) failed: {said}; try exporter='{other}', or vt.from_callable, which needs no "
            "export"
        ) from error


def _reason(error):
    """What an exporter says went wrong, in a line: its innermost cause, without colours of terminals."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return (lines[0] if lines else repr(error))[:500]


def _example(example):
    """(x, label or None, further arguments, named ones) of an example, all of one sample."""
    import torch

    named = {}
    example = list(example) if isinstance(example, (tuple, list)) else [example]
    if example and isinstance(example[-1], dict):
        named = example.pop()
    if not example or not isinstance(example[0], torch.Tensor) or example[0].ndim < 2:
        raise ArrayError("example: expected (x, t) or (x, t, .., {name: ..}), x a tensor [N, C, H, W]")
    x, *rest = example
    if not x.dtype.is_floating_point:
        raise ArrayError(f"example: x is of {str(x.dtype).removeprefix('torch.')}, expected a floating-point tensor")
    if not 2 <= x.ndim <= 4:
        raise ArrayError(f"example: x has shape {list(x.shape)}, expected [N, C, H, W] (or [N, D], [N, S, E])")
    label = None
    if rest:
        label = rest.pop(0)
        if not isinstance(label, torch.Tensor):
            label = torch.as_tensor(label)
        label = label.to(x.device).reshape(-1)[:1]
        if label.is_floating_point():
            label = label.float()

    def fixed(value):
        # One row for each of several samples becomes the first sample's; everything else stays whole.
        of_samples = isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == len(x) > 1
        return value[:1] if of_samples else value

    return x[:1].detach().float(), label, [fixed(v) for v in rest], {name: fixed(v) for name, v in named.items()}


def from_torch(
    module: torch.nn.Module,
    example: torch.Tensor | Sequence[Any],
    *,
    process: Process | str | os.PathLike[str],
    prediction: str,
    name: str | None = None,
    data_range: tuple[float, float] = (-1, 1),
    points: int = 4,
    bound: float = BOUND,
    exporter: Literal["dynamo", "legacy"] | None = None,
    opset: int | None = None,
    channels: int | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
) -> Field:
    """A field of a torch module: exported to ONNX in memory, run by the engine on any adapter, compared with the module.

    Args:
        module: `forward(x, t)` that returns a tensor, something with `.sample` (diffusers) or a tuple whose first is meant. It is measured
            in evaluation mode and float32 and stays as it is: of a module in another precision a copy is taken.
        example: (x, t), tensors on the module's device: x `[N, C, H, W]`, t `[N]` as the module takes it. More arguments, and named ones
            in a dictionary at the end, are fixed at what they are here (of tensors with a row for each of several samples: the first row).
        process: a `Process`, or what `Process.open` takes. What t is follows from it, as `field.facts["label"]` says: k, sigma or a time.
        prediction: what the module puts out: "eps", "score", "v", "x0", "denoised", "flow_velocity", "edm_f?sigma_data=0.5", ..
            (docs/FORMATS.md).
        name: for manifests and titles; by default the class's.
        data_range: (low, high): what 0 and 255 of 8-bit images are to the network.
        points: random noisy points, spread over the process's timesteps, at which engine and module are compared. The largest difference
            of an output's component, in units of the root mean square of the module's output at the point, is `field.agreement`. 0 compares
            nothing, and leaves it None.
        bound: the largest agreement that is taken: both compute in float32, in another order, which was seen to make 1e-6 to 1e-4.
        exporter: "dynamo" (needs onnx and onnxscript) or "legacy" (needs onnx); by default the first whose packages are installed.
        opset: of the file; by default the exporter's own.
        channels: how many of the output's first channels are the prediction.
        device: a `Device`, or its adapter; the best adapter by default. The module's own device computes the comparison alone.

    Returns:
        A `Field`.

    Raises:
        MissingDependency: torch, or what its exporter needs, is not installed.
        ArrayError: an example that does not fit. What the module itself raises of it reaches you as it is.
        InvalidError: what the importer refuses, by its node (docs/ONNX.md); a process or prediction that makes no sense.
        Error: the export failed, or engine and module disagree.

    >>> field = vt.from_torch(unet, (x, t), process=vt.Process.from_diffusers(scheduler), prediction="eps")  # doctest: +SKIP
    """
    torch = need("torch", "from_torch")
    from . import _native
    from ._device import native as device_of
    from ._field import Field, _process

    if not isinstance(module, torch.nn.Module):
        raise InvalidError(f"module: is a {type(module).__name__}, expected a torch.nn.Module; functions go to vt.from_callable")
    if not isinstance(points, int) or points < 0:
        raise InvalidError(f"points: {points!r}, expected a whole number from 0")
    if not 0 < bound < 1:
        raise InvalidError(f"bound: {bound!r}, expected a share of the output's size between 0 and 1")
    chosen = _exporter(exporter)
    x, label, rest, named = _example(example)
    module, copied = _in_float32(module)
    rest, named = ([_cast(v, copied) for v in rest], {k: _cast(v, copied) for k, v in named.items()})
    bare = _bare(module, label is not None, rest, named)
    given = (x,) if label is None else (x, label)
    with _evaluating(module):
        bare.eval()  # the older exporter puts it back to what it was
        with torch.no_grad():
            bare(*given)  # what does not fit raises here, as the module says it
        content = _exported(bare, given, chosen, opset)
        said = {"process": _process(process), "prediction": prediction, "x": "x", "output": "y", "data_range": tuple(data_range)}
        said |= {key: value for key, value in (("label", label is not None and "t"), ("channels", channels)) if value}
        field = Field(_native.of_onnx(name or type(module).__name__, content, said, device_of(device)))
        if points:
            field.agreement = _compared(field, bare, x, label, prediction, points)
    if points and not field.agreement <= bound:  # NaN fails too
        raise Error(
            f"module: the engine is {field.agreement:.1e} of the output's size from it at {points} random points, expected at most "
            f"{bound:.0e}: what the export made of it is another function (is it a function of x and t alone, in evaluation mode?)"
        )
    return field


def _cast(value, copied):
    import torch

    return value.float() if copied and isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _of_module(bare, given, label, told, example):
    """The module's output at these points, all at once; as many at a time as the example has where it takes no others."""
    import torch

    def made(points):
        if label is None:
            return bare(points)
        # A label of no axes, or of one, for all.
        shape = (len(points), *label.shape[1:]) if label.ndim and len(label) == example else label.shape
        return bare(points, torch.full(shape, told, dtype=label.dtype, device=label.device))

    with torch.no_grad():
        try:
            return made(given)
        except Exception:
            # A batch that is fixed: points one after the other, or, where the example has several, these.
            return torch.cat([made(part) for part in given.split(example)])


def _compared(field, bare, x, label, prediction, points):
    """The largest difference of the engine's output and the module's, in units of the output's root mean square."""
    import numpy as np
    import torch

    from . import _native

    scaled = prediction.startswith("edm_f")
    rng = np.random.default_rng(0)
    steps = field.process.timesteps
    worst = 0.0
    # Two points at once, where the module takes them: what it makes of one must not depend on the other.
    batch = max(2, x.shape[0])
    sizes = (batch, *x.shape[1:])
    for i in range(points):
        k = int(round((i + 0.5) / points * (steps - 1)))
        a, sigma = field.process.noise(k)
        low, high = field.data_range
        clean = rng.uniform(low, high, size=sizes)
        point = (a * clean + sigma * rng.standard_normal(sizes)).astype(np.float32)
        told, alpha, beta = _native.called(field._native, k)
        # EDM's network sees c_in x, and its alpha is -c_in^2.
        scale = np.sqrt(-alpha) if scaled else 1.0
        score = np.asarray(field(point.reshape(batch, *field.shape), k), np.float64).reshape(batch, -1)
        ours = (score - alpha * point.reshape(score.shape)) / beta
        given = torch.from_numpy((scale * point).astype(np.float32)).to(x.device)
        theirs = _of_module(bare, given, label, told, x.shape[0])
        theirs = theirs.double().cpu().numpy().reshape(batch, -1)[:, : ours.shape[1]]
        size = np.sqrt(np.mean(theirs**2))
        gap = np.abs(ours - theirs).max() / max(size, np.finfo(np.float32).tiny)
        worst = max(worst, float(gap)) if np.isfinite(gap) else float("nan")
        if not np.isfinite(gap):
            break
    return worst
