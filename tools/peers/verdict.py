"""How long a verdict takes, by the clock, start and compilation included: rotation loops of the MNIST network at ten noise levels, eight
digits, adaptive quadrature; with all errors checked, as it is by default, and beside it the same without checks."""

import json
import tempfile
import time
from pathlib import Path

from asymmetry import DIGITS
from common import Result, turns

TIMESTEPS = [1, *range(100, 1000, 100)]


def compare(run, network, samples: int) -> list[Result]:
    facts: dict = {"timesteps": TIMESTEPS, "samples": samples, "evaluations": {}}

    def once(name: str, *more) -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            log, out = run.program.measured(
                Path(folder), "circulation", network, "--data", DIGITS, "--paths", "rotation", "--quadrature", "adaptive",
                "--timesteps", ",".join(map(str, TIMESTEPS)), "--samples", samples, *more)
            seconds = time.perf_counter() - start
            facts["evaluations"][name] = log["evaluations"]
            facts["adapter"] = json.loads((out / "manifest.json").read_text())["adapter"]
        return seconds

    unchecked = ("--quadrature-check", 0, "--verify-fraction", 0)
    theirs = {"vorticity, unchecked": lambda: once("unchecked", *unchecked)}
    return [Result(f"verdict on rotation, {network.name}", *turns(run.rounds, lambda: once("checked"), theirs), facts)]
