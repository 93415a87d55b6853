"""A module that was exported and the same as a closure: one set of values, products and verdicts."""

import copy

import numpy as np
import pytest
import torch
from test_torch import Network, T, X

import vorticity as vt


@pytest.fixture(scope="module")
def ways():
    """One network as an exported module and as a closure with everything."""
    torch.manual_seed(0)
    network = Network().eval()
    double = copy.deepcopy(network).double()
    process = vt.Process.vp(torch.cos(torch.linspace(0.05, 1.5, 100)) ** 2)
    f, f64 = (lambda x, k, sigma: network(x, k)), (lambda x, k, sigma: double(x, k))
    closure = vt.from_callable(
        f, process=process, shape=(1, 6, 6), prediction="eps", arrays="torch",
        jvp=vt.torch_jvp(f), vjp=vt.torch_vjp(f), f64=f64, f64_jvp=vt.torch_jvp(f64), f64_vjp=vt.torch_vjp(f64),
    )  # fmt: skip
    return vt.from_torch(network, (X, T), process=process, prediction="eps"), closure


DATA = np.random.default_rng(3).uniform(-1, 1, (3, 1, 6, 6)).astype(np.float32)


def test_values_and_products_are_the_modules(ways):
    x, v = np.random.default_rng(0).standard_normal((2, 4, 1, 6, 6)).astype(np.float32)
    for product in (lambda f: f(x, 40), lambda f: f.jvp(x, v, 40)[1], lambda f: f.vjp(x, v, 40)[1]):
        exported, closure = map(product, ways)
        assert np.abs(exported - closure).max() < 1e-5 * np.abs(exported).max()


@pytest.mark.parametrize(
    ("measure", "asked"),
    [
        ("circulation", {"paths": ["rotation", "projection"], "timesteps": [10, 60], "points": 60, "verify_fraction": 0.05}),
        ("asymmetry", {"timesteps": [10, 60], "probes": 4}),
        ("planes", {"timesteps": [60], "planes": 2}),
        ("jacobian", {"timesteps": [60]}),
    ],
)
def test_measures_agree_within_their_errors(ways, measure, asked):
    one, two = (getattr(vt, measure)(field, DATA, progress=False, **asked) for field in ways)
    headline = one.info["headline"]
    gap = np.abs(one[headline] - two[headline])
    bound = np.nan_to_num(one["arithmetic"]) + np.nan_to_num(two["arithmetic"]) + np.abs(one[headline]) * 1e-4
    assert (gap <= bound + 1e-6).all(), (gap, bound)
    assert set(two.verdict.ravel()) <= {"resolved", "not resolved"} and one.summary()[:20] == two.summary()[:20]
