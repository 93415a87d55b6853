"""How the cost of a circulation grows with samples, points and timesteps: a line through measured times, and how far off it is.

    python tools/linearity.py assets/models/mnist --vorticity target/release/vorticity [--json FILE]

For each of the three quantities the others stay fixed and it takes several values, a whole `vorticity circulation` run each,
in an order that goes up and down again with every round, so that a drift of the machine does not pass for a slope. Times
are the program's own (start-up and compilation not counted). Fitted by least squares to the medians: seconds = intercept +
slope x. Linear means: R^2 close to 1, the worst deviation within the spread of the rounds, an intercept small beside the
times, and a power close to 1 (least squares of the logarithms). Needs Python alone.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def seconds(args: argparse.Namespace, samples: int, points: int, timesteps: int) -> float:
    """Of one run over loops of the path `rotation`."""
    first, step = 1, 990 // max(timesteps - 1, 1)
    ks = ",".join(str(first + i * step) for i in range(timesteps))
    with tempfile.TemporaryDirectory() as folder:
        command = [args.vorticity, "circulation", args.model, "--data", "data:gaussian?seed=0", "--paths", "rotation",
                   "--samples", samples, "--points", points, "--timesteps", ks, "--quadrature-check", 0,
                   "--verify-fraction", 0, "--tile", args.tile, "--json", "--yes", "--out", Path(folder) / "run"]
        command += ["--adapter", args.adapter] if args.adapter else []
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"exit code {done.returncode} of {command}")
        return json.loads(done.stdout)["seconds"]


def line(x: list[float], y: list[float]) -> dict:
    """Least squares; the worst deviation is relative to the line."""
    mx, my = statistics.fmean(x), statistics.fmean(y)
    slope = sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)
    intercept = my - slope * mx
    fitted = [intercept + slope * a for a in x]
    rest = sum((b - f) ** 2 for b, f in zip(y, fitted))
    worst = max(abs(b - f) / f for b, f in zip(y, fitted))
    r2 = 1 - rest / sum((b - my) ** 2 for b in y)
    power = statistics.linear_regression([math.log(a) for a in x], [math.log(b) for b in y]).slope
    return {"slope": slope, "intercept": intercept, "r2": r2, "power": power, "worst_deviation": worst}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="model directory")
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--adapter", help="as in `vorticity devices`")
    p.add_argument("--tile", type=int, default=64)
    p.add_argument("--samples", type=int, nargs="+", default=[1, 2, 4, 8])
    p.add_argument("--points", type=int, nargs="+", default=[64, 128, 256, 512])
    p.add_argument("--timesteps", type=int, nargs="+", default=[1, 2, 4, 8])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", type=Path, help="file to write")
    args = p.parse_args()

    base = {"samples": 1, "points": min(args.points), "timesteps": 1}
    report = {"model": args.model, "tile": args.tile, "rounds": args.rounds, "fixed": base, "fits": {}}
    for name in base:
        values = sorted(set(getattr(args, name)))
        if len(values) < 3:
            sys.exit(f"--{name}: a line through {len(values)} points says nothing, give three or more")
        times = {v: [] for v in values}
        for i in range(args.rounds):
            for v in values if i % 2 == 0 else values[::-1]:
                times[v].append(seconds(args, **(base | {name: v})))
        fit = line(values, [statistics.median(times[v]) for v in values])
        report["fits"][name] = fit | {"seconds": times}
        shown = ", ".join(f"{v}: {statistics.median(t):.2f} ({min(t):.2f} to {max(t):.2f})" for v, t in times.items())
        print(f"{name:<10} {shown} s\n           {fit['slope']:.4f} s each, intercept {fit['intercept']:.3f} s, "
              f"R^2 {fit['r2']:.5f}, power {fit['power']:.3f}, "
              f"off the line by at most {100 * fit['worst_deviation']:.1f} %", flush=True)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
