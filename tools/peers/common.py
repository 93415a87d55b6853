"""What the comparisons share: the program, rounds in turns, ratios of rounds.

A comparison takes turns: every round times each program once on the same machine and gives one ratio per peer, the time of vorticity
over the peer's. The median of the ratios and their range are what a slow quarter of an hour changes least. Who has several ways,
batches or tiles is tried in all of them first, and takes part with the fastest.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

REPEATS = 5


@dataclass
class Vorticity:
    """The program, and the adapter that it is to use."""

    program: str
    adapter: str | None = None

    def run(self, *arguments, env: dict | None = None) -> str:
        chosen = ["--adapter", self.adapter] if self.adapter else []
        command = [self.program, *map(str, arguments), *chosen]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
        return done.stdout

    def bench(self, network, what: str, *arguments) -> tuple[dict, dict]:
        """The whole document, and the cost of that name."""
        report = json.loads(self.run("bench", network.path, "--what", what, "--json", "--rounds", REPEATS, *arguments))
        return report, next(cost for cost in report["costs"] if cost["what"] == what)

    def measured(self, folder: Path, measure: str, network, *arguments) -> tuple[dict, Path]:
        """The log of a run that is made in a folder, and its directory."""
        self.run(measure, network.path, "--quiet", "--yes", "--out", folder / measure, *arguments)
        return json.loads((folder / measure / "run_log.json").read_text()), folder / measure


@dataclass
class Result:
    """Seconds by round of one thing, by whom."""

    what: str
    ours: list[float]
    theirs: dict[str, list[float]]
    facts: dict = field(default_factory=dict)

    def ratios(self, peer: str) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs[peer])]

    def json(self) -> dict:
        ratios = {peer: summary(self.ratios(peer)) for peer in self.theirs}
        return {"what": self.what, "seconds": {"vorticity": self.ours, **self.theirs}, "ratios": ratios, "facts": self.facts}

    def lines(self) -> list[str]:
        """One per peer."""
        ours = 1e3 * statistics.median(self.ours)
        if not self.theirs:
            low, high = 1e3 * min(self.ours), 1e3 * max(self.ours)
            return [f"{self.what:<46} {ours:>10.3f} {'':<44} {'':>10} {'':>8}  ({low:.1f} to {high:.1f} ms)"]
        out = []
        for peer, times in self.theirs.items():
            s = summary(self.ratios(peer))
            out.append(f"{self.what:<46} {ours:>10.3f} {peer:<44} {1e3 * statistics.median(times):>10.3f} "
                       f"{s['median']:>8.3f}  ({s['low']:.3f} to {s['high']:.3f})")
        return out


HEADINGS = f"{'medians of rounds':<46} {'ms':>10} {'peer':<44} {'ms':>10} {'ratio':>8}  (range)"


def summary(ratios: list[float]) -> dict:
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def turns(rounds: int, ours: Callable[[], float], theirs: dict[str, Callable[[], float]]) -> tuple[list[float], dict[str, list[float]]]:
    """Every round calls each once; what they say."""
    own, others = [], {name: [] for name in theirs}
    for _ in range(rounds):
        own.append(ours())
        for name, run in theirs.items():
            others[name].append(run())
    return own, others


def gap(found: np.ndarray, want: np.ndarray) -> float:
    """Largest difference, of the largest value."""
    return float(np.abs(found - want).max() / np.abs(want).max())


def tried(engine, ways: dict[str, Callable], arrays: tuple[np.ndarray, ...]) -> tuple[str, float] | None:
    """The fastest way of an engine, and its seconds; ways that fail are said and left out."""
    times = {}
    for way, f in ways.items():
        try:
            times[way] = min(engine.seconds(f, arrays, 2))
        except Exception as error:  # whatever a compiler or an operator may refuse
            said = str(error).strip().splitlines()
            print(f"{engine.name}, {way or 'as it is'}: left out: {type(error).__name__}: {said[0] if said else ''}", flush=True)
    return min(times.items(), key=lambda one: one[1]) if times else None


def named(engine, way: str) -> str:
    return f"{engine.name}, {way}" if way else engine.name
