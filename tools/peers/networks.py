"""The networks that are timed, for vorticity and for its peers.

    network("mnist", program, work) -> Network

What is not in the repository is made in the folder `work`: the CIFAR-10 latent network of random weights, ONNX files of all
networks, by PyTorch's exporter. The terrain network is a directory that `tools/published/terrain` writes.
"""

import json
import sys
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from common import Vorticity

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from lucid_net import LucidUnet  # noqa: E402
from mnist_net import ShuffleUNet  # noqa: E402

FAMILIES = {"mnist_shuffle_unet": ShuffleUNet, "lucid_unet": LucidUnet}
KINDS = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


@dataclass
class Network:
    """One network: what vorticity opens, in PyTorch if it is known there, as an ONNX file."""

    name: str
    path: Path
    shape: tuple[int, ...]
    work: Path
    make: Callable[[], torch.nn.Module] | None = None
    modules: dict = field(default_factory=dict)

    @property
    def has_module(self) -> bool:
        return self.make is not None

    def module(self, device: str) -> torch.nn.Module:
        if device not in self.modules:
            self.modules[device] = self.make().eval().requires_grad_(False).to(device)
        return self.modules[device]

    def onnx(self) -> Path:
        """The file itself, or what PyTorch exports, checked against it; made once."""
        if self.path.suffix == ".onnx":
            return self.path
        file = self.work / f"{self.name}.onnx"
        if not file.exists():
            exported(self.module("cpu"), self.shape, file)
        return file

    def feeds(self, ports: list, x: np.ndarray, k: np.ndarray) -> dict[str, np.ndarray]:
        """What onnxruntime is given. Conditions are ones: no time depends on them."""
        file = self.path.with_suffix(".toml")
        facts = tomllib.loads(file.read_text()) if self.path.suffix == ".onnx" else {"x": "x", "label": "t"}
        found = {}
        for port in ports:
            shape = [len(x) if i == 0 else size for i, size in enumerate(port.shape)]
            given = {facts["x"]: x, facts.get("label"): k}.get(port.name, np.ones(1))
            found[port.name] = np.broadcast_to(given, shape if given is not x else x.shape).astype(KINDS[port.type])
        return found

    def points(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Random x and timesteps: no time depends on them."""
        draw = np.random.default_rng(0)
        return draw.standard_normal((count, *self.shape)).astype(np.float32), draw.integers(100, 900, count)


def exported(net: torch.nn.Module, shape: tuple[int, ...], file: Path) -> None:
    """Writes the ONNX file of a network, with a batch of any size, and says how far onnxruntime's values are from PyTorch's."""
    from export_onnx import Positional, checked, export

    given = (torch.randn(2, *shape), torch.tensor([100, 900]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export(Positional(net).eval(), given, file, False, None, True)
    print(f"{file}: {checked(net, given, file):.1e} from PyTorch", flush=True)


def directory(name: str, path: Path, work: Path) -> Network:
    """Of a model directory."""
    config = json.loads((path / "config.json").read_text())
    family, hyper = config["family"], config["hyper"]
    if family not in FAMILIES:
        sys.exit(f"{path}: family {family}; the peers know {', '.join(FAMILIES)}")

    def make() -> torch.nn.Module:
        net = FAMILIES[family](**hyper)
        weights = {key: value.float() for key, value in load_file(path / "model.safetensors").items()}
        missing, unknown = net.load_state_dict(weights, strict=False)
        missing = [key for key in missing if not key.endswith("num_batches_tracked")]
        if missing or unknown:
            sys.exit(f"{path}: tensors {missing} are missing, {unknown} are not the network's")
        return net

    side = hyper.get("image_size", 16)
    return Network(name, path, (hyper.get("in_channels", hyper.get("channels")), side, side), work, make)


def imported(name: str, work: Path) -> Network:
    """A network of `nets`, as an ONNX file of random weights."""
    from export_onnx import described
    from nets import NETS

    net, shape = NETS[name]()
    file = work / name / "model.onnx"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        facts = {"x": "x", "label": "t", "output": "y", "shape": list(shape), "prediction": "eps", "data_range": [-1.0, 1.0],
                 "process": {"kind": "vp", "schedule": "cosine", "timesteps": 1000}}
        file.with_suffix(".toml").write_text(described(facts, {"made": "tools/peers/nets.py, random weights"}))
        exported(net, shape, file)
    return Network(name, file, shape, work, lambda: net)


def terrain(path: Path, work: Path) -> Network:
    """What `tools/published/terrain` wrote."""
    file = path / "model.onnx"
    if not file.exists():
        sys.exit(f"{path}: no model.onnx there; tools/published/terrain {path} writes it")
    return Network("terrain", file, (1, 128, 128), work)


def network(name: str, program: Vorticity, work: Path) -> Network:
    """By the name that rows have for it; made where it has to be."""
    if name == "mnist":
        return directory(name, ROOT / "assets/models/mnist", work)
    if name == "c10":
        if not (work / name).exists():
            program.run("init", "lucid_unet", "--config", "cifar10-latent", "--seed", 1, "--out", work / name)
        return directory(name, work / name, work)
    return terrain(work / name, work) if name == "terrain" else imported(name, work)
