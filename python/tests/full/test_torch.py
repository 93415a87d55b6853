"""Fields from torch modules: they agree with the module, leave it as it was, and say what does not fit. Derivative helpers."""

import numpy as np
import pytest
import torch

import vorticity as vt
from vorticity import _torch

PROCESS = {"timesteps": 100}


class Network(torch.nn.Module):
    """A small convolution that is told t, with a dropout that must not count."""

    def __init__(self, out=lambda y: y, channels=1):
        super().__init__()
        self.inner = torch.nn.Conv2d(channels + 1, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.drop = torch.nn.Dropout(0.5)
        self.outer = torch.nn.Conv2d(8, channels, 3, padding=1)
        self.out = out

    def forward(self, x, t, gain=None, *, shift=0.0):
        level = (t.to(x.dtype) / 100).reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        y = torch.nn.functional.silu(self.norm(self.inner(torch.cat([x, level], 1))))
        y = self.outer(self.drop(y)) + shift
        return self.out(y if gain is None else gain.reshape(-1, 1, 1, 1) * y)


@pytest.fixture(scope="module")
def process():
    return vt.Process.vp(torch.cos(torch.linspace(0.05, 1.5, 100)) ** 2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


X = torch.randn(2, 1, 6, 6)
T = torch.tensor([3, 50])


def score(network, x, k, process):
    with torch.no_grad():
        y = network.eval()(torch.from_numpy(x), torch.full((len(x),), k))
    return -y.numpy() / process.noise(k)[1]


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
def test_it_agrees_with_the_module_and_leaves_it_alone(network, process, exporter):
    network.train()
    network.norm.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    field = vt.from_torch(network, (X, T), process=process, prediction="eps", exporter=exporter)
    assert field.agreement < 1e-5 and field.name == "Network" and field.shape == (1, 6, 6)
    assert network.training and network.drop.training and not network.norm.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    x = np.random.default_rng(1).standard_normal((3, 1, 6, 6)).astype(np.float32)
    want = score(network, x, 40, process)
    assert np.abs(field(x, 40) - want).max() < 1e-5 * np.abs(want).max()
    v = np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)

    def f(x):
        return network(x, torch.full((3,), 40)) * (-1 / process.noise(40)[1])

    want = torch.func.jvp(f, (torch.from_numpy(x),), (torch.from_numpy(v),))[1].detach().numpy()
    assert np.abs(field.jvp(x, v, 40)[1] - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("prediction", ["eps", "score", "v", "x0", "denoised"])
def test_every_prediction_is_compared_with_what_the_module_puts_out(network, process, prediction):
    if prediction == "denoised":
        process = vt.Process.ve(sigma_min=0.05, sigma_max=20, timesteps=30)
        example = (X, torch.tensor([1.0, 2.0]))
    else:
        example = (X, T)
    assert vt.from_torch(network, example, process=process, prediction=prediction).agreement < 1e-4


def test_processes_tell_networks_what_they_are_told(network):
    for process, prediction in [
        (vt.Process.edm(timesteps=20), "edm_f?sigma_data=0.5"),
        (vt.Process.flow(timesteps=20), "flow_velocity"),
    ]:
        field = vt.from_torch(network, (X, torch.tensor([0.5, 0.6])), process=process, prediction=prediction)
        assert field.agreement < 1e-4, (prediction, field.agreement)


class Output:
    def __init__(self, sample):
        self.sample = sample


@pytest.mark.parametrize("out", [lambda y: Output(y), lambda y: (y, 0), lambda y: [y], lambda y: {"sample": y}])
def test_outputs_as_libraries_have_them(process, out):
    torch.manual_seed(0)
    assert vt.from_torch(Network(out), (X, T), process=process, prediction="eps").agreement < 1e-5


def test_a_unet_of_diffusers():
    from diffusers import DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = DDPMScheduler(num_train_timesteps=100)
    process = vt.Process.from_diffusers(scheduler)
    field = vt.from_torch(unet, (torch.randn(1, 1, 8, 8), torch.tensor([5])), process=process, prediction="eps")
    assert field.agreement < 1e-4 and field.process.timesteps == 100


def test_vectors_are_points_too(process):
    torch.manual_seed(0)

    class Vectors(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 5))

        def forward(self, x, t):
            return self.net(torch.cat([x, t.float().reshape(-1, 1) / 100], 1))

    field = vt.from_torch(Vectors(), (torch.randn(1, 5), 50), process=process, prediction="score")
    assert field.agreement < 1e-5 and int(np.prod(field.shape)) == 5
    still = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1))  # is told no t
    assert vt.from_torch(still, X, process=process, prediction="score").agreement < 1e-5


