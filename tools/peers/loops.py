"""Rotation loops of a model directory: vorticity and PyTorch, in turns in one run, seconds per evaluation.

    OMP_WAIT_POLICY=passive python tools/peers/loops.py assets/models/mnist --vorticity target/release/vorticity

Both make the loop's points, evaluate the network and sum s.d: vorticity as `circulation` does it (start-up and compilation
not counted, as its own run log says), PyTorch in the straightforward way, --batch points at a time. The clean image is of
random numbers: no time depends on them. The machine should be idle otherwise.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import torch

from common import Model, Result, Vorticity, parser, peers, show


def circulation(net: torch.nn.Module, x0: torch.Tensor, a: float, sigma: float, k: int, points: int, batch: int) -> float:
    """Midpoint sum of one rotation loop about a x_0; pairs of components are neighbours of a random permutation."""
    eps, order = torch.randn_like(x0).flatten(), torch.randperm(x0.numel(), device=x0.device)
    turned = torch.empty_like(eps)
    turned[order[0::2]], turned[order[1::2]] = eps[order[1::2]], -eps[order[0::2]]
    total = torch.zeros((), device=x0.device)
    for first in range(0, points, batch):
        u = 2 * math.pi * torch.arange(first, min(first + batch, points) + 1, device=x0.device) / points
        nodes = a * x0.flatten() + sigma * (torch.cos(u)[:, None] * eps + torch.sin(u)[:, None] * turned)
        middle, step = (nodes[1:] + nodes[:-1]) / 2, nodes[1:] - nodes[:-1]
        ks = torch.full((len(middle),), k, device=x0.device)
        score = -net(middle.view(-1, *x0.shape), ks).flatten(1) / sigma
        total += (score * step).sum()
    return total.item()


def compare(args: argparse.Namespace, points: int, batch: int) -> list[Result]:
    model, program, others = Model(args.model), Vorticity(args.vorticity, args.adapter), peers(args.devices)
    nets = {device: model.network(device) for device in {peer.device for peer in others}}
    k, level = 501, math.sqrt(0.5)
    ours, rows, adapter = [], {peer.name: [] for peer in others}, ""
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            program.run("circulation", model.path, "--data", "data:gaussian?seed=0", "--paths", "rotation", "--quiet",
                        "--timesteps", k, "--samples", 1, "--points", points, "--quadrature-check", 0,
                        "--verify-fraction", 0, "--out", out)
            ours.append(1 / json.loads((out / "run_log.json").read_text())["evaluations_per_second"])
            adapter = json.loads((out / "manifest.json").read_text())["adapter"]
        for peer in others:
            x0 = torch.randn(model.shape, device=peer.device)
            with torch.inference_mode(), peer.settings():
                loop = lambda: circulation(nets[peer.device], x0, level, level, k, points, batch)  # noqa: E731
                rows[peer.name].append(peer.seconds(loop, 1)[0] / points)
    facts = {"adapter": adapter, "points": points, "batch": batch}
    return [Result(f"evaluation in a rotation loop, {model.path.name}", ours, rows, facts)]


def main() -> None:
    p = parser(__doc__, 5)
    p.add_argument("--points", type=int, default=640)
    p.add_argument("--batch", type=int, default=64, help="PyTorch's batch size")
    args = p.parse_args()
    show(compare(args, args.points, args.batch))


if __name__ == "__main__":
    main()
