"""Forward evaluations of a network, seconds each: ours at our best tile, everybody else at their best batch and way. And how far all
are from each other, at the same points."""

import tempfile
from pathlib import Path

import numpy as np

from common import REPEATS, Result, gap, named, tried, turns


def compare(run, network, tiles: list[int], batches: list[int]) -> list[Result]:
    costs = {tile: run.program.bench(network, "forward", "--tile", tile)[1]["seconds"]["best"] for tile in tiles}
    tile = min(costs, key=costs.get)
    facts, theirs = {"tile": tile, "taken": {}, "differences": {}}, {}
    first = None
    for engine in run.engines:
        ways = engine.forward(network)
        found = {batch: tried(engine, ways, network.points(batch)) for batch in batches}
        found = {batch: (way, seconds / batch) for batch, one in found.items() if one for way, seconds in [one]}
        if not found:
            continue
        batch = min(found, key=lambda batch: found[batch][1])
        way = found[batch][0]
        facts["taken"][engine.name] = f"batch {batch}{', ' if way else ''}{way}"
        theirs[engine.name] = lambda e=engine, f=ways[way], n=batch: min(e.seconds(f, network.points(n), REPEATS)) / n
        y = engine.call(ways[way], *network.points(batches[0]))
        first = first or (engine, y)
        facts["differences"][f"{named(engine, way)} from {first[0].name}"] = gap(y, first[1])
    if first and network.has_module:
        facts["differences"] |= own_differences(run, network, first[0])

    def ours() -> float:
        report, cost = run.program.bench(network, "forward", "--tile", tile)
        facts.update(adapter=report["adapter"], kernels=report["kernels"])
        return cost["seconds"]["best"]

    return [Result(f"forward, {network.name}", *turns(run.rounds, ours, theirs), facts)]


def own_differences(run, network, engine) -> dict[str, float]:
    """Of vorticity's values and J v at one timestep from PyTorch's, but for the factor that makes a score of a network's output."""
    x, _ = network.points(4)
    k = np.full(len(x), 500)
    v = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("x.npy", "v.npy", "y.npz")]
        np.save(files[0], x)
        np.save(files[1], v)
        run.program.run("evaluate", network.path, "--points", files[0], "--directions", files[1], "--timestep", 500, "--out", files[2])
        ours = dict(np.load(files[2]))
    want = engine.call(next(iter(engine.forward(network).values())), x, k)
    factor, name = (ours["s"] * want).sum() / (want**2).sum(), f"vorticity from {engine.name}"
    found = {name: gap(ours["s"], factor * want)}
    for f in list(engine.columns(network).values())[:1]:
        jv = engine.call(f, x[:1], k[:1], v[:1])
        found[f"{name}, J v"] = gap(ours["jvp"][:1].reshape(jv.shape), factor * jv)
    return found