def test_more_arguments_are_fixed(network, process):
    plain = vt.from_torch(network, (X, T), process=process, prediction="eps")
    gained = vt.from_torch(network, (X, T, torch.tensor([2.0, 9.0]), {"shift": 0.25}), process=process, prediction="eps")
    x, sigma = X.numpy()[:1], process.noise(40)[1]
    want = 2.0 * (plain(x, 40) - 0.25 / sigma)
    np.testing.assert_allclose(gained(x, 40), want, rtol=1e-4, atol=1e-4)


def test_half_and_double_are_measured_in_float32(network, process):
    want = vt.from_torch(network, (X, T), process=process, prediction="eps")(X.numpy(), 40)
    for dtype in (torch.float64, torch.bfloat16):
        module = Network().to(dtype)
        module.load_state_dict(network.state_dict())
        field = vt.from_torch(module, (X.to(dtype), T), process=process, prediction="eps")
        assert module.inner.weight.dtype == dtype
        assert np.abs(field(X.numpy(), 40) - want).max() < (1e-5 if dtype == torch.float64 else 0.05) * np.abs(want).max()


def test_what_disagrees_is_refused(network, process, monkeypatch):
    real = _torch._exported

    def wrong(bare, *rest):
        with torch.no_grad():
            bare.net.outer.bias += 1.0
            try:
                return real(bare, *rest)
            finally:
                bare.net.outer.bias -= 1.0

    monkeypatch.setattr(_torch, "_exported", wrong)
    with pytest.raises(vt.Error, match="of the output's size from it at 4 random points, expected at most 1e-03"):
        vt.from_torch(network, (X, T), process=process, prediction="eps")
    assert vt.from_torch(network, (X, T), process=process, prediction="eps", points=0).agreement is None


def test_what_does_not_fit_is_told(network, process):
    given = {"process": process, "prediction": "eps"}
    with pytest.raises(vt.InvalidError, match="expected a torch.nn.Module; functions go to vt.from_callable"):
        vt.from_torch(lambda x, t: x, (X, T), **given)
    with pytest.raises(vt.ArrayError, match="example: expected"):
        vt.from_torch(network, (3, T), **given)
    with pytest.raises(vt.ArrayError, match="example: expected"):
        vt.from_torch(network, 3, **given)
    with pytest.raises(vt.ArrayError, match="example: x is of int64"):
        vt.from_torch(network, (X.long(), T), **given)
    with pytest.raises(vt.InvalidError, match="exporter: 'new' is unknown"):
        vt.from_torch(network, (X, T), exporter="new", **given)
    with pytest.raises(vt.ArrayError, match="module: returned int, expected a tensor"):
        vt.from_torch(Network(lambda y: 3), (X, T), **given)
    with pytest.raises(RuntimeError, match="channels"):  # the module's own words
        vt.from_torch(network, (torch.randn(1, 3, 6, 6), T), **given)

    class Sorted(torch.nn.Module):
        def forward(self, x, t):
            return torch.sort(x.flatten(1), 1)[0].reshape(x.shape)

    with pytest.raises(vt.Error, match="(?i)topk|sort"):
        vt.from_torch(Sorted(), (X, T), **given)


def test_a_missing_exporter_says_what_to_install(network, process, monkeypatch):
    monkeypatch.setattr(_torch, "_installed", lambda package: False)
    with pytest.raises(vt.MissingDependency, match="onnx is not installed.*pip install onnx"):
        vt.from_torch(network, (X, T), process=process, prediction="eps")
    monkeypatch.setattr(_torch, "_installed", lambda package: package == "onnx")
    assert _torch._exporter(None) == "legacy"


def test_derivatives_of_both_libraries_are_the_same():
    import jax

    def of(sin):
        return lambda x, k, sigma: sin(x * x) + sigma.reshape(-1, 1, 1, 1) * x

    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, 2, 1, 3, 3)).astype(np.float32)
    k, sigma = np.array([1, 2]), np.array([0.5, 2.0], np.float32)
    want = 2 * x * np.cos(x * x) * v + sigma.reshape(-1, 1, 1, 1) * v  # diagonal, so J v = J'v
    for jvp, vjp, into in [
        (vt.torch_jvp(of(torch.sin)), vt.torch_vjp(of(torch.sin)), torch.from_numpy),
        (vt.jax_jvp(of(jax.numpy.sin)), vt.jax_vjp(of(jax.numpy.sin)), jax.numpy.asarray),
    ]:
        for product in (jvp, vjp):
            np.testing.assert_allclose(np.asarray(product(*map(into, (x, v, k, sigma)))), want, rtol=1e-5, atol=1e-5)


