"""Asymmetry of the whole Jacobian to a given standard error: nasym = E|A v|^2 / E(|J v|^2 + |J'v|^2)/2 by random vectors v, as
`vorticity asymmetry` estimates it, and the same estimator by torch.func.jvp and vjp, or JAX's. Both take as many probes at as many noisy images;
a time is that of the probes times the squared standard error that they leave (median over the places), over that of vorticity's: what a
method would take for vorticity's error. Images are MNIST's digits."""

import gzip
import tempfile
import time
from pathlib import Path

import numpy as np

from common import Result, tried, turns
from networks import ROOT

DIGITS = ROOT / "assets/data/mnist-test-256-idx3-ubyte.gz"


def statistic(products: np.ndarray) -> tuple[float, float]:
    """nasym and its standard error, of J v and J'v [2, V, D]."""
    jv, jtv = products.astype(np.float64)
    anti, size = ((jv - jtv) ** 2).sum(1) / 4, ((jv**2).sum(1) + (jtv**2).sum(1)) / 2
    nasym = anti.mean() / size.mean()
    left = (anti - nasym * size) / size.mean()
    return nasym, np.sqrt((left**2).sum() / (len(left) - 1) / len(left))


def places(network, timesteps: list[int], images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noisy digits, one at a time, and their timesteps."""
    from mnist_net import alphabar_cosine

    pixels = np.frombuffer(gzip.decompress(DIGITS.read_bytes())[16:], np.uint8).reshape(-1, *network.shape)[:images]
    draw, levels, found = np.random.default_rng(3), alphabar_cosine(1000).numpy(), []
    for k in timesteps:
        for image in pixels / 127.5 - 1:
            x = np.sqrt(levels[k]) * image + np.sqrt(1 - levels[k]) * draw.standard_normal(network.shape)
            found.append((x[None].astype(np.float32), np.array([k])))
    return found


def compare(run, network, timesteps: list[int], images: int, probes: int) -> list[Result]:
    points = places(network, timesteps, images)
    draw = np.random.default_rng(4)
    facts: dict = {"timesteps": timesteps, "images": images, "probes": probes, "taken": {}, "nasym": {}, "error": {}, "seconds": {}}

    def noted(name: str, seconds: float, nasym: np.ndarray, error: np.ndarray) -> float:
        """The time for vorticity's error, whose run comes first in every round."""
        facts["nasym"][name] = np.median(nasym.reshape(len(timesteps), -1), 1).tolist()
        facts["error"][name] = float(np.median(error))
        facts["seconds"].setdefault(name, []).append(seconds)
        return seconds * (facts["error"][name] / facts["error"]["vorticity"]) ** 2

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            log, out = run.program.measured(
                Path(folder), "asymmetry", network, "--data", DIGITS, "--timesteps", ",".join(map(str, timesteps)),
                "--samples", images, "--probes", probes, "--estimator", "both", "--verify", 0)
            table = np.load(out / "asymmetry.npz")
            return noted("vorticity", log["seconds"], table["nasym"], table["nasym_se"])

    def probe() -> np.ndarray:
        return draw.standard_normal((probes, *network.shape)).astype(np.float32)

    theirs = {}
    for engine in run.engines:
        ways = engine.products(network)
        best = tried(engine, ways, (*points[0], probe()))
        if best is None:
            continue
        facts["taken"][engine.name] = best[0]

        def peer(engine=engine, f=ways[best[0]]) -> float:
            found, total = [], 0.0
            for x, k in points:
                v = probe()
                given = [engine.put(array) for array in (x, k, v)]
                start = time.perf_counter()
                with engine.ready():
                    products = f(*given)
                    engine.wait()
                total += time.perf_counter() - start
                found.append(statistic(engine.get(products)))
            return noted(engine.name, total, *np.array(found).T)

        theirs[engine.name] = peer
    return [Result(f"asymmetry to one error, {network.name}", *turns(run.rounds, ours, theirs), facts)]
