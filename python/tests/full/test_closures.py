"""Functions on torch and JAX arrays, and one network three ways: as a closure, exported by from_torch, and as a model directory."""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vorticity as vt

ROOT = Path(__file__).resolve().parents[3]
MODEL, DIGITS = ROOT / "assets/models/mnist", ROOT / "assets/data/mnist-test-256-idx3-ubyte.gz"
PROCESS = "vp?schedule=cosine"
SHAPE = (1, 3, 3)


@pytest.fixture(scope="module")
def network():
    """The MNIST network as PyTorch's own modules, with the weights of the model directory."""
    sys.path.insert(0, str(ROOT / "tools"))
    from mnist_net import ShuffleUNet
    from safetensors.torch import load_file

    config = json.loads((MODEL / "config.json").read_text())
    net = ShuffleUNet(**config["hyper"])
    net.load_state_dict(load_file(MODEL / "model.safetensors"), strict=False)
    return net.eval()


@pytest.fixture(scope="module")
def three(network):
    """The network as a closure, by from_torch, and as its model directory."""
    directory = vt.open(MODEL)
    double = copy.deepcopy(network).double()

    def of(net):
        return lambda x, k, sigma: net(x, k)

    closure = vt.from_callable(
        of(network),
        name="mnist",
        process=directory.process,
        shape=directory.shape,
        prediction="eps",
        arrays="torch",
        jvp=vt.torch_jvp(of(network)),
        vjp=vt.torch_vjp(of(network)),
        f64=of(double),
        f64_jvp=vt.torch_jvp(of(double)),
        f64_vjp=vt.torch_vjp(of(double)),
        batch=64,
    )
    example = (torch.zeros(1, *directory.shape), torch.zeros(1, dtype=torch.long))
    exported = vt.from_torch(network, example, process=directory.process, prediction="eps")
    return {"closure": closure, "from_torch": exported, "directory": directory}


def test_one_network_three_ways_circulates_alike(three):
    asked = {"samples": 2, "timesteps": [1, 901], "paths": "rotation,projection?arcs=5", "points": 25, "progress": False}
    results = {name: vt.circulation(field, DIGITS, **asked) for name, field in three.items()}
    whole = results["directory"]
    for name, result in results.items():
        assert "not checked" not in set(np.ravel(result["verdict"])), name
        gap = np.abs(result["integral"] - whole["integral"])
        errors = result["arithmetic"] + whole["arithmetic"] + result["rounding"] + whole["rounding"]
        assert (gap <= errors).all(), f"{name}: differs by {gap.max()}, errors {errors.min()}"


def test_one_network_three_ways_has_one_jacobian(three):
    rng = np.random.default_rng(0)
    x, v = (torch.from_numpy(rng.standard_normal((2, 1, 28, 28)).astype("float32")) for _ in range(2))
    products = {name: (*field.jvp(x, v, 301), field.vjp(x, v, 301)[1]) for name, field in three.items()}
    for name, made in products.items():
        for found, expected in zip(made, products["directory"], strict=True):
            assert isinstance(found, torch.Tensor)
            assert (found - expected).abs().max() <= 2e-5 * expected.abs().max(), name
    asked = {"samples": 2, "timesteps": [301], "probes": 4, "progress": False}
    halves = {name: vt.asymmetry(field, DIGITS, **asked) for name, field in three.items()}
    for name, result in halves.items():
        # The same probes: what is left is arithmetic.
        off = np.abs(result["nasym"] - halves["directory"]["nasym"])
        assert (off <= result["arithmetic"] + halves["directory"]["arithmetic"]).all(), name
        assert set(np.ravel(result["verdict"])) <= {"resolved", "not resolved"}


