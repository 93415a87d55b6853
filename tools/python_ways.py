"""Loops of the MNIST network three ways from Python, in turns: its model directory, the same module by from_torch, and as a closure.

    OMP_WAIT_POLICY=passive python tools/python_ways.py [ROUNDS]

Needs the package, torch and safetensors. A round is a circulation of 2000 evaluations each; the first is not counted.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from mnist_net import ShuffleUNet
from safetensors.torch import load_file

import vorticity as vt

ASSETS = Path(__file__).resolve().parents[1] / "assets"
MODEL, DIGITS = ASSETS / "models/mnist", ASSETS / "data/mnist-test-256-idx3-ubyte.gz"
ASKED = {"samples": 2, "timesteps": [1, 301, 601, 901], "paths": "rotation", "points": 250, "quadrature_check": 0, "verify_fraction": 0}


def ways():
    """The three fields by name."""
    network = ShuffleUNet(**json.loads((MODEL / "config.json").read_text())["hyper"])
    network.load_state_dict(load_file(MODEL / "model.safetensors"), strict=False)
    network.eval()
    directory = vt.open(MODEL)
    said = {"process": directory.process, "prediction": "eps"}
    example = (torch.zeros(1, *directory.shape), torch.zeros(1, dtype=torch.long))
    start = time.perf_counter()
    exported = vt.from_torch(network, example, **said)
    print(f"from_torch: {time.perf_counter() - start:.1f} s, {exported.agreement:.1e} of the output's size from the module")
    closure = vt.from_callable(lambda x, k, sigma: network(x, k), shape=directory.shape, arrays="torch", name="mnist", **said)
    return {"directory": directory, "from_torch": exported, "closure": closure}


def seconds(field):
    start = time.perf_counter()
    vt.circulation(field, DIGITS, progress=False, **ASKED)
    return time.perf_counter() - start


def main():
    rounds, fields = int(sys.argv[1]) if len(sys.argv) > 1 else 3, ways()
    taken = [{name: seconds(field) for name, field in fields.items()} for _ in range(rounds + 1)][1:]
    for name in fields:
        own = [round[name] for round in taken]
        print(f"{name}: 2000 evaluations in {statistics.median(own):.1f} s ({min(own):.1f} to {max(own):.1f})")


if __name__ == "__main__":
    main()
