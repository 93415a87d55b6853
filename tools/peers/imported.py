"""Forward evaluation of an ONNX model: vorticity and onnxruntime on the CPU, in turns in one run, and their ratio.

    python tools/peers/imported.py MODEL.onnx --vorticity target/release/vorticity [--tiles 1 2] [--batches 1 4]

MODEL.toml lies beside it. Each round runs `vorticity bench --json` and then onnxruntime (all its optimisations, --threads) at
several batch sizes, and gives one ratio: the best of five at our best tile over the best of five at its best batch; likewise
of the medians. A file whose batch is fixed is run in batches of one. The machine should be idle otherwise.
"""

import argparse
import statistics
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from common import HEADINGS, Result, Vorticity

PICK = {"best": min, "median": statistics.median}
REPEATS = 5
KINDS = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


@dataclass
class Imported:
    """A file and what is said beside it."""

    path: Path

    def feeds(self, session: onnxruntime.InferenceSession, batch: int) -> dict[str, np.ndarray] | None:
        """Inputs of a batch: no time depends on their values. None if the file has a batch of another size."""
        facts, found = tomllib.loads(self.path.with_suffix(".toml").read_text()), {}
        sizes, draw = iter(facts.get("shape", [])), np.random.default_rng(0)
        for port in session.get_inputs():
            shape = [batch if i == 0 else size if isinstance(size, int) else next(sizes) for i, size in enumerate(port.shape)]
            if port.shape and isinstance(port.shape[0], int) and port.shape[0] != batch:
                return None
            values = draw.standard_normal(shape) if port.name == facts["x"] else np.ones(shape)
            found[port.name] = values.astype(KINDS[port.type])
        return found


def session_of(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # else its threads spin while others are timed
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def theirs(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray], batch: int) -> dict[str, float]:
    """Seconds per evaluation, after one run to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        session.run(None, feeds)
        times.append((time.perf_counter() - start) / batch)
    return {key: choose(times[1:]) for key, choose in PICK.items()}


def compare(args: argparse.Namespace) -> list[Result]:
    model, program = Imported(args.model), Vorticity(args.vorticity, args.adapter)
    session = session_of(args.model, args.threads)
    given = {batch: model.feeds(session, batch) for batch in args.batches}
    given = {batch: feeds for batch, feeds in given.items() if feeds} or {1: model.feeds(session, 1)}
    name, ours, rows, facts = "onnxruntime CPU", {key: [] for key in PICK}, {key: [] for key in PICK}, {}
    for _ in range(args.rounds):
        costs = []
        for tile in args.tiles:
            report, cost = program.bench(model, "forward", "--tile", tile, "--rounds", REPEATS)
            costs.append(cost)
            facts = {"adapter": report["adapter"], "kernels": report["kernels"], "tiles": args.tiles, "batches": list(given)}
        found = [theirs(session, feeds, batch) for batch, feeds in given.items()]
        for key in PICK:
            ours[key].append(min(cost["seconds"][key] for cost in costs))
            rows[key].append(min(f[key] for f in found))
    what = f"forward, {args.model.parent.name}"
    return [Result(f"{what}, {key} of {REPEATS}", ours[key], {name: rows[key]}, facts) for key in PICK]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="MODEL.onnx, with MODEL.toml beside it")
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--adapter", help="vorticity's, as in `vorticity devices`")
    p.add_argument("--threads", type=int, default=2, help="onnxruntime's")
    p.add_argument("--tiles", type=int, nargs="+", default=[1, 2], help="vorticity's tile sizes")
    p.add_argument("--batches", type=int, nargs="+", default=[1, 4], help="onnxruntime's batch sizes")
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    results = compare(args)
    print(f"adapter {results[0].facts['adapter']}; onnxruntime {onnxruntime.__version__}, {args.threads} threads")
    print("\n".join([HEADINGS, *(line for result in results for line in result.lines())]))


if __name__ == "__main__":
    main()
