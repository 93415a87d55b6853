"""Rotation loops of an MNIST model directory: vorticity and PyTorch (CPU), in turns in one run, evaluations per second.

    OMP_WAIT_POLICY=passive python tools/peers/loops.py assets/models/mnist --vorticity target/release/vorticity

Both make the loop's points, evaluate the network and sum s.d: vorticity as `circulation` does it (start-up and compilation
not counted, as its own run log says), PyTorch in the straightforward way, --batch points at a time. Each round gives one
ratio of times; the median and the range of the rounds are printed. The machine should be idle otherwise.
"""

import argparse
import gzip
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_mnist import ShuffleUNet  # noqa: E402


def circulation(net: torch.nn.Module, x0: torch.Tensor, a: float, sigma: float, k: int, points: int, batch: int) -> float:
    """Midpoint sum of one rotation loop about a x_0; pairs of components are neighbours of a random permutation."""
    eps, order = torch.randn_like(x0).flatten(), torch.randperm(x0.numel())
    turned = torch.empty_like(eps)
    turned[order[0::2]], turned[order[1::2]] = eps[order[1::2]], -eps[order[0::2]]
    total = 0.0
    for first in range(0, points, batch):
        u = 2 * math.pi * torch.arange(first, min(first + batch, points) + 1) / points
        nodes = a * x0.flatten() + sigma * (torch.cos(u)[:, None] * eps + torch.sin(u)[:, None] * turned)
        middle, step = (nodes[1:] + nodes[:-1]) / 2, nodes[1:] - nodes[:-1]
        score = -net(middle.view(-1, *x0.shape), torch.full((len(middle),), k)).flatten(1) / sigma
        total += (score * step).sum().item()
    return total


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--data", type=Path, default=Path("assets/data/mnist-test-256-idx3-ubyte.gz"))
    p.add_argument("--points", type=int, default=640)
    p.add_argument("--batch", type=int, default=64, help="PyTorch's batch size")
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()

    net = ShuffleUNet(**json.loads((args.model / "config.json").read_text())["hyper"]).eval()
    net.load_state_dict(load_file(args.model / "model.safetensors"), strict=False)  # without num_batches_tracked
    pixels = np.frombuffer(gzip.decompress(args.data.read_bytes()), np.uint8, 784, 16).astype(np.float32)
    x0, k = torch.from_numpy(pixels.reshape(1, 28, 28) / 127.5 - 1), 501
    level = lambda q: math.cos((q / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2  # noqa: E731
    bar = math.prod(1 - min(1 - level(q + 1) / level(q), 0.999) for q in range(k + 1))
    rates = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            command = [args.vorticity, "circulation", args.model, "--data", args.data, "--paths", "rotation", "--quiet",
                       "--timesteps", k, "--samples", 1, "--points", args.points, "--quadrature-check", 0,
                       "--verify-fraction", 0, "--out", out]
            subprocess.run([str(c) for c in command], check=True)
            ours = json.loads((out / "run_log.json").read_text())["evaluations_per_second"]
        with torch.inference_mode():
            circulation(net, x0, bar**0.5, (1 - bar) ** 0.5, k, args.batch, args.batch)  # warm
            start = time.perf_counter()
            circulation(net, x0, bar**0.5, (1 - bar) ** 0.5, k, args.points, args.batch)
            theirs = args.points / (time.perf_counter() - start)
        rates.append((ours, theirs))
        print(f"vorticity {ours:7.1f} evaluations/s, PyTorch {theirs:7.1f}", flush=True)
    ratios = sorted(b / a for a, b in rates)
    print(f"time, vorticity / PyTorch: median {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
