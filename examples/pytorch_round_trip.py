"""The engine's loops, a network in PyTorch, and the engine's own circulation of the same network: they must agree.

    cargo build --release && python examples/pytorch_round_trip.py

1. `vorticity paths export` writes the loops' midpoints, the Gauss points of some loops and points to be repeated, 2. PyTorch
evaluates the score at all of them, at the last in float64, 3. `vorticity integrate` integrates it and, with
these, knows its errors, 4. `vorticity circulation MODEL` does it all itself. Prints max |difference of Gamma| / S per
path, S the sum of the absolute terms, and exits with 1 if it exceeds --bound anywhere. Beside it the same over
R = sum |s||d|, the scale of f32 rounding: where the path runs across the score (rotation, little noise), S is a
hundredth of R, and 40 points are too few for the roundings of two f32 networks to average out. Then what was found with PyTorch's scores, in words. To
bring your own network, replace `score`. Needs numpy, torch and safetensors.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from train_mnist import HYPER, ShuffleUNet  # noqa: E402

BATCH = 256


def score(network: torch.nn.Module, x: np.ndarray, k: int, sigma: float) -> np.ndarray:
    """Score -eps / sigma at points x [n, C, H, W] of timestep k, in the precision of the network's weights."""
    dtype = next(network.parameters()).dtype
    with torch.inference_mode():
        parts = [network(part.to(dtype), torch.full((len(part),), k)) for part in torch.from_numpy(x).split(BATCH)]
    return (-torch.cat(parts).double() / sigma).to(dtype).numpy()


def everywhere(network: torch.nn.Module, loops, points: np.ndarray) -> np.ndarray:
    """Scores at an array of points [path, timestep, .., C, H, W] of exported loops."""
    scores = np.empty_like(points)
    for t, (k, sigma) in enumerate(zip(loops["timesteps"], loops["sigma"])):
        at = points[:, t]
        scores[:, t] = score(network, at.reshape(-1, *at.shape[-3:]), int(k), float(sigma)).reshape(at.shape)
    return scores


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vorticity", type=Path, default=ROOT / "target/release/vorticity")
    parser.add_argument("--model", type=Path, default=ROOT / "assets/models/mnist")
    parser.add_argument("--data", type=Path, default=ROOT / "assets/data/mnist-test-256-idx3-ubyte.gz")
    parser.add_argument("--timesteps", default="1,501,991")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--points", type=int, default=400)
    parser.add_argument("--arcs", type=int, default=8)
    parser.add_argument("--bound", type=float, default=5e-6)
    args = parser.parse_args()

    network = ShuffleUNet(**HYPER)
    network.load_state_dict(load_file(args.model / "model.safetensors"), strict=False)
    network.eval()
    case = ["--data", args.data, "--timesteps", args.timesteps, "--samples", args.samples, "--points", args.points,
            "--paths", f"brownian,rotation,projection?arcs={args.arcs}"]
    environment = {"XDG_RUNTIME_DIR": "/tmp", **os.environ}  # the Vulkan loader wants one

    def vorticity(*arguments) -> str:
        command = [str(args.vorticity), *map(str, arguments)]
        return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        vorticity("paths", "export", args.model, *case, "--out", folder / "loops.npz")
        loops = np.load(folder / "loops.npz")
        midpoints = loops["midpoints"]  # [path, timestep, sample, segment, C, H, W]
        scores, gauss = everywhere(network, loops, midpoints), everywhere(network, loops, loops["gauss"])
        network.double()
        float64 = [  # one point at a time: `repeat` holds path, timestep, sample and segment of each
            score(network, x[None], int(loops["timesteps"][t]), float(loops["sigma"][t]))[0]
            for x, (_, t, _, _) in zip(loops["repeat_points"], loops["repeat"])
        ]
        np.savez(folder / "scores.npz", scores=scores, gauss_scores=gauss, float64_scores=np.stack(float64))
        found = json.loads(vorticity("integrate", folder / "scores.npz", "--exported", folder / "loops.npz",
                                     "--out", folder / "torch", "--json"))["found"]
        vorticity("circulation", args.model, *case, "--out", folder / "engine")
        torch_run, engine_run = (np.load(folder / name / "circulation.npz") for name in ("torch", "engine"))
        gap = np.abs(torch_run["integral"] - engine_run["integral"])
        over_s, over_r = gap / engine_run["abs_terms"], gap / engine_run["score_norm_sum"]

    print(f"{midpoints[..., 0, 0, 0].size} evaluations; bound on |dGamma| / S: {args.bound:g}")
    for p, path in enumerate(loops["paths"]):
        worst = loops["timesteps"][over_s[p].max(-1).argmax()]
        print(f"{path:12} max |dGamma| / S {over_s[p].max():.2e} at timestep {worst}, / R {over_r[p].max():.2e}")
    for row in found:
        print(row["words"])
    return int(not over_s.max() <= args.bound)  # NaN fails too


if __name__ == "__main__":
    sys.exit(main())
