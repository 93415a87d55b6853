"""Sub-Jacobian of an MNIST model directory, 64 input components of one sample: vorticity and PyTorch (CPU), in turns in one run.

    OMP_WAIT_POLICY=passive python tools/peers/jacobian.py assets/models/mnist --vorticity target/release/vorticity

Each round times, in seconds per sample: `vorticity bench --tangents 64` (a value and its 64 tangents, all columns of them),
the authors' way in PyTorch (`vmap(jvp)` in chunks of 16, sample by sample), and the fastest way known there (reverse mode,
`vmap` over 64 rows). The medians of the rounds' ratios and their ranges are printed, and what the bench found a lane with
tangents to cost over one without. The machine should be idle otherwise.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.func import jvp, vjp, vmap

sys.path.insert(0, str(Path(__file__).parents[1]))
from mnist_net import ShuffleUNet, Unit  # noqa: E402


def shuffled(self, x):
    """A unit's forward pass with the channel shuffle as it is usually written; the same numbers."""
    a, b = x.chunk(2, 1) if self.split else (x, x)
    y = torch.cat([self.branch1(a), self.branch2(b)], 1)
    n, c, h, w = y.shape
    return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


FORWARDS = [Unit.forward, shuffled]


def best(repeats: int, run) -> float:
    """Seconds of the fastest of several runs with either way to write the network, each after one to warm up."""
    times = []
    for Unit.forward in FORWARDS:
        run()
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--components", type=int, default=64)
    p.add_argument("--chunk", type=int, default=16, help="tangents at a time in the authors' way")
    p.add_argument("--samples", type=int, default=2, help="vorticity's samples per tile")
    p.add_argument("--rounds", type=int, default=6)
    args = p.parse_args()

    net = ShuffleUNet(**json.loads((args.model / "config.json").read_text())["hyper"]).eval()
    net.load_state_dict(load_file(args.model / "model.safetensors"), strict=False)  # without num_batches_tracked
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    x, k = torch.randn(1, 1, 28, 28), torch.tensor([500])
    chosen = torch.randperm(784)[: args.components]
    basis = torch.eye(784)[chosen].view(-1, 1, 1, 28, 28)
    f = lambda x: net(x, k)  # noqa: E731

    def authors() -> torch.Tensor:
        columns = vmap(lambda v: jvp(f, (x,), (v,))[1], chunk_size=args.chunk)(basis)
        return columns.flatten(1)[:, chosen].T

    def reverse() -> torch.Tensor:
        _, pull = vjp(f, x)
        return vmap(lambda v: pull(v)[0])(basis).flatten(1)[:, chosen]

    gap = (authors() - reverse()).abs().max() / authors().abs().max()
    lanes = args.samples * (1 + args.components)

    command = [args.vorticity, "bench", args.model, "--tile", lanes, "--tangents", args.components, "--rounds", 5, "--json"]
    rows, adapter = [], ""
    for _ in range(args.rounds):
        ours = json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout)
        adapter = ours["adapter"]
        row = {
            "vorticity": ours["seconds_per_sample"]["best"],
            "authors": best(3, authors),
            "reverse": best(3, reverse),
        }
        rows.append(row | {"lane": ours["over_forward"]})
        shown = "  ".join(f"{name} {seconds:.4f} s" for name, seconds in row.items())
        print(f"{shown}  lane over forward {ours['over_forward']:.3f}", flush=True)

    print(f"adapter {adapter}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads; {args.components} components")
    print(f"PyTorch's two ways differ by {gap:.1e} of the largest entry")
    ratios = {f"{way} / vorticity": [r[way] / r["vorticity"] for r in rows] for way in ("authors", "reverse")}
    for name, found in (ratios | {"lane over forward": [r["lane"] for r in rows]}).items():
        print(f"{name:<24} median {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")


if __name__ == "__main__":
    main()
