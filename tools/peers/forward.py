"""Forward evaluation of a model directory: vorticity and PyTorch, in turns in one run, and their ratio.

    OMP_WAIT_POLICY=passive python tools/peers/forward.py assets/models/mnist --vorticity target/release/vorticity

Each round runs `vorticity bench --json` and then PyTorch at several batch sizes on the same machine, and gives one ratio:
the best of five at our best tile over the best of five at PyTorch's best batch; likewise of the medians. The machine
should be idle otherwise.
"""

import argparse
import statistics

import torch

from common import Model, Peer, Result, Vorticity, parser, peers, show

PICK = {"best": min, "median": statistics.median}
REPEATS = 5


def theirs(peer: Peer, net: torch.nn.Module, model: Model, batch: int) -> dict[str, float]:
    """Seconds per evaluation."""
    x, k = torch.randn(batch, *model.shape, device=peer.device), torch.randint(1000, (batch,), device=peer.device)
    with torch.inference_mode(), peer.settings():
        times = [t / batch for t in peer.seconds(lambda: net(x, k), REPEATS)]
    return {key: choose(times) for key, choose in PICK.items()}


def compare(args: argparse.Namespace, tiles: list[int], batches: list[int]) -> list[Result]:
    model, program, others = Model(args.model), Vorticity(args.vorticity, args.adapter), peers(args.devices)
    nets = {device: model.network(device) for device in {peer.device for peer in others}}
    ours = {key: [] for key in PICK}
    rows = {key: {peer.name: [] for peer in others} for key in PICK}
    facts = {}
    for _ in range(args.rounds):
        costs = []
        for tile in tiles:
            report, cost = program.bench(model, "forward", "--tile", tile, "--rounds", REPEATS)
            costs.append(cost)
            facts = {"adapter": report["adapter"], "kernels": report["kernels"], "tiles": tiles, "batches": batches}
        for key in PICK:
            ours[key].append(min(cost["seconds"][key] for cost in costs))
        for peer in others:
            found = [theirs(peer, nets[peer.device], model, batch) for batch in batches]
            for key in PICK:
                rows[key][peer.name].append(min(f[key] for f in found))
    name = f"forward, {model.path.name}"
    return [Result(f"{name}, {key} of {REPEATS}", ours[key], rows[key], facts) for key in PICK]


def main() -> None:
    p = parser(__doc__, 3)
    p.add_argument("--tiles", type=int, nargs="+", default=[32, 64], help="vorticity's tile sizes")
    p.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64], help="PyTorch's batch sizes")
    args = p.parse_args()
    show(compare(args, args.tiles, args.batches))


if __name__ == "__main__":
    main()
