"""From nothing to the first two evaluations of a network's loop, seconds by the clock of whole processes: with nothing in the driver's
cache (`cold`) and with all of it there (`warm`). Mesa's drivers alone have a cache that can be put elsewhere."""

import os
import tempfile
import time
from pathlib import Path

from common import Result


def compare(run, network) -> list[Result]:
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(run.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name in times:
                start = time.perf_counter()
                run.program.run(
                    "circulation", network.path, "--data", "data:gaussian?seed=0", "--paths", "rotation", "--samples", 1, "--points", 2,
                    "--timesteps", 500, "--quadrature-check", 0, "--verify-fraction", 0, "--yes", "--quiet", "--out", Path(folder) / name,
                    env=os.environ | {"MESA_SHADER_CACHE_DIR": str(Path(folder) / "cache")})
                times[name].append(time.perf_counter() - start)
    return [Result(f"start, {name}, {network.name}", seconds, {}) for name, seconds in times.items()]
