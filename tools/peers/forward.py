"""Forward evaluation of an MNIST model directory: vorticity and PyTorch (CPU), in turns in one run, and their ratio.

    OMP_WAIT_POLICY=passive python tools/peers/forward.py assets/models/mnist --vorticity target/release/vorticity

Each round runs `vorticity bench --json` and then PyTorch at several batch sizes on the same machine, and gives one ratio:
the best of five at our best tile over the best of five at PyTorch's best batch. The median of the rounds' ratios and
their range are what a slow or fast quarter of an hour changes least. The machine should be idle otherwise.
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

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_mnist import ShuffleUNet  # noqa: E402


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--tiles", type=int, nargs="+", default=[32, 64], help="vorticity's tile sizes")
    p.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64], help="PyTorch's batch sizes")
    p.add_argument("--rounds", type=int, default=3)
    args = p.parse_args()

    net = ShuffleUNet(**json.loads((args.model / "config.json").read_text())["hyper"]).eval()
    net.load_state_dict(load_file(args.model / "model.safetensors"), strict=False)  # without num_batches_tracked
    ours, theirs, adapter = {t: [] for t in args.tiles}, {b: [] for b in args.batches}, ""
    for _ in range(args.rounds):
        for tile in args.tiles:
            command = [args.vorticity, "bench", str(args.model), "--tile", str(tile), "--rounds", "5", "--json"]
            report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            adapter = report["adapter"]
            ours[tile].append(report["seconds_per_evaluation"])
        for batch in args.batches:
            x, k = torch.randn(batch, 1, 28, 28), torch.randint(1000, (batch,))
            times = []
            with torch.no_grad():
                net(x, k)
                for _ in range(5):
                    start = time.perf_counter()
                    net(x, k)
                    times.append((time.perf_counter() - start) / batch)
            theirs[batch].append({"best": min(times), "median": statistics.median(times)})

    print(f"adapter {adapter}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads; {args.rounds} rounds")
    pick = {"best": min, "median": statistics.median}
    for name, size, table in [("vorticity", "tile", ours), ("PyTorch", "batch", theirs)]:
        for n, rounds in table.items():
            ms = {key: 1e3 * choose(r[key] for r in rounds) for key, choose in pick.items()}
            print(f"{name:<10} {size} {n:>4}: {ms['best']:7.2f} ms per evaluation (best), {ms['median']:7.2f} (median)")
    for key in pick:
        best = [[min(r[i][key] for r in table.values()) for i in range(args.rounds)] for table in (ours, theirs)]
        ratios = sorted(a / b for a, b in zip(*best))
        print(f"ratio of {key}s, median of {args.rounds} rounds: {statistics.median(ratios):.2f}"
              f" ({ratios[0]:.2f} to {ratios[-1]:.2f}); of all rounds together: {pick[key](best[0]) / pick[key](best[1]):.2f}")


if __name__ == "__main__":
    main()
