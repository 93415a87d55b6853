"""Sub-Jacobian of one sample, 64 components, seconds per sample: ours by columns (`bench --what tangents`: a value and its tangents) or
rows (`cotangents`), of one or some samples at once, whichever is fastest; the authors' way in PyTorch (`vmap(jvp)` in chunks of 16); and
everybody's best way, `vmap(jvp)` of all columns or `vmap(vjp)` of all rows."""

import math

import numpy as np

from common import AUTHORS, Result, gap, near, tried, turns

SIDES = {"tangents": "columns", "cotangents": "rows"}


def compare(run, network, components: int, samples: list[int]) -> list[Result]:
    d = math.prod(network.shape)
    x, k = network.points(1)
    chosen = np.sort(np.random.default_rng(2).permutation(d)[:components])
    basis = np.eye(d, dtype=np.float32)[chosen].reshape(-1, *network.shape)

    def ours(what: str, many: int, rounds: int) -> tuple[float, float]:
        room = [] if run.gpu else ["--memory", "4GiB"]  # software adapters else take 1 GiB
        report, cost = run.program.bench(network, what, rounds, "--tile", many * (1 + components), f"--{what}", components, *room)
        facts.update(adapter=report["adapter"], kernels=report["kernels"])
        return cost["seconds"]["best"], cost["over_forward" if what == "tangents" else "further_over_forward"]["median"]

    facts, theirs, made = {"components": components, "taken": {}, "tried": {}}, {}, {}
    once = {(what, many): ours(what, many, 1) for what in SIDES for many in samples}
    for (what, many), (seconds, over) in once.items():
        facts[f"{SIDES[what]}, samples {many}"] = {"seconds, once": seconds, "a lane over a forward evaluation": over}
    side, many = min(once, key=lambda way: once[way][0])
    facts.update(side=SIDES[side], samples=many)
    for engine in run.engines:
        columns, rows = engine.columns(network), engine.rows(network)
        authors = {way: f for way, f in columns.items() if way.startswith(AUTHORS)}
        for group, ways in [(AUTHORS, authors), ("best way", columns | rows)]:
            best = tried(engine, ways, (x, k, basis))
            if best is None:
                continue
            name, f = f"{engine.name}, {group}", ways[best[0]]
            facts["taken"][name], facts["tried"][name] = best
            theirs[name] = lambda e=engine, f=f: min(e.seconds(f, (x, k, basis), 2))
            part = engine.call(f, x, k, basis)[:, chosen]
            made[name] = part if best[0] in rows else part.T
    first = next(iter(made), None)
    facts["differences"] = {f"{name} from {first}": gap(part, made[first]) for name, part in made.items()}
    theirs = {name: theirs[name] for name in near(facts["tried"])}
    times = turns(run.rounds, lambda: ours(side, many, 3)[0], theirs)
    return [Result(f"sub-Jacobian of {components}, {network.name}", *times, facts)]
