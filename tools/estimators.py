#!/usr/bin/env python3
"""What both modes of differentiation gain where asymmetry is measured: nasym by both estimators, how far they are apart, their
standard errors, and the factor of time for the same error. Runs `vorticity asymmetry` in turns; needs numpy.

    tools/estimators.py target/release/vorticity assets/models/mnist --data assets/data/mnist-test-256-idx3-ubyte.gz

The time is the least of all rounds, of the clock and of the processor, which other work on the machine disturbs less. For the same
error an estimator needs probes as the square of its standard error, and each probe its time, so the factor of an image is
(se_forward / se_both)^2 t_forward / t_both; its median over the images is printed.
"""
import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np


def run(arguments, out):
    """Seconds by the clock of a run's own log, and of the processor."""
    process = subprocess.Popen([*arguments, "--out", out, "--quiet", "--yes"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} ended with {process.returncode}")
    return json.loads((out / "run_log.json").read_text())["seconds"], usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--timesteps", default="1,101,501,901")
    parser.add_argument("--samples", default="8")
    parser.add_argument("--probes", default="48")
    parser.add_argument("--rounds", type=int, default=2)
    own = parser.parse_args()
    asked = ["--timesteps", own.timesteps, "--samples", own.samples, "--probes", own.probes, "--verify", "0"]
    times, tables = {"both": [], "forward": []}, {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(own.rounds):
            for estimator in times:
                out = Path(folder) / f"{estimator}-{number}"
                arguments = [own.program, "asymmetry", own.model, "--data", own.data, *asked, "--estimator", estimator]
                times[estimator].append(run(arguments, out))
                tables[estimator] = dict(np.load(out / "asymmetry.npz"))
    both, forward = tables["both"], tables["forward"]
    clock, processor = (np.min(times["forward"], axis=0) / np.min(times["both"], axis=0)).tolist()
    for estimator, found in times.items():
        least = np.min(found, axis=0)
        print(f"{estimator:>8}: {least[0]:.1f} s by the clock, {least[1]:.1f} s of processors, the least of {own.rounds}")
    print(f"a probe of both modes takes {1 / clock:.2f} times that of forward mode ({1 / processor:.2f} by processors)\n")
    print(f"{'k':>5} {'nasym both':>11} {'se':>9} {'forward':>11} {'se':>9} {'largest apart':>14} {'(se/se)^2':>10} {'time for one error':>20}")
    for t, k in enumerate(both["timesteps"]):
        a, b = both["nasym"][t], forward["nasym"][t]
        sa, sb = both["nasym_se"][t], forward["nasym_se"][t]
        apart = np.max(np.abs(a - b) / np.hypot(sa, sb))
        gain = (sb / sa) ** 2
        print(
            f"{k:>5} {np.median(a):>11.3e} {np.median(sa):>9.1e} {np.median(b):>11.3e} {np.median(sb):>9.1e} {apart:>9.2f} errors"
            f" {np.median(gain):>9.1f} {np.median(gain) * clock:>12.1f} ({np.median(gain) * processor:.1f})"
        )


if __name__ == "__main__":
    main()