def test_functions_on_torch_tensors():
    seen = []

    def f(x, k, sigma):
        seen.append((type(x), x.dtype, k.dtype, sigma.dtype, x.requires_grad, torch.is_grad_enabled()))
        return torch.sin(x) * sigma[:, None, None, None]

    field = vt.from_callable(
        f, process=PROCESS, shape=SHAPE, prediction="eps", arrays="torch", jvp=vt.torch_jvp(f), vjp=vt.torch_vjp(f), f64=f
    )
    x = torch.randn(4, *SHAPE)
    x.requires_grad_(True)
    s = field(x, 300)
    assert isinstance(s, torch.Tensor) and not s.requires_grad
    assert torch.allclose(s, -torch.sin(x), atol=1e-6)
    assert seen == [(torch.Tensor, torch.float32, torch.int64, torch.float32, False, False)]
    v = torch.randn(4, *SHAPE)
    assert torch.allclose(field.jvp(x, v, 300)[1], -torch.cos(x) * v, atol=1e-5)
    assert torch.allclose(field.vjp(x, v, 300)[1], -torch.cos(x) * v, atol=1e-5)
    result = vt.circulation(field, x.detach().clamp(-1, 1), timesteps=[300], points=40, progress=False)
    assert "not checked" not in set(np.ravel(result["verdict"]))


@pytest.mark.parametrize(
    "returned", [lambda x: x.numpy(), lambda x: x.long(), lambda x: x[:, :, 1:], lambda x: (x,), lambda x: x.to(torch.complex64)]
)
def test_what_torch_functions_return_is_checked(returned):
    field = vt.from_callable(lambda x, k, sigma: returned(x), process=PROCESS, shape=SHAPE, arrays="torch")
    with pytest.raises(vt.ArrayError, match="f returned"):
        field(np.zeros((2, *SHAPE), "float32"), 3)


def test_half_precision_comes_back_and_float64_must_be():
    field = vt.from_callable(lambda x, k, s: -x.bfloat16(), process=PROCESS, shape=SHAPE, arrays="torch", f64=lambda x, k, s: -x.float())
    x = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype("float32")
    assert np.allclose(field(x, 3), -x, atol=2e-2)
    with pytest.raises(vt.ArrayError, match="in float64"):
        field.twin(x.astype("float64"), 3)


def test_a_device_that_is_not_there_is_torchs_own_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    field = vt.from_callable(lambda x, k, s: -x, process=PROCESS, shape=SHAPE, arrays="torch", torch_device="cuda")
    with pytest.raises((RuntimeError, AssertionError)) as caught:
        field(np.zeros((2, *SHAPE), "float32"), 3)
    assert not isinstance(caught.value, vt.InternalError)


def test_functions_on_jax_arrays():
    jax = pytest.importorskip("jax")

    def f(x, k, sigma):
        assert isinstance(x, jax.Array)
        return jax.numpy.sin(x) * sigma[:, None, None, None]

    given = {"process": PROCESS, "shape": SHAPE, "prediction": "eps", "arrays": "jax"}
    field = vt.from_callable(f, jvp=vt.jax_jvp(f), vjp=vt.jax_vjp(f), f64=f, **given)
    x, v = (np.random.default_rng(n).standard_normal((4, *SHAPE)).astype("float32") for n in range(2))
    assert np.allclose(field(x, 300), -np.sin(x), atol=1e-5)
    assert np.allclose(field.jvp(x, v, 300)[1], -np.cos(x) * v, atol=1e-5)
    assert np.allclose(field.vjp(x, v, 300)[1], -np.cos(x) * v, atol=1e-5)
    with pytest.raises(vt.ArrayError, match="jax_enable_x64"):
        vt.circulation(field, x.clip(-1, 1), timesteps=[300], points=40, progress=False)
    jax.config.update("jax_enable_x64", True)
    try:
        result = vt.circulation(field, x.clip(-1, 1), timesteps=[300], points=40, progress=False)
    finally:
        jax.config.update("jax_enable_x64", False)
    assert "not checked" not in set(np.ravel(result["verdict"]))
