"""The table that docs/BENCHMARKS.md opens with, of what `all.py --json` wrote.

    python tools/peers/table.py peers.json [--into docs/BENCHMARKS.md]

A line for every aim and peer that it is about (PyTorch as it is, and compiled), and one for the fastest of all where that is another. --into puts
it between the file's two comments that mark its place.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

MARKS = ("<!-- table: tools/peers/table.py -->", "<!-- end of the table -->")
HEAD = ["| network | what | ours | beside | theirs | ratio (range) | aim | date | `all.py --only` |", "|---|---|---|---|---|---|---|---|---|"]

NETWORKS = {"mnist": "MNIST", "c10": "CIFAR-10 latent", "terrain": "terrain U-Net", "dit": "DiT-like", "mixer": "MLP mixer"}

# By row: the peers that an aim is about, by how their names begin and end, and the largest ratio that reaches it.
AIMS: dict[str, list[tuple[str, str, float]]] = {
    "mnist-forward": [("PyTorch", "", 1.0)],
    "c10-forward": [("PyTorch", "", 1.4)],
    "mnist-jacobian": [("PyTorch CPU", "authors' way", 0.4), ("PyTorch", "best way", 0.5)],
    "c10-jacobian": [("PyTorch CPU", "authors' way", 0.7), ("PyTorch", "best way", 1.2)],
    "mnist-asymmetry": [("PyTorch", "", 0.8)],
    "mnist-verdict": [("vorticity", "unchecked", 1.2)],
    "terrain-forward": [("onnxruntime", "", 2.5)],
    "dit-forward": [("PyTorch", "", 2.0)],
    "mixer-forward": [("PyTorch", "", 2.0)],
    "mnist-convolutions": [("burn", "", 0.1)],
}

# Seconds that are aimed at, by the beginning of what was timed.
SECONDS = {"verdict": 20.0, "start, cold": 5.0, "start, warm": 0.5}


def time(seconds: list[float]) -> str:
    middle = statistics.median(seconds)
    return f"{middle:.3g} s" if middle >= 1 else f"{1e3 * middle:.3g} ms"


def reached(value: float, aim: float, unit: str = "") -> str:
    return f"{aim:g}{unit}: {'reached' if value <= aim else 'missed'}"


def taken(result: dict, peer: str) -> str:
    way = result["facts"].get("taken", {}).get(peer)
    return f"{peer} ({way})" if way else peer


def lines(result: dict) -> list[str]:
    row, seconds, what = result["row"], result["seconds"], result["what"]
    network = NETWORKS[row.split("-")[0]]
    what = what.removesuffix(f", {row.split('-')[0]}")
    ours = seconds["vorticity"]
    peers = [name for name in seconds if name != "vorticity"]
    fastest = min(peers, key=lambda name: statistics.median(seconds[name]), default=None)
    shown: list[tuple[str, float | None]] = []
    for begins, ends, aim in AIMS.get(row, []):
        about = [name for name in peers if name.startswith(begins) and name.endswith(ends)]
        for engine in dict.fromkeys(name.split(", ")[0] for name in about):
            own = [name for name in about if name.split(", ")[0] == engine]
            shown.append((min(own, key=lambda name: statistics.median(seconds[name])), aim))
    if fastest and all(fastest != name for name, _ in shown):
        shown.append((fastest, None))
    end = f"{result['date']} | `{row}` |"
    said = []
    absolute = next((aim for name, aim in SECONDS.items() if what.startswith(name)), None)
    if absolute is not None:
        span = f"({min(ours):.3g} to {max(ours):.3g} s)"
        said.append(f"| {network} | {what} | {time(ours)} {span} | | | | {reached(statistics.median(ours), absolute, ' s')} | {end}")
    for peer, aim in shown:
        ratio = result["ratios"][peer]
        about = f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        aimed = reached(ratio["median"], aim) if aim is not None else ""
        said.append(f"| {network} | {what} | {time(ours)} | {taken(result, peer)} | {time(seconds[peer])} | {about} | {aimed} | {end}")
    return said


def table(document: dict) -> list[str]:
    order = list(AIMS)
    results = sorted(document["results"], key=lambda r: order.index(r["row"]) if r["row"] in order else len(order))
    return [*HEAD, *(line for result in results for line in lines(result))]


def put(path: Path, rows: list[str]) -> None:
    """Between the marks of a file."""
    text = path.read_text()
    if any(text.count(mark) != 1 for mark in MARKS):
        sys.exit(f"{path}: expected one line '{MARKS[0]}' and one '{MARKS[1]}'")
    (before, rest), mark = text.split(MARKS[0]), MARKS[1]
    path.write_text(f"{before}{MARKS[0]}\n\n" + "\n".join(rows) + f"\n\n{mark}{rest.split(mark)[1]}")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("json", type=Path, help="what all.py wrote")
    p.add_argument("--into", type=Path, help="file with the marks")
    args = p.parse_args()
    document = json.loads(args.json.read_text())
    rows = table(document)
    print("\n".join(rows))
    if args.into:
        put(args.into, rows)


if __name__ == "__main__":
    main()
