"""Rotation loops, seconds per evaluation: points, network, sum. Ours as `circulation` does it (start-up and compilation not counted, as
its own log says), PyTorch in the straightforward way, a batch of points at a time."""

import math
import tempfile
from pathlib import Path

import torch

from common import Result, tried, turns
from engines import Eager


def circulation(net, x0: torch.Tensor, a: float, sigma: float, k: int, points: int, batch: int) -> float:
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


def compare(run, network, points: int, batch: int) -> list[Result]:
    k, level, facts = 501, math.sqrt(0.5), {"points": points, "batch": batch}

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            log, _ = run.program.measured(
                Path(folder), "circulation", network, "--data", "data:gaussian?seed=0", "--paths", "rotation", "--timesteps", k,
                "--samples", 1, "--points", points, "--quadrature-check", 0, "--verify-fraction", 0)
            return 1 / log["evaluations_per_second"]

    theirs = {}
    for engine in run.engines:
        if isinstance(engine, Eager):
            ways = engine.forward(network)
            best = tried(engine, ways, network.points(batch))
            if best:
                loop = lambda x0, net=ways[best[0]]: circulation(net, x0, level, level, k, points, batch)  # noqa: E731
                theirs[engine.name] = lambda e=engine, f=loop: min(e.seconds(f, (network.points(1)[0][0],), 1)) / points
    return [Result(f"evaluation in a rotation loop, {network.name}", *turns(run.rounds, ours, theirs), facts)]
