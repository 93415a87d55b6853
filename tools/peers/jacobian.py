"""Sub-Jacobian of a model directory, 64 components of one sample, by columns and by rows: vorticity and PyTorch, in turns in one run.

    OMP_WAIT_POLICY=passive python tools/peers/jacobian.py assets/models/mnist --vorticity target/release/vorticity

Each round times, in seconds per sample: `vorticity bench --what tangents` (a value and its 64 tangents, all columns of
them) and `--what cotangents` (a value and its 64 cotangents, all rows), the authors' way in PyTorch (`vmap(jvp)` in chunks
of 16, sample by sample), and the fastest way known there (reverse mode, `vmap(vjp)` of 64 rows at once). Columns are
compared with either way, rows with reverse mode. Besides: what the bench found a lane with tangents, and a cotangent, to
cost over an evaluation. `--only rows` and `--only columns` time half of that. The machine should be idle otherwise.
"""

import argparse
import math

import torch
from torch.func import jvp, vjp, vmap

from common import Model, Peer, Result, Vorticity, parser, peers, show, summary
from mnist_net import ShuffleUNet, Unit


def shuffled(self, x):
    """A unit's forward pass with the channel shuffle as it is usually written; the same numbers."""
    a, b = x.chunk(2, 1) if self.split else (x, x)
    y = torch.cat([self.branch1(a), self.branch2(b)], 1)
    n, c, h, w = y.shape
    return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


FORWARDS = [Unit.forward, shuffled]

# What the bench makes, and which side of the Jacobian that is.
SIDES = {"tangents": "columns", "cotangents": "rows"}


def best(peer: Peer, net: torch.nn.Module, repeats: int, run) -> float:
    """Seconds of the fastest of several runs; the MNIST network with either way to write it."""
    times = []
    for Unit.forward in FORWARDS if isinstance(net, ShuffleUNet) else FORWARDS[:1]:
        times += peer.seconds(run, repeats)
    return min(times)


def ways(net: torch.nn.Module, model: Model, device: str, components: int, chunk: int) -> dict:
    """The sub-Jacobian by either mode, by name."""
    d = math.prod(model.shape)
    x, k = torch.randn(1, *model.shape, device=device), torch.tensor([500], device=device)
    chosen = torch.randperm(d)[:components].to(device)
    basis = torch.eye(d, device=device)[chosen].view(-1, 1, *model.shape)
    f = lambda x: net(x, k)  # noqa: E731

    def authors() -> torch.Tensor:
        columns = vmap(lambda v: jvp(f, (x,), (v,))[1], chunk_size=chunk)(basis)
        return columns.flatten(1)[:, chosen].T

    def reverse() -> torch.Tensor:
        _, pull = vjp(f, x)
        return vmap(lambda v: pull(v)[0])(basis).flatten(1)[:, chosen]

    return {"authors' way": authors, "reverse mode": reverse}


def compare(args: argparse.Namespace, components: int, chunk: int, samples: int) -> list[Result]:
    model, program, others = Model(args.model), Vorticity(args.vorticity, args.adapter), peers(args.devices)
    nets = {device: model.network(device) for device in {peer.device for peer in others}}
    found = {device: ways(net, model, device, components, chunk) for device, net in nets.items()}
    ours = {what: [] for what, side in SIDES.items() if args.only in (None, side)}
    if args.only == "rows":
        found = {device: {"reverse mode": own["reverse mode"]} for device, own in found.items()}
    over, rows, facts, gaps = {what: [] for what in ours}, {}, {}, {}
    for _ in range(args.rounds):
        lanes = samples * (1 + components)
        for what, times in ours.items():
            report, cost = program.bench(model, what, "--tile", lanes, f"--{what}", components, "--rounds", 5)
            times.append(cost["seconds"]["best"])
            over[what].append(cost["over_forward" if what == "tangents" else "further_over_forward"]["median"])
            facts = {"adapter": report["adapter"], "kernels": report["kernels"], "components": components, "tile": cost["tile"]}
        for peer in others:
            net = nets[peer.device]
            with peer.settings():
                for way, run in found[peer.device].items():
                    rows.setdefault(f"{peer.name}, {way}", []).append(best(peer, net, 3, run))
                made = [run() for run in found[peer.device].values()]
            gaps[peer.name] = ((made[0] - made[-1]).abs().max() / made[0].abs().max()).item()
    facts |= {f"{what}_over_forward": summary(ratios) for what, ratios in over.items()}
    if len(made) > 1:
        facts["two_ways_differ_by"] = gaps
    reverse = {name: times for name, times in rows.items() if name.endswith("reverse mode")}
    return [Result(f"sub-Jacobian of {components}, {SIDES[what]}, {model.path.name}", times,
                   rows if what == "tangents" else reverse, facts) for what, times in ours.items()]


def main() -> None:
    p = parser(__doc__, 6)
    p.add_argument("--components", type=int, default=64)
    p.add_argument("--chunk", type=int, default=16, help="tangents at a time in the authors' way")
    p.add_argument("--samples", type=int, default=2, help="vorticity's samples per tile")
    p.add_argument("--only", choices=list(SIDES.values()), help="one side alone")
    args = p.parse_args()
    results = compare(args, args.components, args.chunk, args.samples)
    show(results)
    facts = results[0].facts
    for what, said in [("tangents", "a lane with tangents"), ("cotangents", "a further cotangent")]:
        if f"{what}_over_forward" in facts:
            print(f"{said} over a forward evaluation: {facts[f'{what}_over_forward']}")
    if "two_ways_differ_by" in facts:
        print(f"the two ways of PyTorch differ, of the largest entry, by {facts['two_ways_differ_by']}")


if __name__ == "__main__":
    main()
