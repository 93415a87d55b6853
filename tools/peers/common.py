"""What the comparisons share: networks in PyTorch, its devices, vorticity's own figures, ratios of rounds.

A comparison takes turns: every round times each program once on the same machine and gives one ratio per peer, the time
of vorticity over the peer's. The median of the ratios and their range are what a slow quarter of an hour changes least.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from lucid_net import LucidUnet  # noqa: E402
from mnist_net import ShuffleUNet  # noqa: E402

FAMILIES = {"mnist_shuffle_unet": ShuffleUNet, "lucid_unet": LucidUnet}


@dataclass(frozen=True)
class Peer:
    """PyTorch on a device."""

    name: str
    device: str
    tf32: bool = False

    @contextlib.contextmanager
    def settings(self):
        """TF32 of convolutions and products as asked; what was set before comes back."""
        parts = (torch.backends.cudnn, torch.backends.cuda.matmul)
        before = [part.allow_tf32 for part in parts]
        for part in parts:
            part.allow_tf32 = self.tf32
        try:
            yield
        finally:
            for part, value in zip(parts, before):
                part.allow_tf32 = value

    def seconds(self, run: Callable[[], object], repeats: int) -> list[float]:
        """Of each of several runs, after one to warm up."""
        wait = torch.cuda.synchronize if self.device == "cuda" else lambda: None
        times = []
        for _ in range(repeats + 1):
            wait()
            start = time.perf_counter()
            run()
            wait()
            times.append(time.perf_counter() - start)
        return times[1:]


CPU = Peer("PyTorch CPU", "cpu")
CUDA = [Peer("PyTorch CUDA", "cuda"), Peer("PyTorch CUDA, TF32", "cuda", tf32=True)]


def peers(names: list[str]) -> list[Peer]:
    """Those of the devices that were named and are there; which one is missing is said."""
    found = [CPU] if "cpu" in names else []
    if "cuda" in names:
        if torch.cuda.is_available():
            found += CUDA
        else:
            print("no CUDA here")
    return found


@dataclass
class Model:
    """A model directory, and its network in PyTorch."""

    path: Path
    family: str = field(init=False)
    shape: tuple[int, int, int] = field(init=False)

    def __post_init__(self):
        config = json.loads((self.path / "config.json").read_text())
        self.family, self.hyper = config["family"], config["hyper"]
        if self.family not in FAMILIES:
            sys.exit(f"{self.path}: family {self.family}; the peers know {', '.join(FAMILIES)}")
        channels, side = self.hyper.get("in_channels", self.hyper.get("channels")), self.hyper.get("image_size", 16)
        self.shape = (channels, side, side)

    def network(self, device: str) -> torch.nn.Module:
        net = FAMILIES[self.family](**self.hyper).eval().requires_grad_(False)
        missing, unknown = net.load_state_dict(load_file(self.path / "model.safetensors"), strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or unknown:
            sys.exit(f"{self.path}: tensors {missing} are missing, {unknown} are not the network's")
        return net.to(device)


@dataclass
class Vorticity:
    """The program, and the adapter that it is to use."""

    program: str
    adapter: str | None = None

    def run(self, *arguments) -> str:
        chosen = ["--adapter", self.adapter] if self.adapter else []
        command = [self.program, *map(str, arguments), *chosen]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
        return done.stdout

    def bench(self, model: Model, what: str, *arguments) -> tuple[dict, dict]:
        """The whole document, and the cost of that name."""
        report = json.loads(self.run("bench", model.path, "--what", what, "--json", *arguments))
        return report, next(cost for cost in report["costs"] if cost["what"] == what)


@dataclass
class Result:
    """Seconds by round of one thing, by whom."""

    what: str
    ours: list[float]
    theirs: dict[str, list[float]]
    facts: dict

    def ratios(self, peer: str) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs[peer])]

    def json(self) -> dict:
        ratios = {peer: summary(self.ratios(peer)) for peer in self.theirs}
        facts = self.facts
        return {"what": self.what, "seconds": {"vorticity": self.ours, **self.theirs}, "ratios": ratios, "facts": facts}

    def lines(self) -> list[str]:
        """One per peer."""
        ours, out = statistics.median(self.ours), []
        for peer, times in self.theirs.items():
            s = summary(self.ratios(peer))
            out.append(f"{self.what:<44} {1e3 * ours:>10.3f} {peer:<34} {1e3 * statistics.median(times):>10.3f} "
                       f"{s['median']:>8.3f}  ({s['low']:.3f} to {s['high']:.3f})")
        return out


HEADINGS = f"{'medians of rounds':<44} {'ms':>10} {'peer':<34} {'ms':>10} {'ratio':>8}  (range)"


def summary(ratios: list[float]) -> dict:
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def parser(doc: str, rounds: int) -> argparse.ArgumentParser:
    """The options that all comparisons have."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help=f"model directory of a family among {', '.join(FAMILIES)}")
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--adapter", help="vorticity's, as in `vorticity devices`")
    p.add_argument("--devices", nargs="+", default=["cpu"], choices=["cpu", "cuda"], help="PyTorch's")
    p.add_argument("--rounds", type=int, default=rounds)
    return p


def show(results: list[Result]) -> None:
    facts = results[0].facts
    print(f"adapter {facts['adapter']}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print("\n".join([HEADINGS, *(line for result in results for line in result.lines())]))
