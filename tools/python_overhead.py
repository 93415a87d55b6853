"""What a small evaluation from Python takes beyond the same by the library: `python tools/python_overhead.py [CALLS]`.

Needs the package and cargo: it builds and runs `examples/evaluate_often.rs` for the library's side, in turn with its own, and takes
the medians of the rounds.
"""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import vorticity as vt

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5


def library(calls):
    """Microseconds of a call."""
    command = ["cargo", "run", "--release", "--quiet", "--example", "evaluate_often", "--", str(calls)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return float(re.match(r"([\d.]+) us", said)[1])


def python(field, x, calls):
    """Microseconds of a call."""
    start = time.perf_counter()
    for _ in range(calls):
        field(x, 3)
    return (time.perf_counter() - start) * 1e6 / calls


def main():
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    field, x = vt.open("field:gaussian", shape=(1, 2, 2)), np.full((1, 1, 2, 2), 0.5, np.float32)
    field(x, 3)
    library(1)
    rounds = [(library(calls), python(field, x, calls)) for _ in range(ROUNDS)]
    own, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{calls} calls, {ROUNDS} rounds: library {own:.0f} us a call, Python {ours:.0f} us, {ours - own:.0f} us more")


if __name__ == "__main__":
    main()