def test_arrays_go_to_libraries_and_back():
    import jax

    from vorticity._libraries import Library, wrapped

    x, k, sigma = X.numpy(), np.array([1, 2]), np.array([0.5, 2.0], np.float32)
    for name, kind in [("torch", torch.Tensor), ("jax", jax.Array)]:
        seen = []

        def f(x, k, sigma, seen=seen):
            seen.append((type(x), x.dtype, k.dtype))
            return 2 * x

        np.testing.assert_array_equal(wrapped(f, "f", Library(name))(x, k, sigma), 2 * x)
        assert issubclass(seen[0][0], kind)
    with pytest.raises(vt.ArrayError, match="f returned a float32 NumPy array .*: a torch tensor, as arrays='torch' says"):
        wrapped(lambda x, k, sigma: x.numpy(), "f", Library("torch"))(x, k, sigma)
    with pytest.raises(vt.ArrayError, match="f returned a int64 torch tensor of shape \\[2, 1, 6, 6\\] on cpu"):
        wrapped(lambda x, k, sigma: x.long(), "f", Library("torch"))(x, k, sigma)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(wrapped(lambda x, k, sigma: x, "f", Library("torch"))(frozen, k, sigma), x)


class OfBatch(torch.nn.Module):
    """What it makes of a point depends on the others."""

    def forward(self, x, t):
        return x - x.mean(0, keepdim=True)


def test_a_module_that_mixes_its_batch_is_found_out(process):
    with pytest.raises(vt.Error, match="of x and t alone"):
        vt.from_torch(OfBatch(), (torch.randn(1, 1, 6, 6), torch.tensor([5])), process=process, prediction="eps")


class OneAtATime(torch.nn.Module):
    def forward(self, x, t):
        assert len(x) == 1, "one at a time"
        return torch.sin(x)


def test_a_module_of_one_point_at_a_time_is_compared_so(process):
    field = vt.from_torch(OneAtATime(), (torch.randn(1, 1, 6, 6), torch.tensor([5])), process=process, prediction="eps")
    assert field.agreement < 1e-6


def test_vectors(process):
    net = torch.nn.Sequential(torch.nn.Linear(9, 16), torch.nn.SiLU(), torch.nn.Linear(16, 8))

    class Vector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, t):
            return self.net(torch.cat([x, t.float().reshape(-1, 1) / 100], 1))

    field = vt.from_torch(Vector(), (torch.randn(2, 8), torch.tensor([5, 6])), process=process, prediction="score")
    x = torch.randn(3, 8)
    assert field.shape == (8, 1, 1) and field.agreement < 1e-5
    assert torch.allclose(field(x, 7), Vector()(x, torch.full((3,), 7)), atol=1e-5)


class Book(torch.nn.Module):
    """Attends to rows that are not one for each sample."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(8, 8)

    def forward(self, x, t, book):
        return self.inner(x) + torch.softmax(x @ book.T, 1) @ book


def test_fixed_arguments_stay_whole(process):
    module, book, x, t = Book(), torch.randn(10, 8), torch.randn(1, 8), torch.tensor([50])
    field = vt.from_torch(module, (x, t, book), process=process, prediction="score")
    assert torch.allclose(field(x, 50), module(x, t, book), atol=1e-5)


@pytest.mark.parametrize("wrong", [{"points": -3}, {"points": 2.5}, {"bound": float("inf")}, {"bound": 0}])
def test_a_comparison_that_compares_nothing_is_refused(process, network, wrong):
    with pytest.raises(vt.InvalidError, match=next(iter(wrong))):
        vt.from_torch(network, (X, T), process=process, prediction="eps", **wrong)


def test_a_failed_export_gives_its_reason(process):
    class Distances(torch.nn.Module):
        def forward(self, x, t):
            return torch.cdist(x, x)

    with pytest.raises(vt.Error) as caught:
        vt.from_torch(Distances(), (torch.randn(1, 4, 4), torch.tensor([5])), process=process, prediction="eps")
    assert "cdist" in str(caught.value) and "\x1b" not in str(caught.value), caught.value
